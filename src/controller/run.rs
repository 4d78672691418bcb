//! The loop: waits, observes once, and passes over what is due.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::queue::{Ended, Queue, retry_delay};
use super::waker::{Wake, Waker};

/// What a controller keeps as it should be. The controller knows nothing else of it.
#[async_trait]
pub trait Kind: fmt::Debug + Send + Sync + 'static {
    /// Names one object.
    type Key: Clone + fmt::Debug + Hash + Ord + Send + Sync + 'static;
    /// One consistent look at everything.
    type World: Send + Sync + 'static;

    /// Looks at everything, in one go. A failure means that nothing is known, not even absence.
    async fn observe(&self) -> Result<Self::World, PassError>;

    /// The keys that exist: wanted or seen.
    fn keys(&self, world: &Self::World) -> Vec<Self::Key>;

    /// Brings one object nearer to what is wanted. Each await is a point where the process may die: the next pass
    /// goes on from what is then seen.
    async fn reconcile(&self, key: &Self::Key, world: &Self::World) -> Result<Next, PassError>;

    /// An observation succeeded or failed; for publishing.
    fn on_observed(&self, result: Result<&Self::World, &PassError>);

    /// A pass failed or panicked; for publishing. The loop tries again by itself.
    fn on_failed(&self, key: &Self::Key, error: &PassError);
}

/// When to look at a key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When something happens.
    Settled,
    /// At once: something was changed, and only another look tells how that went.
    Again,
    /// After this time, or when something happens.
    After(Duration),
}

/// A pass or an observation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassError {
    /// Why, for people.
    pub message: String,
}

impl PassError {
    /// A failure with its reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { message: reason.to_string() }
    }
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PassError {}

/// How a loop runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most passes at once.
    pub passes: usize,
    /// Everything is looked at again at least this often (with a tenth of jitter).
    pub resync: Duration,
    /// How long passes under way may go on after the shutdown began.
    pub grace: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { passes: 8, resync: Duration::from_secs(30), grace: Duration::from_secs(5), seed: 0 }
    }
}

/// How long one observation serves passes that wait for others to end.
const FRESH: Duration = Duration::from_secs(1);

/// Runs until `shutdown`, then lets passes under way end within the grace period.
///
/// # Guarantees
///
/// * Level-triggered: a wake carries no payload, and everything is looked at again every [`Options::resync`].
/// * Every wake is followed by a pass that sees an observation which began after it. One observation serves all keys that
///   were woken before it, also those that wait for others to end, as long as it is fresh.
/// * At most one pass per key at a time; a wake during a pass causes another one after it.
/// * A failed observation aborts nothing and decides nothing: the keys wait, and it is tried again.
/// * A panic in a pass is a failed pass.
pub async fn run<T: Kind>(kind: Arc<T>, waker: Waker<T::Key>, options: Options, shutdown: CancellationToken) {
    let mut state = Loop {
        kind,
        queue: Queue::new(),
        passes: JoinSet::new(),
        keys: Vec::new(),
        world: None,
        all: true,
        resync_at: Instant::now(),
        observe_failures: 0,
        observe_after: Instant::now(),
        random: fastrand::Rng::with_seed(options.seed),
        options,
    };
    loop {
        let now = Instant::now();
        state.queue.promote(now);
        if now >= state.resync_at {
            state.all = true;
        }
        state.dispatch(now);
        if state.wants_observation(now) {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = state.observe_and_dispatch() => {}
            }
            continue;
        }
        let deadline = state.deadline();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = state.passes.join_next_with_id() => state.on_ended(ended),
            wakes = waker.taken() => state.on_wakes(wakes),
            () = sleep_until(deadline) => {}
        }
    }
    let drained = timeout(options.grace, async {
        while let Some(ended) = state.passes.join_next_with_id().await {
            state.on_ended(ended);
        }
    })
    .await;
    if drained.is_err() {
        tracing::warn!("passes under way were cut off at the end of the grace period");
    }
}

struct Loop<T: Kind> {
    kind: Arc<T>,
    queue: Queue<T::Key>,
    passes: JoinSet<Result<Next, PassError>>,
    /// Keys of the passes under way, by task.
    keys: Vec<(Id, T::Key)>,
    /// The latest observation and when it began, as long as somebody waits for it.
    world: Option<(Arc<T::World>, Instant)>,
    /// The next observation is for all keys.
    all: bool,
    resync_at: Instant,
    observe_failures: u32,
    observe_after: Instant,
    random: fastrand::Rng,
    options: Options,
}

impl<T: Kind> Loop<T> {
    fn wants_observation(&self, now: Instant) -> bool {
        (self.all || self.queue.has_ready(self.options.passes)) && now >= self.observe_after
    }

    fn deadline(&self) -> Instant {
        let queue = self.queue.next_deadline().unwrap_or(self.resync_at);
        let next = queue.min(self.resync_at);
        // While observations fail, nothing happens before the next try.
        if self.all || self.queue.has_ready(self.options.passes) { self.observe_after } else { next }
    }

    /// Starts what the latest observation serves.
    fn dispatch(&mut self, now: Instant) {
        let Some((world, began)) = &self.world else { return };
        if now.duration_since(*began) < FRESH {
            for key in self.queue.take(self.options.passes) {
                let (kind, world, pass_key) = (Arc::clone(&self.kind), Arc::clone(world), key.clone());
                let pass = self.passes.spawn(async move { kind.reconcile(&pass_key, &world).await });
                self.keys.push((pass.id(), key));
            }
            if self.queue.has_seen() {
                return;
            }
        }
        self.world = None;
    }

    async fn observe_and_dispatch(&mut self) {
        let began = Instant::now();
        // What waits from now on waits for this one, and must not get an older one if it fails.
        self.world = None;
        self.queue.look();
        let observed = self.kind.observe().await;
        let now = Instant::now();
        self.kind.on_observed(observed.as_ref());
        let world = match observed {
            Ok(world) => Arc::new(world),
            Err(error) => {
                self.observe_failures += 1;
                self.observe_after = now + retry_delay(self.observe_failures.min(8), self.random.f64());
                tracing::warn!(%error, "observation failed");
                return;
            }
        };
        self.observe_failures = 0;
        if self.all {
            self.all = false;
            let jitter = self.options.resync.mul_f64(self.random.f64() / 10.0);
            self.resync_at = now + self.options.resync - jitter;
            for key in self.kind.keys(&world) {
                self.queue.add_seen(key);
            }
        }
        self.world = Some((world, began));
        self.dispatch(now);
    }

    fn on_wakes(&mut self, wakes: impl IntoIterator<Item = Wake<T::Key>>) {
        for wake in wakes {
            match wake {
                Wake::All => self.all = true,
                Wake::Key(key) => self.queue.add(key),
                Wake::Urgent(key) => {
                    self.queue.urge(key);
                    self.observe_after = Instant::now();
                }
            }
        }
    }

    fn on_ended(&mut self, ended: Result<(Id, Result<Next, PassError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(PassError::new(format!("internal error: {error}")))),
        };
        let Some(position) = self.keys.iter().position(|(pass, _)| *pass == id) else { return };
        let (_, key) = self.keys.swap_remove(position);
        let now = Instant::now();
        let ended = match result {
            Ok(Next::Settled) => Ended::Settled,
            Ok(Next::Again) => Ended::Again,
            Ok(Next::After(wait)) => Ended::At(now + wait),
            Err(error) => {
                tracing::warn!(?key, %error, "pass failed");
                self.kind.on_failed(&key, &error);
                Ended::Failed
            }
        };
        self.queue.end(key, ended, now, self.random.f64());
    }
}
