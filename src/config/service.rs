//! Reads one service: its merged keys, template included, become a [`ServiceSpec`].

use std::path::Path;
use std::time::Duration;

use super::compose;
use super::env::Env;
use super::env_file;
use super::inject;
use super::probe;
use super::reader::{At, Reader, clipped};
use super::restart;
use super::yaml::Value;
use crate::model::{
    External, Health, HostPort, Inject, PortMapping, Probe, PullPolicy, Resources, Restart, ServiceSpec,
    ServiceType, VolumeMount, VolumeSource,
};

/// What relative and passed-through values are resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The project's directory.
    pub(super) root: &'a Path,
    /// The user's environment.
    pub(super) env: &'a Env,
}

/// Words of `type`.
pub(super) const TYPES: &[(&str, ServiceType)] = &[
    ("postgres", ServiceType::Postgres),
    ("redis", ServiceType::Redis),
    ("mysql", ServiceType::Mysql),
    ("custom", ServiceType::Custom),
];

const POLICIES: &[(&str, PullPolicy)] = &[
    ("missing", PullPolicy::Missing),
    ("if_not_present", PullPolicy::Missing),
    ("always", PullPolicy::Always),
    ("never", PullPolicy::Never),
];

/// How long a service has to end, when nothing is said; as in Compose.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Keys that mean nothing for a service that Tanuki does not run.
const NOT_EXTERNAL: &[&str] = &[
    "image",
    "pull_policy",
    "entrypoint",
    "command",
    "host_port",
    "ports",
    "volumes",
    "tmpfs",
    "user",
    "shm_size",
    "stop_signal",
    "stop_grace_period",
    "healthcheck",
    "restart",
    "resources",
    "mem_limit",
    "cpus",
    "pids_limit",
];

/// What program a service is, by its `type` or its name.
pub(super) fn service_type(reader: &mut Reader, name: &str, at: &At<'_>) -> ServiceType {
    match at.get("type") {
        Some(at) => reader.word(&at, TYPES).unwrap_or(ServiceType::Custom),
        None => TYPES.iter().find(|(word, _)| *word == name).map_or(ServiceType::Custom, |(_, kind)| *kind),
    }
}

/// Whether a service is marked as external.
pub(super) fn is_external(at: &At<'_>) -> bool {
    at.get("external").is_some_and(|at| match &at.node.value {
        Value::Bool(value) => *value,
        Value::Text(text) => text == "true",
        _ => false,
    })
}

/// Reads a service. `None` when so much is wrong that there is nothing to build; the reader has the errors.
pub(super) fn read(
    reader: &mut Reader,
    at: &At<'_>,
    service_type: ServiceType,
    around: Around<'_>,
) -> Option<ServiceSpec> {
    let at = &reader.map(at.clone())?;
    check_name(reader, at);
    let mut spec = blank(at.name, service_type);
    if let Some(at) = at.get("enabled") {
        spec.enabled = reader.bool(&at).unwrap_or(true);
    }
    if let Some(at) = at.get("external") {
        reader.bool(&at);
    }
    spec.environment = env_file::environment(reader, at, around);
    spec.port = at.get("port").and_then(|at| reader.port(&at));
    if let Some(at) = at.get("inject") {
        spec.inject = inject::inject(reader, at);
    }
    if is_external(at) {
        external(reader, at, &mut spec);
        return Some(spec);
    }
    if let Some(at) = at.get("host") {
        reader.error_at(
            at.mark(),
            &at.path,
            "`host` is only for services with `external: true`",
            "remove it",
        );
    }
    container(reader, at, &mut spec);
    ports(reader, at, &mut spec);
    storage(reader, at, &mut spec, around);
    spec.resources = resources(reader, at, Resources::default());
    (spec.probe, spec.health) = probe::read(reader, at, spec.port);
    if let Some(at) = at.get("restart") {
        spec.restart = restart::restart(reader, &at);
    }
    Some(spec)
}

