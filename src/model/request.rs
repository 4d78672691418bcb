//! What can be asked of a controller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Credentials, RunSpec};

/// A request. It only changes what is wanted; the controller then makes it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Want these services running; all enabled ones when empty. Clears their backoff.
    ServiceStart {
        /// Names; empty for all enabled.
        names: Vec<String>,
    },
    /// Want these services stopped; all when empty.
    ServiceStop {
        /// Names; empty for all.
        names: Vec<String>,
    },
    /// Stop and start one service again.
    ServiceRestart {
        /// Its name.
        name: String,
    },
    /// Want nothing of this project on the engine but its volumes.
    Down {
        /// The volumes too, with all their data.
        volumes: bool,
    },
    /// End the controller. Containers are not touched.
    Shutdown {},
    /// Make agents. Answered when they are made, or when everything of them is rolled back.
    Spawn(Box<Spawn>),
    /// Run these agents' containers; all when empty. Answered when they run.
    AgentStart {
        /// Names; empty for all.
        names: Vec<String>,
    },
    /// Stop these agents' containers, and their runs; all when empty. Answered when they are stopped.
    AgentStop {
        /// Names; empty for all.
        names: Vec<String>,
    },
    /// Stop and start again; a container that is out of date is made anew, its workspace stays.
    AgentRestart {
        /// Names; empty for all.
        names: Vec<String>,
    },
    /// Remove agents, after their work is saved under a rescue ref. Answered when they are gone; the answer's text
    /// says how each is restored.
    AgentRemove {
        /// Names; empty for all.
        names: Vec<String>,
        /// Also with unmerged work or a run under way.
        force: bool,
    },
    /// Restore what the last `remove` or `merge` of this agent saved.
    AgentUndo {
        /// The agent.
        name: String,
    },
    /// What an agent changed; the answer's text is a diff.
    AgentDiff {
        /// The agent.
        name: String,
        /// A ref to compare with; the agent's base when absent.
        base: Option<String>,
        /// As much as is wanted.
        format: DiffFormat,
    },
    /// Whether an agent's workspace has work that is not committed, now; the answer's text names the first few files as
    /// `git status` does, and is empty where there is none. Its container must run.
    AgentLook {
        /// The agent.
        name: String,
    },
    /// Bring an agent's branch into the project, as it is in its workspace now; nothing is merged.
    AgentCollect {
        /// The agent.
        name: String,
    },
    /// Bring an agent's work into its base. Answered when it is done or refused; the answer's text says what was done.
    AgentMerge(Box<Merge>),
    /// Whether a merge would conflict, without doing it; the answer's text is for people.
    MergeForecast {
        /// The agent.
        name: String,
    },
    /// Begin a run. Answered when it is recorded.
    RunStart {
        /// The run.
        spec: Box<RunSpec>,
        /// Values of variables the adapters pass through, as the user has them now.
        credentials: Credentials,
    },
    /// End the agent's run.
    RunStop {
        /// The agent.
        agent: String,
    },
    /// What a process in the agent's container is to be started with, now. The answer has container and variables.
    AgentEnter {
        /// The agent.
        name: String,
        /// The command of the agent CLI itself instead of a shell's.
        agent_cli: bool,
        /// Values of variables the adapters pass through, as the user has them now.
        credentials: Credentials,
    },
    /// Give a task to an agent.
    TaskAssign {
        /// The task's id.
        task: String,
        /// The agent; nobody when absent.
        agent: Option<String>,
    },
    /// Try a failed, blocked or reviewed task again, with all its tries.
    TaskRetry {
        /// The task's id.
        task: String,
    },
    /// Take a task in review for complete.
    TaskApprove {
        /// The task's id.
        task: String,
    },
    /// Hand out tasks.
    ProjectStart {
        /// Subfolders of the tasks' directory; all when empty.
        projects: Vec<String>,
        /// Merge completed tasks to the target.
        merge: bool,
        /// Only tell what would be done, in the answer's text.
        dry_run: bool,
        /// Values of variables the adapters pass through, as the user has them now.
        credentials: Credentials,
    },
    /// Stop handing out tasks, and return the running ones.
    ProjectStop {},
    /// Go on after a stop.
    ProjectResume {
        /// Values of variables the adapters pass through, as the user has them now.
        credentials: Credentials,
    },
}

/// Agents to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// Their names; chosen by the controller where there are fewer than `count`.
    pub names: Vec<String>,
    /// How many.
    pub count: u32,
    /// Their role.
    pub role: Option<String>,
    /// Their workstream.
    pub workstream: Option<String>,
    /// Ref to begin from; the project's current branch when absent.
    pub base: Option<String>,
    /// Name of an adapter.
    pub agent: Option<String>,
    /// Image of the container.
    pub image: Option<String>,
    /// Model, as the agent CLI names it.
    pub model: Option<String>,
}

/// How much of a difference is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffFormat {
    /// A patch.
    #[default]
    Patch,
    /// Lines changed by file.
    Stat,
    /// Names of files.
    NameOnly,
}

/// How an agent's work is brought into its base.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeMethod {
    /// A merge commit, or a fast-forward where nothing else happened.
    #[default]
    Merge,
    /// One commit.
    Squash,
    /// Its commits one by one on top.
    Rebase,
}

/// A merge to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The agent.
    pub name: String,
    /// How.
    pub method: MergeMethod,
    /// Run the verify command on the result, in the agent's container, before anything is changed.
    pub verify: Option<String>,
    /// Remove the agent afterwards.
    pub remove: bool,
    /// Message of the commit.
    pub message: Option<String>,
}

/// A request was taken down; what it asks for is on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// For each service it is about, the generation whose status tells how it went.
    pub services: BTreeMap<String, u64>,
    /// For a request about the project as a whole, the generation its `Down` condition tells of.
    pub project: Option<u64>,
    /// For a request about agents, their names in order.
    #[serde(default)]
    pub agents: Vec<String>,
    /// For a run, its id.
    #[serde(default)]
    pub run: Option<String>,
    /// What was asked for or done, for people.
    #[serde(default)]
    pub text: String,
    /// What should be looked at, for people.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// For [`Request::AgentEnter`], what to start.
    #[serde(default)]
    pub enter: Option<Enter>,
}

/// How a process in an agent's container is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// Container id on the engine.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables beside the container's own.
    pub env: Credentials,
    /// `uid:gid`.
    pub user: Option<String>,
    /// Directory inside.
    pub workdir: String,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// No service of this name.
    UnknownService {
        /// As asked.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
    /// No agent of this name.
    UnknownAgent {
        /// As asked.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
    /// No task of this id.
    UnknownTask {
        /// As asked.
        id: String,
        /// Ids there are.
        known: Vec<String>,
    },
    /// What was asked for is wrong, and would be on any try.
    Invalid {
        /// What is wrong, for people.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A merge would conflict.
    Conflicts {
        /// For people.
        message: String,
        /// Files, relative to the repository.
        files: Vec<String>,
    },
    /// The verify command failed on the result of a merge; nothing was changed.
    VerifyFailed {
        /// Which command, and the end of what it said, for people.
        message: String,
    },
    /// It makes no sense for this object.
    NotPossible {
        /// Why, for people.
        message: String,
    },
    /// The controller failed.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// The controller is going away; ask the next one.
    ShuttingDown,
}
