//! The plain data of the trait: specs that go in, facts that come out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::Result;

/// Key-value labels of an engine object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// Marks an object as Tanuki's; always `true`.
    pub const MANAGED: &str = "dev.tanuki.managed";
    /// The owning project's id.
    pub const PROJECT: &str = "dev.tanuki.project";
    /// The owning project's directory, for people.
    pub const PROJECT_PATH: &str = "dev.tanuki.project-path";

    /// Whether these labels mark an object of the same owner as `wanted`: managed, and of the same project.
    pub fn owned_by(&self, wanted: &Self) -> bool {
        self.get(Self::MANAGED) == Some("true") && self.get(Self::PROJECT) == wanted.get(Self::PROJECT)
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether all of `wanted` are here with the same values.
    pub fn contains(&self, wanted: &Self) -> bool {
        wanted.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// The family of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// Docker or something that speaks its API.
    Docker,
    /// Podman, through the libpod API.
    Podman,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        })
    }
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Docker or Podman.
    pub kind: EngineKind,
    /// The engine's version, for example `20.10.24`.
    pub version: String,
    /// The API version in use, for example `1.41`.
    pub api_version: String,
    /// Whether the engine runs without root.
    pub rootless: bool,
    /// Where it is reached, for example `unix:///run/podman/podman.sock`.
    pub endpoint: String,
    /// Where the engine keeps its data, where it tells.
    pub data_root: Option<PathBuf>,
    /// What this engine can and cannot do.
    pub capabilities: Capabilities,
}

/// Differences between engines that callers must know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// An init process can be put in front of the main one ([`ContainerSpec::init`]).
    pub init: bool,
    /// Memory, cpu and pids limits are enforced.
    pub limits: bool,
    /// SELinux labels are enforced, so bind mounts need relabelling.
    pub selinux: bool,
}

/// A local image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Content id, with its algorithm (`sha256:…`).
    pub id: String,
    /// Environment that containers of it start with.
    pub env: BTreeMap<String, String>,
    /// Ports it says it listens on, TCP only.
    pub exposed_ports: Vec<u16>,
}

/// One record of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer it is about, empty for the whole image.
    pub layer: String,
    /// The engine's words, for example `Downloading`.
    pub status: String,
    /// Bytes done and in all, where known.
    pub bytes: Option<(u64, u64)>,
}

/// A network to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Its labels, the owner's among them.
    pub labels: Labels,
}

/// A network that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Engine id (the name, where the engine has none).
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// A volume to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// Its labels, the owner's among them.
    pub labels: Labels,
}

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// A container to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its name, unique on the engine.
    pub name: String,
    /// Image reference; must be local.
    pub image: String,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Environment, added to the image's.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: Labels,
    /// `user`, `uid`, `uid:gid`; the image's when absent.
    pub user: Option<String>,
    /// Working directory; the image's when absent.
    pub workdir: Option<String>,
    /// The network it joins, with the names it answers to there.
    pub network: Option<NetworkAttachment>,
    /// Ports published on the host.
    pub ports: Vec<PortBinding>,
    /// What is mounted where.
    pub mounts: Vec<Mount>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Memory in bytes, swap included.
    pub memory: Option<u64>,
    /// Processors, in thousandths of one.
    pub milli_cpus: Option<u64>,
    /// Most processes.
    pub pids: Option<i64>,
    /// Signal that asks the main process to end; the image's when absent.
    pub stop_signal: Option<String>,
    /// The command [`probe`](crate::ContainerRuntime::probe) runs, in exec form. It is never run on a timer.
    pub probe: Option<Vec<String>>,
    /// A small init process reaps zombies and forwards signals. Ignored where [`Capabilities::init`] is false.
    pub init: bool,
    /// Drops all capabilities and forbids gaining privileges.
    pub hardened: bool,
    /// The host's user keeps its ids inside a rootless container.
    pub keep_id: bool,
}

/// A container's place on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkAttachment {
    /// The network's name.
    pub network: String,
    /// DNS names beside the container's own.
    pub aliases: Vec<String>,
}

/// A container port on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortBinding {
    /// Port inside, TCP.
    pub container_port: u16,
    /// Port on the host; never 0 in a spec.
    pub host_port: u16,
    /// Address on the host.
    pub host_ip: IpAddr,
}

impl PortBinding {
    /// `container_port` published on loopback as `host_port`.
    pub const fn loopback(container_port: u16, host_port: u16) -> Self {
        Self { container_port, host_port, host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path inside.
    pub target: String,
    /// What is there.
    pub source: MountSource,
    /// Not writable inside.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A named volume, which must exist.
    Volume(String),
    /// A host path, which must exist: it is never created by the engine.
    Bind {
        /// Absolute path on the host.
        path: PathBuf,
        /// SELinux relabelling where [`Capabilities::selinux`]: `Some(true)` shared (`z`), `Some(false)` private (`Z`).
        relabel_shared: Option<bool>,
    },
    /// Memory, of at most so many bytes.
    Tmpfs(Option<u64>),
}

/// Which objects to list: those with all these labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Labels and their values. Empty lists everything, whoever it belongs to.
    pub labels: Labels,
    /// Also list networks and volumes; containers are always listed.
    pub networks_and_volumes: bool,
}

/// What the engine has, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Containers, sorted by name.
    pub containers: Vec<Container>,
    /// Networks, sorted by name; empty unless asked for.
    pub networks: Vec<Network>,
    /// Volumes, sorted by name; empty unless asked for.
    pub volumes: Vec<Volume>,
}

