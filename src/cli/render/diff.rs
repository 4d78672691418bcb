//! `diff` on a terminal.

use crate::cli::output::Tone;
use crate::cli::text;

/// The lines of a patch with their tones, safe to show on a terminal.
///
/// Inside a hunk the first character alone says what a line is: one that was deleted may begin with `--`. How many
/// lines a hunk has is in its header.
pub fn render_diff(patch: &str) -> Vec<(Tone, String)> {
    let mut left = Hunk::default();
    let lines = patch.split_inclusive('\n').map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        (left.tone(line), text::log_line(line))
    });
    lines.collect()
}

/// Lines that the hunk still has.
#[derive(Debug, Default)]
struct Hunk {
    old: u64,
    new: u64,
}

impl Hunk {
    fn tone(&mut self, line: &str) -> Tone {
        if self.old > 0 || self.new > 0 {
            let (old, new, tone) = match line.as_bytes().first() {
                Some(b'+') => (0, 1, Tone::Good),
                Some(b'-') => (1, 0, Tone::Bad),
                // "\ No newline at end of file" counts as none.
                Some(b'\\') => (0, 0, Tone::Faint),
                _ => (1, 1, Tone::Plain),
            };
            self.old = self.old.saturating_sub(old);
            self.new = self.new.saturating_sub(new);
            return tone;
        }
        if let Some(header) = line.strip_prefix("@@ ") {
            *self = Self::read(header).unwrap_or_default();
            return Tone::Note;
        }
        if line.starts_with('\\') { Tone::Faint } else { Tone::Strong }
    }

    /// Reads `-1,2 +1,3 @@ …`; without a number of lines there is one.
    fn read(header: &str) -> Option<Self> {
        let mut ranges = header.split(' ');
        let mut count = |sign: char| -> Option<u64> {
            let range = ranges.next()?.strip_prefix(sign)?;
            match range.split_once(',') {
                Some((_, count)) => count.parse().ok(),
                None => Some(1),
            }
        };
        Some(Self { old: count('-')?, new: count('+')? })
    }
}
