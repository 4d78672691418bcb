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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        Health, HealthWord, HostPort, Inject, Probe, PullPolicy, Resources, Restart, ServiceType,
    };

    fn service(name: &str, inject: &[(&str, &str)]) -> (String, ServiceSpec) {
        let env = inject.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let spec = ServiceSpec {
            name: name.to_owned(),
            service_type: ServiceType::Redis,
            enabled: true,
            external: None,
            image: "redis:7".to_owned(),
            pull: PullPolicy::Missing,
            entrypoint: None,
            command: None,
            environment: BTreeMap::new(),
            port: Some(6379),
            host_port: HostPort::Auto,
            ports: Vec::new(),
            volumes: Vec::new(),
            tmpfs: Vec::new(),
            user: None,
            shm_size: None,
            stop_signal: None,
            stop_grace: Duration::from_secs(10),
            probe: Probe::Builtin,
            health: Health::default(),
            restart: Restart::default(),
            inject: Inject { prefix: None, env },
            resources: Resources::default(),
        };
        (name.to_owned(), spec)
    }

    fn status(name: &str, desired: Desired, healthy: bool) -> (String, ServiceStatus) {
        let status = ServiceStatus {
            name: name.to_owned(),
            service_type: ServiceType::Redis,
            enabled: true,
            desired,
            state: ServiceState::Running,
            health: if healthy { HealthWord::Healthy } else { HealthWord::Unhealthy },
            image: String::new(),
            container: String::new(),
            container_id: None,
            host: String::new(),
            port: None,
            host_port: None,
            started_at: None,
            restarts: 0,
            last_exit_code: None,
            last_probe: None,
            next_try: None,
            reason: String::new(),
            message: String::new(),
            generation: 1,
            observed_generation: 1,
            conditions: Vec::new(),
        };
        (name.to_owned(), status)
    }

    #[test]
    fn variables_come_with_health_stay_through_trouble_and_go_with_the_wish() {
        let specs: BTreeMap<_, _> = [service("cache", &[])].into();
        let told = |desired, healthy| [status("cache", desired, healthy)].into();
        let never = Environment::default().next(&specs, &told(Desired::Running, false));
        assert_eq!((never.missing.as_slice(), never.remembered.generation), (&["cache".to_owned()][..], 0));
        let healthy = never.next(&specs, &told(Desired::Running, true));
        assert_eq!((healthy.missing.len(), healthy.remembered.generation), (0, 1));
        assert!(healthy.variables.iter().any(|variable| variable.name == "CACHE_HOST"));
        let ill = healthy.next(&specs, &told(Desired::Running, false));
        assert_eq!((ill.variables.len(), ill.remembered.generation), (healthy.variables.len(), 1));
        assert_eq!((ill.missing.len(), ill.unhealthy.as_slice()), (0, &["cache".to_owned()][..]));
        // Another controller begins where this one ended, before it has seen a service.
        let next = Environment::remembered(ill.remembered.clone()).next(&specs, &BTreeMap::new());
        assert_eq!((next.variables, next.remembered.generation), (ill.variables.clone(), 1));
        let stopped = ill.next(&specs, &told(Desired::Stopped, false));
        assert_eq!((stopped.variables.len(), stopped.remembered.generation), (0, 2));
    }

    #[test]
    fn a_conflict_leaves_no_variables_and_an_agents_own_hide_a_services() {
        let statuses = [status("a", Desired::Running, true), status("b", Desired::Running, true)].into();
        let specs = [service("a", &[("X", "1")]), service("b", &[("X", "2")])].into();
        let conflict = Environment::default().next(&specs, &statuses);
        assert!(conflict.conflict.is_some() && conflict.variables.is_empty());
        let specs = [service("a", &[("HOME", "/elsewhere")])].into();
        let environment = Environment::default().next(&specs, &statuses);
        let (env, hidden) = environment.of_agent("api");
        assert_eq!(env["HOME"], "/tanuki/home");
        assert_eq!(hidden.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["HOME"]);
    }
}
