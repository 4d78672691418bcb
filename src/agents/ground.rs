//! What runs and reviews stand on: an agent's container, environment and workspace, without knowing how they are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tanuki_runtimes::ExecOutput;

use crate::model::{AgentSettings, AgentSpec, Rejected};

/// What a process in an agent's container is started with, as it is now.
#[derive(Clone, PartialEq, Eq)]
pub struct Ready {
    /// Container id on the engine.
    pub container: String,
    /// The full current environment: base variables and the services' ones. Holds secrets.
    pub env: BTreeMap<String, String>,
    /// Names of the services' variables in it, for the agent's prompt.
    pub service_variables: Vec<String>,
    /// Services that are not healthy, so that their variables are not there.
    pub missing_services: Vec<String>,
    /// Counts how often the services' variables changed.
    pub environment_generation: u64,
    /// `uid:gid`; the container's own user when absent.
    pub user: Option<String>,
    /// Directory of the workspace inside.
    pub workdir: String,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("container", &self.container)
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// An agent's container, environment and workspace.
#[async_trait]
pub trait Ground: fmt::Debug + Send + Sync + 'static {
    /// The agent as it was spawned.
    fn spec(&self, agent: &str) -> Option<AgentSpec>;

    /// The configuration as it is now.
    fn settings(&self) -> Arc<AgentSettings>;

    /// The host's directory that the agent sees as `/tanuki/runs`. An agent can write there: read it as hostile.
    fn runs_dir(&self, agent: &str) -> PathBuf;

    /// The host's directory that the agent sees as `/tanuki/home`. An agent can write there: read it as hostile.
    fn home_dir(&self, agent: &str) -> PathBuf;

    /// Whether a process may be started in its container at all, as far as that is known without looking at it.
    ///
    /// # Errors
    ///
    /// Why not, and what to do.
    fn may_enter(&self, agent: &str) -> Result<(), Rejected>;

    /// Something that changes files is about to begin in the workspace: what was known of it is old.
    fn entered(&self, agent: &str);

    /// Waits, for a while, until the services that the environment names are found by their names in the container.
    /// Those that are not.
    async fn unresolved(&self, agent: &str, ready: &Ready) -> Vec<String>;

    /// Makes sure that the agent's container runs, and tells what a process in it is to be started with.
    async fn enter(&self, agent: &str) -> Result<Ready, Rejected>;

    /// Runs a shell command in the workspace with the current environment and collects its output.
    async fn shell(&self, agent: &str, command: &str, timeout: Duration) -> Result<ExecOutput, Rejected>;

    /// Commits everything in the workspace on the agent's branch, inside its container. False when there was nothing.
    async fn commit_all(&self, agent: &str, message: &str) -> Result<bool, Rejected>;

    /// Brings the agent's branch into the project, through its container. The newest commit, where there is one.
    async fn collect(&self, agent: &str) -> Result<Option<String>, Rejected>;

    /// What is told of the agent changed: look again.
    fn touched(&self, agent: &str);
}
