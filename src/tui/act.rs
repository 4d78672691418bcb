//! What the keys of the panes do.

use super::editor::Editor;
use super::event::{Aside, Effect};
use super::keys::Action;
use super::logs::Source;
use super::pane;
use super::popup::{Assign, Confirm, Details, Diff, Merge, Palette, Popup, Prompt, Scroll};
use super::rows;
use super::state::{List, Pane, State, Then, Typing};
use super::theme::Tone;
use super::update::shape;
use crate::model::{Credentials, Request, Snapshot, TaskState};

/// The list of a pane.
pub(super) fn list(state: &mut State, pane: Pane) -> Option<&mut List> {
    match pane {
        Pane::Agents => Some(&mut state.agents),
        Pane::Tasks => Some(&mut state.tasks),
        Pane::Services => Some(&mut state.services),
        Pane::Logs => None,
    }
}

/// Does what a key or the palette asks for.
pub(super) fn act(state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Repaint],
        Action::Help => state.popup = Some(Popup::Help(Scroll::default())),
        Action::History => state.popup = Some(Popup::History(Scroll::end())),
        Action::Palette => state.popup = Some(Popup::Palette(Palette::default())),
        Action::Focus(pane) => state.focus = pane,
        Action::NextPane => state.focus = state.focus.neighbour(true),
        Action::PreviousPane => state.focus = state.focus.neighbour(false),
        Action::Zoom => state.zoomed = !state.zoomed,
        Action::Up
        | Action::Down
        | Action::PageUp
        | Action::PageDown
        | Action::First
        | Action::Last
        | Action::Left
        | Action::Right => travel(state, snapshot, action),
        Action::Filter => {
            let before = filter(state).to_owned();
            state.typing = Some(Typing { pane: state.focus, editor: Editor::new(&before), before });
        }
        Action::Escape => escape(state),
        Action::Details => {
            let subject = match state.focus {
                Pane::Agents => state.agents.selected.clone().map(Details::agent),
                Pane::Tasks => state.tasks.selected.clone().map(Details::task),
                Pane::Services => state.services.selected.clone().map(Details::service),
                Pane::Logs => None,
            };
            state.popup = subject.map(Popup::Details);
        }
        Action::AgentStop
        | Action::AgentStart
        | Action::AgentRestart
        | Action::Attach
        | Action::AttachCli
        | Action::Run
        | Action::RunStop
        | Action::Diff
        | Action::Merge
        | Action::Remove
        | Action::Undo => return on_agent(state, snapshot, action),
        Action::StatusFilter | Action::RoleFilter => filter_tasks(state, snapshot, action),
        Action::Assign | Action::Retry | Action::Approve | Action::TaskLogs => {
            return on_task(state, snapshot, action);
        }
        Action::ServiceStart | Action::ServiceStop | Action::ServiceRestart | Action::Connect => {
            return on_service(state, snapshot, action);
        }
        Action::Follow
        | Action::Pause
        | Action::Timestamps
        | Action::Wrap
        | Action::SearchNext
        | Action::SearchPrevious
        | Action::Save
        | Action::Copy
        | Action::Clear
        | Action::NextSource
        | Action::PreviousSource => return on_logs(state, snapshot, action),
        Action::ProjectStart => {
            let request = Request::ProjectStart {
                projects: Vec::new(),
                merge: false,
                dry_run: false,
                credentials: Credentials::default(),
            };
            return state.ask(request, "starting the project", Then::Tell("tasks are handed out".into()));
        }
        Action::ProjectStop => {
            let request = Request::ProjectStop {};
            return state.ask(
                request,
                "stopping the project",
                Then::Tell("no more tasks are handed out".into()),
            );
        }
        Action::ProjectResume => {
            let request = Request::ProjectResume { credentials: Credentials::default() };
            return state.ask(
                request,
                "resuming the project",
                Then::Tell("tasks are handed out again".into()),
            );
        }
        Action::Accept
        | Action::Yes
        | Action::Force
        | Action::MergeMethod
        | Action::MergeRemove
        | Action::PromptResume
        | Action::NewLine
        | Action::NextFile
        | Action::PreviousFile => {}
    }
    Vec::new()
}

