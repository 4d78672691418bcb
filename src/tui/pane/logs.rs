//! Output of an agent or a service.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{clock, heading, nothing};
use crate::model::{OutputKind, Snapshot};
use crate::tui::layout::body;
use crate::tui::logs::{Line as Logged, Log, STAMP, Shape, Source};
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;
use crate::tui::update;

pub(super) fn draw(state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    let tone = if state.focus == Pane::Logs { Tone::Accent } else { Tone::Strong };
    let mut title = vec![Span::styled("Logs", state.theme.style(tone))];
    if let Some(source) = &state.logs.shown {
        title.push(Span::raw(": "));
        title.push(Span::styled(text::clean(source.name()).into_owned(), state.theme.style(Tone::Plain)));
    }
    let log = state.logs.current();
    if let Some(log) = log {
        title.extend(remarks(state, snapshot, log));
    }
    let following = log.is_none_or(|log| log.view.follows());
    let right = if following { "[f]ollow: on" } else { "[f]ollow: off" };
    heading(state, Pane::Logs, area, title, right, frame);
    let body = body(area);
    let shape = Shape {
        columns: usize::from(body.width),
        rows: usize::from(body.height),
        ..update::shape(state, snapshot)
    };
    let Some(log) = log.filter(|log| log.buffer.first() < log.buffer.end()) else {
        let says = if state.logs.shown.is_some() { "no output yet" } else { "output comes here" };
        return nothing(state, body, says, frame);
    };
    let mut y = body.y;
    for (number, line, rows) in log.view.visible(&log.buffer, shape) {
        for drawn in lines(state, log, shape, number, line, rows) {
            frame.render_widget(drawn, Rect { y, height: 1, ..body });
            y += 1;
        }
    }
}

/// What is to be known of the output as a whole.
fn remarks(state: &State, snapshot: &Snapshot, log: &Log) -> Vec<Span<'static>> {
    let mut remarks = Vec::new();
    let mut remark =
        |text: String, tone| remarks.push(Span::styled(format!("  {text}"), state.theme.style(tone)));
    if let Some(held) = log.view.held {
        remark(format!("paused, {} more", log.buffer.end().saturating_sub(held)), Tone::Warning);
    }
    let needle = log.buffer.needle();
    if !needle.is_empty() {
        let at = log.view.hit.map_or(String::new(), |hit| format!("{}/", log.buffer.found_before(hit) + 1));
        remark(format!("/{} {at}{}", text::clean(needle), log.buffer.found()), Tone::Warning);
    }
    if log.buffer.dropped() > 0 {
        remark(format!("{} dropped", log.buffer.dropped()), Tone::Faint);
    }
    let gone = match &state.logs.shown {
        Some(Source::Agent(name)) => !snapshot.agents.contains_key(name),
        Some(Source::Service(name)) => !snapshot.services.contains_key(name),
        None => false,
    };
    if gone {
        remark("gone".into(), Tone::Faint);
    } else if !log.is_open() {
        remark("ended".into(), Tone::Faint);
    }
    remarks
}

/// The rows of a line that are on the screen.
fn lines(
    state: &State,
    log: &Log,
    shape: Shape,
    number: u64,
    line: &Logged,
    rows: std::ops::Range<usize>,
) -> Vec<Line<'static>> {
    let tone = match line.kind {
        OutputKind::Text => Tone::Plain,
        OutputKind::Thinking | OutputKind::ToolResult => Tone::Faint,
        OutputKind::Tool => Tone::Busy,
        OutputKind::Error => Tone::Bad,
        OutputKind::Note => Tone::Accent,
    };
    let ranges = if shape.wrap {
        text::wrap(&line.text, shape.text_columns())
    } else {
        let shown = text::from_column(&line.text, log.view.left);
        let start = line.text.len() - shown.len();
        std::iter::once(start..line.text.len()).collect()
    };
    let found = match log.buffer.needle() {
        "" => Vec::new(),
        needle => text::find_all(&line.text, needle),
    };
    let is_hit = log.view.hit == Some(number);
    let mut drawn = Vec::new();
    for (row, range) in ranges.into_iter().enumerate().skip(rows.start).take(rows.len()) {
        let mut spans = Vec::new();
        if shape.stamps {
            let stamp = match line.time.filter(|_| row == 0) {
                Some(time) => format!("[{}] ", clock(state, time)),
                None => " ".repeat(STAMP),
            };
            let tone = if is_hit { Tone::Accent } else { Tone::Faint };
            spans.push(Span::styled(stamp, state.theme.style(tone)));
        }
        let piece = |range: std::ops::Range<usize>| line.text.get(range).unwrap_or_default().to_owned();
        let mut at = range.start;
        for place in &found {
            let (from, to) = (place.start.max(at), place.end.min(range.end));
            if from < to {
                spans.push(Span::styled(piece(at..from), state.theme.style(tone)));
                spans.push(Span::styled(piece(from..to), state.theme.style(Tone::Found)));
                at = to;
            }
        }
        spans.push(Span::styled(piece(at..range.end), state.theme.style(tone)));
        drawn.push(Line::from(spans));
    }
    drawn
}

/// All that is kept of the output, as text.
pub(in crate::tui) fn whole(state: &State) -> String {
    let mut text = String::new();
    let Some(log) = state.logs.current() else { return text };
    for line in log.buffer.lines() {
        if let Some(time) = line.time.filter(|_| state.stamps) {
            text.push_str(&format!("[{}] ", clock(state, time)));
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

/// The lines that are on the screen, as text.
pub(in crate::tui) fn seen(state: &State, shape: Shape) -> String {
    let Some(log) = state.logs.current() else { return String::new() };
    let lines = log.view.visible(&log.buffer, shape);
    lines.iter().map(|(_, line, _)| format!("{}\n", line.text)).collect()
}
