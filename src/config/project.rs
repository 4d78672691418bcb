//! Which project a directory belongs to, and where its files are.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::diagnostic::ConfigError;
use crate::model::ProjectId;

/// Name of the configuration file, whose directory is the project.
pub const CONFIG_FILE: &str = "tanuki.yaml";
/// Directory of what Tanuki keeps for a project.
pub const TANUKI_DIR: &str = ".tanuki";

/// Where the files of a project are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPaths {
    /// The directory with `tanuki.yaml`, canonical.
    pub root: PathBuf,
    /// `tanuki.yaml` itself.
    pub config_file: PathBuf,
    /// `.tanuki`.
    pub tanuki_dir: PathBuf,
    /// `.tanuki/state`: database, run output, controller log and lock. May hold secrets.
    pub state_dir: PathBuf,
}

impl ProjectPaths {
    /// The paths of a project in this canonical directory, whether or not it is one yet.
    pub fn new(root: PathBuf) -> Self {
        let tanuki_dir = root.join(TANUKI_DIR);
        Self { config_file: root.join(CONFIG_FILE), state_dir: tanuki_dir.join("state"), tanuki_dir, root }
    }

    /// The project's identity.
    pub fn id(&self) -> ProjectId {
        project_id(&self.root)
    }
}

/// Finds the project that a directory belongs to: the nearest one upwards that has a `tanuki.yaml`.
///
/// # Errors
/// There is none, or `start` cannot be resolved.
pub fn find_project(start: &Path) -> Result<ProjectPaths, ConfigError> {
    let canonical = std::fs::canonicalize(start).map_err(|error| {
        ConfigError::new(format!("cannot open the directory {}: {error}", start.display()), "")
    })?;
    // Metadata of a link that leads nowhere fails; the link is still somebody's tanuki.yaml, and reading it says why.
    let root = canonical.ancestors().find(|dir| dir.join(CONFIG_FILE).symlink_metadata().is_ok());
    root.map(|root| ProjectPaths::new(root.to_owned())).ok_or_else(|| {
        ConfigError::new(
            format!("no {CONFIG_FILE} in {} or any directory above it", canonical.display()),
            "run `tanuki init` in the git repository",
        )
    })
}

/// The identity of the project in this canonical directory: 12 hex digits of the SHA-256 of its path.
pub fn project_id(root: &Path) -> ProjectId {
    use std::os::unix::ffi::OsStrExt;
    let digest = Sha256::digest(root.as_os_str().as_bytes());
    ProjectId(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}
