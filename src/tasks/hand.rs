//! Handing out tasks: what the scheduler sees, and its decisions taken down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::{Board, Decision, Group, Item, Kept, Stand, What, Worker};
use super::file::TaskFile;
use super::kind::{State, Tasks, World};
use super::memory::{Claim, Made, Memory, Stage, Wish};
use super::ports::Roles;
use super::schedule::{is_finished, schedule};
use crate::controller::{Next, PassError};
use crate::model::{AgentSettings, AgentState, EventType, ProjectPhase, TaskState, Time};

/// How soon agents that nobody has looked at yet are looked for again; news of them comes sooner.
const AGENTS: Duration = Duration::from_secs(2);

impl Tasks {
    /// Decides for all tasks, takes it down, and publishes.
    pub(super) fn plan(&self) -> Result<Next, PassError> {
        let _alone = self.alone();
        let world = &self.look();
        let again = self.absorb(world)?;
        let settings = self.deps.workers.settings();
        let now = self.now();
        let ready = world.unready.is_empty();
        let (board, handing_out) = {
            let mut state = self.lock();
            state.prepared |= ready && state.project.wish == Wish::Run;
            let handing_out = state.project.wish == Wish::Run && state.prepared && world.agents.is_some();
            (board(&state, world, &settings, now), handing_out)
        };
        let decisions = schedule(&board);
        let phase = self.phase(&board, &decisions, world);
        if handing_out {
            let mut replaces = None;
            for decision in &decisions {
                replaces = self.take_down(world, &settings, decision, replaces)?;
            }
        }
        self.tell_finished(phase, &board)?;
        let blocked: BTreeMap<usize, &Decision> = decisions
            .iter()
            .filter(|decision| decision.what == What::Block)
            .map(|decision| (decision.task, decision))
            .collect();
        let unwritten = self.mirror(world, &|index| blocked.contains_key(&index))?;
        self.publish(world, &decisions, phase);
        let due =
            self.lock().tasks.values().filter_map(|memory| memory.next_try).filter(|next| *next > now).min();
        let waits = [
            due.map(|due| due.since(now)),
            again,
            unwritten.then_some(Duration::from_millis(200)),
            world.agents.is_none().then_some(AGENTS),
        ];
        Ok(waits.into_iter().flatten().min().map_or(Next::Settled, Next::After))
    }

    fn phase(&self, board: &Board, decisions: &[Decision], world: &World) -> ProjectPhase {
        let state = self.lock();
        match state.project.wish {
            Wish::None => ProjectPhase::Idle,
            Wish::Done => ProjectPhase::Finished,
            Wish::Stop if state.tasks.values().any(|memory| memory.claim.is_some()) => ProjectPhase::Stopping,
            Wish::Stop => ProjectPhase::Stopped,
            Wish::Run if !state.prepared || world.agents.is_none() => ProjectPhase::Preparing,
            Wish::Run if is_finished(board, decisions) => ProjectPhase::Finished,
            Wish::Run => ProjectPhase::Running,
        }
    }

    fn tell_finished(&self, phase: ProjectPhase, board: &Board) -> Result<(), PassError> {
        if phase != ProjectPhase::Finished || self.lock().project.wish != Wish::Run {
            return Ok(());
        }
        self.update_project(|project| project.wish = Wish::Done)?;
        let complete = board.tasks.iter().filter(|task| task.stand == Stand::Complete).count();
        let of = board.tasks.len();
        let message = format!("nothing is left to be done: {complete} of {of} tasks are complete");
        self.record(EventType::Normal, "project", "Finished", &message);
        Ok(())
    }

    /// Takes one decision down. The agent that makes room is passed on to the task that needs it.
    fn take_down(
        &self,
        world: &World,
        settings: &AgentSettings,
        decision: &Decision,
        replaces: Option<String>,
    ) -> Result<Option<String>, PassError> {
        let Some(task) = world.sheet.tasks.get(decision.task) else { return Ok(None) };
        match &decision.what {
            What::Remove { agent } => return Ok(Some(agent.clone())),
            What::Claim { agent, reset } => self.give(task, settings, decision, agent, *reset, None)?,
            What::Spawn { agent } => self.give(task, settings, decision, agent, false, replaces)?,
            What::Resume => {
                self.update(&task.front.id, |memory| {
                    memory.next_try = None;
                    if let Some(claim) = &mut memory.claim {
                        claim.go = true;
                    }
                })?;
                self.wake(&task.front.id);
            }
            What::Block | What::Wait => {}
        }
        Ok(None)
    }

