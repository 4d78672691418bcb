//! A role out of its layers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::file::{self, RoleFile};
use super::{DIRECTORY, RoleError, builtin};
use crate::model::{AgentSettings, Resources, Role};

/// Most role files of a project.
const MOST: usize = 500;

/// The layer that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// No role at all.
    Defaults,
    /// It comes with Tanuki.
    BuiltIn,
    /// `tanuki.yaml`.
    Config,
    /// A file of the project.
    Project,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Defaults => "defaults",
            Self::BuiltIn => "built-in",
            Self::Config => "tanuki.yaml",
            Self::Project => "project",
        })
    }
}

/// What an agent of a role gets, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The role; absent where none was asked for.
    pub name: Option<String>,
    /// The highest layer that says something of it.
    pub source: Source,
    /// For people.
    pub description: String,
    /// Name of the adapter.
    pub agent: String,
    /// Image of the container.
    pub image: Option<String>,
    /// Model, as the agent CLI names it.
    pub model: Option<String>,
    /// Most turns of one run.
    pub max_turns: u32,
    /// Tools it may use; all when empty.
    pub allowed_tools: Vec<String>,
    /// Tools it may not use.
    pub denied_tools: Vec<String>,
    /// Limits of the container.
    pub resources: Resources,
    /// How many of its tasks may be worked on at once; as many as the limits allow where absent.
    pub concurrency: Option<u32>,
    /// Files it is to read first, relative to the project.
    pub context_files: Vec<String>,
    /// Said to it before its task.
    pub prompt: String,
}

/// The profile of a role, or of no role.
///
/// # Errors
///
/// There is no such role, its file is broken, or it names an agent CLI that there is not.
pub fn resolve(role: Option<&str>, settings: &AgentSettings, project: &Path) -> Result<Profile, RoleError> {
    let Some(name) = role else {
        return Ok(profile(None, Source::Defaults, &Role::default(), Vec::new(), settings));
    };
    let file = if is_name(name) { file::read(&file_of(project, name))? } else { None };
    let config = settings.roles.get(name);
    let built_in = builtin::role(name);
    let source = match (&file, config, &built_in) {
        (Some(_), _, _) => Source::Project,
        (None, Some(_), _) => Source::Config,
        (None, None, Some(_)) => Source::BuiltIn,
        (None, None, None) => {
            return Err(RoleError::Unknown { name: name.to_owned(), known: names(settings, project)? });
        }
    };
    let RoleFile { role, context_files } = file.unwrap_or_default();
    let merged = over(over(built_in.unwrap_or_default(), config.cloned().unwrap_or_default()), role);
    let profile = profile(Some(name), source, &merged, context_files, settings);
    // Without any adapters nothing can be said of them: the built-in roles by themselves.
    if settings.adapters.is_empty() || settings.adapters.contains_key(&profile.agent) {
        return Ok(profile);
    }
    let known = settings.adapters.keys().cloned().collect();
    Err(RoleError::NoAdapter { role: name.to_owned(), agent: profile.agent, known })
}

/// Every role there is, by name, with what is wrong with it where something is.
///
/// # Errors
///
/// The project's roles cannot be listed.
pub fn list(
    settings: &AgentSettings,
    project: &Path,
) -> Result<BTreeMap<String, Result<Profile, RoleError>>, RoleError> {
    let names = names(settings, project)?;
    Ok(names.into_iter().map(|name| (name.clone(), resolve(Some(&name), settings, project))).collect())
}

/// Every role there is, by name, with how many of its tasks may be worked on at once, where that is said.
///
/// # Errors
///
/// The project's roles cannot be listed.
pub fn at_once(settings: &AgentSettings, project: &Path) -> Result<BTreeMap<String, Option<u32>>, RoleError> {
    let roles = list(settings, project)?;
    Ok(roles.into_iter().map(|(name, role)| (name, role.ok().and_then(|role| role.concurrency))).collect())
}

