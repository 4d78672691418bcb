//! What tasks need of agents, in their own words. The composition root implements it over the kind Agent; tests over
//! plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::model::{AgentSettings, AgentStatus, Conflict, Credentials, RunRecord, RunSpec};

/// Roles by name, each with how many of its tasks may be worked on at once, where that is said.
pub type Roles = BTreeMap<String, Option<u32>>;

/// An agent to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Option<String>,
    /// The workstream it is for.
    pub workstream: Option<String>,
    /// The branch to begin from, as `refs/heads/main`.
    pub base: Option<String>,
}

/// What is to be in an agent's branch before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bring {
    /// Everything that is not in this commit is put aside first.
    pub reset: Option<String>,
    /// The target's newest commit; left out where it does not fit.
    pub target: Option<String>,
    /// Commits to merge, each with what it is, for people.
    pub commits: Vec<(String, String)>,
    /// What was done for the task before; left out where it does not fit.
    pub own: Option<String>,
}

/// How a command went that says whether a task is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// It succeeded.
    pub passed: bool,
    /// The end of what it printed.
    pub output: String,
}

/// Where completed work goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The branch, as `refs/heads/main`.
    pub branch: String,
    /// Its newest commit.
    pub commit: String,
}

/// How a merge went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeResult {
    /// The target has the work.
    Merged,
    /// It does not fit.
    Conflicts(Vec<String>),
    /// The command failed on the merged result; nothing was changed.
    VerifyFailed(String),
    /// The target cannot be moved now: its checkout has changes, or it moved meanwhile.
    Refused(String),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// What is to be brought does not fit.
    #[error("{with} conflicts in {}", files.join(", "))]
    Conflicts {
        /// What it is.
        with: String,
        /// Files, relative to the repository.
        files: Vec<String>,
    },
    /// It would be wrong on any try; a person has to change something.
    #[error("{message}")]
    Invalid {
        /// Why, for people.
        message: String,
    },
    /// The agent is gone.
    #[error("the agent is gone")]
    Gone,
    /// Something else has the name.
    #[error("{message}")]
    Taken {
        /// What, for people.
        message: String,
    },
    /// Another try may do.
    #[error("{message}")]
    Passing {
        /// Why, for people.
        message: String,
    },
}

/// Agents and the target branch.
#[async_trait]
pub trait Workers: fmt::Debug + Send + Sync + 'static {
    /// The agents there are, by name; absent until they were looked at.
    fn agents(&self) -> Option<BTreeMap<String, AgentStatus>>;

    /// The configuration as it is now.
    fn settings(&self) -> Arc<AgentSettings>;

    /// The roles there are; absent where they cannot be told.
    fn roles(&self) -> Option<Roles>;

    /// Makes an agent.
    async fn spawn(&self, agent: &NewAgent) -> Result<(), Trouble>;

    /// Runs the container of an agent that is stopped.
    async fn start(&self, agent: &str) -> Result<(), Trouble>;

    /// Removes an agent whose work is merged.
    async fn remove(&self, agent: &str) -> Result<(), Trouble>;

    /// Runs of an agent for a task, those under way included, in the order they were asked for.
    async fn runs(&self, agent: &str, task: &str) -> Result<Vec<RunRecord>, Trouble>;

    /// Begins a run and tells its id. It is recorded before this returns.
    async fn start_run(&self, spec: RunSpec, credentials: Credentials) -> Result<String, Trouble>;

    /// Keeps what runs of the project sign in with, for the controller that comes after a killed one; forgets it where
    /// it is empty. In a file of the user's alone.
    fn keep_credentials(&self, credentials: &Credentials);

    /// What was kept.
    fn kept_credentials(&self) -> Credentials;

    /// Ends the agent's run, if one is under way, and waits for it.
    async fn stop_run(&self, agent: &str) -> Result<(), Trouble>;

    /// Brings commits into the agent's branch, inside its container. All or nothing.
    async fn bring(&self, agent: &str, bring: &Bring) -> Result<(), Trouble>;

    /// Commits what is in the workspace and brings the branch into the project. Its newest commit.
    async fn collect(&self, agent: &str) -> Result<Option<String>, Trouble>;

    /// Runs a command in the workspace, where everything is committed.
    async fn verify(&self, agent: &str, command: &str) -> Result<Verdict, Trouble>;

    /// Brings the agent's branch into its base, after the command succeeded on the result. One that has all of it
    /// already is merged.
    async fn merge(&self, agent: &str, verify: Option<&str>, message: &str) -> Result<MergeResult, Trouble>;

    /// The project's current branch.
    async fn target(&self) -> Result<Target, Trouble>;

    /// The newest commit of a branch.
    async fn head(&self, branch: &str) -> Result<String, Trouble>;

    /// Branches of agents that would not merge with the target, or with each other.
    async fn forecast(&self, target: &str) -> Result<Vec<Conflict>, Trouble>;
}
