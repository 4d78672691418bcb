//! The state of the fake engine and the rules it keeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::Write;
use super::container::FakeContainer;
use super::image::FakeImage;
use super::streams::Subscriber;
use crate::{
    ContainerState, Error, ErrorKind, Event, EventAction, Labels, LogLine, Network, ObjectKind, Result,
};

/// When the engine can be reached again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    None,
    Until(Instant),
    UntilTold,
}

#[derive(Debug)]
pub(super) struct FakeVolume {
    pub(super) labels: Labels,
    /// One mark for each start of a container that could write to it.
    pub(super) data: Vec<String>,
}

pub(super) struct World {
    pub(super) latency: Duration,
    pub(super) detailed_lists: bool,
    pub(super) report_lag: Duration,
    pub(super) images: BTreeMap<String, FakeImage>,
    pub(super) registry: BTreeMap<String, FakeImage>,
    pub(super) registry_down: bool,
    /// By id.
    pub(super) containers: BTreeMap<String, FakeContainer>,
    /// By name.
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) volumes: BTreeMap<String, FakeVolume>,
    pub(super) host_ports: BTreeSet<u16>,
    pub(super) host_paths: BTreeSet<PathBuf>,
    pub(super) disk_full: bool,
    pub(super) outage: Outage,
    /// How often the engine went down; a call that sees another number lost its connection.
    pub(super) outages: u64,
    pub(super) history: Vec<(Duration, Event)>,
    pub(super) subscribers: BTreeMap<u64, Subscriber>,
    pub(super) writes: Vec<Write>,
    pub(super) execs: Vec<Write>,
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// Goes up with each change that somebody may wait for.
    pub(super) version: u64,
    pub(super) rng: Rng,
    pub(super) now: Instant,
    made: Instant,
    serial: u64,
}

impl World {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self {
            latency: Duration::from_millis(1),
            detailed_lists: false,
            report_lag: Duration::ZERO,
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            registry_down: false,
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            host_ports: BTreeSet::new(),
            host_paths: BTreeSet::new(),
            disk_full: false,
            outage: Outage::None,
            outages: 0,
            history: Vec::new(),
            subscribers: BTreeMap::new(),
            writes: Vec::new(),
            execs: Vec::new(),
            calls: BTreeMap::new(),
            version: 0,
            rng: Rng::with_seed(seed),
            now,
            made: now,
            serial: 0,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.made)
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// An id nobody had before.
    pub(super) fn new_id(&mut self) -> String {
        let serial = self.next_serial();
        format!("{:016x}{:016x}{:016x}{serial:016x}", self.rng.u64(..), self.rng.u64(..), self.rng.u64(..))
    }

