//! One look at the engine: everything of this project, from one list.

use std::collections::BTreeMap;

use tanuki_runtimes::{Container, ContainerRuntime, ContainerState, Error, ListFilter, Listing};

use super::spec::{self, Owner};
use crate::model::{
    ContainerPhase, LabelKey, ObjectKind, ObservedContainer, ObservedPort, ObservedVolume, Time,
};

/// What of this project exists on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Service containers by service name. Where two claim one name, the one that runs, or the first by name.
    pub containers: BTreeMap<String, ObservedContainer>,
    /// The others that claim the name of one of those: two programs must never share one service's data.
    pub surplus: BTreeMap<String, Vec<ObservedContainer>>,
    /// How many other containers of the project there are: agents' ones.
    pub others: usize,
    /// Names of the project's networks.
    pub networks: Vec<String>,
    /// The project's volumes by name on the engine.
    pub volumes: BTreeMap<String, ObservedVolume>,
}

impl World {
    /// The containers of a service beside the one in [`containers`](Self::containers).
    pub fn surplus(&self, name: &str) -> &[ObservedContainer] {
        self.surplus.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Lists the project's objects: one call per object kind, none per object.
///
/// # Errors
///
/// Whatever the engine says; nothing is known then, not even absence.
pub async fn world(runtime: &dyn ContainerRuntime, owner: &Owner) -> Result<World, Error> {
    let listing = runtime.list(&ListFilter { labels: owner.labels(), networks_and_volumes: true }).await?;
    Ok(from_listing(listing))
}

fn from_listing(listing: Listing) -> World {
    let mut containers = BTreeMap::new();
    let mut surplus: BTreeMap<String, Vec<ObservedContainer>> = BTreeMap::new();
    let mut others = 0;
    for container in listing.containers {
        let (Some(kind), Some(name)) =
            (container.labels.get(LabelKey::KIND), container.labels.get(LabelKey::NAME))
        else {
            continue;
        };
        if kind == ObjectKind::Service.to_string() {
            let name = name.to_owned();
            let observed = observed(container);
            let better = containers.get(&name).is_none_or(|other: &ObservedContainer| {
                observed.phase == ContainerPhase::Running && other.phase != ContainerPhase::Running
            });
            let other = if better { containers.insert(name.clone(), observed) } else { Some(observed) };
            if let Some(other) = other {
                surplus.entry(name).or_default().push(other);
            }
        } else {
            others += 1;
        }
    }
    let volumes = listing
        .volumes
        .into_iter()
        .map(|volume| {
            let data_version = volume.labels.get(LabelKey::DATA_VERSION).map(ToOwned::to_owned);
            (volume.name.clone(), ObservedVolume { name: volume.name, data_version })
        })
        .collect();
    World {
        containers,
        surplus,
        others,
        networks: listing.networks.into_iter().map(|network| network.name).collect(),
        volumes,
    }
}

/// An engine's container in the planner's words.
pub fn observed(container: Container) -> ObservedContainer {
    ObservedContainer {
        phase: match container.state {
            ContainerState::Created => ContainerPhase::Created,
            ContainerState::Running => ContainerPhase::Running,
            ContainerState::Paused => ContainerPhase::Paused,
            ContainerState::Stopping | ContainerState::Removing => ContainerPhase::Changing,
            ContainerState::Exited => ContainerPhase::Exited,
            ContainerState::Dead => ContainerPhase::Dead,
        },
        exit_code: container.exit_code,
        oom_killed: container.oom_killed,
        started_at: container.started_at.map(Time::from),
        finished_at: container.finished_at.map(Time::from),
        ports: container
            .ports
            .iter()
            .map(|port| ObservedPort {
                container: port.container_port,
                host: port.host_port,
                ip: port.host_ip,
            })
            .collect(),
        spec_hash: container.labels.get(LabelKey::SPEC_HASH).unwrap_or_default().to_owned(),
        spec_fields: spec::decode_fields(container.labels.get(LabelKey::SPEC_FIELDS).unwrap_or_default()),
        networks: container.networks,
        error: container.error,
        id: container.id,
        name: container.name,
    }
}
