//! Makes a directory a project: `tanuki.yaml`, `.tanuki/`, what git is to ignore.
//!
//! Guarantees: doing it twice changes nothing; an existing `tanuki.yaml` is only replaced when asked, and then kept
//! under another name; a file is there whole or not at all; the user's own `.gitignore` is not touched.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::project::{CONFIG_FILE, ProjectPaths};

/// The `tanuki.yaml` of a new project.
pub const STARTER: &str = include_str!("starter.yaml");

/// Lines of `.tanuki/.gitignore`.
const IGNORED: &[&str] = &["/workspaces/", "/state/"];

/// Why a directory could not be made a project.
#[derive(Debug, Error)]
pub enum InitError {
    /// The directory is not in a git repository.
    #[error("{} is not in a git repository", .0.display())]
    NoRepository(PathBuf),
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The project.
    pub paths: ProjectPaths,
    /// What became of `tanuki.yaml`.
    pub config: ConfigFile,
}

/// What became of `tanuki.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// It is new.
    Written,
    /// It was there and is as it was.
    Kept,
    /// It is new, and the old one has this name.
    Replaced {
        /// Where the old one is.
        backup: PathBuf,
    },
}

/// Which directory `init` is about: the project around `start`, else the root of its git repository.
///
/// # Errors
/// `start` is not in a git repository, or cannot be resolved.
pub fn directory(start: &Path) -> Result<PathBuf, InitError> {
    let start = canonical(start)?;
    let repository = repository(&start).ok_or_else(|| InitError::NoRepository(start.clone()))?;
    let inside = start.ancestors().take_while(|dir| dir.starts_with(repository));
    let project = inside.into_iter().find(|dir| dir.join(CONFIG_FILE).symlink_metadata().is_ok());
    Ok(project.unwrap_or(repository).to_owned())
}

/// Makes a directory of a git repository a project. `force` replaces an existing `tanuki.yaml`.
///
/// # Errors
/// The directory is not in a git repository, or something cannot be written.
pub fn create(directory: &Path, force: bool) -> Result<Initialized, InitError> {
    let root = canonical(directory)?;
    repository(&root).ok_or_else(|| InitError::NoRepository(root.clone()))?;
    let paths = ProjectPaths::new(root);
    make_directory(&paths.tanuki_dir, 0o777)?;
    make_directory(&paths.tanuki_dir.join("tasks"), 0o777)?;
    make_directory(&paths.state_dir, 0o700)?;
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(&paths.state_dir, private).map_err(failed("protect", &paths.state_dir))?;
    ignore(&paths.tanuki_dir.join(".gitignore"))?;
    let config = config_file(&paths.config_file, force)?;
    Ok(Initialized { paths, config })
}

/// The nearest directory upwards that has a `.git` of its own: a directory, or the file of a worktree or submodule.
fn repository(start: &Path) -> Option<&Path> {
    start.ancestors().find(|dir| {
        let git = dir.join(".git");
        git.join("HEAD").symlink_metadata().is_ok() || git.is_file()
    })
}

fn config_file(path: &Path, force: bool) -> Result<ConfigFile, InitError> {
    if path.symlink_metadata().is_err() {
        write(path, STARTER)?;
        return Ok(ConfigFile::Written);
    }
    let old = fs::read(path);
    if !force || old.as_deref().is_ok_and(|old| old == STARTER.as_bytes()) {
        return Ok(ConfigFile::Kept);
    }
    let backup = back_up(path)?;
    write(path, STARTER)?;
    Ok(ConfigFile::Replaced { backup })
}

/// Gives a file a second name, the first free `tanuki.yaml.bak-<n>`.
fn back_up(path: &Path) -> Result<PathBuf, InitError> {
    let mut number = 1_u32;
    loop {
        let backup = path.with_file_name(format!("{CONFIG_FILE}.bak-{number}"));
        if backup.symlink_metadata().is_err() {
            // Renamed, not copied: then it may be anything, a link or a directory too.
            fs::rename(path, &backup).map_err(failed("rename", path))?;
            return Ok(backup);
        }
        number += 1;
    }
}

fn ignore(path: &Path) -> Result<(), InitError> {
    let old = match fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let missing = IGNORED.iter().filter(|line| !old.lines().any(|old| old.trim() == **line));
    let missing: String = missing.map(|line| format!("{line}\n")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let gap = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    write(path, &format!("{old}{gap}{missing}"))
}

fn make_directory(path: &Path, mode: u32) -> Result<(), InitError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(failed("make the directory", path))
}

/// Writes a file whole or not at all, with the permissions a new file has.
fn write(path: &Path, text: &str) -> Result<(), InitError> {
    let write = || {
        let mode = fs::Permissions::from_mode(0o666);
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file =
            tempfile::Builder::new().prefix(".tanuki-").permissions(mode).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(failed("write", path))
}

fn canonical(path: &Path) -> Result<PathBuf, InitError> {
    fs::canonicalize(path).map_err(failed("open", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InitError {
    move |source| InitError::Io { action, path: path.to_owned(), source }
}
