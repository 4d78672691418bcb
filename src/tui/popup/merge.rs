//! Merging an agent's work: what would happen, yes or no, how it went.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::{Popup, Scroll, window};
use crate::controller::HandleError;
use crate::model::{self, Accepted, AgentStatus, MergeMethod, Rejected, Request};
use crate::tui::answer::failure;
use crate::tui::event::Effect;
use crate::tui::keys::Action;
use crate::tui::state::{State, Then};
use crate::tui::text;
use crate::tui::theme::Tone;

/// The agent, and how far its merge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Merge {
    agent: String,
    about: Vec<String>,
    method: MergeMethod,
    remove: bool,
    stage: Stage,
    scroll: Scroll,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// What would happen is looked at.
    Forecasting,
    /// It can be done.
    Ready(Vec<String>),
    /// It is being done.
    Merging,
    /// It is done.
    Done(Vec<String>),
    /// It cannot be done, or was not.
    Failed(Vec<String>),
}

impl Merge {
    /// What would happen is being looked at.
    pub(in crate::tui) fn new(agent: &AgentStatus) -> Self {
        let base = agent.base.trim_start_matches("refs/heads/");
        let mut about = vec![format!("{} into {base}", agent.branch)];
        if let Some(ahead) = agent.ahead {
            about.push(format!("{ahead} commits ahead, {} behind", agent.behind.unwrap_or(0)));
        }
        if agent.dirty == Some(true) {
            about.push("Work that is not committed is not merged.".into());
        }
        Self {
            agent: agent.name.clone(),
            about,
            method: MergeMethod::Merge,
            remove: false,
            stage: Stage::Forecasting,
            scroll: Scroll::default(),
        }
    }

    /// Whether it waits for an answer about this agent.
    pub(in crate::tui) fn is_of(&self, agent: &str) -> bool {
        self.agent == agent && matches!(self.stage, Stage::Forecasting | Stage::Merging)
    }

    /// Whether it can be agreed to.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    /// What would happen.
    pub(in crate::tui) fn forecast(&mut self, answer: Result<Accepted, HandleError>) {
        self.stage = match answer {
            Ok(accepted) => Stage::Ready(told(&accepted)),
            Err(error) => failed("it cannot be merged", &error),
        };
    }

    /// How it went.
    pub(in crate::tui) fn done(&mut self, answer: Result<Accepted, HandleError>) {
        self.stage = match answer {
            Ok(accepted) => Stage::Done(told(&accepted)),
            Err(error) => failed("it was not merged", &error),
        };
    }
}

fn told(accepted: &Accepted) -> Vec<String> {
    text::block(&accepted.text).map(std::borrow::Cow::into_owned).collect()
}

fn failed(what: &str, error: &HandleError) -> Stage {
    let mut lines = Vec::new();
    match error {
        HandleError::Rejected(Rejected::Conflicts { message, files }) => {
            lines.extend(text::block(message).map(std::borrow::Cow::into_owned));
            lines.push("Files in conflict:".into());
            lines.extend(files.iter().map(|file| format!("  {}", text::clean(file))));
        }
        error => lines.push(failure(what, error)),
    }
    Stage::Failed(lines)
}

fn method(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    }
}

pub(super) fn act(mut merge: Merge, state: &mut State, action: Action) -> Vec<Effect> {
    let mut effects = Vec::new();
    match action {
        Action::Escape => return effects,
        Action::MergeMethod => {
            merge.method = match merge.method {
                MergeMethod::Merge => MergeMethod::Squash,
                MergeMethod::Squash => MergeMethod::Rebase,
                MergeMethod::Rebase => MergeMethod::Merge,
            };
        }
        Action::MergeRemove => merge.remove = !merge.remove,
        Action::Yes => {
            let request = Request::AgentMerge(Box::new(model::Merge {
                name: merge.agent.clone(),
                method: merge.method,
                remove: merge.remove,
                ..model::Merge::default()
            }));
            let what = format!("merging {}", merge.agent);
            effects = state.ask(request, what, Then::Merge(merge.agent.clone()));
            if !effects.is_empty() {
                merge.stage = Stage::Merging;
            }
        }
        action => {
            merge.scroll.act(action, usize::MAX / 2, 1);
        }
    }
    state.popup = Some(Popup::Merge(merge));
    effects
}

pub(super) fn draw(merge: &Merge, state: &State, area: Rect, frame: &mut Frame<'_>) {
    let inner = window(frame, state.theme, area, &format!("Merge {}", merge.agent));
    let columns = usize::from(inner.width);
    let mut lines: Vec<(Tone, &str)> = Vec::new();
    lines.extend(merge.about.iter().map(|line| (Tone::Plain, line.as_str())));
    lines.push((Tone::Plain, ""));
    let options = format!(
        "m method: {}    x remove {} afterwards: {}",
        method(merge.method),
        merge.agent,
        if merge.remove { "yes" } else { "no" }
    );
    match &merge.stage {
        Stage::Forecasting => lines.push((Tone::Faint, "looking ahead…")),
        Stage::Ready(told) => {
            if told.is_empty() {
                lines.push((Tone::Good, "It merges without conflicts."));
            }
            lines.extend(told.iter().map(|line| (Tone::Plain, line.as_str())));
            lines.push((Tone::Plain, ""));
            lines.push((Tone::Plain, &options));
            lines.push((Tone::Strong, "enter merge    esc cancel"));
        }
        Stage::Merging => lines.push((Tone::Busy, "merging…")),
        Stage::Done(told) => {
            lines.push((Tone::Good, "It is merged."));
            lines.extend(told.iter().map(|line| (Tone::Plain, line.as_str())));
        }
        Stage::Failed(told) => lines.extend(told.iter().map(|line| (Tone::Bad, line.as_str()))),
    }
    let rows: Vec<Line<'_>> = lines
        .into_iter()
        .flat_map(|(tone, line)| {
            let style = state.theme.style(tone);
            text::wrap(line, columns)
                .into_iter()
                .map(move |row| Line::styled(line.get(row).unwrap_or_default(), style))
        })
        .collect();
    let top = merge.scroll.top(rows.len(), usize::from(inner.height));
    frame.render_widget(Paragraph::new(rows.into_iter().skip(top).collect::<Vec<_>>()), inner);
}
