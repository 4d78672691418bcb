//! Podman, rootful and rootless, over its libpod API.
//!
//! # Which calls go through `podman-api`
//!
//! Networks, volumes, images and pulls, and the body of a create request (its `ContainerCreateOpts`). Always with
//! the version path it has built in: higher ones are answered with documents it cannot read.
//!
//! The rest are requests of our own over the same socket (`http`), because there podman-api
//!
//! * treats "not modified" (started or stopped already) as an error without a message: start, stop;
//! * asks for sizes, which makes an inspection thirty times slower: inspect;
//! * cannot say "kill at once" or read a failure inside a 200: remove;
//! * drops what is needed: the exit code in lists, the health log, whether an exec still runs: list, probe, exec;
//! * reads a stream chunk by chunk as if each were a whole document, or panics on one that is not: events, logs, exec;
//! * misspells two fields of a create request, which the engine then ignores: the sending of it.
//!
//! It also panics on a name that is no part of a URL, so names are encoded before it gets them.
//!
//! # Guarantees
//!
//! * Each call that is not a stream has a time limit, ours: podman-api has none.
//! * Podman's words are looked at in `error` only, with three exceptions where a text is the only sign there is
//!   (no init binary, a race in a list, an overdue probe).
//! * A failed list is an error, never an empty list; an unknown state does not break it.
//! * A name without a registry means what it means to Docker, except that a local build of that name wins.
//!
//! # Limits
//!
//! Podman keeps no exit code of a probe (`probe`), and each exec leaves processes behind for minutes (`exec`).
//! Podman 4 puts no fractions of seconds into the times of log lines, and in a tail it joins a line longer than a few
//! kilobytes to the one before.

mod create;
mod error;
mod events;
mod exec;
mod frames;
mod http;
mod images;
mod logs;
mod objects;
mod probe;
mod time;
mod turn;
mod wire;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hyper::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use self::error::Failure;
use self::http::{Client, Endpoint, Target};
use self::probe::Probes;
use self::turn::Turns;
use self::wire::{Created, Info, Inspected, Listed, Removal};
use crate::{
    Capabilities, Container, ContainerRuntime, ContainerSpec, EngineInfo, EngineKind, Error, ErrorKind,
    Event, EventFilter, ExecOutput, ExecSpec, Holder, Image, Interactive, ListFilter, Listing, LogLine,
    LogOptions, MountSource, Network, NetworkSpec, ProbeOutput, PullProgress, Result, TtySize, Volume,
    VolumeSpec,
};

/// Limit of a call that only looks.
const READ: Duration = Duration::from_secs(10);
/// Limit of a call that changes something small.
const WRITE: Duration = Duration::from_secs(30);
/// Limit of a create: a first container of an image may have its files' owners changed.
const CREATE: Duration = Duration::from_secs(120);
/// Limit of a start or a removal: networks are set up, storage is unmounted.
const START: Duration = Duration::from_secs(60);
/// How much longer than its grace a stop may take.
const AFTER_GRACE: Duration = Duration::from_secs(30);

/// A Podman engine.
#[derive(Debug)]
pub struct Podman {
    api: podman_api::Podman,
    client: Client,
    url: String,
    info: OnceCell<EngineInfo>,
    /// Learned from a refused create: the engine does not tell whether it has an init binary.
    no_init: AtomicBool,
    probes: Probes,
    /// Who may create a container whose user keeps its ids.
    keep_id: Turns,
}

