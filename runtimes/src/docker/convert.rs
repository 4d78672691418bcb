//! Between the trait's plain data and Docker's documents.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings, HealthConfig, HostConfig, ImageInspect,
    Mount as DockerMount, MountPoint, MountTmpfsOptions, MountType, NetworkingConfig,
    PortBinding as DockerPort, PortMap, PortSummaryTypeEnum, RestartPolicy, RestartPolicyNameEnum,
};

use super::time;
use crate::{
    Capabilities, Container, ContainerSpec, ContainerState, Image, Labels, Mount, MountSource, PortBinding,
};

/// The body of a create request. The error says what in the spec cannot be sent.
pub(super) fn create_body(
    spec: &ContainerSpec,
    capabilities: Capabilities,
) -> Result<ContainerCreateBody, String> {
    let mut binds = Vec::new();
    let mut mounts = Vec::new();
    for mount in &spec.mounts {
        match bind_with_relabel(mount, capabilities)? {
            Some(bind) => binds.push(bind),
            None => mounts.push(docker_mount(mount)?),
        }
    }
    let ports: PortMap = spec
        .ports
        .iter()
        .fold(BTreeMap::<String, Vec<DockerPort>>::new(), |mut map, port| {
            map.entry(format!("{}/tcp", port.container_port)).or_default().push(DockerPort {
                host_ip: Some(port.host_ip.to_string()),
                host_port: Some(port.host_port.to_string()),
            });
            map
        })
        .into_iter()
        .map(|(port, bindings)| (port, Some(bindings)))
        .collect();
    let memory = spec.memory.map(signed).transpose()?;
    let host = HostConfig {
        binds: (!binds.is_empty()).then_some(binds),
        mounts: Some(mounts),
        network_mode: spec.network.as_ref().map(|attachment| attachment.network.clone()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        shm_size: spec.shm_size.map(signed).transpose()?,
        memory,
        // The same number is memory and swap together, so no swap.
        memory_swap: memory,
        nano_cpus: spec.milli_cpus.map(|cpus| signed(cpus.saturating_mul(1_000_000))).transpose()?,
        pids_limit: spec.pids,
        init: Some(spec.init && capabilities.init),
        cap_drop: spec.hardened.then(|| vec!["ALL".to_owned()]),
        security_opt: spec.hardened.then(|| vec!["no-new-privileges:true".to_owned()]),
        port_bindings: Some(ports),
        ..HostConfig::default()
    };
    let endpoints = spec.network.as_ref().map(|attachment| {
        let settings =
            EndpointSettings { aliases: Some(attachment.aliases.clone()), ..EndpointSettings::default() };
        [(attachment.network.clone(), settings)].into_iter().collect()
    });
    // The engine takes an empty list for none at all; one empty word is what takes the image's entrypoint away.
    let entrypoint =
        spec.entrypoint.clone().map(|words| if words.is_empty() { vec![String::new()] } else { words });
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint,
        cmd: spec.command.clone(),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        labels: Some(spec.labels.0.clone().into_iter().collect()),
        user: spec.user.clone(),
        working_dir: spec.workdir.clone(),
        stop_signal: spec.stop_signal.clone(),
        // A port that is bound but not exposed is not published, and nobody says so.
        exposed_ports: Some(spec.ports.iter().map(|port| format!("{}/tcp", port.container_port)).collect()),
        // The image's own health command would run on a timer beside our probes.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host),
        networking_config: endpoints.map(|endpoints| NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    })
}

fn signed(number: u64) -> Result<i64, String> {
    i64::try_from(number).map_err(|_too_large| format!("{number} is too large"))
}

/// A bind mount in the old notation, the only one that relabels for SELinux. Its source is checked by the caller,
/// because with this notation the engine makes a missing one.
fn bind_with_relabel(mount: &Mount, capabilities: Capabilities) -> Result<Option<String>, String> {
    let MountSource::Bind { path, relabel_shared: Some(shared) } = &mount.source else { return Ok(None) };
    if !capabilities.selinux {
        return Ok(None);
    }
    let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    if path.contains(':') || mount.target.contains(':') {
        return Err(format!("a relabelled mount cannot have a colon in its path: {path}"));
    }
    let label = if *shared { "z" } else { "Z" };
    let access = if mount.read_only { "ro" } else { "rw" };
    Ok(Some(format!("{path}:{}:{access},{label}", mount.target)))
}

