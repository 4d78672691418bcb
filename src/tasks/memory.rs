//! What is remembered of tasks between passes, and over the end of a controller.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::front::Front;
use crate::model::{Conflict, TaskState, Time, Usage};

/// What is remembered of one task. The file says what is wanted; this says how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Where it is.
    pub state: TaskState,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// Who has it.
    pub claim: Option<Claim>,
    /// The agent a person gave it to.
    pub pinned: Option<String>,
    /// The agent that worked on it last.
    pub agent: Option<String>,
    /// Whether that agent's branch may have work for it that is neither done nor thrown away.
    pub unsettled: bool,
    /// Tries that were spent.
    pub attempts: u32,
    /// Failures in a row before a run began, or after it ended, that were not the task's own.
    pub setbacks: u32,
    /// Runs in a row that ended for a reason that is not the task's own.
    pub outages: u32,
    /// When it may be tried again.
    pub next_try: Option<Time>,
    /// Runs that were taken into account.
    pub runs: Vec<String>,
    /// What they used.
    pub usage: Usage,
    /// The newest commit of the agent's branch after the last run for it.
    pub commit: Option<String>,
    /// That commit is in the target.
    pub merged: bool,
    /// What the next try is told of the last one.
    pub feedback: Option<String>,
    /// When an agent first began it.
    pub started_at: Option<Time>,
    /// When it came to an end.
    pub ended_at: Option<Time>,
    /// What its file said when it was last looked at, or was made to say.
    pub seen: Option<Seen>,
    /// What its file is about to say: saved before it is written.
    pub writing: Option<Seen>,
    /// The controller, or somebody through it, changed it: the file is to tell.
    pub touched: bool,
}

/// The part of a file that both people and the controller write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `status`.
    pub status: TaskState,
    /// `assigned_to`.
    pub agent: Option<String>,
}

/// Who has a task, and how far it is with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The agent.
    pub agent: String,
    /// Since when.
    pub since: Time,
    /// When its run was last seen alive.
    pub renewed: Time,
    /// How far it is.
    pub stage: Stage,
    /// It has a place to work; otherwise it waits for one.
    pub go: bool,
    /// The run.
    pub run: Option<String>,
    /// An agent that is removed first, to make room.
    #[serde(default)]
    pub replaces: Option<String>,
    /// What the agent did for another task is put aside first.
    #[serde(default)]
    pub reset: bool,
    /// How often the merge was refused for a reason that may pass.
    #[serde(default)]
    pub refusals: u32,
    /// For [`Stage::Return`]: what becomes of the task.
    #[serde(default)]
    pub then: Option<Outcome>,
}

/// How far an agent is with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The agent and its workspace are made ready, and the run is begun.
    Prepare,
    /// The run is under way.
    Run,
    /// Whether it is done is found out.
    Verify,
    /// It is merged to the target.
    Merge,
    /// The run is ended and the task given back.
    Return,
}

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where it is then.
    pub state: TaskState,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

impl Outcome {
    /// An outcome.
    pub fn new(state: TaskState, reason: &str, message: impl Into<String>) -> Self {
        Self { state, reason: reason.to_owned(), message: message.into() }
    }
}

impl Memory {
    /// Of a task that was never heard of.
    pub fn first(front: &Front) -> Self {
        let open = matches!(front.status, TaskState::Pending | TaskState::Assigned | TaskState::InProgress);
        let seen = Seen { status: front.status, agent: front.assigned_to.clone() };
        let mut memory = Self { seen: Some(seen), ..Self::default() };
        if !open {
            memory.state = front.status;
            memory.agent.clone_from(&front.assigned_to);
        } else if front.status == TaskState::Pending {
            memory.pinned.clone_from(&front.assigned_to);
        }
        // Nobody has one that is under way in the file of another time or machine.
        memory
    }

    /// Whether the file says what this knows of.
    pub fn says(&self, front: &Front) -> bool {
        let known = [self.seen.as_ref(), self.writing.as_ref()];
        known.iter().flatten().any(|seen| seen.status == front.status && seen.agent == front.assigned_to)
    }

    /// Takes the task from whoever has it.
    pub fn end(&mut self, outcome: Outcome, now: Time) {
        let Outcome { state, reason, message } = outcome;
        self.claim = None;
        self.touched = true;
        self.next_try = None;
        self.ended_at = matches!(state, TaskState::Complete | TaskState::Failed).then_some(now);
        if state == TaskState::Complete {
            self.unsettled = false;
            self.feedback = None;
        }
        (self.state, self.reason, self.message) = (state, reason, message);
    }

    /// All its tries again.
    pub fn forgive(&mut self) {
        (self.attempts, self.setbacks, self.outages, self.next_try) = (0, 0, 0, None);
    }
}

/// Whether a person wants tasks handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Nobody ever said.
    #[default]
    None,
    /// Yes.
    Run,
    /// No: what is under way is returned.
    Stop,
    /// Everything that could be done was; nothing begins before a person says so.
    Done,
}

/// What is remembered of the project as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Whether tasks are handed out.
    pub wish: Wish,
    /// Subfolders that are worked on; all when empty.
    pub projects: BTreeSet<String>,
    /// Completed tasks are merged to the target.
    pub merge: bool,
    /// The target branch, as `refs/heads/main`.
    pub target: Option<String>,
    /// Agents that were made for tasks.
    pub made: BTreeMap<String, Made>,
    /// Names that something else has.
    pub taken: BTreeSet<String>,
    /// Adapters whose service does not answer as it should.
    pub pauses: BTreeMap<String, Pause>,
    /// Branches that would conflict, as last computed.
    pub conflicts: Vec<Conflict>,
}

/// An agent that was made for tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its role.
    pub role: Option<String>,
    /// The workstream it works for now.
    pub workstream: Option<String>,
    /// Its branch after the last task that it completed.
    pub good: Option<String>,
}

/// Why no runs of an adapter begin for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when.
    pub until: Time,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// How often in a row.
    pub times: u32,
}