    fn give(
        &self,
        task: &TaskFile,
        settings: &AgentSettings,
        decision: &Decision,
        agent: &str,
        reset: bool,
        replaces: Option<String>,
    ) -> Result<(), PassError> {
        let id = &task.front.id;
        let group = group(task, settings);
        let spawned = matches!(decision.what, What::Spawn { .. });
        self.update_project(|project| {
            if spawned {
                project.made.insert(
                    agent.to_owned(),
                    Made { role: group.role, workstream: group.workstream, good: None },
                );
            } else if let Some(made) = project.made.get_mut(agent) {
                made.workstream = group.workstream;
            }
        })?;
        let others: Vec<String> = {
            let state = self.lock();
            let kept = |memory: &Memory| memory.unsettled && memory.agent.as_deref() == Some(agent);
            state
                .tasks
                .iter()
                .filter(|(other, memory)| *other != id && kept(memory))
                .map(|(id, _)| id.clone())
                .collect()
        };
        for other in others {
            self.update(&other, |memory| memory.unsettled = false)?;
        }
        let now = self.now();
        let before = self.memory(id).unwrap_or_default();
        let claim = Claim {
            agent: agent.to_owned(),
            since: now,
            renewed: now,
            stage: Stage::Prepare,
            go: true,
            run: None,
            replaces,
            reset,
            refusals: 0,
            then: None,
        };
        let memory = Memory {
            state: TaskState::Assigned,
            reason: "Assigned".to_owned(),
            message: decision.cause.clone(),
            claim: Some(claim),
            agent: Some(agent.to_owned()),
            touched: true,
            ..before
        };
        if self.claim(id, memory)? {
            self.news(id, "Assigned", &format!("given to agent '{agent}': {}", decision.cause));
            self.wake(id);
        }
        Ok(())
    }
}

/// Role and workstream a task wants.
pub(super) fn group(task: &TaskFile, settings: &AgentSettings) -> Group {
    let workstream = task.front.workstream.clone();
    let of_workstream = || settings.workstreams.get(workstream.as_ref()?)?.role.clone();
    Group { role: task.front.role.clone().or_else(of_workstream), workstream }
}

/// How many tasks of a role may be worked on at once, where that is said.
pub(super) fn at_once(roles: &Roles) -> BTreeMap<String, usize> {
    let said = |(name, most): (&String, &Option<u32>)| Some((name.clone(), count((*most)?)));
    roles.iter().filter_map(said).collect()
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What the scheduler sees.
pub(super) fn board(state: &State, world: &World, settings: &AgentSettings, now: Time) -> Board {
    let sheet = &world.sheet;
    let empty = Memory::default();
    let memory_of = |id: &str| state.tasks.get(id).unwrap_or(&empty);
    let items = sheet.tasks.iter().enumerate().map(|(index, task)| {
        let memory = memory_of(&task.front.id);
        let excluded = !state.project.projects.is_empty() && !state.project.projects.contains(&task.project);
        Item {
            id: task.front.id.clone(),
            priority: task.front.priority,
            group: group(task, settings),
            dependencies: sheet.dependencies[index].clone(),
            stand: stand(memory, sheet.flaws[index].is_some(), excluded, now),
            pinned: memory.pinned.clone(),
            last: memory.agent.clone(),
        }
    });
    let tasks: Vec<Item> = items.collect();
    let claimed: Vec<&str> = state
        .tasks
        .values()
        .filter_map(|memory| memory.claim.as_ref())
        .map(|claim| claim.agent.as_str())
        .collect();
    let statuses = world.agents.iter().flat_map(|agents| agents.values());
    let agents = statuses.filter(|agent| agent.state != AgentState::Removing).map(|agent| {
        let made = state.project.made.get(&agent.name);
        let group = match made {
            Some(made) => Group { role: made.role.clone(), workstream: made.workstream.clone() },
            None => Group { role: agent.role.clone(), workstream: agent.workstream.clone() },
        };
        let usable = match agent.state {
            AgentState::Idle | AgentState::Working => true,
            // A run starts the container; one of a person's own stays as they left it.
            AgentState::Stopped => made.is_some(),
            _ => false,
        };
        let kept = tasks.iter().position(|task| {
            let memory = memory_of(&task.id);
            memory.unsettled && memory.claim.is_none() && memory.agent.as_ref() == Some(&agent.name)
        });
        Worker {
            name: agent.name.clone(),
            group,
            usable,
            busy: agent.run.is_some() && !claimed.contains(&agent.name.as_str()),
            ours: made.is_some(),
            merged: agent.ahead == Some(0) && agent.dirty == Some(false),
            kept: kept.map(|task| Kept { task, sound: tasks[task].stand == Stand::Review }),
        }
    });
    Board {
        agents: agents.collect(),
        tasks,
        most_agents: count(settings.limits.agents),
        taken: state.project.taken.clone(),
        most_working: count(settings.limits.working),
        chains: settings
            .workstreams
            .iter()
            .map(|(name, workstream)| (name.clone(), count(workstream.concurrency)))
            .collect(),
        roles: world.roles.clone(),
    }
}

fn stand(memory: &Memory, flawed: bool, excluded: bool, now: Time) -> Stand {
    if let Some(claim) = &memory.claim {
        let agent = claim.agent.clone();
        let resting = claim.stage == Stage::Prepare && !claim.go;
        return if resting {
            Stand::Resting { agent, due: memory.next_try.is_none_or(|next| next <= now) }
        } else {
            Stand::Working { agent }
        };
    }
    match memory.state {
        TaskState::Complete => Stand::Complete,
        _ if excluded => Stand::Excluded,
        TaskState::Review => Stand::Review,
        TaskState::Failed => Stand::Failed,
        TaskState::Blocked => Stand::Blocked,
        _ if flawed => Stand::Blocked,
        TaskState::Pending | TaskState::Assigned | TaskState::InProgress => Stand::Open,
    }
}
