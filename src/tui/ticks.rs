//! When something on the screen will say another time than now.

use std::time::Duration;

use super::text::age_changes_in;
use crate::model::{ServiceState, Snapshot, Time};

/// How long until the first of the times that are shown changes.
pub(super) fn next(snapshot: &Snapshot, now: Time) -> Duration {
    let since = |time: Time| age_changes_in(now.since(time));
    let mut next = since(snapshot.controller.started_at);
    for service in snapshot.services.values() {
        if matches!(service.state, ServiceState::Running | ServiceState::Starting) {
            next = service.started_at.map_or(next, |started| next.min(since(started)));
        }
        if let Some(time) = service.next_try.filter(|time| *time > now) {
            // A countdown changes when what is left is a whole number of its units.
            let left = time.since(now);
            let unit = if left < Duration::from_secs(60) { 1000 } else { 60_000 };
            let rest = u64::try_from(left.as_millis()).unwrap_or(u64::MAX) % unit;
            next = next.min(Duration::from_millis(rest + 1));
        }
    }
    for run in snapshot.agents.values().filter_map(|agent| agent.run.as_ref()) {
        next = run.started_at.map_or(next, |started| next.min(since(started)));
    }
    next
}
