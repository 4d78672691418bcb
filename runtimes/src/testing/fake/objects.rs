//! How objects of the fake engine come to be, and how they are listed.

use std::collections::VecDeque;

use super::container::FakeContainer;
use super::image::normal;
use super::world::{FakeVolume, World};
use crate::{
    Container, ContainerSpec, ContainerState, Error, ErrorKind, EventAction, Holder, Labels, ListFilter,
    Listing, MountSource, Network, ObjectKind, Result, Volume,
};

impl World {
    pub(super) fn add_network(&mut self, name: &str, labels: &Labels) -> Network {
        let network = Network { id: self.new_id(), name: name.into(), labels: labels.clone() };
        self.networks.insert(name.into(), network.clone());
        self.emit_plain(ObjectKind::Network, EventAction::Created, &network.id, name);
        network
    }

    pub(super) fn add_volume(&mut self, name: &str, labels: &Labels) {
        self.volumes.insert(name.into(), FakeVolume { labels: labels.clone(), data: Vec::new() });
        self.emit_plain(ObjectKind::Volume, EventAction::Created, name, name);
    }

    pub(super) fn add_container(&mut self, spec: &ContainerSpec) -> Result<String> {
        const OPERATION: &str = "create container";
        let fail = |kind, detail: String| Err(Error::new(kind, OPERATION, &spec.name, detail));
        check_name(OPERATION, &spec.name)?;
        let mut host_ports: Vec<_> = spec.ports.iter().map(|port| (port.host_port, port.host_ip)).collect();
        host_ports.sort();
        if host_ports.iter().any(|(port, _)| *port == 0) || host_ports.windows(2).any(|w| w[0] == w[1]) {
            return fail(ErrorKind::Invalid, "a host port is 0 or there twice".into());
        }
        if let Some(holder) = self.find(&spec.name).and_then(|id| self.containers.get(&id)) {
            let holder = Holder { name: Some(holder.name.clone()), labels: holder.spec.labels.clone() };
            return fail(ErrorKind::NameTaken(Box::new(holder)), "the name is in use".into());
        }
        let reference = normal(&spec.image);
        let Some(image) = self.images.get(&reference).cloned() else {
            return fail(ErrorKind::ImageMissing, format!("no such image: {reference}"));
        };
        let network = match &spec.network {
            None => None,
            Some(wanted) => match self.networks.get(&wanted.network) {
                Some(network) => Some((network.name.clone(), network.id.clone())),
                None => return fail(ErrorKind::NotFound, format!("no such network: {}", wanted.network)),
            },
        };
        for mount in &spec.mounts {
            match &mount.source {
                _ if !mount.target.starts_with('/') => {
                    return fail(ErrorKind::Invalid, format!("mount target {} is relative", mount.target));
                }
                MountSource::Volume(name) if !self.volumes.contains_key(name) => {
                    return fail(ErrorKind::NotFound, format!("no such volume: {name}"));
                }
                MountSource::Bind { path, .. }
                    if !path.is_absolute() || !(self.host_paths.contains(path) || path.exists()) =>
                {
                    return fail(ErrorKind::Invalid, format!("no such path: {}", path.display()));
                }
                MountSource::Volume(_) | MountSource::Bind { .. } | MountSource::Tmpfs(_) => {}
            }
        }
        self.check_disk(OPERATION, &spec.name)?;
        let mut env = image.env.clone();
        env.extend(spec.env.clone());
        let id = self.new_id();
        let container = FakeContainer {
            id: id.clone(),
            name: spec.name.clone(),
            spec: spec.clone(),
            image_id: image_id(&reference),
            env,
            programs: image.programs,
            behaviour: image.behaviour,
            connected: network.is_some(),
            further: Vec::new(),
            network,
            state: ContainerState::Created,
            hung: false,
            sick: false,
            pid: None,
            exit_code: None,
            oom_killed: false,
            error: None,
            started_at: None,
            finished_at: None,
            running_since: None,
            starts: 0,
            dies_at: None,
            killed_at: None,
            pending: VecDeque::new(),
            log: Vec::new(),
            shown: None,
            probing_until: None,
        };
        self.containers.insert(id.clone(), container);
        self.emit_container(&id, EventAction::Created);
        Ok(id)
    }

    pub(super) fn list(&self, filter: &ListFilter) -> Listing {
        let mut containers: Vec<Container> = self
            .containers
            .values()
            .filter(|container| container.spec.labels.contains(&filter.labels))
            .map(|container| container.describe(self.now, self.detailed_lists))
            .collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        let mut listing = Listing { containers, ..Listing::default() };
        if filter.networks_and_volumes {
            let networks = self.networks.values().filter(|network| network.labels.contains(&filter.labels));
            listing.networks = networks.cloned().collect();
            let volumes = self.volumes.iter().filter(|(_, volume)| volume.labels.contains(&filter.labels));
            listing.volumes =
                volumes.map(|(name, v)| Volume { name: name.clone(), labels: v.labels.clone() }).collect();
        }
        listing
    }
}

/// Made from the reference, so that an image pulled again has the id it had.
pub(super) fn image_id(reference: &str) -> String {
    let hash = reference.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("sha256:{hash:016x}{hash:016x}{hash:016x}{hash:016x}")
}

pub(super) fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let valid = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if valid { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, operation, name, "malformed name")) }
}
