//! The one table of keys: what may be written where. The check for unknown keys and the JSON Schema come from it.

use super::reader::Reader;
use super::source::Mark;
use super::yaml::{Node, Value};

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A mapping with these keys.
    Map(&'static [Key]),
    /// A mapping whose keys the user chooses.
    Named(&'static Self),
    /// A list.
    List(&'static Self),
    /// Any of these.
    OneOf(&'static [Self]),
    /// Text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number in this range.
    Whole(u64, u64),
    /// A number of processors.
    Cpus,
    /// A length of time.
    Duration,
    /// A number of bytes.
    Bytes,
    /// Variables: a mapping of scalars, or a list of `NAME=value` and `NAME`.
    Variables,
}

/// A key of a mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// As written.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) shape: Shape,
    /// What it means, for editors.
    pub(super) doc: &'static str,
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

use Shape::{Bool, Bytes, Cpus, Duration, List, Map, Named, OneOf, Text, Variables, Whole, Word};

const PORT: Shape = Whole(1, 65_535);
const TEXTS: Shape = List(&Text);
/// A command: a line in the manner of a shell, or its words.
const ARGV: Shape = OneOf(&[Text, TEXTS]);
/// One text or several.
const TEXT_OR_LIST: Shape = OneOf(&[Text, TEXTS]);

/// Kinds of agent CLI, as `adapters.*.kind` has them.
pub(super) const ADAPTER_KINDS: &[&str] = &["claude", "codex", "gemini", "opencode", "command"];

/// The whole file.
pub(super) const ROOT: &[Key] = &[
    key("version", Word(&["1"]), "Version of this format."),
    key("runtime", OneOf(&[Word(RUNTIMES), Map(RUNTIME)]), "The container engine."),
    key("network", Map(NETWORK), "The network that services and agents share."),
    key("services", Named(&Map(SERVICE)), "Shared services by name."),
    key("defaults", Map(DEFAULTS), "What agents get unless a role says otherwise."),
    key("adapters", Named(&Map(ADAPTER)), "How agent CLIs are invoked."),
    key("git", Map(GIT), "Git."),
    key("roles", Named(&Map(ROLE)), "Personas and policies of agents."),
    key("workstreams", Named(&Map(WORKSTREAM)), "Tasks that are worked on one after another."),
    key("limits", Map(LIMITS), "How much may be at once."),
    key("tasks_dir", Text, "Directory of task files, relative to the project."),
];

/// Engine kinds, as `runtime` and `--runtime` take them.
pub(super) const RUNTIMES: &[&str] = &["auto", "docker", "podman"];

const RUNTIME: &[Key] =
    &[key("kind", Word(RUNTIMES), "Which engine."), key("socket", Text, "Its socket, as a path or a URL.")];

const NETWORK: &[Key] = &[
    key("name", Text, "Its name on the engine."),
    key("join", TEXTS, "Existing networks that agents also enter."),
];

/// A service.
pub(super) const SERVICE: &[Key] = &[
    key(
        "type",
        Word(&["postgres", "redis", "mysql", "custom"]),
        "The program; the service's name when absent.",
    ),
    key("enabled", Bool, "Whether `tanuki service start` without names starts it."),
    key("external", Bool, "It is already there: Tanuki only tells agents of it."),
    key("host", Text, "Host name of an external service, as agents reach it."),
    key("image", Text, "Image reference."),
    key("pull_policy", Word(&["missing", "if_not_present", "always", "never"]), "When the image is pulled."),
    key("entrypoint", ARGV, "Replaces the image's entrypoint."),
    key("command", ARGV, "Replaces the image's command."),
    key("environment", Variables, "Environment of the container. A name without a value passes it through."),
    key(
        "env_file",
        OneOf(&[Text, List(&OneOf(&[Text, Map(ENV_FILE)]))]),
        "Files of variables, relative to the project; `environment` wins.",
    ),
    key("port", PORT, "The container port clients connect to."),
    key("host_port", OneOf(&[PORT, Word(&["auto", "none"])]), "Where the port is on 127.0.0.1."),
    key("ports", List(&OneOf(&[PORT, Text])), "Published ports: [127.0.0.1:][HOST:]CONTAINER[/tcp]."),
    key("volumes", List(&OneOf(&[Text, Map(VOLUME)])), "Volumes and binds: SOURCE:TARGET[:ro]."),
    key("tmpfs", TEXT_OR_LIST, "Memory file systems: TARGET[:size=64m]."),
    key("user", Text, "User inside the container."),
    key("shm_size", Bytes, "Size of /dev/shm."),
    key("stop_signal", Text, "Signal that asks the program to end."),
    key("stop_grace_period", Duration, "How long it has to end before it is killed."),
    key("healthcheck", Map(HEALTHCHECK), "How its health is found out."),
    key("restart", OneOf(&[Text, Map(RESTART)]), "Restart timing, or a Compose policy."),
    key("inject", Map(INJECT), "How agents are told of it."),
    key("resources", Map(RESOURCES), "Limits."),
    key("mem_limit", Bytes, "The same as resources.memory."),
    key("cpus", Cpus, "The same as resources.cpus."),
    key("pids_limit", Whole(1, MAX_PIDS), "The same as resources.pids."),
];

const MAX_PIDS: u64 = 4_194_304;

const ENV_FILE: &[Key] =
    &[key("path", Text, "The file."), key("required", Bool, "Whether it must be there.")];

const VOLUME: &[Key] = &[
    key("type", Word(&["volume", "bind", "tmpfs"]), "What is mounted."),
    key("source", Text, "Volume name or host path."),
    key("target", Text, "Absolute path inside."),
    key("read_only", Bool, "Not writable inside."),
];

/// A health check.
pub(super) const HEALTHCHECK: &[Key] = &[
    key("command", ARGV, "Run in the container; a text is run by its shell."),
    key("test", ARGV, "The same as in Compose."),
    key("tcp", OneOf(&[PORT, Bool]), "Something listens on this port; `true` for the service's."),
    key("http", OneOf(&[Text, Map(HTTP)]), "A GET of this path answers with 200 to 399."),
    key("log", Text, "A line of output matches this regular expression."),
    key("disable", Bool, "Running is healthy."),
    key("interval", Duration, "Between probes, once healthy."),
    key("timeout", Duration, "Longest a probe may take."),
    key("retries", Whole(1, 1000), "Failures in a row that make it unhealthy."),
    key(
        "start_period",
        Duration,
        "Failures within this time after a start do not count, until the first success.",
    ),
    key("start_interval", Duration, "Between probes until the first success."),
];

/// The keys of a health check that choose what is probed.
pub(super) const PROBES: &[&str] = &["command", "test", "tcp", "http", "log", "disable"];

const HTTP: &[Key] = &[
    key("port", PORT, "Port inside the container; the service's when absent."),
    key("path", Text, "Path and query; `/` when absent."),
];

const RESTART: &[Key] = &[
    key("initial", Duration, "Wait before the second restart in a row; the first is immediate."),
    key("max", Duration, "Longest wait; each is twice the one before."),
    key("reset_after", Duration, "A run this long clears the count."),
    key("max_retries", Whole(0, 1_000_000), "Restarts in a row before giving up; 0 is never."),
];

const INJECT: &[Key] = &[
    key("prefix", Text, "Prefix of the generated variables."),
    key("env", Named(&Text), "Variables by template: {host}, {port}, {user}, {password}, {database}."),
];

const RESOURCES: &[Key] = &[
    key("memory", Bytes, "Memory."),
    key("cpus", Cpus, "Processors."),
    key("pids", Whole(1, MAX_PIDS), "Most processes."),
];

const DEFAULTS: &[Key] = &[
    key("agent", Text, "The adapter that is used."),
    key("image", Text, "Image of agents' containers."),
    key("model", Text, "Model, as the agent CLI names it."),
    key("max_turns", Whole(1, 100_000), "Most turns of one run."),
    key("allowed_tools", TEXTS, "Tools agents may use."),
    key("denied_tools", TEXTS, "Tools agents may not use."),
    key("resources", Map(RESOURCES), "Limits of an agent's container."),
];

const ADAPTER: &[Key] = &[
    key("kind", Word(ADAPTER_KINDS), "Which agent CLI; the adapter's name when absent."),
    key("env", TEXTS, "Names of variables passed through from the user's environment."),
    key("args", TEXTS, "Further arguments."),
    key(
        "run",
        TEXTS,
        "For the kind command: program and arguments, with {prompt}; without it the prompt comes on stdin.",
    ),
];

const GIT: &[Key] = &[key("branch_prefix", Text, "Prefix of agents' branches.")];

const ROLE: &[Key] = &[
    key("description", Text, "For people."),
    key("prompt", Text, "Said to the agent before its task."),
    key("agent", Text, "The adapter that is used."),
    key("image", Text, "Image of the agent's container."),
    key("model", Text, "Model, as the agent CLI names it."),
    key("max_turns", Whole(1, 100_000), "Most turns of one run."),
    key("allowed_tools", TEXTS, "Tools the agent may use."),
    key("denied_tools", TEXTS, "Tools the agent may not use."),
    key("resources", Map(RESOURCES), "Limits of the agent's container."),
    key(
        "concurrency",
        Whole(1, 100),
        "How many of its tasks may be worked on at once; as many as `limits` allow when absent.",
    ),
];

const WORKSTREAM: &[Key] = &[
    key("concurrency", Whole(1, 100), "How many of its tasks may be worked on at once."),
    key("role", Text, "Role of its agents."),
];

const LIMITS: &[Key] = &[
    key("agents", Whole(1, 1000), "Most agents, those that are stopped included."),
    key("working", Whole(1, 1000), "Most runs at once."),
    key("free_memory", Bytes, "No run is started while less memory than this is free."),
];

/// Compose keys that users are likely to bring along, and what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("depends_on", "services start side by side, and each is used only when it is healthy; remove this key"),
    ("build", "build the image first and name it with `image`"),
    ("networks", "services are on the project's network; agents join further ones by `network.join`"),
    ("container_name", "containers are named `tanuki-svc-<service>`"),
    ("deploy", "write limits as `resources: { memory: 1g, cpus: 2, pids: 256 }`"),
    ("profiles", "write `enabled: false` and start it by name"),
    ("expose", "agents reach every port of a service; `port` names the one clients use"),
    ("healthchecks", "write `healthcheck`"),
    ("max_attempts", "write `max_retries`"),
];

/// Reports the keys of a tree that the table does not have, and takes those beginning `x-` out of it.
pub(super) fn check(reader: &mut Reader, root: &mut Node) {
    walk(reader, root, &Map(ROOT), "");
}

fn walk(reader: &mut Reader, node: &mut Node, shape: &Shape, path: &str) {
    match (&mut node.value, shape) {
        (Value::Map(entries), Map(keys)) => {
            entries.retain(|entry| !entry.key.starts_with("x-"));
            entries.retain_mut(|entry| {
                let path = join(path, &entry.key);
                match keys.iter().find(|key| key.name == entry.key) {
                    Some(key) => {
                        walk(reader, &mut entry.node, &key.shape, &path);
                        true
                    }
                    None => {
                        unknown(reader, &entry.key, entry.key_mark, &path, keys);
                        false
                    }
                }
            });
        }
        (Value::Map(entries), Named(shape)) => {
            entries.retain(|entry| !entry.key.starts_with("x-"));
            for entry in entries {
                walk(reader, &mut entry.node, shape, &join(path, &entry.key));
            }
        }
        (Value::List(items), List(shape)) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(reader, item, shape, &format!("{path}[{index}]"));
            }
        }
        (value, OneOf(shapes)) => {
            let fits = |shape: &&Shape| match value {
                Value::Map(_) => matches!(shape, Map(_) | Named(_)),
                Value::List(_) => matches!(shape, List(_)),
                _ => false,
            };
            if let Some(shape) = shapes.iter().find(fits) {
                walk(reader, node, shape, path);
            }
        }
        _ => {}
    }
}

fn unknown(reader: &mut Reader, name: &str, mark: Mark, path: &str, keys: &[Key]) {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let shown: String = name.chars().take(80).collect();
    let help = match ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        Some((_, help)) => (*help).to_owned(),
        None => match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        },
    };
    reader.error_at(mark, path, format!("unknown key `{shown}`"), help);
}

/// The candidate a person most likely meant, if one is close.
pub(super) fn nearest<'c>(name: &str, candidates: &[&'c str]) -> Option<&'c str> {
    if name.chars().count() > 64 {
        return None;
    }
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let score = |candidate: &&'c str| strsim::jaro_winkler(&lower, candidate);
    let best = candidates.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    let close = strsim::damerau_levenshtein(&lower, best) <= 2.max(best.len() / 3);
    (close && score(&best) > 0.75).then_some(best)
}

/// Appends a key to a path.
pub(super) fn join(path: &str, key: &str) -> String {
    let shown: String = key.chars().take(80).collect();
    if path.is_empty() { shown } else { format!("{path}.{shown}") }
}
