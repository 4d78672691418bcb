//! Carries out a plan: single engine calls in order, with nothing left to decide but what a failure means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tanuki_runtimes::{Error, ErrorKind, Holder, NetworkSpec, VolumeSpec};

use super::kind::Services;
use super::observe::World;
use super::plan::{Seen, Wanted};
use super::ports;
use super::prober;
use super::record::{Prober, Run};
use super::spec;
use crate::controller::{Next, PassError, Wake};
use crate::model::{
    Desired, EventType, HealthWord, HostPort, LabelKey, ObjectKind, ObservedContainer, ProbeRecord,
    ProbeVerdict, ServicePlan, StepAction,
};
use crate::services::kind::Key;
use crate::store::Wish;

/// Meta key: `keep` or `volumes` while the project is to have nothing on the engine.
pub const META_DOWN: &str = "down";
/// Meta key: counts requests about the project as a whole.
pub(super) const META_GENERATION: &str = "generation";

/// Tries with other host ports before a start counts as failed.
const PORT_TRIES: usize = 20;

/// Which container a step means by a name: the one that was seen, or that was just created. By now somebody else may
/// have the name, so the engine is told the id.
#[derive(Debug, Default)]
pub(super) struct Targets(BTreeMap<String, String>);

impl Targets {
    pub(super) fn seen<'a>(containers: impl IntoIterator<Item = &'a ObservedContainer>) -> Self {
        let ids = containers.into_iter().map(|container| (container.name.clone(), container.id.clone()));
        Self(ids.collect())
    }

    fn id<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

impl Services {
    pub(super) async fn execute(
        self: &Arc<Self>,
        wanted: &Wanted,
        plan: &ServicePlan,
        wish: &Wish,
        seen: &Seen<'_>,
    ) -> Result<Next, PassError> {
        let object = format!("service/{}", wanted.spec.name);
        let container = seen.container;
        let mut targets = Targets::seen(container.into_iter().chain(seen.surplus));
        for step in &plan.steps {
            tracing::info!(service = wanted.spec.name, action = ?step.action, cause = step.cause, "step");
            match self.execute_step(wanted, &step.action, wish.generation, &mut targets).await {
                Ok(()) => self.after_step(wanted, &object, &step.action, &step.cause),
                Err(error) => return self.on_step_failed(wanted, wish, container, &step.action, error),
            }
        }
        self.with_record(&wanted.spec.name, |record| record.failure = None);
        if wish.restart {
            self.deps.store.clear_restart(&wanted.spec.name).map_err(PassError::new)?;
        }
        Ok(Next::Again)
    }

    async fn execute_step(
        &self,
        wanted: &Wanted,
        action: &StepAction,
        generation: u64,
        targets: &mut Targets,
    ) -> Result<(), Error> {
        let runtime = &self.deps.runtime;
        let owner = &self.deps.owner;
        match action {
            StepAction::PullImage { image } => {
                let mut progress = runtime.pull(image).await?;
                while let Some(record) = progress.next().await {
                    let record = record?;
                    tracing::debug!(image, layer = record.layer, status = record.status, "pull");
                }
                Ok(())
            }
            StepAction::EnsureNetwork { network } => {
                let labels = owner.object_labels(ObjectKind::Network, &self.deps.names.network);
                runtime.ensure_network(&NetworkSpec { name: network.clone(), labels }).await.map(drop)
            }
            StepAction::EnsureVolume { configured, volume, data_version } => {
                let mut labels = owner.object_labels(ObjectKind::Volume, configured);
                if let Some(version) = data_version {
                    labels.0.insert(LabelKey::DATA_VERSION.into(), version.clone());
                }
                runtime.ensure_volume(&VolumeSpec { name: volume.clone(), labels }).await.map(drop)
            }
            StepAction::Create { ports, .. } => {
                let container = spec::container(wanted, owner, generation, ports);
                let id = runtime.create(&container).await?;
                targets.0.insert(container.name, id);
                Ok(())
            }
            StepAction::Start { container } => runtime.start(targets.id(container)).await,
            StepAction::Stop { .. }
            | StepAction::Remove { .. }
            | StepAction::RemoveNetwork { .. }
            | StepAction::RemoveVolume { .. } => self.execute_removal(action, targets).await,
        }
    }

    /// Steps that take away; they need no specification.
    pub(super) async fn execute_removal(&self, action: &StepAction, targets: &Targets) -> Result<(), Error> {
        let runtime = &self.deps.runtime;
        match action {
            StepAction::Stop { container, grace_ms } => {
                let grace = Duration::from_millis(*grace_ms);
                match runtime.stop(targets.id(container), grace).await {
                    // Removed since it was seen: it does not run, which is what was asked for.
                    Err(error) if error.is_not_found() => Ok(()),
                    stopped => stopped,
                }
            }
            StepAction::Remove { container } => runtime.remove(targets.id(container)).await,
            StepAction::RemoveNetwork { network } => runtime.remove_network(network).await,
            StepAction::RemoveVolume { volume } => runtime.remove_volume(volume).await,
            StepAction::PullImage { .. }
            | StepAction::EnsureNetwork { .. }
            | StepAction::EnsureVolume { .. }
            | StepAction::Create { .. }
            | StepAction::Start { .. } => Ok(()),
        }
    }

