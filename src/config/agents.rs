//! Reads what concerns agents: defaults, adapters, git, roles, workstreams, limits, the tasks' directory.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::env_file::is_variable;
use super::keys::{ADAPTER_KINDS, nearest};
use super::reader::{At, Reader, clipped};
use super::service;
use crate::model::{Adapter, AdapterKind, AgentDefaults, Limits, Resources, Role, Workstream};

const KINDS: &[(&str, AdapterKind)] = &[
    ("claude", AdapterKind::Claude),
    ("codex", AdapterKind::Codex),
    ("gemini", AdapterKind::Gemini),
    ("opencode", AdapterKind::Opencode),
    ("command", AdapterKind::Command),
];

/// Reads `defaults`. The adapters say which names `agent` may have.
pub(super) fn defaults(
    reader: &mut Reader,
    root: &At<'_>,
    adapters: &BTreeMap<String, Adapter>,
) -> AgentDefaults {
    let mut out = AgentDefaults::default();
    let Some(at) = root.get("defaults").and_then(|at| reader.map(at)) else { return out };
    if let Some(agent) = agent(reader, &at, adapters) {
        out.agent = agent;
    }
    out.image = text(reader, &at, "image");
    out.model = text(reader, &at, "model");
    out.max_turns = max_turns(reader, &at).unwrap_or(out.max_turns);
    out.allowed_tools = texts(reader, &at, "allowed_tools");
    out.denied_tools = texts(reader, &at, "denied_tools");
    out.resources = service::resources(reader, &at, out.resources);
    out
}

/// Reads `adapters` over the built-in ones.
pub(super) fn adapters(reader: &mut Reader, root: &At<'_>) -> BTreeMap<String, Adapter> {
    let blank = |kind| Adapter { kind, env: Vec::new(), args: Vec::new(), run: Vec::new() };
    let built_in = KINDS.iter().filter(|(_, kind)| *kind != AdapterKind::Command);
    let mut out: BTreeMap<String, Adapter> =
        built_in.map(|(name, kind)| ((*name).to_owned(), blank(*kind))).collect();
    for at in named(reader, root, "adapters") {
        let kind = match at.get("kind") {
            Some(at) => reader.word(&at, KINDS),
            None => out.get(at.name).map(|adapter| adapter.kind),
        };
        let (env, args, run) =
            (texts(reader, &at, "env"), texts(reader, &at, "args"), texts(reader, &at, "run"));
        let Some(kind) = kind else {
            if at.get("kind").is_none() {
                let help = format!("name one of {}", ADAPTER_KINDS.join(", "));
                reader.error_at(at.mark(), &at.path, "an adapter needs `kind`", help);
            }
            continue;
        };
        if let (Some(at), Some(name)) = (at.get("env"), env.iter().find(|name| !is_variable(name))) {
            let help = "list names only: their values come from your environment";
            reader.error(&at, format!("`{}` is not the name of a variable", clipped(name)), help);
        }
        let adapter = Adapter { kind, env, args, run };
        let is_command = kind == AdapterKind::Command;
        if is_command && adapter.run.is_empty() {
            let help = "write it as `run: [\"sh\", \"agent.sh\", \"{prompt}\"]`";
            reader.error_at(at.mark(), &at.path, "an adapter of the kind command needs `run`", help);
        }
        if let (false, Some(at)) = (is_command, at.get("run")) {
            reader.error_at(
                at.mark(),
                &at.path,
                "`run` is only for the kind command",
                "use `args` for further arguments",
            );
        }
        out.insert(at.name.to_owned(), adapter);
    }
    out
}

/// Reads `roles`.
pub(super) fn roles(
    reader: &mut Reader,
    root: &At<'_>,
    adapters: &BTreeMap<String, Adapter>,
) -> BTreeMap<String, Role> {
    let mut out = BTreeMap::new();
    for at in named(reader, root, "roles") {
        let role = Role {
            description: text(reader, &at, "description"),
            prompt: text(reader, &at, "prompt"),
            agent: agent(reader, &at, adapters),
            image: text(reader, &at, "image"),
            model: text(reader, &at, "model"),
            max_turns: max_turns(reader, &at),
            allowed_tools: texts(reader, &at, "allowed_tools"),
            denied_tools: texts(reader, &at, "denied_tools"),
            resources: service::resources(reader, &at, Resources::default()),
            concurrency: at.get("concurrency").and_then(|at| small(reader, &at, 1, 100)),
        };
        out.insert(at.name.to_owned(), role);
    }
    out
}

