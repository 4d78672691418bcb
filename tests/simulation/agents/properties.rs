//! What must hold of agents: at any time, and once nothing goes wrong any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tanuki::model::{AgentState, Desired, LabelKey, RunState};
use tanuki::store::{AgentRow, Stage};
use tanuki_runtimes::testing::FakeRuntime;
use tanuki_runtimes::{Container, ContainerState};

use super::action::AGENTS;
use super::git;
use super::inside::Inside;
use super::world::{Sim, owner};

/// Everything is listed every half minute, and what lists do not tell is asked for.
pub(crate) const CALLS_PER_IDLE_MINUTE: u64 = 6;

fn ours(engine: &FakeRuntime) -> Vec<Container> {
    let labels = owner().labels();
    engine.listing().containers.into_iter().filter(|container| container.labels.owned_by(&labels)).collect()
}

fn is_of(container: &Container, kind: &str, agent: &str) -> bool {
    container.labels.get(LabelKey::KIND) == Some(kind) && container.labels.get(LabelKey::NAME) == Some(agent)
}

/// What is there twice though it must not be.
pub(crate) fn twice(engine: &FakeRuntime, inside: &Inside) -> Vec<String> {
    let mut found = Vec::new();
    let containers = ours(engine);
    let at_work = inside.at_work(engine);
    for agent in AGENTS {
        let own: Vec<_> = containers.iter().filter(|container| is_of(container, "agent", agent)).collect();
        if own.len() > 1 {
            found.push(format!("{agent} has several containers: {own:#?}"));
        }
        let runs: Vec<_> = at_work.iter().filter(|(name, _)| name == agent).collect();
        if runs.len() > 1 {
            found.push(format!("{agent} has several runs at work: {runs:?}"));
        }
    }
    found
}

/// How the world and the published snapshot differ from what is wanted; empty when converged.
pub(crate) fn wrong(sim: &Sim) -> Vec<String> {
    let mut wrong = Vec::new();
    let containers = ours(&sim.engine);
    let rows: BTreeMap<String, AgentRow> = sim
        .store
        .agents()
        .unwrap()
        .into_iter()
        .filter(|row| row.stage != Stage::Removed)
        .map(|row| (row.spec.name.clone(), row))
        .collect();
    let snapshot = sim.snapshot();
    if snapshot.agents.keys().ne(rows.keys()) {
        wrong.push(format!(
            "the snapshot tells of {:?}, the store of {:?}",
            snapshot.agents.keys(),
            rows.keys()
        ));
    }
    for container in &containers {
        let name = container.labels.get(LabelKey::NAME).unwrap_or_default();
        if container.labels.get(LabelKey::KIND) != Some("agent") || !rows.contains_key(name) {
            wrong.push(format!("{} is nobody's", container.name));
        }
    }
    for directory in ["workspaces", "state/agents"] {
        for name in directories(&sim.root().join(".tanuki").join(directory)) {
            if !rows.contains_key(&name) && !sim.lost_store {
                wrong.push(format!("{directory}/{name} is nobody's"));
            }
        }
    }
    for reference in sim.git.repository().refs.keys() {
        let name = ["refs/heads/tanuki/", "refs/tanuki/base/", "refs/tanuki/fetched/"]
            .iter()
            .find_map(|prefix| reference.strip_prefix(prefix));
        if name.is_some_and(|name| !rows.contains_key(name)) && !sim.lost_store {
            wrong.push(format!("{reference} is nobody's"));
        }
    }
    for (name, row) in &rows {
        let container = containers.iter().find(|container| is_of(container, "agent", name));
        let workspace = sim.inside.workspace(name).is_dir();
        let running = container.is_some_and(|container| container.state == ContainerState::Running);
        let Some(status) = snapshot.agents.get(name) else { continue };
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{name}: {what}; {container:?}; {row:?}; {status:#?}"));
            }
        };
        expect(row.stage == Stage::Made, "nobody finishes it");
        expect(status.desired == row.desired, "the snapshot tells another wish");
        expect(status.container_id.as_ref() == container.map(|container| &container.id), "its id is wrong");
        let branch = sim.git.repository().refs.contains_key(&format!("refs/heads/{}", row.spec.branch));
        expect(branch, "its branch is gone");
        let states: &[AgentState] = match (row.desired, workspace, container) {
            (Desired::Running, true, Some(_)) if running => &[AgentState::Idle],
            (Desired::Running, true, Some(_)) => &[AgentState::Error],
            (Desired::Running, true, None) => &[AgentState::Lost, AgentState::Error],
            (Desired::Stopped, true, None) => &[AgentState::Lost, AgentState::Stopped],
            (Desired::Stopped, true, Some(_)) => &[AgentState::Stopped],
            (Desired::Absent, true, None) => &[AgentState::Stopped],
            (Desired::Absent, _, Some(_)) => &[],
            (_, false, _) => &[AgentState::Lost],
        };
        expect(states.contains(&status.state), "its state is wrong");
        expect(row.desired == Desired::Running || !running, "it runs");
        expect(status.run.is_none(), "its run does not end");
    }
    if !sim.store.live_runs().unwrap().is_empty() {
        wrong.push(format!("runs do not end: {:#?}", sim.store.live_runs().unwrap()));
    }
    let at_work = sim.inside.at_work(&sim.engine);
    if !at_work.is_empty() {
        wrong.push(format!("processes are left of {at_work:?}"));
    }
    wrong
}

/// Rules that were broken at any time so far.
pub(crate) fn breaches(sim: &Sim) -> Vec<String> {
    let ours = owner().labels();
    let mut breaches = Vec::new();
    for write in sim.engine.writes().iter().chain(&sim.engine.execs()) {
        let creates = matches!(write.method, "create" | "ensure_network" | "ensure_volume");
        let is_ours = write.labels.owned_by(&ours);
        if write.method != "pull" && !is_ours && (write.existed && !creates || !write.existed && creates) {
            breaches.push(format!("touched what is not ours: {write:?}"));
        }
    }
    // No work is lost: it is in the workspace, or in what git keeps.
    for (agent, pieces) in &sim.precious {
        let mut there = sim.git.kept(agent);
        if let Some(workspace) = git::read(&sim.inside.workspace(agent)) {
            there.extend(workspace.work);
            let repository = sim.git.repository();
            let committed = repository.commits.get(&workspace.head);
            there.extend(committed.into_iter().flat_map(|commit| commit.pieces.iter().cloned()));
        }
        let lost: BTreeSet<_> = pieces.difference(&there).collect();
        if !lost.is_empty() {
            breaches.push(format!("work of {agent} is lost: {lost:?}"));
        }
    }
    // A run's result is recorded once, and as it was.
    let events = sim.store.events(10_000).unwrap();
    for run in sim.store.runs(None, 10_000).unwrap().iter().filter(|run| run.state.is_over()) {
        let is_end = |reason: &str| matches!(reason, "RunSucceeded" | "RunFailed" | "RunStopped");
        let told = events.iter().filter(|event| {
            let id = event.message.split(':').next();
            is_end(&event.reason) && id == Some(run.id.as_str())
        });
        let told: u32 = told.map(|event| event.count).sum();
        if told != 1 {
            breaches.push(format!("the end of {} was told {told} times", run.id));
        }
        let code = sim.inside.exit_code(&run.id);
        if run.state == RunState::Succeeded && code != Some(0) {
            breaches.push(format!("{} is a success, but its program ended with {code:?}", run.id));
        }
    }
    breaches
}

fn directories(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
