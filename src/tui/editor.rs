//! A text that is being typed: one line, or several.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation as _;

use super::text;

/// Most bytes that can be typed or pasted.
const LIMIT: usize = 64 * 1024;

/// A text and where the next character goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Editor {
    text: String,
    cursor: usize,
}

impl Editor {
    /// Goes on with a text, at its end.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len() }
    }

    /// What was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is before and behind the cursor.
    pub(super) fn split(&self) -> (&str, &str) {
        self.text.split_at_checked(self.cursor).unwrap_or((&self.text, ""))
    }

    /// Takes a key; whether it meant something.
    pub(super) fn key(&mut self, key: &KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('a') if ctrl => self.line_start(),
            KeyCode::Char('e') if ctrl => self.line_end(),
            KeyCode::Char('u') if ctrl => {
                let end = self.cursor;
                self.line_start();
                self.text.replace_range(self.cursor..end, "");
            }
            KeyCode::Char('k') if ctrl => {
                let start = self.cursor;
                self.line_end();
                self.text.replace_range(start..self.cursor, "");
                self.cursor = start;
            }
            KeyCode::Char('w') if ctrl => {
                let before = self.split().0;
                let kept = before.trim_end().rfind(char::is_whitespace).map_or(0, |at| {
                    at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
                });
                self.text.replace_range(kept..self.cursor, "");
                self.cursor = kept;
            }
            KeyCode::Char(character) if !ctrl && !alt => self.insert(character.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => {
                let end = self.cursor;
                self.left();
                self.text.replace_range(self.cursor..end, "");
            }
            KeyCode::Delete => {
                let start = self.cursor;
                self.right();
                self.text.replace_range(start..self.cursor, "");
                self.cursor = start;
            }
            KeyCode::Left => self.left(),
            KeyCode::Right => self.right(),
            KeyCode::Home => self.line_start(),
            KeyCode::End => self.line_end(),
            _ => return false,
        }
        true
    }

    /// Takes pasted text; line breaks stay where there may be several lines.
    pub(super) fn paste(&mut self, pasted: &str, lines: bool) {
        let pasted = pasted.replace("\r\n", "\n").replace('\r', "\n");
        let pieces: Vec<_> = text::block(&pasted).collect();
        self.insert(&pieces.join(if lines { "\n" } else { " " }));
    }

    /// Puts text at the cursor.
    pub(super) fn insert(&mut self, text: &str) {
        if self.text.len() + text.len() <= LIMIT {
            self.text.insert_str(self.cursor, text);
            self.cursor += text.len();
        }
    }

    /// Moves to the line above or below.
    pub(super) fn vertical(&mut self, down: bool) {
        let start = self.start_of_line(self.cursor);
        let column = self.cursor - start;
        let line = if down {
            match self.text.get(self.cursor..).and_then(|rest| rest.find('\n')) {
                Some(at) => self.cursor + at + 1,
                None => return,
            }
        } else {
            if start == 0 {
                return;
            }
            self.start_of_line(start - 1)
        };
        let rest = self.text.get(line..).unwrap_or_default();
        let length = rest.find('\n').unwrap_or(rest.len());
        let boundaries = rest.grapheme_indices(true).map(|(at, _)| at).chain([rest.len()]);
        let wanted = boundaries.take_while(|at| *at <= column.min(length)).last().unwrap_or(0);
        self.cursor = line + wanted;
    }

    fn start_of_line(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    fn left(&mut self) {
        self.cursor = self.split().0.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
    }

    fn right(&mut self) {
        self.cursor += self.split().1.graphemes(true).next().map_or(0, str::len);
    }

    fn line_start(&mut self) {
        self.cursor = self.start_of_line(self.cursor);
    }

    fn line_end(&mut self) {
        let rest = self.split().1;
        self.cursor += rest.find('\n').unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut Editor, code: KeyCode) {
        assert!(editor.key(&KeyEvent::new(code, KeyModifiers::NONE)));
    }

    #[test]
    fn what_is_seen_as_one_character_is_deleted_as_one() {
        let mut editor = Editor::new("a👩‍👩‍👧e\u{301}");
        press(&mut editor, KeyCode::Backspace);
        press(&mut editor, KeyCode::Backspace);
        assert_eq!(editor.text(), "a");
    }

    #[test]
    fn words_and_lines_go_at_once() {
        let mut editor = Editor::new("one two\nthree four ");
        assert!(editor.key(&KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL)));
        assert_eq!(editor.text(), "one two\nthree ");
        assert!(editor.key(&KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
        assert_eq!(editor.text(), "one two\n");
    }

    #[test]
    fn moving_between_lines_keeps_the_column_as_far_as_it_goes() {
        let mut editor = Editor::new("long line\nab\nlonger line");
        editor.vertical(false);
        assert_eq!(editor.split().0, "long line\nab");
        editor.vertical(false);
        assert_eq!(editor.split().0, "lo");
        editor.vertical(true);
        assert_eq!(editor.split().0, "long line\nab");
    }

    #[test]
    fn pasted_text_is_cleaned() {
        let mut editor = Editor::default();
        editor.paste("a\x1b[31mb\r\nc", true);
        assert_eq!(editor.text(), "ab\nc");
        editor.paste("\nd", false);
        assert_eq!(editor.text(), "ab\nc d");
    }
}
