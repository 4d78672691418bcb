//! The engines of this machine, as `integration/engines.sh up` starts them.
//!
//! A test names its engine; one that is not there is an error, never a reason to skip.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use tanuki_runtimes::ContainerRuntime;
use tanuki_runtimes::discover::{self, Env, Preference, Runtime};

/// The user that the rootless engine belongs to.
const ROOTLESS_USER: &str = "tanuki-rootless";

/// An image with a shell and the usual tools, and without an entrypoint, built by `integration/images.sh`.
pub const PLAIN_IMAGE: &str = "tanuki-test/plain:1";

/// An image that declares a volume, from the same script.
pub const VOLUME_IMAGE: &str = "tanuki-test/redis:7";

/// An engine to test on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker, as root.
    Docker,
    /// Podman, as root.
    Podman,
    /// Podman of an ordinary user.
    PodmanRootless,
}

/// An ordinary user of this machine, by numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::PodmanRootless => "podman-rootless",
        })
    }
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::PodmanRootless];

    /// Its socket. `TANUKI_TEST_SOCKET_DOCKER`, `…_PODMAN` and `…_PODMAN_ROOTLESS` name other ones, for engines of
    /// other versions.
    pub fn socket(self) -> Result<PathBuf, String> {
        let variable = format!("TANUKI_TEST_SOCKET_{}", self.to_string().to_uppercase().replace('-', "_"));
        if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            return Ok(path.into());
        }
        Ok(match self {
            Self::Docker => "/var/run/docker.sock".into(),
            Self::Podman => "/run/podman/podman.sock".into(),
            Self::PodmanRootless => format!("/run/user/{}/podman/podman.sock", rootless_uid()?).into(),
        })
    }

    /// An ordinary user who may use it: the one that rootless Podman belongs to, on Docker in its group. Only root may
    /// use rootful Podman.
    pub fn user(self) -> Result<Option<Owner>, String> {
        let user = rootless_user()?;
        match self {
            Self::Docker => {
                let socket = std::fs::metadata(self.socket()?).map_err(|error| error.to_string())?;
                Ok(Some(Owner { gid: socket.gid(), ..user }))
            }
            Self::Podman => Ok(None),
            Self::PodmanRootless => Ok(Some(user)),
        }
    }

    /// Its own command line, on its socket.
    pub fn cli(self, args: &[&str]) -> tokio::process::Command {
        let socket = self.socket().unwrap_or_else(|error| panic!("{error}"));
        let host = format!("unix://{}", socket.display());
        let (program, first) = match self {
            Self::Docker => ("docker", vec!["--host", &host]),
            Self::Podman | Self::PodmanRootless => ("podman", vec!["--remote", "--url", &host]),
        };
        let mut command = tokio::process::Command::new(program);
        command.args(first).args(args);
        command
    }

    /// An adapter for it, which has answered.
    pub async fn connect(self) -> Result<Arc<dyn ContainerRuntime>, String> {
        let runtime = match self {
            Self::Docker => Runtime::Docker,
            Self::Podman | Self::PodmanRootless => Runtime::Podman,
        };
        let socket = self.socket()?.display().to_string();
        let preference = Preference { runtime, socket: Some(socket) };
        let found = discover::connect(&Env::of_process(), &preference).await;
        found.map_err(|error| format!("{error}; `integration/engines.sh up {self}` starts it"))
    }
}

fn rootless_uid() -> Result<u32, String> {
    Ok(rootless_user()?.uid)
}

fn rootless_user() -> Result<Owner, String> {
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let found = users.lines().find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
        [ROOTLESS_USER, _, uid, gid, ..] => Some(Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? }),
        _ => None,
    });
    let hint = "`integration/engines.sh up podman-rootless` makes the user";
    found.ok_or_else(|| format!("there is no user {ROOTLESS_USER}; {hint}"))
}
