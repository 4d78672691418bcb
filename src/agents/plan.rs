//! What a pass over an agent does, and where the agent is. Pure.
//!
//! Agents never lose work to convergence: nothing here removes a workspace or a branch unless a removal was journaled
//! (after its work was saved) or a creation was never finished. What was removed by hand is shown as lost; what
//! differs from the configuration is shown as out of date, and made anew only when a person asks for a restart.

use std::collections::BTreeMap;

use crate::model::{AgentState, ContainerPhase, Desired, ObservedContainer};

/// Why an agent is taken away again whose creation nobody finished.
pub const UNFINISHED: &str = "its creation was not finished";

/// How far an agent is, as the journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// A creation that nobody goes on with.
    Unfinished,
    /// There.
    Made,
    /// Its work is saved, and it is to go.
    Removing,
}

/// What an agent should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How far it is.
    pub journal: Journal,
    /// What was asked for last.
    pub desired: Desired,
    /// A person asked for it now: what is out of date or gone may be made anew.
    pub renew: bool,
    /// Stop and start it again.
    pub restart: bool,
    /// Name of its container.
    pub container: String,
    /// The project's network.
    pub network: String,
    /// Further networks.
    pub join: Vec<String>,
    /// Digests by field of what its container would be made from now.
    pub fields: BTreeMap<String, String>,
    /// Whether it had a container that nobody here removed.
    pub had_container: bool,
    /// Milliseconds that its processes have to end.
    pub grace_ms: u64,
}

/// What a pass knows of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its container.
    pub container: Option<&'a ObservedContainer>,
    /// Other containers that are labelled as its own.
    pub surplus: &'a [ObservedContainer],
    /// Its workspace is there.
    pub workspace: bool,
    /// A run is under way.
    pub working: bool,
    /// The last step that failed, until one succeeds or a person asks anew.
    pub failure: Option<&'a str>,
}

/// One step, decided in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why.
    pub cause: String,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the project's network.
    EnsureNetwork,
    /// Make the agent's container.
    Create,
    /// Start the agent's container.
    Start,
    /// Stop a container.
    Stop {
        /// Its id.
        id: String,
    },
    /// Remove a stopped container.
    Remove {
        /// Its id.
        id: String,
    },
    /// Remove the workspace, whose work is saved or was never begun.
    RemoveWorkspace,
    /// Remove the branch: of a removed agent after its rescue ref exists, of an unfinished one if nothing was added.
    RemoveBranch,
    /// Remove the agent's home, with its credentials, and the output of its runs.
    RemoveState,
    /// Write down that it is gone.
    Finish,
}

/// What a pass over an agent comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In order; empty when nothing is to be done.
    pub steps: Vec<Step>,
    /// Where the agent is meanwhile, or for good when there are no steps.
    pub state: AgentState,
    /// Why, as one CamelCase word.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
    /// Fields in which its container differs from the configuration.
    pub out_of_date: Vec<String>,
    /// Look again soon: the engine is on the way.
    pub recheck: bool,
}

/// The plan.
pub fn plan(wanted: &Wanted, seen: &Seen<'_>) -> Plan {
    match wanted.journal {
        Journal::Unfinished => {
            return dismantle(seen, UNFINISHED, "RollingBack");
        }
        Journal::Removing => return dismantle(seen, "it is removed", "Removing"),
        Journal::Made => {}
    }
    if !seen.surplus.is_empty() {
        let cause = "another container is this agent's already";
        let steps = seen.surplus.iter().flat_map(|container| removal(container, cause)).collect();
        return Plan { steps, ..settled(AgentState::Idle, "Surplus", cause.to_owned()) };
    }
    let mut plan = match wanted.desired {
        Desired::Running => running(wanted, seen),
        Desired::Stopped => stopped(wanted, seen),
        Desired::Absent => absent(seen),
    };
    plan.out_of_date = out_of_date(wanted, seen);
    plan
}

/// Fields in which the container differs from what it would be made from now.
fn out_of_date(wanted: &Wanted, seen: &Seen<'_>) -> Vec<String> {
    let Some(container) = seen.container else { return Vec::new() };
    let (old, new) = (&container.spec_fields, &wanted.fields);
    let mut fields: Vec<String> =
        old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
    if std::iter::once(&wanted.network).chain(&wanted.join).any(|name| !container.networks.contains(name)) {
        fields.push("network".to_owned());
    }
    fields.sort();
    fields.dedup();
    fields
}

