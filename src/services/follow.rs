//! Follows a service's runs from pass to pass: one began, goes on, or ended. What is remembered of them is saved.

use std::sync::Arc;
use std::time::Duration;

use super::health::HealthState;
use super::kind::Services;
use super::plan::Wanted;
use super::record::{Record, Run};
use crate::controller::PassError;
use crate::model::{ContainerPhase, Desired, EventType, ObservedContainer, Time};
use crate::store::Wish;

/// How often, and how long apart, to look again when the engine told of an end that its list does not show yet.
pub(super) const EXPECT_END: (u8, Duration) = (20, Duration::from_millis(50));

impl Services {
    pub(super) fn load_memory(&self, name: &str) -> Result<(), PassError> {
        if self.with_record(name, |record| record.loaded) {
            return Ok(());
        }
        let saved = self.deps.store.memory(name).map_err(PassError::new)?;
        self.with_record(name, |record| {
            record.loaded = true;
            // What an older version wrote and this one cannot read only costs a restart count.
            record.backoff = saved.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        });
        Ok(())
    }

    pub(super) fn save_memory(&self, name: &str) -> Result<(), PassError> {
        let json = self.with_record(name, |record| serde_json::to_string(&record.backoff));
        let json = json.map_err(PassError::new)?;
        let saved = self.deps.store.memory(name).map_err(PassError::new)?;
        if saved.as_deref() != Some(&json) {
            self.deps.store.save_memory(name, &json).map_err(PassError::new)?;
        }
        Ok(())
    }

    /// A changed definition is a new generation.
    pub(super) fn note_spec(&self, name: &str, wanted: &Wanted, wish: Wish) -> Result<Wish, PassError> {
        let noted = self.with_record(name, |record| record.noted_spec.as_deref() == Some(&*wanted.spec_hash));
        if noted || wish.generation == 0 {
            return Ok(wish);
        }
        self.deps.store.note_spec(name, &wanted.spec_hash).map_err(PassError::new)?;
        self.with_record(name, |record| record.noted_spec = Some(wanted.spec_hash.clone()));
        self.wish(name)
    }

    /// Compares the container with what was remembered: a run began, goes on, or ended. Returns when to look again if
    /// the engine contradicts itself.
    pub(super) async fn follow_run(
        self: &Arc<Self>,
        wanted: &Wanted,
        container: Option<&ObservedContainer>,
    ) -> Result<Option<Duration>, PassError> {
        let name = &wanted.spec.name;
        match container {
            None => {
                self.with_record(name, |record| {
                    record.end_run();
                    record.backoff.on_stopped();
                });
                Ok(None)
            }
            Some(container) => match container.phase {
                ContainerPhase::Running | ContainerPhase::Paused => self.follow_live(wanted, container).await,
                ContainerPhase::Changing => Ok(None),
                ContainerPhase::Created | ContainerPhase::Exited | ContainerPhase::Dead => {
                    self.follow_end(wanted, container).await?;
                    Ok(None)
                }
            },
        }
    }

    async fn follow_live(
        self: &Arc<Self>,
        wanted: &Wanted,
        container: &ObservedContainer,
    ) -> Result<Option<Duration>, PassError> {
        let name = &wanted.spec.name;
        let known = self.with_record(name, |record| {
            !record.stale
                && record.backoff.running
                && record.run.as_ref().is_some_and(|run| run.container_id == container.id)
        });
        if !known {
            let started_at = match container.started_at {
                Some(time) => time,
                None => {
                    let inspected = self.deps.runtime.inspect(&container.id).await.map_err(PassError::new)?;
                    inspected.started_at.map_or_else(|| self.now(), Time::from)
                }
            };
            let run = Run { container_id: container.id.clone(), started_at };
            self.begin_run(wanted, container, run);
        }
        Ok(self.with_record(name, |record| {
            record.expect_end = record.expect_end.saturating_sub(1);
            record.stale = record.expect_end > 0;
            record.stale.then_some(EXPECT_END.1)
        }))
    }

    fn begin_run(self: &Arc<Self>, wanted: &Wanted, container: &ObservedContainer, run: Run) {
        let name = &wanted.spec.name;
        let now = self.now();
        let begun = self.with_record(name, |record| {
            if record.run.as_ref() == Some(&run) {
                return false;
            }
            // The same run that an earlier controller saw is no restart.
            let adopted = record.backoff.running && record.backoff.started_at == Some(run.started_at);
            if !adopted {
                record.backoff.on_running(run.started_at);
            }
            let id = run.id();
            let probed = super::probe::is_probed(&wanted.spec);
            record.health = Some(if probed {
                // From when it was first seen: the engine's clock, on a virtual machine, need not agree with ours.
                HealthState::new(id, now, now)
            } else {
                HealthState::unprobed(id, run.started_at)
            });
            record.run = Some(run.clone());
            record.prober = None;
            true
        });
        if begun && super::probe::is_probed(&wanted.spec) {
            self.spawn_prober(name, container.clone(), run);
        }
    }

    async fn follow_end(&self, wanted: &Wanted, container: &ObservedContainer) -> Result<(), PassError> {
        let name = &wanted.spec.name;
        if !self.with_record(name, |record| record.backoff.running) {
            self.with_record(name, Record::end_run);
            return Ok(());
        }
        let detail = self.deps.runtime.inspect(&container.id).await.map_err(PassError::new)?;
        let now = self.now();
        let unwanted = wanted.desired == Desired::Running && !wanted.restart;
        let times = detail.finished_at.zip(detail.started_at);
        let ran = times.and_then(|(finished, started)| finished.duration_since(started).ok());
        self.with_record(name, |record| {
            record.end_run();
            record.last_exit_code = detail.exit_code;
            if unwanted {
                record.backoff.on_ended(&wanted.spec.restart, ran.unwrap_or_default(), now);
            } else {
                record.backoff.on_stopped();
            }
        });
        if unwanted {
            let code = detail.exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            let memory = if detail.oom_killed { ", out of memory" } else { "" };
            self.record_event(
                EventType::Warning,
                &format!("service/{name}"),
                "Died",
                &format!("ended with exit code {code}{memory}"),
            );
        }
        Ok(())
    }
}
