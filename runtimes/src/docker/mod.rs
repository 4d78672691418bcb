//! Docker, through `bollard`.
//!
//! `bollard` makes the ordinary calls, without a version in their paths, so that an engine of any age answers in its
//! own version. What it cannot do right (streams whose start must be awaited, terminals, the duplicate check of
//! networks) goes over the same socket by hand, see `http`. Errors are classified in `errors` and nowhere else.
//!
//! Probes are execs: at most one is under way per container.

mod convert;
mod errors;
mod events;
mod exec;
mod frames;
mod http;
mod logs;
mod objects;
mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions,
    RemoveContainerOptions, StartContainerOptions, StopContainerOptions,
};
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::discover::Endpoint;
use crate::{
    Capabilities, Container, ContainerRuntime, ContainerSpec, EngineInfo, EngineKind, Error, ErrorKind,
    Event, EventFilter, ExecOutput, ExecSpec, Image, Interactive, Labels, ListFilter, Listing, LogLine,
    LogOptions, MountSource, Network, NetworkSpec, ProbeOutput, PullProgress, Result, TtySize, Volume,
    VolumeSpec,
};
use errors::{Failure, PULL, name_taken};
use exec::ProbeSlot;
use http::{Call, Target};

/// How long a call may take that only reads.
const QUICK: Duration = Duration::from_secs(10);

/// How long a call may take that changes something.
const SLOW: Duration = Duration::from_secs(60);

/// Longer than any call: `bollard`'s own limit must not cut what ours allow.
const NEVER: Duration = Duration::from_secs(86_400);

const INFO: &str = "ask about";
const CREATE: &str = "create container";
const REMOVE: &str = "remove container";
const INSPECT: &str = "inspect container";

/// A Docker engine. Cheap to clone; all clones share their knowledge of it.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    target: Target,
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    info: OnceCell<EngineInfo>,
    probes: Mutex<BTreeMap<String, ProbeSlot>>,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Docker").field(&self.shared.url).finish()
    }
}

impl Docker {
    /// An adapter for the engine at `endpoint` (`unix://…`, or `tcp://…` without TLS). The engine need not answer
    /// yet; a socket that does not exist is [`ErrorKind::Unavailable`], another kind of URL
    /// [`ErrorKind::Unsupported`].
    pub fn connect(endpoint: &Endpoint) -> Result<Self> {
        let url = &endpoint.url;
        let unsupported =
            || Error::new(ErrorKind::Unsupported, "connect to", url, "only unix:// and tcp:// are");
        let target = Target::parse(url).ok_or_else(unsupported)?;
        // This constructor stays without a version in the paths in later versions of bollard too.
        let client = bollard::Docker::connect_with_host(url)
            .map_err(|error| Failure::from(error).into_error("connect to", url))?
            .with_timeout(NEVER);
        let shared = Shared { url: url.clone(), info: OnceCell::new(), probes: Mutex::default() };
        Ok(Self { client, target, shared: Arc::new(shared) })
    }

    /// A call of the client that must end within `limit`.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Failure> {
        timeout(limit, call).await.map_err(|_elapsed| Failure::timeout(limit))?.map_err(Failure::from)
    }

    async fn inspect_raw(&self, operation: &'static str, id: &str) -> Result<ContainerInspectResponse> {
        check_name(operation, id)?;
        self.call(QUICK, self.client.inspect_container(id, None::<InspectContainerOptions>))
            .await
            .map_err(|failure| failure.into_error(operation, id))
    }

    /// The engine's own idea of the present.
    async fn system_time(&self, operation: &'static str) -> Result<Option<SystemTime>> {
        let info = self.call(QUICK, self.client.info()).await;
        let info = info.map_err(|failure| failure.into_error(operation, "the engine"))?;
        Ok(info.system_time.as_deref().and_then(time::parse))
    }

    fn probe_slot(&self, id: &str) -> ProbeSlot {
        let mut probes = self.shared.probes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(probes.entry(id.to_owned()).or_default())
    }

    fn forget_probes(&self, id: &str) {
        self.shared.probes.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn ask_info(&self) -> Result<EngineInfo> {
        let fail = |failure: Failure| failure.into_error(INFO, &self.shared.url);
        let version = self.call(QUICK, self.client.version()).await.map_err(fail)?;
        let info = self.call(QUICK, self.client.info()).await.map_err(fail)?;
        let security = info.security_options.unwrap_or_default();
        let has = |name: &str| security.iter().any(|option| option.split(',').any(|part| part == name));
        Ok(EngineInfo {
            kind: EngineKind::Docker,
            version: version.version.or(info.server_version).unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            rootless: has("name=rootless"),
            endpoint: self.shared.url.clone(),
            data_root: info.docker_root_dir.map(Into::into),
            capabilities: Capabilities {
                init: info.init_binary.is_some_and(|binary| !binary.is_empty()),
                limits: info.memory_limit == Some(true)
                    && info.pids_limit == Some(true)
                    && info.cpu_cfs_quota == Some(true),
                selinux: has("name=selinux"),
            },
        })
    }

    /// Looks at what the engine would make silently instead of complaining.
    async fn check_mounts(&self, spec: &ContainerSpec, capabilities: Capabilities) -> Result<()> {
        for mount in &spec.mounts {
            match &mount.source {
                MountSource::Volume(name) => {
                    check_name(CREATE, name)?;
                    let exists = objects::volume_exists(self, name).await;
                    if !exists.map_err(|failure| failure.into_error(CREATE, &spec.name))? {
                        let detail = format!("volume {name} not found");
                        return Err(Error::new(ErrorKind::NotFound, CREATE, &spec.name, detail));
                    }
                }
                MountSource::Bind { path, relabel_shared: Some(_) }
                    if capabilities.selinux && matches!(self.target, Target::Unix(_)) =>
                {
                    if !tokio::fs::try_exists(path).await.unwrap_or(false) {
                        let detail = format!("{} does not exist", path.display());
                        return Err(Error::new(ErrorKind::Invalid, CREATE, &spec.name, detail));
                    }
                }
                MountSource::Bind { .. } | MountSource::Tmpfs(_) => {}
            }
        }
        Ok(())
    }

    /// The labels of the container that has a name; none when it cannot be asked.
    async fn holder_labels(&self, name: &str) -> Labels {
        let found = self.inspect_raw(CREATE, name).await.ok();
        convert::labels(found.and_then(|found| found.config).and_then(|config| config.labels))
    }
}

