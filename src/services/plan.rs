//! What to do about one service: a pure function of what is wanted, what was seen, what is remembered, and the time.

use std::collections::BTreeMap;

use super::backoff::Backoff;
use super::health::HealthState;
use crate::model::{
    ContainerPhase, Desired, HealthWord, HostPort, ImageFacts, ObservedContainer, ObservedVolume, PullPolicy,
    ServicePlan, ServiceSpec, ServiceState, Step, StepAction, Time,
};

/// One service as it should be, with every name decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The service.
    pub spec: ServiceSpec,
    /// What is asked of it.
    pub desired: Desired,
    /// A person asked for a restart that has not happened yet.
    pub restart: bool,
    /// Its container's name.
    pub container: String,
    /// Its network's name.
    pub network: String,
    /// Its named volumes: name in the configuration, name on the engine.
    pub volumes: Vec<(String, String)>,
    /// Digest of all that its container is made from.
    pub spec_hash: String,
    /// The same by field.
    pub spec_fields: BTreeMap<String, String>,
}

/// What a pass knows of the local image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenImage {
    /// Nobody looked, because nothing needs it.
    NotAsked,
    /// It is not there.
    Absent,
    /// It is there.
    Present(ImageFacts),
}

/// One service as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its container.
    pub container: Option<&'a ObservedContainer>,
    /// Further containers that are labelled as this service's.
    pub surplus: &'a [ObservedContainer],
    /// Whether the project's network exists.
    pub network: bool,
    /// The project's volumes by name on the engine.
    pub volumes: &'a BTreeMap<String, ObservedVolume>,
    /// Its image.
    pub image: SeenImage,
    /// The image was pulled for the creation that is being planned.
    pub pulled: bool,
    /// Host ports chosen for it, as (container, host); only needed to create.
    pub ports: &'a [(u16, u16)],
    /// The container there is cannot be started as it is, and why.
    pub unstartable: Option<&'a str>,
}

/// Whether a plan for this will create a container, so that the image and host ports have to be found out first.
pub fn will_create(wanted: &Wanted, seen: &Seen<'_>) -> bool {
    wanted.desired == Desired::Running
        && wanted.spec.external.is_none()
        && seen.surplus.is_empty()
        && match seen.container {
            None => true,
            Some(container) => {
                seen.unstartable.is_some() || reason_to_recreate(wanted, container, seen.network).is_some()
            }
        }
}

/// The plan.
pub fn plan(
    wanted: &Wanted,
    seen: &Seen<'_>,
    backoff: &Backoff,
    health: Option<&HealthState>,
    now: Time,
) -> ServicePlan {
    if wanted.spec.external.is_some() {
        return settled(ServiceState::External, "External", "not run by Tanuki");
    }
    if !seen.surplus.is_empty() {
        return removal_of_surplus(seen.surplus, grace_ms(wanted));
    }
    match wanted.desired {
        Desired::Running => plan_running(wanted, seen, backoff, health, now),
        Desired::Stopped => plan_stopped(wanted, seen, now),
        Desired::Absent => plan_absent(wanted, seen),
    }
}

/// All but one container of a service go before anything else is done: two would write to the same data.
fn removal_of_surplus(surplus: &[ObservedContainer], grace_ms: u64) -> ServicePlan {
    let cause = "another container is this service's already";
    ServicePlan {
        steps: surplus.iter().flat_map(|container| removal(container, grace_ms, cause)).collect(),
        state: ServiceState::Pending,
        reason: "Surplus".into(),
        message: "several containers are labelled as this service's; all but one are removed".into(),
        deadline: None,
    }
}

/// The plan for containers of ours whose service is no longer in the configuration.
pub fn plan_orphan(containers: &[&ObservedContainer], grace_ms: u64) -> ServicePlan {
    let cause = "it is no longer in the configuration";
    ServicePlan {
        steps: containers.iter().flat_map(|container| removal(container, grace_ms, cause)).collect(),
        state: ServiceState::Stopping,
        reason: "NotConfigured".into(),
        message: cause.into(),
        deadline: None,
    }
}

fn plan_running(
    wanted: &Wanted,
    seen: &Seen<'_>,
    backoff: &Backoff,
    health: Option<&HealthState>,
    now: Time,
) -> ServicePlan {
    let Some(container) = seen.container else {
        if let Some(next) = backoff.waits_until(now) {
            return waiting(backoff, next);
        }
        return creation(wanted, seen, Vec::new(), "it does not exist");
    };
    let recreate = reason_to_recreate(wanted, container, seen.network)
        .or_else(|| seen.unstartable.map(ToOwned::to_owned))
        .filter(|_| container.phase != ContainerPhase::Changing);
    if let Some(cause) = recreate {
        let removal = removal(container, grace_ms(wanted), &cause);
        return creation(wanted, seen, removal, &cause);
    }
    match container.phase {
        ContainerPhase::Changing => {
            let mut plan = settled(ServiceState::Pending, "Changing", "the engine is changing its state");
            plan.deadline = Some(now + RECHECK);
            plan
        }
        ContainerPhase::Running | ContainerPhase::Paused => plan_live(wanted, container, health),
        ContainerPhase::Created | ContainerPhase::Exited => plan_start(wanted, container, backoff, now),
        // Recreated above.
        ContainerPhase::Dead => settled(ServiceState::Pending, "Dead", "the engine cannot use its container"),
    }
}