    fn after_step(&self, wanted: &Wanted, object: &str, action: &StepAction, cause: &str) {
        let name = &wanted.spec.name;
        match action {
            StepAction::PullImage { image } => {
                self.with_record(name, |record| record.pulled = true);
                self.record_event(EventType::Normal, object, "Pulled", &format!("pulled {image}"));
            }
            StepAction::Create { container, .. } => {
                self.with_record(name, |record| {
                    record.pulled = false;
                    record.unstartable = None;
                });
                self.record_event(
                    EventType::Normal,
                    object,
                    "Created",
                    &format!("created {container}: {cause}"),
                );
            }
            StepAction::Start { container } => {
                self.with_record(name, |record| record.avoid.clear());
                self.record_event(
                    EventType::Normal,
                    object,
                    "Started",
                    &format!("started {container}: {cause}"),
                );
            }
            StepAction::Stop { container, .. } => {
                if wanted.desired != Desired::Running || wanted.restart {
                    self.with_record(name, |record| record.backoff.on_stopped());
                }
                self.record_event(
                    EventType::Normal,
                    object,
                    "Stopped",
                    &format!("stopped {container}: {cause}"),
                );
            }
            StepAction::Remove { container } => {
                self.with_record(name, |record| {
                    record.end_run();
                    record.backoff.on_stopped();
                });
                // The last one to go may be what the network waits for.
                self.deps.waker.wake(Wake::Key(Key::Project));
                self.record_event(
                    EventType::Normal,
                    object,
                    "Removed",
                    &format!("removed {container}: {cause}"),
                );
            }
            StepAction::EnsureNetwork { .. }
            | StepAction::EnsureVolume { .. }
            | StepAction::RemoveNetwork { .. }
            | StepAction::RemoveVolume { .. } => {}
        }
    }

    /// What a failed step means: whose fault it is, and when it is tried again.
    fn on_step_failed(
        &self,
        wanted: &Wanted,
        wish: &Wish,
        container: Option<&ObservedContainer>,
        action: &StepAction,
        error: Error,
    ) -> Result<Next, PassError> {
        let name = &wanted.spec.name;
        if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
            && !matches!(action, StepAction::PullImage { .. })
        {
            // The engine's fault, and nobody knows what happened: look again.
            return Err(PassError::new(error));
        }
        let failed =
            |reason, message| Ok(self.on_start_failed(wanted, wish.generation, container, reason, message));
        match (action, &error.kind) {
            (StepAction::Create { .. }, ErrorKind::NameTaken(holder))
                if holder.labels.owned_by(&self.deps.owner.labels())
                    && holder.labels.get(LabelKey::NAME) == Some(name) =>
            {
                // Its own container, made since the look: look again.
                Err(PassError::new(error))
            }
            (_, ErrorKind::NameTaken(holder)) => failed("NameTaken", name_taken(&error, holder)),
            (_, ErrorKind::DiskFull) => failed("DiskFull", error.to_string()),
            (_, ErrorKind::Denied) => failed("Denied", error.to_string()),
            (StepAction::PullImage { .. }, ErrorKind::ImageMissing) => failed(
                "ImageMissing",
                format!("{error}; check the name in tanuki.yaml, or build or load the image"),
            ),
            (StepAction::PullImage { .. }, _) => failed("PullFailed", error.to_string()),
            (StepAction::Create { .. }, ErrorKind::Invalid | ErrorKind::Unsupported) => {
                failed("Invalid", error.to_string())
            }
            (StepAction::Start { .. }, ErrorKind::PortTaken { port }) => {
                self.on_port_taken(wanted, wish, container, *port, &error)
            }
            (StepAction::Start { .. }, ErrorKind::NotFound) => {
                self.with_record(name, |record| {
                    record.unstartable = Some("something it was made with is gone".to_owned());
                });
                Ok(Next::Again)
            }
            (StepAction::Start { .. }, _) => failed("StartFailed", error.to_string()),
            _ => Err(PassError::new(error)),
        }
    }

    fn on_port_taken(
        &self,
        wanted: &Wanted,
        wish: &Wish,
        container: Option<&ObservedContainer>,
        port: Option<u16>,
        error: &Error,
    ) -> Result<Next, PassError> {
        let spec = &wanted.spec;
        let fixed: Vec<u16> = std::iter::once(spec.host_port)
            .chain(spec.ports.iter().map(|mapping| mapping.host))
            .filter_map(|host| if let HostPort::Fixed(port) = host { Some(port) } else { None })
            .collect();
        // The next try makes a new container: the ports of this one are settled.
        let tries = self.with_record(&spec.name, |record| {
            record.unstartable = Some("its host port is in use".to_owned());
            record.avoid.extend(port.filter(|port| !fixed.contains(port)));
            record.avoid.len()
        });
        let is_fixed = port.map_or(!fixed.is_empty(), |port| fixed.contains(&port));
        if is_fixed || port.is_none() || tries > PORT_TRIES {
            let message = match port {
                Some(port) => format!("port {port} on 127.0.0.1 is in use by {}", ports::holder(port)),
                None => error.to_string(),
            };
            return Ok(self.on_start_failed(wanted, wish.generation, container, "PortTaken", message));
        }
        Ok(Next::Again)
    }

