//! From a plan and what is remembered to what people read.

use super::plan::Wanted;
use super::record::Record;
use crate::model::{
    Condition, ConditionStatus, HealthWord, Names, ObservedContainer, ServicePlan, ServiceState,
    ServiceStatus, Time,
};

/// A service's status. `before` is the one it follows, for the times of transitions.
pub(super) fn status(
    wanted: &Wanted,
    plan: &ServicePlan,
    container: Option<&ObservedContainer>,
    record: &Record,
    generation: u64,
    now: Time,
    before: Option<&ServiceStatus>,
) -> ServiceStatus {
    let spec = &wanted.spec;
    let failure = record.failure.as_ref().filter(|_| {
        matches!(plan.state, ServiceState::Pending | ServiceState::Backoff | ServiceState::Pulling)
    });
    let (state, reason, message) = match failure {
        Some(failure) => (ServiceState::Failed, failure.reason.to_owned(), failure.message.clone()),
        None => (plan.state, plan.reason.clone(), plan.message.clone()),
    };
    let live = matches!(state, ServiceState::Running | ServiceState::Starting | ServiceState::Stopping);
    let health = match &record.health {
        Some(health) if live => health.word,
        _ => HealthWord::None,
    };
    let host = match &spec.external {
        Some(external) => external.host.clone(),
        None => Names::service_host(&spec.name),
    };
    let host_port = container.zip(spec.port).and_then(|(container, port)| container.host_port(port));
    let mut status = ServiceStatus {
        name: spec.name.clone(),
        service_type: spec.service_type,
        enabled: spec.enabled,
        desired: wanted.desired,
        state,
        health,
        image: spec.image.clone(),
        container: wanted.container.clone(),
        container_id: container.map(|container| container.id.clone()),
        host,
        port: spec.port,
        host_port,
        started_at: record.run.as_ref().filter(|_| live).map(|run| run.started_at),
        restarts: record.backoff.restarts,
        last_exit_code: record.last_exit_code,
        last_probe: record
            .health
            .as_ref()
            .and_then(|health| health.last.clone())
            .or_else(|| before.and_then(|before| before.last_probe.clone())),
        next_try: record.backoff.waits_until(now),
        reason,
        message,
        generation,
        observed_generation: generation,
        conditions: Vec::new(),
    };
    status.conditions = conditions(&status, container, now, before);
    status
}

fn conditions(
    status: &ServiceStatus,
    container: Option<&ObservedContainer>,
    now: Time,
    before: Option<&ServiceStatus>,
) -> Vec<Condition> {
    let running = match (status.state, container) {
        (ServiceState::Unknown | ServiceState::External, _) => ConditionStatus::Unknown,
        (ServiceState::Running | ServiceState::Starting, Some(_)) => ConditionStatus::True,
        _ => ConditionStatus::False,
    };
    let healthy = match status.health {
        HealthWord::Healthy => ConditionStatus::True,
        HealthWord::Unhealthy | HealthWord::None => ConditionStatus::False,
        HealthWord::Starting | HealthWord::Unknown => ConditionStatus::Unknown,
    };
    let ready = match status.state {
        ServiceState::Unknown | ServiceState::External => ConditionStatus::Unknown,
        _ if status.is_ready() => ConditionStatus::True,
        _ => ConditionStatus::False,
    };
    [("ContainerRunning", running), ("Healthy", healthy), ("Ready", ready)]
        .into_iter()
        .map(|(kind, value)| {
            let old = before.and_then(|before| before.conditions.iter().find(|old| old.kind == kind));
            Condition {
                kind: kind.to_owned(),
                status: value,
                reason: status.reason.clone(),
                message: status.message.clone(),
                last_transition: old.filter(|old| old.status == value).map_or(now, |old| old.last_transition),
                observed_generation: status.observed_generation,
            }
        })
        .collect()
}
