//! Which part of a source's output is on the screen. Moving goes by rows: a long line takes several when wrapped.

use super::buffer::{Buffer, Line};
use crate::tui::text;

/// Columns that a timestamp takes.
pub(in crate::tui) const STAMP: usize = 11;

/// A place in the output: a line, and a row of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) struct Place {
    /// Number of the line.
    pub(in crate::tui) line: u64,
    /// Row of the line, from 0.
    pub(in crate::tui) row: usize,
}

/// How lines are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) struct Shape {
    /// Columns there are.
    pub(in crate::tui) columns: usize,
    /// Rows there are.
    pub(in crate::tui) rows: usize,
    /// Lines that are too long take several rows.
    pub(in crate::tui) wrap: bool,
    /// Times are shown.
    pub(in crate::tui) stamps: bool,
}

impl Shape {
    /// Columns for the text itself.
    pub(in crate::tui) fn text_columns(self) -> usize {
        self.columns.saturating_sub(if self.stamps { STAMP } else { 0 }).max(1)
    }

    fn height(self, line: &Line) -> usize {
        if self.wrap { text::wrap(&line.text, self.text_columns()).len() } else { 1 }
    }
}

/// Where a reader is in one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::tui) struct View {
    /// The top of the screen; the end is followed when absent.
    top: Option<Place>,
    /// Nothing from this line on is shown.
    pub(in crate::tui) held: Option<u64>,
    /// Moved to the right by so many columns, where lines are not wrapped.
    pub(in crate::tui) left: usize,
    /// The line a search has found.
    pub(in crate::tui) hit: Option<u64>,
}

impl View {
    /// Whether what comes is shown as it comes.
    pub(in crate::tui) fn follows(&self) -> bool {
        self.top.is_none() && self.held.is_none()
    }

    /// Goes to the end and stays there.
    pub(in crate::tui) fn follow(&mut self) {
        self.top = None;
        self.held = None;
    }

    /// Stays where it is.
    pub(in crate::tui) fn stay(&mut self, buffer: &Buffer, shape: Shape) {
        self.top = Some(self.top(buffer, shape));
    }

    fn end(&self, buffer: &Buffer) -> u64 {
        self.held.unwrap_or(u64::MAX).clamp(buffer.first(), buffer.end())
    }

    /// The place at the top of the screen.
    pub(in crate::tui) fn top(&self, buffer: &Buffer, shape: Shape) -> Place {
        let last = self.last_top(buffer, shape);
        match self.top {
            Some(top) if top.line < buffer.first() => Place { line: buffer.first(), row: 0 }.min(last),
            Some(top) => {
                // The screen may have changed its width since.
                let rows = buffer.line(top.line).map_or(1, |line| shape.height(line));
                Place { line: top.line, row: top.row.min(rows.saturating_sub(1)) }.min(last)
            }
            None => last,
        }
    }

    /// The top of the screen that shows the end.
    fn last_top(&self, buffer: &Buffer, shape: Shape) -> Place {
        let end = Place { line: self.end(buffer), row: 0 };
        back(buffer, shape, end, shape.rows)
    }

    /// Moves by rows; to the end is to follow again, unless it is held.
    pub(in crate::tui) fn scroll(&mut self, buffer: &Buffer, shape: Shape, rows: isize) {
        let top = self.top(buffer, shape);
        let last = self.last_top(buffer, shape);
        let moved = if rows < 0 {
            back(buffer, shape, top, rows.unsigned_abs())
        } else {
            forth(buffer, shape, top, rows.unsigned_abs()).min(last)
        };
        self.top = if moved >= last && rows > 0 { None } else { Some(moved) };
    }

    /// Goes to the start.
    pub(in crate::tui) fn start(&mut self, buffer: &Buffer) {
        self.top = Some(Place { line: buffer.first(), row: 0 });
    }

    /// Goes to a line, with some of what is before it.
    pub(in crate::tui) fn show(&mut self, buffer: &Buffer, shape: Shape, line: u64) {
        self.hit = Some(line);
        let top = self.top(buffer, shape);
        let bottom = forth(buffer, shape, top, shape.rows.saturating_sub(1));
        if line < top.line || line > bottom.line || (line == bottom.line && bottom.row > 0) {
            let above = back(buffer, shape, Place { line, row: 0 }, shape.rows / 3);
            self.top = Some(above);
        } else {
            self.top = Some(top);
        }
    }

    /// Goes to the next or previous line found; its number among those found.
    pub(in crate::tui) fn search(&mut self, buffer: &Buffer, shape: Shape, backward: bool) {
        let found = buffer.found();
        if found == 0 {
            self.hit = None;
            return;
        }
        let from = self.hit.unwrap_or_else(|| self.top(buffer, shape).line);
        let before = buffer.found_before(from);
        let is_hit = self.hit.is_some() && buffer.found_at(before) == self.hit;
        let next = if backward {
            before.checked_sub(1).unwrap_or(found - 1)
        } else {
            (before + usize::from(is_hit)) % found
        };
        if let Some(line) = buffer.found_at(next) {
            if self.held.is_some_and(|held| line >= held) {
                self.held = Some(buffer.end());
            }
            self.show(buffer, shape, line);
        }
    }

