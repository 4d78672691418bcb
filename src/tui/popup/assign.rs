//! Which agent gets a task.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{Popup, window};
use crate::model::{Request, Snapshot, TaskStatus};
use crate::tui::event::Effect;
use crate::tui::keys::Action;
use crate::tui::state::{State, Then};
use crate::tui::text;
use crate::tui::theme::Tone;

/// The task, and who is chosen; nobody comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Assign {
    task: String,
    role: Option<String>,
    chosen: Option<String>,
}

impl Assign {
    /// Asks who gets this task.
    pub(in crate::tui) fn new(task: &TaskStatus) -> Self {
        Self { task: task.id.clone(), role: task.role.clone(), chosen: task.assigned_to.clone() }
    }

    /// Number of the chosen line.
    fn at(&self, snapshot: &Snapshot) -> usize {
        let known =
            self.chosen.as_ref().and_then(|chosen| snapshot.agents.keys().position(|name| name == chosen));
        known.map_or(0, |at| at + 1)
    }
}

pub(super) fn act(mut assign: Assign, state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let total = snapshot.agents.len() + 1;
    let at = assign.at(snapshot);
    let next = match action {
        Action::Escape => return Vec::new(),
        Action::Up => at.saturating_sub(1),
        Action::Down => (at + 1).min(total - 1),
        Action::First => 0,
        Action::Last => total - 1,
        Action::Accept => {
            let Assign { task, chosen, .. } = assign;
            // It may have gone while it was looked at.
            let agent = chosen.filter(|name| snapshot.agents.contains_key(name));
            let done = match &agent {
                Some(agent) => format!("{task} goes to {agent}"),
                None => format!("nobody has {task}"),
            };
            let what = format!("assigning {task}");
            return state.ask(Request::TaskAssign { task, agent }, what, Then::Tell(done));
        }
        _ => at,
    };
    assign.chosen = next.checked_sub(1).and_then(|at| snapshot.agents.keys().nth(at)).cloned();
    state.popup = Some(Popup::Assign(assign));
    Vec::new()
}

pub(super) fn draw(assign: &Assign, state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    let inner = window(frame, state.theme, area, &format!("Assign {}", text::clean(&assign.task)));
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let at = assign.at(snapshot);
    let nobody = [("nobody", String::new(), false)];
    let agents = snapshot.agents.values().map(|agent| {
        let fits = assign.role.is_some() && agent.role == assign.role;
        let role = agent.role.as_deref().map_or(String::new(), |role| format!(" {role}"));
        (agent.name.as_str(), format!("[{}]{role}", agent.state), fits)
    });
    let lines: Vec<Line<'_>> = nobody
        .into_iter()
        .chain(agents)
        .enumerate()
        .skip((at + 1).saturating_sub(height))
        .take(height)
        .map(|(number, (name, more, fits))| {
            let tone = if number == at { Tone::Selected } else { Tone::Plain };
            let name_width = (width / 2).max(1);
            let more_tone = if fits { Tone::Good } else { Tone::Faint };
            Line::from(vec![
                Span::styled(text::column(name, name_width), state.theme.style(tone)),
                Span::raw(" "),
                Span::styled(text::clean(&more).into_owned(), state.theme.style(more_tone)),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
