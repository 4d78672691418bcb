//! Probes through the engine's health check, which leaves nothing behind.
//!
//! # Guarantees
//!
//! * Only the command the container was created with is run; another one is refused.
//! * At most one probe of a container is under way. One that hangs stays under way until the engine ends its call
//!   (its command ended, or the container did), and until then probes report [`ProbeResult::TimedOut`].
//! * No timer, no restart, no kill: the health check has no interval and no action on failure.
//!
//! # Limits
//!
//! The engine keeps no exit code: a failed command is 1, whatever it said. Of the output it keeps 500 bytes. It also
//! does not tell that there is no such program, which a person must know; so when a container's probe first fails
//! without a word, the command is run once more as an exec.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::Failure;
use super::http::Target;
use super::wire::HealthAnswer;
use super::{Podman, READ, inspected, within};
use crate::{Error, ErrorKind, ExecSpec, ProbeOutput, ProbeResult, Result};

const WHAT: &str = "probe";
const OUTPUT_LIMIT: usize = 4096;
/// The engine's word for a command that ended after the health check's own limit.
const OVERDUE: &str = "exceeded timeout";

/// What is remembered of probes, by container id.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// A probe is under way.
    busy: BTreeSet<String>,
    /// What a look into a silent failure found.
    explained: BTreeMap<String, Option<ProbeOutput>>,
}

/// Held while a probe is under way.
struct Ticket {
    probes: Probes,
    id: String,
}

impl Probes {
    fn enter(&self, id: &str) -> Option<Ticket> {
        let free = self.known().busy.insert(id.to_owned());
        free.then(|| Ticket { probes: self.clone(), id: id.to_owned() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.probes.known().busy.remove(&self.id);
    }
}

impl Podman {
    pub(super) async fn run_probe(
        &self,
        id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<ProbeOutput> {
        let before =
            within(READ, inspected(&self.client, id)).await.map_err(|failure| failure.at(WHAT, id))?;
        if !before.state.running() {
            return Err(Error::new(ErrorKind::Conflict, WHAT, id, "the container is not running"));
        }
        if !before.probes_with(command) {
            let detail = "the container was created with another health command";
            return Err(Error::new(ErrorKind::Invalid, WHAT, id, detail));
        }
        let Some(ticket) = self.probes.enter(&before.id) else { return Ok(timed_out()) };
        let client = self.client.clone();
        let target = Target::new(&["containers", &before.id, "healthcheck"]);
        // On its own, so that the ticket is held until the engine is done, whoever still waits.
        let call = tokio::spawn(async move {
            let answer = client.get::<HealthAnswer>(&target).await;
            drop(ticket);
            answer
        });
        let answer = match tokio::time::timeout(timeout, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => Err(Failure::Broken(lost.to_string())),
            Err(_elapsed) => return Ok(timed_out()),
        };
        let healthy = match answer {
            Ok(answer) => match answer.status.as_str() {
                "healthy" => true,
                "stopped" => {
                    return Err(Error::new(ErrorKind::Conflict, WHAT, id, "the container stopped"));
                }
                _ => false,
            },
            Err(Failure::Api { message, .. }) if message.contains(OVERDUE) => return Ok(timed_out()),
            Err(failure) => return Err(failure.at(WHAT, id)),
        };
        // The output is a help for people: not having it is no reason to lose the result.
        let after = within(READ, inspected(&self.client, &before.id)).await.ok();
        if !healthy && after.as_ref().is_some_and(|after| !after.state.running()) {
            return Err(Error::new(ErrorKind::Conflict, WHAT, id, "the container stopped"));
        }
        let run = after
            .and_then(|mut after| after.state.health.log.pop())
            .filter(|run| before.state.health.log.last().is_none_or(|last| last.start != run.start));
        let code = run.as_ref().map_or(1, |run| run.exit_code);
        let result = match (healthy, code) {
            (true, _) => ProbeResult::Exited(0),
            (false, -1) => ProbeResult::TimedOut,
            (false, code) => ProbeResult::Exited(if code == 0 { 1 } else { code }),
        };
        let mut output = run.map(|run| run.output).unwrap_or_default();
        if matches!(result, ProbeResult::Exited(1))
            && output.is_empty()
            && let Some(explained) = self.explain(&before.id, command, timeout).await
        {
            return Ok(explained);
        }
        output.truncate(output.floor_char_boundary(OUTPUT_LIMIT));
        Ok(ProbeOutput { result, output })
    }
}

impl Podman {
    /// Why a container's command cannot be run, if that is so; looked into once.
    async fn explain(&self, id: &str, command: &[String], timeout: Duration) -> Option<ProbeOutput> {
        let known = self.probes.known().explained.get(id).cloned();
        if let Some(known) = known {
            return known;
        }
        let _ticket = self.probes.enter(id)?;
        let found = self.try_command(id, command, timeout).await;
        self.probes.known().explained.insert(id.to_owned(), found.clone());
        found
    }

    async fn try_command(&self, id: &str, command: &[String], timeout: Duration) -> Option<ProbeOutput> {
        let spec = ExecSpec { command: command.to_vec(), timeout: Some(timeout), ..ExecSpec::default() };
        let ran = self.run(id, &spec).await.ok()?;
        let text = String::from_utf8_lossy(&ran.stderr);
        // A second line is about the connection, not the command.
        let output = text.lines().next().unwrap_or_default().trim_start_matches("Error: ").to_owned();
        matches!(ran.exit_code, 126 | 127)
            .then_some(ProbeOutput { result: ProbeResult::Exited(ran.exit_code), output })
    }
}

fn timed_out() -> ProbeOutput {
    ProbeOutput { result: ProbeResult::TimedOut, output: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_per_container() {
        let probes = Probes::default();
        let ticket = probes.enter("a").unwrap();
        assert!(probes.enter("a").is_none());
        assert!(probes.enter("b").is_some());
        drop(ticket);
        assert!(probes.enter("a").is_some());
    }
}