fn blank(name: &str, service_type: ServiceType) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        service_type,
        enabled: true,
        external: None,
        image: String::new(),
        pull: PullPolicy::Missing,
        entrypoint: None,
        command: None,
        environment: std::collections::BTreeMap::new(),
        port: None,
        host_port: HostPort::Auto,
        ports: Vec::new(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        user: None,
        shm_size: None,
        stop_signal: None,
        stop_grace: STOP_GRACE,
        probe: Probe::Builtin,
        health: Health::default(),
        restart: Restart::default(),
        inject: Inject::default(),
        resources: Resources::default(),
    }
}

fn check_name(reader: &mut Reader, at: &At<'_>) {
    let name = at.name;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let help = "use lower case letters, digits, `_` and `-`, beginning with a letter or digit";
    if name.len() > 63 {
        reader.error_at(
            at.mark(),
            &at.path,
            "a service's name has at most 63 characters",
            "choose a shorter one",
        );
    } else if !begins || !name.chars().all(allowed) {
        reader.error_at(at.mark(), &at.path, format!("`{name}` cannot be the name of a service"), help);
    }
}

fn external(reader: &mut Reader, at: &At<'_>, spec: &mut ServiceSpec) {
    let host = at.get("host").and_then(|at| reader.text(&at));
    if at.get("host").is_none() {
        reader.error_at(
            at.mark(),
            &at.path,
            "an external service needs `host`",
            "name the host that agents reach it by",
        );
    }
    if at.get("port").is_none() {
        reader.error_at(
            at.mark(),
            &at.path,
            "an external service needs `port`",
            "name the port that clients connect to",
        );
    }
    for name in NOT_EXTERNAL {
        if let Some(found) = at.get(name) {
            let message = format!("`{name}` means nothing with `external: true`");
            reader.error_at(
                found.mark(),
                &found.path,
                message,
                "remove one of the two: Tanuki does not run external services",
            );
        }
    }
    spec.host_port = HostPort::None;
    spec.probe = Probe::Disabled;
    spec.external = Some(External { host: host.unwrap_or_default() });
}

fn container(reader: &mut Reader, at: &At<'_>, spec: &mut ServiceSpec) {
    match at.get("image") {
        Some(at) => {
            spec.image = reader.text(&at).unwrap_or_default();
            if spec.image.contains(char::is_whitespace) {
                reader.error(&at, "an image reference has no spaces", "write it as `postgres:16`");
            }
        }
        None => {
            let help = "name the image to run, as `image: opensearch:2`, or write `external: true`";
            reader.error_at(at.mark(), &at.path, "a service needs `image`", help);
        }
    }
    let said = at.get("type").is_some();
    if let (false, ServiceType::Custom, Some(known)) = (said, spec.service_type, known_program(&spec.image)) {
        let message = format!("`{}` looks like {known}, and is taken for any program", clipped(&spec.image));
        let help = format!("write `type: {known}` for its probe, variables and template, or `type: custom`");
        reader.warn_at(at.mark(), &at.path, message, help);
    }
    if let Some(at) = at.get("pull_policy") {
        spec.pull = reader.word(&at, POLICIES).unwrap_or(PullPolicy::Missing);
    }
    spec.entrypoint = at.get("entrypoint").and_then(|at| reader.argv(&at));
    spec.command = at.get("command").and_then(|at| reader.argv(&at));
    spec.user = at.get("user").and_then(|at| reader.text(&at));
    spec.shm_size = at.get("shm_size").and_then(|at| reader.bytes(&at));
    spec.stop_signal = at.get("stop_signal").and_then(|at| signal(reader, &at));
    if let Some(at) = at.get("stop_grace_period") {
        spec.stop_grace = reader.duration(&at).unwrap_or(STOP_GRACE);
    }
}

