//! Credentials of what is not over, a run or a project, for the controller that comes after a killed one.

use std::io;
use std::path::Path;

use super::dir::Dir;
use crate::model::Credentials;

const FILE: &str = "credentials";
/// Longest such file.
const LONGEST: u64 = 1 << 20;

/// Keeps them in a directory no container sees, mode 0600; forgets what was kept where there are none.
///
/// # Errors
///
/// The file cannot be written.
pub fn save(directory: &Path, credentials: &Credentials) -> io::Result<()> {
    if credentials.0.is_empty() {
        remove(directory);
        return Ok(());
    }
    Dir::open(directory)?.write(FILE, &serde_json::to_vec(credentials)?)
}

/// What was kept; nothing where nothing can be read.
pub fn load(directory: &Path) -> Credentials {
    let read = Dir::open(directory).and_then(|dir| dir.small(FILE, LONGEST));
    read.ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Forgets them.
pub(super) fn remove(directory: &Path) {
    match std::fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "cannot remove a run's credentials");
        }
        _ => {}
    }
}
