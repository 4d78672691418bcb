//! The configuration of a project: found, read, merged, checked.
//!
//! Sources, lowest first: built-in defaults, templates, `~/.config/tanuki/config.yaml`, the project's `tanuki.yaml`,
//! the variables `TANUKI_RUNTIME` and `TANUKI_SOCKET`, flags. Maps merge, lists replace, null is the same as left out
//! (but in `environment` it passes the user's variable through). Keys beginning `x-` are free.
//!
//! Guarantees: [`load`] never panics and ends soon, whatever the file holds; it reports everything it can find at
//! once, each with line and column; a [`Config`] it returns is complete and consistent. It reads files and nothing
//! else: the environment is an argument. Nothing here prints.
//!
//! How it goes: `yaml` turns a text into a tree whose nodes know their place; `keys` is the table of what may be
//! written and checks it; `layers` interpolates and merges; `template` adds what was left out; `reader` reads values
//! and collects errors; `service`, `probe`, `agents` and `runtime` know what the values mean.
//!
//! Units: durations are `500ms`, `5s`, `1m30s`, and a number without a unit is refused, except 0; sizes are bytes or
//! `64m`, `1g`, in powers of 1024.

mod agents;
mod compose;
mod diagnostic;
mod env;
mod env_file;
mod inject;
mod interpolate;
mod keys;
mod layers;
mod load;
mod origin;
mod probe;
mod project;
mod reader;
mod restart;
mod runtime;
mod schema;
mod service;
mod show;
mod source;
pub mod starter;
mod template;
mod units;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Adapter, AgentDefaults, AgentSettings, Limits, Role, ServiceSpec, Workstream};

pub use diagnostic::{ConfigError, Diagnostic, Severity, render_all};
pub use env::Env;
pub use load::load;
pub use origin::{Origin, Origins};
pub use project::{CONFIG_FILE, ProjectPaths, TANUKI_DIR, find_project, project_id};
pub use schema::schema;
pub use show::{REDACTED, Secrets, to_yaml};

/// What flags say over every other source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--runtime`.
    pub runtime: Option<RuntimeKind>,
}

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// The first that is found.
    #[default]
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// Which engine is wanted, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimePreference {
    /// Which.
    pub kind: RuntimeKind,
    /// Its socket, as a path or a URL.
    pub socket: Option<String>,
}

/// The network that services and agents share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Its name.
    pub name: String,
    /// Existing networks that agents also enter.
    pub join: Vec<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { name: "tanuki-net".to_owned(), join: Vec::new() }
    }
}

/// The configuration of a project, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which engine is wanted.
    pub runtime: RuntimePreference,
    /// The network.
    pub network: NetworkConfig,
    /// Shared services by name.
    pub services: BTreeMap<String, ServiceSpec>,
    /// What agents get unless a role says otherwise.
    pub defaults: AgentDefaults,
    /// Agent CLIs by name, the built-in ones included.
    pub adapters: BTreeMap<String, Adapter>,
    /// Prefix of agents' branches.
    pub branch_prefix: String,
    /// Roles of the configuration; built-in and project roles are elsewhere.
    pub roles: BTreeMap<String, Role>,
    /// Workstreams.
    pub workstreams: BTreeMap<String, Workstream>,
    /// How much may be at once.
    pub limits: Limits,
    /// Directory of task files, relative to the project.
    pub tasks_dir: PathBuf,
    /// Every file that was read or looked for: when one of them changes, so may this.
    pub files: Vec<PathBuf>,
    /// What is not wrong but should be looked at.
    pub warnings: Vec<Diagnostic>,
    /// Where the values come from that are not built in.
    pub origins: Origins,
}

impl Config {
    /// Everything that concerns agents and tasks.
    pub fn agents(&self) -> AgentSettings {
        AgentSettings {
            defaults: self.defaults.clone(),
            adapters: self.adapters.clone(),
            roles: self.roles.clone(),
            workstreams: self.workstreams.clone(),
            limits: self.limits,
            branch_prefix: self.branch_prefix.clone(),
            tasks_dir: self.tasks_dir.clone(),
            join: self.network.join.clone(),
        }
    }
}