fn plan_live(wanted: &Wanted, container: &ObservedContainer, health: Option<&HealthState>) -> ServicePlan {
    let stop = |cause: &str| Step {
        action: StepAction::Stop { container: container.name.clone(), grace_ms: grace_ms(wanted) },
        cause: cause.to_owned(),
    };
    if wanted.restart {
        return ServicePlan {
            steps: vec![stop("a restart was asked for")],
            state: ServiceState::Stopping,
            reason: "RestartRequested".into(),
            message: "restarting because it was asked for".into(),
            deadline: None,
        };
    }
    if container.phase == ContainerPhase::Paused {
        return settled(ServiceState::Running, "Paused", "it was paused by hand; unpause it with the engine");
    }
    let word = health.map_or(HealthWord::Starting, |health| health.word);
    let last = health.and_then(|health| health.last.as_ref()).map_or("", |last| last.output.as_str());
    match word {
        HealthWord::Unhealthy => {
            let failures = health.map_or(0, |health| health.failures);
            let message = format!("{failures} probes in a row failed: {last}");
            ServicePlan {
                steps: vec![stop(&message)],
                state: ServiceState::Stopping,
                reason: "Unhealthy".into(),
                message,
                deadline: None,
            }
        }
        HealthWord::Healthy => settled(ServiceState::Running, "Ready", ""),
        HealthWord::Starting | HealthWord::Unknown | HealthWord::None => ServicePlan {
            steps: Vec::new(),
            state: ServiceState::Starting,
            reason: if word == HealthWord::Unknown { "ProbeFailed" } else { "NotHealthyYet" }.into(),
            message: last.to_owned(),
            deadline: None,
        },
    }
}

fn plan_start(wanted: &Wanted, container: &ObservedContainer, backoff: &Backoff, now: Time) -> ServicePlan {
    let ended = match (container.phase, container.exit_code) {
        (ContainerPhase::Created, _) => {
            container.error.clone().unwrap_or_else(|| "it was never started".into())
        }
        (_, Some(code)) if container.oom_killed => format!("it ran out of memory (exit code {code})"),
        (_, Some(code)) => format!("it ended with exit code {code}"),
        (_, None) => "it ended".into(),
    };
    if backoff.gave_up {
        return ServicePlan {
            steps: Vec::new(),
            state: ServiceState::Failed,
            reason: "GaveUp".into(),
            message: format!("{ended}; {} tries failed", backoff.failures),
            deadline: None,
        };
    }
    if let Some(next) = backoff.waits_until(now) {
        let mut plan = waiting(backoff, next);
        plan.message = ended;
        return plan;
    }
    let cause = if wanted.restart { "a restart was asked for".to_owned() } else { ended };
    ServicePlan {
        steps: vec![Step {
            action: StepAction::Start { container: container.name.clone() },
            cause: cause.clone(),
        }],
        state: ServiceState::Pending,
        reason: "Starting".into(),
        message: cause,
        deadline: None,
    }
}

fn plan_stopped(wanted: &Wanted, seen: &Seen<'_>, now: Time) -> ServicePlan {
    match seen.container {
        Some(container) if container.phase == ContainerPhase::Changing => {
            let mut plan = settled(ServiceState::Stopping, "Stopping", "the engine is changing its state");
            plan.deadline = Some(now + RECHECK);
            plan
        }
        Some(container) if is_live(container) => ServicePlan {
            steps: vec![Step {
                action: StepAction::Stop { container: container.name.clone(), grace_ms: grace_ms(wanted) },
                cause: "it is not wanted running".into(),
            }],
            state: ServiceState::Stopping,
            reason: "Stopping".into(),
            message: "it is not wanted running".into(),
            deadline: None,
        },
        _ => settled(ServiceState::Stopped, "Stopped", ""),
    }
}

fn plan_absent(wanted: &Wanted, seen: &Seen<'_>) -> ServicePlan {
    let Some(container) = seen.container else { return settled(ServiceState::Stopped, "Absent", "") };
    let cause = "nothing of the project is wanted";
    ServicePlan {
        steps: removal(container, grace_ms(wanted), cause),
        state: ServiceState::Stopping,
        reason: "Stopping".into(),
        message: cause.into(),
        deadline: None,
    }
}

