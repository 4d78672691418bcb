//! Waiting until services are as they were asked to be.
//!
//! A request only changes what is wanted; how it went is told by the snapshots that follow. A status counts once it is
//! about the generation the request was given, so that an older success or failure is never taken for the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::model::{ConditionStatus, ServiceState, ServiceStatus, Snapshot, Time};

/// How long an engine may be away before waiting for it is given up.
const ENGINE_PATIENCE: Duration = Duration::from_millis(1500);

/// A service without a probe counts as up once it has run this long: one that ends at once never was.
const STEADY: Duration = Duration::from_secs(1);

/// So many restarts in a row, and it will not come up by waiting.
const HOPELESS: u32 = 3;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Running and healthy.
    Ready,
    /// Not running.
    Stopped,
}

/// How far one service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// On its way.
    Waiting,
    /// As it was asked to be.
    Done,
    /// It will not get there by itself.
    Failed,
}

/// Where the wait for one service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The service.
    pub name: String,
    /// How it ended; waiting when time ran out.
    pub verdict: Verdict,
    /// Its last status; absent when the controller told of none.
    pub status: Option<ServiceStatus>,
}

/// What happens while waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<'a> {
    /// One service is settled, or its time is over.
    Settled(&'a Outcome),
    /// These are still on their way.
    Waiting(Vec<&'a ServiceStatus>),
}

/// Why a wait ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupted {
    /// The controller is gone.
    ControllerGone,
    /// The engine cannot be reached, and why.
    EngineUnavailable(String),
}

/// How far a service is on its way to a goal.
pub fn judge(status: &ServiceStatus, generation: u64, goal: Goal, now: Time) -> Verdict {
    if status.observed_generation < generation {
        return Verdict::Waiting;
    }
    match (goal, status.state) {
        (_, ServiceState::External) => Verdict::Done,
        (Goal::Ready, _) if status.is_ready() && unsteady(status, now).is_none() => Verdict::Done,
        (Goal::Ready, ServiceState::Failed) => Verdict::Failed,
        (Goal::Ready, ServiceState::Backoff) if status.restarts >= HOPELESS => Verdict::Failed,
        (Goal::Stopped, ServiceState::Stopped) => Verdict::Done,
        (Goal::Stopped, ServiceState::Failed) => Verdict::Failed,
        _ => Verdict::Waiting,
    }
}

/// How long it takes until a service that looks ready is believed.
fn unsteady(status: &ServiceStatus, now: Time) -> Option<Duration> {
    if !status.is_ready() || status.last_probe.is_some() {
        return None;
    }
    let steady_at = status.started_at? + STEADY;
    (steady_at > now).then(|| steady_at.since(now))
}

/// Waits until each of `wanted` (name to generation) has reached the goal, has failed, or time is over.
///
/// # Errors
///
/// When no answer will come any more.
pub async fn settle(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    wanted: &BTreeMap<String, u64>,
    goal: Goal,
    deadline: Instant,
    now: impl Fn() -> Time,
    mut report: impl FnMut(Progress<'_>),
) -> Result<(), Interrupted> {
    let mut pending = wanted.clone();
    let mut seen = BTreeSet::new();
    let mut engine_away_since = None;
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        for (name, generation) in wanted {
            if !pending.contains_key(name) {
                continue;
            }
            let status = snapshot.services.get(name);
            let verdict = match status {
                Some(status) => judge(status, *generation, goal, now()),
                // No longer in the configuration: nothing of it is left to stop. A controller that has only just
                // started has not seen it yet, which is something else.
                None if goal == Goal::Stopped && seen.contains(name) => Verdict::Done,
                None => Verdict::Waiting,
            };
            if status.is_some() {
                seen.insert(name);
            }
            if verdict != Verdict::Waiting {
                pending.remove(name);
                let outcome = Outcome { name: name.clone(), verdict, status: status.cloned() };
                report(Progress::Settled(&outcome));
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        report(Progress::Waiting(pending.keys().filter_map(|name| snapshot.services.get(name)).collect()));
        let steady = pending.keys().filter_map(|name| unsteady(snapshot.services.get(name)?, now())).min();
        let mut wake = match engine_trouble(&snapshot) {
            None => {
                engine_away_since = None;
                deadline
            }
            Some(why) => {
                let since = *engine_away_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= ENGINE_PATIENCE {
                    return Err(Interrupted::EngineUnavailable(why));
                }
                deadline.min(since + ENGINE_PATIENCE)
            }
        };
        if let Some(steady) = steady {
            wake = wake.min(Instant::now() + steady);
        }
        match timeout_at(wake, snapshots.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return Err(Interrupted::ControllerGone),
            Err(_elapsed) if Instant::now() < deadline => {}
            Err(_elapsed) => {
                for name in pending.into_keys() {
                    let status = snapshot.services.get(&name).cloned();
                    report(Progress::Settled(&Outcome { name, verdict: Verdict::Waiting, status }));
                }
                return Ok(());
            }
        }
    }
}

/// Why the engine cannot be reached, when it cannot.
pub fn engine_trouble(snapshot: &Snapshot) -> Option<String> {
    let condition = snapshot.conditions.iter().find(|condition| condition.kind == "EngineAvailable")?;
    (condition.status == ConditionStatus::False).then(|| condition.message.clone())
}
