//! The libpod answers we read ourselves, with the fields we use, and what they mean in the trait's terms.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Deserializer};

use super::time;
use crate::{Container, ContainerState, Labels, PortBinding};

/// Go writes an empty list or map as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// An element of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default, rename = "ImageID")]
    image_id: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    /// Kept as text: a state this adapter has not heard of must not break the list.
    #[serde(default)]
    state: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    exited_at: i64,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<Port>,
    #[serde(default, deserialize_with = "or_default")]
    networks: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default)]
    host_ip: String,
    container_port: u16,
    #[serde(default)]
    host_port: u16,
    #[serde(default)]
    range: u16,
    #[serde(default)]
    protocol: String,
}

impl Port {
    /// One binding per port of a range.
    fn bindings(&self) -> impl Iterator<Item = PortBinding> + '_ {
        // A port that is exposed but not published has no host port.
        let bound = self.host_port != 0 && (self.protocol.is_empty() || self.protocol == "tcp");
        (0..self.range.max(1)).filter(move |_| bound).map(|at| PortBinding {
            container_port: self.container_port.saturating_add(at),
            host_port: self.host_port.saturating_add(at),
            host_ip: address(&self.host_ip),
        })
    }
}

/// Podman 4 leaves the address empty for "all".
fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// libpod's states. `stopped` is the moment between the process's end and the clean-up after it.
fn state(text: &str, ever_started: bool) -> ContainerState {
    match text {
        "created" | "configured" | "initialized" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "stopping" => ContainerState::Stopping,
        // A start that failed half-way may end here without a process ever having run.
        "stopped" | "exited" if ever_started => ContainerState::Exited,
        "stopped" | "exited" => ContainerState::Created,
        "removing" => ContainerState::Removing,
        _ => ContainerState::Dead,
    }
}

/// Whether ports are bound in this state; Podman tells the wanted ones in every state.
fn binds(state: ContainerState) -> bool {
    matches!(state, ContainerState::Running | ContainerState::Paused | ContainerState::Stopping)
}

/// Whether the last run is over, so that its exit code means something.
fn over(state: ContainerState) -> bool {
    matches!(state, ContainerState::Exited | ContainerState::Removing | ContainerState::Dead)
}

/// libpod gives bare digests.
pub(super) fn digest(id: &str) -> String {
    if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }
}

impl From<Listed> for Container {
    fn from(listed: Listed) -> Self {
        let started_at = time::unix(listed.started_at);
        let state = state(&listed.state, started_at.is_some());
        let over = over(state) && started_at.is_some();
        let mut ports: Vec<_> =
            listed.ports.iter().flat_map(Port::bindings).filter(|_| binds(state)).collect();
        ports.sort_unstable();
        let mut networks = listed.networks;
        networks.sort_unstable();
        Self {
            id: listed.id,
            name: listed.names.into_iter().next().unwrap_or_default(),
            image: listed.image,
            image_id: Some(listed.image_id).filter(|id| !id.is_empty()).map(|id| digest(&id)),
            labels: Labels(listed.labels),
            state,
            exit_code: over.then_some(listed.exit_code),
            oom_killed: false,
            started_at,
            finished_at: time::unix(listed.exited_at).filter(|_| over),
            ports,
            networks,
            volumes: Vec::new(),
            pid: None,
            error: None,
        }
    }
}

/// `GET /containers/{id}/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    image_name: String,
    pub(super) state: State,
    config: Config,
    #[serde(default, deserialize_with = "or_default")]
    mounts: Vec<Mounted>,
    #[serde(default, deserialize_with = "or_default")]
    network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "or_default")]
    host_config: HostConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    #[serde(default)]
    status: String,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    /// `Health` since 4.0; `Healthcheck` is what 3.x and some clients call it.
    #[serde(default, alias = "Healthcheck", deserialize_with = "or_default")]
    pub(super) health: Health,
}

impl State {
    pub(super) fn running(&self) -> bool {
        self.status == "running"
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Health {
    #[serde(default, rename = "Log", deserialize_with = "or_default")]
    pub(super) log: Vec<HealthRun>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthRun {
    #[serde(default)]
    pub(super) start: String,
    #[serde(default)]
    pub(super) exit_code: i64,
    #[serde(default)]
    pub(super) output: String,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default, rename = "Labels", deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, rename = "Healthcheck", deserialize_with = "or_default")]
    healthcheck: HealthConfig,
}

#[derive(Debug, Default, Deserialize)]
struct HealthConfig {
    #[serde(default, rename = "Test", deserialize_with = "or_default")]
    test: Vec<String>,
}

impl Inspected {
    /// The ports on the host that the container wants when it runs.
    pub(super) fn wanted_ports(&self) -> Vec<PortBinding> {
        bindings(&self.host_config.port_bindings)
    }

