//! Which keys are to be looked at, and when. Duplicates fold; one pass per key at a time; failures back off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// First wait after a failed pass; doubles with each failure in a row.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// Longest wait after a failed pass.
const LAST_DELAY: Duration = Duration::from_secs(30);

/// A keyed work queue. Pure: time is an argument, and so is randomness.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// Each with the number of looks that had begun when it was last asked for: only a later one will do.
    ready: VecDeque<(K, u64)>,
    looks: u64,
    delayed: BTreeMap<K, Instant>,
    running: BTreeSet<K>,
    again: BTreeSet<K>,
    failures: BTreeMap<K, u32>,
}

/// How a pass over a key ended, as far as the queue cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing more to do until something happens.
    Settled,
    /// It changed something: look again at once.
    Again,
    /// Look again at this time.
    At(Instant),
    /// It failed: look again after a wait.
    Failed,
}

impl<K: Ord + Clone> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            looks: 0,
            delayed: BTreeMap::new(),
            running: BTreeSet::new(),
            again: BTreeSet::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Look at `key`: as soon as possible, after the pass that is under way if one is, and not before the wait is over
    /// if the last pass failed (its own effects wake it too, and must not make it spin).
    pub(super) fn add(&mut self, key: K) {
        if self.failures.contains_key(&key) && self.delayed.contains_key(&key) {
            return;
        }
        self.add_now(key, self.looks);
    }

    /// As [`add`](Self::add), but for the look that has just been taken.
    pub(super) fn add_seen(&mut self, key: K) {
        if self.failures.contains_key(&key) && self.delayed.contains_key(&key) {
            return;
        }
        self.add_now(key, self.looks.saturating_sub(1));
    }

    /// Look at `key` as soon as possible, forgiving failures: somebody asked.
    pub(super) fn urge(&mut self, key: K) {
        self.failures.remove(&key);
        self.add_now(key, self.looks);
    }

    fn add_now(&mut self, key: K, looks: u64) {
        self.delayed.remove(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if let Some((_, asked)) = self.ready.iter_mut().find(|(ready, _)| *ready == key) {
            *asked = looks.max(*asked);
        } else {
            self.ready.push_back((key, looks));
        }
    }

    fn add_at(&mut self, key: K, when: Instant) {
        if self.ready.iter().any(|(ready, _)| *ready == key) {
            return;
        }
        let earliest = self.delayed.get(&key).map_or(when, |other| when.min(*other));
        self.delayed.insert(key, earliest);
    }

    /// Moves what is due to the ready end.
    pub(super) fn promote(&mut self, now: Instant) {
        let due: Vec<K> =
            self.delayed.iter().filter(|(_, when)| **when <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.add_now(key, self.looks);
        }
    }

    /// When something will be due that is not yet.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.delayed.values().min().copied()
    }

    /// Whether a pass could start now.
    pub(super) fn has_ready(&self, slots: usize) -> bool {
        !self.ready.is_empty() && self.running.len() < slots
    }

    /// A look at the world begins: what was asked for until now may start from it.
    pub(super) fn look(&mut self) {
        self.looks += 1;
    }

    /// Whether somebody waits for a slot whom the latest look is good enough for.
    pub(super) fn has_seen(&self) -> bool {
        self.ready.iter().any(|(_, asked)| *asked < self.looks)
    }

    /// Takes what may start now from the latest look; each must be [`end`](Self::end)ed.
    pub(super) fn take(&mut self, slots: usize) -> Vec<K> {
        let free = slots.saturating_sub(self.running.len());
        let mut taken = Vec::new();
        self.ready.retain(|(key, asked)| {
            let takes = taken.len() < free && *asked < self.looks;
            if takes {
                taken.push(key.clone());
            }
            !takes
        });
        self.running.extend(taken.iter().cloned());
        taken
    }

    /// A pass ended. `jitter` is between 0 and 1.
    pub(super) fn end(&mut self, key: K, ended: Ended, now: Instant, jitter: f64) {
        self.running.remove(&key);
        let again = self.again.remove(&key);
        if ended == Ended::Failed {
            let failures = self.failures.entry(key.clone()).or_default();
            *failures += 1;
            let delay = retry_delay(*failures, jitter);
            // Something that happened meanwhile does not shorten the wait: a failing key must not spin.
            self.add_at(key, now + delay);
            return;
        }
        self.failures.remove(&key);
        match ended {
            Ended::Again => self.add(key),
            _ if again => self.add(key),
            Ended::At(when) => self.add_at(key, when),
            Ended::Settled | Ended::Failed => {}
        }
    }
}

/// Wait before the next try after `failures` failures in a row: doubling, with up to half of it taken off at random
/// so that many failing keys do not all come back at once.
pub(super) fn retry_delay(failures: u32, jitter: f64) -> Duration {
    let exponent = failures.saturating_sub(1).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << exponent).min(LAST_DELAY);
    delay.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn duplicates_fold_and_a_running_key_waits_its_turn() {
        let mut queue = Queue::new();
        queue.add("a");
        queue.add("a");
        queue.look();
        assert_eq!(queue.take(8), ["a"]);
        queue.add("a");
        queue.look();
        assert_eq!(queue.take(8), [""; 0]);
        queue.end("a", Ended::Settled, Instant::now(), 0.0);
        queue.look();
        assert_eq!(queue.take(8), ["a"]);
    }

    #[test]
    fn one_look_is_for_all_that_asked_before_it_and_for_nobody_after() {
        let mut queue = Queue::new();
        queue.add("a");
        queue.add("b");
        queue.look();
        queue.add_seen("c");
        queue.add("b");
        queue.add("d");
        assert_eq!(queue.take(1), ["a"]);
        assert!(queue.has_seen());
        assert_eq!(queue.take(8), ["c"], "b and d were asked for after the look");
        assert!(!queue.has_seen());
        queue.look();
        assert_eq!(queue.take(8), ["b", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_on_passes_holds() {
        let mut queue = Queue::new();
        for key in 0..5 {
            queue.add(key);
        }
        queue.look();
        assert_eq!(queue.take(2), [0, 1]);
        assert!(!queue.has_ready(2));
        queue.end(0, Ended::Settled, Instant::now(), 0.0);
        assert_eq!(queue.take(2), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_even_when_woken_and_success_forgives() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add("a");
        queue.look();
        let _taken = queue.take(1);
        queue.add("a");
        queue.end("a", Ended::Failed, now, 0.0);
        assert!(!queue.has_ready(1));
        assert_eq!(queue.next_deadline(), Some(now + FIRST_DELAY));
        queue.promote(now + FIRST_DELAY);
        queue.look();
        let _taken = queue.take(1);
        queue.end("a", Ended::Settled, now, 0.0);
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn delays_double_to_a_cap_and_jitter_shortens_them() {
        assert_eq!(retry_delay(1, 0.0), Duration::from_millis(50));
        assert_eq!(retry_delay(3, 0.0), Duration::from_millis(200));
        assert_eq!(retry_delay(40, 0.0), LAST_DELAY);
        assert_eq!(retry_delay(1, 1.0), Duration::from_millis(25));
    }
}
