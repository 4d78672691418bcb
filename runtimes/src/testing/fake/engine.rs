//! The trait, on the fake engine.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;

use super::FakeRuntime;
use super::container::FakeContainer;
use super::image::{FakeImage, normal};
use super::objects::{check_name, image_id};
use crate::{
    Capabilities, Container, ContainerRuntime, ContainerSpec, ContainerState, EngineInfo, EngineKind, Error,
    ErrorKind, Event, EventAction, EventFilter, ExecOutput, ExecSpec, Holder, Image, Interactive, Labels,
    ListFilter, Listing, LogLine, LogOptions, Network, NetworkSpec, ObjectKind, ProbeOutput, ProbeResult,
    PullProgress, Result, TtySize, Volume, VolumeSpec,
};

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    fn endpoint(&self) -> &'static str {
        "memory:"
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.call("info", "ask", "the engine", |_| {
            Ok(EngineInfo {
                kind: EngineKind::Docker,
                version: "0.0.0-fake".into(),
                api_version: "1.0".into(),
                rootless: false,
                endpoint: "memory:".into(),
                data_root: None,
                capabilities: Capabilities { init: true, limits: true, selinux: false },
            })
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        self.call("ping", "ping", "the engine", |_| Ok(())).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        self.call("image", "look up image", reference, |world| {
            let reference = normal(reference);
            Ok(world.images.get(&reference).map(|image| Image {
                id: image_id(&reference),
                env: image.env.clone(),
                exposed_ports: image.exposed_ports.clone(),
            }))
        })
        .await
    }

    async fn pull(&self, reference: &str) -> Result<BoxStream<'static, Result<PullProgress>>> {
        const OPERATION: &str = "pull image";
        let asked = reference.to_owned();
        let found = self
            .call("pull", OPERATION, reference, |world| {
                world.note("pull", reference, None, &Labels::default());
                Ok(world.registry.get(&normal(reference)).cloned())
            })
            .await?;
        let runtime = self.clone();
        let half = found.as_ref().map_or(Duration::ZERO, |image: &FakeImage| image.pull_time / 2);
        let record = |status: &str, done| {
            Ok(PullProgress { layer: String::new(), status: status.into(), bytes: Some((done, 100)) })
        };
        let first = stream::once(async move {
            sleep(half).await;
            record("Downloading", 50)
        });
        let last = stream::once(async move {
            sleep(half).await;
            runtime.with(|world| {
                world.check_up(OPERATION, &asked)?;
                if world.registry_down {
                    let detail = "cannot reach the registry";
                    return Err(Error::new(ErrorKind::Unavailable, OPERATION, &asked, detail));
                }
                let Some(image) = found else {
                    return Err(Error::new(ErrorKind::ImageMissing, OPERATION, &asked, "manifest unknown"));
                };
                world.check_disk(OPERATION, &asked)?;
                let reference = normal(&asked);
                world.emit_plain(ObjectKind::Image, EventAction::Created, &image_id(&reference), &reference);
                world.images.insert(reference, image);
                record("Pull complete", 100)
            })
        });
        // Ends at the first error.
        let records = first.chain(last).scan(false, |failed, record| {
            let stop = *failed;
            *failed = record.is_err();
            std::future::ready((!stop).then_some(record))
        });
        Ok(records.boxed())
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network> {
        const OPERATION: &str = "create network";
        self.call("ensure_network", OPERATION, &spec.name, |world| {
            check_name(OPERATION, &spec.name)?;
            if let Some(network) = world.networks.get(&spec.name) {
                let network = network.clone();
                world.note("ensure_network", &spec.name, Some(&network.labels), &spec.labels);
                check_owner(OPERATION, &spec.name, &network.labels, &spec.labels)?;
                return Ok(network);
            }
            world.note("ensure_network", &spec.name, None, &spec.labels);
            world.check_disk(OPERATION, &spec.name)?;
            world.changed();
            Ok(world.add_network(&spec.name, &spec.labels))
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.call("remove_network", "remove network", name, |world| {
            let Some(network) = world.networks.get(name).cloned() else {
                world.note("remove_network", name, None, &Labels::default());
                return Ok(());
            };
            world.note("remove_network", name, Some(&network.labels), &Labels::default());
            let uses = |container: &&FakeContainer| {
                container.network.iter().chain(&container.further).any(|(_, id)| *id == network.id)
            };
            if let Some(user) = world.containers.values().find(uses) {
                let detail = format!("used by container {}", user.name);
                return Err(Error::new(ErrorKind::InUse, "remove network", name, detail));
            }
            world.changed();
            world.networks.remove(name);
            world.emit_plain(ObjectKind::Network, EventAction::Removed, &network.id, name);
            Ok(())
        })
        .await
    }

    async fn connect_network(&self, name: &str, id: &str) -> Result<()> {
        const OPERATION: &str = "put a container on network";
        self.call("connect_network", OPERATION, id, |world| {
            let network = world.networks.get(name).cloned();
            let container = world.container_mut(OPERATION, id)?;
            let Some(network) = network else {
                return Err(Error::new(ErrorKind::NotFound, OPERATION, name, "no such network"));
            };
            let own = container.network.iter().chain(&container.further).any(|(on, _)| on == name);
            if !own {
                container.further.push((network.name, network.id));
            }
            let (known, labels) = (container.name.clone(), container.spec.labels.clone());
            world.note("connect_network", &known, Some(&labels), &Labels::default());
            if !own {
                world.changed();
            }
            Ok(())
        })
        .await
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        const OPERATION: &str = "create volume";
        self.call("ensure_volume", OPERATION, &spec.name, |world| {
            check_name(OPERATION, &spec.name)?;
            if let Some(volume) = world.volumes.get(&spec.name) {
                let labels = volume.labels.clone();
                world.note("ensure_volume", &spec.name, Some(&labels), &spec.labels);
                check_owner(OPERATION, &spec.name, &labels, &spec.labels)?;
                return Ok(Volume { name: spec.name.clone(), labels });
            }
            world.note("ensure_volume", &spec.name, None, &spec.labels);
            world.check_disk(OPERATION, &spec.name)?;
            world.changed();
            world.add_volume(&spec.name, &spec.labels);
            Ok(Volume { name: spec.name.clone(), labels: spec.labels.clone() })
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.call("remove_volume", "remove volume", name, |world| {
            let labels = world.volumes.get(name).map(|volume| volume.labels.clone());
            world.note("remove_volume", name, labels.as_ref(), &Labels::default());
            if labels.is_none() {
                return Ok(());
            }
            let name = name.to_owned();
            if let Some(user) = world.containers.values().find(|c| c.volumes().contains(&name)) {
                let detail = format!("used by container {}", user.name);
                return Err(Error::new(ErrorKind::InUse, "remove volume", name, detail));
            }
            world.changed();
            world.volumes.remove(&name);
            world.emit_plain(ObjectKind::Volume, EventAction::Removed, &name, &name);
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        self.call("create", "create container", &spec.name, |world| {
            world.note_container("create", &spec.name, &spec.labels);
            let id = world.add_container(spec)?;
            world.changed();
            Ok(id)
        })
        .await
    }

    async fn start(&self, id: &str) -> Result<()> {
        self.call("start", "start container", id, |world| {
            world.note_container("start", id, &Labels::default());
            let container = world.container_mut("start container", id)?;
            match container.state {
                ContainerState::Running | ContainerState::Stopping => return Ok(()),
                ContainerState::Paused => {
                    let detail = "cannot start a paused container";
                    return Err(Error::new(ErrorKind::Conflict, "start container", id, detail));
                }
                _ => {}
            }
            let id = container.id.clone();
            world.begin("start container", &id)?;
            world.changed();
            Ok(())
        })
        .await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        const OPERATION: &str = "stop container";
        let stopping = self.call("stop", OPERATION, id, |world| {
            world.note_container("stop", id, &Labels::default());
            let now = world.now;
            let outages = world.outages;
            let container = world.container_mut(OPERATION, id)?;
            let id = container.id.clone();
            if container.is_running() {
                if container.state == ContainerState::Running {
                    container.state = ContainerState::Stopping;
                }
                container.terminate(now);
                // In the engine's hands from here on: dropping this future does not undo it.
                let killed_at = now + grace;
                container.killed_at = Some(container.killed_at.map_or(killed_at, |at| at.min(killed_at)));
                world.changed();
            }
            Ok((id, outages))
        });
        let (id, outages) = stopping.await?;
        let stopped = self.wait_for(|world| {
            if world.outages != outages {
                return Some(Err(Error::new(ErrorKind::Unavailable, OPERATION, &id, "connection reset")));
            }
            let running = world.containers.get(&id).is_some_and(FakeContainer::is_running);
            (!running).then_some(Ok(()))
        });
        stopped.await
    }

    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        self.call("kill", "kill container", id, |world| {
            world.note_container("kill", id, &Labels::default());
            let now = world.now;
            let container = world.container_mut("kill container", id)?;
            if !container.is_running() {
                return Err(Error::new(ErrorKind::Conflict, "kill container", id, "not running"));
            }
            match signal.strip_prefix("SIG").unwrap_or(signal) {
                // Dead a moment later, not when the call returns: as on every engine.
                "KILL" => container.killed_at = Some(now + Duration::from_millis(5)),
                "TERM" | "INT" | "QUIT" => container.terminate(now),
                "STOP" => container.hung = true,
                "CONT" => container.hung = false,
                "HUP" | "USR1" | "USR2" | "WINCH" => {}
                other => {
                    let detail = format!("unknown signal {other}");
                    return Err(Error::new(ErrorKind::Invalid, "kill container", id, detail));
                }
            }
            world.changed();
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.call("remove", "remove container", id, |world| {
            world.note_container("remove", id, &Labels::default());
            if let Some(id) = world.find(id) {
                world.changed();
                world.erase(&id);
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, filter: &ListFilter) -> Result<Listing> {
        self.call("list", "list", "containers", |world| Ok(world.list(filter))).await
    }

    async fn inspect(&self, id: &str) -> Result<Container> {
        self.call("inspect", "inspect container", id, |world| {
            let now = world.now;
            Ok(world.container_mut("inspect container", id)?.describe_in_depth(now))
        })
        .await
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.read_logs(id, options).await
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        self.run_exec(id, spec).await
    }

    async fn exec_interactive(&self, id: &str, spec: &ExecSpec, tty: Option<TtySize>) -> Result<Interactive> {
        self.run_interactive(id, spec, tty).await
    }

    async fn probe(&self, id: &str, command: &[String], timeout: Duration) -> Result<ProbeOutput> {
        const OPERATION: &str = "probe container";
        let timed_out = || ProbeOutput { result: ProbeResult::TimedOut, output: String::new() };
        let begun = self.call("probe", OPERATION, id, |world| {
            let now = world.now;
            let container = world.enter(OPERATION, id)?;
            if container.spec.probe.as_deref() != Some(command) {
                let detail = "not the command the container was created with";
                return Err(Error::new(ErrorKind::Invalid, OPERATION, id, detail));
            }
            if container.probing_until.is_some_and(|until| until > now) {
                return Ok(None);
            }
            // The command itself lives on as long as the process it asks hangs.
            container.probing_until = container.hung.then(|| now + timeout);
            Ok(Some(container.id.clone()))
        });
        let Some(id) = begun.await? else { return Ok(timed_out()) };
        let answer = self.wait_for(|world| {
            let now = world.now;
            let Some(container) = world.containers.get_mut(&id) else {
                return Some(Err(Error::new(ErrorKind::NotFound, OPERATION, &id, "no such container")));
            };
            if !container.is_running() {
                return Some(Err(Error::new(ErrorKind::Conflict, OPERATION, &id, "not running")));
            }
            if !container.is_responsive() {
                return None;
            }
            container.probing_until = None;
            let (code, output) = if container.is_healthy(now) { (0, "ok") } else { (1, "not ready") };
            Some(Ok(ProbeOutput { result: ProbeResult::Exited(code), output: output.into() }))
        });
        tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| Ok(timed_out()))
    }

    async fn events(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        self.subscribe(filter).await
    }
}

fn check_owner(operation: &'static str, name: &str, have: &Labels, want: &Labels) -> Result<()> {
    if have.owned_by(want) {
        return Ok(());
    }
    let holder = Holder { name: Some(name.into()), labels: have.clone() };
    let kind = ErrorKind::NameTaken(Box::new(holder));
    Err(Error::new(kind, operation, name, "exists, and belongs to somebody else"))
}
