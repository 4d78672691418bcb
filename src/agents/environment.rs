//! What agents are told of services: which variables, of which services, and a number that says which set it is.
//!
//! A service's variables are there once it was healthy, and stay while it is wanted running: a restart of it is no
//! news to anybody. They go when it is stopped or disabled, and change when its definition does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::container::base_env;
use crate::model::{Desired, ServiceSpec, ServiceState, ServiceStatus};
use crate::services::env::{EnvError, Side, Variable, variables};

/// What is remembered of the environment, in the store. Holds no values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Counts how often the variables changed.
    pub(super) generation: u64,
    /// Digest of the variables with their values. The store is as private as the values are.
    digest: String,
    /// Services whose variables are there.
    known: BTreeSet<String>,
}

/// The services' variables as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) remembered: Remembered,
    pub(super) variables: Vec<Variable>,
    /// Enabled services whose variables are not there, because they were never healthy.
    pub(super) missing: Vec<String>,
    /// Enabled services that are not healthy now.
    pub(super) unhealthy: Vec<String>,
    /// Why there are no variables at all.
    pub(super) conflict: Option<EnvError>,
}

impl Environment {
    /// The environment that follows this one, for these services.
    pub(super) fn next(
        &self,
        specs: &BTreeMap<String, ServiceSpec>,
        statuses: &BTreeMap<String, ServiceStatus>,
    ) -> Self {
        let mut next = Self::default();
        let mut given = Vec::new();
        for spec in specs.values().filter(|spec| spec.enabled) {
            let status = statuses.get(&spec.name);
            let healthy = spec.external.is_some() || status.is_some_and(ServiceStatus::is_ready);
            let unasked = status.is_none_or(|status| status.desired == Desired::Running);
            let known = self.remembered.known.contains(&spec.name) && unasked;
            if healthy || known {
                given.push(spec);
                next.remembered.known.insert(spec.name.clone());
            } else {
                next.missing.push(spec.name.clone());
            }
            if !healthy {
                next.unhealthy.push(spec.name.clone());
            }
        }
        match variables(given, Side::Agent, &BTreeMap::new()) {
            Ok(variables) => next.variables = variables,
            Err(conflict) => next.conflict = Some(conflict),
        }
        next.remembered.digest = digest(&next.variables);
        let changed = next.remembered.digest != self.remembered.digest;
        next.remembered.generation = self.remembered.generation + u64::from(changed);
        next
    }

    /// The environment as another controller left it, before any service was looked at.
    pub(super) fn remembered(remembered: Remembered) -> Self {
        Self { remembered, ..Self::default() }
    }

    /// Everything a process of this agent is started with, and which variables of services the agent's own hide.
    pub(super) fn of_agent(&self, agent: &str) -> (BTreeMap<String, String>, Vec<&Variable>) {
        let own = base_env(agent);
        let hidden = self.variables.iter().filter(|variable| own.contains_key(&variable.name)).collect();
        let mut env: BTreeMap<String, String> =
            self.variables.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
        env.extend(own);
        (env, hidden)
    }
}

/// What is wrong with a service that is not healthy, in a few words.
pub(super) fn trouble(status: Option<&ServiceStatus>) -> &'static str {
    match status.map(|status| status.state) {
        None | Some(ServiceState::Stopped) => "it is not started",
        Some(ServiceState::Failed | ServiceState::Backoff) => "it failed",
        Some(_) => "it is not healthy yet",
    }
}

fn digest(variables: &[Variable]) -> String {
    if variables.is_empty() {
        return String::new();
    }
    let mut hash = Sha256::new();
    for variable in variables {
        for part in [&variable.name, &variable.value] {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