/// The program of a well-known image.
fn known_program(image: &str) -> Option<ServiceType> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    match name {
        "postgres" | "postgis" | "pgvector" | "timescaledb" => Some(ServiceType::Postgres),
        "redis" | "valkey" | "redis-stack-server" => Some(ServiceType::Redis),
        "mysql" | "mariadb" => Some(ServiceType::Mysql),
        _ => None,
    }
}

fn signal(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    let upper = text.to_ascii_uppercase();
    let known = upper
        .strip_prefix("SIG")
        .unwrap_or(&upper)
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-');
    if !known {
        reader.error(at, format!("`{}` is not a signal", clipped(&text)), "write it as `SIGTERM`");
    }
    Some(upper)
}

fn ports(reader: &mut Reader, at: &At<'_>, spec: &mut ServiceSpec) {
    let fixed = at.get("host_port").map(|at| (host_port(reader, &at), at));
    if let Some((Some(host), _)) = &fixed {
        spec.host_port = *host;
    }
    let mut published = std::collections::BTreeSet::new();
    for item in at.get("ports").and_then(|at| reader.list(&at)).unwrap_or_default() {
        let Some(mapping) = port_mapping(reader, &item) else { continue };
        // The first port of a service without `port` is the one clients use.
        let main = *spec.port.get_or_insert_with(|| {
            reader.note(&super::keys::join(&at.path, "port"), &item);
            mapping.container
        });
        if !published.insert(mapping.container) {
            let message = format!("port {} is published twice", mapping.container);
            reader.error(&item, message, "remove one of the two");
        } else if mapping.container != main {
            spec.ports.push(mapping);
        } else if fixed.as_ref().is_some_and(|(host, _)| *host != Some(mapping.host)) {
            let message = format!("port {main} has another host port in `host_port`");
            reader.error(&item, message, "keep one of the two");
        } else {
            reader.note(&super::keys::join(&at.path, "host_port"), &item);
            spec.host_port = mapping.host;
        }
    }
    if at.get("port").is_some() || at.get("ports").is_some() {
        return;
    }
    if let Some((_, at)) = fixed {
        reader.error_at(at.mark(), &at.path, "`host_port` needs `port`", "say which container port it shows");
    } else if spec.service_type == ServiceType::Custom {
        let help = "name the port that clients connect to, as `port: 9200`";
        reader.error_at(at.mark(), &at.path, "a service needs `port`", help);
    }
}

fn host_port(reader: &mut Reader, at: &At<'_>) -> Option<HostPort> {
    match &at.node.value {
        Value::Text(text) if text == "none" || text == "auto" => {
            reader.note(&at.path, at);
            Some(if text == "none" { HostPort::None } else { HostPort::Auto })
        }
        Value::Text(text) if text.trim().parse::<i64>().is_err() => {
            reader.error(at, "expected a port from 1 to 65535, `auto` or `none`", "");
            None
        }
        _ => reader.port(at).map(HostPort::Fixed),
    }
}

fn port_mapping(reader: &mut Reader, at: &At<'_>) -> Option<PortMapping> {
    if let Value::Map(_) = at.node.value {
        reader.error(at, "the long form of ports is not supported", "write it as `\"15432:5432\"`");
        return None;
    }
    let text = reader.scalar(at)?;
    let parsed = compose::port(&text);
    parsed.map_err(|(message, help)| reader.error(at, message, help)).ok()
}

fn storage(reader: &mut Reader, at: &At<'_>, spec: &mut ServiceSpec, around: Around<'_>) {
    let home = around.env.home.as_deref();
    for item in at.get("volumes").and_then(|at| reader.list(&at)).unwrap_or_default() {
        if let Value::Map(_) = item.node.value {
            long_volume(reader, &item, spec, around);
        } else if let Some(text) = reader.scalar(&item) {
            match compose::volume(&text, around.root, home) {
                Ok(mount) => spec.volumes.push(mount),
                Err((message, help)) => reader.error(&item, message, help),
            }
        }
    }
    for item in at.get("tmpfs").map(|at| reader.text_or_list(&at)).unwrap_or_default() {
        let Some(text) = reader.text(&item) else { continue };
        match compose::tmpfs(&text) {
            Ok(mount) => spec.tmpfs.push(mount),
            Err((message, help)) => reader.error(&item, message, help),
        }
    }
    let targets =
        spec.volumes.iter().map(|mount| &mount.target).chain(spec.tmpfs.iter().map(|mount| &mount.target));
    let mut targets: Vec<&String> = targets.collect();
    targets.sort();
    if let Some([target, _]) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("two things are mounted at {target}");
        reader.error_at(at.mark(), &at.path, message, "remove one of the two");
    }
}

