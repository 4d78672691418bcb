//! What a command works on, found when it asks: the one place where the parts are put together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tanuki_runtimes::{ContainerRuntime, discover};

use super::{CliError, Env, Global, Output, Result, Runtime};
use crate::config::{self, Config, ConfigError, Overrides, ProjectPaths, RuntimeKind, RuntimePreference};
use crate::model::ServiceSpec;
use crate::services::spec::Owner;

/// What a command works on. Everything is found lazily, so that each command pays only for what it uses.
#[derive(Debug)]
pub struct Context {
    /// Flags of every command.
    pub global: Global,
    /// The process's environment and working directory.
    pub env: Env,
}

/// A project and its configuration.
#[derive(Debug)]
pub struct Project {
    /// Where its files are.
    pub paths: ProjectPaths,
    /// What it says.
    pub config: Config,
}

impl Project {
    /// One of its services.
    pub fn service(&self, name: &str) -> Result<&ServiceSpec> {
        self.config.services.get(name).ok_or_else(|| {
            CliError::unknown_service(name, self.config.services.keys().map(String::as_str))
        })
    }

    /// Whose objects its objects are.
    pub fn owner(&self) -> Owner {
        Owner { project: self.paths.id(), path: self.paths.root.display().to_string() }
    }
}

impl Context {
    /// A context that has found nothing yet.
    pub fn new(global: Global, env: Env) -> Self {
        Self { global, env }
    }

    /// Where the project around the working directory is.
    pub fn paths(&self) -> Result<ProjectPaths> {
        let start = match &self.global.project {
            Some(directory) => self.env.cwd.join(directory),
            None => self.env.cwd.clone(),
        };
        config::find_project(&start).map_err(config_error)
    }

    /// The project around the working directory, with its configuration.
    pub fn project(&self) -> Result<Project> {
        self.load(self.paths()?)
    }

    /// The project at these paths, with its configuration.
    pub fn load(&self, paths: ProjectPaths) -> Result<Project> {
        let config = config::load(&paths, &self.config_env(), &self.overrides()).map_err(config_error)?;
        Ok(Project { paths, config })
    }

    /// The project, checked to have this service.
    pub fn project_with_service(&self, name: &str) -> Result<Project> {
        let project = self.project()?;
        project.service(name)?;
        Ok(project)
    }

    /// What the configuration takes from the environment.
    pub fn config_env(&self) -> config::Env {
        config::Env { vars: self.env.vars.clone(), home: self.env.var("HOME").map(PathBuf::from) }
    }

    /// What flags say over the configuration.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            runtime: self.global.runtime.map(|runtime| match runtime {
                Runtime::Auto => RuntimeKind::Auto,
                Runtime::Docker => RuntimeKind::Docker,
                Runtime::Podman => RuntimeKind::Podman,
            }),
        }
    }

    /// The engine this project is on; Podman's service is started where that is all that is missing.
    pub async fn engine(&self, project: &Project) -> Result<Arc<dyn ContainerRuntime>> {
        discover::connect_or_start(&self.discover_env(), &preference(&project.config.runtime))
            .await
            .map_err(|error| engine_error(&error))
    }

    /// What the search for an engine depends on.
    pub fn discover_env(&self) -> discover::Env {
        discover::Env {
            variables: self.env.vars.clone(),
            home: self.env.var("HOME").map(PathBuf::from),
            ..discover::Env::of_process()
        }
    }

    /// Files that are shared by all projects of this user: port leases and name claims.
    pub fn user_state_dir(&self) -> Result<PathBuf> {
        let base = match (self.env.var("XDG_STATE_HOME").map(PathBuf::from), self.env.var("HOME")) {
            (Some(base), _) if base.is_absolute() => base,
            (_, Some(home)) => PathBuf::from(home).join(".local/state"),
            (_, None) => {
                return Err(CliError::usage("HOME is not set")
                    .cause("port leases and name claims are kept under the home directory")
                    .hint("set HOME, or XDG_STATE_HOME"));
            }
        };
        Ok(base.join("tanuki"))
    }

    /// Warns of what is not wrong with a configuration but should be looked at.
    pub fn warn(project: &Project, out: &Output) {
        for warning in &project.config.warnings {
            out.warning(&warning.to_string());
        }
    }
}

/// The preference as the search for an engine takes it.
pub fn preference(preference: &RuntimePreference) -> discover::Preference {
    discover::Preference {
        runtime: match preference.kind {
            RuntimeKind::Auto => discover::Runtime::Auto,
            RuntimeKind::Docker => discover::Runtime::Docker,
            RuntimeKind::Podman => discover::Runtime::Podman,
        },
        socket: preference.socket.clone(),
    }
}

/// A configuration that cannot be used, for people.
pub fn config_error(error: ConfigError) -> CliError {
    todo!()
}

/// No engine, for people: what was tried, and what to do about the most promising candidate.
pub fn engine_error(error: &discover::DiscoverError) -> CliError {
    todo!()
}