    /// What is on the screen: lines with the rows of them that are seen.
    pub(in crate::tui) fn visible<'a>(
        &self,
        buffer: &'a Buffer,
        shape: Shape,
    ) -> Vec<(u64, &'a Line, std::ops::Range<usize>)> {
        let top = self.top(buffer, shape);
        let mut seen = Vec::new();
        let mut left = shape.rows;
        let mut row = top.row;
        for number in top.line..self.end(buffer) {
            if left == 0 {
                break;
            }
            let Some(line) = buffer.line(number) else { break };
            let height = shape.height(line);
            let shown = height.saturating_sub(row).min(left);
            seen.push((number, line, row..row + shown));
            left -= shown;
            row = 0;
        }
        seen
    }
}

/// So many rows before a place, or the start.
fn back(buffer: &Buffer, shape: Shape, from: Place, rows: usize) -> Place {
    let Place { mut line, mut row } = from;
    let mut left = rows;
    loop {
        if left <= row {
            return Place { line, row: row - left };
        }
        left -= row;
        let Some(before) = line.checked_sub(1).and_then(|before| Some((before, buffer.line(before)?))) else {
            return Place { line, row: 0 };
        };
        line = before.0;
        // Stand behind the last row of the line before.
        row = shape.height(before.1);
    }
}

/// So many rows behind a place, or the last row of all.
fn forth(buffer: &Buffer, shape: Shape, from: Place, rows: usize) -> Place {
    let Place { mut line, mut row } = from;
    let mut left = rows;
    loop {
        let Some(current) = buffer.line(line) else { return Place { line, row: 0 } };
        let rest = shape.height(current).saturating_sub(row + 1);
        if left <= rest {
            return Place { line, row: row + left };
        }
        if buffer.line(line + 1).is_none() {
            return Place { line, row: row + rest };
        }
        left -= rest + 1;
        line += 1;
        row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OutputKind, OutputLine};

    const SHAPE: Shape = Shape { columns: 10, rows: 4, wrap: true, stamps: false };

    fn buffer(lines: &[&str]) -> Buffer {
        let mut buffer = Buffer::default();
        for line in lines {
            push(&mut buffer, line);
        }
        buffer
    }

    fn push(buffer: &mut Buffer, text: &str) {
        buffer.push(&OutputLine {
            source: "a".into(),
            run: None,
            time: None,
            kind: OutputKind::Text,
            text: text.into(),
        });
    }

    /// The rows on the screen, as numbers of lines.
    fn screen(view: &View, buffer: &Buffer) -> Vec<u64> {
        let seen = view.visible(buffer, SHAPE);
        seen.iter().flat_map(|(number, _, rows)| rows.clone().map(|_| *number)).collect()
    }

    #[test]
    fn the_end_is_followed_and_long_lines_take_their_rows() {
        let mut buffer = buffer(&["0", "1", "a line of 25 columns, yes", "3"]);
        let view = View::default();
        assert_eq!(screen(&view, &buffer), [2, 2, 2, 3]);
        push(&mut buffer, "4");
        assert_eq!(screen(&view, &buffer), [2, 2, 3, 4]);
    }

    #[test]
    fn a_place_is_kept_until_the_end_is_reached_again() {
        let mut buffer = buffer(&["0", "1", "2", "3", "4", "5"]);
        let mut view = View::default();
        view.scroll(&buffer, SHAPE, -1);
        assert_eq!(screen(&view, &buffer), [1, 2, 3, 4]);
        push(&mut buffer, "6");
        assert_eq!(screen(&view, &buffer), [1, 2, 3, 4]);
        view.scroll(&buffer, SHAPE, -100);
        assert_eq!(screen(&view, &buffer), [0, 1, 2, 3]);
        view.scroll(&buffer, SHAPE, 100);
        assert!(view.follows());
        push(&mut buffer, "7");
        assert_eq!(screen(&view, &buffer), [4, 5, 6, 7]);
    }

    #[test]
    fn what_is_held_stays_until_it_is_let_go() {
        let mut buffer = buffer(&["0", "1", "2", "3", "4", "5"]);
        let mut view = View { held: Some(buffer.end()), ..View::default() };
        push(&mut buffer, "6");
        assert_eq!(screen(&view, &buffer), [2, 3, 4, 5]);
        view.scroll(&buffer, SHAPE, 3);
        assert_eq!(screen(&view, &buffer), [2, 3, 4, 5]);
        view.follow();
        assert_eq!(screen(&view, &buffer), [3, 4, 5, 6]);
    }

    #[test]
    fn a_search_goes_round() {
        let mut buffer = buffer(&["hit", "1", "2", "3", "hit", "5", "6", "7", "hit"]);
        buffer.search("hit");
        let mut view = View::default();
        view.start(&buffer);
        let mut hits = Vec::new();
        for backward in [false, false, false, false, true] {
            view.search(&buffer, SHAPE, backward);
            hits.extend(view.hit);
            assert!(screen(&view, &buffer).contains(&view.hit.unwrap()));
        }
        assert_eq!(hits, [0, 4, 8, 0, 8]);
    }
}
