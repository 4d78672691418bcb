//! What the controller remembers of one service between passes.

use std::collections::BTreeMap;

use tokio::task::AbortHandle;

use super::backoff::Backoff;
use super::health::HealthState;
use crate::model::{ServiceSpec, Time};

/// Everything remembered, behind one lock that is never held over an await.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) specs: BTreeMap<String, ServiceSpec>,
    pub(super) records: BTreeMap<String, Record>,
}

/// One service's memory. Only `backoff` outlives the controller.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Whether `backoff` was read from the store.
    pub(super) loaded: bool,
    pub(super) backoff: Backoff,
    pub(super) health: Option<HealthState>,
    /// The run that was last seen.
    pub(super) run: Option<Run>,
    /// Something happened to the container since: its start time has to be asked for again.
    pub(super) stale: bool,
    /// How often to look again because the engine told of an end that its list does not show yet.
    pub(super) expect_end: u8,
    /// The container there is cannot be started as it is, and why.
    pub(super) unstartable: Option<String>,
    /// Host ports that turned out to be in use.
    pub(super) avoid: Vec<u16>,
    /// The image was pulled for the creation under way.
    pub(super) pulled: bool,
    /// The last step that failed, until one succeeds or a person asks anew.
    pub(super) failure: Option<Failure>,
    /// The digest the store last heard of.
    pub(super) noted_spec: Option<String>,
    /// Exit code and cause of the last end.
    pub(super) last_exit_code: Option<i64>,
    /// The probes of the current run.
    pub(super) prober: Option<Prober>,
}

/// One run of a container's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) container_id: String,
    pub(super) started_at: Time,
}

impl Run {
    pub(super) fn id(&self) -> String {
        format!("{}@{}", self.container_id, self.started_at)
    }
}

/// A step that failed, as people and `service start` are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Probes run as long as this is kept.
#[derive(Debug)]
pub(super) struct Prober(pub(super) AbortHandle);

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Record {
    /// The program does not run any more.
    pub(super) fn end_run(&mut self) {
        self.run = None;
        self.health = None;
        self.prober = None;
        self.stale = false;
        self.expect_end = 0;
    }

    /// A person asked: what went wrong before is forgotten.
    pub(super) fn forgive(&mut self) {
        self.backoff.clear();
        self.failure = None;
        self.unstartable = None;
        self.avoid.clear();
        self.pulled = false;
    }
}
