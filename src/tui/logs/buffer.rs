//! Output that was taken in: bounded in lines and bytes, searched as it comes.

use std::collections::VecDeque;

use crate::model::{OutputKind, OutputLine, Time};
use crate::tui::text;

/// Most lines of one source.
pub(in crate::tui) const MAX_LINES: usize = 100_000;

/// Most bytes of one source, with what keeping a line costs.
pub(in crate::tui) const MAX_BYTES: usize = 16 << 20;

/// Most bytes of one line; the rest is left out.
const MAX_LINE: usize = 16 << 10;

/// What keeping a line costs beside its text.
const OVERHEAD: usize = size_of::<Line>() + 16;

/// A clean line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Line {
    /// When it was written.
    pub(in crate::tui) time: Option<Time>,
    /// What it is.
    pub(in crate::tui) kind: OutputKind,
    /// Its text.
    pub(in crate::tui) text: Box<str>,
}

/// The last lines of a source. Each has a number that stays the same while older ones go.
#[derive(Debug, Default)]
pub(in crate::tui) struct Buffer {
    lines: VecDeque<Line>,
    first: u64,
    dropped: u64,
    bytes: usize,
    needle: String,
    matches: VecDeque<u64>,
}

impl Buffer {
    /// Takes in a line.
    pub(in crate::tui) fn push(&mut self, line: &OutputLine) {
        let line = Line { time: line.time, kind: line.kind, text: tidy(&line.text) };
        self.bytes += line.text.len() + OVERHEAD;
        if !self.needle.is_empty() && text::contains(&line.text, &self.needle) {
            self.matches.push_back(self.end());
        }
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= gone.text.len() + OVERHEAD;
            self.first += 1;
            self.dropped += 1;
        }
        while self.matches.front().is_some_and(|number| *number < self.first) {
            self.matches.pop_front();
        }
    }

    /// Takes all lines away. Numbers go on.
    pub(in crate::tui) fn clear(&mut self) {
        self.first = self.end();
        self.lines.clear();
        self.lines.shrink_to_fit();
        self.matches.clear();
        self.bytes = 0;
        self.dropped = 0;
    }

    /// Number of the first line.
    pub(in crate::tui) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the line that comes next.
    pub(in crate::tui) fn end(&self) -> u64 {
        self.first + u64::try_from(self.lines.len()).unwrap_or(u64::MAX)
    }

    /// How many lines went to make room.
    pub(in crate::tui) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes it takes.
    pub(in crate::tui) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One line.
    pub(in crate::tui) fn line(&self, number: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// All lines.
    pub(in crate::tui) fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter()
    }

    /// Looks for something from now on; for nothing when it is empty.
    pub(in crate::tui) fn search(&mut self, needle: &str) {
        if needle == self.needle {
            return;
        }
        let is_longer = !self.needle.is_empty() && needle.starts_with(&self.needle);
        needle.clone_into(&mut self.needle);
        if is_longer {
            // More was typed: only where less was found.
            let mut matches = std::mem::take(&mut self.matches);
            matches
                .retain(|number| self.line(*number).is_some_and(|line| text::contains(&line.text, needle)));
            self.matches = matches;
            return;
        }
        self.matches.clear();
        if needle.is_empty() {
            return;
        }
        let numbered = (self.first..).zip(&self.lines);
        let found = numbered.filter(|(_, line)| text::contains(&line.text, needle));
        self.matches.extend(found.map(|(number, _)| number));
    }

    /// What is looked for.
    pub(in crate::tui) fn needle(&self) -> &str {
        &self.needle
    }

    /// How many lines have what is looked for.
    pub(in crate::tui) fn found(&self) -> usize {
        self.matches.len()
    }

    /// How many of the lines found come before this one.
    pub(in crate::tui) fn found_before(&self, number: u64) -> usize {
        self.matches.partition_point(|found| *found < number)
    }

    /// The nth line found.
    pub(in crate::tui) fn found_at(&self, at: usize) -> Option<u64> {
        self.matches.get(at).copied()
    }
}

/// A line fit for the screen and for keeping.
fn tidy(raw: &str) -> Box<str> {
    let kept = raw.get(..raw.floor_char_boundary(MAX_LINE)).unwrap_or(raw);
    let mut cleaned = text::clean(kept);
    if kept.len() < raw.len() {
        cleaned.to_mut().push_str(&format!("… ({} bytes more)", raw.len() - kept.len()));
    }
    cleaned.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> OutputLine {
        OutputLine { source: "a".into(), run: None, time: None, kind: OutputKind::Text, text: text.into() }
    }

    #[test]
    fn it_stays_within_its_bounds_and_counts_what_went() {
        let mut buffer = Buffer::default();
        for _ in 0..MAX_LINES + 10 {
            buffer.push(&line("x"));
        }
        assert_eq!((buffer.dropped(), buffer.first(), buffer.end()), (10, 10, 100_010));
        let long = "y".repeat(1 << 20);
        buffer.push(&line(&long));
        assert!(buffer.line(buffer.end() - 1).unwrap().text.ends_with("(1032192 bytes more)"));
        for _ in 0..2000 {
            buffer.push(&line(&long));
        }
        assert!(buffer.bytes() <= MAX_BYTES && buffer.dropped() > 90_000);
        buffer.clear();
        assert_eq!((buffer.bytes(), buffer.first()), (0, buffer.end()));
    }

    #[test]
    fn typing_more_finds_what_is_left_and_typing_less_finds_it_again() {
        let mut buffer = Buffer::default();
        for text in ["api", "Apis", "apes", "a"] {
            buffer.push(&line(text));
        }
        let mut found = |needle: &str| {
            buffer.search(needle);
            buffer.found()
        };
        assert_eq!(["a", "ap", "api", "apiS", "api", "A"].map(&mut found), [4, 3, 2, 0, 2, 1]);
    }

    #[test]
    fn what_is_found_keeps_up_with_what_comes_and_goes() {
        let mut buffer = Buffer::default();
        for number in 0..10 {
            buffer.push(&line(if number % 3 == 0 { "Hit" } else { "miss" }));
        }
        buffer.search("hit");
        assert_eq!((buffer.found(), buffer.found_at(1), buffer.found_before(4)), (4, Some(3), 2));
        for _ in 0..MAX_LINES {
            buffer.push(&line("hit"));
        }
        assert_eq!(buffer.found(), MAX_LINES);
        assert_eq!(buffer.found_at(0), Some(10));
    }
}
