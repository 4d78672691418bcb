//! When a service that ended is started again: a pure state machine over events and time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Restart, Time};

/// What is remembered of a service's runs. Survives the controller in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// Whether the last thing known of the program is that it runs; its end is then still to be counted.
    pub running: bool,
    /// When it was last seen to start.
    pub started_at: Option<Time>,
    /// Runs in a row that ended by themselves, were hung, or could not be started.
    pub failures: u32,
    /// Starts after such an end, since a person last asked.
    pub restarts: u32,
    /// Not before this time.
    pub next_try: Option<Time>,
    /// The limit of tries is used up; only a person goes on.
    pub gave_up: bool,
}

impl Backoff {
    /// The program runs, since `started_at`.
    pub fn on_running(&mut self, started_at: Time) {
        // A start that needed several tries, of the pull for example, is no restart.
        if !self.running && self.failures > 0 && self.started_at.is_some() {
            self.restarts += 1;
        }
        self.running = true;
        self.started_at = Some(started_at);
        self.next_try = None;
        self.gave_up = false;
    }

    /// A run ended though it was wanted, after `ran` by the engine's clock, which need not agree with ours. Counts once per run: later calls change nothing until
    /// [`on_running`](Self::on_running) or [`on_start_failed`](Self::on_start_failed).
    pub fn on_ended(&mut self, policy: &Restart, ran: Duration, now: Time) {
        if self.running {
            self.running = false;
            if ran >= policy.reset_after {
                self.failures = 0;
            }
            self.count(policy, now);
        }
    }

    /// The program could not be started at all.
    pub fn on_start_failed(&mut self, policy: &Restart, now: Time) {
        self.running = false;
        self.count(policy, now);
    }

    /// It was stopped because nobody wants it running, or a person wants it now: everything is forgiven.
    pub fn clear(&mut self) {
        *self = Self { running: self.running, started_at: self.started_at, ..Self::default() };
    }

    /// The program is known to have ended, and that is as it should be.
    pub fn on_stopped(&mut self) {
        self.running = false;
        self.started_at = None;
    }

    /// A clock that went back must not make a wait longer than it was meant to be.
    pub fn fit(&mut self, policy: &Restart, now: Time) {
        let latest = now + delay(policy, self.failures);
        self.next_try = self.next_try.map(|next| next.min(latest));
    }

    /// When the next start is due, if it has to wait; never while given up.
    pub fn waits_until(&self, now: Time) -> Option<Time> {
        self.next_try.filter(|next| *next > now)
    }

    fn count(&mut self, policy: &Restart, now: Time) {
        self.failures += 1;
        if policy.max_retries > 0 && self.failures > policy.max_retries {
            self.gave_up = true;
            self.next_try = None;
        } else {
            self.next_try = Some(now + delay(policy, self.failures));
        }
    }
}

/// Wait before the start that follows the `failures`-th failure in a row: none, then `initial`, doubling up to `max`.
fn delay(policy: &Restart, failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => policy.initial.saturating_mul(1_u32.checked_shl(n - 2).unwrap_or(u32::MAX)).min(policy.max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Restart = Restart {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(60),
        reset_after: Duration::from_secs(600),
        max_retries: 0,
    };

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<u64> = (1..=9).map(|n| delay(&POLICY, n).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(&POLICY, 400), POLICY.max);
    }

    #[test]
    fn an_end_counts_once() {
        let mut backoff = Backoff::default();
        backoff.on_running(Time(0));
        backoff.on_ended(&POLICY, Duration::ZERO, Time(10));
        backoff.on_ended(&POLICY, Duration::ZERO, Time(20));
        assert_eq!((backoff.failures, backoff.next_try), (1, Some(Time(10))));
        backoff.on_running(Time(30));
        assert_eq!((backoff.restarts, backoff.failures), (1, 1));
        backoff.on_ended(&POLICY, Duration::ZERO, Time(40));
        assert_eq!(backoff.waits_until(Time(40)), Some(Time(1040)));
    }

    #[test]
    fn a_long_run_clears_the_count() {
        let mut backoff =
            Backoff { failures: 7, running: true, started_at: Some(Time(0)), ..Backoff::default() };
        backoff.on_ended(&POLICY, Duration::from_secs(600), Time(600_000));
        assert_eq!(backoff.failures, 1);
    }

    #[test]
    fn gives_up_after_the_limit_until_cleared() {
        let policy = Restart { max_retries: 2, ..POLICY };
        let mut backoff = Backoff::default();
        for start in 0..3 {
            backoff.on_running(Time(start));
            backoff.on_ended(&policy, Duration::ZERO, Time(start));
        }
        assert!(backoff.gave_up);
        assert_eq!(backoff.next_try, None);
        backoff.clear();
        assert_eq!(backoff, Backoff { started_at: Some(Time(2)), ..Backoff::default() });
    }

    #[test]
    fn a_clock_that_goes_back_lengthens_no_wait() {
        let mut backoff = Backoff { failures: 3, next_try: Some(Time(3_600_000)), ..Backoff::default() };
        backoff.fit(&POLICY, Time(1000));
        assert_eq!(backoff.next_try, Some(Time(3000)));
        backoff.fit(&POLICY, Time(2000));
        assert_eq!(backoff.next_try, Some(Time(3000)));
    }

    #[test]
    fn a_first_start_that_took_several_tries_is_no_restart() {
        let mut backoff = Backoff::default();
        backoff.on_start_failed(&POLICY, Time(0));
        backoff.on_running(Time(10));
        assert_eq!(backoff.restarts, 0);
    }
}
