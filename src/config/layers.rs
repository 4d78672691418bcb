//! From several trees to one: interpolation, one spelling for what has several, templates, merging.
//!
//! Maps merge, lists and scalars replace, and null is the same as left out. What a higher layer says of the probe or
//! of the engine replaces what lower layers say, since half of one and half of the other mean nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::env::Env;
use super::interpolate::{Stray, interpolate};
use super::keys::{PROBES, join};
use super::reader::Reader;
use super::yaml::{Entry, Node, Value};

/// Replaces the references in all scalar values of a tree; keys are left alone. Tells whether all could be replaced.
pub(super) fn interpolate_tree(reader: &mut Reader, node: &mut Node, env: &Env, path: &str) -> bool {
    let mut complete = true;
    match &mut node.value {
        Value::Text(text) if text.contains('$') => match interpolate(text, env, Stray::Refused) {
            Ok(out) => {
                *text = out.text;
                node.secret = out.secret;
                for name in out.missing {
                    let message = format!("the variable {name} is not set; it is replaced by nothing");
                    reader.warn_at(
                        node.mark,
                        path,
                        message,
                        format!("set it, or write `${{{name}:-default}}`"),
                    );
                }
            }
            Err(refused) => {
                reader.error_at(node.mark, path, refused.message, refused.help);
                complete = false;
            }
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                complete &= interpolate_tree(reader, item, env, &format!("{path}[{index}]"));
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                complete &= interpolate_tree(reader, &mut entry.node, env, &join(path, &entry.key));
            }
        }
        _ => {}
    }
    complete
}

/// Gives every service's `environment` the form of a mapping, so that layers of it merge.
pub(super) fn normalise(root: &mut Node) {
    let Some(services) = entry_mut(root, "services") else { return };
    let Value::Map(services) = &mut services.value else { return };
    for service in services {
        if let Some(environment) = entry_mut(&mut service.node, "environment") {
            list_to_map(environment);
        }
    }
}

fn entry_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
}

/// Turns `[A=1, B]` into `{A: 1, B: null}`. Leaves what is not text as it is, for the reader to refuse.
fn list_to_map(node: &mut Node) {
    let Value::List(items) = &mut node.value else { return };
    if !items.iter().all(|item| matches!(item.value, Value::Text(_))) {
        return;
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut keys = BTreeSet::new();
    // From the end, since the last of several wins.
    for item in std::mem::take(items).into_iter().rev() {
        let Value::Text(text) = item.value else { continue };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::Text(value.to_owned())),
            None => (text, Value::Null),
        };
        if keys.insert(key.clone()) {
            let node = Node { mark: item.mark, value, secret: item.secret };
            entries.push(Entry { key, key_mark: item.mark, node });
        }
    }
    entries.reverse();
    node.value = Value::Map(entries);
}

/// Puts a higher layer over a lower one.
pub(super) fn merge(low: &mut Node, high: Node) {
    merge_at(low, high, &mut Vec::new());
}

/// Puts a service over its template.
pub(super) fn merge_service(low: &mut Node, high: Node) {
    merge_at(low, high, &mut vec!["services".to_owned(), "template".to_owned()]);
}

fn merge_at(low: &mut Node, high: Node, path: &mut Vec<String>) {
    // There a name without a value means the user's value.
    let keeps_null = path.last().is_some_and(|key| key == "environment");
    match (&mut low.value, high.value) {
        (Value::Map(below), Value::Map(above)) => {
            low.mark = high.mark;
            drop_replaced(below, &above, path);
            let index = |(index, entry): (usize, &Entry)| (entry.key.clone(), index);
            let places: BTreeMap<String, usize> = below.iter().enumerate().map(index).collect();
            for entry in above {
                if entry.node.value == Value::Null && !keeps_null {
                    continue;
                }
                match places.get(&entry.key).and_then(|index| below.get_mut(*index)) {
                    Some(found) if keeps_null => *found = entry,
                    Some(found) => {
                        found.key_mark = entry.key_mark;
                        path.push(entry.key);
                        merge_at(&mut found.node, entry.node, path);
                        path.pop();
                    }
                    None => below.push(entry),
                }
            }
        }
        (_, Value::Null) => {}
        (_, value) => *low = Node { mark: high.mark, value, secret: high.secret },
    }
}

/// Takes out of the lower layer what the higher one decides as a whole.
fn drop_replaced(below: &mut Vec<Entry>, above: &[Entry], path: &[String]) {
    let has = |keys: &[&str]| above.iter().any(|entry| keys.contains(&entry.key.as_str()));
    match path {
        [.., last] if last == "healthcheck" && has(PROBES) => {
            below.retain(|entry| !PROBES.contains(&entry.key.as_str()));
        }
        [only] if only == "runtime" => below.clear(),
        [.., last] if last == "environment" => {
            // The official images refuse a value and its `_FILE` together.
            let files: BTreeSet<&str> =
                above.iter().filter_map(|entry| entry.key.strip_suffix("_FILE")).collect();
            below.retain(|entry| !files.contains(entry.key.as_str()));
        }
        _ => {}
    }
}