    /// Whether the container's health command is `command`.
    pub(super) fn probes_with(&self, command: &[String]) -> bool {
        self.config
            .healthcheck
            .test
            .split_first()
            .is_some_and(|(kind, rest)| kind == "CMD" && rest == command)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mounted {
    #[serde(default, rename = "Type")]
    kind: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    networks: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    ports: PortMap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default, deserialize_with = "or_default")]
    port_bindings: PortMap,
}

/// `80/tcp` and where it is on the host.
type PortMap = BTreeMap<String, Option<Vec<HostPort>>>;

fn bindings(ports: &PortMap) -> Vec<PortBinding> {
    let mut bindings = Vec::new();
    for (inside, outside) in ports {
        let Some(container_port) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else {
            continue;
        };
        for bound in outside.iter().flatten() {
            if let Ok(host_port) = bound.host_port.parse() {
                bindings.push(PortBinding { container_port, host_port, host_ip: address(&bound.host_ip) });
            }
        }
    }
    bindings.sort_unstable();
    bindings
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostPort {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

impl From<Inspected> for Container {
    fn from(inspected: Inspected) -> Self {
        let told = inspected.state;
        let started_at = time::rfc3339(&told.started_at);
        let state = state(&told.status, started_at.is_some());
        let over = over(state) && started_at.is_some();
        let ports = if binds(state) { bindings(&inspected.network_settings.ports) } else { Vec::new() };
        let volumes = inspected.mounts.into_iter().filter(|mount| mount.kind == "volume");
        Self {
            id: inspected.id,
            name: inspected.name,
            image: inspected.image_name,
            image_id: Some(inspected.image).filter(|id| !id.is_empty()).map(|id| digest(&id)),
            labels: Labels(inspected.config.labels),
            state,
            exit_code: over.then_some(told.exit_code),
            oom_killed: told.oom_killed,
            started_at,
            finished_at: time::rfc3339(&told.finished_at).filter(|_| over),
            ports,
            networks: inspected.network_settings.networks.into_keys().collect(),
            volumes: volumes.map(|mount| mount.name).collect(),
            pid: Some(told.pid).filter(|pid| *pid != 0),
            error: Some(told.error).filter(|error| !error.is_empty()),
        }
    }
}

/// An element of the answer to a removal: it may be a failure inside a 200.
#[derive(Debug, Deserialize)]
pub(super) struct Removal {
    #[serde(default, rename = "Err", deserialize_with = "or_default")]
    pub(super) error: serde_json::Value,
}

impl Removal {
    /// The failure, if any; its shape differs between versions.
    pub(super) fn failure(self) -> Option<String> {
        match self.error {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            // Go's plain errors have no JSON form: what is left of them is `{}`.
            other => Some(other.to_string()),
        }
    }
}

/// `GET /libpod/info`.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) host: Host,
    #[serde(default)]
    pub(super) store: Store,
    pub(super) version: Version,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Host {
    #[serde(default)]
    pub(super) cgroup_version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) cgroup_controllers: Vec<String>,
    #[serde(default)]
    pub(super) security: Security,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Security {
    #[serde(default)]
    pub(super) rootless: bool,
    #[serde(default)]
    pub(super) selinux_enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Store {
    #[serde(default)]
    pub(super) graph_root: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    #[serde(default, rename = "APIVersion")]
    pub(super) api: String,
    #[serde(default, rename = "Version")]
    pub(super) version: String,
}

/// `GET /exec/{id}/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExecState {
    /// To be looked at before the exit code, which is 0 while the command runs.
    #[serde(default)]
    pub(super) running: bool,
    #[serde(default)]
    pub(super) exit_code: i64,
}

/// The answer to creating an exec session.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    #[serde(rename = "Id", alias = "ID")]
    pub(super) id: String,
}

/// The answer to `GET /containers/{id}/healthcheck`.
#[derive(Debug, Deserialize)]
pub(super) struct HealthAnswer {
    #[serde(default, rename = "Status")]
    pub(super) status: String,
}

/// An element of the event stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Happened {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    pub(super) action: String,
    pub(super) actor: Actor,
}

#[derive(Debug, Deserialize)]
pub(super) struct Actor {
    #[serde(default, rename = "ID")]
    pub(super) id: String,
    #[serde(default, rename = "Attributes", deserialize_with = "or_default")]
    pub(super) attributes: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests;
