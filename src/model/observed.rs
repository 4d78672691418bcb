//! What a pass saw on the engine, in plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Time;

/// The state of a container, as far as a plan cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerPhase {
    /// Never started, or its last start failed before the program ran.
    Created,
    /// Its program runs.
    Running,
    /// Frozen by hand.
    Paused,
    /// On its way from one state to another.
    Changing,
    /// Its program ended.
    Exited,
    /// Unusable; only removal helps.
    Dead,
}

/// A container of this project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// Engine id.
    pub id: String,
    /// Name on the engine.
    pub name: String,
    /// State.
    pub phase: ContainerPhase,
    /// How its last run ended.
    pub exit_code: Option<i64>,
    /// Whether that was for want of memory.
    pub oom_killed: bool,
    /// When it was last started.
    pub started_at: Option<Time>,
    /// When its last run ended.
    pub finished_at: Option<Time>,
    /// Published ports.
    pub ports: Vec<ObservedPort>,
    /// Names of networks it is on.
    pub networks: Vec<String>,
    /// Digest of what it was made from.
    pub spec_hash: String,
    /// Digests by field of what it was made from.
    pub spec_fields: BTreeMap<String, String>,
    /// What the engine says went wrong at its last start.
    pub error: Option<String>,
}

impl ObservedContainer {
    /// The host port that shows `container_port`.
    pub fn host_port(&self, container_port: u16) -> Option<u16> {
        self.ports.iter().find(|port| port.container == container_port).map(|port| port.host)
    }
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPort {
    /// Port inside.
    pub container: u16,
    /// Port on the host.
    pub host: u16,
    /// Address on the host.
    pub ip: IpAddr,
}

/// A volume of this project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// Name on the engine.
    pub name: String,
    /// Whose data is in it (`postgres-16`), where it was recorded.
    pub data_version: Option<String>,
}

/// What a plan needs to know of a local image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Content id.
    pub id: String,
    /// Program and major version, where the image tells (`postgres-16`).
    pub data_version: Option<String>,
}
