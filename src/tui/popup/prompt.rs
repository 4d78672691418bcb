//! A prompt for a run, as it is typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::{Popup, window};
use crate::model::{Credentials, Request, RunSpec};
use crate::tui::editor::Editor;
use crate::tui::event::Effect;
use crate::tui::keys::Action;
use crate::tui::state::{State, Then};
use crate::tui::text;
use crate::tui::theme::Tone;

/// The agent, and what was typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Prompt {
    agent: String,
    resume: bool,
    pub(super) editor: Editor,
}

impl Prompt {
    /// Nothing is typed yet.
    pub(in crate::tui) fn new(agent: String) -> Self {
        Self { agent, resume: false, editor: Editor::default() }
    }

    pub(super) fn key(&mut self, key: &KeyEvent) {
        match key.code {
            KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => self.editor.insert("\n"),
            KeyCode::Up => self.editor.vertical(false),
            KeyCode::Down => self.editor.vertical(true),
            _ => {
                self.editor.key(key);
            }
        }
    }
}

pub(super) fn act(mut prompt: Prompt, state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Escape => return Vec::new(),
        Action::NewLine => prompt.editor.insert("\n"),
        Action::PromptResume => prompt.resume = !prompt.resume,
        Action::Accept if !prompt.editor.text().trim().is_empty() => {
            let spec = RunSpec {
                agent: prompt.agent.clone(),
                prompt: prompt.editor.text().to_owned(),
                resume: prompt.resume,
                ..RunSpec::default()
            };
            let request = Request::RunStart { spec: Box::new(spec), credentials: Credentials::default() };
            let done = Then::Tell(format!("a run of {} begins", prompt.agent));
            let effects = state.ask(request, format!("starting a run of {}", prompt.agent), done);
            if !effects.is_empty() {
                return effects;
            }
            // Nobody takes it now: what was typed must not be lost.
        }
        _ => {}
    }
    state.popup = Some(Popup::Prompt(prompt));
    Vec::new()
}

pub(super) fn draw(prompt: &Prompt, state: &State, area: Rect, frame: &mut Frame<'_>) {
    let session = if prompt.resume { " (goes on with its last session)" } else { "" };
    let inner = window(frame, state.theme, area, &format!("Run {}{session}", prompt.agent));
    let (columns, height) = (usize::from(inner.width), usize::from(inner.height));
    if columns < 2 || height == 0 {
        return;
    }
    let (mut rows, mut cursor) = (Vec::new(), (0, 0));
    let before = prompt.editor.split().0.len();
    let mut start = 0;
    for line in prompt.editor.text().split('\n') {
        for row in text::wrap(line, columns - 1) {
            let place = start + row.start..=start + row.end;
            if place.contains(&before) {
                let column = line.get(row.start..before - start).map_or(0, text::width);
                cursor = (rows.len(), column.min(columns - 1));
            }
            rows.push(line.get(row).unwrap_or_default());
        }
        start += line.len() + 1;
    }
    let top = (cursor.0 + 1).saturating_sub(height);
    if prompt.editor.text().is_empty() {
        let hint = format!("what {} is to do; ctrl-j begins a new line", prompt.agent);
        frame.render_widget(Line::styled(hint, state.theme.style(Tone::Faint)), Rect { height: 1, ..inner });
    } else {
        let shown: Vec<Line<'_>> = rows.into_iter().skip(top).take(height).map(Line::raw).collect();
        frame.render_widget(Paragraph::new(shown), inner);
    }
    let (row, column) = (u16::try_from(cursor.0 - top), u16::try_from(cursor.1));
    if let (Ok(row), Ok(column)) = (row, column) {
        frame.set_cursor_position((inner.x + column, inner.y + row));
    }
}
