//! What the machine has: rootless prerequisites, limits, name resolution, disk, git.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tanuki_runtimes::{EngineInfo, EngineKind};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cli::Context;
use crate::cli::render::Check;

/// Under this much free space something will fail soon.
const LITTLE: u64 = 1 << 30;

/// Under this much it may.
const SOME: u64 = 5 << 30;

/// How long `git --version` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest git that is tested.
const GIT: (u32, u32) = (2, 34);

/// Where distributions put Podman's name server.
const AARDVARK: [&str; 4] = [
    "/usr/lib/podman/aardvark-dns",
    "/usr/libexec/podman/aardvark-dns",
    "/usr/local/lib/podman/aardvark-dns",
    "/usr/local/libexec/podman/aardvark-dns",
];

/// What a rootless engine needs from the machine.
pub(super) fn rootless(context: &Context) -> Vec<Check> {
    let mut checks = Vec::new();
    let user = context.env.var("USER").or_else(|| context.env.var("LOGNAME")).unwrap_or_default();
    let uid = rustix::process::getuid().as_raw().to_string();
    let range = |file: &str| std::fs::read_to_string(file).is_ok_and(|text| has_range(&text, user, &uid));
    let missing: Vec<&str> = ["/etc/subuid", "/etc/subgid"].into_iter().filter(|file| !range(file)).collect();
    checks.push(if uid == "0" || missing.is_empty() {
        Check::ok("subordinate ids", "ranges in /etc/subuid and /etc/subgid")
    } else {
        let mend = format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}");
        Check::failure("subordinate ids", format!("no range in {}", missing.join(" and ")), mend)
    });
    let absent: Vec<&str> =
        ["newuidmap", "newgidmap"].into_iter().filter(|name| program(context, name).is_none()).collect();
    checks.push(if absent.is_empty() {
        Check::ok("id mapping", "newuidmap and newgidmap are there")
    } else {
        let mend = "install them: `sudo apt install uidmap` (shadow-utils elsewhere)";
        Check::failure("id mapping", format!("{} not found", absent.join(" and ")), mend)
    });
    let runtime_dir = context.env.var("XDG_RUNTIME_DIR").map(PathBuf::from);
    checks.push(match runtime_dir {
        Some(directory) if directory.is_dir() => {
            Check::ok("runtime directory", directory.display().to_string())
        }
        Some(directory) => Check::warning(
            "runtime directory",
            format!("XDG_RUNTIME_DIR is {}, which is not there", directory.display()),
            "log in again, or `sudo loginctl enable-linger $USER`",
        ),
        None => Check::warning(
            "runtime directory",
            "XDG_RUNTIME_DIR is not set",
            "log in through a session (ssh or a desktop, not su), or set it to /run/user/$(id -u)",
        ),
    });
    checks.push(device(
        "user network",
        "/dev/net/tun",
        "`sudo modprobe tun`; containers of a rootless engine have no network without it",
    ));
    checks.push(device(
        "fuse",
        "/dev/fuse",
        "`sudo modprobe fuse`; storage is slow and large without it, unless the kernel has rootless overlay",
    ));
    checks
}

/// Whether `/etc/subuid` or `/etc/subgid` gives this user a range.
fn has_range(text: &str, user: &str, uid: &str) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let owner = fields.next().unwrap_or_default();
        let count = fields.nth(1).and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default();
        (owner == uid || (!user.is_empty() && owner == user)) && count > 0
    })
}

fn device(name: &str, path: &str, mend: &str) -> Check {
    if Path::new(path).exists() {
        Check::ok(name, format!("{path} is there"))
    } else {
        Check::warning(name, format!("{path} is not there"), mend)
    }
}

/// Whether memory, cpu and process limits hold.
pub(super) fn limits(info: &EngineInfo) -> Check {
    if info.capabilities.limits {
        return Check::ok("limits", "memory, cpu and process limits are enforced");
    }
    Check::warning(
        "limits",
        "memory, cpu and process limits are not enforced",
        "use cgroup v2 and let your user delegate it (rootless engines), or a rootful engine",
    )
}

/// Whether containers find each other by name.
pub(super) fn dns(info: &EngineInfo) -> Check {
    let local = info.endpoint.starts_with("unix://");
    if info.kind == EngineKind::Docker || !local {
        return Check::ok("name resolution", "the engine resolves container names");
    }
    match AARDVARK.into_iter().find(|path| Path::new(path).exists()) {
        Some(path) => Check::ok("name resolution", path),
        None => Check::warning(
            "name resolution",
            "aardvark-dns is not where distributions put it; agents may not find services by name",
            "install it: `sudo apt install aardvark-dns netavark`",
        ),
    }
}

/// Free space where `path` is.
pub(super) fn disk(name: &str, path: &Path) -> Check {
    let free = match rustix::fs::statvfs(path) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            // A rootful engine's directory may be closed to this user: nobody's fault.
            return Check::note(name, format!("cannot tell for {}: {error}", path.display()));
        }
    };
    judge_disk(name, path, free)
}

fn judge_disk(name: &str, path: &Path, free: u64) -> Check {
    let message = format!("{:.1} GB free in {}", tenths(free), path.display());
    if free < LITTLE {
        Check::failure(name, message, "make room; databases stop when the disk is full")
    } else if free < SOME {
        Check::warning(name, message, "make room, for example by removing images that nothing uses")
    } else {
        Check::ok(name, message)
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn tenths(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// The git program and its version.
pub(super) async fn git(context: &Context) -> Option<Check> {
    let Some(program) = program(context, "git") else {
        return Some(Check::failure("git", "git is not on the search path", "install git"));
    };
    let asked = timeout(PATIENCE, Command::new(program).arg("--version").output()).await;
    let said = match asked {
        Ok(Ok(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => return Some(Check::failure("git", "git does not run", "reinstall git")),
    };
    Some(judge_git(&said))
}

fn judge_git(said: &str) -> Check {
    let version = said.strip_prefix("git version ").unwrap_or(said);
    let mut numbers = version.split(['.', ' ']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if found >= GIT {
        return Check::ok("git", version);
    }
    Check::warning("git", format!("version {version} is old"), format!("use {}.{} or newer", GIT.0, GIT.1))
}

/// A program on the search path.
fn program(context: &Context, name: &str) -> Option<PathBuf> {
    let path = context.env.var("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::Level;

    #[test]
    fn ranges_are_found_by_name_and_by_id() {
        let text = "root:1:2\nann:100000:65536\n1002:200000:65536\nempty:1:0\n";
        assert!(has_range(text, "ann", "1001"));
        assert!(has_range(text, "", "1002"));
        assert!(!has_range(text, "an", "1003"));
        assert!(!has_range(text, "empty", "1004"));
        assert!(!has_range("", "", ""));
    }

    #[test]
    fn versions_of_git_are_read_wherever_it_comes_from() {
        assert_eq!(judge_git("git version 2.39.5 (Apple Git-154)").level, Level::Ok);
        assert_eq!(judge_git("git version 2.17.1").level, Level::Warning);
        assert_eq!(judge_git("git version 3.0").level, Level::Ok);
        assert_eq!(judge_git("").level, Level::Warning);
    }

    #[test]
    fn a_full_disk_is_a_failure_before_it_is_full() {
        let level = |free| judge_disk("disk", Path::new("/"), free).level;
        assert_eq!(level(0), Level::Failure);
        assert_eq!(level(2 << 30), Level::Warning);
        assert_eq!(level(50 << 30), Level::Ok);
    }
}
