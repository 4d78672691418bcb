//! Where a project's controller listens: a short path in a private directory of this user.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::ProjectId;

/// The socket of a project's controller. Socket paths are limited to 107 bytes, so it is not under the project.
///
/// `runtime_dir` is the user's (`XDG_RUNTIME_DIR`), where there is one; else a directory of the user's under `/tmp`.
pub fn path(project: &ProjectId, runtime_dir: Option<&Path>) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    let directory = match runtime_dir {
        // Room for the rest of the path; a longer one would not bind.
        Some(directory) if directory.is_absolute() && directory.as_os_str().len() < 70 => {
            directory.join("tanuki")
        }
        _ => PathBuf::from(format!("/tmp/tanuki-{uid}")),
    };
    directory.join(format!("{project}.sock"))
}

/// Makes the socket's directory, private; refuses one that somebody else could have prepared.
///
/// # Errors
///
/// It cannot be made, or it is not this user's own directory.
pub fn prepare_directory(socket: &Path) -> io::Result<()> {
    let Some(directory) = socket.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = std::fs::symlink_metadata(directory)?;
    if is_private(&metadata) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not a directory of this user with mode 0700", directory.display()),
    ))
}

fn is_private(metadata: &Metadata) -> bool {
    metadata.is_dir()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.permissions().mode() & 0o077 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_runtime_directory_is_not_used() {
        let project = ProjectId("0123456789ab".into());
        let long = PathBuf::from(format!("/{}", "d".repeat(90)));
        assert!(path(&project, Some(&long)).starts_with("/tmp"));
        assert_eq!(
            path(&project, Some(Path::new("/run/user/1000"))),
            Path::new("/run/user/1000/tanuki/0123456789ab.sock")
        );
    }

    #[test]
    fn a_directory_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(prepare_directory(&open.join("a.sock")).is_err());
        assert!(prepare_directory(&dir.path().join("new").join("a.sock")).is_ok());
    }
}
