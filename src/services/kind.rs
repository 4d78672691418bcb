//! The kind Service on the generic controller: observe, plan, execute, publish.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tanuki_runtimes::{ContainerRuntime, Event, EventAction, ObjectKind as EngineObject};

use super::backoff::Backoff;
use super::execute::Targets;
use super::follow;
use super::observe::{self, World};
use super::plan::{self, Seen, SeenImage};
use super::ports::{Claimant, PortBook};
use super::record::{Memory, Record};
use super::report::record_event;
use super::spec::{self, Owner};
use crate::controller::{Clock, Kind, Next, PassError, Publisher, Wake, Waker};
use crate::model::{
    ConditionStatus, ContainerPhase, Desired, EventType, HealthWord, HostPort, ImageFacts, LabelKey, Names,
    ObjectKind, ObservedContainer, ServiceSpec, ServiceState, Snapshot, Time, VolumeMount, VolumeSource,
};
use crate::store::{Store, StoreError, Wish};

/// What is looked at in one pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// What all services share: network and volumes.
    Project,
    /// One service.
    Service(String),
}

/// What the kind needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Wishes and history.
    pub store: Arc<Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Host ports.
    pub ports: Arc<dyn PortBook>,
    /// Whose objects these are.
    pub owner: Owner,
    /// What they are called.
    pub names: Names,
    /// Where state goes.
    pub publisher: Publisher<Snapshot>,
    /// The loop's ear.
    pub waker: Waker<Key>,
}

/// Keeps a project's services as they should be.
#[derive(Debug)]
pub struct Services {
    pub(super) deps: Deps,
    memory: Mutex<Memory>,
}

