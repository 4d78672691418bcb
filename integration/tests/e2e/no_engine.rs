//! No engine that can be used: exit code 3 and what to do about it, within two seconds. These need no engine.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use tanuki_integration::command::{self, Outcome};
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, REDIS, binary};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(2);

/// Commands that need an engine.
const COMMANDS: [&[&str]; 3] = [&["service", "start"], &["service", "status"], &["plan"]];

async fn project(socket: &Path) -> Project {
    // Never connected to: the socket is replaced at once.
    let mut project = Project::new(Engine::Docker, REDIS).await;
    project.env.insert("DOCKER_HOST".into(), format!("unix://{}", socket.display()));
    project
}

#[track_caller]
fn explained(outcome: Outcome, names: &str) {
    let outcome = outcome.code(3).says("hint: ").says(names).never_says("panicked");
    assert!(outcome.took < LIMIT, "it took too long: {outcome}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_explained() {
    let project = project(Path::new("/nonexistent/docker.sock")).await;
    for args in COMMANDS {
        explained(project.tanuki(args).await, "/nonexistent/docker.sock");
    }
}

#[tokio::test]
async fn a_dead_socket_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dead.sock");
    // The file stays when nobody listens any more.
    drop(UnixListener::bind(&socket).unwrap());
    let project = project(&socket).await;
    for args in COMMANDS {
        explained(project.tanuki(args).await, "dead.sock");
    }
}

#[tokio::test]
async fn a_silent_socket_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("silent.sock");
    let _listens = UnixListener::bind(&socket).unwrap();
    let project = project(&socket).await;
    for args in COMMANDS {
        explained(project.tanuki(args).await, "silent.sock");
    }
}

#[tokio::test]
async fn no_permission_on_the_socket_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("theirs.sock");
    let _listens = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The build may be where only its owner can go.
    let tanuki = directory.path().join("tanuki");
    std::fs::copy(binary(), &tanuki).unwrap();

    let project = project(&socket).await;
    let mut chown = Command::new("chown");
    chown.args(["-R", "nobody"]).arg(project.base());
    let _chown = command::run(chown, None, LIMIT).await.ok();
    for args in COMMANDS {
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&tanuki).args(args);
        nobody.current_dir(&project.root).env_clear().envs(&project.env);
        explained(command::run(nobody, None, Duration::from_secs(30)).await, "theirs.sock");
    }
}

#[tokio::test]
async fn no_engine_at_all_is_explained() {
    let mut project = project(Path::new("/nonexistent")).await;
    project.env.remove("DOCKER_HOST");
    // No socket in any of the usual places, no program that could make one.
    let empty = project.base().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for args in COMMANDS {
        let script = format!(
            "mount -t tmpfs none /run && cd {root} && PATH={empty} exec {tanuki} {args}",
            root = project.root.display(),
            empty = empty.display(),
            tanuki = binary().display(),
            args = args.join(" ")
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &script]).env_clear().envs(&project.env);
        explained(command::run(unshare, None, Duration::from_secs(30)).await, "nstall");
    }
}
