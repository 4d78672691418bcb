//! Container output as lines.
//!
//! Podman 4 sends no answer, not even its head, before the first line of a followed log, and it misses the end of a
//! container that ends while the log is being opened. So a followed log is opened in the background, and the
//! container is looked at while nothing comes.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hyper::Method;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::error::Failure;
use super::frames::Lines;
use super::http::{Client, Reply, Target};
use super::{Podman, READ, inspected, time, within};
use crate::{LogLine, LogOptions, Result};

const WHAT: &str = "read logs of";
/// After so long without output the container is looked at.
const QUIET: Duration = Duration::from_secs(2);
/// Lines that wait for their reader.
const PENDING: usize = 256;

impl Podman {
    pub(super) async fn log_stream(
        &self,
        id: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let mut target = Target::new(&["containers", id, "logs"])
            .query("stdout", "true")
            .query("stderr", "true")
            .query("timestamps", "true");
        if let Some(tail) = options.tail {
            target = target.query("tail", &tail.to_string());
        }
        if let Some(since) = options.since {
            // The engine means "after"; it reads the time as a floating-point number, exact to a microsecond.
            let since = since.checked_sub(Duration::from_micros(1)).unwrap_or(since);
            target = target.query("since", &time::since(since));
        }
        let (sender, receiver) = mpsc::channel(PENDING);
        let output = Output { sender, lines: Lines::default(), id: id.to_owned() };
        let client = self.client.clone();
        let task = if options.follow {
            // Tells whether the container is there, which the log itself tells too late.
            within(READ, inspected(&client, id)).await.map_err(|failure| failure.at(WHAT, id))?;
            let target = target.query("follow", "true");
            tokio::spawn(async move { output.follow(&client, &target).await })
        } else {
            let opened = within(READ, client.send(Method::GET, &target, None)).await;
            let reply = opened.map_err(|failure| failure.at(WHAT, id))?;
            tokio::spawn(output.read(reply))
        };
        let task = AbortOnDropHandle::new(task);
        Ok(stream::unfold((receiver, task), |(mut receiver, task)| async move {
            receiver.recv().await.map(|item| (item, (receiver, task)))
        })
        .boxed())
    }
}

/// Where the lines go.
struct Output {
    sender: mpsc::Sender<Result<LogLine>>,
    lines: Lines,
    id: String,
}

/// The reader is gone, or an error ended the log.
struct Over;

impl Output {
    async fn read(mut self, mut reply: Reply) {
        loop {
            let chunk = match within(READ, async { reply.chunk().await.transpose() }).await {
                Ok(chunk) => chunk.map(Ok),
                Err(failure) => Some(Err(failure)),
            };
            if self.take(chunk).await.is_err() {
                return;
            }
        }
    }

    async fn follow(mut self, client: &Client, target: &str) {
        enum Log {
            Opened(Result<Reply, Failure>),
            Chunk(Option<Result<hyper::body::Bytes, Failure>>),
        }
        let opening = client.send(Method::GET, target, None);
        tokio::pin!(opening);
        let mut reply: Option<Reply> = None;
        let mut ended_before = false;
        loop {
            let next = async {
                match &mut reply {
                    Some(reply) => Log::Chunk(reply.chunk().await),
                    None => Log::Opened(opening.as_mut().await),
                }
            };
            match tokio::time::timeout(QUIET, next).await {
                Ok(Log::Opened(Ok(opened))) => reply = Some(opened),
                Ok(Log::Opened(Err(failure))) => {
                    let _over = self.take(Some(Err(failure))).await;
                    return;
                }
                Ok(Log::Chunk(chunk)) => {
                    ended_before = false;
                    if self.take(chunk).await.is_err() {
                        return;
                    }
                }
                Err(_quiet) => {
                    if self.sender.is_closed() {
                        return;
                    }
                    let ended = match within(READ, inspected(client, &self.id)).await {
                        Ok(container) => !container.state.running(),
                        Err(failure) => failure.kind() == crate::ErrorKind::NotFound,
                    };
                    // Twice, so that what was written last has time to come.
                    if ended && ended_before {
                        let _over = self.take(None).await;
                        return;
                    }
                    ended_before = ended;
                }
            }
        }
    }

    /// Sends on what is in a piece of the body; `None` is its end.
    async fn take(&mut self, chunk: Option<Result<hyper::body::Bytes, Failure>>) -> Result<(), Over> {
        let end = chunk.is_none();
        let read = match chunk {
            Some(Ok(bytes)) => self.lines.push(&bytes),
            Some(Err(failure)) => Err(failure),
            None => {
                self.lines.finish();
                Ok(())
            }
        };
        while let Some(line) = self.lines.pop() {
            if self.sender.send(Ok(line)).await.is_err() {
                return Err(Over);
            }
        }
        match read {
            Ok(()) if end => Err(Over),
            Ok(()) => Ok(()),
            Err(failure) => {
                let _gone = self.sender.send(Err(failure.at(WHAT, &self.id))).await;
                Err(Over)
            }
        }
    }
}