    /// Lets everything happen that is due by `now`, in its order.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.version += 1;
            if self.outage == Outage::Until(due) {
                self.outage = Outage::None;
            }
            let ids: Vec<String> = self.containers.keys().cloned().collect();
            for id in ids {
                self.settle_container(&id, due);
            }
        }
        self.now = self.now.max(now);
    }

    fn settle_container(&mut self, id: &str, due: Instant) {
        let made = self.made;
        let Some(container) = self.containers.get_mut(id) else { return };
        while let Some(line) = container.pending.pop_front_if(|line| line.at <= due) {
            let time = std::time::UNIX_EPOCH + line.at.saturating_duration_since(made);
            container.log.push(LogLine { stream: line.stream, time: Some(time), bytes: line.bytes });
        }
        if container.killed_at.is_some_and(|at| at <= due) {
            self.die(id, 137);
        } else if container.is_responsive()
            && let Some((at, code)) = container.dies_at
            && at <= due
        {
            self.die(id, code);
        }
    }

    /// When the next change is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let outage = match self.outage {
            Outage::Until(until) => Some(until),
            Outage::None | Outage::UntilTold => None,
        };
        self.containers.values().filter_map(FakeContainer::next_due).chain(outage).min()
    }

    pub(super) fn check_up(&self, operation: &'static str, subject: &str) -> Result<()> {
        match self.outage {
            Outage::None => Ok(()),
            Outage::Until(_) | Outage::UntilTold => {
                Err(Error::new(ErrorKind::Unavailable, operation, subject, "the engine is down"))
            }
        }
    }

    pub(super) fn check_disk(&self, operation: &'static str, subject: &str) -> Result<()> {
        if self.disk_full {
            return Err(Error::new(ErrorKind::DiskFull, operation, subject, "no space left on device"));
        }
        Ok(())
    }

    /// Id of the container of that id or name.
    pub(super) fn find(&self, id_or_name: &str) -> Option<String> {
        if self.containers.contains_key(id_or_name) {
            return Some(id_or_name.into());
        }
        self.containers.values().find(|container| container.name == id_or_name).map(|c| c.id.clone())
    }

    pub(super) fn container_mut(
        &mut self,
        operation: &'static str,
        id_or_name: &str,
    ) -> Result<&mut FakeContainer> {
        self.find(id_or_name)
            .and_then(|id| self.containers.get_mut(&id))
            .ok_or_else(|| Error::new(ErrorKind::NotFound, operation, id_or_name, "no such container"))
    }

    /// Notes a mutating call on an object with these labels, or for one that is to have `wanted`;
    /// [`changed`](Self::changed) tells later that it did something.
    pub(super) fn note(&mut self, method: &'static str, name: &str, have: Option<&Labels>, wanted: &Labels) {
        let (at, existed) = (self.elapsed(), have.is_some());
        let labels = have.unwrap_or(wanted).clone();
        self.writes.push(Write { at, method, name: name.into(), existed, labels, changed: false });
    }

    /// Like [`note`](Self::note), on a container that may or may not exist.
    pub(super) fn note_container(&mut self, method: &'static str, id_or_name: &str, wanted: &Labels) {
        let known = self.find(id_or_name).and_then(|id| self.containers.get(&id));
        let known = known.map(|container| (container.name.clone(), container.spec.labels.clone()));
        match known {
            Some((name, labels)) => self.note(method, &name, Some(&labels), wanted),
            None => self.note(method, id_or_name, None, wanted),
        }
    }

    /// The call noted last changed the world.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        if let Some(write) = self.writes.last_mut() {
            write.changed = true;
        }
    }

    /// The main process of a container ended.
    pub(super) fn die(&mut self, id: &str, exit_code: i64) {
        let (elapsed, shown_until) = (self.elapsed(), self.now + self.report_lag);
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_running()) else {
            return;
        };
        container.shown = Some((shown_until, container.describe_in_depth(self.now)));
        container.end(elapsed, exit_code);
        self.version += 1;
        self.emit_container(id, EventAction::Died);
    }

    /// A container goes, dead or alive.
    pub(super) fn erase(&mut self, id: &str) {
        self.die(id, 137);
        self.emit_container(id, EventAction::Removed);
        self.containers.remove(id);
        self.version += 1;
    }

    pub(super) fn emit_container(&mut self, id: &str, action: EventAction) {
        let Some(container) = self.containers.get(id) else { return };
        self.emit(Event {
            object: ObjectKind::Container,
            action,
            id: container.id.clone(),
            name: Some(container.name.clone()),
            labels: container.spec.labels.clone(),
        });
    }

    /// Networks, volumes and images: no labels, as on some engines.
    pub(super) fn emit_plain(&mut self, object: ObjectKind, action: EventAction, id: &str, name: &str) {
        let labels = Labels::default();
        self.emit(Event { object, action, id: id.into(), name: Some(name.into()), labels });
    }

    fn emit(&mut self, event: Event) {
        for subscriber in self.subscribers.values_mut() {
            subscriber.offer(&event);
        }
        self.history.push((self.elapsed(), event));
        self.version += 1;
    }

    /// The engine cannot be reached any more; whoever is connected is cut off.
    pub(super) fn go_down(&mut self, outage: Outage) {
        self.outage = outage;
        self.outages += 1;
        self.version += 1;
        for subscriber in self.subscribers.values_mut() {
            subscriber.cut = true;
        }
    }

    /// Who publishes this port, other than `id`: a container's name, or nothing for a process of the host.
    pub(super) fn port_holder(&self, port: crate::PortBinding, id: &str) -> Option<Option<String>> {
        if self.host_ports.contains(&port.host_port) {
            return Some(None);
        }
        let clashes = |other: &crate::PortBinding| {
            other.host_port == port.host_port
                && (other.host_ip == port.host_ip
                    || other.host_ip.is_unspecified()
                    || port.host_ip.is_unspecified())
        };
        let mut others = self.containers.values().filter(|other| other.id != id && other.is_running());
        others.find(|other| other.spec.ports.iter().any(clashes)).map(|other| Some(other.name.clone()))
    }

    /// Begins the main process of a container that is not running.
    pub(super) fn begin(&mut self, operation: &'static str, id: &str) -> Result<()> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let name = container.name.clone();
        let missing =
            |what: &str| Error::new(ErrorKind::NotFound, operation, &name, format!("no such {what}"));
        let mut trouble = None;
        for (network, network_id) in container.network.iter().chain(&container.further) {
            if self.networks.get(network).is_none_or(|now| now.id != *network_id) {
                trouble = Some(missing(&format!("network: {network}")));
            }
        }
        if let Some(volume) = container.volumes().iter().find(|volume| !self.volumes.contains_key(*volume)) {
            trouble = Some(missing(&format!("volume: {volume}")));
        }
        for port in &container.spec.ports {
            if let Some(holder) = self.port_holder(*port, id) {
                let holder = holder.unwrap_or_else(|| "a process of the host".into());
                let detail = format!("port {} is held by {holder}", port.host_port);
                let kind = ErrorKind::PortTaken { port: Some(port.host_port) };
                trouble = Some(Error::new(kind, operation, &name, detail));
            }
        }
        let (now, elapsed) = (self.now, self.elapsed());
        let pid = u32::try_from(self.next_serial()).unwrap_or(u32::MAX).saturating_add(1000);
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        if let Some(error) = trouble {
            container.error = Some(error.detail.clone());
            return Err(error);
        }
        container.begin(now, elapsed, pid);
        let mark = format!("{} start {}", container.name, container.starts);
        let writable: Vec<String> = container
            .spec
            .mounts
            .iter()
            .filter(|mount| !mount.read_only)
            .filter_map(|mount| match &mount.source {
                crate::MountSource::Volume(name) => Some(name.clone()),
                crate::MountSource::Bind { .. } | crate::MountSource::Tmpfs(_) => None,
            })
            .collect();
        for volume in writable {
            if let Some(volume) = self.volumes.get_mut(&volume) {
                volume.data.push(mark.clone());
            }
        }
        self.emit_container(id, EventAction::Started);
        Ok(())
    }

    /// A container that runs and can be entered.
    pub(super) fn enter(&mut self, operation: &'static str, id_or_name: &str) -> Result<&mut FakeContainer> {
        let container = self.container_mut(operation, id_or_name)?;
        match container.state {
            ContainerState::Running | ContainerState::Stopping => Ok(container),
            state => {
                let detail = format!("container is {state:?}, not running");
                Err(Error::new(ErrorKind::Conflict, operation, id_or_name, detail))
            }
        }
    }

    /// Events from `since` on, for a new subscriber.
    pub(super) fn past_events(&self, since: Option<Duration>) -> VecDeque<Event> {
        let Some(since) = since else { return VecDeque::new() };
        self.history.iter().filter(|(at, _)| *at >= since).map(|(_, event)| event.clone()).collect()
    }
}
