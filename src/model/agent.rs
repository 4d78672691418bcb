//! Agents: what is asked of one, and how it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Condition, Desired, Resources, RunRecord, Time};

/// Whether `name` can be an agent's: 2 to 63 lower case letters, digits and hyphens, beginning with a letter and not
/// ending with a hyphen.
///
/// # Errors
///
/// Why it cannot, for people.
pub fn check_agent_name(name: &str) -> Result<(), &'static str> {
    if !(2..=63).contains(&name.len()) {
        return Err("an agent's name has 2 to 63 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("an agent's name begins with a lower case letter");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err("an agent's name has lower case letters, digits and hyphens only");
    }
    if name.ends_with('-') {
        return Err("an agent's name does not end with a hyphen");
    }
    Ok(())
}

/// An agent as it was spawned. Kept by the store: the world cannot tell all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Its name.
    pub name: String,
    /// Its role, where one was asked for.
    pub role: Option<String>,
    /// The workstream it works for, where one was asked for.
    pub workstream: Option<String>,
    /// Name of its adapter.
    pub adapter: String,
    /// Image of its container.
    pub image: String,
    /// Model, as the agent CLI names it; the CLI's own choice when absent.
    pub model: Option<String>,
    /// Its branch, for example `tanuki/api`.
    pub branch: String,
    /// The ref it was made from, as `refs/heads/main`; a commit id where it was made from no branch. What `merge`
    /// merges into and `diff` compares with.
    pub base: String,
    /// The commit it was made from.
    pub base_commit: String,
    /// Limits of its container.
    pub resources: Resources,
    /// When it was spawned.
    pub created_at: Time,
}

/// Where an agent is, in one word for people. Decisions rest on conditions, not on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Being made.
    Creating,
    /// Its container runs, and no run is under way.
    Idle,
    /// A run is under way.
    Working,
    /// Its container does not run, as asked.
    Stopped,
    /// Something of it failed; the message says what.
    Error,
    /// Its container or workspace was removed by hand. Never repaired by destroying anything.
    Lost,
    /// Being removed.
    Removing,
    /// The engine does not tell.
    Unknown,
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Creating => "creating",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Lost => "lost",
            Self::Removing => "removing",
            Self::Unknown => "unknown",
        })
    }
}

/// Everything known of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: AgentState,
    /// What was asked for last.
    pub desired: Desired,
    /// Its role.
    pub role: Option<String>,
    /// Its workstream.
    pub workstream: Option<String>,
    /// Name of its adapter.
    pub adapter: String,
    /// Model, where one was chosen.
    pub model: Option<String>,
    /// Image of its container.
    pub image: String,
    /// Its branch.
    pub branch: String,
    /// The ref it was made from.
    pub base: String,
    /// The commit it was made from.
    pub base_commit: String,
    /// The newest commit of its branch as the project has it.
    pub head: Option<String>,
    /// Commits of its branch that the base does not have.
    pub ahead: Option<u32>,
    /// Commits of the base that its branch does not have.
    pub behind: Option<u32>,
    /// Whether the workspace has work that is not committed; as last looked at.
    pub dirty: Option<bool>,
    /// Container name on the engine.
    pub container: String,
    /// Container id, when there is one.
    pub container_id: Option<String>,
    /// Its workspace on the host.
    pub workspace: String,
    /// When its container was last started.
    pub started_at: Option<Time>,
    /// The run under way or waiting to begin.
    pub run: Option<RunRecord>,
    /// The last run that ended.
    pub last_run: Option<RunRecord>,
    /// The task it works on or was given.
    pub task: Option<String>,
    /// Its running processes were given other values of the services' variables than there are now.
    pub stale_environment: bool,
    /// What of its container differs from the configuration, by field.
    pub out_of_date: Vec<String>,
    /// Services that were not healthy when its environment was made.
    pub missing_services: Vec<String>,
    /// It waits for a person: what for.
    pub waiting: Option<String>,
    /// Why it is as it is, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// How often what is wanted has changed.
    pub generation: u64,
    /// Observations.
    pub conditions: Vec<Condition>,
}