impl Podman {
    /// An engine at `unix://<path>` or `tcp://<host>:<port>`. Nothing is sent yet: whether an engine is there is for
    /// [`ContainerRuntime::ping`] to tell.
    pub fn connect(url: &str) -> Result<Self> {
        let refuse = |detail: &str| Error::new(ErrorKind::Invalid, "connect to", url, detail);
        let endpoint = Endpoint::parse(url).ok_or_else(|| refuse("not a unix:// or tcp:// address"))?;
        let api =
            podman_api::Podman::new(url.trim_end_matches('/')).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self {
            api,
            client: Client::new(endpoint),
            url: url.to_owned(),
            info: OnceCell::new(),
            no_init: AtomicBool::new(false),
            probes: Probes::default(),
            keep_id: Turns::default(),
        })
    }

    async fn ask_info(&self) -> Result<EngineInfo> {
        let told: Info =
            within(READ, self.client.get("/info")).await.map_err(|failure| failure.at("ask", "Podman"))?;
        let rootless = told.host.security.rootless;
        let has = |name: &str| told.host.cgroup_controllers.iter().any(|controller| controller == name);
        Ok(EngineInfo {
            kind: EngineKind::Podman,
            version: told.version.version,
            api_version: told.version.api,
            rootless,
            endpoint: self.url.clone(),
            data_root: Some(told.store.graph_root).filter(|root| !root.is_empty()).map(PathBuf::from),
            capabilities: Capabilities {
                init: true,
                // Rootless, limits need controllers that were handed down; on cgroup v1 none are, and limits are
                // ignored without a word.
                limits: !rootless
                    || told.host.cgroup_version == "v2" && ["cpu", "memory", "pids"].into_iter().all(has),
                selinux: told.host.security.selinux_enabled,
            },
        })
    }

    async fn engine(&self) -> Result<EngineInfo> {
        let mut info = self.info.get_or_try_init(|| self.ask_info()).await?.clone();
        info.capabilities.init = !self.no_init.load(Ordering::Relaxed);
        Ok(info)
    }

    async fn post_create(&self, spec: &ContainerSpec, image: &str, engine: &EngineInfo) -> Result<String> {
        const WHAT: &str = "create container";
        let target = Target::new(&["containers", "create"]);
        let mut init = engine.capabilities.init;
        loop {
            let body = create::body(spec, image, engine, init)
                .map_err(|(kind, detail)| Error::new(kind, WHAT, &spec.name, detail))?;
            let failure =
                match within(CREATE, self.client.json::<Created>(Method::POST, &target, Some(body))).await {
                    Ok(created) => return Ok(created.id),
                    Err(failure) => failure,
                };
            let lacks_init =
                matches!(&failure, Failure::Api { message, .. } if message.contains("container-init binary"));
            if lacks_init && spec.init && init {
                self.no_init.store(true, Ordering::Relaxed);
                init = false;
                continue;
            }
            let mut error = failure.at(WHAT, &spec.name);
            if let ErrorKind::NameTaken(holder) = &mut error.kind {
                **holder = self.holder(&spec.name).await;
            }
            return Err(error);
        }
    }

    /// Who has a container's name, as far as can be told.
    async fn holder(&self, name: &str) -> Holder {
        let found = within(READ, inspected(&self.client, name)).await.ok().map(Container::from);
        Holder { name: Some(name.to_owned()), labels: found.map(|found| found.labels).unwrap_or_default() }
    }

    /// The first host port of a container about to start that is in use.
    ///
    /// Rootless Podman 4.3 finds out too late: the start fails after three seconds, and the container's names stay
    /// in the network's DNS with a dead address for as long as the network lives. So it is not let to try.
    async fn port_in_use(&self, id: &str) -> Result<Option<u16>> {
        if !matches!(self.client.endpoint(), Endpoint::Unix(_)) || !self.engine().await?.rootless {
            return Ok(None);
        }
        let container = within(READ, inspected(&self.client, id)).await;
        let container = container.map_err(|failure| failure.at("start container", id))?;
        // A running one has its ports itself.
        if container.state.running() {
            return Ok(None);
        }
        for port in container.wanted_ports() {
            match TcpListener::bind((port.host_ip, port.host_port)).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(Some(port.host_port)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    async fn list_containers(&self, filter: &ListFilter) -> Result<Vec<Container>> {
        let mut target = Target::new(&["containers", "json"]).query("all", "true");
        if !filter.labels.0.is_empty() {
            let labels: Vec<_> =
                filter.labels.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
            target = target.query("filters", &json!({ "label": labels }).to_string());
        }
        let mut tries = 3;
        let listed: Vec<Listed> = loop {
            tries -= 1;
            match within(READ, self.client.get::<Option<_>>(&target)).await {
                Ok(listed) => break listed.unwrap_or_default(),
                // A container that goes away while the list is made breaks the whole list on some versions.
                Err(failure) if failure.kind() == ErrorKind::NotFound && tries > 0 => {}
                Err(failure) => return Err(failure.at("list", "containers")),
            }
        };
        let mut containers: Vec<Container> = listed.into_iter().map(Container::from).collect();
        containers.retain(|container| container.labels.contains(&filter.labels));
        containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }
}

/// Waits for `call`, but not longer than `limit`.
async fn within<T, E: Into<Failure>>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(Into::into),
        Err(_elapsed) => Err(Failure::Late),
    }
}

async fn inspected(client: &Client, id: &str) -> Result<Inspected, Failure> {
    client.get(&Target::new(&["containers", id, "json"])).await
}

#[async_trait]
impl ContainerRuntime for Podman {
    fn kind(&self) -> EngineKind {
        EngineKind::Podman
    }

    fn endpoint(&self) -> &str {
        &self.url
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.engine().await
    }

    async fn ping(&self) -> Result<()> {
        within(READ, self.client.ping()).await.map(drop).map_err(|failure| failure.at("reach", &self.url))
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        self.find_image(reference).await
    }

    async fn pull(&self, reference: &str) -> Result<BoxStream<'static, Result<PullProgress>>> {
        Ok(self.pull_stream(reference))
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.make_network(spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.drop_network(name).await
    }

