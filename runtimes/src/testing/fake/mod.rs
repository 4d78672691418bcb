//! An engine in memory, stricter than any real one.
//!
//! # Guarantees
//!
//! * The clock is tokio's, and wall time starts at [`UNIX_EPOCH`] when the engine is made: with a paused clock a
//!   test is the same on every run. The seed decides ids and nothing that a caller may rely on.
//! * Every call waits before and after its effect, so a caller can be dropped at either point, and calls that are
//!   under way when the engine goes down lose their reply.
//! * The engine needs no task of its own: what is due is settled whenever somebody looks or waits.
//! * Names are unique per kind, ids are never used again, a removed object is [`ErrorKind::NotFound`], an object in
//!   use stays, a container whose network was replaced by one of the same name cannot start.

mod actions;
mod container;
mod engine;
mod exec;
mod image;
mod objects;
mod script;
mod streams;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Error, ErrorKind, Labels, Result};

pub use actions::ContainerHandle;
pub use image::{Behaviour, FakeImage, Program};
use world::World;

/// A container engine in memory; clones share one world.
#[derive(Clone)]
pub struct FakeRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    world: Mutex<World>,
    /// Counts changes of the world, so that waiters look again.
    changed: watch::Sender<u64>,
}

impl fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRuntime").finish_non_exhaustive()
    }
}

/// A call that was to change something, as it arrived at the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// When, since the engine was made.
    pub at: Duration,
    /// The method of the trait.
    pub method: &'static str,
    /// Name of the object (as it was given, when there is no such object).
    pub name: String,
    /// Whether there was an object of that name before the call.
    pub existed: bool,
    /// Labels of that object, or else those it was to be created with.
    pub labels: Labels,
    /// Whether the world is another one because of it.
    pub changed: bool,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeRuntime {
    /// An empty engine.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// An empty engine whose ids and internal order follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let (changed, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { world: Mutex::new(World::new(seed, Instant::now())), changed }) }
    }

    /// How long each call takes, half of it before the effect. One millisecond unless told.
    pub fn set_latency(&self, latency: Duration) {
        self.with(|world| world.latency = latency);
    }

    /// Whether `list` tells exit codes, times and volumes (Podman) or leaves them to `inspect` (the default).
    pub fn set_detailed_lists(&self, detailed: bool) {
        self.with(|world| world.detailed_lists = detailed);
    }

    /// How long `list` and `inspect` go on showing a container as it ran after its end was told as an event, as Docker
    /// does for about 60 ms. None unless told.
    pub fn set_report_lag(&self, lag: Duration) {
        self.with(|world| world.report_lag = lag);
    }

    /// Wall time in this world.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.elapsed()
    }

    /// Time since the engine was made.
    pub fn elapsed(&self) -> Duration {
        self.with(|world| world.elapsed())
    }

    /// Every mutating call so far, in order.
    pub fn writes(&self) -> Vec<Write> {
        self.with(|world| world.writes.clone())
    }

    /// Every exec so far, in order: not in [`writes`](Self::writes), since it leaves the engine's objects alone.
    pub fn execs(&self) -> Vec<Write> {
        self.with(|world| world.execs.clone())
    }

    /// How often each method of the trait was called.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.with(|world| world.calls.clone())
    }

    /// Looks at the world or changes it: what is due happens first, and waiters hear of changes.
    fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle(Instant::now());
        let result = look(&mut world);
        let version = world.version;
        drop(world);
        self.inner.changed.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        result
    }

    /// Looks again at each change and each time something is due, until `ready` has an answer.
    async fn wait_for<T>(&self, mut ready: impl FnMut(&mut World) -> Option<T>) -> T {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let due = self.with(|world| ready(world).ok_or_else(|| world.next_due()));
            let due = match due {
                Ok(answer) => return answer,
                Err(due) => due,
            };
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The sender lives as long as self: this cannot fail.
                _ = changed.changed() => {}
                () = timer => {}
            }
        }
    }

    /// One call: the way to the engine, the effect, the way back.
    async fn call<T>(
        &self,
        method: &'static str,
        operation: &'static str,
        subject: &str,
        effect: impl FnOnce(&mut World) -> Result<T>,
    ) -> Result<T> {
        let half = self.with(|world| {
            *world.calls.entry(method).or_default() += 1;
            world.latency / 2
        });
        pause(half).await;
        let (result, outages) = self.with(|world| {
            let outages = world.outages;
            (world.check_up(operation, subject).and_then(|()| effect(world)), outages)
        });
        pause(half).await;
        self.with(|world| {
            if world.outages == outages {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::Unavailable, operation, subject, "connection reset by the engine"))
            }
        })?;
        result
    }
}

/// Waits; always an await point, even for no time.
async fn pause(time: Duration) {
    if time.is_zero() {
        tokio::task::yield_now().await;
    } else {
        sleep(time).await;
    }
}
