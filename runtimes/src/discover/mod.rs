//! Finding the engine that is already there.
//!
//! # Order
//!
//! 1. A socket that was named ([`Preference::socket`]). Nothing else is tried.
//! 2. `DOCKER_HOST`, then `CONTAINER_HOST`, then `DOCKER_CONTEXT`. When one is set, nothing below is tried: falling
//!    back would quietly put a project's containers on another engine.
//! 3. The current Docker context. Docker Desktop sets it by itself, so what is below is tried after it.
//! 4. The usual sockets that exist. For an ordinary user the rootless Podman of that user comes first, because it
//!    needs no root, then Docker. For root Docker comes first: a daemon that somebody installed is what its users
//!    expect, while Podman's socket is often there only because the package activates it.
//!
//! What an engine is, is decided by its own answer, not by where it was found: a Podman behind `DOCKER_HOST` gets
//! the Podman adapter.
//!
//! [`candidates`] is pure. [`connect`] asks the candidates, [`start_podman_service`] starts one where Podman is
//! installed and no socket is there.

mod candidates;
mod connect;
mod context;
mod service;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::EngineKind;

pub use candidates::candidates;
pub use connect::{DiscoverError, Problem, connect, connect_or_start};
pub use service::start_podman_service;

/// Where an engine is reached, and how that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What is expected there; the engine's own answer decides.
    pub kind: EngineKind,
    /// `unix:///path` or `tcp://host:port`; from the environment it may be something that cannot be used.
    pub url: String,
    /// How it was found, for people: `DOCKER_HOST`, `rootless Podman`, …
    pub source: String,
}

/// Which family of engines is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Whichever is found first.
    #[default]
    Auto,
    /// Docker only.
    Docker,
    /// Podman only.
    Podman,
}

impl Runtime {
    /// Whether an engine of this kind will do.
    pub fn accepts(self, kind: EngineKind) -> bool {
        match self {
            Self::Auto => true,
            Self::Docker => kind == EngineKind::Docker,
            Self::Podman => kind == EngineKind::Podman,
        }
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// The family.
    pub runtime: Runtime,
    /// A socket: a path or a URL. Nothing else is tried then.
    pub socket: Option<String>,
}

/// Reads a text file; `None` when it cannot be read.
pub type ReadFile = Box<dyn Fn(&Path) -> Option<String> + Send + Sync>;

/// What the search depends on. [`Env::of_process`] is the real one.
pub struct Env {
    /// Environment variables; empty ones count as unset.
    pub variables: BTreeMap<String, String>,
    /// The user's id.
    pub uid: u32,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Whether a file exists.
    pub exists: Box<dyn Fn(&Path) -> bool + Send + Sync>,
    /// The content of a text file, where it can be read.
    pub read: ReadFile,
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            home: variables.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            variables,
            uid: rustix::process::getuid().as_raw(),
            exists: Box::new(Path::exists),
            read: Box::new(|path| std::fs::read_to_string(path).ok()),
        }
    }

    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where the user's sockets are, for example `/run/user/1000`; `/run` for root.
    fn runtime_dir(&self) -> PathBuf {
        match (self.variable("XDG_RUNTIME_DIR"), self.uid) {
            (Some(directory), _) => PathBuf::from(directory),
            (None, 0) => PathBuf::from("/run"),
            (None, uid) => PathBuf::from(format!("/run/user/{uid}")),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables hold secrets.
        f.debug_struct("Env").field("uid", &self.uid).field("home", &self.home).finish_non_exhaustive()
    }
}