/// Reads `workstreams`.
pub(super) fn workstreams(reader: &mut Reader, root: &At<'_>) -> BTreeMap<String, Workstream> {
    let mut out = BTreeMap::new();
    for at in named(reader, root, "workstreams") {
        let concurrency = at.get("concurrency").and_then(|at| small(reader, &at, 1, 100)).unwrap_or(1);
        out.insert(at.name.to_owned(), Workstream { concurrency, role: text(reader, &at, "role") });
    }
    out
}

/// Reads `limits`.
pub(super) fn limits(reader: &mut Reader, root: &At<'_>) -> Limits {
    let mut out = Limits::default();
    let Some(at) = root.get("limits").and_then(|at| reader.map(at)) else { return out };
    if let Some(at) = at.get("agents") {
        out.agents = small(reader, &at, 1, 1000).unwrap_or(out.agents);
    }
    if let Some(at) = at.get("working") {
        out.working = small(reader, &at, 1, 1000).unwrap_or(out.working);
    }
    if let Some(at) = at.get("free_memory") {
        out.free_memory = reader.bytes(&at).unwrap_or(out.free_memory);
    }
    out
}

/// Reads `git.branch_prefix`.
pub(super) fn branch_prefix(reader: &mut Reader, root: &At<'_>) -> String {
    let at = root.get("git").and_then(|at| reader.map(at)).and_then(|at| at.get("branch_prefix"));
    let Some(at) = at else { return "tanuki/".to_owned() };
    let prefix = reader.text(&at).unwrap_or_default();
    // What git refuses in the name of a branch; the agent's name follows the prefix.
    let bad = prefix.contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c))
        || prefix.starts_with(['/', '-', '.'])
        || ["..", "//", "/.", "@{", ".lock/"].iter().any(|part| prefix.contains(part));
    if bad {
        reader.error(
            &at,
            format!("`{}` cannot begin the name of a branch", clipped(&prefix)),
            "write it as `tanuki/`",
        );
    }
    prefix
}

/// Reads `tasks_dir`, a directory inside the project.
pub(super) fn tasks_dir(reader: &mut Reader, root: &At<'_>) -> PathBuf {
    let default = PathBuf::from(".tanuki/tasks");
    let Some(at) = root.get("tasks_dir") else { return default };
    let Some(text) = reader.text(&at) else { return default };
    let inside =
        Path::new(&text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        reader.error(
            &at,
            "the tasks' directory must be inside the project",
            "write it relative to tanuki.yaml, without `..`",
        );
    }
    super::compose::tidy(Path::new(&text))
}

/// The mappings under a key whose entries the user names; names are checked.
fn named<'n>(reader: &mut Reader, root: &At<'n>, key: &str) -> Vec<At<'n>> {
    let Some(at) = root.get(key).and_then(|at| reader.map(at)) else { return Vec::new() };
    let mut out = Vec::new();
    for at in at.entries() {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        let begins = at.name.starts_with(|c: char| c.is_ascii_lowercase());
        if at.name.len() > 63 || !begins || !at.name.chars().all(allowed) {
            let help = "use at most 63 lower case letters, digits, `_` and `-`, beginning with a letter";
            reader.error_at(
                at.mark(),
                &at.path,
                format!("`{}` cannot be a name here", clipped(at.name)),
                help,
            );
        } else if at.node.value == super::yaml::Value::Null {
            out.push(at);
        } else if let Some(at) = reader.map(at) {
            out.push(at);
        }
    }
    out
}

fn text(reader: &mut Reader, at: &At<'_>, key: &str) -> Option<String> {
    at.get(key).and_then(|at| reader.text(&at))
}

fn texts(reader: &mut Reader, at: &At<'_>, key: &str) -> Vec<String> {
    at.get(key).map(|at| reader.texts(&at)).unwrap_or_default()
}

fn small(reader: &mut Reader, at: &At<'_>, low: u64, high: u64) -> Option<u32> {
    reader.whole(at, low, high).and_then(|value| u32::try_from(value).ok())
}

fn max_turns(reader: &mut Reader, at: &At<'_>) -> Option<u32> {
    at.get("max_turns").and_then(|at| small(reader, &at, 1, 100_000))
}

fn agent(reader: &mut Reader, at: &At<'_>, adapters: &BTreeMap<String, Adapter>) -> Option<String> {
    let at = at.get("agent")?;
    let name = reader.text(&at)?;
    if !adapters.contains_key(&name) {
        let names: Vec<&str> = adapters.keys().map(String::as_str).collect();
        let help = match nearest(&name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}; others are described in `adapters`", names.join(", ")),
        };
        reader.error(&at, format!("there is no adapter `{}`", clipped(&name)), help);
    }
    Some(name)
}
