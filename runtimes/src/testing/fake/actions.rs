//! What a test does to the world behind the caller's back.

use std::path::PathBuf;
use std::time::Duration;

use super::FakeRuntime;
use super::container::FakeContainer;
use super::image::{Behaviour, FakeImage, normal};
use super::objects::image_id;
use super::world::{Outage, World};
use crate::{
    Container, ContainerSpec, ContainerState, EventAction, Labels, ListFilter, Listing, ObjectKind, Result,
};

/// Images and the host.
impl FakeRuntime {
    /// Puts an image on the engine and into the registry.
    pub fn add_image(&self, reference: &str, image: FakeImage) {
        self.publish_image(reference, image.clone());
        self.with(|world| world.images.insert(normal(reference), image));
    }

    /// Puts an image into the registry only.
    pub fn publish_image(&self, reference: &str, image: FakeImage) {
        self.with(|world| world.registry.insert(normal(reference), image));
    }

    /// Removes an image from the engine; containers made from it stay.
    pub fn remove_image(&self, reference: &str) {
        let reference = normal(reference);
        self.with(|world| {
            if world.images.remove(&reference).is_some() {
                let id = image_id(&reference);
                world.emit_plain(ObjectKind::Image, EventAction::Removed, &id, &reference);
            }
        });
    }

    /// Whether an image is on the engine.
    pub fn has_image(&self, reference: &str) -> bool {
        self.with(|world| world.images.contains_key(&normal(reference)))
    }

    /// Whether the registry can be reached.
    pub fn set_registry_down(&self, down: bool) {
        self.with(|world| world.registry_down = down);
    }

    /// A process of the host listens on this port.
    pub fn hold_port(&self, port: u16) {
        self.with(|world| world.host_ports.insert(port));
    }

    /// The process of [`hold_port`](Self::hold_port) ended.
    pub fn release_port(&self, port: u16) {
        self.with(|world| world.host_ports.remove(&port));
    }

    /// Whether a process of the host or a running container has this port.
    pub fn is_port_taken(&self, port: u16) -> bool {
        self.with(|world| world.port_holder(crate::PortBinding::loopback(0, port), "").is_some())
    }

    /// A path that can be bind-mounted although it is not on this machine.
    pub fn add_host_path(&self, path: impl Into<PathBuf>) {
        let path = path.into();
        self.with(|world| world.host_paths.insert(path));
    }

    /// Whether there is no space for anything new.
    pub fn set_disk_full(&self, full: bool) {
        self.with(|world| world.disk_full = full);
    }
}

/// The engine as a whole.
impl FakeRuntime {
    /// The engine cannot be reached until [`engine_up`](Self::engine_up); containers go on.
    pub fn engine_down(&self) {
        self.with(|world| world.go_down(Outage::UntilTold));
    }

    /// The engine can be reached again.
    pub fn engine_up(&self) {
        self.with(|world| {
            world.outage = Outage::None;
            world.version += 1;
        });
    }

    /// The engine restarts: everything that ran has exited, nobody is told, and for a while nothing answers.
    pub fn engine_restart(&self, outage: Duration) {
        self.with(|world| {
            let until = world.now + outage;
            world.go_down(if outage.is_zero() { Outage::None } else { Outage::Until(until) });
            let ids: Vec<String> = world.containers.keys().cloned().collect();
            for id in ids {
                world.die(&id, 137);
            }
        });
    }

    /// All that exists, in depth: for comparing with what somebody believes.
    pub fn listing(&self) -> Listing {
        self.with(|world| {
            let everything = ListFilter { networks_and_volumes: true, ..ListFilter::default() };
            let mut listing = world.list(&everything);
            for container in &mut listing.containers {
                if let Some(known) = world.containers.get(&container.id) {
                    *container = known.describe_in_depth(world.now);
                }
            }
            listing
        })
    }
}

/// The user, at the engine's own command line. None of this is in the log of writes.
impl FakeRuntime {
    /// Creates a container, started or not, as somebody else's (or as a stray of ours, by its labels).
    pub fn user_creates(&self, spec: &ContainerSpec, start: bool) -> Result<String> {
        self.with(|world| {
            let id = world.add_container(spec)?;
            if start {
                world.begin("start container", &id)?;
            }
            Ok(id)
        })
    }

    /// Creates a network.
    pub fn user_creates_network(&self, name: &str, labels: &Labels) {
        self.with(|world| {
            world.add_network(name, labels);
        });
    }

    /// Creates a volume.
    pub fn user_creates_volume(&self, name: &str, labels: &Labels) {
        self.with(|world| world.add_volume(name, labels));
    }

    /// `rm -f`; whether there was such a container.
    pub fn user_removes(&self, name: &str) -> bool {
        self.with(|world| world.find(name).map(|id| world.erase(&id)).is_some())
    }

    /// `stop`: it has exited at once. Whether it ran.
    pub fn user_stops(&self, name: &str) -> bool {
        self.act(name, |world, id| {
            let code =
                world.containers.get(id).map_or(143, |c| if c.behaviour.ignores_term { 137 } else { 143 });
            let ran = world.containers.get(id).is_some_and(FakeContainer::is_running);
            world.die(id, code);
            ran
        })
    }

