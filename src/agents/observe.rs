//! One look at the engine: the containers of this project's agents, from one list.

use std::collections::BTreeMap;

use tanuki_runtimes::{ContainerRuntime, Error, ListFilter, Listing};

use crate::git::Head;
use crate::model::{ContainerPhase, LabelKey, ObjectKind, ObservedContainer};
use crate::services::observe::observed;
use crate::services::spec::Owner;

/// What of this project's agents exists on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Containers by agent. Where two claim one agent, the one that runs, or the first by name.
    pub containers: BTreeMap<String, ObservedContainer>,
    /// The others.
    pub surplus: BTreeMap<String, Vec<ObservedContainer>>,
    /// Throw-away containers.
    pub helpers: Vec<ObservedContainer>,
    /// What the labels of containers say that agents were spawned as, by agent.
    pub specs: BTreeMap<String, String>,
    /// Where the agents' branches are in the project.
    pub heads: BTreeMap<String, Head>,
}

impl World {
    /// The containers of an agent beside the one in [`containers`](Self::containers).
    pub fn surplus(&self, agent: &str) -> &[ObservedContainer] {
        self.surplus.get(agent).map_or(&[], Vec::as_slice)
    }
}

/// Lists the containers of agents: all, or one's.
///
/// # Errors
///
/// Whatever the engine says; nothing is known then, not even absence.
pub(super) async fn world(
    runtime: &dyn ContainerRuntime,
    owner: &Owner,
    agent: Option<&str>,
) -> Result<World, Error> {
    let mut labels = owner.labels();
    if let Some(agent) = agent {
        labels.0.insert(LabelKey::NAME.into(), agent.to_owned());
    }
    Ok(from_listing(runtime.list(&ListFilter { labels, networks_and_volumes: false }).await?))
}

fn from_listing(listing: Listing) -> World {
    let mut world = World::default();
    for container in listing.containers {
        let kind = container.labels.get(LabelKey::KIND).unwrap_or_default().to_owned();
        let Some(name) = container.labels.get(LabelKey::NAME).map(ToOwned::to_owned) else { continue };
        if kind == ObjectKind::Helper.to_string() {
            world.helpers.push(observed(container));
        } else if kind == ObjectKind::Agent.to_string() {
            if let Some(spec) = container.labels.get(LabelKey::AGENT_SPEC) {
                world.specs.insert(name.clone(), spec.to_owned());
            }
            let observed = observed(container);
            let better = world.containers.get(&name).is_none_or(|other| {
                observed.phase == ContainerPhase::Running && other.phase != ContainerPhase::Running
            });
            let other = if better { world.containers.insert(name.clone(), observed) } else { Some(observed) };
            if let Some(other) = other {
                world.surplus.entry(name).or_default().push(other);
            }
        }
    }
    world
}
