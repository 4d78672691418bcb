//! What people do to task files in the middle of things, told from what the controller itself wrote.

use std::sync::Arc;
use std::time::Duration;

use super::file::{self, TaskFile, WriteError};
use super::kind::{Tasks, World};
use super::memory::{Memory, Outcome, Seen, Stage, Wish};
use crate::controller::PassError;
use crate::model::{TaskState, Time};

/// An editor may take a file away for a moment before it puts the new one there.
const GRACE: Duration = Duration::from_secs(2);

impl Tasks {
    /// Takes over what the files say. Whether something has to be looked at again after the grace.
    pub(super) fn absorb(&self, world: &World) -> Result<Option<Duration>, PassError> {
        for task in &world.sheet.tasks {
            let id = &task.front.id;
            let known = self.memory(id);
            if task.flawed.is_some() && known.is_some() {
                continue;
            }
            let seen = Seen { status: task.front.status, agent: task.front.assigned_to.clone() };
            self.tell_edit(task);
            match known {
                None => {
                    self.update(id, |memory| *memory = Memory::first(&task.front))?;
                    if self.lock().project.wish == Wish::Run {
                        self.news(id, "Added", &format!("its file is new: {}", task.file));
                    }
                }
                Some(memory) if memory.seen.as_ref() == Some(&seen) && memory.writing.is_none() => {}
                Some(memory) => self.absorb_one(id, &memory, &seen)?,
            }
        }
        if world.partial { Ok(None) } else { self.absorb_missing(world) }
    }

    /// Tells what a person changed in a file beside the lines that Tanuki writes too.
    fn tell_edit(&self, task: &Arc<TaskFile>) {
        let id = &task.front.id;
        let (before, running, claimed) = {
            let mut state = self.lock();
            if state.files.get(id).is_some_and(|known| Arc::ptr_eq(known, task)) {
                return;
            }
            let before = state.files.insert(id.clone(), Arc::clone(task));
            let claimed = state.tasks.get(id).is_some_and(|memory| memory.claim.is_some());
            (before, state.project.wish == Wish::Run, claimed)
        };
        let changed = before.map(|before| changes(&before, task)).unwrap_or_default();
        if running && !changed.is_empty() {
            let then = if claimed { "; a run that is under way began with what it said before" } else { "" };
            self.news(id, "Edited", &format!("its file has another {}{then}", changed.join(", ")));
        }
    }

    fn absorb_one(&self, id: &str, memory: &Memory, seen: &Seen) -> Result<(), PassError> {
        let own = [memory.seen.as_ref(), memory.writing.as_ref()];
        let own = || own.iter().flatten();
        let status_edited = !own().any(|own| own.status == seen.status) && seen.status != memory.state;
        let agent_edited = !own().any(|own| own.agent == seen.agent);
        let now = self.now();
        self.update(id, |memory| {
            if agent_edited {
                memory.pinned.clone_from(&seen.agent);
            }
            if status_edited {
                edited(memory, seen.status, now);
            }
            memory.seen = Some(seen.clone());
            memory.writing = None;
        })?;
        if status_edited {
            self.news(id, "Edited", &format!("its file now says {}", seen.status));
            self.wake(id);
        }
        if agent_edited {
            let message = match &seen.agent {
                Some(agent) => format!("its file now gives it to '{agent}'"),
                None => "its file now gives it to nobody".to_owned(),
            };
            self.news(id, "Edited", &message);
        }
        Ok(())
    }

    fn absorb_missing(&self, world: &World) -> Result<Option<Duration>, PassError> {
        let now = self.now();
        let (mut gone, mut claimed) = (Vec::new(), Vec::new());
        let mut again = None;
        {
            let mut state = self.lock();
            let missing: Vec<(String, bool)> = state
                .tasks
                .iter()
                .filter(|(id, _)| !world.sheet.by_id.contains_key(*id))
                .map(|(id, memory)| (id.clone(), memory.claim.is_some()))
                .collect();
            state.missing.retain(|id, _| missing.iter().any(|(other, _)| other == id));
            for (id, is_claimed) in missing {
                let since = *state.missing.entry(id.clone()).or_insert(now);
                if now.since(since) < GRACE {
                    again = Some(GRACE);
                } else if is_claimed {
                    claimed.push(id);
                } else {
                    gone.push(id);
                }
            }
        }
        for id in claimed {
            let returning = self
                .memory(&id)
                .and_then(|memory| memory.claim)
                .is_some_and(|claim| claim.stage == Stage::Return);
            if !returning {
                let outcome = Outcome::new(TaskState::Pending, "Deleted", "its file is gone");
                self.give_up(&id, outcome)?;
                self.trouble(
                    &id,
                    "Deleted",
                    "its file is gone: its run is ended; what was done stays on the branch",
                );
            }
        }
        let running = self.lock().project.wish == Wish::Run;
        for id in gone {
            self.forget(&id)?;
            if running {
                self.news(&id, "Deleted", "its file is gone: nobody works on it any more");
            }
        }
        Ok(again)
    }

