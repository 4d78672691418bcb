//! What of the snapshot is in which list.

use super::state::{Pane, State};
use super::text;
use crate::model::{AgentStatus, ConditionStatus, ServiceStatus, Snapshot, TaskStatus};

/// Agents that pass the filter, by name.
pub(super) fn agents<'a>(state: &State, snapshot: &'a Snapshot) -> Vec<&'a AgentStatus> {
    let filter = &state.agents.filter;
    let passes = |agent: &&AgentStatus| {
        text::contains(&agent.name, filter)
            || text::contains(&agent.state.to_string(), filter)
            || agent.role.as_deref().is_some_and(|role| text::contains(role, filter))
            || agent.task.as_deref().is_some_and(|task| text::contains(task, filter))
    };
    snapshot.agents.values().filter(passes).collect()
}

/// Tasks that pass all filters, by id.
pub(super) fn tasks<'a>(state: &State, snapshot: &'a Snapshot) -> Vec<&'a TaskStatus> {
    let filter = &state.tasks.filter;
    let passes = |task: &&TaskStatus| {
        state.status_filter.is_none_or(|wanted| task.state == wanted)
            && state.role_filter.as_ref().is_none_or(|wanted| task.role.as_ref() == Some(wanted))
            && (text::contains(&task.id, filter)
                || text::contains(&task.title, filter)
                || task.assigned_to.as_deref().is_some_and(|agent| text::contains(agent, filter)))
    };
    snapshot.tasks.values().map(AsRef::as_ref).filter(passes).collect()
}

/// Services that pass the filter, by name.
pub(super) fn services<'a>(state: &State, snapshot: &'a Snapshot) -> Vec<&'a ServiceStatus> {
    let filter = &state.services.filter;
    snapshot.services.values().filter(|service| text::contains(&service.name, filter)).collect()
}

/// Names in the list of a pane.
pub(super) fn names<'a>(state: &State, snapshot: &'a Snapshot, pane: Pane) -> Vec<&'a str> {
    match pane {
        Pane::Agents => agents(state, snapshot).iter().map(|agent| agent.name.as_str()).collect(),
        Pane::Tasks => tasks(state, snapshot).iter().map(|task| task.id.as_str()).collect(),
        Pane::Services => services(state, snapshot).iter().map(|service| service.name.as_str()).collect(),
        Pane::Logs => Vec::new(),
    }
}

/// The selected agent.
pub(super) fn agent<'a>(state: &State, snapshot: &'a Snapshot) -> Option<&'a AgentStatus> {
    snapshot.agents.get(state.selected(Pane::Agents)?)
}

/// The selected task.
pub(super) fn task<'a>(state: &State, snapshot: &'a Snapshot) -> Option<&'a TaskStatus> {
    snapshot.tasks.get(state.selected(Pane::Tasks)?).map(AsRef::as_ref)
}

/// The selected service.
pub(super) fn service<'a>(state: &State, snapshot: &'a Snapshot) -> Option<&'a ServiceStatus> {
    snapshot.services.get(state.selected(Pane::Services)?)
}

/// Why what is on the screen may not be so any more, for people.
pub(super) fn stale(state: &State, snapshot: &Snapshot) -> Option<String> {
    if let Some(reason) = &state.gone {
        return Some(format!("no controller: {reason}"));
    }
    let engine = snapshot.conditions.iter().find(|condition| condition.kind == "EngineAvailable")?;
    (engine.status == ConditionStatus::False).then(|| format!("no engine: {}", engine.message))
}
