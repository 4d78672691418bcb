//! Where an agent's files are on the host, and where it sees them.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use tanuki_runtimes::{EngineInfo, EngineKind};

/// Where an agent sees its workspace.
pub(super) const WORKSPACE: &str = "/workspace";
/// Where an agent sees its home.
pub(super) const HOME: &str = "/tanuki/home";
/// Where an agent sees the directories of its runs.
pub(super) const RUNS: &str = "/tanuki/runs";

/// Who agents are where the project is root's: nobody else's number, and not root.
const NOT_ROOT: u32 = 60999;

/// The directories of a project's agents.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The project's directory.
    pub root: PathBuf,
    /// `.tanuki/workspaces`.
    pub workspaces: PathBuf,
    /// `.tanuki/state/agents`.
    pub state: PathBuf,
}

impl Layout {
    /// The directories of the project in `root`, which keeps its state in `state_dir`.
    pub fn new(root: &Path, state_dir: &Path) -> Self {
        let tanuki_dir = state_dir.parent().unwrap_or(root);
        Self {
            root: root.to_owned(),
            workspaces: tanuki_dir.join("workspaces"),
            state: state_dir.join("agents"),
        }
    }

    /// An agent's workspace.
    pub fn workspace(&self, agent: &str) -> PathBuf {
        self.workspaces.join(agent)
    }

    /// Everything else of an agent.
    pub fn state(&self, agent: &str) -> PathBuf {
        self.state.join(agent)
    }

    /// The output of an agent's runs.
    pub fn runs(&self, agent: &str) -> PathBuf {
        self.state(agent).join("runs")
    }

    /// An agent's home.
    pub fn home(&self, agent: &str) -> PathBuf {
        self.state(agent).join("home")
    }

    /// Makes the directory of workspaces, out of sight of the project's git: whatever the project ignores, `git add`
    /// must not take one.
    pub(super) fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.workspaces)?;
        hide(&self.workspaces)
    }

    /// Makes an agent's workspace, empty: where it is mounted before it has files.
    pub(super) fn make_workspace(&self, agent: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.workspace(agent))
    }

    /// Makes the directories that are mounted beside the workspace, for this user. Nothing of an agent is in them yet.
    pub(super) fn make(&self, agent: &str, identity: Identity) -> io::Result<()> {
        for directory in [self.runs(agent), self.home(agent)] {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            std::fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
            give(&directory, identity)?;
        }
        Ok(())
    }
}

/// Has git ignore everything in a directory, that file included.
///
/// # Errors
///
/// The file cannot be written.
pub fn hide(directory: &Path) -> io::Result<()> {
    let file = directory.join(".gitignore");
    // One that is empty was made when there was no room for more.
    if std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    made?.write_all(b"*\n")
}

/// Removes a directory and what is in it, never following a link; one that is not there is fine.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Who an agent's processes are, inside and on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// User and group inside.
    pub(super) inside: (u32, u32),
    /// The same on the host: whose files they make.
    pub(super) host: (u32, u32),
    /// The engine keeps the ids of its user inside.
    pub(super) keep_id: bool,
}

impl Identity {
    /// `uid:gid` inside.
    pub(super) fn user(&self) -> String {
        format!("{}:{}", self.inside.0, self.inside.1)
    }
}

/// Who the agents of this project are on this engine: the owner of the project's directory, never root.
///
/// # Errors
///
/// The directory cannot be looked at.
pub(super) fn identity(root: &Path, engine: &EngineInfo) -> io::Result<Identity> {
    let metadata = std::fs::metadata(root)?;
    let owner = (metadata.uid(), metadata.gid());
    if engine.rootless {
        // Whatever a rootless engine makes belongs to the user who runs it.
        let socket = engine.endpoint.strip_prefix("unix://").and_then(|path| std::fs::metadata(path).ok());
        let host = socket.map_or(owner, |socket| (socket.uid(), socket.gid()));
        return Ok(match engine.kind {
            EngineKind::Podman => Identity { inside: host, host, keep_id: true },
            // Only its root is the user on the host; it has no power there, and no capability inside.
            EngineKind::Docker => Identity { inside: (0, 0), host, keep_id: false },
        });
    }
    let id = if owner.0 == 0 { (NOT_ROOT, NOT_ROOT) } else { owner };
    Ok(Identity { inside: id, host: id, keep_id: false })
}

/// Gives a directory and everything in it to the agent's user. Only root can, and only root has to. Links are given
/// themselves, never followed.
pub(super) fn give(path: &Path, identity: Identity) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = identity.host;
    lchown(path, Some(uid), Some(gid))?;
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path(), identity)?;
        }
    }
    Ok(())
}
