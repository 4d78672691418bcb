//! What is known of a service, and how it is told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Desired, ServiceType, Time};

/// True, False, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    Unknown,
}

/// One observation about an object, in the sense of Kubernetes' conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is about: `Ready`, `ImageAvailable`, `ConfigValid`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When `status` last changed.
    pub last_transition: Time,
    /// The generation it was observed for.
    pub observed_generation: u64,
}

/// Where a service is, in one word for people. Decisions rest on conditions, not on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Not run by Tanuki.
    External,
    /// Not wanted and not running.
    Stopped,
    /// Wanted; nothing runs yet.
    Pending,
    /// Its image is being pulled.
    Pulling,
    /// Runs; not healthy for the first time yet.
    Starting,
    /// Runs.
    Running,
    /// On its way down.
    Stopping,
    /// Ended too often; waits for its next try.
    Backoff,
    /// Needs a person.
    Failed,
    /// The engine does not tell.
    Unknown,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::External => "external",
            Self::Stopped => "stopped",
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Backoff => "CrashLoopBackOff",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// What the probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthWord {
    /// Does not run, so there is nothing to say.
    None,
    /// No verdict since it started.
    Starting,
    /// The last verdict was good.
    Healthy,
    /// Too many failures in a row.
    Unhealthy,
    /// The probe could not be carried out.
    Unknown,
}

impl fmt::Display for HealthWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "-",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        })
    }
}

/// How one probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// The service answered as it should.
    Success,
    /// It did not.
    Failure,
    /// The probe could not be carried out; changes nothing.
    Unknown,
}

/// A probe that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// When it ended.
    pub time: Time,
    /// How it went.
    pub verdict: ProbeVerdict,
    /// What it printed, or why it failed; one short text.
    pub output: String,
}

/// Everything known of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// What program it is.
    pub service_type: ServiceType,
    /// Whether the configuration has it enabled.
    pub enabled: bool,
    /// What was asked for last.
    pub desired: Desired,
    /// Where it is.
    pub state: ServiceState,
    /// What the probes say.
    pub health: HealthWord,
    /// Image reference.
    pub image: String,
    /// Container name on the engine.
    pub container: String,
    /// Container id, when there is one.
    pub container_id: Option<String>,
    /// Host name as agents reach it.
    pub host: String,
    /// Port as agents reach it.
    pub port: Option<u16>,
    /// Port on 127.0.0.1 of the host, as published now.
    pub host_port: Option<u16>,
    /// When the program was last started.
    pub started_at: Option<Time>,
    /// How often the program was restarted since a person last asked for a start.
    pub restarts: u32,
    /// How its last run ended.
    pub last_exit_code: Option<i64>,
    /// The last probe.
    pub last_probe: Option<ProbeRecord>,
    /// When it is tried again, while it waits.
    pub next_try: Option<Time>,
    /// Why it is not ready, as one CamelCase word; `Ready` when it is.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// How often what is wanted has changed.
    pub generation: u64,
    /// The generation this status is about.
    pub observed_generation: u64,
    /// Observations.
    pub conditions: Vec<Condition>,
}

impl ServiceStatus {
    /// Whether agents can use it now.
    pub fn is_ready(&self) -> bool {
        self.state == ServiceState::Running && self.health == HealthWord::Healthy
    }
}