fn travel(state: &mut State, snapshot: &Snapshot, action: Action) {
    let pane = state.focus;
    if pane == Pane::Logs {
        let shape = shape(state, snapshot);
        let page = isize::try_from(shape.rows.saturating_sub(1).max(1)).unwrap_or(1);
        let Some(log) = state.logs.current_mut() else { return };
        match action {
            Action::Up => log.view.scroll(&log.buffer, shape, -1),
            Action::Down => log.view.scroll(&log.buffer, shape, 1),
            Action::PageUp => log.view.scroll(&log.buffer, shape, -page),
            Action::PageDown => log.view.scroll(&log.buffer, shape, page),
            Action::First => log.view.start(&log.buffer),
            Action::Last => log.view.follow(),
            Action::Left => log.view.left = log.view.left.saturating_sub(8),
            Action::Right if !shape.wrap => log.view.left = (log.view.left + 8).min(1 << 15),
            _ => {}
        }
        return;
    }
    let page = pane::page(state, snapshot, pane);
    let by = match action {
        Action::Up => -1,
        Action::Down => 1,
        Action::PageUp => -page,
        Action::PageDown => page,
        Action::First => isize::MIN / 2,
        Action::Last => isize::MAX / 2,
        _ => return,
    };
    let names = rows::names(state, snapshot, pane);
    if let Some(list) = list(state, pane) {
        list.move_by(&names, by);
    }
}

fn filter(state: &State) -> &str {
    match state.focus {
        Pane::Agents => &state.agents.filter,
        Pane::Tasks => &state.tasks.filter,
        Pane::Services => &state.services.filter,
        Pane::Logs => state.logs.current().map_or("", |log| log.buffer.needle()),
    }
}

/// Filters a list, or searches in what is shown.
pub(super) fn set_filter(state: &mut State, pane: Pane, text: &str) {
    if let Some(list) = list(state, pane) {
        text.clone_into(&mut list.filter);
    } else if let Some(log) = state.logs.current_mut() {
        log.buffer.search(text);
        log.view.hit = None;
    }
}

/// A filter or a search is kept as it was typed.
pub(super) fn typed(state: &mut State, snapshot: &Snapshot, pane: Pane) {
    let shape = shape(state, snapshot);
    let Some(log) = state.logs.current_mut().filter(|_| pane == Pane::Logs) else { return };
    let (needle, found) = (log.buffer.needle().to_owned(), log.buffer.found());
    if needle.is_empty() {
        return;
    }
    if found == 0 {
        state.say(Tone::Warning, format!("'{needle}' is nowhere in this output"));
    } else {
        // The newest place is the nearest where the end is followed; else the next one.
        let backward = log.view.follows();
        log.view.search(&log.buffer, shape, backward);
    }
}

fn escape(state: &mut State) {
    let pane = state.focus;
    set_filter(state, pane, "");
    if pane == Pane::Tasks {
        state.status_filter = None;
        state.role_filter = None;
    }
    state.message = None;
}

