//! The panes, one file each, and what they have in common.

mod agents;
mod frame;
mod header;
pub(super) mod logs;
mod services;
mod tasks;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::editor::Editor;
use super::layout::layout;
use super::state::{Pane, State};
use super::text;
use super::theme::Tone;
use super::update::screen;
use crate::model::{Snapshot, Time};

pub(super) use frame::{footer, status};
pub(super) use header::header;

/// A row of a list, and whether it is selected.
struct Row {
    name: String,
    spans: Vec<Span<'static>>,
}

/// Draws a pane.
pub(super) fn draw(state: &State, snapshot: &Snapshot, pane: Pane, area: Rect, frame: &mut Frame<'_>) {
    match pane {
        Pane::Agents => agents::draw(state, snapshot, area, frame),
        Pane::Tasks => tasks::draw(state, snapshot, area, frame),
        Pane::Services => services::draw(state, snapshot, area, frame),
        Pane::Logs => logs::draw(state, snapshot, area, frame),
    }
}

/// Lines that a page up or down goes by.
pub(super) fn page(state: &State, snapshot: &Snapshot, pane: Pane) -> isize {
    let height = layout(state, snapshot, screen(state)).map_or(1, |layout| layout.body(pane).height);
    isize::try_from(height.saturating_sub(1).max(1)).unwrap_or(1)
}

/// The time of day.
pub(super) fn clock(state: &State, time: Time) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    match Timestamp::from_millisecond(millis) {
        Ok(timestamp) => {
            let zoned = timestamp.to_zoned(state.zone.clone());
            format!("{:02}:{:02}:{:02}", zoned.hour(), zoned.minute(), zoned.second())
        }
        // Nobody was there to see it.
        Err(_out_of_range) => "--:--:--".to_owned(),
    }
}

/// A pane's heading: its title on a line, a rule below it.
fn heading(
    state: &State,
    pane: Pane,
    area: Rect,
    title: Vec<Span<'static>>,
    right: &str,
    frame: &mut Frame<'_>,
) {
    if area.height == 0 {
        return;
    }
    let tone = if state.focus == pane { Tone::Accent } else { Tone::Faint };
    let top = Rect { height: 1, ..area };
    let width = usize::from(area.width);
    // A pane that has the screen to itself says where the others are.
    let screen = frame.area();
    let alone = (area.width, area.height + 3) == (screen.width, screen.height);
    let right = if alone && right.is_empty() { "1 agents 2 tasks 3 logs 4 svcs" } else { right };
    let line = Line::from(title);
    let used = line.width();
    frame.render_widget(line, top);
    let room = width.saturating_sub(used + 2);
    if !right.is_empty() && text::width(right) <= room {
        let columns = u16::try_from(text::width(right)).unwrap_or(area.width);
        let at = Rect { x: area.right() - columns, width: columns, ..top };
        frame.render_widget(Line::styled(right.to_owned(), state.theme.style(Tone::Faint)), at);
    }
    if area.height > 1 {
        let rule = Line::styled("─".repeat(width), state.theme.style(tone));
        frame.render_widget(rule, Rect { y: area.y + 1, height: 1, ..area });
    }
}

/// The title of a list with its number of lines, and its filter.
fn list_title(state: &State, pane: Pane, shown: usize, all: usize, filter: &str) -> Vec<Span<'static>> {
    let tone = if state.focus == pane { Tone::Accent } else { Tone::Strong };
    let count = if shown == all { format!(" [{all}]") } else { format!(" [{shown}/{all}]") };
    let mut title = vec![
        Span::styled(pane.title(), state.theme.style(tone)),
        Span::styled(count, state.theme.style(Tone::Plain)),
    ];
    if !filter.is_empty() {
        title.push(Span::styled(format!("  /{}", text::clean(filter)), state.theme.style(Tone::Warning)));
    }
    title
}

/// Draws the rows of a list, from the first one on the screen.
fn list(
    state: &State,
    pane: Pane,
    area: Rect,
    selected: Option<&str>,
    rows: impl Iterator<Item = Row>,
    frame: &mut Frame<'_>,
) {
    for (y, row) in (area.top()..area.bottom()).zip(rows) {
        let is_selected = selected == Some(&row.name);
        let mut spans = vec![Span::raw(if is_selected { "> " } else { "  " })];
        spans.extend(row.spans);
        let line = Line::from(spans);
        let at = Rect { y, height: 1, ..area };
        frame.render_widget(line, at);
        if is_selected && state.focus == pane {
            frame.buffer_mut().set_style(at, state.theme.style(Tone::Selected));
        }
    }
}

/// A line in place of a list that is empty.
fn nothing(state: &State, area: Rect, says: &str, frame: &mut Frame<'_>) {
    if area.height > 0 {
        let fitted = text::fit(says, usize::from(area.width)).into_owned();
        frame.render_widget(Line::styled(fitted, state.theme.style(Tone::Faint)), Rect { height: 1, ..area });
    }
}

/// A line that is typed, with its cursor.
pub(super) fn input(frame: &mut Frame<'_>, area: Rect, before: &str, editor: &Editor) {
    let (left, right) = editor.split();
    let width = usize::from(area.width);
    let used = text::width(before) + text::width(left) + 1;
    // The end of what is typed stays in sight.
    let hidden = used.saturating_sub(width);
    let shown = text::from_column(left, hidden);
    let line = Line::from(vec![Span::raw(before), Span::raw(shown), Span::raw(right)]);
    frame.render_widget(line, area);
    let column = text::width(before) + text::width(shown);
    if area.width > 0 && area.height > 0 {
        let column = u16::try_from(column).unwrap_or(u16::MAX).min(area.width - 1);
        frame.set_cursor_position((area.x + column, area.y));
    }
}
