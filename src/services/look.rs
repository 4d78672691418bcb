//! A look at a project's services without a controller: what there is, and what would be done. Changes nothing.

use std::collections::BTreeMap;

use tanuki_runtimes::{ContainerRuntime, Error};

use super::backoff::Backoff;
use super::health::HealthState;
use super::observe;
use super::plan::{self, Seen, SeenImage};
use super::record::{Record, Run};
use super::spec::{self, Owner};
use super::status;
use crate::model::{
    ContainerPhase, Desired, HealthWord, HostPort, ImageFacts, Names, ServicePlan, ServiceSpec,
    ServiceStatus, Time,
};
use crate::store::Store;

/// What is looked at, and through what.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The engine.
    pub runtime: &'a dyn ContainerRuntime,
    /// Wishes, where the project has any.
    pub store: Option<&'a Store>,
    /// Whose objects.
    pub owner: &'a Owner,
    /// What they are called.
    pub names: &'a Names,
    /// The services.
    pub specs: &'a BTreeMap<String, ServiceSpec>,
}

/// Status and plan of every service, by name; services without a configuration have only a plan.
///
/// Health is unknown: nobody probes while no controller runs.
///
/// # Errors
///
/// The engine failed: nothing is known.
pub async fn look(
    looked: Looked<'_>,
    now: Time,
) -> Result<(BTreeMap<String, ServiceStatus>, BTreeMap<String, ServicePlan>), Error> {
    let world = observe::world(looked.runtime, looked.owner).await?;
    let mut statuses = BTreeMap::new();
    let mut plans = BTreeMap::new();
    for (name, container) in world.containers.iter().filter(|(name, _)| !looked.specs.contains_key(*name)) {
        let containers: Vec<_> = std::iter::once(container).chain(world.surplus(name)).collect();
        plans.insert(name.clone(), plan::plan_orphan(&containers, 10_000));
    }
    for (name, spec) in looked.specs {
        // An unreadable store means that nobody's wishes are known, which is what a new one says too.
        let wish = looked.store.and_then(|store| store.wish(name).ok().flatten());
        let desired = wish.as_ref().map_or(Desired::Stopped, |wish| wish.desired);
        let restart = wish.as_ref().is_some_and(|wish| wish.restart);
        let wanted = spec::wanted(spec, looked.names, desired, restart);
        let container = world.containers.get(name);
        let saved = looked.store.and_then(|store| store.memory(name).ok().flatten());
        let backoff: Backoff = saved.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let mut record = Record { backoff, ..Record::default() };
        if let Some(container) = container.filter(|container| container.phase == ContainerPhase::Running) {
            let started_at = match container.started_at {
                Some(time) => time,
                None => looked.runtime.inspect(&container.id).await?.started_at.map_or(now, Time::from),
            };
            let run = Run { container_id: container.id.clone(), started_at };
            let health = HealthState::unprobed(run.id(), started_at);
            record.health = Some(HealthState { word: HealthWord::Healthy, ..health });
            record.run = Some(run);
        }
        let ports = ports(spec);
        let mut seen = Seen {
            container,
            surplus: world.surplus(name),
            network: world.networks.contains(&wanted.network),
            volumes: &world.volumes,
            image: SeenImage::NotAsked,
            pulled: false,
            ports: &ports,
            unstartable: None,
        };
        if plan::will_create(&wanted, &seen) {
            seen.image = match looked.runtime.image(&spec.image).await? {
                None => SeenImage::Absent,
                Some(image) => SeenImage::Present(ImageFacts {
                    data_version: spec::data_version(spec, &image.env),
                    id: image.id,
                }),
            };
        }
        let plan = plan::plan(&wanted, &seen, &record.backoff, record.health.as_ref(), now);
        if let Some(health) = &mut record.health {
            health.word = HealthWord::Unknown;
        }
        let generation = wish.map_or(0, |wish| wish.generation);
        let shown = without_steps(&plan, container.is_some_and(|c| c.phase == ContainerPhase::Running));
        statuses
            .insert(name.clone(), status::status(&wanted, &shown, container, &record, generation, now, None));
        plans.insert(name.clone(), plan);
    }
    Ok((statuses, plans))
}

/// What is, rather than what would be on its way if somebody carried out the plan.
fn without_steps(plan: &ServicePlan, running: bool) -> ServicePlan {
    use crate::model::ServiceState;
    let state = match plan.state {
        _ if plan.steps.is_empty() => plan.state,
        _ if running => ServiceState::Running,
        _ => ServiceState::Stopped,
    };
    ServicePlan { steps: Vec::new(), state, ..plan.clone() }
}

/// Host ports as they would be if all are free; choosing for good would change the table of leases.
fn ports(spec: &ServiceSpec) -> Vec<(u16, u16)> {
    let further = spec.ports.iter().map(|mapping| (mapping.container, mapping.host));
    spec.port
        .map(|port| (port, spec.host_port))
        .into_iter()
        .chain(further)
        .filter_map(|(container, host)| match host {
            HostPort::Auto => Some((container, container)),
            HostPort::Fixed(port) => Some((container, port)),
            HostPort::None => None,
        })
        .collect()
}