fn on_agent(state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let Some(agent) = rows::agent(state, snapshot) else {
        state.say(Tone::Warning, "no agent is selected; `tanuki spawn` makes one");
        return Vec::new();
    };
    let name = agent.name.clone();
    let names = vec![name.clone()];
    match action {
        Action::AgentStart => {
            let done = Then::Tell(format!("{name} is started"));
            return state.ask(Request::AgentStart { names }, format!("starting {name}"), done);
        }
        Action::AgentStop => {
            let mut lines = vec![format!("Stop {name}? Its workspace and branch stay.")];
            lines.extend(agent.run.as_ref().map(|run| format!("Its run {} is ended.", run.id)));
            let done = Then::Tell(format!("{name} is stopped"));
            state.popup = Confirm::ask(lines, Request::AgentStop { names }, format!("stopping {name}"), done);
        }
        Action::AgentRestart => {
            let mut lines = vec![format!("Restart {name}? Its workspace and branch stay.")];
            lines.extend(agent.run.as_ref().map(|run| format!("Its run {} is ended.", run.id)));
            let done = Then::Tell(format!("{name} is restarted"));
            state.popup =
                Confirm::ask(lines, Request::AgentRestart { names }, format!("restarting {name}"), done);
        }
        Action::RunStop => match &agent.run {
            Some(run) => {
                let lines = vec![format!("End run {} of {name}? What it changed stays.", run.id)];
                let done = Then::Tell(format!("the run of {name} is ended"));
                let request = Request::RunStop { agent: name.clone() };
                state.popup = Confirm::ask(lines, request, format!("ending the run of {name}"), done);
            }
            None => state.say(Tone::Warning, format!("{name} has no run under way")),
        },
        Action::Remove => state.popup = Some(Popup::Confirm(Confirm::removal(agent))),
        Action::Undo => {
            let done = Then::Tell(format!("what {name} had is restored"));
            return state.ask(Request::AgentUndo { name: name.clone() }, format!("restoring {name}"), done);
        }
        Action::Attach | Action::AttachCli => {
            let agent_cli = action == Action::AttachCli;
            return vec![Effect::Aside(Aside::Attach { agent: name, agent_cli })];
        }
        Action::Run => state.popup = Some(Popup::Prompt(Prompt::new(name))),
        Action::Diff => {
            let request = Request::AgentDiff {
                name: name.clone(),
                base: None,
                format: crate::model::DiffFormat::Patch,
            };
            let effects = state.ask(request, format!("comparing {name}"), Then::Diff(name.clone()));
            if !effects.is_empty() {
                state.popup = Some(Popup::Diff(Diff::new(name)));
            }
            return effects;
        }
        Action::Merge => {
            let request = Request::MergeForecast { name: name.clone() };
            let effects =
                state.ask(request, format!("looking ahead for {name}"), Then::Forecast(name.clone()));
            if !effects.is_empty() {
                state.popup = Some(Popup::Merge(Merge::new(agent)));
            }
            return effects;
        }
        _ => {}
    }
    Vec::new()
}

fn filter_tasks(state: &mut State, snapshot: &Snapshot, action: Action) {
    if action == Action::StatusFilter {
        let at = state.status_filter.and_then(|now| TaskState::ALL.iter().position(|state| *state == now));
        state.status_filter = TaskState::ALL.get(at.map_or(0, |at| at + 1)).copied();
        return;
    }
    let mut roles: Vec<&String> = snapshot.tasks.values().filter_map(|task| task.role.as_ref()).collect();
    roles.sort();
    roles.dedup();
    let at = state.role_filter.as_ref().and_then(|now| roles.iter().position(|role| *role == now));
    let next = match (&state.role_filter, at) {
        (None, _) => roles.first(),
        (Some(_), Some(at)) => roles.get(at + 1),
        (Some(_), None) => None,
    };
    state.role_filter = next.map(|role| (*role).clone());
}

fn on_task(state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let Some(task) = rows::task(state, snapshot) else {
        state.say(Tone::Warning, "no task is selected");
        return Vec::new();
    };
    let id = task.id.clone();
    match action {
        Action::Assign => state.popup = Some(Popup::Assign(Assign::new(task))),
        Action::Retry => {
            let done = Then::Tell(format!("{id} is tried again"));
            return state.ask(Request::TaskRetry { task: id.clone() }, format!("retrying {id}"), done);
        }
        Action::Approve => {
            let done = Then::Tell(format!("{id} is approved"));
            return state.ask(Request::TaskApprove { task: id.clone() }, format!("approving {id}"), done);
        }
        Action::TaskLogs => match &task.assigned_to {
            Some(agent) => {
                state.agents.selected = Some(agent.clone());
                state.logs.shown = Some(Source::Agent(agent.clone()));
                state.focus = Pane::Logs;
            }
            None => state.say(Tone::Warning, format!("nobody has {id}")),
        },
        _ => {}
    }
    Vec::new()
}

