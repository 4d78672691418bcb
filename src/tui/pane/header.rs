//! The first line: which project, on which engine, how much of what, and whether all of it is so.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::model::{AgentState, ConditionStatus, Snapshot, TaskState};
use crate::tui::rows;
use crate::tui::state::State;
use crate::tui::text;
use crate::tui::theme::Tone;

pub(in crate::tui) fn header(state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    let width = usize::from(area.width);
    let mut parts: Vec<(String, Tone)> = Vec::new();
    let project = snapshot.path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/");
    parts.push((text::clean(project).into_owned(), Tone::Strong));
    if let Some(reason) = rows::stale(state, snapshot) {
        parts.push((format!("STALE: {}", text::clean(&reason.replace('\n', " "))), Tone::Bad));
    } else if snapshot.observed_at.is_none() {
        parts.push(("looking at the engine…".into(), Tone::Busy));
    }
    let config = snapshot
        .conditions
        .iter()
        .find(|condition| condition.kind == "ConfigValid" && condition.status == ConditionStatus::False);
    if let Some(config) = config {
        parts.push((format!("tanuki.yaml: {}", text::clean(&config.message.replace('\n', " "))), Tone::Bad));
    }
    let working = snapshot.agents.values().filter(|agent| agent.state == AgentState::Working).count();
    parts.push((format!("{working}/{} agents working", snapshot.agents.len()), Tone::Plain));
    let waiting = snapshot.agents.values().filter(|agent| agent.waiting.is_some()).count();
    if waiting > 0 {
        parts.push((format!("{waiting} wait for you"), Tone::Warning));
    }
    if !snapshot.tasks.is_empty() {
        let in_state = |wanted| snapshot.tasks.values().filter(|task| task.state == wanted).count();
        let (done, failed) = (in_state(TaskState::Complete), in_state(TaskState::Failed));
        parts.push((format!("{done}/{} tasks done", snapshot.tasks.len()), Tone::Plain));
        if failed > 0 {
            parts.push((format!("{failed} failed"), Tone::Bad));
        }
    }
    if !snapshot.services.is_empty() {
        let ready = snapshot.services.values().filter(|service| service.is_ready()).count();
        parts.push((format!("{ready}/{} services healthy", snapshot.services.len()), Tone::Plain));
    }
    if !snapshot.work.conflicts.is_empty() {
        parts.push((format!("{} conflicts ahead", snapshot.work.conflicts.len()), Tone::Warning));
    }
    let engine = &snapshot.engine;
    let rootless = if engine.rootless { " rootless" } else { "" };
    let version = if engine.version.is_empty() { String::new() } else { format!(" {}", engine.version) };
    parts.push((text::clean(&format!("{}{version}{rootless}", engine.kind)).into_owned(), Tone::Faint));
    let up = text::age(state.now.since(snapshot.controller.started_at));
    parts.push((format!("controller {} up {up}", snapshot.controller.version), Tone::Faint));

    let mut spans = Vec::new();
    let mut used = 0;
    for (part, tone) in parts {
        let gap = if spans.is_empty() { "" } else { " · " };
        let room = width.saturating_sub(used + text::width(gap));
        // What is wrong is worth being cut; what is only useful is left out where it does not fit.
        let fitted = if matches!(tone, Tone::Bad | Tone::Strong) {
            text::fit(&part, room)
        } else {
            part.as_str().into()
        };
        if text::width(&fitted) > room || room == 0 {
            continue;
        }
        used += text::width(gap) + text::width(&fitted);
        spans.push(Span::styled(gap, state.theme.style(Tone::Faint)));
        spans.push(Span::styled(fitted.into_owned(), state.theme.style(tone)));
    }
    frame.render_widget(Line::from(spans), area);
}
