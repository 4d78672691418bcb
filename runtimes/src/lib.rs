//! One narrow trait over container engines, in plain data.
//!
//! [`ContainerRuntime`] is all that Tanuki knows of an engine. [`docker`] speaks to Docker through `bollard`,
//! [`podman`] to Podman (rootful and rootless) through `podman-api` and the libpod API, and [`discover`] finds the
//! engine that is already there. No type of an engine's client appears in a public signature.
//!
//! # Guarantees
//!
//! * Every call that changes something is a single engine call, or is idempotent: repeating it is safe.
//! * Stopping a stopped container, starting a running one, removing an absent one: done, not an error.
//! * An error says what to do next ([`ErrorKind`]) and keeps the engine's own text as its source. Nothing outside an
//!   adapter looks into that text.
//! * Absence is only reported when the engine said so: a failed or partial list is an error.
//! * Published ports are bound to the address in [`PortBinding::host_ip`], which is loopback by default.
//!
//! # What is absent on purpose
//!
//! No restart policies (containers are created with the engine's own policy off; one supervisor acts), no engine
//! health checks on a timer (Podman runs none without systemd), no image building.
//!
//! The `testing` feature adds the strict in-memory engine, the seeded fault decorator and the contract suite that
//! all engines pass.

pub mod discover;
pub mod docker;
mod error;
pub mod podman;
#[cfg(feature = "testing")]
pub mod testing;
mod types;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use error::{Error, ErrorKind, Holder, Result};
pub use types::*;

/// A container engine: what exists on it, and the few verbs that change it.
///
/// Object-safe; implementations are cheap to share behind an `Arc` and may be called concurrently. Containers are
/// addressed by id or by name wherever a parameter is called `id`. Dropping a future may leave its effect done:
/// callers look again instead of assuming.
#[async_trait]
pub trait ContainerRuntime: Debug + Send + Sync {
    /// Which family of engine this speaks to. Asks nothing.
    fn kind(&self) -> EngineKind;

    /// Where the engine is reached, for example `unix:///run/podman/podman.sock`. Asks nothing.
    fn endpoint(&self) -> &str;

    /// Which engine this is and what it can do. Asked once and cached by the adapter: cheap to call again.
    async fn info(&self) -> Result<EngineInfo>;

    /// A round trip to the engine, for liveness. Never cached.
    async fn ping(&self) -> Result<()>;

    /// The image as the engine has it locally, or `None`. Never contacts a registry.
    async fn image(&self, reference: &str) -> Result<Option<Image>>;

    /// Pulls an image; `:latest` is assumed where neither tag nor digest is given. The stream ends after the last
    /// progress record, or with an error ([`ErrorKind::ImageMissing`] when the registry does not have it,
    /// [`ErrorKind::Unavailable`] when the registry cannot be reached).
    async fn pull(&self, reference: &str) -> Result<BoxStream<'static, Result<PullProgress>>>;

    /// Creates the network. If one of that name exists it is returned as it is when it carries `spec.labels`' owner
    /// labels (see [`Labels::owned_by`]); else [`ErrorKind::NameTaken`] with the holder.
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network>;

    /// Removes a network; absent is fine. In use is [`ErrorKind::InUse`].
    async fn remove_network(&self, name: &str) -> Result<()>;

    /// Puts a container on a further network, whoever that belongs to; being on it already is fine. The network or
    /// the container absent is [`ErrorKind::NotFound`].
    async fn connect_network(&self, name: &str, id: &str) -> Result<()>;

    /// Like [`ensure_network`](Self::ensure_network), for a named volume.
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<Volume>;

    /// Removes a volume and what is in it; absent is fine. In use is [`ErrorKind::InUse`].
    async fn remove_volume(&self, name: &str) -> Result<()>;

    /// Creates a container and returns its id; nothing is started. The name taken is [`ErrorKind::NameTaken`], the
    /// image absent [`ErrorKind::ImageMissing`], the network absent [`ErrorKind::NotFound`] (here or at start,
    /// as the engine has it).
    async fn create(&self, spec: &ContainerSpec) -> Result<String>;

    /// Starts a created or exited container; running already is fine. A host port in use is
    /// [`ErrorKind::PortTaken`], and the container stays created.
    async fn start(&self, id: &str) -> Result<()>;

    /// Asks the main process to end and kills it after `grace`; not running is fine. Returns when it is stopped.
    async fn stop(&self, id: &str, grace: Duration) -> Result<()>;

    /// Sends a signal (`"KILL"`, `"TERM"`, …) to the main process. Not running is [`ErrorKind::Conflict`].
    async fn kill(&self, id: &str, signal: &str) -> Result<()>;

    /// Removes a container, killing it first if it runs; anonymous volumes go with it, named ones stay. Absent is
    /// fine.
    async fn remove(&self, id: &str) -> Result<()>;

    /// Every container (running or not), network and volume that carries all of `labels`: one call per object kind,
    /// none per object. An error means nothing is known.
    async fn list(&self, filter: &ListFilter) -> Result<Listing>;

    /// One container in depth.
    async fn inspect(&self, id: &str) -> Result<Container>;

    /// A container's output, oldest first. With `follow` the stream ends when the container stops.
    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// Runs a command in a running container and collects its output (bounded, see [`ExecOutput::truncated`]).
    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput>;

    /// Runs a command in a running container, connected to the caller's streams.
    async fn exec_interactive(&self, id: &str, spec: &ExecSpec, tty: Option<TtySize>) -> Result<Interactive>;

    /// Runs the container's health command once and reports how it ended, within about `timeout`.
    ///
    /// `command` must be the one the container was created with ([`ContainerSpec::probe`]): Podman runs that one
    /// through its healthcheck endpoint, because each exec through its API leaves processes behind for minutes.
    /// At most one probe per container is under way: while an earlier one hangs, a new call reports
    /// [`ProbeResult::TimedOut`] without starting another.
    async fn probe(&self, id: &str, command: &[String], timeout: Duration) -> Result<ProbeOutput>;

    /// What happens on the engine from now on (or from `since`) to objects with all of `labels`.
    ///
    /// A hint to look again, never a fact to decide on: events may be lost, doubled or late. The stream ends, or
    /// ends with an error, when the engine goes away. When this returns, events from then on are not missed.
    async fn events(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>>;
}
