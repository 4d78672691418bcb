//! What time it is: asked here and nowhere below.

use std::fmt::Debug;
use std::time::SystemTime;

use crate::model::Time;

/// Wall time, as an argument. Tests pass one that follows tokio's paused clock.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "the one place where wall time comes in")]
        let now = SystemTime::now();
        Time::from(now)
    }
}

/// A clock that starts at a given time and follows tokio's, paused or not.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    epoch: Time,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// It is `epoch` now.
    pub fn new(epoch: Time) -> Self {
        Self { epoch, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        self.epoch + self.started.elapsed()
    }
}