/// The state of a container, in one vocabulary for all engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen.
    Paused,
    /// Between running and exited.
    Stopping,
    /// Its main process ended.
    Exited,
    /// Being removed.
    Removing,
    /// The engine cannot say, or says it is broken.
    Dead,
}

/// A container that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Engine id.
    pub id: String,
    /// Name, without a leading slash.
    pub name: String,
    /// Image reference it was created from, as the engine tells it.
    pub image: String,
    /// Id of that image, where told.
    pub image_id: Option<String>,
    /// Labels.
    pub labels: Labels,
    /// State.
    pub state: ContainerState,
    /// How the last run ended; from `list` only where the engine tells it there.
    pub exit_code: Option<i64>,
    /// Whether the last run was ended for want of memory; from `inspect`.
    pub oom_killed: bool,
    /// When it was last started; from `inspect`, and from `list` where the engine tells it there.
    pub started_at: Option<SystemTime>,
    /// When the last run ended; from `inspect`, and from `list` where the engine tells it there.
    pub finished_at: Option<SystemTime>,
    /// Ports on the host, as they are now.
    pub ports: Vec<PortBinding>,
    /// Names of the networks it is on.
    pub networks: Vec<String>,
    /// Names of the volumes it mounts; from `inspect`, and from `list` where the engine tells it there.
    pub volumes: Vec<String>,
    /// Process id of its main process on the engine's host; from `inspect`.
    pub pid: Option<u32>,
    /// What the engine says went wrong at the last start; from `inspect`.
    pub error: Option<String>,
}

/// Which part of a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on as long as the container runs.
    pub follow: bool,
    /// Only the last so many lines of what is there.
    pub tail: Option<u64>,
    /// Only what was written at or after this time.
    pub since: Option<SystemTime>,
}

/// Where output was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output, or a piece of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Which stream.
    pub stream: StreamKind,
    /// When it was written, as exact as the engine has it.
    pub time: Option<SystemTime>,
    /// The bytes, without the end of line. Not checked: may hold anything.
    pub bytes: Vec<u8>,
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment, added to the container's.
    pub env: BTreeMap<String, String>,
    /// User; the container's when absent.
    pub user: Option<String>,
    /// Directory; the container's when absent.
    pub workdir: Option<String>,
    /// What the command reads; nothing when absent. Ignored by an interactive exec.
    pub stdin: Option<Vec<u8>>,
    /// How long to wait. The command may go on in the container after that.
    pub timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code; 126 or 127 when it could not be started.
    pub exit_code: i64,
    /// Standard output, at most [`ExecOutput::LIMIT`] bytes.
    pub stdout: Vec<u8>,
    /// Standard error, at most [`ExecOutput::LIMIT`] bytes.
    pub stderr: Vec<u8>,
    /// Whether output was cut at the limit.
    pub truncated: bool,
}

impl ExecOutput {
    /// Most bytes kept of each stream: 1 MiB.
    pub const LIMIT: usize = 1 << 20;
}

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtySize {
    /// Width in cells.
    pub columns: u16,
    /// Height in cells.
    pub rows: u16,
}

/// A command that runs connected to the caller.
pub struct Interactive {
    /// Its standard input; shutting it down is end of file (without a terminal).
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its output, as it comes; a terminal's is all [`StreamKind::Stdout`]. Ends when the command ends.
    pub output: BoxStream<'static, Result<(StreamKind, Vec<u8>)>>,
    /// Resizing, and the exit code after the output ended.
    pub control: Box<dyn InteractiveControl>,
}

impl fmt::Debug for Interactive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interactive").finish_non_exhaustive()
    }
}

/// The side channel of an [`Interactive`] command.
#[async_trait]
pub trait InteractiveControl: Send + Sync {
    /// Tells the command its terminal has another size. Too late is fine.
    async fn resize(&self, size: TtySize) -> Result<()>;

    /// The exit code; to be asked after the output ended.
    async fn exit_code(&self) -> Result<i64>;
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// The command ended with this code.
    Exited(i64),
    /// It did not end in time.
    TimedOut,
}

/// What a probe printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutput {
    /// How it ended.
    pub result: ProbeResult,
    /// What it printed, at most 4096 bytes, lossily decoded.
    pub output: String,
}

/// Which events to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only objects with all these labels; objects whose event carries no labels (networks, volumes and images on
    /// some engines) are always reported.
    pub labels: Labels,
    /// From this time on; from now on when absent.
    pub since: Option<SystemTime>,
}

/// What kind of object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// An image.
    Image,
}

/// What happened, in one vocabulary for all engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAction {
    /// Came to be.
    Created,
    /// Started.
    Started,
    /// Its main process ended.
    Died,
    /// Gone.
    Removed,
    /// Anything else worth another look.
    Other,
}

/// Something happened on the engine: look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub object: ObjectKind,
    /// What happened.
    pub action: EventAction,
    /// Engine id of the object.
    pub id: String,
    /// Name of the object, where told.
    pub name: Option<String>,
    /// Labels of the object, where told.
    pub labels: Labels,
}
