//! What wakes the loop from outside: the engine's events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tanuki_runtimes::{Event, EventFilter};
use tokio_util::sync::CancellationToken;

use super::Services;
use crate::controller::Wake;

/// Waits between tries to subscribe, the last one for ever.
const RETRY: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Follows the engine's events until `shutdown`. Subscribes first and has everything listed after, and again whenever
/// the stream ends: what happened in between is found by looking.
pub async fn follow_engine(services: Arc<Services>, shutdown: CancellationToken) {
    follow_engine_with(services, |_event| {}, shutdown).await;
}

/// The same, with another kind that listens: to each event, and to `None` where everything has to be listed again.
pub async fn follow_engine_with(
    services: Arc<Services>,
    also: impl Fn(Option<&Event>) + Send + Sync,
    shutdown: CancellationToken,
) {
    let listed_again = || {
        services.deps.waker.wake(Wake::All);
        also(None);
    };
    let work = async {
        let mut failures = 0;
        loop {
            let filter = EventFilter { labels: services.deps.owner.labels(), since: None };
            match services.deps.runtime.events(&filter).await {
                Ok(mut events) => {
                    failures = 0;
                    listed_again();
                    while let Some(event) = events.next().await {
                        match event {
                            Ok(event) => {
                                services.on_event(&event);
                                also(Some(&event));
                            }
                            Err(error) => {
                                tracing::warn!(%error, "the engine's events ended");
                                break;
                            }
                        }
                    }
                    listed_again();
                }
                Err(error) => tracing::debug!(%error, "cannot follow the engine's events"),
            }
            let wait = RETRY.get(failures).or(RETRY.last()).copied().unwrap_or_default();
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}