fn names(settings: &AgentSettings, project: &Path) -> Result<Vec<String>, RoleError> {
    let mut names: Vec<String> = builtin::NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(settings.roles.keys().cloned());
    let directory = project.join(DIRECTORY);
    let fail = |error: std::io::Error| RoleError::File {
        path: directory.clone(),
        line: None,
        message: format!("cannot read it: {error}"),
    };
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries.take(MOST) {
                let path = entry.map_err(fail)?.path();
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                if let (Some(stem), Some("md")) = (stem, path.extension().and_then(|end| end.to_str()))
                    && is_name(stem)
                {
                    names.push(stem.to_owned());
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether this can be the name of a role, and so of a file.
pub fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

fn file_of(project: &Path, name: &str) -> std::path::PathBuf {
    project.join(DIRECTORY).join(format!("{name}.md"))
}

/// One layer over another, key by key.
fn over(below: Role, above: Role) -> Role {
    let tools = |above: Vec<String>, below: Vec<String>| if above.is_empty() { below } else { above };
    Role {
        description: above.description.or(below.description),
        prompt: above.prompt.or(below.prompt),
        agent: above.agent.or(below.agent),
        image: above.image.or(below.image),
        model: above.model.or(below.model),
        max_turns: above.max_turns.or(below.max_turns),
        allowed_tools: tools(above.allowed_tools, below.allowed_tools),
        denied_tools: tools(above.denied_tools, below.denied_tools),
        resources: limits(above.resources, below.resources),
        concurrency: above.concurrency.or(below.concurrency),
    }
}

fn limits(above: Resources, below: Resources) -> Resources {
    Resources {
        memory: above.memory.or(below.memory),
        milli_cpus: above.milli_cpus.or(below.milli_cpus),
        pids: above.pids.or(below.pids),
    }
}

fn profile(
    name: Option<&str>,
    source: Source,
    role: &Role,
    context_files: Vec<String>,
    settings: &AgentSettings,
) -> Profile {
    let defaults = &settings.defaults;
    let tools =
        |own: &Vec<String>, usual: &Vec<String>| if own.is_empty() { usual.clone() } else { own.clone() };
    // A model is a word of one agent CLI: that of the defaults is not for another one.
    let same_agent = role.agent.as_ref().is_none_or(|agent| *agent == defaults.agent);
    Profile {
        name: name.map(str::to_owned),
        source,
        description: role.description.clone().unwrap_or_default(),
        agent: role.agent.clone().unwrap_or_else(|| defaults.agent.clone()),
        image: role.image.clone().or_else(|| defaults.image.clone()),
        model: role.model.clone().or_else(|| defaults.model.clone().filter(|_| same_agent)),
        max_turns: role.max_turns.unwrap_or(defaults.max_turns),
        allowed_tools: tools(&role.allowed_tools, &defaults.allowed_tools),
        denied_tools: tools(&role.denied_tools, &defaults.denied_tools),
        resources: limits(role.resources, defaults.resources),
        concurrency: role.concurrency,
        context_files,
        prompt: role.prompt.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Adapter, AdapterKind};

    fn settings() -> AgentSettings {
        let adapter =
            Adapter { kind: AdapterKind::Claude, env: Vec::new(), args: Vec::new(), run: Vec::new() };
        let adapters = [("claude".to_owned(), adapter.clone()), ("codex".to_owned(), adapter)].into();
        let mut settings = AgentSettings { adapters, ..AgentSettings::default() };
        settings.defaults.model = Some("usual".to_owned());
        let role = Role {
            model: Some("big".to_owned()),
            max_turns: Some(9),
            concurrency: Some(2),
            ..Role::default()
        };
        settings.roles.insert("backend".to_owned(), role);
        settings
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let dir = tempfile::tempdir().unwrap();
        let roles = dir.path().join(DIRECTORY);
        std::fs::create_dir_all(&roles).unwrap();
        let profile = resolve(Some("backend"), &settings(), dir.path()).unwrap();
        assert_eq!(
            (profile.source, profile.model.as_deref(), profile.max_turns),
            (Source::Config, Some("big"), 9)
        );
        assert!(profile.prompt.contains("backend engineer"));

        std::fs::write(roles.join("backend.md"), "---\nmax_turns: 3\n---\nOurs.\n").unwrap();
        let profile = resolve(Some("backend"), &settings(), dir.path()).unwrap();
        assert_eq!(
            (profile.source, profile.model.as_deref(), profile.max_turns),
            (Source::Project, Some("big"), 3)
        );
        assert_eq!(profile.prompt, "Ours.");
        assert_eq!(at_once(&settings(), dir.path()).unwrap()["backend"], Some(2));
        assert_eq!(profile.resources.memory, Some(4 << 30));
    }

    #[test]
    fn the_default_model_is_not_given_to_another_agent_cli() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings();
        settings
            .roles
            .insert("other".to_owned(), Role { agent: Some("codex".to_owned()), ..Role::default() });
        assert_eq!(resolve(Some("other"), &settings, dir.path()).unwrap().model, None);
        assert_eq!(resolve(None, &settings, dir.path()).unwrap().model.as_deref(), Some("usual"));
    }

    #[test]
    fn a_role_that_cannot_be_used_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let roles = dir.path().join(DIRECTORY);
        std::fs::create_dir_all(&roles).unwrap();
        std::fs::write(roles.join("poet.md"), "---\nagent: nobody\n---\nRhyme.\n").unwrap();
        std::fs::write(roles.join("broken.md"), "---\nagent: [\n---\n").unwrap();
        assert!(matches!(resolve(Some("poet"), &settings(), dir.path()), Err(RoleError::NoAdapter { .. })));
        let known = match resolve(Some("../../etc/passwd"), &settings(), dir.path()) {
            Err(RoleError::Unknown { known, .. }) => known,
            other => panic!("{other:?}"),
        };
        assert_eq!(known, ["backend", "broken", "devops", "docs", "frontend", "fullstack", "poet", "qa"]);
        let all = list(&settings(), dir.path()).unwrap();
        assert_eq!(all.values().filter(|role| role.is_err()).count(), 2);
    }
}
