//! The effective configuration as plain values, for `config show`.
//!
//! The tree is in the spelling of `tanuki.yaml`, and loads to the same configuration where it has no secrets and no
//! dollar signs (which are shown as they are, not doubled). Secrets are replaced by [`REDACTED`]: variables whose names say so, and what came from such variables.

use serde_json::{Map, Value, json};

use super::units::{format_bytes, format_cpus, format_duration};
use super::{Config, Origins};
use crate::model::{Adapter, AdapterKind, Role};
use crate::model::{
    HostPort, Probe, PullPolicy, Resources, ServiceSpec, TmpfsMount, VolumeMount, VolumeSource,
};

/// Stands for a secret.
pub const REDACTED: &str = "********";

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Replaced by [`REDACTED`].
    Hidden,
    /// As they are.
    Shown,
}

impl Config {
    /// The effective values as a tree, in canonical spelling.
    pub fn to_tree(&self, secrets: Secrets) -> Value {
        let mut root = json!({
            "version": "1",
            "runtime": { "kind": self.runtime.kind },
            "network": { "name": self.network.name, "join": self.network.join },
            "services": self.services.iter().map(|(name, spec)| (name.clone(), service(spec))).collect::<Map<_, _>>(),
            "defaults": {
                "agent": self.defaults.agent,
                "max_turns": self.defaults.max_turns,
            },
            "adapters": self.adapters.iter().map(|(name, it)| (name.clone(), adapter(it))).collect::<Map<_, _>>(),
            "git": { "branch_prefix": self.branch_prefix },
            "roles": self.roles.iter().map(|(name, it)| (name.clone(), role(it))).collect::<Map<_, _>>(),
            "limits": {
                "agents": self.limits.agents,
                "working": self.limits.working,
                "free_memory": format_bytes(self.limits.free_memory),
            },
            "tasks_dir": self.tasks_dir.display().to_string(),
        });
        let workstreams = self.workstreams.iter().map(|(name, it)| {
            let mut out = Map::new();
            out.insert("concurrency".to_owned(), it.concurrency.into());
            put(&mut out, "role", it.role.as_deref());
            (name.clone(), Value::Object(out))
        });
        root["workstreams"] = Value::Object(workstreams.collect());
        if let Some(socket) = &self.runtime.socket {
            root["runtime"]["socket"] = socket.as_str().into();
        }
        if let Some(defaults) = root["defaults"].as_object_mut() {
            put(defaults, "image", self.defaults.image.as_deref());
            put(defaults, "model", self.defaults.model.as_deref());
            put_list(defaults, "allowed_tools", &self.defaults.allowed_tools);
            put_list(defaults, "denied_tools", &self.defaults.denied_tools);
            put_object(defaults, "resources", resources(self.defaults.resources));
        }
        if secrets == Secrets::Hidden {
            redact(&mut root, "", &self.origins);
        }
        root
    }

    /// The effective values one by one, as `services.postgres.port` with its value.
    pub fn to_values(&self, secrets: Secrets) -> Vec<(String, Value)> {
        let mut out = Vec::new();
        flatten(self.to_tree(secrets), String::new(), &mut out);
        out
    }
}

/// A tree as YAML.
pub fn to_yaml(tree: &Value) -> String {
    super::yaml::to_string(tree)
}

fn put(out: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value.into());
    }
}

fn put_list(out: &mut Map<String, Value>, key: &str, values: &[String]) {
    if !values.is_empty() {
        out.insert(key.to_owned(), values.into());
    }
}

fn put_object(out: &mut Map<String, Value>, key: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        out.insert(key.to_owned(), Value::Object(value));
    }
}

fn service(spec: &ServiceSpec) -> Value {
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(spec.service_type));
    out.insert("enabled".to_owned(), spec.enabled.into());
    if let Some(port) = spec.port {
        out.insert("port".to_owned(), port.into());
    }
    if !spec.environment.is_empty() {
        out.insert("environment".to_owned(), json!(spec.environment));
    }
    let mut inject = Map::new();
    put(&mut inject, "prefix", spec.inject.prefix.as_deref());
    if !spec.inject.env.is_empty() {
        inject.insert("env".to_owned(), json!(spec.inject.env));
    }
    put_object(&mut out, "inject", inject);
    if let Some(external) = &spec.external {
        out.insert("external".to_owned(), true.into());
        put(&mut out, "host", Some(&external.host));
        return Value::Object(out);
    }
    put(&mut out, "image", Some(&spec.image));
    out.insert("pull_policy".to_owned(), pull(spec.pull).into());
    if let Some(argv) = &spec.entrypoint {
        out.insert("entrypoint".to_owned(), json!(argv));
    }
    if let Some(argv) = &spec.command {
        out.insert("command".to_owned(), json!(argv));
    }
    if spec.port.is_some() {
        out.insert("host_port".to_owned(), host_port(spec.host_port));
    }
    if !spec.ports.is_empty() {
        let ports = spec.ports.iter().map(|port| match port.host {
            HostPort::Fixed(host) => format!("{host}:{}", port.container),
            HostPort::Auto | HostPort::None => port.container.to_string(),
        });
        out.insert("ports".to_owned(), ports.collect());
    }
    // Always there, since an absent list would be the template's.
    out.insert("volumes".to_owned(), spec.volumes.iter().map(volume).collect());
    if !spec.tmpfs.is_empty() {
        out.insert("tmpfs".to_owned(), spec.tmpfs.iter().map(tmpfs).collect());
    }
    put(&mut out, "user", spec.user.as_deref());
    if let Some(size) = spec.shm_size {
        out.insert("shm_size".to_owned(), format_bytes(size).into());
    }
    put(&mut out, "stop_signal", spec.stop_signal.as_deref());
    out.insert("stop_grace_period".to_owned(), format_duration(spec.stop_grace).into());
    out.insert("healthcheck".to_owned(), healthcheck(spec));
    out.insert(
        "restart".to_owned(),
        json!({
            "initial": format_duration(spec.restart.initial),
            "max": format_duration(spec.restart.max),
            "reset_after": format_duration(spec.restart.reset_after),
            "max_retries": spec.restart.max_retries,
        }),
    );
    put_object(&mut out, "resources", resources(spec.resources));
    Value::Object(out)
}