    /// Network and volumes: they go once nothing uses them and a person asked.
    pub(super) async fn reconcile_project(self: &Arc<Self>, world: &World) -> Result<Next, PassError> {
        let down = self.deps.store.meta(META_DOWN).map_err(PassError::new)?.unwrap_or_default();
        if down.is_empty() || !world.containers.is_empty() || world.others > 0 {
            return Ok(Next::Settled);
        }
        let generation = self.project_generation()?;
        for network in &world.networks {
            let action = StepAction::RemoveNetwork { network: network.clone() };
            self.execute_removal(&action, &Targets::default()).await.map_err(PassError::new)?;
            self.record_event(EventType::Normal, "project", "Removed", &format!("removed network {network}"));
        }
        if down == "volumes" {
            for volume in world.volumes.keys() {
                let action = StepAction::RemoveVolume { volume: volume.clone() };
                self.execute_removal(&action, &Targets::default()).await.map_err(PassError::new)?;
                self.record_event(
                    EventType::Normal,
                    "project",
                    "Removed",
                    &format!("removed volume {volume}"),
                );
            }
        }
        self.set_down(true, generation);
        Ok(Next::Settled)
    }

    pub(super) fn project_generation(&self) -> Result<u64, PassError> {
        let text = self.deps.store.meta(META_GENERATION).map_err(PassError::new)?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Probes one run until it ends. Only a change of verdict wakes the loop: steady health costs no pass.
    pub(super) fn spawn_prober(self: &Arc<Self>, name: &str, container: ObservedContainer, run: Run) {
        let services = Arc::clone(self);
        let task_name = name.to_owned();
        let task = tokio::spawn(async move {
            let id = run.id();
            loop {
                let Some((spec, next)) = services.next_probe(&task_name, &id) else { return };
                // Never longer than between two probes, even if the clock went back meanwhile.
                let wait = next.since(services.now()).min(spec.health.interval);
                tokio::time::sleep(wait).await;
                let probed = prober::probe(services.deps.runtime.as_ref(), &spec, &container, run.started_at);
                let (verdict, output) = probed.await;
                let record = ProbeRecord { time: services.now(), verdict, output };
                if !services.on_probed(&task_name, &id, &record) {
                    return;
                }
            }
        });
        self.with_record(name, |record| record.prober = Some(Prober(task.abort_handle())));
    }

    fn next_probe(&self, name: &str, run: &str) -> Option<(crate::model::ServiceSpec, crate::model::Time)> {
        let memory = self.lock();
        let health = memory.records.get(name)?.health.as_ref().filter(|health| health.run == run)?;
        Some((memory.specs.get(name)?.clone(), health.next?))
    }

    /// Takes a probe's result; false when its run is over.
    fn on_probed(&self, name: &str, run: &str, record: &ProbeRecord) -> bool {
        let now = self.now();
        let words = {
            let mut memory = self.lock();
            let Some(timing) = memory.specs.get(name).map(|spec| spec.health) else { return false };
            let health = memory.records.get_mut(name).and_then(|record| record.health.as_mut());
            let Some(health) = health.filter(|health| health.run == run) else { return false };
            let before = health.word;
            health.on_probe(&timing, record.clone(), now);
            (before, health.word)
        };
        // A probe that says what the last one said is no news.
        let newsworthy = |old: &Option<ProbeRecord>| {
            old.as_ref().is_none_or(|old| (old.verdict, &old.output) != (record.verdict, &record.output))
        };
        self.deps.publisher.update(|snapshot| {
            if let Some(status) = snapshot.services.get_mut(name)
                && newsworthy(&status.last_probe)
            {
                if status.health == HealthWord::Starting && record.verdict != ProbeVerdict::Success {
                    status.message.clone_from(&record.output);
                }
                status.last_probe = Some(record.clone());
            }
        });
        if words.0 != words.1 {
            self.deps.waker.wake(Wake::Key(Key::Service(name.to_owned())));
        }
        true
    }

    pub(super) fn forget_failure(&self, name: &str) {
        self.with_record(name, super::record::Record::forgive);
    }
}

/// Whose a name is that was wanted, and what to do about it.
pub fn name_taken(error: &Error, holder: &Holder) -> String {
    let name = holder.name.clone().unwrap_or_else(|| error.subject.clone());
    match (holder.labels.get(LabelKey::MANAGED), holder.labels.get(LabelKey::PROJECT_PATH)) {
        (Some("true"), Some(path)) => format!("the name {name} belongs to the Tanuki project in {path}"),
        _ => format!(
            "the name {name} belongs to something that Tanuki did not make; it is left untouched: remove or rename it"
        ),
    }
}