/// Makes everything that is missing, after `removal`; or says why it will not.
fn creation(wanted: &Wanted, seen: &Seen<'_>, removal: Vec<Step>, cause: &str) -> ServicePlan {
    let spec = &wanted.spec;
    let failed = |reason: &str, message: String| ServicePlan {
        steps: Vec::new(),
        state: ServiceState::Failed,
        reason: reason.into(),
        message,
        deadline: None,
    };
    let pull = match (&seen.image, spec.pull) {
        (SeenImage::Absent, PullPolicy::Never) => {
            return failed("ImageMissing", format!("image {} is not there, and is never pulled", spec.image));
        }
        (SeenImage::Absent, _) => Some("the image is not there"),
        (_, PullPolicy::Always) if !seen.pulled => Some("it is pulled before each creation"),
        _ => None,
    };
    let data_version = match &seen.image {
        SeenImage::Present(facts) => facts.data_version.clone(),
        SeenImage::NotAsked | SeenImage::Absent => None,
    };
    // Checked before anything is removed: refusing must leave what runs running.
    if let Some(message) = version_conflict(wanted, seen, data_version.as_deref()) {
        return failed("DataVersionMismatch", message);
    }
    if let Some(image) = pull.map(|_| spec.image.clone()) {
        // The rest is planned once the image is there: what version it is decides whether its data fits.
        return ServicePlan {
            steps: vec![Step {
                action: StepAction::PullImage { image },
                cause: pull.unwrap_or_default().to_owned(),
            }],
            state: ServiceState::Pulling,
            reason: "Pulling".into(),
            message: format!("pulling {}", spec.image),
            deadline: None,
        };
    }
    let mut steps = removal;
    if !seen.network {
        steps.push(Step {
            action: StepAction::EnsureNetwork { network: wanted.network.clone() },
            cause: "the network does not exist".into(),
        });
    }
    for (configured, volume) in &wanted.volumes {
        if !seen.volumes.contains_key(volume) {
            steps.push(Step {
                action: StepAction::EnsureVolume {
                    configured: configured.clone(),
                    volume: volume.clone(),
                    data_version: data_version.clone(),
                },
                cause: "the volume does not exist".into(),
            });
        }
    }
    steps.push(Step {
        action: StepAction::Create { container: wanted.container.clone(), ports: seen.ports.to_vec() },
        cause: cause.to_owned(),
    });
    steps.push(Step {
        action: StepAction::Start { container: wanted.container.clone() },
        cause: "it is wanted running".into(),
    });
    ServicePlan {
        steps,
        state: ServiceState::Pending,
        reason: "Creating".into(),
        message: cause.to_owned(),
        deadline: None,
    }
}

fn version_conflict(wanted: &Wanted, seen: &Seen<'_>, image_version: Option<&str>) -> Option<String> {
    let image_version = image_version?;
    wanted.volumes.iter().find_map(|(_, volume)| {
        let data_version = seen.volumes.get(volume)?.data_version.as_deref()?;
        (data_version != image_version).then(|| {
            format!(
                "volume {volume} holds data of {}, but image {} is {}; the volume is left untouched",
                data_version.replace('-', " "),
                wanted.spec.image,
                image_version.replace('-', " "),
            )
        })
    })
}

fn reason_to_recreate(wanted: &Wanted, container: &ObservedContainer, network: bool) -> Option<String> {
    if container.phase == ContainerPhase::Dead {
        return Some("the engine cannot use its container".into());
    }
    if container.spec_hash != wanted.spec_hash {
        let differing = differing_fields(&container.spec_fields, &wanted.spec_fields);
        let differing = if differing.is_empty() { "its definition".into() } else { differing.join(", ") };
        return Some(format!("changed: {differing}"));
    }
    if !network {
        return Some(format!("network {} is gone", wanted.network));
    }
    if !container.networks.contains(&wanted.network) {
        return Some(format!("it is not on network {}", wanted.network));
    }
    let fixed = match (wanted.spec.port, wanted.spec.host_port) {
        (Some(port), HostPort::Fixed(host)) => Some((port, host)),
        _ => None,
    };
    if let (true, Some((port, host))) = (container.phase == ContainerPhase::Running, fixed)
        && container.host_port(port).is_some_and(|observed| observed != host)
    {
        return Some(format!("port {port} is not published as {host}"));
    }
    None
}

/// Names of the fields that are not the same on both sides, sorted.
pub fn differing_fields(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<String> =
        old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn removal(container: &ObservedContainer, grace_ms: u64, cause: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if is_live(container) {
        steps.push(Step {
            action: StepAction::Stop { container: container.name.clone(), grace_ms },
            cause: cause.to_owned(),
        });
    }
    steps.push(Step {
        action: StepAction::Remove { container: container.name.clone() },
        cause: cause.to_owned(),
    });
    steps
}

fn is_live(container: &ObservedContainer) -> bool {
    matches!(container.phase, ContainerPhase::Running | ContainerPhase::Paused | ContainerPhase::Changing)
}

fn waiting(backoff: &Backoff, next: Time) -> ServicePlan {
    ServicePlan {
        steps: Vec::new(),
        state: ServiceState::Backoff,
        reason: "CrashLoopBackOff".into(),
        message: format!("{} tries in a row failed", backoff.failures),
        deadline: Some(next),
    }
}

fn settled(state: ServiceState, reason: &str, message: &str) -> ServicePlan {
    ServicePlan { steps: Vec::new(), state, reason: reason.into(), message: message.into(), deadline: None }
}

fn grace_ms(wanted: &Wanted) -> u64 {
    u64::try_from(wanted.spec.stop_grace.as_millis()).unwrap_or(u64::MAX)
}

/// When to look again at something the engine is busy with and may tell no event about.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(1);
