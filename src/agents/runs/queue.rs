//! Which runs may begin: as many as `limits.working`, and only while enough memory is free.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Runs;
use crate::model::{EventType, RunState};

/// How soon memory is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Memory that can be had on this machine without swapping.
pub fn free_memory() -> Option<u64> {
    available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

impl Runs {
    /// Begins the runs whose turn it is; the others are told why they wait.
    pub(super) fn pump(self: &Arc<Self>) {
        if self.detach.is_cancelled() {
            return;
        }
        let limits = self.deps.ground.settings().limits;
        let (mut begin, mut wait, mut starved) = (Vec::new(), Vec::new(), false);
        {
            let mut live = self.lock();
            let mut working = live.values().filter(|run| run.record.state == RunState::Running).count();
            let mut queued: Vec<_> = live
                .values()
                .filter(|run| run.record.state == RunState::Queued && !run.memory.stop)
                .map(|run| (run.record.created_at, run.record.agent.clone()))
                .collect();
            queued.sort();
            for (_, agent) in queued {
                let reason = if working >= limits.working as usize {
                    Some(format!(
                        "waits for a place: {working} runs are under way, as many as limits.working allows"
                    ))
                } else {
                    let short = (self.deps.free_memory)().filter(|free| *free < limits.free_memory);
                    starved |= short.is_some();
                    short.map(|free| {
                        format!(
                            "waits for memory: {} MiB are free, limits.free_memory wants {}",
                            free >> 20,
                            limits.free_memory >> 20
                        )
                    })
                };
                match reason {
                    Some(reason) => wait.push((agent, reason)),
                    None => {
                        working += 1;
                        if let Some(run) = live.get_mut(&agent) {
                            run.record.state = RunState::Running;
                        }
                        begin.push(agent);
                    }
                }
            }
        }
        for (agent, reason) in wait {
            self.update(&agent, |record, _| record.message = reason);
        }
        for agent in begin {
            let now = self.deps.clock.now();
            self.update(&agent, |record, _| {
                record.message.clear();
                record.started_at = Some(now);
            });
            if let Some(run) = self.live(&agent) {
                self.event(EventType::Normal, &agent, "RunStarted", &run.id);
            }
            self.drive(agent);
        }
        if starved && !self.starved.swap(true, Ordering::Relaxed) {
            let runs = Arc::clone(self);
            drop(self.tasks.spawn(async move {
                tokio::select! {
                    biased;
                    () = runs.detach.cancelled() => {}
                    () = tokio::time::sleep(AGAIN) => {
                        runs.starved.store(false, Ordering::Relaxed);
                        runs.pump();
                    }
                }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_what_can_be_had() {
        assert_eq!(available("MemTotal:  8 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
    }
}
