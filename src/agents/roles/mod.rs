//! Roles: who an agent is and what it may do.
//!
//! A role is put together from three layers: the built-in ones, `roles:` of `tanuki.yaml`, and the project's files
//! `.tanuki/roles/<name>.md`. A later layer replaces single keys of an earlier one; what no layer says is taken from
//! `defaults:` of `tanuki.yaml`.
//!
//! # Guarantees
//!
//! * A broken file is an error with its line; it is never read as if half of it were not there.
//! * Reading is bounded, and touches regular files only.

mod builtin;
mod file;
mod resolve;

use std::path::PathBuf;

use thiserror::Error;

pub use builtin::NAMES as BUILT_IN;
pub use file::{starter, template};
pub use resolve::{Profile, Source, at_once, is_name, list, resolve};

/// Where a project's role files are, relative to the project.
pub const DIRECTORY: &str = ".tanuki/roles";

/// Why a role cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleError {
    /// No layer has it.
    #[error("no role is named '{name}'; there are {}", known.join(", "))]
    Unknown {
        /// As asked.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
    /// A file is broken.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// It names an agent CLI that there is not.
    #[error("the role '{role}' wants the agent '{agent}', and there is no adapter of this name; there are {}",
        known.join(", "))]
    NoAdapter {
        /// The role.
        role: String,
        /// As it says.
        agent: String,
        /// Adapters there are.
        known: Vec<String>,
    },
}