    /// `start`; whether it runs now.
    pub fn user_starts(&self, name: &str) -> bool {
        self.act(name, |world, id| {
            if world.containers.get(id).is_some_and(FakeContainer::is_running) {
                return true;
            }
            world.begin("start container", id).is_ok()
        })
    }

    /// `rename`; whether it was possible.
    pub fn user_renames(&self, name: &str, to: &str) -> bool {
        self.act(name, |world, id| {
            if world.find(to).is_some() {
                return false;
            }
            if let Some(container) = world.containers.get_mut(id) {
                container.name = to.into();
            }
            world.emit_container(id, EventAction::Other);
            true
        })
    }

    /// Disconnects what runs from a network and removes it. Containers that were on it cannot start again, though
    /// those that do not run still name it: they only fail when they are started.
    pub fn user_removes_network(&self, name: &str) -> bool {
        self.with(|world| {
            let Some(network) = world.networks.remove(name) else { return false };
            for container in world.containers.values_mut() {
                if container.is_running()
                    && container.network.as_ref().is_some_and(|(_, id)| *id == network.id)
                {
                    container.connected = false;
                }
            }
            world.emit_plain(ObjectKind::Network, EventAction::Removed, &network.id, name);
            true
        })
    }

    /// Removes a volume with what is in it, even from under its users.
    pub fn user_removes_volume(&self, name: &str) -> bool {
        self.with(|world| {
            let there = world.volumes.remove(name).is_some();
            if there {
                world.emit_plain(ObjectKind::Volume, EventAction::Removed, name, name);
            }
            there
        })
    }

    /// One mark for each start of a container that could write to the volume; `None` when there is no such volume.
    pub fn volume_data(&self, name: &str) -> Option<Vec<String>> {
        self.with(|world| world.volumes.get(name).map(|volume| volume.data.clone()))
    }

    /// The container of this name, whichever that is when it is used.
    pub fn container(&self, name: &str) -> ContainerHandle {
        ContainerHandle { runtime: self.clone(), name: name.into() }
    }

    fn act(&self, name: &str, action: impl FnOnce(&mut World, &str) -> bool) -> bool {
        self.with(|world| world.find(name).is_some_and(|id| action(world, &id)))
    }
}

/// A container in a test's hands. Nothing happens where there is none of that name.
#[derive(Debug, Clone)]
pub struct ContainerHandle {
    runtime: FakeRuntime,
    name: String,
}

impl ContainerHandle {
    /// All that is known of it.
    pub fn inspect(&self) -> Option<Container> {
        self.runtime.with(|world| {
            let container = world.find(&self.name).and_then(|id| world.containers.get(&id));
            container.map(|container| container.describe_in_depth(world.now))
        })
    }

    /// Its spec, as it was created.
    pub fn spec(&self) -> Option<ContainerSpec> {
        self.get(|container| container.spec.clone())
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.get(|container| container.starts).unwrap_or(0)
    }

    /// Whether a probe would succeed now.
    pub fn is_healthy(&self) -> bool {
        self.runtime.with(|world| {
            let now = world.now;
            let container = world.find(&self.name).and_then(|id| world.containers.get(&id));
            container.is_some_and(|container| container.is_responsive() && container.is_healthy(now))
        })
    }

    /// Its main process stops answering, as under SIGSTOP.
    pub fn hang(&self) {
        self.change(|container| container.hung = container.is_running());
    }

    /// It goes on after [`hang`](Self::hang).
    pub fn resume(&self) {
        self.change(|container| container.hung = false);
    }

    /// Its probes fail until [`recover`](Self::recover) or the next start.
    pub fn sicken(&self) {
        self.change(|container| container.sick = true);
    }

    /// Its probes succeed again.
    pub fn recover(&self) {
        self.change(|container| container.sick = false);
    }

    /// Its main process ends with this code.
    pub fn crash(&self, exit_code: i64) {
        self.runtime.act(&self.name, |world, id| {
            world.die(id, exit_code);
            true
        });
    }

    /// Its main process is killed for want of memory.
    pub fn run_out_of_memory(&self) {
        self.crash(137);
        self.change(|container| container.oom_killed = true);
    }

    /// The user freezes it.
    pub fn pause(&self) {
        self.change(|container| {
            if container.state == ContainerState::Running {
                container.state = ContainerState::Paused;
            }
        });
    }

    /// The user lets it go on.
    pub fn unpause(&self) {
        self.change(|container| {
            if container.state == ContainerState::Paused {
                container.state = ContainerState::Running;
            }
        });
    }

    /// From now on (boot and ignoring requests to end) or from the next start on (the rest).
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.change(|container| container.behaviour = behaviour);
    }

    fn get<T>(&self, read: impl FnOnce(&FakeContainer) -> T) -> Option<T> {
        self.runtime.with(|world| world.find(&self.name).and_then(|id| world.containers.get(&id)).map(read))
    }

    fn change(&self, change: impl FnOnce(&mut FakeContainer)) {
        self.runtime.act(&self.name, |world, id| {
            if let Some(container) = world.containers.get_mut(id) {
                change(container);
                world.version += 1;
                world.emit_container(id, EventAction::Other);
            }
            true
        });
    }
}