    /// The task is taken from whoever has it; what was done is kept.
    pub(super) fn give_up(&self, id: &str, outcome: Outcome) -> Result<(), PassError> {
        let now = self.now();
        self.update(id, |memory| give_up(memory, outcome, now))?;
        self.wake(id);
        Ok(())
    }

    /// Lets the files say how things are. Whether one has to be tried again.
    pub(super) fn mirror(&self, world: &World, blocked: &dyn Fn(usize) -> bool) -> Result<bool, PassError> {
        let running = matches!(self.lock().project.wish, Wish::Run | Wish::Done);
        let mut again = false;
        for (index, task) in world.sheet.tasks.iter().enumerate() {
            let Some(memory) = self.memory(&task.front.id).filter(|_| task.flawed.is_none()) else {
                continue;
            };
            if !running && !memory.touched {
                continue;
            }
            let blocked = running && memory.state == TaskState::Pending && blocked(index);
            let status = if blocked { TaskState::Blocked } else { memory.state };
            let wanted = Seen { status, agent: shown_agent(&memory) };
            let is = Seen { status: task.front.status, agent: task.front.assigned_to.clone() };
            if wanted != is {
                again |= self.write(task, wanted)?;
            }
        }
        Ok(again)
    }

    fn write(&self, task: &Arc<TaskFile>, wanted: Seen) -> Result<bool, PassError> {
        let id = &task.front.id;
        self.update(id, |memory| memory.writing = Some(wanted.clone()))?;
        match file::write(&self.deps.root, task, wanted.status, wanted.agent.as_deref()) {
            Ok(()) => {
                self.update(id, |memory| {
                    memory.seen = Some(wanted);
                    memory.writing = None;
                })?;
                Ok(false)
            }
            Err(WriteError::Changed { .. }) => Ok(true),
            Err(error) => {
                self.trouble(id, "NotWritten", &error.to_string());
                // Told once: the file is not touched again before it changes.
                self.update(id, |memory| memory.touched = false)?;
                Ok(false)
            }
        }
    }
}

/// What differs between two texts of a task, by the names of the keys.
fn changes(before: &TaskFile, after: &TaskFile) -> Vec<&'static str> {
    let (old, new) = (&before.front, &after.front);
    let each = [
        ("title", old.title != new.title),
        ("role", old.role != new.role),
        ("workstream", old.workstream != new.workstream),
        ("priority", old.priority != new.priority),
        ("depends_on", old.depends_on != new.depends_on),
        ("completion", old.completion != new.completion),
        ("tags", old.tags != new.tags),
        ("prompt", before.body != after.body),
    ];
    each.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
}

/// The agent a file is to name: who has it, whom a person gave it to, or who did it.
pub(super) fn shown_agent(memory: &Memory) -> Option<String> {
    let claimed = memory.claim.as_ref().map(|claim| claim.agent.clone());
    let did = || memory.agent.clone().filter(|_| memory.state != TaskState::Pending);
    claimed.or_else(|| memory.pinned.clone()).or_else(did)
}

pub(super) fn give_up(memory: &mut Memory, outcome: Outcome, now: Time) {
    match &mut memory.claim {
        Some(claim) => {
            claim.stage = Stage::Return;
            claim.then = Some(outcome);
        }
        None => memory.end(outcome, now),
    }
}

fn edited(memory: &mut Memory, status: TaskState, now: Time) {
    let outcome = |state, message: &str| Outcome::new(state, "Edited", message);
    match status {
        TaskState::Pending => {
            memory.forgive();
            give_up(memory, outcome(TaskState::Pending, ""), now);
        }
        // Only an agent can begin it.
        TaskState::Assigned | TaskState::InProgress => memory.touched = true,
        state => give_up(memory, outcome(state, &format!("its file says {state}")), now),
    }
}