impl Services {
    /// The kind, for these services; see [`configure`](Self::configure) for later changes.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn new(deps: Deps, specs: BTreeMap<String, ServiceSpec>) -> Result<Arc<Self>, StoreError> {
        let events = deps.store.events(u32::try_from(super::report::EVENTS).unwrap_or(u32::MAX))?;
        deps.publisher.update(|snapshot| snapshot.events = events);
        let memory = Mutex::new(Memory { specs, records: BTreeMap::new() });
        Ok(Arc::new(Self { deps, memory }))
    }

    /// Takes another set of services, after the configuration changed.
    pub fn configure(&self, specs: BTreeMap<String, ServiceSpec>) {
        let newly_disabled: Vec<String> = {
            let mut memory = self.lock();
            if memory.specs == specs {
                return;
            }
            let disabled = memory
                .specs
                .values()
                .filter(|old| old.enabled && specs.get(&old.name).is_some_and(|new| !new.enabled))
                .map(|old| old.name.clone())
                .collect();
            let Memory { specs: current, records } = &mut *memory;
            for (name, spec) in &specs {
                if current.get(name) != Some(spec)
                    && let Some(record) = records.get_mut(name)
                {
                    // What failed with the old definition may do with the new one.
                    record.forgive();
                }
            }
            *current = specs;
            disabled
        };
        for name in newly_disabled {
            if let Err(error) = self.deps.store.set_desired(&name, Desired::Stopped, false) {
                tracing::warn!(%error, service = name, "cannot stop a service that was disabled");
            }
        }
        self.deps.waker.wake(Wake::All);
    }

    /// The engine told of something: look again, and distrust what was remembered of that container.
    pub fn on_event(&self, event: &Event) {
        let name = event.labels.get(LabelKey::NAME);
        match (event.object, event.action, name) {
            // Each probe is an event on some engines.
            (EngineObject::Container, EventAction::Other, _) | (EngineObject::Image, _, _) => {}
            // Containers of others join networks and mount volumes all the time, and such events carry no labels.
            (EngineObject::Network | EngineObject::Volume, action, _)
                if action == EventAction::Other
                    || event.name.as_ref().is_some_and(|name| !self.uses(name)) => {}
            // Not a service's: what it may hold is the network.
            (EngineObject::Container, action, _) if !is_service(event) => {
                if action == EventAction::Removed {
                    self.deps.waker.wake(Wake::Key(Key::Project));
                }
            }
            (EngineObject::Container, action, Some(name)) => {
                if let Some(record) = self.lock().records.get_mut(name) {
                    record.stale = true;
                    record.expect_end = if action == EventAction::Died { follow::EXPECT_END.0 } else { 0 };
                }
                self.deps.waker.wake(Wake::Key(Key::Service(name.to_owned())));
                if action == EventAction::Removed {
                    self.deps.waker.wake(Wake::Key(Key::Project));
                }
            }
            _ => self.deps.waker.wake(Wake::All),
        }
    }

    /// Whether the network or a volume of the project has this name on the engine.
    fn uses(&self, name: &str) -> bool {
        let names = &self.deps.names;
        let is_volume = |mount: &VolumeMount| matches!(&mount.source, VolumeSource::Named(configured) if names.volume(configured) == name);
        name == names.network() || self.lock().specs.values().any(|spec| spec.volumes.iter().any(is_volume))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        // Each change leaves the memory consistent, and a pass that panicked is repeated from what is seen.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_record<T>(&self, name: &str, use_record: impl FnOnce(&mut Record) -> T) -> T {
        use_record(self.lock().records.entry(name.to_owned()).or_default())
    }

    pub(super) fn now(&self) -> Time {
        self.deps.clock.now()
    }

    /// Records that something happened, in the store and in the snapshot.
    pub(super) fn record_event(&self, kind: EventType, object: &str, reason: &str, message: &str) {
        record_event(&self.deps.store, &self.deps.publisher, self.now(), (kind, object, reason, message));
    }

    pub(super) fn wish(&self, name: &str) -> Result<Wish, PassError> {
        let wish = self.deps.store.wish(name).map_err(PassError::new)?;
        Ok(wish.unwrap_or(Wish { desired: Desired::Stopped, generation: 0, restart: false }))
    }

    async fn reconcile_service(self: &Arc<Self>, name: &str, world: &World) -> Result<Next, PassError> {
        let spec = self.lock().specs.get(name).cloned();
        let Some(spec) = spec else { return self.reconcile_orphan(name, world).await };
        let wish = self.wish(name)?;
        let wanted = spec::wanted(&spec, &self.deps.names, wish.desired, wish.restart);
        self.load_memory(name)?;
        let wish = self.note_spec(name, &wanted, wish)?;
        let container = world.containers.get(name);
        let recheck = self.follow_run(&wanted, container).await?;
        let now = self.now();
        let (unstartable, avoid, pulled) = self.with_record(name, |record| {
            record.backoff.fit(&spec.restart, now);
            (record.unstartable.clone(), record.avoid.clone(), record.pulled)
        });
        let mut seen = Seen {
            container,
            surplus: world.surplus(name),
            network: world.networks.contains(&wanted.network),
            volumes: &world.volumes,
            image: SeenImage::NotAsked,
            pulled,
            ports: &[],
            unstartable: unstartable.as_deref(),
        };
        let mut ports = Vec::new();
        if plan::will_create(&wanted, &seen) {
            seen.image = self.look_at_image(&spec).await?;
            match self.assign_ports(&spec, container, &avoid) {
                Ok(assigned) => ports = assigned,
                Err(message) => {
                    return Ok(self.on_start_failed(
                        &wanted,
                        wish.generation,
                        container,
                        "PortTaken",
                        message,
                    ));
                }
            }
        }
        seen.ports = &ports;
        let plan = {
            let memory = self.lock();
            let record = memory.records.get(name);
            let backoff = record.map_or_else(Backoff::default, |record| record.backoff.clone());
            plan::plan(&wanted, &seen, &backoff, record.and_then(|record| record.health.as_ref()), now)
        };
        self.save_memory(name)?;
        self.publish(&wanted, &plan, container, wish.generation);
        if plan.steps.is_empty() {
            let wait = plan.deadline.map(|deadline| deadline.since(self.now()));
            return Ok(match (recheck, wait) {
                (Some(recheck), Some(wait)) => Next::After(recheck.min(wait)),
                (Some(wait), None) | (None, Some(wait)) => Next::After(wait),
                (None, None) => Next::Settled,
            });
        }
        self.execute(&wanted, &plan, &wish, &seen).await
    }

    /// A container of ours that the configuration does not have any more.
    async fn reconcile_orphan(self: &Arc<Self>, name: &str, world: &World) -> Result<Next, PassError> {
        let Some(container) = world.containers.get(name) else {
            self.lock().records.remove(name);
            self.deps.publisher.update(|snapshot| {
                snapshot.services.remove(name);
            });
            return Ok(Next::Settled);
        };
        let containers: Vec<_> = std::iter::once(container).chain(world.surplus(name)).collect();
        let plan = plan::plan_orphan(&containers, 10_000);
        let targets = Targets::seen(containers);
        for step in &plan.steps {
            self.execute_removal(&step.action, &targets).await.map_err(PassError::new)?;
        }
        self.deps.waker.wake(Wake::Key(Key::Project));
        self.record_event(EventType::Normal, &format!("service/{name}"), "Removed", &plan.message);
        Ok(Next::Again)
    }

    async fn look_at_image(&self, spec: &ServiceSpec) -> Result<SeenImage, PassError> {
        let image = self.deps.runtime.image(&spec.image).await.map_err(PassError::new)?;
        Ok(match image {
            None => SeenImage::Absent,
            Some(image) => SeenImage::Present(ImageFacts {
                data_version: spec::data_version(spec, &image.env),
                id: image.id,
            }),
        })
    }

    /// Chooses host ports. Ports of the container that is about to be replaced stay the service's.
    fn assign_ports(
        &self,
        spec: &ServiceSpec,
        container: Option<&ObservedContainer>,
        avoid: &[u16],
    ) -> Result<Vec<(u16, u16)>, String> {
        let mut assigned = Vec::new();
        let wanted = spec.port.map(|port| (port, spec.host_port));
        let further = spec.ports.iter().map(|mapping| (mapping.container, mapping.host));
        for (container_port, host) in wanted.into_iter().chain(further) {
            let own = container
                .filter(|container| container.phase == ContainerPhase::Running)
                .and_then(|container| container.host_port(container_port))
                .filter(|own| host == HostPort::Auto || host == HostPort::Fixed(*own));
            if let Some(own) = own.filter(|own| !avoid.contains(own)) {
                assigned.push((container_port, own));
                continue;
            }
            let claimant = Claimant {
                project: self.deps.owner.project.clone(),
                path: self.deps.owner.path.clone(),
                service: spec.name.clone(),
                container_port,
            };
            let port = self.deps.ports.assign(&claimant, host, avoid).map_err(|error| error.to_string())?;
            assigned.extend(port.map(|port| (container_port, port)));
        }
        Ok(assigned)
    }
}