fn long_volume(reader: &mut Reader, at: &At<'_>, spec: &mut ServiceSpec, around: Around<'_>) {
    let kind =
        at.get("type").and_then(|at| reader.word(&at, &[("volume", 'v'), ("bind", 'b'), ("tmpfs", 't')]));
    let source = at.get("source").and_then(|at| reader.text(&at).map(|text| (at, text)));
    let Some(target_at) = at.get("target") else {
        reader.error(at, "a volume needs `target`", "name an absolute path inside the container");
        return;
    };
    let target = reader.text(&target_at).and_then(|text| {
        compose::target(&text).map_err(|(message, help)| reader.error(&target_at, message, help)).ok()
    });
    let read_only = at.get("read_only").and_then(|at| reader.bool(&at)).unwrap_or(false);
    let Some(target) = target else { return };
    match (kind, source) {
        (Some('t'), _) => spec.tmpfs.push(crate::model::TmpfsMount { target, size: None }),
        (_, Some((source_at, text))) => {
            match compose::source(&text, around.root, around.env.home.as_deref()) {
                Ok(VolumeSource::Named(_)) if kind == Some('b') => {
                    reader.error(&source_at, "a bind needs a path", "begin it with `/`, `./` or `~/`");
                }
                Ok(VolumeSource::Bind(_)) if kind == Some('v') => {
                    reader.error(
                        &source_at,
                        "a volume needs a name, not a path",
                        "write `type: bind` for a path",
                    );
                }
                Ok(source) => spec.volumes.push(VolumeMount { source, target, read_only }),
                Err((message, help)) => reader.error(&source_at, message, help),
            }
        }
        (_, None) => reader.error(at, "a volume needs `source`", "name the volume, or the path of a bind"),
    }
}

/// Reads limits from `resources` and, for services, Compose's own keys beside it.
pub(super) fn resources(reader: &mut Reader, at: &At<'_>, default: Resources) -> Resources {
    let mut out = default;
    let inner = at.get("resources").and_then(|at| reader.map(at));
    let mut pick = |ours: &str, compose: &str| {
        let ours = inner.as_ref().and_then(|inner| inner.get(ours).map(|found| (inner.path.clone(), found)));
        let theirs = at.get(compose);
        match (ours, theirs) {
            (Some((_, found)), Some(theirs)) => {
                let message = format!("`{compose}` and `{}` mean the same", found.path);
                reader.error_at(theirs.mark(), &theirs.path, message, "keep one of the two");
                None
            }
            (Some((_, found)), None) => Some(found),
            (None, theirs) => theirs,
        }
    };
    let (memory, cpus, pids) =
        (pick("memory", "mem_limit"), pick("cpus", "cpus"), pick("pids", "pids_limit"));
    let base = super::keys::join(&at.path, "resources");
    if let Some(at) = memory {
        out.memory = reader.bytes(&at);
        reader.note(&format!("{base}.memory"), &at);
    }
    if let Some(at) = cpus {
        out.milli_cpus = reader.cpus(&at);
        reader.note(&format!("{base}.cpus"), &at);
    }
    if let Some(at) = pids {
        out.pids = reader.whole(&at, 1, 4_194_304).and_then(|pids| i64::try_from(pids).ok());
        reader.note(&format!("{base}.pids"), &at);
    }
    out
}
