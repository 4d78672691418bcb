//! A service's output across restarts and replacements of its container.
//!
//! The engine's log stream ends when the container stops. To go on without losing or doubling lines, a [`Cursor`]
//! remembers the time of the last line shown and how many lines had that very time; the next stream begins at that
//! time and what was shown of it is skipped. Between streams it waits for events of the service's containers:
//! subscribed first, looked second, so that no start is missed; and looks again now and then, since events are hints.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use tanuki_runtimes::{
    Container, ContainerRuntime, ContainerState, EventAction, EventFilter, Labels, LogLine, LogOptions,
    ObjectKind, Result,
};
use tokio::time::{sleep, timeout};

use super::container::find;

/// Looks again after this long, whether or not an event came.
const RECHECK: Duration = Duration::from_secs(5);

/// Pause between two streams.
const STREAM_PAUSE: Duration = Duration::from_millis(100);

/// Pause after the engine could not be reached.
const ENGINE_PAUSE: Duration = Duration::from_secs(1);

/// How far output has been shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    container: String,
    last: Option<SystemTime>,
    shown_at_last: usize,
    to_skip: usize,
}

impl Cursor {
    /// A new stream of this container begins, from the time [`Cursor::since`] told.
    pub fn attach(&mut self, container: &str) {
        if self.container == container {
            self.to_skip = self.shown_at_last;
        } else {
            // Another container has lines of its own; none of them was shown.
            container.clone_into(&mut self.container);
            self.shown_at_last = 0;
            self.to_skip = 0;
        }
    }

    /// Where the next stream is to begin.
    pub fn since(&self) -> Option<SystemTime> {
        self.last
    }

    /// Whether this line of the stream is to be shown: it was not shown before.
    pub fn admit(&mut self, time: Option<SystemTime>) -> bool {
        let Some(time) = time else { return true };
        match self.last {
            // Engines round the start of a stream down.
            Some(last) if time < last && self.to_skip > 0 => false,
            Some(last) if time == last && self.to_skip > 0 => {
                self.to_skip -= 1;
                false
            }
            Some(last) if time == last => {
                self.shown_at_last += 1;
                true
            }
            _ => {
                self.last = Some(time);
                self.shown_at_last = 1;
                self.to_skip = 0;
                true
            }
        }
    }
}

/// Which output is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Goes on with what is yet to come.
    pub follow: bool,
    /// Only the last so many lines of what is there.
    pub tail: Option<u64>,
    /// Only what was written at or after this time.
    pub since: Option<SystemTime>,
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All that there was has been shown.
    Done,
    /// The service has no container, so there is nothing to show.
    NoContainer,
}

/// Reads the output of the service with these labels and hands each line to `show`. With `follow` it only ends when
/// `show` fails.
///
/// # Errors
///
/// What `show` failed with; an engine's failure, unless it is following already.
pub async fn read<E>(
    engine: &Arc<dyn ContainerRuntime>,
    labels: &Labels,
    wanted: &Wanted,
    mut show: impl FnMut(&LogLine) -> Result<(), E>,
) -> Result<End, E>
where
    E: From<tanuki_runtimes::Error>,
{
    let mut container = find(engine.as_ref(), labels).await?;
    if container.is_none() && !wanted.follow {
        return Ok(End::NoContainer);
    }
    let mut cursor = Cursor::default();
    let mut tail = wanted.tail;
    loop {
        if let Some(found) = &container {
            let options = LogOptions { follow: wanted.follow, tail, since: cursor.since().or(wanted.since) };
            cursor.attach(&found.id);
            match stream(engine, &found.id, &options, &mut cursor, &mut show).await? {
                // From here on every line is new.
                Ok(()) => tail = None,
                Err(error) if !wanted.follow => return Err(error.into()),
                Err(error) => tracing::debug!(%error, "the stream of output broke off"),
            }
        } else {
            tail = None;
        }
        if !wanted.follow {
            return Ok(End::Done);
        }
        if cursor.since().is_some() {
            tail = None;
        }
        // The engine may end the stream a moment before it tells that the container stopped.
        sleep(STREAM_PAUSE).await;
        container = Some(next_run(engine, labels, container.as_ref()).await);
    }
}

/// Shows one stream to its end. The outer error is the viewer's, the inner one the engine's.
async fn stream<E>(
    engine: &Arc<dyn ContainerRuntime>,
    id: &str,
    options: &LogOptions,
    cursor: &mut Cursor,
    show: &mut impl FnMut(&LogLine) -> Result<(), E>,
) -> Result<Result<()>, E> {
    let mut lines = match engine.logs(id, options).await {
        Ok(lines) => lines,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Ok(Err(error)),
        };
        if cursor.admit(line.time) {
            show(&line)?;
        }
    }
    Ok(Ok(()))
}

/// Waits until there may be output after the run of `ended`, and returns the service's container.
async fn next_run(
    engine: &Arc<dyn ContainerRuntime>,
    labels: &Labels,
    ended: Option<&Container>,
) -> Container {
    loop {
        let filter = EventFilter { labels: labels.clone(), since: None };
        let mut events = match engine.events(&filter).await {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(%error, "cannot listen to the engine");
                sleep(ENGINE_PAUSE).await;
                continue;
            }
        };
        // A run that came and went between two looks left only events; it may have said why it failed.
        let mut ran = false;
        loop {
            match find(engine.as_ref(), labels).await {
                Ok(Some(container)) if ran || is_another_run(&container, ended) => return container,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "cannot look at the engine");
                    sleep(ENGINE_PAUSE).await;
                }
            }
            match timeout(RECHECK, events.next()).await {
                Ok(Some(Ok(event))) => {
                    ran = event.object == ObjectKind::Container
                        && matches!(event.action, EventAction::Started | EventAction::Died);
                }
                Err(_elapsed) => {}
                Ok(Some(Err(_)) | None) => {
                    sleep(ENGINE_PAUSE).await;
                    break;
                }
            }
        }
    }
}

/// Whether this container has output that the ended run did not have.
fn is_another_run(container: &Container, ended: Option<&Container>) -> bool {
    match ended {
        None => true,
        Some(ended) if ended.id != container.id => container.state != ContainerState::Created,
        Some(_) => container.state == ContainerState::Running,
    }
}