fn pull(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Missing => "missing",
        PullPolicy::Always => "always",
        PullPolicy::Never => "never",
    }
}

fn host_port(port: HostPort) -> Value {
    match port {
        HostPort::Auto => "auto".into(),
        HostPort::Fixed(port) => port.into(),
        HostPort::None => "none".into(),
    }
}

fn volume(mount: &VolumeMount) -> String {
    let (source, relabel) = match &mount.source {
        VolumeSource::Named(name) => (name.clone(), None),
        VolumeSource::Bind(bind) => (bind.path.display().to_string(), bind.relabel_shared),
    };
    let relabel = relabel.map(|shared| if shared { "z" } else { "Z" });
    let options: Vec<&str> = mount.read_only.then_some("ro").into_iter().chain(relabel).collect();
    if options.is_empty() {
        return format!("{source}:{}", mount.target);
    }
    format!("{source}:{}:{}", mount.target, options.join(","))
}

fn tmpfs(mount: &TmpfsMount) -> String {
    match mount.size {
        Some(size) => format!("{}:size={}", mount.target, format_bytes(size)),
        None => mount.target.clone(),
    }
}

fn healthcheck(spec: &ServiceSpec) -> Value {
    let health = spec.health;
    let mut out = json!({
        "interval": format_duration(health.interval),
        "timeout": format_duration(health.timeout),
        "retries": health.retries,
        "start_period": format_duration(health.start_period),
        "start_interval": format_duration(health.start_interval),
    });
    match &spec.probe {
        Probe::Builtin => {}
        Probe::Exec(argv) => {
            let words = std::iter::once("CMD").chain(argv.iter().map(String::as_str));
            out["test"] = words.collect();
        }
        Probe::Shell(line) => out["test"] = json!(["CMD-SHELL", line]),
        Probe::Tcp(port) => out["tcp"] = (*port).into(),
        Probe::Http { port, path } => out["http"] = json!({ "port": port, "path": path }),
        Probe::Log(pattern) => out["log"] = pattern.as_str().into(),
        Probe::Disabled => out["disable"] = true.into(),
    }
    out
}

fn resources(resources: Resources) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(memory) = resources.memory {
        out.insert("memory".to_owned(), format_bytes(memory).into());
    }
    if let Some(milli) = resources.milli_cpus {
        out.insert("cpus".to_owned(), format_cpus(milli).into());
    }
    if let Some(pids) = resources.pids {
        out.insert("pids".to_owned(), pids.into());
    }
    out
}

fn adapter(adapter: &Adapter) -> Value {
    let mut out = Map::new();
    out.insert("kind".to_owned(), json!(adapter.kind));
    put_list(&mut out, "env", &adapter.env);
    put_list(&mut out, "args", &adapter.args);
    if adapter.kind == AdapterKind::Command {
        put_list(&mut out, "run", &adapter.run);
    }
    Value::Object(out)
}

fn role(role: &Role) -> Value {
    let mut out = Map::new();
    put(&mut out, "description", role.description.as_deref());
    put(&mut out, "prompt", role.prompt.as_deref());
    put(&mut out, "agent", role.agent.as_deref());
    put(&mut out, "image", role.image.as_deref());
    put(&mut out, "model", role.model.as_deref());
    if let Some(turns) = role.max_turns {
        out.insert("max_turns".to_owned(), turns.into());
    }
    put_list(&mut out, "allowed_tools", &role.allowed_tools);
    put_list(&mut out, "denied_tools", &role.denied_tools);
    put_object(&mut out, "resources", resources(role.resources));
    if let Some(tasks) = role.concurrency {
        out.insert("concurrency".to_owned(), tasks.into());
    }
    Value::Object(out)
}

/// Hides secrets, and what an address in a URL says before its `@`.
fn redact(value: &mut Value, path: &str, origins: &Origins) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = super::keys::join(path, key);
                let named = path.contains(".environment.") && ServiceSpec::is_secret_key(key);
                if named || origins.is_secret(&path) {
                    *value = REDACTED.into();
                } else {
                    redact(value, &path, origins);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                redact(item, path, origins);
            }
        }
        Value::String(text) => {
            if let Some(hidden) = without_password(text) {
                *text = hidden;
            }
        }
        _ => {}
    }
}

/// A URL with the password in it replaced. Placeholders of templates are no passwords.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (credentials, host) = rest.split_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    if credentials.contains('/') || password.is_empty() || password.contains("{password}") {
        return None;
    }
    Some(format!("{scheme}://{user}:{REDACTED}@{host}"))
}

fn flatten(value: Value, path: String, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(value, super::keys::join(&path, &key), out);
            }
        }
        value => out.push((path, value)),
    }
}
