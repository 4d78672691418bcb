//! The last two lines: the last result, or what is typed; and the keys that matter now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{clock, input};
use crate::tui::keys::{Action, BINDINGS};
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;
use crate::tui::update::scopes;

/// Draws the last result, what goes on, or what is typed.
pub(in crate::tui) fn status(state: &State, area: Rect, frame: &mut Frame<'_>) {
    if let (Some(typing), None) = (&state.typing, &state.popup) {
        let before = if typing.pane == Pane::Logs { "search: " } else { "filter: " };
        return input(frame, area, before, &typing.editor);
    }
    let width = usize::from(area.width);
    let mut spans = Vec::new();
    let mut used = 0;
    if let Some(pending) = state.pending.values().next_back() {
        let more = match state.pending.len() {
            0 | 1 => String::new(),
            many => format!(" (and {} more)", many - 1),
        };
        let text = format!("{}…{more}  ", text::clean(&pending.what));
        let fitted = text::fit(&text, width).into_owned();
        used = text::width(&fitted);
        spans.push(Span::styled(fitted, state.theme.style(Tone::Busy)));
    }
    if let Some(said) = &state.message {
        let text = format!("{} {}", clock(state, said.time), text::clean(&said.text));
        let fitted = text::fit(&text, width.saturating_sub(used)).into_owned();
        spans.push(Span::styled(fitted, state.theme.style(said.tone)));
    }
    frame.render_widget(Line::from(spans), area);
}

/// Draws the keys that mean something now, as many as there is room for. Help and quit always come last.
pub(in crate::tui) fn footer(state: &State, area: Rect, frame: &mut Frame<'_>) {
    let width = usize::from(area.width);
    let known = scopes(state)
        .iter()
        .flat_map(|scope| BINDINGS.iter().filter(move |binding| binding.scope == *scope))
        .filter(|binding| !binding.short.is_empty())
        .filter_map(|binding| Some((binding, binding.keys.first()?.name())));
    let always = |action| matches!(action, Action::Help | Action::Quit);
    // The first meaning of a key is the one it has.
    let mut seen = std::collections::BTreeSet::new();
    let known: Vec<_> = known.filter(|(_, name)| seen.insert(name.clone())).collect();
    let cost = |name: &str, short: &str| text::width(name) + text::width(short) + 3;
    let reserved: usize = known
        .iter()
        .filter(|(binding, _)| always(binding.action))
        .map(|(binding, name)| cost(name, binding.short))
        .sum();
    let mut spans = Vec::new();
    let mut used = 0;
    for (binding, name) in known {
        let needed = cost(&name, binding.short);
        let room = if always(binding.action) { width } else { width.saturating_sub(reserved) };
        // The last one needs no gap behind it.
        if used + needed - 2 > room {
            continue;
        }
        used += needed;
        spans.push(Span::styled(name, state.theme.style(Tone::Strong)));
        spans.push(Span::styled(format!(" {}  ", binding.short), state.theme.style(Tone::Faint)));
    }
    frame.render_widget(Line::from(spans), area);
}