/// Whether a container's event is about a service: said so, or not said.
fn is_service(event: &Event) -> bool {
    event.labels.get(LabelKey::KIND).is_none_or(|kind| kind == ObjectKind::Service.to_string())
}

#[async_trait]
impl Kind for Arc<Services> {
    type Key = Key;
    type World = World;

    async fn observe(&self) -> Result<World, PassError> {
        observe::world(self.deps.runtime.as_ref(), &self.deps.owner).await.map_err(PassError::new)
    }

    fn keys(&self, world: &World) -> Vec<Key> {
        let memory = self.lock();
        let mut names: Vec<&String> = memory.specs.keys().chain(world.containers.keys()).collect();
        names.sort();
        names.dedup();
        std::iter::once(Key::Project).chain(names.into_iter().cloned().map(Key::Service)).collect()
    }

    async fn reconcile(&self, key: &Key, world: &World) -> Result<Next, PassError> {
        match key {
            Key::Project => self.reconcile_project(world).await,
            Key::Service(name) => self.reconcile_service(name, world).await,
        }
    }

    fn on_observed(&self, result: Result<&World, &PassError>) {
        let now = self.now();
        let was_unavailable = self.deps.publisher.current().conditions.iter().any(|condition| {
            condition.kind == "EngineAvailable" && condition.status == ConditionStatus::False
        });
        match result {
            Ok(_) => {
                self.set_condition("EngineAvailable", ConditionStatus::True, "Listed", "", 0);
                self.deps.publisher.update(|snapshot| {
                    // Only the first time: a later one would be news each pass, about nothing.
                    snapshot.observed_at.get_or_insert(now);
                });
                if was_unavailable {
                    self.record_event(EventType::Normal, "engine", "Available", "the engine answers again");
                    self.deps.waker.wake(Wake::All);
                }
            }
            Err(error) => {
                self.set_condition(
                    "EngineAvailable",
                    ConditionStatus::False,
                    "ListFailed",
                    &error.message,
                    0,
                );
                if !was_unavailable {
                    self.record_event(EventType::Warning, "engine", "Unavailable", &error.message);
                }
                self.deps.publisher.update(|snapshot| {
                    for status in snapshot.services.values_mut() {
                        if status.state != ServiceState::External {
                            status.state = ServiceState::Unknown;
                            status.health = HealthWord::Unknown;
                            status.reason = "EngineUnavailable".into();
                            status.message = error.message.clone();
                        }
                    }
                });
            }
        }
    }

    fn on_failed(&self, key: &Key, error: &PassError) {
        let Key::Service(name) = key else { return };
        self.deps.publisher.update(|snapshot| {
            if let Some(status) = snapshot.services.get_mut(name) {
                status.reason = "Retrying".into();
                status.message = error.message.clone();
            }
        });
    }
}
