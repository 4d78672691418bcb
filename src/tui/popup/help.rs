//! The keys, from the table that handles them.

use ratatui::text::{Line, Span};

use crate::tui::keys::{BINDINGS, Binding, Scope};
use crate::tui::state::State;
use crate::tui::text;
use crate::tui::theme::Tone;
use crate::tui::update::pane_scopes;

/// Columns of the keys.
const KEYS: usize = 16;

/// All keys by where they mean something.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let theme = state.theme;
    let mut lines = Vec::new();
    let mut last: Option<Scope> = None;
    let mut bindings: Vec<&Binding> = BINDINGS.iter().filter(|binding| !binding.keys.is_empty()).collect();
    // What means something in the pane one comes from is looked for first.
    let here = pane_scopes(state.focus);
    bindings
        .sort_by_key(|binding| here.iter().position(|scope| *scope == binding.scope).unwrap_or(here.len()));
    for binding in bindings {
        if last.is_none_or(|last| last.title() != binding.scope.title()) {
            if last.is_some() {
                lines.push(Line::default());
            }
            lines.push(Line::styled(binding.scope.title(), theme.style(Tone::Accent)));
        }
        last = Some(binding.scope);
        lines.push(Line::from(vec![
            Span::styled(text::column(&keys(binding), KEYS), theme.style(Tone::Strong)),
            Span::raw(" "),
            Span::raw(binding.long),
        ]));
    }
    lines
}

/// A binding's keys by name.
pub(super) fn keys(binding: &Binding) -> String {
    let names: Vec<String> = binding.keys.iter().take(2).map(|chord| chord.name()).collect();
    names.join(" ")
}
