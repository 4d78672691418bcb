//! What people are told of tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::board::{Decision, What};
use super::file::TaskFile;
use super::kind::{Tasks, World};
use super::memory::{Memory, Wish};
use super::sheet::Sheet;
use crate::model::{ProjectPhase, ProjectStatus, Snapshot, TaskState, TaskStatus};

/// How much of a prompt a snapshot carries.
const BODY: usize = 1024;

impl Tasks {
    pub(super) fn publish(&self, world: &World, decisions: &[Decision], phase: ProjectPhase) {
        let by_task: BTreeMap<usize, &Decision> = decisions
            .iter()
            .filter(|decision| !matches!(decision.what, What::Remove { .. }))
            .map(|decision| (decision.task, decision))
            .collect();
        let (tasks, work) = {
            let state = self.lock();
            let tasks: BTreeMap<String, TaskStatus> = world
                .sheet
                .tasks
                .iter()
                .enumerate()
                .map(|(index, task)| {
                    let memory = state.tasks.get(&task.front.id);
                    let decision = by_task.get(&index).copied();
                    (
                        task.front.id.clone(),
                        status(&world.sheet, index, memory, decision, |id| {
                            state.tasks.get(id).is_some_and(|memory| memory.state == TaskState::Complete)
                        }),
                    )
                })
                .collect();
            let message = match (phase, state.project.wish) {
                (ProjectPhase::Preparing, _) if world.unready.is_empty() => "looks for agents".to_owned(),
                (ProjectPhase::Preparing, _) => format!("waits for {}", world.unready.join(", ")),
                (ProjectPhase::Stopped, Wish::Stop) => "stopped; `tanuki project resume` goes on".to_owned(),
                _ => {
                    let pauses = state.project.pauses.values().filter(|pause| pause.until > self.now());
                    pauses.map(|pause| pause.message.clone()).collect::<Vec<_>>().join("; ")
                }
            };
            let work = ProjectStatus {
                phase,
                projects: state.project.projects.iter().cloned().collect(),
                merge: state.project.merge,
                target: state.project.target.clone(),
                message,
                counts: counts(tasks.values()),
                problems: world.sheet.problems.clone(),
                conflicts: Vec::new(),
            };
            (tasks, work)
        };
        self.deps.publisher.update(|snapshot| put(snapshot, tasks, work));
    }
}

/// How many tasks are in each state.
pub(super) fn counts<'a>(tasks: impl Iterator<Item = &'a TaskStatus>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task.state.word().to_owned()).or_default() += 1;
    }
    counts
}

/// Puts tasks into a snapshot; what is the same stays the same object.
fn put(snapshot: &mut Snapshot, tasks: BTreeMap<String, TaskStatus>, work: ProjectStatus) {
    let at_it = |task: &&TaskStatus| matches!(task.state, TaskState::Assigned | TaskState::InProgress);
    let has =
        |agent: &String| tasks.values().filter(at_it).find(|task| task.assigned_to.as_ref() == Some(agent));
    for (name, agent) in &mut snapshot.agents {
        agent.task = has(name).map(|task| task.id.clone());
    }
    let old = std::mem::take(&mut snapshot.tasks);
    snapshot.tasks = tasks
        .into_iter()
        .map(|(id, task)| {
            let same = old.get(&id).filter(|old| ***old == task).map(Arc::clone);
            (id, same.unwrap_or_else(|| Arc::new(task)))
        })
        .collect();
    let conflicts = std::mem::take(&mut snapshot.work.conflicts);
    snapshot.work = ProjectStatus { conflicts, ..work };
}

/// How a task is.
pub(super) fn status(
    sheet: &Sheet,
    index: usize,
    memory: Option<&Memory>,
    decision: Option<&Decision>,
    is_complete: impl Fn(&str) -> bool,
) -> TaskStatus {
    let task: &TaskFile = &sheet.tasks[index];
    let front = &task.front;
    let blank = Memory::first(front);
    let memory = memory.unwrap_or(&blank);
    let open = memory.claim.is_none() && memory.state == TaskState::Pending;
    let (state, reason, message) = match (&sheet.flaws[index], decision) {
        (Some(flaw), _) if memory.claim.is_none() && memory.state != TaskState::Complete => {
            (TaskState::Blocked, "FileProblem".to_owned(), flaw.clone())
        }
        (_, Some(decision)) if open => {
            let state = if decision.what == What::Block { TaskState::Blocked } else { TaskState::Pending };
            (state, decision.reason.to_owned(), decision.cause.clone())
        }
        _ => (memory.state, memory.reason.clone(), memory.message.clone()),
    };
    let run = memory.claim.as_ref().and_then(|claim| claim.run.clone());
    TaskStatus {
        id: front.id.clone(),
        title: front.title.clone(),
        state,
        priority: front.priority,
        role: front.role.clone(),
        workstream: front.workstream.clone(),
        depends_on: front.depends_on.clone(),
        waits_for: front.depends_on.iter().filter(|id| !is_complete(id)).cloned().collect(),
        assigned_to: super::absorb::shown_agent(memory),
        completion: front.completion.clone(),
        tags: front.tags.clone(),
        file: task.file.clone(),
        project: task.project.clone(),
        body: cut(&task.body),
        attempts: memory.attempts,
        next_try: memory.next_try,
        run: run.or_else(|| memory.runs.last().cloned()),
        started_at: memory.started_at,
        ended_at: memory.ended_at,
        usage: memory.usage,
        merged: memory.merged,
        reason,
        message,
    }
}

fn cut(body: &str) -> String {
    let mut end = body.len().min(BODY);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    body[..end].to_owned()
}
