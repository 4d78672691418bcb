//! Reads `healthcheck`: our own probes and Compose's `test`.

use super::reader::{At, Reader};
use super::yaml::Value;
use crate::model::{Health, Probe};

/// Reads the probe of a service and its timing. `port` is the service's own.
pub(super) fn read(reader: &mut Reader, service: &At<'_>, port: Option<u16>) -> (Probe, Health) {
    let mut health = Health::default();
    let Some(at) = service.get("healthcheck").and_then(|at| reader.map(at)) else {
        return (Probe::Builtin, health);
    };
    timing(reader, &at, &mut health);
    let disabled = at.get("disable").and_then(|at| reader.bool(&at));
    let probes: Vec<At<'_>> =
        super::keys::PROBES.iter().filter(|key| **key != "disable").filter_map(|key| at.get(key)).collect();
    if let [first, second, ..] = probes.as_slice() {
        let message = format!("`{}` and `{}` cannot both be there", first.name, second.name);
        reader.error_at(second.mark(), &second.path, message, "a health check has one probe");
    }
    let probe = match probes.first() {
        Some(found) => probe(reader, found, port).unwrap_or(Probe::Builtin),
        None => Probe::Builtin,
    };
    if let Some(found) = probes.first() {
        // Where `config show` looks for them.
        let shown = if probe == Probe::Disabled { "disable" } else { "test" };
        if matches!(found.name, "command" | "test") {
            reader.note(&super::keys::join(&at.path, shown), found);
        }
    }
    if disabled == Some(true) {
        return (Probe::Disabled, health);
    }
    (probe, health)
}

fn timing(reader: &mut Reader, at: &At<'_>, health: &mut Health) {
    if let Some(at) = at.get("interval") {
        health.interval = reader.positive_duration(&at).unwrap_or(health.interval);
    }
    if let Some(at) = at.get("timeout") {
        health.timeout = reader.positive_duration(&at).unwrap_or(health.timeout);
    }
    if let Some(at) = at.get("start_period") {
        health.start_period = reader.duration(&at).unwrap_or(health.start_period);
    }
    if let Some(at) = at.get("start_interval") {
        health.start_interval = reader.positive_duration(&at).unwrap_or(health.start_interval);
    }
    if let Some(at) = at.get("retries") {
        let retries = reader.whole(&at, 1, 1000).and_then(|retries| u32::try_from(retries).ok());
        health.retries = retries.unwrap_or(health.retries);
    }
}

fn probe(reader: &mut Reader, at: &At<'_>, port: Option<u16>) -> Option<Probe> {
    match at.name {
        "command" | "test" => command(reader, at),
        "tcp" => tcp(reader, at, port),
        "http" => http(reader, at, port),
        _ => {
            let pattern = reader.text(at)?;
            if let Err(error) = regex_lite::Regex::new(&pattern) {
                reader.error(at, format!("this is not a regular expression: {error}"), "");
            }
            Some(Probe::Log(pattern))
        }
    }
}

/// A text is run by the container's shell. A list is a command, or Compose's `CMD`, `CMD-SHELL`, `NONE`.
fn command(reader: &mut Reader, at: &At<'_>) -> Option<Probe> {
    if !matches!(at.node.value, Value::List(_)) {
        return reader.text(at).map(Probe::Shell);
    }
    let mut words = reader.texts(at);
    match words.first().map(String::as_str) {
        Some("NONE") if words.len() == 1 => Some(Probe::Disabled),
        Some("CMD-SHELL") if words.len() == 2 => words.pop().map(Probe::Shell),
        Some("CMD") if words.len() > 1 => Some(Probe::Exec(words.split_off(1))),
        Some("NONE" | "CMD-SHELL" | "CMD") => {
            reader.error(
                at,
                "the list does not fit its first word",
                "write [\"CMD\", program, arguments…], [\"CMD-SHELL\", line] or [\"NONE\"]",
            );
            None
        }
        Some(_) if at.name == "command" => Some(Probe::Exec(words)),
        Some(first) => {
            let message = format!("`test` begins with `{}`", super::reader::clipped(first));
            reader.error(at, message, "begin it with \"CMD\", \"CMD-SHELL\" or \"NONE\", or write `command`");
            None
        }
        None => {
            reader.error(at, "the command is empty", "name a program, or remove the key");
            None
        }
    }
}

fn own_port(reader: &mut Reader, at: &At<'_>, port: Option<u16>) -> Option<u16> {
    if port.is_none() {
        let message = format!("`{}` needs a port, and the service has none", at.name);
        reader.error_at(at.mark(), &at.path, message, "give the service a `port`, or name one here");
    }
    port
}

fn tcp(reader: &mut Reader, at: &At<'_>, port: Option<u16>) -> Option<Probe> {
    match &at.node.value {
        Value::Bool(true) => own_port(reader, at, port).map(Probe::Tcp),
        Value::Bool(false) => {
            reader.error(
                at,
                "`tcp` takes a port, or `true` for the service's own",
                "remove the key for no probe",
            );
            None
        }
        _ => reader.port(at).map(Probe::Tcp),
    }
}

fn http(reader: &mut Reader, at: &At<'_>, port: Option<u16>) -> Option<Probe> {
    let (port, path) = match &at.node.value {
        Value::Map(_) => {
            let path = at.get("path").map(|at| (reader.text(&at), at));
            let port = match at.get("port") {
                Some(at) => reader.port(&at),
                None => own_port(reader, at, port),
            };
            (port, path)
        }
        _ => (own_port(reader, at, port), Some((reader.text(at), at.clone()))),
    };
    let path = match path {
        None => "/".to_owned(),
        Some((text, at)) => {
            let text = text?;
            // The path goes into a request line.
            if !text.starts_with('/') || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
                reader.error(
                    &at,
                    "expected a path that begins with `/` and has no spaces",
                    "write it as `/health`",
                );
            }
            text
        }
    };
    Some(Probe::Http { port: port?, path })
}