#[async_trait]
impl ContainerRuntime for Docker {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    fn endpoint(&self) -> &str {
        &self.shared.url
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.shared.info.get_or_try_init(|| self.ask_info()).await.cloned()
    }

    async fn ping(&self) -> Result<()> {
        let answer = http::send(&self.target, Call::get("/_ping", &[], Some(QUICK))).await;
        answer.map(drop).map_err(|failure| failure.into_error("ping", &self.shared.url))
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        const IMAGE: &str = "look at image";
        check_reference(IMAGE, reference)?;
        match self.call(QUICK, self.client.inspect_image(reference)).await {
            Ok(found) => Ok(Some(convert::image(found))),
            Err(failure) if failure.status() == Some(404) => Ok(None),
            Err(failure) => Err(failure.into_error(IMAGE, reference)),
        }
    }

    async fn pull(&self, reference: &str) -> Result<BoxStream<'static, Result<PullProgress>>> {
        check_reference(PULL, reference)?;
        let (name, tag) = convert::split_reference(reference);
        let mut query = vec![("fromImage", name.to_owned())];
        // Without a tag old engines pull all of them.
        query.extend(tag.map(|tag| ("tag", tag.to_owned())));
        let call =
            Call { headers: Some(Duration::from_secs(300)), ..Call::post("/images/create", &query, None) };
        let response =
            http::send(&self.target, call).await.map_err(|failure| failure.into_error(PULL, reference))?;
        let reference = reference.to_owned();
        Ok(http::documents(response)
            .map(move |record| {
                record
                    .and_then(|record| pull_progress(&record))
                    .map_err(|failure| failure.into_error(PULL, &reference))
            })
            .boxed())
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network> {
        objects::ensure_network(self, spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        objects::remove_network(self, name).await
    }

    async fn connect_network(&self, name: &str, id: &str) -> Result<()> {
        objects::connect_network(self, name, id).await
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        objects::ensure_volume(self, spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        objects::remove_volume(self, name).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        check_name(CREATE, &spec.name)?;
        check_reference(CREATE, &spec.image)?;
        let fail = |failure: Failure| failure.into_error(CREATE, &spec.name);
        let capabilities = self.info().await?.capabilities;
        self.check_mounts(spec, capabilities).await?;
        let body = convert::create_body(spec, capabilities)
            .map_err(|detail| Error::new(ErrorKind::Invalid, CREATE, &spec.name, detail))?;
        let options =
            CreateContainerOptions { name: Some(spec.name.clone()), ..CreateContainerOptions::default() };
        let error = match self.call(SLOW, self.client.create_container(Some(options), body)).await {
            Ok(made) => return Ok(made.id),
            Err(failure) => fail(failure),
        };
        match error.kind {
            ErrorKind::NameTaken(_) => {
                Err(name_taken(CREATE, &spec.name, self.holder_labels(&spec.name).await, &error.detail))
            }
            _ => Err(error),
        }
    }

    async fn start(&self, id: &str) -> Result<()> {
        const START: &str = "start container";
        check_name(START, id)?;
        self.call(SLOW * 2, self.client.start_container(id, None::<StartContainerOptions>))
            .await
            .map_err(|failure| failure.into_error(START, id))
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        const STOP: &str = "stop container";
        check_name(STOP, id)?;
        // The engine counts whole seconds.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let t = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        let limit = Duration::from_secs(seconds).saturating_add(Duration::from_secs(30));
        self.call(limit, self.client.stop_container(id, Some(StopContainerOptions { signal: None, t })))
            .await
            .map_err(|failure| failure.into_error(STOP, id))
    }

    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        const KILL: &str = "kill container";
        check_name(KILL, id)?;
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.call(SLOW, self.client.kill_container(id, Some(options)))
            .await
            .map_err(|failure| failure.into_error(KILL, id))
    }

    async fn remove(&self, id: &str) -> Result<()> {
        check_name(REMOVE, id)?;
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let removed = self.call(SLOW, self.client.remove_container(id, Some(options))).await;
        let failure = match removed {
            Ok(()) => None,
            Err(failure) if failure.status() == Some(404) => None,
            // Somebody else is removing it: done when it is gone.
            Err(failure) if failure.says("already in progress") => {
                let gone = timeout(SLOW, async {
                    loop {
                        match self.inspect_raw(REMOVE, id).await {
                            Err(error) if error.is_not_found() => return Ok(()),
                            Err(error) => return Err(error),
                            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    }
                });
                gone.await.map_err(|_elapsed| Failure::timeout(SLOW).into_error(REMOVE, id))??;
                None
            }
            Err(failure) => Some(failure),
        };
        match failure {
            None => {
                self.forget_probes(id);
                Ok(())
            }
            Some(failure) => Err(failure.into_error(REMOVE, id)),
        }
    }

    async fn list(&self, filter: &ListFilter) -> Result<Listing> {
        let labels: Vec<String> =
            filter.labels.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let options = ListContainersOptions {
            all: true,
            filters: Some([("label".to_owned(), labels.clone())].into_iter().collect()),
            ..ListContainersOptions::default()
        };
        let containers = self.call(QUICK, self.client.list_containers(Some(options)));
        let listed = if filter.networks_and_volumes {
            tokio::try_join!(
                containers,
                objects::list_networks(self, labels.clone()),
                objects::list_volumes(self, labels),
            )
        } else {
            containers.await.map(|containers| (containers, Vec::new(), Vec::new()))
        };
        let (containers, networks, volumes) =
            listed.map_err(|failure| failure.into_error("list the objects of", "the engine"))?;
        let mut containers: Vec<_> = containers.into_iter().map(convert::listed).collect();
        containers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Listing { containers, networks, volumes })
    }

    async fn inspect(&self, id: &str) -> Result<Container> {
        Ok(convert::inspected(self.inspect_raw(INSPECT, id).await?))
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<LogLine>>> {
        logs::logs(self, id, options).await
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        check_name("run a command in", id)?;
        exec::exec(self, id, spec).await
    }

    async fn exec_interactive(&self, id: &str, spec: &ExecSpec, tty: Option<TtySize>) -> Result<Interactive> {
        check_name("run a command in", id)?;
        exec::interactive(self, id, spec, tty).await
    }

    async fn probe(&self, id: &str, command: &[String], timeout: Duration) -> Result<ProbeOutput> {
        check_name("probe", id)?;
        exec::probe(self, id, command, timeout).await
    }

    async fn events(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        events::events(self, filter).await
    }
}

/// Which family of engine answers at this URL, within `limit`. Podman speaks Docker's API too, and says so in a header.
pub(crate) async fn identify(url: &str, limit: Duration) -> Result<EngineKind> {
    let unsupported = || Error::new(ErrorKind::Unsupported, "connect to", url, "only unix:// and tcp:// are");
    let target = Target::parse(url).ok_or_else(unsupported)?;
    let answer = http::send(&target, Call::get("/_ping", &[], Some(limit))).await;
    let headers = answer.map_err(|failure| failure.into_error("connect to", url))?.headers().clone();
    if headers.contains_key("Libpod-API-Version") {
        Ok(EngineKind::Podman)
    } else if headers.contains_key("Api-Version") {
        Ok(EngineKind::Docker)
    } else {
        Err(Error::new(ErrorKind::Other, "connect to", url, "this is no container engine"))
    }
}

/// A name or id ends up in a path, so it must be one.
fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, operation, format!("{name:?}"), "not a name or an id"))
}

/// An image reference ends up in a path too.
fn check_reference(operation: &'static str, reference: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte);
    if reference.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && reference.bytes().all(good)
        && !reference.contains("..")
    {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, operation, format!("{reference:?}"), "not an image reference"))
}

fn pull_progress(record: &Value) -> Result<PullProgress, Failure> {
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if record.get("error").is_some() {
        return Err(Failure::record(text("error")));
    }
    let count =
        |key: &str| record.get("progressDetail").and_then(|detail| detail.get(key)).and_then(Value::as_u64);
    Ok(PullProgress {
        layer: text("id"),
        status: text("status"),
        bytes: count("current").zip(count("total")),
    })
}
