//! A container of the fake engine, and what its main process does.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::image::{Behaviour, Program};
use super::script::{self, Place};
use crate::{Container, ContainerSpec, ContainerState, LogLine, MountSource, StreamKind};

/// A line that will be written, and when.
#[derive(Debug, Clone)]
pub(super) struct PendingLine {
    pub(super) at: Instant,
    pub(super) stream: StreamKind,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct FakeContainer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) spec: ContainerSpec,
    pub(super) image_id: String,
    /// Image's and container's.
    pub(super) env: BTreeMap<String, String>,
    pub(super) programs: BTreeMap<String, Program>,
    pub(super) behaviour: Behaviour,
    /// Name and id of the network it was created on; the id tells a network from its successor of the same name.
    pub(super) network: Option<(String, String)>,
    /// Networks it was put on since.
    pub(super) further: Vec<(String, String)>,
    /// Whether it is still connected to that network.
    pub(super) connected: bool,
    pub(super) state: ContainerState,
    /// Stopped by a signal: probes hang.
    pub(super) hung: bool,
    /// Probes fail although it runs.
    pub(super) sick: bool,
    pub(super) pid: Option<u32>,
    pub(super) exit_code: Option<i64>,
    pub(super) oom_killed: bool,
    pub(super) error: Option<String>,
    /// Since the engine was made.
    pub(super) started_at: Option<Duration>,
    pub(super) finished_at: Option<Duration>,
    /// When the current run began.
    pub(super) running_since: Option<Instant>,
    pub(super) starts: u64,
    /// The main process ends then, with this code.
    pub(super) dies_at: Option<(Instant, i64)>,
    /// A stop runs out of patience then.
    pub(super) killed_at: Option<Instant>,
    pub(super) pending: VecDeque<PendingLine>,
    pub(super) log: Vec<LogLine>,
    /// What is shown instead of the truth, until then.
    pub(super) shown: Option<(Instant, Container)>,
    /// A probe is under way until then.
    pub(super) probing_until: Option<Instant>,
}

impl FakeContainer {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Stopping)
    }

    /// Neither frozen nor stopped by a signal.
    pub(super) fn is_responsive(&self) -> bool {
        self.is_running() && !self.hung && self.state != ContainerState::Paused
    }

    pub(super) fn volumes(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .spec
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Volume(name) => Some(name.clone()),
                MountSource::Bind { .. } | MountSource::Tmpfs(_) => None,
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The main process begins.
    pub(super) fn begin(&mut self, now: Instant, elapsed: Duration, pid: u32) {
        self.state = ContainerState::Running;
        self.hung = false;
        self.sick = false;
        self.pid = Some(pid);
        self.exit_code = None;
        self.oom_killed = false;
        self.error = None;
        self.started_at = Some(elapsed);
        self.finished_at = None;
        self.running_since = Some(now);
        self.starts += 1;
        self.killed_at = None;
        self.shown = None;
        self.probing_until = None;
        self.pending.clear();

        let argv: Vec<String> =
            self.spec.entrypoint.iter().chain(self.spec.command.iter()).flatten().cloned().collect();
        if argv.first().is_some_and(|program| script::is_known(program)) {
            let place =
                Place { env: self.env.clone(), workdir: self.spec.workdir.as_deref(), ..Place::default() };
            let script = script::run(&argv, &place);
            for (after, stream, bytes) in script.prints {
                let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                self.pending.extend(lines.map(|line| PendingLine {
                    at: now + after,
                    stream,
                    bytes: line.to_vec(),
                }));
            }
            self.dies_at = now.checked_add(script.ends).map(|at| (at, script.exit_code));
        } else {
            let lines = self.behaviour.log_lines.iter();
            self.pending.extend(lines.map(|line| PendingLine {
                at: now,
                stream: StreamKind::Stdout,
                bytes: line.clone().into_bytes(),
            }));
            self.dies_at = self.behaviour.dies_after.map(|after| (now + after, self.behaviour.exit_code));
        }
    }

    /// The main process ended.
    pub(super) fn end(&mut self, elapsed: Duration, exit_code: i64) {
        self.state = ContainerState::Exited;
        self.exit_code = Some(exit_code);
        self.finished_at = Some(elapsed);
        self.pid = None;
        self.hung = false;
        self.running_since = None;
        self.dies_at = None;
        self.killed_at = None;
        self.probing_until = None;
        self.pending.clear();
    }

    /// Asks the main process to end, as a TERM does.
    pub(super) fn terminate(&mut self, now: Instant) {
        if !self.behaviour.ignores_term {
            let at = now + self.behaviour.term_delay;
            if self.dies_at.is_none_or(|(dies_at, _)| at < dies_at) {
                self.dies_at = Some((at, 143));
            }
        }
    }

    /// Whether the health command succeeds now.
    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        match (self.running_since, self.behaviour.boot) {
            (Some(since), Some(boot)) => !self.sick && now >= since + boot,
            _ => false,
        }
    }

    /// When its next change is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let line = self.pending.front().map(|line| line.at);
        let death = self.dies_at.map(|(at, _)| at).filter(|_| self.is_responsive());
        [line, death, self.killed_at].into_iter().flatten().min()
    }

    /// As the trait tells it; a plain list leaves out what only some engines tell there.
    pub(super) fn describe(&self, now: Instant, detailed: bool) -> Container {
        if let Some((_, shown)) = self.shown.as_ref().filter(|(until, _)| now < *until) {
            let plain = Container {
                exit_code: None,
                oom_killed: false,
                started_at: None,
                finished_at: None,
                volumes: Vec::new(),
                pid: None,
                error: None,
                ..shown.clone()
            };
            return if detailed { shown.clone() } else { plain };
        }
        let ports = if self.is_running() { self.spec.ports.clone() } else { Vec::new() };
        let own = self.network.iter().filter(|_| self.connected);
        let mut networks: Vec<String> = own.chain(&self.further).map(|(name, _)| name.clone()).collect();
        networks.sort();
        let mut container = Container {
            id: self.id.clone(),
            name: self.name.clone(),
            image: self.spec.image.clone(),
            image_id: Some(self.image_id.clone()),
            labels: self.spec.labels.clone(),
            state: self.state,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
            ports,
            networks,
            volumes: Vec::new(),
            pid: None,
            error: None,
        };
        if detailed {
            container.exit_code = self.exit_code;
            container.started_at = self.started_at.map(|at| UNIX_EPOCH + at);
            container.finished_at = self.finished_at.map(|at| UNIX_EPOCH + at);
            container.volumes = self.volumes();
        }
        container
    }

    /// Everything `inspect` tells.
    pub(super) fn describe_in_depth(&self, now: Instant) -> Container {
        if let Some((_, shown)) = self.shown.as_ref().filter(|(until, _)| now < *until) {
            return shown.clone();
        }
        Container {
            oom_killed: self.oom_killed,
            pid: self.pid,
            error: self.error.clone(),
            ..self.describe(now, true)
        }
    }
}
