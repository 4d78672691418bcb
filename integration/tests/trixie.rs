//! Newer engines: Docker 26 and Podman 5, nested in a container of the machine's Docker. `integration/run.sh trixie`
//! runs it; the usual runs leave it out.
//!
//! [`nested`] starts the container and runs everything else in this file in a process of its own, in the container's
//! network, where ports that the nested engines publish are on 127.0.0.1.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testcontainers::bollard::models::DeviceMapping;
use testcontainers::core::{CgroupnsMode, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

/// The contract suite, on the sockets that the environment names.
#[path = "contract.rs"]
mod contract;

type Outcome<T = ()> = Result<T, String>;

/// Flags of `integration/trixie/README.md`, which says why.
const CAPABILITIES: [&str; 8] =
    ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "MKNOD", "SETFCAP", "SYS_CHROOT", "NET_RAW", "DAC_READ_SEARCH"];
const UNCONFINED: [&str; 2] = ["seccomp=unconfined", "apparmor=unconfined"];
const DEVICES: [&str; 2] = ["/dev/fuse", "/dev/net/tun"];

/// Runs a command; its output, or what it said when it failed.
fn run(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    if output.status.success() {
        Ok(text[0].clone())
    } else {
        Err(format!("{command:?}: {}\n{}\n{}", output.status, text[0], text[1]))
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The container, with its sockets in this directory, which both sides see under the same name: bind mounts of the
/// suite must exist where the engine is.
async fn engines(shared: &Path) -> Outcome<ContainerAsync<GenericImage>> {
    let shared = shared.to_str().ok_or("a path that is no text")?;
    let ready = WaitFor::message_on_stdout("READY");
    let mut request = GenericImage::new("tanuki-test/trixie", "1")
        .with_wait_for(ready)
        .with_startup_timeout(Duration::from_secs(90))
        .with_env_var("SOCKETS", shared)
        .with_mount(Mount::bind_mount(shared, shared))
        .with_mount(Mount::bind_mount("/sys/fs/cgroup", "/sys/fs/cgroup"))
        .with_cgroupns_mode(CgroupnsMode::Host)
        .with_host_config_modifier(|config| {
            let device = |path: &&str| DeviceMapping {
                path_on_host: Some((*path).to_owned()),
                path_in_container: Some((*path).to_owned()),
                cgroup_permissions: Some("rwm".to_owned()),
            };
            config.devices = Some(DEVICES.iter().map(device).collect());
            // What the client makes of systempaths=unconfined.
            config.masked_paths = Some(Vec::new());
            config.readonly_paths = Some(Vec::new());
        });
    for capability in CAPABILITIES {
        request = request.with_cap_add(capability);
    }
    for option in UNCONFINED {
        request = request.with_security_opt(option);
    }
    request.start().await.map_err(|error| error.to_string())
}

/// The first process of a container, by the engine's own client.
fn pid(container: &str) -> Outcome<String> {
    let pid = run(Command::new("docker").args(["inspect", "--format", "{{.State.Pid}}", container]))?;
    Ok(pid.trim().to_owned())
}

/// Contract suite and session on both engines.
#[tokio::test]
async fn nested() -> Outcome {
    let shared = tempfile::tempdir().map_err(|error| error.to_string())?;
    let container = engines(shared.path()).await?;
    let socket = |engine: &str| shared.path().join(format!("{engine}.sock"));
    let (docker, podman) = (socket("docker"), socket("podman"));
    let [on_docker, on_podman] = [("docker", &docker), ("podman", &podman)]
        .map(|(engine, at)| format!("{engine}@unix://{}", at.display()));
    run(Command::new(here().join("images.sh")).args([on_docker, on_podman]))?;

    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut inside = Command::new("nsenter");
    inside.arg(format!("--net=/proc/{}/ns/net", pid(container.id())?)).arg(program);
    inside.args(["--test-threads", "2", "contract::docker::", "contract::podman::", "session::"]);
    inside.env("TANUKI_TEST_SOCKET_DOCKER", docker).env("TANUKI_TEST_SOCKET_PODMAN", podman);
    inside.env("TMPDIR", shared.path());
    let ended = run(&mut inside);
    container.rm().await.map_err(|error| error.to_string())?;
    println!("{}", ended?);
    Ok(())
}

/// What a user does first, by the real binary.
mod session {
    use super::*;

    use tanuki_integration::engines::Engine;

    /// A project and a home, with everything of it stopped when dropped.
    struct Project {
        directory: tempfile::TempDir,
        engine: Engine,
    }

    impl Project {
        fn new(engine: Engine) -> Outcome<Self> {
            let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
            std::fs::create_dir(directory.path().join("shop")).map_err(|error| error.to_string())?;
            let project = Self { directory, engine };
            run(project.command("git").args(["init", "--quiet"]))?;
            Ok(project)
        }

        fn command(&self, program: &str) -> Command {
            let mut command = Command::new(program);
            command.current_dir(self.directory.path().join("shop")).env("HOME", self.directory.path());
            for name in ["DOCKER_CONTEXT", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
                command.env_remove(name);
            }
            command
        }

        fn tanuki(&self, arguments: &[&str]) -> Outcome<String> {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            // Test binaries are in `deps`, beside the program.
            let built = program.ancestors().nth(2).ok_or("the test binary is nowhere")?.join("tanuki");
            let mut command = self.command(built.to_str().ok_or("a path that is no text")?);
            let variable = if self.engine == Engine::Docker { "DOCKER_HOST" } else { "CONTAINER_HOST" };
            command.env(variable, format!("unix://{}", self.engine.socket()?.display()));
            let runtime = if self.engine == Engine::Docker { "docker" } else { "podman" };
            run(command.env("TANUKI_RUNTIME", runtime).args(arguments))
        }
    }

    impl Drop for Project {
        fn drop(&mut self) {
            drop(self.tanuki(&["down", "--volumes", "--yes"]));
        }
    }

    fn session(engine: Engine) -> Outcome {
        let project = Project::new(engine)?;
        assert_eq!(project.tanuki(&["init"])?, "Initialized .tanuki/\n");
        let file = project.directory.path().join("shop/tanuki.yaml");
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let text = text.replace("image: postgres:16", "image: tanuki-test/postgres:15");
        let text = text.replace("image: redis:7", "image: tanuki-test/redis:7");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;

        let started = project.tanuki(&["service", "start"])?;
        assert!(started.contains("✓ postgres (tanuki-svc-postgres:5432)"), "{started}");
        assert!(started.contains("✓ redis (tanuki-svc-redis:6379)"), "{started}");
        let status = project.tanuki(&["service", "status"])?;
        for service in ["postgres", "redis"] {
            let row = status.lines().find(|line| line.starts_with(service)).unwrap_or_default();
            let columns: Vec<&str> = row.split_whitespace().take(3).collect();
            assert_eq!(columns, [service, "running", "healthy"], "{status}");
        }
        let answer =
            project.tanuki(&["service", "connect", "postgres", "--", "-Atc", "select current_database()"])?;
        assert_eq!(answer, "tanuki_dev\n");
        assert_eq!(project.tanuki(&["service", "connect", "redis", "--", "ping"])?, "PONG\n");
        project.tanuki(&["down", "--volumes", "--yes"])?;
        Ok(())
    }

    #[test]
    fn docker() -> Outcome {
        session(Engine::Docker)
    }

    #[test]
    fn podman() -> Outcome {
        session(Engine::Podman)
    }
}
