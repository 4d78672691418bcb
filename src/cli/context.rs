//! What a command works on, found when it asks: the one place where the parts are put together.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tanuki_runtimes::{ContainerRuntime, discover};

use super::daemon::{self, Controller, Setup, Wanted};
use super::engine_error;
use super::{CliError, Env, Global, Output, Result, Runtime};
use crate::agents::adapters;
use crate::api;
use crate::config::{self, Config, Overrides, ProjectPaths, RuntimeKind, RuntimePreference};
use crate::model::{Credentials, ServiceSpec};
use crate::services::spec::Owner;
use crate::store::Store;

/// In a project's state directory: the path of its controller's socket.
const SOCKET_FILE: &str = "controller.socket";

/// What a command works on. Everything is found lazily, so that each command pays only for what it uses.
#[derive(Debug, Clone)]
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
        self.config
            .services
            .get(name)
            .ok_or_else(|| CliError::unknown_service(name, self.config.services.keys().map(String::as_str)))
    }

    /// Whose its objects on the engine are.
    pub fn owner(&self) -> Owner {
        Owner { project: self.paths.id(), path: self.paths.root.display().to_string() }
    }

    /// Its store, where there is one; it is the controller that makes it.
    pub fn existing_store(&self) -> Result<Option<Store>> {
        existing_store(&self.paths)
    }
}

/// The project's store, where there is one.
pub(super) fn existing_store(paths: &ProjectPaths) -> Result<Option<Store>> {
    let path = paths.state_dir.join("tanuki.db");
    if !path.exists() {
        return Ok(None);
    }
    let opened = Store::open(&path).map(Some);
    opened.map_err(|error| {
        let broken = error.is_broken();
        let told = CliError::failed("cannot use the project's store").because(&error);
        if broken { told.hint("`tanuki up --detach` sets it aside and begins a new one") } else { told }
    })
}

impl Context {
    /// A context that has found nothing yet.
    pub fn new(global: Global, env: Env) -> Self {
        Self { global, env }
    }

    /// Where the search for the project starts.
    pub fn start(&self) -> PathBuf {
        match &self.global.project {
            Some(directory) => self.env.cwd.join(directory),
            None => self.env.cwd.clone(),
        }
    }

    /// Where the project around the working directory is.
    pub fn paths(&self) -> Result<ProjectPaths> {
        Ok(config::find_project(&self.start())?)
    }

    /// The project around the working directory, with its configuration.
    pub fn project(&self) -> Result<Project> {
        self.load(self.paths()?)
    }

    /// The project at these paths, with its configuration.
    pub fn load(&self, paths: ProjectPaths) -> Result<Project> {
        let config = config::load(&paths, &self.config_env(), &self.overrides())?;
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
            uid: rustix::process::getuid().as_raw(),
            home: self.env.var("HOME").map(PathBuf::from),
            exists: Box::new(Path::exists),
            read: Box::new(|path| std::fs::read_to_string(path).ok()),
        }
    }

    /// Files that are shared by all projects of this user: port leases and name claims.
    pub fn user_state_dir(&self) -> Result<PathBuf> {
        let configured = self.env.var("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = self.env.var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let base = configured.or(home).ok_or_else(|| {
            CliError::usage("HOME is not set")
                .cause("port leases and name claims are kept under the home directory")
                .hint("set HOME, or XDG_STATE_HOME")
        })?;
        Ok(base.join("tanuki"))
    }

    /// Where the project's controller listens: where the last one said it does, as long as that is there; else where
    /// the next one will. Two terminals may differ in what the usual place depends on.
    pub fn socket(&self, paths: &ProjectPaths) -> PathBuf {
        let told = std::fs::read_to_string(paths.state_dir.join(SOCKET_FILE)).ok().map(PathBuf::from);
        told.filter(|socket| socket.exists()).unwrap_or_else(|| self.usual_socket(paths))
    }

    fn usual_socket(&self, paths: &ProjectPaths) -> PathBuf {
        // One that is not there cannot be used; sudo, for example, leaves the variable of another user.
        let runtime_dir = self.env.var("XDG_RUNTIME_DIR").map(Path::new).filter(|path| path.is_dir());
        api::socket::path(&paths.id(), runtime_dir)
    }

    /// Starts the project's controller in this process; `None` when another process has the project's lock.
    pub async fn start_controller(&self, project: Project) -> Result<Option<Controller>> {
        let setup = self.setup(project).await?;
        let (file, socket) = (setup.state_dir.join(SOCKET_FILE), setup.socket.clone());
        let started = daemon::start(setup).await?;
        if started.is_some()
            && let Err(error) = write_private(&file, socket.as_os_str().as_encoded_bytes())
        {
            // Commands look at the usual place then.
            tracing::warn!(%error, "cannot note where the socket is");
        }
        Ok(started)
    }

    /// What a controller of this project is put together from.
    async fn setup(&self, project: Project) -> Result<Setup> {
        let runtime = self.engine(&project).await?;
        let (context, paths) = (self.clone(), project.paths.clone());
        let now = wanted(&project.config);
        Ok(Setup {
            socket: self.usual_socket(&paths),
            project: paths.id(),
            root: project.paths.root,
            state_dir: project.paths.state_dir,
            user_state_dir: self.user_state_dir()?,
            user_home: self.env.var("HOME").map(PathBuf::from),
            config_files: project.config.files,
            runtime,
            network: project.config.network.name,
            program: self.env.program.clone().unwrap_or_else(|| PathBuf::from("tanuki")),
            wanted: now,
            reload: Arc::new(move || match context.load(paths.clone()) {
                Ok(project) => Ok(wanted(&project.config)),
                Err(error) => Err(error.message),
            }),
        })
    }

    /// Values of the variables that agent CLIs are told of, as this user has them now.
    pub fn credentials(&self, project: &Project) -> Credentials {
        let settings = project.config.agents();
        let names = settings.adapters.values().flat_map(adapters::variables);
        Credentials(names.filter_map(|name| Some((name.clone(), self.env.var(&name)?.to_owned()))).collect())
    }

    /// Warns of what is not wrong with a configuration but should be looked at.
    pub fn warn(project: &Project, out: &Output) {
        for warning in &project.config.warnings {
            out.warning(&warning.to_string());
        }
    }
}

/// What a configuration wants of a controller.
fn wanted(config: &Config) -> Wanted {
    Wanted { services: config.services.clone(), agents: config.agents() }
}

/// The preference as the search for an engine takes it.
pub(super) fn preference(preference: &RuntimePreference) -> discover::Preference {
    discover::Preference {
        runtime: match preference.kind {
            RuntimeKind::Auto => discover::Runtime::Auto,
            RuntimeKind::Docker => discover::Runtime::Docker,
            RuntimeKind::Podman => discover::Runtime::Podman,
        },
        socket: preference.socket.clone(),
    }
}

/// Replaces a file in one step, readable by this user only.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}
