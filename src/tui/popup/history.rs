//! What was done from here, and what happened, in the order of time.

use ratatui::text::{Line, Span};

use crate::model::{EventType, Snapshot, Time};
use crate::tui::pane::clock;
use crate::tui::state::State;
use crate::tui::text;
use crate::tui::theme::Tone;

/// All of it, newest last.
pub(super) fn lines(state: &State, snapshot: &Snapshot) -> Vec<Line<'static>> {
    let said =
        state.history.iter().map(|said| (said.time, said.tone, "dashboard".to_owned(), said.text.clone()));
    let events = snapshot.events.iter().map(|event| {
        let tone = if event.kind == EventType::Warning { Tone::Warning } else { Tone::Plain };
        let times = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
        (event.time, tone, event.object.clone(), format!("{}{times}: {}", event.reason, event.message))
    });
    let mut all: Vec<(Time, Tone, String, String)> = said.chain(events).collect();
    all.sort_by_key(|(time, ..)| *time);
    if all.is_empty() {
        return vec![Line::styled("nothing yet", state.theme.style(Tone::Faint))];
    }
    let line = |(time, tone, who, what): (Time, Tone, String, String)| {
        Line::from(vec![
            Span::styled(format!("{} ", clock(state, time)), state.theme.style(Tone::Faint)),
            Span::styled(text::column(&who, 20), state.theme.style(Tone::Strong)),
            Span::raw(" "),
            Span::styled(text::clean(&what.replace('\n', " ")).into_owned(), state.theme.style(tone)),
        ])
    };
    all.into_iter().map(line).collect()
}
