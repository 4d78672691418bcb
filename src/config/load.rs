//! Loads the configuration: reads every source, lays them over each other, and reads the result.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::agents;
use super::compose::is_engine_name;
use super::diagnostic::{ConfigError, Diagnostic};
use super::env::Env;
use super::keys;
use super::layers;
use super::origin::Origins;
use super::project::{CONFIG_FILE, ProjectPaths};
use super::reader::{At, Reader, clipped};
use super::service::{self, Around};
use super::source::{Mark, Source, Sources};
use super::template;
use super::yaml::{self, MAX_BYTES, Node, Value};
use super::{Config, NetworkConfig, Overrides, RuntimePreference};
use crate::model::{HostPort, ServiceSpec, VolumeSource};

/// Loads the configuration of a project.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(paths: &ProjectPaths, env: &Env, overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut sources = Sources::default();
    let mut broken = Vec::new();
    let mut trees = Vec::new();
    let mut files = vec![paths.config_file.clone()];
    if let Some(path) = env.user_config() {
        files.push(path.clone());
        let label = env.home.as_ref().and_then(|home| path.strip_prefix(home).ok());
        let label = label.map_or_else(|| path.display().to_string(), |rest| format!("~/{}", rest.display()));
        trees.extend(tree(&mut sources, &path, label, false, &mut broken));
    }
    trees.extend(tree(&mut sources, &paths.config_file, CONFIG_FILE.to_owned(), true, &mut broken));
    if !broken.is_empty() {
        return Err(ConfigError { diagnostics: broken });
    }
    let mut reader = Reader::new(sources);
    let mut root = Node { mark: Mark { source: 0, node: 0 }, value: Value::Map(Vec::new()), secret: false };
    let mut complete = true;
    for mut node in trees {
        keys::check(&mut reader, &mut node);
        complete &= layers::interpolate_tree(&mut reader, &mut node, env, "");
        layers::normalise(&mut node);
        if matches!(node.value, Value::Map(_) | Value::Null) {
            layers::merge(&mut root, node);
        } else {
            reader.error_at(node.mark, "", "expected `key: value` lines", "begin with `services:`");
        }
    }
    if !complete {
        // What a value would have been is not known; errors about it would mislead.
        return Err(ConfigError { diagnostics: reader.diagnostics() });
    }
    template::apply(&mut reader, &mut root);
    let mut config = read(&mut reader, &root, Around { root: &paths.root, env }, overrides);
    let failed = reader.failed();
    let diagnostics = reader.diagnostics();
    if failed {
        return Err(ConfigError { diagnostics });
    }
    files.append(&mut reader.files);
    files.dedup();
    config.files = files;
    config.warnings = diagnostics;
    config.origins.take(reader);
    Ok(config)
}

fn tree(
    sources: &mut Sources,
    path: &Path,
    label: String,
    required: bool,
    broken: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut source = Source { label, path: Some(path.to_owned()), text: String::new() };
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(error) if !required && error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            broken.push(file_problem(&source, path, &error));
            return None;
        }
    };
    match yaml::decode(&bytes) {
        Ok(text) => text.clone_into(&mut source.text),
        Err(problem) => {
            source.text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_BYTES)]).into_owned();
            broken.push(located(&source, problem));
            return None;
        }
    }
    let index = sources.add(source.clone());
    match yaml::parse(&source.text, index) {
        Ok(node) => Some(node),
        Err(problems) => {
            broken.extend(problems.into_iter().map(|problem| located(&source, problem)));
            None
        }
    }
}

fn located(source: &Source, problem: yaml::Problem) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(problem.message, problem.help.unwrap_or_default());
    diagnostic.label.clone_from(&source.label);
    diagnostic.file.clone_from(&source.path);
    if let Some(position) = problem.position {
        diagnostic.place_at(&source.text, &position);
    }
    diagnostic
}

fn file_problem(source: &Source, path: &Path, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::IsADirectory => "move it away and run `tanuki init`",
        io::ErrorKind::PermissionDenied => "make it readable for you",
        io::ErrorKind::NotFound => "run `tanuki init`",
        _ => "",
    };
    let message = format!("cannot read {}: {}", source.label, why(error));
    let mut diagnostic = Diagnostic::error(message, help);
    diagnostic.file = Some(path.to_owned());
    diagnostic
}