fn running(wanted: &Wanted, seen: &Seen<'_>) -> Plan {
    if !seen.workspace {
        return settled(
            AgentState::Lost,
            "WorkspaceGone",
            "its workspace is gone; what was collected is on its branch".to_owned(),
        );
    }
    let Some(container) = seen.container else {
        if wanted.had_container && !wanted.renew {
            return settled(
                AgentState::Lost,
                "ContainerGone",
                "its container was removed by hand".to_owned(),
            );
        }
        return failed(seen).unwrap_or_else(|| creation(Vec::new(), "it has no container"));
    };
    let differs = out_of_date(wanted, seen);
    if container.phase == ContainerPhase::Dead || (wanted.restart && !differs.is_empty()) {
        if container.phase == ContainerPhase::Dead && !wanted.renew {
            return settled(AgentState::Error, "Dead", "the engine cannot use its container".to_owned());
        }
        let cause = match differs.is_empty() {
            true => "the engine cannot use its container".to_owned(),
            false => format!("changed: {}", differs.join(", ")),
        };
        return creation(removal(container, &cause), &cause);
    }
    match container.phase {
        ContainerPhase::Changing => Plan {
            recheck: true,
            ..settled(AgentState::Idle, "Changing", "the engine is changing its state".to_owned())
        },
        ContainerPhase::Paused => settled(
            AgentState::Stopped,
            "Paused",
            "it was paused by hand; unpause it with the engine".to_owned(),
        ),
        ContainerPhase::Running if wanted.restart => {
            let cause = "a restart was asked for";
            let steps =
                vec![step(Action::Stop { id: container.id.clone() }, cause), step(Action::Start, cause)];
            Plan { steps, ..settled(AgentState::Idle, "Restarting", cause.to_owned()) }
        }
        ContainerPhase::Running if seen.working => settled(AgentState::Working, "RunUnderWay", String::new()),
        ContainerPhase::Running => settled(AgentState::Idle, "Ready", String::new()),
        ContainerPhase::Created | ContainerPhase::Exited | ContainerPhase::Dead => {
            let cause = match container.exit_code {
                _ if wanted.renew => "it was asked for".to_owned(),
                Some(code) if container.oom_killed => format!("it ran out of memory (exit code {code})"),
                Some(code) => format!("it ended with exit code {code}"),
                None => "it does not run".to_owned(),
            };
            failed(seen).unwrap_or_else(|| Plan {
                steps: vec![step(Action::Start, &cause)],
                ..settled(AgentState::Idle, "Starting", cause)
            })
        }
    }
}

/// What failed before is not tried again by itself: a person is told, and asks anew.
fn failed(seen: &Seen<'_>) -> Option<Plan> {
    let failure = seen.failure?;
    Some(settled(AgentState::Error, "StartFailed", failure.to_owned()))
}

fn stopped(wanted: &Wanted, seen: &Seen<'_>) -> Plan {
    match seen.container {
        Some(container) if container.phase == ContainerPhase::Changing => Plan {
            recheck: true,
            ..settled(AgentState::Stopped, "Stopping", "the engine is changing its state".to_owned())
        },
        Some(container) if is_live(container) => {
            let cause = "it is not wanted running";
            let steps = vec![step(Action::Stop { id: container.id.clone() }, cause)];
            Plan { steps, ..settled(AgentState::Stopped, "Stopping", cause.to_owned()) }
        }
        _ if !seen.workspace => settled(
            AgentState::Lost,
            "WorkspaceGone",
            "its workspace is gone; what was collected is on its branch".to_owned(),
        ),
        None if wanted.had_container => {
            settled(AgentState::Lost, "ContainerGone", "its container was removed by hand".to_owned())
        }
        _ => settled(AgentState::Stopped, "Stopped", String::new()),
    }
}

fn absent(seen: &Seen<'_>) -> Plan {
    let cause = "nothing of the project is wanted";
    match seen.container {
        Some(container) => Plan {
            steps: removal(container, cause),
            ..settled(AgentState::Stopped, "Down", cause.to_owned())
        },
        None if !seen.workspace => settled(
            AgentState::Lost,
            "WorkspaceGone",
            "its workspace is gone; what was collected is on its branch".to_owned(),
        ),
        None => settled(AgentState::Stopped, "Down", String::new()),
    }
}

/// Takes everything of an agent away, containers first: nothing may write to what goes after.
fn dismantle(seen: &Seen<'_>, cause: &str, reason: &'static str) -> Plan {
    let mut steps: Vec<Step> = seen
        .container
        .into_iter()
        .chain(seen.surplus)
        .flat_map(|container| removal(container, cause))
        .collect();
    for action in [Action::RemoveBranch, Action::RemoveWorkspace, Action::RemoveState, Action::Finish] {
        steps.push(step(action, cause));
    }
    Plan { steps, ..settled(AgentState::Removing, reason, cause.to_owned()) }
}

fn creation(mut steps: Vec<Step>, cause: &str) -> Plan {
    steps.push(step(Action::EnsureNetwork, cause));
    steps.push(step(Action::Create, cause));
    steps.push(step(Action::Start, "it is wanted running"));
    Plan { steps, ..settled(AgentState::Idle, "Creating", cause.to_owned()) }
}

fn removal(container: &ObservedContainer, cause: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if is_live(container) {
        steps.push(step(Action::Stop { id: container.id.clone() }, cause));
    }
    steps.push(step(Action::Remove { id: container.id.clone() }, cause));
    steps
}

fn is_live(container: &ObservedContainer) -> bool {
    matches!(container.phase, ContainerPhase::Running | ContainerPhase::Paused | ContainerPhase::Changing)
}

fn step(action: Action, cause: &str) -> Step {
    Step { action, cause: cause.to_owned() }
}

fn settled(state: AgentState, reason: &'static str, message: String) -> Plan {
    Plan { steps: Vec::new(), state, reason, message, out_of_date: Vec::new(), recheck: false }
}
