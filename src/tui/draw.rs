//! Draws the whole screen from what is remembered and the snapshot. Changes neither.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::layout::layout;
use super::pane;
use super::popup;
use super::rows;
use super::state::State;
use super::text;
use super::theme::Tone;
use crate::model::Snapshot;

/// Draws everything. Any size of the screen will do.
pub fn draw(state: &State, snapshot: &Snapshot, frame: &mut Frame<'_>) {
    let area = frame.area();
    let Some(layout) = layout(state, snapshot, area) else { return too_small(frame) };
    pane::header(state, snapshot, layout.header, frame);
    for (pane, area) in &layout.panes {
        pane::draw(state, snapshot, *pane, *area, frame);
    }
    for gap in &layout.gaps {
        for y in gap.top()..gap.bottom() {
            let line = Line::styled("│", state.theme.style(Tone::Faint));
            frame.render_widget(line, Rect { y, height: 1, ..*gap });
        }
    }
    if rows::stale(state, snapshot).is_some() {
        for (_, area) in &layout.panes {
            frame.buffer_mut().set_style(*area, state.theme.style(Tone::Faint));
        }
    }
    pane::status(state, layout.status, frame);
    pane::footer(state, layout.footer, frame);
    if let Some(popup) = &state.popup {
        popup::draw(state, snapshot, popup, frame);
        // A popup that takes the whole screen leaves the keys in sight.
        frame.render_widget(ratatui::widgets::Clear, layout.footer);
        pane::footer(state, layout.footer, frame);
    }
}

fn too_small(frame: &mut Frame<'_>) {
    let area = frame.area();
    let rows = ["terminal", "too small"];
    let top = area.height.saturating_sub(2) / 2;
    for (at, row) in (0u16..).zip(rows) {
        let y = area.y + top + at;
        if y >= area.bottom() {
            break;
        }
        let fitted = text::fit(row, usize::from(area.width)).into_owned();
        let indent =
            (area.width - u16::try_from(text::width(&fitted)).unwrap_or(area.width).min(area.width)) / 2;
        let at = Rect { x: area.x + indent, y, width: area.width - indent, height: 1 };
        frame.render_widget(Line::raw(fitted), at);
    }
}
