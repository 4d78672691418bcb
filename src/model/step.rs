//! What a plan consists of.

use serde::{Deserialize, Serialize};

use super::{ServiceState, Time};

/// One engine call, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The call.
    pub action: StepAction,
    /// Why, for `plan` and `events`. Never holds a secret.
    pub cause: String,
}

/// An engine call, decided in full: nothing is left for the executor to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Pull an image.
    PullImage {
        /// Its reference.
        image: String,
    },
    /// Make the project's network.
    EnsureNetwork {
        /// Its name on the engine.
        network: String,
    },
    /// Make a volume.
    EnsureVolume {
        /// Its name in the configuration.
        configured: String,
        /// Its name on the engine.
        volume: String,
        /// Whose data will be in it.
        data_version: Option<String>,
    },
    /// Make the service's container.
    Create {
        /// Its name.
        container: String,
        /// Host ports as (container, host).
        ports: Vec<(u16, u16)>,
    },
    /// Start a container.
    Start {
        /// Its name.
        container: String,
    },
    /// Stop a container.
    Stop {
        /// Its name.
        container: String,
        /// Milliseconds before it is killed.
        grace_ms: u64,
    },
    /// Remove a stopped container.
    Remove {
        /// Its name.
        container: String,
    },
    /// Remove the network.
    RemoveNetwork {
        /// Its name on the engine.
        network: String,
    },
    /// Remove a volume and its data, because a person asked.
    RemoveVolume {
        /// Its name on the engine.
        volume: String,
    },
}

/// What a pass over a service comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Engine calls, in order; empty when nothing is to be done.
    pub steps: Vec<Step>,
    /// Where the service is while the steps are carried out (or for good, when there are none).
    pub state: ServiceState,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// When to look again even if nothing happens.
    pub deadline: Option<Time>,
}
