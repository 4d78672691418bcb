//! Agents: what each is doing, for which task, and what should be looked at.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Row, heading, list, list_title, nothing};
use crate::model::{AgentState, AgentStatus, RunState, Snapshot};
use crate::tui::layout::body;
use crate::tui::rows;
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;

/// Most columns of a name.
const NAME: usize = 24;

/// Columns of the longest status in its brackets.
const STATUS: usize = 10;

pub(super) fn draw(state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    let agents = rows::agents(state, snapshot);
    let title = list_title(state, Pane::Agents, agents.len(), snapshot.agents.len(), &state.agents.filter);
    heading(state, Pane::Agents, area, title, "", frame);
    let body = body(area);
    if agents.is_empty() {
        let says = if snapshot.agents.is_empty() {
            "no agents yet: `tanuki spawn NAME` makes one"
        } else {
            "no agent passes the filter; esc takes it away"
        };
        return nothing(state, body, says, frame);
    }
    let width = usize::from(body.width);
    let longest = agents.iter().map(|agent| agent.name.len()).max().unwrap_or(0);
    let name = longest.clamp(4, NAME).min(width.saturating_sub(STATUS + 6).max(4));
    let rows = agents.iter().skip(state.agents.top).map(|agent| row(state, agent, name, width));
    list(state, Pane::Agents, body, state.agents.selected.as_deref(), rows, frame);
}

fn row(state: &State, agent: &AgentStatus, name: usize, width: usize) -> Row {
    let (icon, tone) = icon(agent);
    let status = format!("[{}]", agent.state);
    let mut spans = vec![
        Span::styled(icon, state.theme.style(tone)),
        Span::raw(" "),
        Span::raw(text::column(&agent.name, name)),
        Span::raw("  "),
        Span::styled(text::column(&status, STATUS.max(status.len())), state.theme.style(tone)),
    ];
    let mut left = width.saturating_sub(2 + 2 + name + 2 + STATUS.max(status.len()));
    for (at, (text, tone)) in notes(state, agent).into_iter().enumerate() {
        // What is said first is worth being cut; of the rest, what does not fit is left out.
        if left < 4 || (at > 0 && text::width(&text) >= left) {
            continue;
        }
        let fitted = text::fit(&text, left - 1).into_owned();
        left = left.saturating_sub(text::width(&fitted) + 1);
        spans.push(Span::raw(" "));
        spans.push(Span::styled(fitted, state.theme.style(tone)));
    }
    Row { name: agent.name.clone(), spans }
}

fn icon(agent: &AgentStatus) -> (&'static str, Tone) {
    match agent.state {
        AgentState::Working if agent.waiting.is_some() => ("●", Tone::Warning),
        AgentState::Working => ("●", Tone::Good),
        AgentState::Idle => ("○", Tone::Plain),
        AgentState::Stopped => ("○", Tone::Faint),
        AgentState::Creating | AgentState::Removing => ("◌", Tone::Busy),
        AgentState::Error | AgentState::Lost => ("✗", Tone::Bad),
        AgentState::Unknown => ("?", Tone::Warning),
    }
}

/// What is said behind the status, the most important first.
fn notes(state: &State, agent: &AgentStatus) -> Vec<(String, Tone)> {
    let mut notes = Vec::new();
    let clean = |text: &str| text::clean(text).into_owned();
    if let Some(task) = &agent.task {
        notes.push((format!("→ {}", clean(task)), Tone::Plain));
    } else if let Some(run) = &agent.run {
        notes.push((format!("→ {}", clean(&run.title)), Tone::Plain));
    }
    if let Some(waiting) = &agent.waiting {
        notes.push((format!("waits: {}", clean(waiting)), Tone::Warning));
    }
    if matches!(agent.state, AgentState::Error | AgentState::Lost | AgentState::Unknown) {
        notes.push((clean(&agent.message), Tone::Warning));
    }
    if let Some(run) = &agent.run {
        if run.state == RunState::Queued {
            notes.push(("queued".into(), Tone::Faint));
        } else if let Some(started) = run.started_at {
            notes.push((text::age(state.now.since(started)), Tone::Faint));
        }
        if run.max_iterations > 1 {
            notes.push((format!("{}/{}", run.iteration, run.max_iterations), Tone::Faint));
        }
    } else if let Some(failure) = agent.last_run.as_ref().and_then(|run| run.failure) {
        notes.push((format!("last run failed: {failure}"), Tone::Bad));
    }
    let mut work = String::new();
    if let Some(ahead) = agent.ahead.filter(|ahead| *ahead > 0) {
        work.push_str(&format!("↑{ahead}"));
    }
    if let Some(behind) = agent.behind.filter(|behind| *behind > 0) {
        work.push_str(&format!("↓{behind}"));
    }
    if agent.dirty == Some(true) {
        work.push('*');
    }
    if !work.is_empty() {
        notes.push((work, Tone::Busy));
    }
    if agent.stale_environment {
        notes.push(("old environment".into(), Tone::Warning));
    }
    if !agent.out_of_date.is_empty() {
        notes.push(("out of date".into(), Tone::Warning));
    }
    notes
}
