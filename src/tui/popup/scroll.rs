//! Where a reader is in a text.

use crate::tui::keys::Action;

/// The first line on the screen. What is beyond the end stands for the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::tui) struct Scroll {
    top: usize,
}

impl Scroll {
    /// At the end.
    pub(in crate::tui) fn end() -> Self {
        Self { top: usize::MAX }
    }

    /// The first line on a screen of this height.
    pub(in crate::tui) fn top(self, total: usize, height: usize) -> usize {
        self.top.min(total.saturating_sub(height))
    }

    /// Goes to a line.
    pub(in crate::tui) fn go(&mut self, line: usize) {
        self.top = line;
    }

    /// Moves; whether the text stays open.
    pub(in crate::tui) fn act(&mut self, action: Action, total: usize, height: usize) -> bool {
        let page = height.saturating_sub(1).max(1);
        let top = self.top(total, height);
        self.top = match action {
            Action::Up => top.saturating_sub(1),
            Action::Down => top + 1,
            Action::PageUp => top.saturating_sub(page),
            Action::PageDown => top + page,
            Action::First => 0,
            Action::Last => usize::MAX,
            Action::Escape => return false,
            _ => top,
        };
        self.top = self.top(total, height);
        true
    }
}
