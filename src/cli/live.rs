//! Progress that is rewritten in place on a terminal, and told in plain lines elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::output::{Tone, Verbosity};
use super::{Output, Result, terminal, text};

/// Elsewhere than on a terminal, what goes on is told when it takes this long.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// A few lines below the results that say what is still going on.
#[derive(Debug)]
pub(super) struct Live<'a> {
    out: &'a Output,
    shown: usize,
    told: Vec<String>,
    begun: Instant,
}

impl<'a> Live<'a> {
    /// Nothing goes on yet.
    pub(super) fn new(out: &'a Output) -> Self {
        Self { out, shown: 0, told: Vec::new(), begun: Instant::now() }
    }

    /// Replaces what goes on.
    pub(super) fn update(&mut self, lines: &[String]) -> Result<()> {
        if self.out.verbosity() == Verbosity::Quiet {
            return Ok(());
        }
        if !self.out.is_terminal() {
            return self.tell(lines);
        }
        let width = terminal::size().map_or(80, |size| usize::from(size.columns));
        let mut drawing = erase(self.shown);
        for line in lines {
            let line = text::shorten(&text::one_line(line), width.saturating_sub(1));
            // Writing to a string cannot fail.
            _ = writeln!(drawing, "{}", self.out.paint(Tone::Faint, &line));
        }
        self.shown = lines.len();
        self.out.result(&drawing)
    }

    /// Prints a line of the result above what goes on.
    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        let erased = erase(std::mem::take(&mut self.shown));
        self.out.result(&format!("{erased}{line}\n"))
    }

    /// Takes away what goes on.
    pub(super) fn clear(&mut self) -> Result<()> {
        let erased = erase(std::mem::take(&mut self.shown));
        if erased.is_empty() { Ok(()) } else { self.out.result(&erased) }
    }

    fn tell(&mut self, lines: &[String]) -> Result<()> {
        if self.begun.elapsed() < TELL_AFTER {
            return Ok(());
        }
        for line in lines {
            // A service may go back and forth; what was said once is known.
            if !self.told.contains(line) {
                self.out.remark(Tone::Plain, line);
                self.told.push(line.clone());
            }
        }
        Ok(())
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        drop(self.clear());
    }
}

/// Moves up over so many lines and clears to the end of the screen.
fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r\x1b[J") }
}