fn docker_mount(mount: &Mount) -> Result<DockerMount, String> {
    let mut docker = DockerMount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..DockerMount::default()
    };
    match &mount.source {
        MountSource::Volume(name) => {
            docker.typ = Some(MountType::VOLUME);
            docker.source = Some(name.clone());
        }
        MountSource::Bind { path, .. } => {
            let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
            docker.typ = Some(MountType::BIND);
            docker.source = Some(path.to_owned());
        }
        MountSource::Tmpfs(size) => {
            docker.typ = Some(MountType::TMPFS);
            let size_bytes = size.map(signed).transpose()?;
            docker.tmpfs_options = Some(MountTmpfsOptions { size_bytes, ..MountTmpfsOptions::default() });
        }
    }
    Ok(docker)
}

/// A container as a list tells it.
pub(super) fn listed(summary: ContainerSummary) -> Container {
    let state = match summary.state {
        Some(ContainerSummaryStateEnum::CREATED) => ContainerState::Created,
        Some(ContainerSummaryStateEnum::RUNNING) => ContainerState::Running,
        Some(ContainerSummaryStateEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerSummaryStateEnum::STOPPING) => ContainerState::Stopping,
        // Waiting to be restarted by the engine's own policy: not running now.
        Some(ContainerSummaryStateEnum::RESTARTING | ContainerSummaryStateEnum::EXITED) => {
            ContainerState::Exited
        }
        Some(ContainerSummaryStateEnum::REMOVING) => ContainerState::Removing,
        Some(ContainerSummaryStateEnum::DEAD | ContainerSummaryStateEnum::EMPTY) | None => {
            ContainerState::Dead
        }
    };
    let mut ports: Vec<PortBinding> = summary
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter(|port| matches!(port.typ, Some(PortSummaryTypeEnum::TCP)))
        .filter_map(|port| {
            Some(PortBinding {
                container_port: port.private_port,
                host_port: port.public_port?,
                host_ip: port.ip?.parse().ok()?,
            })
        })
        .collect();
    ports.sort_unstable();
    Container {
        id: summary.id.unwrap_or_default(),
        name: own_name(summary.names.unwrap_or_default()),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.filter(|id| !id.is_empty()),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        state,
        exit_code: (state == ContainerState::Exited)
            .then(|| summary.status.as_deref().and_then(code_in_status))
            .flatten(),
        oom_killed: false,
        started_at: None,
        finished_at: None,
        ports,
        networks: names(
            summary.network_settings.and_then(|settings| settings.networks).into_iter().flatten(),
        ),
        volumes: volumes(summary.mounts),
        pid: None,
        error: None,
    }
}

/// A container as an inspection tells it.
pub(super) fn inspected(found: ContainerInspectResponse) -> Container {
    let told = found.state.unwrap_or_default();
    let state = match told.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::STOPPING) => ContainerState::Stopping,
        Some(ContainerStateStatusEnum::RESTARTING | ContainerStateStatusEnum::EXITED) => {
            ContainerState::Exited
        }
        Some(ContainerStateStatusEnum::REMOVING) => ContainerState::Removing,
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::EMPTY) | None => ContainerState::Dead,
    };
    let settings = found.network_settings.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    Container {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: found.image.filter(|id| !id.is_empty()),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        state,
        exit_code: (state == ContainerState::Exited).then_some(told.exit_code).flatten(),
        oom_killed: told.oom_killed.unwrap_or(false),
        started_at: told.started_at.as_deref().and_then(time::parse),
        finished_at: told.finished_at.as_deref().and_then(time::parse),
        ports: settings.ports.map(published).unwrap_or_default(),
        networks: names(settings.networks.into_iter().flatten()),
        volumes: volumes(found.mounts),
        pid: told.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        error: told.error.filter(|error| !error.is_empty()),
    }
}

/// A local image.
pub(super) fn image(found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let mut exposed_ports: Vec<u16> = config
        .exposed_ports
        .unwrap_or_default()
        .iter()
        .filter_map(|port| match port.split_once('/') {
            None => port.parse().ok(),
            Some((port, "tcp")) => port.parse().ok(),
            Some(_) => None,
        })
        .collect();
    exposed_ports.sort_unstable();
    let env = config
        .env
        .unwrap_or_default()
        .into_iter()
        .map(|entry| match entry.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (entry, String::new()),
        })
        .collect();
    Image { id: found.id.unwrap_or_default(), env, exposed_ports }
}

