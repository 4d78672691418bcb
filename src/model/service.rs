//! What the configuration says of a service, complete: templates applied, units parsed, references resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Programs Tanuki knows: how to probe them, connect to them and describe them to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceType {
    /// PostgreSQL.
    Postgres,
    /// Redis, or a server that speaks its protocol.
    Redis,
    /// MySQL or MariaDB.
    Mysql,
    /// Anything else.
    Custom,
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Mysql => "mysql",
            Self::Custom => "custom",
        })
    }
}

/// What a person asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Running and healthy.
    Running,
    /// Not running; its container stays.
    Stopped,
    /// No container; its volumes stay.
    Absent,
}

/// One shared service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its key in `services:`.
    pub name: String,
    /// What program it is.
    pub service_type: ServiceType,
    /// Whether `service start` without names starts it.
    pub enabled: bool,
    /// Set when Tanuki does not run it; image, volumes, probes and the like are then empty.
    pub external: Option<External>,
    /// Image reference.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Environment of the container. May hold secrets: see [`ServiceSpec::is_secret_key`].
    pub environment: BTreeMap<String, String>,
    /// The container port clients connect to.
    pub port: Option<u16>,
    /// Where `port` is published on the host.
    pub host_port: HostPort,
    /// Further published ports.
    pub ports: Vec<PortMapping>,
    /// Volumes and binds.
    pub volumes: Vec<VolumeMount>,
    /// Memory file systems.
    pub tmpfs: Vec<TmpfsMount>,
    /// User inside the container.
    pub user: Option<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Signal that asks the program to end.
    pub stop_signal: Option<String>,
    /// How long it has to end before it is killed.
    pub stop_grace: Duration,
    /// How its health is found out, beside the built-in probe of its type.
    pub probe: Probe,
    /// Probe timing.
    pub health: Health,
    /// Restart timing.
    pub restart: Restart,
    /// How agents are told of it.
    pub inject: Inject,
    /// Limits.
    pub resources: Resources,
}

impl ServiceSpec {
    /// Whether a variable's value is to be redacted where people look.
    pub fn is_secret_key(key: &str) -> bool {
        let key = key.to_ascii_uppercase();
        [
            "PASSWORD",
            "SECRET",
            "TOKEN",
            "PASSWD",
            "PRIVATE",
            "CREDENTIAL",
            "API_KEY",
            "ACCESS_KEY",
            "_DSN",
            "AUTH",
        ]
        .iter()
        .any(|part| key.contains(part))
            || key == "DATABASE_URL"
    }
}

/// A service that is already there: only described to agents, never started or probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Host name as agents reach it.
    pub host: String,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When it is not there.
    Missing,
    /// Before each creation.
    Always,
    /// Never; absent is an error.
    Never,
}

/// Where a container port is on the host; always on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPort {
    /// The same number when free, else the next free one.
    Auto,
    /// Exactly this one, or an error.
    Fixed(u16),
    /// Not published.
    None,
}

/// A further published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Port inside.
    pub container: u16,
    /// Port on the host.
    pub host: HostPort,
}

/// Something persistent mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// What.
    pub source: VolumeSource,
    /// Absolute path inside.
    pub target: String,
    /// Not writable inside.
    pub read_only: bool,
}

/// The source of a [`VolumeMount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// A named volume, by its name in the configuration.
    Named(String),
    /// A directory or file of the host.
    Bind(Bind),
}

/// A host path in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// SELinux relabelling: `Some(true)` shared (`z`), `Some(false)` private (`Z`).
    pub relabel_shared: Option<bool>,
}

/// Memory mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsMount {
    /// Absolute path inside.
    pub target: String,
    /// Most bytes.
    pub size: Option<u64>,
}

/// How health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// The built-in probe of the service's type; none for a custom one.
    Builtin,
    /// A command in the container: exit code 0 is success.
    Exec(Vec<String>),
    /// A shell line in the container: exit code 0 is success.
    Shell(String),
    /// Something listens on this TCP port inside the container.
    Tcp(u16),
    /// An HTTP GET answers with a status from 200 to 399.
    Http {
        /// Port inside the container.
        port: u16,
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A line of output matches this regular expression; once is enough.
    Log(String),
    /// None: running is healthy.
    Disabled,
}

/// Probe timing, in the field's usual meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Between probes, once healthy.
    pub interval: Duration,
    /// Longest a probe may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Failures within this time after a start do not count, until the first success.
    pub start_period: Duration,
    /// Between probes until the first success.
    pub start_interval: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            retries: 5,
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_millis(200),
        }
    }
}

/// Restart timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Wait before the second restart in a row; the first is immediate.
    pub initial: Duration,
    /// Longest wait; each is twice the one before.
    pub max: Duration,
    /// A run this long clears the count.
    pub reset_after: Duration,
    /// Restarts in a row before giving up; 0 is never.
    pub max_retries: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            reset_after: Duration::from_secs(600),
            max_retries: 0,
        }
    }
}

/// How agents are told of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inject {
    /// Prefix of the generated variables; the upper-cased name when absent.
    pub prefix: Option<String>,
    /// Variables by template (`{host}`, `{port}`, `{user}`, `{password}`, `{database}`).
    pub env: BTreeMap<String, String>,
}

/// Limits of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub milli_cpus: Option<u64>,
    /// Most processes.
    pub pids: Option<i64>,
}
