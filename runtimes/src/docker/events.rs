//! The event stream, in the trait's vocabulary.

use std::time::Duration;

use futures_util::future;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::{Value, json};

use super::errors::Failure;
use super::{Docker, http, time};
use crate::{Event, EventAction, EventFilter, Labels, ObjectKind, Result};

const EVENTS: &str = "listen to events of";

/// What is asked for: everything else (an exec of a probe makes three events) is noise, and an object of a type
/// that is not here could not be reported.
const ACTIONS: &[&str] = &[
    "create",
    "start",
    "die",
    "destroy",
    "stop",
    "restart",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "connect",
    "disconnect",
    "remove",
    "delete",
    "pull",
    "tag",
    "untag",
    "import",
    "load",
    "prune",
];

/// Attributes of a container's event that are no labels of it.
const NOT_LABELS: &[&str] =
    &["image", "name", "exitCode", "signal", "oldName", "container", "execID", "execDuration"];

pub(super) async fn events(
    docker: &Docker,
    filter: &EventFilter,
) -> Result<BoxStream<'static, Result<Event>>> {
    let since = match filter.since {
        Some(since) => Some(time::unix(since)),
        // The engine sends its headers before it subscribes. Asking from its own present on closes that gap: what
        // happened between is replayed.
        None => docker.system_time(EVENTS).await?.map(time::unix),
    };
    // Labels are matched here and not by the engine, which would leave out the objects whose events carry none.
    let filters = json!({ "type": ["container", "network", "volume", "image"], "event": ACTIONS });
    let mut query = vec![("filters", filters.to_string())];
    if let Some(since) = since {
        query.push(("since", since));
    }
    let call = http::Call::get("/events", &query, Some(Duration::from_secs(10)));
    let response =
        http::send(&docker.target, call).await.map_err(|failure| failure.into_error(EVENTS, "the engine"))?;
    let labels = filter.labels.clone();
    Ok(http::documents(response)
        .filter_map(move |record| {
            future::ready(match record {
                Ok(record) => event(&record, &labels).map(Ok),
                Err(failure) => Some(Err(ended(failure))),
            })
        })
        .boxed())
}

fn ended(failure: Failure) -> crate::Error {
    failure.into_error(EVENTS, "the engine")
}

/// The event in a record, unless it is of no interest.
fn event(record: &Value, labels: &Labels) -> Option<Event> {
    let object = match record.get("Type")?.as_str()? {
        "container" => ObjectKind::Container,
        "network" => ObjectKind::Network,
        "volume" => ObjectKind::Volume,
        "image" => ObjectKind::Image,
        _ => return None,
    };
    let actor = record.get("Actor")?;
    let mut attributes: Labels = actor
        .get("Attributes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect();
    let id = actor.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned();
    let action = match record.get("Action")?.as_str()? {
        "create" | "pull" | "import" | "load" => EventAction::Created,
        "start" => EventAction::Started,
        "die" => EventAction::Died,
        "destroy" | "remove" | "delete" => EventAction::Removed,
        action if ACTIONS.contains(&action) => EventAction::Other,
        _ => return None,
    };
    let name = attributes.0.remove("name").or_else(|| (object == ObjectKind::Volume).then(|| id.clone()));
    match object {
        ObjectKind::Container => {
            attributes.0.retain(|key, _| !NOT_LABELS.contains(&key.as_str()));
            if !attributes.contains(labels) {
                return None;
            }
        }
        // The attributes of these are properties of the object, not labels.
        ObjectKind::Network | ObjectKind::Volume | ObjectKind::Image => attributes.0.clear(),
    }
    Some(Event { object, action, id, name, labels: attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, action: &str) -> Value {
        json!({
            "Type": kind, "Action": action,
            "Actor": { "ID": "abc", "Attributes": { "name": "x", "image": "i", "exitCode": "1", "own": "me" } },
        })
    }

    #[test]
    fn records_become_events() {
        let mine: Labels = [("own", "me")].into_iter().collect();
        let found = event(&record("container", "die"), &mine).unwrap();
        assert_eq!((found.object, found.action), (ObjectKind::Container, EventAction::Died));
        assert_eq!((found.id.as_str(), found.name.as_deref()), ("abc", Some("x")));
        assert_eq!(found.labels, mine);
        assert_eq!(event(&record("network", "destroy"), &mine).unwrap().action, EventAction::Removed);
        assert_eq!(event(&record("container", "oom"), &mine).unwrap().action, EventAction::Other);
    }

    #[test]
    fn others_are_ignored() {
        let theirs: Labels = [("own", "them")].into_iter().collect();
        assert_eq!(event(&record("container", "die"), &theirs), None);
        assert_eq!(event(&record("daemon", "reload"), &Labels::default()), None);
        assert_eq!(event(&record("container", "exec_create: ls"), &Labels::default()), None);
        assert_eq!(event(&json!({}), &Labels::default()), None);
    }
}