/// An image reference cut into what a pull asks for: name, and tag. A digest stays in the name, without a tag.
pub(super) fn split_reference(reference: &str) -> (&str, Option<&str>) {
    if reference.contains('@') {
        return (reference, None);
    }
    // A colon in front of a slash is a registry's port.
    let start = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference[start..].rfind(':') {
        Some(colon) => (&reference[..start + colon], Some(&reference[start + colon + 1..])),
        None => (reference, Some("latest")),
    }
}

fn published(map: PortMap) -> Vec<PortBinding> {
    let mut ports = Vec::new();
    for (inside, bindings) in map {
        let Some(container_port) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else {
            continue;
        };
        for binding in bindings.into_iter().flatten() {
            let host_port = binding.host_port.and_then(|port| port.parse().ok());
            let host_ip = binding.host_ip.and_then(|ip| ip.parse::<IpAddr>().ok());
            if let (Some(host_port), Some(host_ip)) = (host_port, host_ip) {
                ports.push(PortBinding { container_port, host_port, host_ip });
            }
        }
    }
    ports.sort_unstable();
    ports
}

/// Links of other containers show up as `/other/alias`.
fn own_name(names: Vec<String>) -> String {
    names
        .into_iter()
        .map(|name| name.trim_start_matches('/').to_owned())
        .find(|name| !name.contains('/'))
        .unwrap_or_default()
}

fn names<T>(networks: impl Iterator<Item = (String, T)>) -> Vec<String> {
    let mut names: Vec<_> = networks.map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

fn volumes(mounts: Option<Vec<MountPoint>>) -> Vec<String> {
    let mut names: Vec<_> = mounts
        .unwrap_or_default()
        .into_iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| mount.name)
        .collect();
    names.sort_unstable();
    names
}

/// The code in `Exited (137) 3 minutes ago`.
fn code_in_status(status: &str) -> Option<i64> {
    let (_, rest) = status.split_once('(')?;
    let (code, _) = rest.split_once(')')?;
    code.parse().ok()
}

/// The labels of a document that may have none.
pub(super) fn labels<I: IntoIterator<Item = (String, String)>>(found: Option<I>) -> Labels {
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn references() {
        for (reference, name, tag) in [
            ("redis", "redis", Some("latest")),
            ("redis:7", "redis", Some("7")),
            ("host:5000/a/redis", "host:5000/a/redis", Some("latest")),
            ("host:5000/a/redis:7", "host:5000/a/redis", Some("7")),
            ("redis@sha256:ab", "redis@sha256:ab", None),
        ] {
            assert_eq!(split_reference(reference), (name, tag));
        }
    }

    #[test]
    fn codes() {
        assert_eq!(code_in_status("Exited (137) 3 minutes ago"), Some(137));
        assert_eq!(code_in_status("Up 2 seconds"), None);
    }

    #[test]
    fn ports_are_exposed_and_bound() {
        let spec = ContainerSpec { ports: vec![PortBinding::loopback(80, 8080)], ..ContainerSpec::default() };
        let body = create_body(&spec, ABLE).unwrap();
        assert_eq!(body.exposed_ports, Some(vec!["80/tcp".to_owned()]));
        let bound = body.host_config.unwrap().port_bindings.unwrap();
        let binding = &bound["80/tcp"].as_ref().unwrap()[0];
        assert_eq!(
            (binding.host_ip.as_deref(), binding.host_port.as_deref()),
            (Some("127.0.0.1"), Some("8080"))
        );
    }

    #[test]
    fn binds_are_relabelled_only_where_selinux_is() {
        let source = MountSource::Bind { path: PathBuf::from("/src"), relabel_shared: Some(false) };
        let mount = Mount { target: "/dst".to_owned(), source, read_only: true };
        let spec = ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() };
        let host = create_body(&spec, ABLE).unwrap().host_config.unwrap();
        assert_eq!((host.binds, host.mounts.map(|mounts| mounts.len())), (None, Some(1)));
        let selinux = Capabilities { selinux: true, ..ABLE };
        let host = create_body(&spec, selinux).unwrap().host_config.unwrap();
        assert_eq!(host.binds, Some(vec!["/src:/dst:ro,Z".to_owned()]));
    }

    const ABLE: Capabilities = Capabilities { init: true, limits: true, selinux: false };
}
