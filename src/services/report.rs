//! What people are told: statuses, conditions and events.

use super::kind::Services;
use super::plan::Wanted;
use super::record::Failure;
use super::status;
use crate::controller::{Next, Publisher};
use crate::model::{
    Condition, ConditionStatus, EventType, ObservedContainer, ServicePlan, ServiceState, ServiceStatus,
    Snapshot, Time,
};
use crate::store::Store;

/// Events a snapshot carries.
pub(super) const EVENTS: usize = 100;

/// Records that something happened, as (type, object, reason, message), in the store and in the snapshot.
pub fn record_event(
    store: &Store,
    publisher: &Publisher<Snapshot>,
    now: Time,
    (kind, object, reason, message): (EventType, &str, &str, &str),
) {
    match store.add_event(now, kind, object, reason, message) {
        Ok(event) => publisher.update(|snapshot| {
            snapshot.events.retain(|old| old.id != event.id);
            snapshot.events.push(event);
            let excess = snapshot.events.len().saturating_sub(EVENTS);
            snapshot.events.drain(..excess);
        }),
        Err(error) => tracing::warn!(%error, object, reason, message, "cannot record an event"),
    }
}

/// Says how something about the project as a whole is, in the snapshot's conditions.
pub fn set_condition(
    publisher: &Publisher<Snapshot>,
    now: Time,
    (kind, status, reason, message): (&str, ConditionStatus, &str, &str),
    generation: u64,
) {
    publisher.update(|snapshot| {
        let old = snapshot.conditions.iter().find(|old| old.kind == kind);
        let last_transition = old.filter(|old| old.status == status).map_or(now, |old| old.last_transition);
        snapshot.conditions.retain(|old| old.kind != kind);
        snapshot.conditions.push(Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition,
            observed_generation: generation,
        });
        snapshot.conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
    });
}

impl Services {
    pub(super) fn publish(
        &self,
        wanted: &Wanted,
        plan: &ServicePlan,
        container: Option<&ObservedContainer>,
        generation: u64,
    ) {
        let now = self.now();
        let name = &wanted.spec.name;
        let before = self.deps.publisher.current().services.get(name).cloned();
        let status = self.with_record(name, |record| {
            status::status(wanted, plan, container, record, generation, now, before.as_ref())
        });
        self.record_transition(before.as_ref(), &status);
        self.deps.publisher.update(|snapshot| {
            snapshot.services.insert(name.clone(), status);
        });
    }

    fn record_transition(&self, before: Option<&ServiceStatus>, status: &ServiceStatus) {
        let (object, ready) = (format!("service/{}", status.name), status.is_ready());
        let was_ready = before.is_some_and(ServiceStatus::is_ready);
        if ready && !was_ready {
            self.record_event(EventType::Normal, &object, "Ready", "healthy");
        }
        let same =
            before.is_some_and(|before| (before.state, &before.reason) == (status.state, &status.reason));
        let trouble = matches!(status.state, ServiceState::Failed | ServiceState::Backoff)
            || (status.state == ServiceState::Stopping && status.reason == "Unhealthy");
        if trouble && !same {
            self.record_event(EventType::Warning, &object, &status.reason, &status.message);
        }
    }

    /// A step failed in a way that counts against the service. Returns when it is tried again.
    pub(super) fn on_start_failed(
        &self,
        wanted: &Wanted,
        generation: u64,
        container: Option<&ObservedContainer>,
        reason: &'static str,
        message: String,
    ) -> Next {
        let now = self.now();
        let name = &wanted.spec.name;
        let wait = self.with_record(name, |record| {
            record.backoff.on_start_failed(&wanted.spec.restart, now);
            record.failure = Some(Failure { reason, message: message.clone() });
            record.backoff.waits_until(now)
        });
        let plan = ServicePlan {
            steps: Vec::new(),
            state: ServiceState::Pending,
            reason: reason.into(),
            message,
            deadline: wait,
        };
        if let Err(error) = self.save_memory(name) {
            tracing::warn!(%error, service = name, "cannot save what is remembered");
        }
        self.publish(wanted, &plan, container, generation);
        let gave_up = self.with_record(name, |record| record.backoff.gave_up);
        match wait {
            Some(next) => Next::After(next.since(now)),
            None if gave_up => Next::Settled,
            None => Next::After(wanted.spec.restart.initial),
        }
    }

    pub(super) fn set_condition(
        &self,
        kind: &str,
        status: ConditionStatus,
        reason: &str,
        message: &str,
        generation: u64,
    ) {
        let now = self.now();
        set_condition(&self.deps.publisher, now, (kind, status, reason, message), generation);
    }

    /// The configuration on disk is good, or not; a bad one changes nothing but this.
    pub fn on_config(&self, error: Option<&str>) {
        match error {
            None => self.set_condition("ConfigValid", ConditionStatus::True, "Loaded", "", 0),
            Some(message) => {
                self.set_condition("ConfigValid", ConditionStatus::False, "Invalid", message, 0);
                self.record_event(EventType::Warning, "project", "ConfigInvalid", message);
            }
        }
    }

    pub(super) fn set_down(&self, done: bool, generation: u64) {
        let status = if done { ConditionStatus::True } else { ConditionStatus::False };
        self.set_condition("Down", status, if done { "Removed" } else { "Removing" }, "", generation);
    }
}
