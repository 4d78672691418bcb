//! Streams of the fake engine: events and logs.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::FakeRuntime;
use crate::{Error, ErrorKind, Event, EventFilter, LogLine, LogOptions, Result};

/// Somebody who listens to events.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) filter: EventFilter,
    pub(super) queue: VecDeque<Event>,
    /// The engine went away.
    pub(super) cut: bool,
}

impl Subscriber {
    pub(super) fn offer(&mut self, event: &Event) {
        let wanted = event.labels.0.is_empty() && event.object != crate::ObjectKind::Container
            || event.labels.contains(&self.filter.labels);
        if wanted && !self.cut {
            self.queue.push_back(event.clone());
        }
    }
}

/// A subscription; ends when dropped.
struct Subscription {
    runtime: FakeRuntime,
    serial: u64,
    done: bool,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.runtime.with(|world| world.subscribers.remove(&self.serial));
    }
}

impl FakeRuntime {
    pub(super) async fn subscribe(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        let subscription = self
            .call("events", "watch events of", "the engine", |world| {
                let serial = world.next_serial();
                let since = filter.since.map(|since| since.duration_since(UNIX_EPOCH).unwrap_or_default());
                let mut subscriber =
                    Subscriber { filter: filter.clone(), queue: VecDeque::new(), cut: false };
                for event in world.past_events(since) {
                    subscriber.offer(&event);
                }
                world.subscribers.insert(serial, subscriber);
                // Made inside the call: dropping the future from here on unsubscribes.
                Ok(Subscription { runtime: self.clone(), serial, done: false })
            })
            .await?;
        Ok(stream::unfold(subscription, |mut subscription| async move {
            if subscription.done {
                return None;
            }
            let serial = subscription.serial;
            let next = subscription.runtime.wait_for(|world| {
                let subscriber = world.subscribers.get_mut(&serial)?;
                match subscriber.queue.pop_front() {
                    Some(event) => Some(Some(Ok(event))),
                    // Some engines close the connection, some break it.
                    None if subscriber.cut && serial % 2 == 0 => Some(None),
                    None if subscriber.cut => Some(Some(Err(cut("watch events of", "the engine")))),
                    None => None,
                }
            });
            let next = next.await?;
            subscription.done = next.is_err();
            Some((next, subscription))
        })
        .boxed())
    }

    pub(super) async fn read_logs(
        &self,
        id: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let (id, start, outages) = self
            .call("logs", "read logs of container", id, |world| {
                let outages = world.outages;
                let container = world.container_mut("read logs of container", id)?;
                let log = &container.log;
                let first = match options.since {
                    Some(since) => log.iter().position(|line| at_or_after(line, since)).unwrap_or(log.len()),
                    None => 0,
                };
                let tail =
                    options.tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap_or(usize::MAX));
                Ok((container.id.clone(), first.max(log.len().saturating_sub(tail)), outages))
            })
            .await?;
        let until = if options.follow {
            usize::MAX
        } else {
            self.with(|world| world.containers.get(&id).map_or(0, |container| container.log.len()))
        };
        let since = options.since;
        let state = Some((self.clone(), start));
        Ok(stream::unfold(state, move |state| {
            let id = id.clone();
            async move {
                let (runtime, mut at) = state?;
                let next = runtime.wait_for(|world| {
                    // Removed: nothing more will come.
                    let Some(container) = world.containers.get(&id) else { return Some(None) };
                    while at < until {
                        match container.log.get(at) {
                            Some(line) if since.is_some_and(|since| !at_or_after(line, since)) => at += 1,
                            Some(line) => {
                                at += 1;
                                return Some(Some(Ok(line.clone())));
                            }
                            None if world.outages != outages => {
                                return Some(Some(Err(cut("read logs of container", &id))));
                            }
                            None if container.is_running() => return None,
                            None => return Some(None),
                        }
                    }
                    Some(None)
                });
                let next = next.await?;
                let state = if next.is_ok() { Some((runtime, at)) } else { None };
                Some((next, state))
            }
        })
        .boxed())
    }
}

fn at_or_after(line: &LogLine, since: SystemTime) -> bool {
    line.time.is_none_or(|time| time >= since)
}

fn cut(operation: &'static str, subject: &str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, subject, "unexpected end of stream")
}
