//! Texts that configuration comes from, and places in them.

use std::path::PathBuf;

/// A text that values come from: a file, a built-in template, a variable, a flag.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// How people see it: `tanuki.yaml`, `~/.config/tanuki/config.yaml`, `postgres template`.
    pub(super) label: String,
    /// Where it is on disk, if it is a file.
    pub(super) path: Option<PathBuf>,
    /// What it says.
    pub(super) text: String,
}

/// All sources of one load; a [`Mark`] is only good for the list it was made with.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Takes a source in and says its index.
    pub(super) fn add(&mut self, source: Source) -> usize {
        self.0.push(source);
        self.0.len() - 1
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The source of this index.
    pub(super) fn get(&self, index: usize) -> Option<&Source> {
        self.0.get(index)
    }
}

/// A node or key of a parsed source, by the order in which the parser met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Index in [`Sources`].
    pub(super) source: usize,
    /// Number of the node; the whole document is 0.
    pub(super) node: u32,
}

/// A stretch of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

/// The line of this number (from 1), without its end. Lines end where YAML says they end.
pub(super) fn line_of(text: &str, number: usize) -> &str {
    let mut rest = text;
    for _ in 1..number {
        let Some(end) = rest.find(is_break) else { return "" };
        let width = if rest[end..].starts_with("\r\n") {
            2
        } else {
            rest[end..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[end + width..];
    }
    rest.split(is_break).next().unwrap_or("")
}

/// How many lines end in a text.
pub(super) fn lines_before(text: &str) -> usize {
    text.matches(is_break).count() - text.matches("\r\n").count()
}

/// Whether YAML ends a line here.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// How many characters the key or scalar has that begins at this column of the line; at least 1.
pub(super) fn token_length(line: &str, column: usize) -> usize {
    let rest: Vec<char> = line.chars().skip(column.saturating_sub(1)).collect();
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => quoted_length(&rest, *quote),
        Some('[' | '{') => 1,
        _ => plain_length(&rest),
    };
    length.max(1)
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut index = 1;
    while let Some(c) = rest.get(index) {
        index += 1;
        if *c == '\\' && quote == '"' {
            index += 1;
        } else if *c == quote {
            return index.min(rest.len());
        }
    }
    rest.len()
}

fn plain_length(rest: &[char]) -> usize {
    let end = rest
        .iter()
        .enumerate()
        .position(|(index, c)| {
            let next_is_space = rest.get(index + 1).is_none_or(|next| next.is_whitespace());
            match c {
                ':' => next_is_space,
                ',' | ']' | '}' => true,
                '#' => index > 0 && rest[index - 1].is_whitespace(),
                _ => false,
            }
        })
        .unwrap_or(rest.len());
    let text: String = rest[..end].iter().collect();
    text.trim_end().chars().count()
}
