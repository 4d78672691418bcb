//! A service's output across restarts and replacements of its container, read from the engine without a controller's
//! help.
//!
//! The engine's log stream ends when the container stops. To go on without losing or doubling lines, a [`Cursor`]
//! remembers the time of the last line shown and how many lines had that very time; the next stream begins at that
//! time and what was shown of it is skipped. Between streams it waits for events of the service's containers:
//! subscribed first, looked second, so that no start is missed; and looks again now and then, since events are hints.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use tanuki_runtimes::{
    Container, ContainerRuntime, ContainerState, EventAction, EventFilter, Labels, ListFilter, LogLine,
    LogOptions, ObjectKind, Result,
};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Services;
use crate::model::{self, LabelKey, LogQuery, OutputKind, OutputLine, ProjectId};

/// Looks again after this long, whether or not an event came.
const RECHECK: Duration = Duration::from_secs(5);

/// Pause between two streams.
const STREAM_PAUSE: Duration = Duration::from_millis(100);

/// Lines that may wait to be taken.
const QUEUE: usize = 256;

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

/// The labels that every container of this service carries.
pub fn labels(project: &ProjectId, service: &str) -> Labels {
    [
        (LabelKey::MANAGED, "true"),
        (LabelKey::PROJECT, project.0.as_str()),
        (LabelKey::KIND, &model::ObjectKind::Service.to_string()),
        (LabelKey::NAME, service),
    ]
    .into_iter()
    .collect()
}

/// The service's container, if it has one. While it is being replaced there may be two; the running one is meant.
///
/// # Errors
///
/// The engine failed.
pub async fn find(engine: &dyn ContainerRuntime, labels: &Labels) -> Result<Option<Container>> {
    let filter = ListFilter { labels: labels.clone(), networks_and_volumes: false };
    let mut containers = engine.list(&filter).await?.containers;
    containers.sort_by_key(|container| container.state != ContainerState::Running);
    Ok(containers.into_iter().next())
}

/// Reads the output of the service with these labels and sends each line to `lines`, as fast as they are taken. With
/// `follow` it only ends when nobody takes them any more.
///
/// # Errors
///
/// An engine's failure, unless it is following already.
pub async fn read(
    engine: &Arc<dyn ContainerRuntime>,
    labels: &Labels,
    wanted: &Wanted,
    lines: &mpsc::Sender<LogLine>,
) -> Result<End> {
    tokio::select! {
        biased;
        () = lines.closed() => Ok(End::Done),
        end = read_while_heard(engine, labels, wanted, lines) => end,
    }
}

async fn read_while_heard(
    engine: &Arc<dyn ContainerRuntime>,
    labels: &Labels,
    wanted: &Wanted,
    lines: &mpsc::Sender<LogLine>,
) -> Result<End> {
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
            match stream(engine, &found.id, &options, &mut cursor, lines).await {
                // From here on every line is new.
                Ok(()) => tail = None,
                Err(error) if !wanted.follow => return Err(error),
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

/// Sends one stream to its end.
async fn stream(
    engine: &Arc<dyn ContainerRuntime>,
    id: &str,
    options: &LogOptions,
    cursor: &mut Cursor,
    lines: &mpsc::Sender<LogLine>,
) -> Result<()> {
    let mut stream = engine.logs(id, options).await?;
    while let Some(line) = stream.next().await {
        let line = line?;
        // Whoever reads notices by itself that nobody takes lines any more.
        if cursor.admit(line.time) && lines.send(line).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Services {
    /// Sends a service's output, as plain data, until all is sent or nobody takes it any more. A service without a
    /// container has no output yet; an engine that fails ends it with a line that says why.
    pub async fn logs(&self, query: &LogQuery, lines: &mpsc::Sender<OutputLine>) {
        let Some(service) = &query.service else { return };
        let labels = labels(&self.deps.owner.project, service);
        let wanted = Wanted {
            follow: query.follow,
            tail: query.tail.map(u64::from),
            since: query.since.map(SystemTime::from),
        };
        let (sender, mut read_lines) = mpsc::channel(QUEUE);
        let reading = async move {
            let runtime = &self.deps.runtime;
            read(runtime, &labels, &wanted, &sender).await
        };
        let sending = async move {
            while let Some(line) = read_lines.recv().await {
                let text = String::from_utf8_lossy(&line.bytes).into_owned();
                let time = line.time.map(model::Time::from);
                if lines.send(output(service, OutputKind::Text, time, text)).await.is_err() {
                    return;
                }
            }
        };
        let heard = async {
            let (end, ()) = tokio::join!(reading, sending);
            end
        };
        tokio::select! {
            biased;
            () = lines.closed() => {}
            end = heard => if let Err(error) = end {
                let text = format!("its output cannot be read: {error}");
                // Nobody may be listening any more.
                drop(lines.send(output(service, OutputKind::Error, None, text)).await);
            },
        }
    }
}

fn output(service: &str, kind: OutputKind, time: Option<model::Time>, text: String) -> OutputLine {
    OutputLine { source: service.to_owned(), run: None, time, kind, text }
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
