//! What goes wrong, how often, and what did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::{Error, ErrorKind, Listing};

/// How often which fault strikes; rates are between 0 and 1, for each call or event.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// Where all decisions come from.
    pub seed: u64,
    /// A call fails and nothing was done.
    pub fails: f64,
    /// A call is done in full and its reply is lost.
    pub loses_reply: f64,
    /// A call is only done after up to [`delay`](Self::delay), even if its caller gave up.
    pub slow: f64,
    /// A call reports [`ErrorKind::Timeout`], and is done up to [`delay`](Self::delay) later all the same.
    pub lands_late: f64,
    /// Longest delay of a slow or late call.
    pub delay: Duration,
    /// A list is one that was true earlier.
    pub stale: f64,
    /// By how many lists at most.
    pub lag: usize,
    /// An event is lost.
    pub drops: f64,
    /// An event comes twice.
    pub doubles: f64,
    /// An event comes after the next one.
    pub reorders: f64,
    /// A stream (of events, logs, pull progress) breaks off.
    pub cuts: f64,
}

impl FaultPlan {
    /// No faults.
    pub fn none() -> Self {
        Self {
            seed: 0,
            fails: 0.0,
            loses_reply: 0.0,
            slow: 0.0,
            lands_late: 0.0,
            delay: Duration::from_secs(60),
            stale: 0.0,
            lag: 0,
            drops: 0.0,
            doubles: 0.0,
            reorders: 0.0,
            cuts: 0.0,
        }
    }

    /// Some of the faults, at some rates: each seed leaves out about half of the kinds, since a run in which
    /// everything fails hardly gets to the states in which one rare fault would do harm.
    pub fn seeded(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut rate = |most: f64| if rng.bool() { rng.f64() * most } else { 0.0 };
        let fails = rate(0.2);
        let loses_reply = rate(0.2);
        let slow = rate(0.1);
        let lands_late = rate(0.1);
        let stale = rate(0.3);
        let drops = rate(0.8);
        let doubles = rate(0.3);
        let reorders = rate(0.3);
        let cuts = rate(0.1);
        let lag = rng.usize(1..=3);
        let delay = Duration::from_secs(rng.u64(1..=90));
        Self { seed, fails, loses_reply, slow, lands_late, delay, stale, lag, drops, doubles, reorders, cuts }
    }
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When, since the decorator was made.
    pub at: Duration,
    /// The method of the trait.
    pub method: &'static str,
    /// What the call was about.
    pub subject: String,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.3?} {} {}: {}", self.at, self.method, self.subject, self.what)
    }
}

/// What is to happen to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Fail,
    LoseReply,
    Slow(Duration),
    LandLate(Duration),
}

/// What is to happen to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventFate {
    Pass,
    Drop,
    Double,
    HoldBack,
    Cut,
}

#[derive(Debug)]
pub(super) struct Faults {
    plan: FaultPlan,
    rng: Rng,
    made: Instant,
    pub(super) healed: bool,
    /// Late calls that have not landed yet.
    pub(super) under_way: usize,
    pub(super) log: Vec<Fault>,
    /// The last listings, by filter.
    listings: BTreeMap<String, Vec<Listing>>,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self {
            rng: Rng::with_seed(plan.seed),
            plan,
            made: Instant::now(),
            healed: false,
            under_way: 0,
            log: Vec::new(),
            listings: BTreeMap::new(),
        }
    }

    fn strikes(&mut self, rate: f64) -> bool {
        // Drawn even at rate 0, so that the rates of one kind leave the others' decisions as they are.
        let drawn = self.rng.f64();
        !self.healed && drawn < rate
    }

    fn note(&mut self, method: &'static str, subject: &str, what: impl fmt::Display) {
        let (at, subject, what) = (self.made.elapsed(), subject.to_owned(), what.to_string());
        self.log.push(Fault { at, method, subject, what });
    }

    pub(super) fn fate(&mut self, method: &'static str, subject: &str) -> Fate {
        let most = u64::try_from(self.plan.delay.as_millis()).unwrap_or(u64::MAX).max(1);
        let delay = Duration::from_millis(self.rng.u64(1..=most));
        let fails = self.strikes(self.plan.fails);
        let loses = self.strikes(self.plan.loses_reply);
        let late = self.strikes(self.plan.lands_late);
        let slow = self.strikes(self.plan.slow);
        let fate = match (fails, loses, late, slow) {
            (true, ..) => Fate::Fail,
            (_, true, ..) => Fate::LoseReply,
            (_, _, true, _) => Fate::LandLate(delay),
            (.., true) => Fate::Slow(delay),
            _ => Fate::Pass,
        };
        match fate {
            Fate::Pass => {}
            Fate::Fail => self.note(method, subject, "failed, nothing done"),
            Fate::LoseReply => self.note(method, subject, "done, reply lost"),
            Fate::Slow(delay) => self.note(method, subject, format_args!("done after {delay:?}")),
            Fate::LandLate(delay) => {
                self.note(method, subject, format_args!("timed out, will be done after {delay:?}"));
            }
        }
        fate
    }

    pub(super) fn error(&mut self, kinds: &[ErrorKind], operation: &'static str, subject: &str) -> Error {
        let kind = self.rng.choice(kinds).cloned().unwrap_or(ErrorKind::Other);
        Error::new(kind, operation, subject, "a fault of the test")
    }

    /// The listing to hand out for this one.
    pub(super) fn listing(&mut self, filter: String, fresh: Listing) -> Listing {
        let stale = self.strikes(self.plan.stale);
        let lag = self.rng.usize(1..=self.plan.lag.max(1));
        let keep = self.plan.lag + 1;
        let listings = self.listings.entry(filter).or_default();
        listings.push(fresh);
        if listings.len() > keep {
            listings.remove(0);
        }
        let newest = listings.len() - 1;
        let chosen = if stale { newest.saturating_sub(lag) } else { newest };
        let listing = listings[chosen].clone();
        if listing != listings[newest] {
            self.note("list", "", format_args!("answered with what was true {} lists ago", newest - chosen));
        }
        listing
    }

    pub(super) fn event_fate(&mut self) -> EventFate {
        let cut = self.strikes(self.plan.cuts);
        let drop = self.strikes(self.plan.drops);
        let double = self.strikes(self.plan.doubles);
        let hold = self.strikes(self.plan.reorders);
        match (cut, drop, double, hold) {
            (true, ..) => {
                self.note("events", "", "stream cut");
                EventFate::Cut
            }
            (_, true, ..) => EventFate::Drop,
            (_, _, true, _) => EventFate::Double,
            (.., true) => EventFate::HoldBack,
            _ => EventFate::Pass,
        }
    }

    pub(super) fn cuts(&mut self, method: &'static str) -> bool {
        let cut = self.strikes(self.plan.cuts);
        if cut {
            self.note(method, "", "stream cut");
        }
        cut
    }
}
