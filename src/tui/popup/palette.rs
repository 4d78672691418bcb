//! All actions by name: typed, narrowed down, chosen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{Popup, help, window};
use crate::model::Snapshot;
use crate::tui::act;
use crate::tui::editor::Editor;
use crate::tui::event::Effect;
use crate::tui::keys::{self, Action, Binding, Scope};
use crate::tui::pane::input;
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;

/// What is typed, and which of the actions that fit is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::tui) struct Palette {
    editor: Editor,
    at: usize,
}

impl Palette {
    pub(super) fn editor(&mut self) -> &mut Editor {
        // Another text, another choice.
        self.at = 0;
        &mut self.editor
    }

    /// Actions with all the words that were typed.
    fn fitting(&self) -> Vec<&'static Binding> {
        let words: Vec<&str> = self.editor.text().split_whitespace().collect();
        let name = |binding: &Binding| format!("{} {}", binding.scope.title(), binding.long);
        keys::palette()
            .filter(|binding| words.iter().all(|word| text::contains(&name(binding), word)))
            .collect()
    }
}

pub(super) fn act(
    mut palette: Palette,
    state: &mut State,
    snapshot: &Snapshot,
    action: Action,
) -> Vec<Effect> {
    let fitting = palette.fitting();
    match action {
        Action::Escape => return Vec::new(),
        Action::Up => palette.at = palette.at.checked_sub(1).unwrap_or(fitting.len().saturating_sub(1)),
        Action::Down => palette.at = (palette.at + 1) % fitting.len().max(1),
        Action::Accept => {
            if let Some(binding) = fitting.get(palette.at) {
                state.focus = match binding.scope {
                    Scope::Agents => Pane::Agents,
                    Scope::Tasks => Pane::Tasks,
                    Scope::Services => Pane::Services,
                    Scope::Logs => Pane::Logs,
                    _ => state.focus,
                };
                return act::act(state, snapshot, binding.action);
            }
        }
        _ => {}
    }
    state.popup = Some(Popup::Palette(palette));
    Vec::new()
}

pub(super) fn draw(palette: &Palette, state: &State, area: Rect, frame: &mut Frame<'_>) {
    let inner = window(frame, state.theme, area, "Palette");
    if inner.height == 0 {
        return;
    }
    let typed = Rect { height: 1, ..inner };
    input(frame, typed, ":", &palette.editor);
    let list = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    let height = usize::from(list.height);
    let top = (palette.at + 1).saturating_sub(height);
    let line = |(at, binding): (usize, &&Binding)| {
        let tone = if at == palette.at { Tone::Selected } else { Tone::Plain };
        let width = usize::from(list.width).saturating_sub(22);
        Line::from(vec![
            Span::styled(text::column(binding.scope.title(), 12), state.theme.style(Tone::Faint)),
            Span::styled(text::column(binding.long, width), state.theme.style(tone)),
            Span::raw(" "),
            Span::styled(help::keys(binding), state.theme.style(Tone::Strong)),
        ])
    };
    let fitting = palette.fitting();
    let lines: Vec<Line<'_>> = if fitting.is_empty() {
        vec![Line::styled("nothing fits", state.theme.style(Tone::Faint))]
    } else {
        fitting.iter().enumerate().skip(top).take(height).map(line).collect()
    };
    frame.render_widget(Paragraph::new(lines), list);
}