fn on_service(state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let Some(service) = rows::service(state, snapshot) else {
        state.say(Tone::Warning, "no service is selected; tanuki.yaml says which there are");
        return Vec::new();
    };
    let name = service.name.clone();
    let names = vec![name.clone()];
    match action {
        Action::ServiceStart => {
            let done = Then::Tell(format!("{name} is wanted running"));
            return state.ask(Request::ServiceStart { names }, format!("starting {name}"), done);
        }
        Action::ServiceStop => {
            let lines = vec![format!("Stop {name}? Agents lose it; its data stays.")];
            let done = Then::Tell(format!("{name} is wanted stopped"));
            state.popup =
                Confirm::ask(lines, Request::ServiceStop { names }, format!("stopping {name}"), done);
        }
        Action::ServiceRestart => {
            let lines = vec![format!("Restart {name}? Agents lose it for a moment; its data stays.")];
            let done = Then::Tell(format!("{name} is restarted"));
            let request = Request::ServiceRestart { name: name.clone() };
            state.popup = Confirm::ask(lines, request, format!("restarting {name}"), done);
        }
        Action::Connect => return vec![Effect::Aside(Aside::Connect { service: name })],
        _ => {}
    }
    Vec::new()
}

fn on_logs(state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let shape = shape(state, snapshot);
    match action {
        Action::Timestamps => state.stamps = !state.stamps,
        Action::Wrap => state.wrap = !state.wrap,
        Action::NextSource => next_source(state, snapshot, true),
        Action::PreviousSource => next_source(state, snapshot, false),
        _ => {}
    }
    let name = state.logs.shown.as_ref().map(|source| source.name().to_owned()).unwrap_or_default();
    let Some(log) = state.logs.current_mut() else { return Vec::new() };
    match action {
        Action::Follow if log.view.follows() => log.view.stay(&log.buffer, shape),
        Action::Follow => log.view.follow(),
        Action::Pause => {
            log.view.held = if log.view.held.is_some() { None } else { Some(log.buffer.end()) };
        }
        Action::SearchNext => log.view.search(&log.buffer, shape, false),
        Action::SearchPrevious => log.view.search(&log.buffer, shape, true),
        Action::Clear => {
            log.buffer.clear();
            log.view.follow();
        }
        Action::Save => return vec![Effect::Save { name, text: pane::logs::whole(state) }],
        Action::Copy => {
            let text = pane::logs::seen(state, shape);
            let lines = text.lines().count();
            state.say(Tone::Good, format!("copied {lines} lines"));
            return vec![Effect::Copy(text)];
        }
        _ => {}
    }
    Vec::new()
}

/// Goes through agents and services, in their order.
fn next_source(state: &mut State, snapshot: &Snapshot, forward: bool) {
    let agents = snapshot.agents.keys().cloned().map(Source::Agent);
    let sources: Vec<Source> = agents.chain(snapshot.services.keys().cloned().map(Source::Service)).collect();
    if sources.is_empty() {
        return;
    }
    let at = state.logs.shown.as_ref().and_then(|shown| sources.iter().position(|source| source == shown));
    let next = match (at, forward) {
        (None, _) => 0,
        (Some(at), true) => at + 1,
        (Some(at), false) => at + sources.len() - 1,
    };
    let source = sources.get(next % sources.len()).cloned();
    match &source {
        Some(Source::Agent(name)) => state.agents.selected = Some(name.clone()),
        Some(Source::Service(name)) => state.services.selected = Some(name.clone()),
        None => {}
    }
    state.logs.shown = source;
}