/// Why a file cannot be read, in words.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads a file of ordinary size: never more than the limit and a little, and nothing that is not a file.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        return Err(io::Error::other("it is not an ordinary file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read(reader: &mut Reader, root: &Node, around: Around<'_>, overrides: &Overrides) -> Config {
    let at = &At::root(root);
    if let Some(at) = at.get("version") {
        let version = reader.scalar(&at).unwrap_or_default();
        if version != "1" {
            let message = format!("version `{}` is not known", clipped(&version));
            reader.error(&at, message, "this tanuki reads version \"1\"");
        }
    }
    let services = services(reader, at, around);
    let adapters = agents::adapters(reader, at);
    let mut config = Config {
        runtime: RuntimePreference::default(),
        network: network(reader, at),
        services,
        defaults: agents::defaults(reader, at, &adapters),
        roles: agents::roles(reader, at, &adapters),
        adapters,
        branch_prefix: agents::branch_prefix(reader, at),
        workstreams: agents::workstreams(reader, at),
        limits: agents::limits(reader, at),
        tasks_dir: agents::tasks_dir(reader, at),
        files: Vec::new(),
        warnings: Vec::new(),
        origins: Origins::default(),
    };
    config.runtime = super::runtime::read(reader, at, around.env, overrides, &mut config.origins);
    config
}

fn services(reader: &mut Reader, root: &At<'_>, around: Around<'_>) -> BTreeMap<String, ServiceSpec> {
    let mut out: BTreeMap<String, ServiceSpec> = BTreeMap::new();
    let mut taken = Taken::default();
    let Some(all) = root.get("services").and_then(|at| reader.map(at)) else { return out };
    for at in all.entries() {
        let kind = service::service_type(reader, at.name, &at);
        if let Some(spec) = service::read(reader, &at, kind, around) {
            taken.add(reader, &at, &spec);
            out.insert(spec.name.clone(), spec);
        }
    }
    out
}

/// What only one service can have, with the name of that service.
#[derive(Debug, Default)]
struct Taken {
    ports: BTreeMap<u16, String>,
    prefixes: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
}

impl Taken {
    fn add(&mut self, reader: &mut Reader, at: &At<'_>, spec: &ServiceSpec) {
        let hosts = spec.ports.iter().map(|port| port.host).chain([spec.host_port]);
        for host in hosts {
            let HostPort::Fixed(port) = host else { continue };
            if let Some(other) = self.ports.insert(port, spec.name.clone()) {
                let place = at.get("host_port").or_else(|| at.get("ports")).unwrap_or_else(|| at.clone());
                let message = format!("host port {port} is already that of the service `{other}`");
                reader.error(&place, message, "choose another one, or leave it out for the next free one");
            }
        }
        let prefix = spec.inject.prefix.clone();
        let prefix = prefix.unwrap_or_else(|| spec.name.to_ascii_uppercase().replace('-', "_"));
        if let Some(other) = self.prefixes.insert(prefix.clone(), spec.name.clone()) {
            let message = format!(
                "the services `{other}` and `{}` would set the same variables, as {prefix}_HOST",
                spec.name
            );
            let help = "give one of them another `inject: { prefix: NAME }`";
            reader.error_at(at.mark(), &at.path, message, help);
        }
        for mount in spec.volumes.iter().filter(|mount| !mount.read_only) {
            let VolumeSource::Named(volume) = &mount.source else { continue };
            let other = self.volumes.insert(volume.clone(), spec.name.clone());
            if let Some(other) = other.filter(|other| *other != spec.name) {
                let place = at.get("volumes").unwrap_or_else(|| at.clone());
                let message = format!("the volume {volume} is also written by the service `{other}`");
                let help = "databases destroy each other's files; give each a volume of its own";
                reader.warn_at(place.mark(), &place.path, message, help);
            }
        }
    }
}

fn network(reader: &mut Reader, root: &At<'_>) -> NetworkConfig {
    let mut out = NetworkConfig::default();
    let Some(at) = root.get("network").and_then(|at| reader.map(at)) else { return out };
    let name = |reader: &mut Reader, at: &At<'_>| {
        let name = reader.text(at)?;
        if !is_engine_name(&name) {
            let help = "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
            reader.error(at, format!("`{}` cannot be the name of a network", clipped(&name)), help);
        }
        Some(name)
    };
    if let Some(at) = at.get("name") {
        out.name = name(reader, &at).unwrap_or(out.name);
    }
    for item in at.get("join").and_then(|at| reader.list(&at)).unwrap_or_default() {
        out.join.extend(name(reader, &item));
    }
    out
}
