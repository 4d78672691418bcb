//! Tasks: what their files say, and how they are.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Time, Usage};

/// Where a task is; the same words as in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody has it.
    #[default]
    Pending,
    /// An agent has it, and has not begun.
    Assigned,
    /// A run is under way for it.
    InProgress,
    /// Done as far as anything can tell; a person decides.
    Review,
    /// Done.
    Complete,
    /// Its tries are used up.
    Failed,
    /// Cannot go on; the message says why.
    Blocked,
}

impl TaskState {
    /// All, in the order of a task's life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Assigned,
        Self::InProgress,
        Self::Review,
        Self::Complete,
        Self::Failed,
        Self::Blocked,
    ];

    /// The word in task files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::InProgress => "in_progress",
            Self::Review => "review",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How urgent a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// First.
    Critical,
    /// Before the ordinary.
    High,
    /// Ordinary.
    #[default]
    Medium,
    /// Last.
    Low,
}

impl Priority {
    /// The word in task files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// When a task is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// A shell command that must succeed in the agent's container on the committed state.
    pub verify: Option<String>,
    /// A line that must stand alone in the agent's final message.
    pub signal: Option<String>,
    /// Tries before it has failed.
    pub max_iterations: Option<u32>,
}

/// Everything known of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its id, unique in the project.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it is.
    pub state: TaskState,
    /// How urgent it is.
    pub priority: Priority,
    /// Role of the agent it wants.
    pub role: Option<String>,
    /// Workstream it belongs to.
    pub workstream: Option<String>,
    /// Ids of the tasks that must be complete first.
    pub depends_on: Vec<String>,
    /// Those of them that are not complete.
    pub waits_for: Vec<String>,
    /// The agent that has it.
    pub assigned_to: Option<String>,
    /// When it is done.
    pub completion: Completion,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its file, relative to the project.
    pub file: String,
    /// The subfolder of the tasks' directory it is in; empty at the top.
    pub project: String,
    /// Its prompt, cut to 1 KiB.
    pub body: String,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried again, while it waits.
    pub next_try: Option<Time>,
    /// The last run for it.
    pub run: Option<String>,
    /// When an agent first began it.
    pub started_at: Option<Time>,
    /// When it came to an end.
    pub ended_at: Option<Time>,
    /// What all its runs used.
    pub usage: Usage,
    /// Whether it is merged to the target.
    pub merged: bool,
    /// Why it is where it is, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// Something wrong in a task file. The rest of the project goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProblem {
    /// The file, relative to the project.
    pub file: String,
    /// Line, from 1; absent for the file as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Two branches that cannot be merged as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conflict {
    /// An agent.
    pub agent: String,
    /// The other agent, or the target branch.
    pub with: String,
    /// Files in conflict, relative to the repository.
    pub files: Vec<String>,
}

/// Whether tasks are handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectPhase {
    /// Not started.
    #[default]
    Idle,
    /// Services come up first.
    Preparing,
    /// Tasks are handed out.
    Running,
    /// Running tasks are being returned.
    Stopping,
    /// Stopped by a person; `project resume` goes on.
    Stopped,
    /// Nothing is left that could be done.
    Finished,
}

impl fmt::Display for ProjectPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
        })
    }
}

/// The project's work as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectStatus {
    /// Whether tasks are handed out.
    pub phase: ProjectPhase,
    /// Subfolders that are worked on; all when empty.
    pub projects: Vec<String>,
    /// Completed tasks are merged to the target.
    pub merge: bool,
    /// The target branch, as `refs/heads/main`.
    pub target: Option<String>,
    /// Why it is so, for people.
    pub message: String,
    /// How many tasks are in each state, by the state's word.
    pub counts: BTreeMap<String, u32>,
    /// What is wrong in task files.
    pub problems: Vec<FileProblem>,
    /// Branches that would conflict, as last computed.
    pub conflicts: Vec<Conflict>,
}