    async fn connect_network(&self, name: &str, id: &str) -> Result<()> {
        let target = Target::new(&["networks", name, "connect"]);
        let body = json!({ "container": id }).to_string().into_bytes();
        let asked = async { self.client.send(Method::POST, &target, Some(body)).await?.bytes().await };
        match within(START, asked).await {
            Ok(_connected) => Ok(()),
            // Refused with one code for several reasons; only this one is no trouble.
            Err(_refused)
                if self.inspect(id).await.is_ok_and(|found| found.networks.iter().any(|on| on == name)) =>
            {
                Ok(())
            }
            Err(failure) => Err(failure.at("put a container on network", name)),
        }
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        self.make_volume(spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.drop_volume(name).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        let refuse = |kind, detail: String| Err(Error::new(kind, "create container", &spec.name, detail));
        let engine = self.engine().await?;
        // Podman creates missing volumes and bind sources by itself; the trait promises that it does not.
        if let Endpoint::Unix(_) = self.client.endpoint()
            && let Some(path) = create::missing_source(spec).await
        {
            return refuse(ErrorKind::Invalid, format!("{} does not exist", path.display()));
        }
        for mount in &spec.mounts {
            if let MountSource::Volume(name) = &mount.source
                && !self.volume_exists(name).await?
            {
                return refuse(ErrorKind::NotFound, format!("there is no volume {name}"));
            }
        }
        let Some(image) = self.local_image(&spec.image).await? else {
            return refuse(ErrorKind::ImageMissing, format!("there is no image {}", spec.image));
        };
        let socket = match self.client.endpoint() {
            Endpoint::Unix(socket) => Some(socket.as_path()),
            _ => None,
        };
        let turn = if spec.keep_id && engine.rootless {
            self.keep_id.take(socket).await.map(Some)
        } else {
            Some(None)
        };
        let Some(_turn) = turn else {
            let detail = "another process has been creating a container for minutes".to_owned();
            return refuse(ErrorKind::Timeout, detail);
        };
        self.post_create(spec, &image, &engine).await
    }

    async fn start(&self, id: &str) -> Result<()> {
        const WHAT: &str = "start container";
        if let Some(port) = self.port_in_use(id).await? {
            let detail = format!("something listens on port {port} already");
            return Err(Error::new(ErrorKind::PortTaken { port: Some(port) }, WHAT, id, detail));
        }
        let target = Target::new(&["containers", id, "start"]);
        let started = within(START, self.client.done(Method::POST, &target)).await;
        started.map(drop).map_err(|failure| failure.at(WHAT, id))
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        // Whole seconds, rounded up: nobody gets less time than was promised.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let target = Target::new(&["containers", id, "stop"]).query("timeout", &seconds.to_string());
        let limit = Duration::from_secs(seconds) + AFTER_GRACE;
        let stopped = within(limit, self.client.done(Method::POST, &target)).await;
        stopped.map(drop).map_err(|failure| failure.at("stop container", id))
    }

    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        let target = Target::new(&["containers", id, "kill"]).query("signal", signal);
        let killed = within(WRITE, self.client.done(Method::POST, &target)).await;
        killed.map(drop).map_err(|failure| failure.at("kill container", id))
    }

    async fn remove(&self, id: &str) -> Result<()> {
        const WHAT: &str = "remove container";
        // Killed first: Podman 5 gives a running one its stop time before it removes it.
        match self.kill(id, "KILL").await {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::Denied => {
                return Err(Error { operation: WHAT, ..error });
            }
            Ok(()) | Err(_) => {}
        }
        // Documented as `v`, which only the Docker-compatible call looks at.
        let target = Target::new(&["containers", id])
            .query("force", "true")
            .query("v", "true")
            .query("volumes", "true")
            .query("timeout", "0");
        let failure = match within(START, self.client.done(Method::DELETE, &target)).await {
            // Version 4 and later tell failures in a list, earlier ones answer with nothing.
            Ok(bytes) => match serde_json::from_slice::<Vec<Removal>>(&bytes)
                .unwrap_or_default()
                .into_iter()
                .find_map(Removal::failure)
            {
                None => return Ok(()),
                Some(message) => Failure::reported(message),
            },
            Err(failure) => failure,
        };
        match failure.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(failure.at(WHAT, id)),
        }
    }

    async fn list(&self, filter: &ListFilter) -> Result<Listing> {
        if !filter.networks_and_volumes {
            return Ok(Listing { containers: self.list_containers(filter).await?, ..Listing::default() });
        }
        let (containers, networks, volumes) = tokio::try_join!(
            self.list_containers(filter),
            self.list_networks(&filter.labels),
            self.list_volumes(&filter.labels),
        )?;
        Ok(Listing { containers, networks, volumes })
    }

    async fn inspect(&self, id: &str) -> Result<Container> {
        let container = within(READ, inspected(&self.client, id)).await;
        container.map(Container::from).map_err(|failure| failure.at("inspect container", id))
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.log_stream(id, options).await
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        self.run(id, spec).await
    }

    async fn exec_interactive(&self, id: &str, spec: &ExecSpec, tty: Option<TtySize>) -> Result<Interactive> {
        self.run_interactive(id, spec, tty).await
    }

    async fn probe(&self, id: &str, command: &[String], timeout: Duration) -> Result<ProbeOutput> {
        self.run_probe(id, command, timeout).await
    }

    async fn events(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        self.event_stream(filter).await
    }
}
