//! From a service's specification to its container: digests for drift, and the engine's own specification.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tanuki_runtimes::{ContainerSpec, Labels, Mount, MountSource, NetworkAttachment, PortBinding};

use super::plan::Wanted;
use super::probe;
use crate::model::{Desired, LabelKey, Names, ObjectKind, ProjectId, ServiceSpec, ServiceType, VolumeSource};

/// The project, as its objects' labels have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The project's id.
    pub project: ProjectId,
    /// The project's directory.
    pub path: String,
}

impl Owner {
    /// Labels that every object of the project carries, and that lists are filtered by.
    pub fn labels(&self) -> Labels {
        [(LabelKey::MANAGED, "true"), (LabelKey::PROJECT, &self.project.0)].into_iter().collect()
    }

    /// Labels of one object.
    pub fn object_labels(&self, kind: ObjectKind, name: &str) -> Labels {
        let mut labels = self.labels();
        labels.0.insert(LabelKey::PROJECT_PATH.into(), self.path.clone());
        labels.0.insert(LabelKey::KIND.into(), kind.to_string());
        labels.0.insert(LabelKey::NAME.into(), name.to_owned());
        labels
    }
}

/// Decides every name and digest of a service.
pub fn wanted(spec: &ServiceSpec, names: &Names, desired: Desired, restart: bool) -> Wanted {
    let volumes = spec
        .volumes
        .iter()
        .filter_map(|mount| match &mount.source {
            VolumeSource::Named(name) => Some((name.clone(), names.volume(name))),
            VolumeSource::Bind(_) => None,
        })
        .collect();
    let network = names.network();
    let spec_fields = fields(spec, &network);
    Wanted {
        container: names.service(&spec.name),
        network,
        volumes,
        spec_hash: digest(&spec_fields, 16),
        spec_fields,
        spec: spec.clone(),
        desired,
        restart,
    }
}

/// Short digests of everything a container is made from, by field. Values themselves never appear: some are secret.
fn fields(spec: &ServiceSpec, network: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut add = |name: &str, value: &dyn erased::Json| {
        fields.insert(name.to_owned(), value.digest());
    };
    add("image", &spec.image);
    add("entrypoint", &spec.entrypoint);
    add("command", &spec.command);
    add("port", &spec.port);
    add("host_port", &spec.host_port);
    add("ports", &spec.ports);
    add("volumes", &spec.volumes);
    add("tmpfs", &spec.tmpfs);
    add("user", &spec.user);
    add("shm_size", &spec.shm_size);
    add("stop_signal", &spec.stop_signal);
    add("resources", &spec.resources);
    add("network", &network);
    // The command, not the timing: only the command is part of the container.
    add("healthcheck", &probe::command(spec));
    for (key, value) in &spec.environment {
        add(&format!("environment.{key}"), value);
    }
    fields
}

/// `fields` needs one object-safe way to digest values of different types.
mod erased {
    pub(super) trait Json {
        fn digest(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn digest(&self) -> String {
            super::digest(self, 8)
        }
    }
}

fn digest(value: &impl Serialize, length: usize) -> String {
    // Serialising plain data with string keys cannot fail; an empty text would still only mean one recreation.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut hex: String = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(length);
    hex
}

/// The `spec-fields` label: `name=digest` pairs with commas between.
pub fn encode_fields(fields: &BTreeMap<String, String>) -> String {
    fields.iter().map(|(name, digest)| format!("{name}={digest}")).collect::<Vec<_>>().join(",")
}

/// Reads what [`encode_fields`] wrote; what it does not understand is left out.
pub fn decode_fields(label: &str) -> BTreeMap<String, String> {
    label
        .split(',')
        .filter_map(|pair| pair.rsplit_once('='))
        .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
        .collect()
}

/// The container of a service, complete.
pub fn container(wanted: &Wanted, owner: &Owner, generation: u64, ports: &[(u16, u16)]) -> ContainerSpec {
    let spec = &wanted.spec;
    let mut labels = owner.object_labels(ObjectKind::Service, &spec.name);
    labels.0.insert(LabelKey::SPEC_HASH.into(), wanted.spec_hash.clone());
    labels.0.insert(LabelKey::SPEC_FIELDS.into(), encode_fields(&wanted.spec_fields));
    labels.0.insert(LabelKey::GENERATION.into(), generation.to_string());
    let mut mounts: Vec<Mount> = spec
        .volumes
        .iter()
        .map(|mount| Mount {
            target: mount.target.clone(),
            source: match &mount.source {
                VolumeSource::Named(name) => MountSource::Volume(
                    wanted
                        .volumes
                        .iter()
                        .find(|(configured, _)| configured == name)
                        .map_or_else(|| name.clone(), |(_, volume)| volume.clone()),
                ),
                VolumeSource::Bind(bind) => {
                    MountSource::Bind { path: bind.path.clone(), relabel_shared: bind.relabel_shared }
                }
            },
            read_only: mount.read_only,
        })
        .collect();
    mounts.extend(spec.tmpfs.iter().map(|tmpfs| Mount {
        target: tmpfs.target.clone(),
        source: MountSource::Tmpfs(tmpfs.size),
        read_only: false,
    }));
    ContainerSpec {
        name: wanted.container.clone(),
        image: spec.image.clone(),
        entrypoint: spec.entrypoint.clone(),
        command: spec.command.clone(),
        env: spec.environment.clone(),
        labels,
        user: spec.user.clone(),
        workdir: None,
        network: Some(NetworkAttachment {
            network: wanted.network.clone(),
            aliases: vec![Names::service_host(&spec.name), spec.name.clone()],
        }),
        ports: ports.iter().map(|&(container, host)| PortBinding::loopback(container, host)).collect(),
        mounts,
        shm_size: spec.shm_size,
        memory: spec.resources.memory,
        milli_cpus: spec.resources.milli_cpus,
        pids: spec.resources.pids,
        stop_signal: spec.stop_signal.clone(),
        probe: probe::command(spec),
        // Databases reap their own children, and their images expect to be process 1.
        init: false,
        hardened: false,
        keep_id: false,
    }
}

/// Which program of which major version an image holds (`postgres-16`), where its data depends on that.
///
/// The official image tells in `PG_MAJOR`; otherwise the tag must begin with the number.
pub fn data_version(spec: &ServiceSpec, image_env: &BTreeMap<String, String>) -> Option<String> {
    if spec.service_type != ServiceType::Postgres {
        return None;
    }
    let major = image_env.get("PG_MAJOR").cloned().or_else(|| {
        let tag = spec.image.rsplit('/').next()?.split('@').next()?.split_once(':')?.1;
        let digits: String = tag.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    })?;
    Some(format!("postgres-{major}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_label() {
        let fields: BTreeMap<String, String> =
            [("image".to_owned(), "0a".to_owned()), ("environment.A=B".to_owned(), "1b".to_owned())].into();
        assert_eq!(decode_fields(&encode_fields(&fields)), fields);
        assert_eq!(decode_fields(""), BTreeMap::new());
    }
}
