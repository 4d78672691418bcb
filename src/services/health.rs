//! What probes say of a running service: a pure state machine over verdicts and time.

use std::time::Duration;

use crate::model::{Health, HealthWord, ProbeRecord, ProbeVerdict, Time};

/// The health of one run of a service. A new run begins with a new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthState {
    /// Which run this is about; verdicts of another run are dropped.
    pub run: String,
    /// When the run began.
    pub since: Time,
    /// What the probes say.
    pub word: HealthWord,
    /// Failures in a row that count.
    pub failures: u32,
    /// When the last failure that counts was; only looked at until the first success.
    pub counted: Option<Time>,
    /// Whether it was ever healthy in this run.
    pub was_healthy: bool,
    /// The last probe.
    pub last: Option<ProbeRecord>,
    /// When the next probe is due; `None` without a probe.
    pub next: Option<Time>,
}

impl HealthState {
    /// A run began: the first probe is due at once.
    pub fn new(run: String, since: Time, now: Time) -> Self {
        Self {
            run,
            since,
            word: HealthWord::Starting,
            failures: 0,
            counted: None,
            was_healthy: false,
            last: None,
            next: Some(now),
        }
    }

    /// A service without a probe is healthy as long as it runs.
    pub fn unprobed(run: String, since: Time) -> Self {
        let (word, was_healthy) = (HealthWord::Healthy, true);
        Self { run, since, word, failures: 0, counted: None, was_healthy, last: None, next: None }
    }

    /// A probe ended.
    pub fn on_probe(&mut self, health: &Health, record: ProbeRecord, now: Time) {
        // The clock may have gone back.
        self.since = self.since.min(now);
        match record.verdict {
            ProbeVerdict::Success => {
                self.failures = 0;
                self.was_healthy = true;
                self.word = HealthWord::Healthy;
            }
            ProbeVerdict::Failure => {
                // Failures while it may still be starting do not count, until the first success.
                let may_be_starting = !self.was_healthy && now.since(self.since) < health.start_period;
                // Until then probes are closer together, which must not use up the retries sooner: a database that
                // takes its time to initialise would be killed in the middle of it.
                let counted_lately = !self.was_healthy
                    && self.counted.is_some_and(|counted| now.since(counted) < health.interval);
                if !may_be_starting && !counted_lately {
                    self.failures += 1;
                    self.counted = Some(now);
                }
                if self.failures >= health.retries.max(1) {
                    self.word = HealthWord::Unhealthy;
                } else if !self.was_healthy {
                    self.word = HealthWord::Starting;
                }
            }
            ProbeVerdict::Unknown => {
                if self.word == HealthWord::Starting {
                    self.word = HealthWord::Unknown;
                }
            }
        }
        self.next = Some(now + self.wait(health, now));
        self.last = Some(record);
    }

    /// Until the first success probes are close together, so that a start is noticed at once.
    fn wait(&self, health: &Health, now: Time) -> Duration {
        if !self.was_healthy && now.since(self.since) < health.start_period.max(Duration::from_secs(30)) {
            health.start_interval.min(health.interval)
        } else {
            health.interval
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(verdict: ProbeVerdict) -> ProbeRecord {
        ProbeRecord { time: Time(0), verdict, output: String::new() }
    }

    fn health() -> Health {
        Health {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_millis(200),
        }
    }

    #[test]
    fn failures_while_starting_do_not_count_until_the_first_success() {
        let mut state = HealthState::new("a".into(), Time(0), Time(0));
        for now in 0..20 {
            state.on_probe(&health(), record(ProbeVerdict::Failure), Time(now * 100));
        }
        assert_eq!((state.word, state.failures), (HealthWord::Starting, 0));
        state.on_probe(&health(), record(ProbeVerdict::Success), Time(2_000));
        assert_eq!(state.word, HealthWord::Healthy);
        for now in 3..6 {
            state.on_probe(&health(), record(ProbeVerdict::Failure), Time(now * 1_000));
        }
        assert_eq!(state.word, HealthWord::Unhealthy);
    }

    #[test]
    fn fewer_failures_than_the_limit_leave_it_healthy() {
        let mut state = HealthState::new("a".into(), Time(0), Time(0));
        state.on_probe(&health(), record(ProbeVerdict::Success), Time(0));
        state.on_probe(&health(), record(ProbeVerdict::Failure), Time(1));
        state.on_probe(&health(), record(ProbeVerdict::Failure), Time(2));
        assert_eq!(state.word, HealthWord::Healthy);
        state.on_probe(&health(), record(ProbeVerdict::Success), Time(3));
        state.on_probe(&health(), record(ProbeVerdict::Failure), Time(4));
        assert_eq!((state.word, state.failures), (HealthWord::Healthy, 1));
    }

    #[test]
    fn never_healthy_ends_unhealthy_some_intervals_after_the_start_period() {
        let mut state = HealthState::new("a".into(), Time(0), Time(0));
        for now in 10..20 {
            state.on_probe(&health(), record(ProbeVerdict::Failure), Time(now * 1_000));
        }
        assert_eq!((state.word, state.failures), (HealthWord::Starting, 2));
        state.on_probe(&health(), record(ProbeVerdict::Failure), Time(20_000));
        assert_eq!(state.word, HealthWord::Unhealthy);
    }

    #[test]
    fn unknown_changes_no_verdict() {
        let mut state = HealthState::new("a".into(), Time(0), Time(0));
        state.on_probe(&health(), record(ProbeVerdict::Success), Time(0));
        state.on_probe(&health(), record(ProbeVerdict::Unknown), Time(1));
        assert_eq!((state.word, state.failures), (HealthWord::Healthy, 0));
    }

    #[test]
    fn probes_are_close_together_until_the_first_success() {
        let mut state = HealthState::new("a".into(), Time(0), Time(0));
        state.on_probe(&health(), record(ProbeVerdict::Failure), Time(100));
        assert_eq!(state.next, Some(Time(300)));
        state.on_probe(&health(), record(ProbeVerdict::Success), Time(300));
        assert_eq!(state.next, Some(Time(5_300)));
    }
}
