//! The one immutable picture of a project that everybody reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AgentStatus, Condition, EventRecord, ProjectId, ProjectStatus, ServiceStatus, TaskStatus, Time};

/// A project at one moment: published by the controller, read by `status` and the dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The project's id.
    pub project: ProjectId,
    /// The project's directory.
    pub path: String,
    /// Who publishes this.
    pub controller: ControllerInfo,
    /// The engine.
    pub engine: EngineSummary,
    /// Services by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// Agents by name.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentStatus>,
    /// Tasks by id.
    #[serde(default)]
    pub tasks: BTreeMap<String, Arc<TaskStatus>>,
    /// The tasks' project as a whole.
    #[serde(default)]
    pub work: ProjectStatus,
    /// Observations about the project as a whole: `EngineAvailable`, `ConfigValid`.
    pub conditions: Vec<Condition>,
    /// What happened last, newest last; a bounded number.
    pub events: Vec<EventRecord>,
    /// When the engine was last seen whole; absent before the first time.
    pub observed_at: Option<Time>,
}

/// The controller that publishes a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerInfo {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Time,
}

/// The engine a controller works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSummary {
    /// `docker` or `podman`.
    pub kind: String,
    /// Its version; empty until it was asked.
    pub version: String,
    /// Where it is reached.
    pub endpoint: String,
    /// Whether it runs without root; false until it was asked.
    pub rootless: bool,
}
