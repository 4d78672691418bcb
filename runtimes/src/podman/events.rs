//! The engine's events as hints.
//!
//! # Guarantees
//!
//! * Events from the moment [`Podman::event_stream`] is called are not missed: the subscription starts at the
//!   engine's own clock, read just before. (Podman 4 answers before it subscribes, so its answer alone proves
//!   nothing.) The clock is read in whole seconds: events of the last second may come again.
//! * Labels are checked here: several labels mean "any" to Podman 4.
//! * What a probe or an exec causes is not reported, or each look would cause the next.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hyper::{Method, header};
use serde_json::json;

use super::error::Failure;
use super::http::{Reply, Target};
use super::wire::Happened;
use super::{Podman, READ, time, within};
use crate::{Event, EventAction, EventFilter, Labels, ObjectKind, Result};

const WHAT: &str = "watch";
const SUBJECT: &str = "events";
/// No event is longer; what is means the stream is not one.
const LINE_LIMIT: usize = 1 << 20;

impl Podman {
    pub(super) async fn event_stream(
        &self,
        filter: &EventFilter,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let opening = async {
            let since = match filter.since {
                Some(since) => Some(time::since(since)),
                None => {
                    let pong = self.client.ping().await?;
                    let date = pong.headers().get(header::DATE).and_then(|date| date.to_str().ok());
                    date.and_then(time::http_date).map(|seconds| seconds.to_string())
                }
            };
            let since = since.ok_or_else(|| Failure::garbled("the engine did not tell its time"))?;
            let filters = json!({ "type": ["container", "network", "volume", "image"] });
            let target = Target::new(&["events"])
                .query("stream", "true")
                .query("since", &since)
                .query("filters", &filters.to_string());
            self.client.send(Method::GET, &target, None).await
        };
        let reply = within(READ, opening).await.map_err(|failure| failure.at(WHAT, SUBJECT))?;
        let wanted = filter.labels.clone();
        let source = Source { reply, pending: Vec::new(), over: false };
        Ok(stream::unfold(source, Source::next)
            .flat_map(stream::iter)
            .filter_map(move |line| {
                let event = match line {
                    Ok(line) => hint(&line, &wanted).transpose(),
                    Err(failure) => Some(Err(failure)),
                };
                std::future::ready(event.map(|event| event.map_err(|failure| failure.at(WHAT, SUBJECT))))
            })
            .boxed())
    }
}

/// The body, cut at line ends: a chunk may hold many events or a part of one.
struct Source {
    reply: Reply,
    pending: Vec<u8>,
    over: bool,
}

impl Source {
    async fn next(mut self) -> Option<(Vec<Result<Vec<u8>, Failure>>, Self)> {
        if self.over {
            return None;
        }
        let mut lines = Vec::new();
        match self.reply.chunk().await? {
            Ok(chunk) => {
                self.pending.extend_from_slice(&chunk);
                while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                    let rest = self.pending.split_off(end + 1);
                    lines.push(Ok(std::mem::replace(&mut self.pending, rest)));
                }
                if self.pending.len() > LINE_LIMIT {
                    self.over = true;
                    lines.push(Err(Failure::garbled("an endless event")));
                }
            }
            Err(failure) => {
                self.over = true;
                lines.push(Err(failure));
            }
        }
        Some((lines, self))
    }
}

/// What a line says, `None` when it is of no interest.
fn hint(line: &[u8], wanted: &Labels) -> Result<Option<Event>, Failure> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let happened: Happened = serde_json::from_slice(line).map_err(Failure::garbled)?;
    let Some((object, action)) = meaning(&happened.kind, &happened.action) else { return Ok(None) };
    let mut attributes = happened.actor.attributes;
    let mut name = attributes.remove("name").filter(|name| !name.is_empty());
    let mut id = happened.actor.id;
    let mut labels = Labels::default();
    if object == ObjectKind::Container {
        labels = own_labels(attributes);
        if !labels.contains(wanted) {
            return Ok(None);
        }
    } else if object == ObjectKind::Network {
        // A network has its name in an attribute of its own, and on some versions no id.
        name = name.or_else(|| attributes.remove("network"));
        if id.is_empty() {
            id = name.clone().unwrap_or_default();
        }
    }
    Ok(Some(Event { object, action, id, name, labels }))
}

/// Podman mixes a container's labels with facts of its own.
fn own_labels(mut attributes: BTreeMap<String, String>) -> Labels {
    for own in ["containerExitCode", "exitCode", "image", "podId"] {
        attributes.remove(own);
    }
    Labels(attributes)
}

fn meaning(kind: &str, action: &str) -> Option<(ObjectKind, EventAction)> {
    let object = match kind {
        "container" => ObjectKind::Container,
        "network" => ObjectKind::Network,
        "volume" => ObjectKind::Volume,
        "image" => ObjectKind::Image,
        _ => return None,
    };
    let action = match action {
        "create" => EventAction::Created,
        "start" => EventAction::Started,
        "died" | "die" => EventAction::Died,
        "remove" | "destroy" | "prune" => EventAction::Removed,
        // Caused by looking, or a step of something that is reported by itself.
        "health_status" | "exec" | "exec_died" | "attach" | "mount" | "unmount" | "init" | "sync" => {
            return None;
        }
        _ => EventAction::Other,
    };
    Some((object, action))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIED: &str = r#"{"status":"died","id":"ae4b","from":"localhost/podman-dev:1","Type":"container",
        "Action":"died","Actor":{"ID":"ae4b","Attributes":{"a":"b","containerExitCode":"130",
        "image":"localhost/podman-dev:1","name":"e4","podId":""}},"scope":"local","time":1795380703,
        "timeNano":1795380703189361680}"#;

    #[test]
    fn a_recorded_death() {
        let event = hint(DIED.as_bytes(), &Labels::default()).unwrap().unwrap();
        assert_eq!(
            event,
            Event {
                object: ObjectKind::Container,
                action: EventAction::Died,
                id: "ae4b".into(),
                name: Some("e4".into()),
                labels: [("a", "b")].into_iter().collect(),
            }
        );
    }

    #[test]
    fn all_labels_are_wanted() {
        let both: Labels = [("a", "b"), ("c", "d")].into_iter().collect();
        assert_eq!(hint(DIED.as_bytes(), &both).unwrap(), None);
    }

    #[test]
    fn probes_are_silent() {
        let line = DIED.replace("\"Action\":\"died\"", "\"Action\":\"health_status\"");
        assert_eq!(hint(line.as_bytes(), &Labels::default()).unwrap(), None);
        assert_eq!(hint(b"\n", &Labels::default()).unwrap(), None);
    }

    #[test]
    fn networks_are_reported_to_everybody() {
        let line = r#"{"Type":"network","Action":"create","Actor":{"ID":"","Attributes":{"network":"n1"}}}"#;
        let wanted: Labels = [("a", "b")].into_iter().collect();
        let event = hint(line.as_bytes(), &wanted).unwrap().unwrap();
        assert_eq!((event.object, event.action), (ObjectKind::Network, EventAction::Created));
        assert_eq!((event.id.as_str(), event.name.as_deref()), ("n1", Some("n1")));
    }
}
