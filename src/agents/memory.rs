//! What the controller remembers of agents between passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use crate::model::{AgentSettings, ServiceSpec, Time};

/// Everything remembered, behind one lock that is never held over an await.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) settings: Arc<AgentSettings>,
    pub(super) services: BTreeMap<String, ServiceSpec>,
    pub(super) environment: Environment,
    pub(super) records: BTreeMap<String, Record>,
    /// Names of the throw-away containers that are in use.
    pub(super) helpers: BTreeSet<String>,
}

/// One agent's memory. Lost with the controller.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The last step that failed, until one succeeds or a person asks anew.
    pub(super) failure: Option<String>,
    /// When its container was last started, by container id; some engines have to be asked for it.
    pub(super) started: Option<(String, Time)>,
    /// Services whose names were found in its container.
    pub(super) named: BTreeSet<String>,
}

/// What is remembered of an agent in the store, beside its specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Saved {
    /// What `spawn` named; the rest follows the configuration when the container is made anew.
    pub(super) asked: Asked,
    /// The container that was made for it and not removed here.
    pub(super) container: Option<String>,
    /// When that container was last seen to have been started, by its id: to ask the engine for it takes a call for
    /// each container.
    pub(super) started: Option<(String, Time)>,
    /// Whether the workspace had work that is not committed, when it was last looked at.
    pub(super) dirty: Option<bool>,
}

/// What a person chose for an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) adapter: Option<String>,
    pub(super) image: Option<String>,
    pub(super) model: Option<String>,
}

impl Saved {
    /// What was saved; something that cannot be read is as good as nothing.
    pub(super) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
