//! A project that a test works in with the real binary: its own directory, home and runtime directory.
//!
//! The user's table of names and port leases is shared by all tests, as it is by all projects of one user: two
//! projects that want the same names or ports at once then agree, on every engine. Only the first one on an engine
//! gets the plain names; a test asks for names instead of guessing them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tanuki_runtimes::{Container, ContainerRuntime, ExecOutput, ExecSpec, Labels, ListFilter, Listing};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::command::{self, Outcome};
use crate::engines::{Engine, Owner};

/// How long a command may take before the test gives it up.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often the world is looked at while something is waited for.
const POLL: Duration = Duration::from_millis(100);

/// What services of the tests' images are called and where they are.
pub const POSTGRES: &str = "\
services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
";

/// The same for redis, which starts faster.
pub const REDIS: &str = "\
services:
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
";

/// Label of objects that a test makes past the program, so that they go even when the test fails.
pub const FOREIGN: &str = "tanuki-e2e.project";

/// How the names of the directories of tests begin, among the temporary ones.
pub const DIRECTORY_PREFIX: &str = "tanuki-e2e-";

/// The program under test: `TANUKI_BIN`, or the one that was built beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TANUKI_BIN") {
        return path.into();
    }
    let tests = std::env::current_exe().unwrap_or_else(|error| panic!("where are the tests? {error}"));
    let directory = tests.ancestors().nth(2).unwrap_or(Path::new("."));
    let binary = directory.join("tanuki");
    assert!(binary.exists(), "{} is not there: `cargo build -p tanuki` makes it", binary.display());
    binary
}

/// A copy of a program where every user can run it: the directory that it was built in may be closed to others.
pub fn for_everybody(program: &Path) -> PathBuf {
    let shared = || -> std::io::Result<PathBuf> {
        let built = std::fs::metadata(program)?;
        let name = program.file_name().unwrap_or_default();
        let directory = format!("{DIRECTORY_PREFIX}{}-{}", name.display(), built.mtime_nsec());
        let directory = std::env::temp_dir().join(directory);
        let shared = directory.join(name);
        if !shared.exists() {
            std::fs::create_dir_all(&directory)?;
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))?;
            // Whole or not at all, for the tests that run beside this one.
            let part = tempfile::NamedTempFile::new_in(&directory)?.into_temp_path();
            std::fs::copy(program, &part)?;
            std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o755))?;
            part.persist(&shared).map_err(|error| error.error)?;
        }
        Ok(shared)
    };
    shared().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Gives a file to a user; to nobody else when there is none.
pub fn give(path: &Path, owner: Option<Owner>) -> std::io::Result<()> {
    owner.map_or(Ok(()), |owner| std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)))
}

/// How often something is repeated: as often as this variable says, or `TANUKI_E2E_REPEAT`, or the default.
pub fn repeat(name: &str, default: u32) -> u32 {
    variable(name).or_else(|| variable("TANUKI_E2E_REPEAT")).unwrap_or(default)
}

/// A number from the environment.
pub fn variable(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

/// A project on one engine. Dropping it takes everything of it away again, and checks that nothing is left.
#[derive(Debug)]
pub struct Project {
    /// The engine it is on.
    pub engine: Engine,
    /// The project's directory, canonical.
    pub root: PathBuf,
    /// Reaches the engine past the program under test.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Environment of the commands.
    pub env: BTreeMap<String, String>,
    /// Whom the project belongs to, and the commands run as; this process's user when absent.
    pub owner: Option<Owner>,
    base: PathBuf,
}

impl Project {
    /// A project with this `tanuki.yaml`.
    pub async fn new(engine: Engine, config: &str) -> Self {
        let project = Self::empty(engine).await;
        project.configure(config);
        project
    }

    /// A git repository that is not yet a project.
    pub async fn empty(engine: Engine) -> Self {
        Self::owned_by(engine, None).await
    }

    /// The same for a user of the engine's.
    pub async fn owned_by(engine: Engine, owner: Option<Owner>) -> Self {
        let runtime = engine.connect().await.unwrap_or_else(|error| panic!("{error}"));
        let base = tempfile::Builder::new().prefix(DIRECTORY_PREFIX).tempdir();
        let base = base.and_then(|dir| dir.keep().canonicalize());
        let base = base.unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let whose = owner.map(|owner| format!("-{}", owner.uid)).unwrap_or_default();
        let shared = std::env::temp_dir().join(format!("{DIRECTORY_PREFIX}user{whose}"));
        for directory in [&shared, &base, &base.join("project"), &base.join("home"), &base.join("run")] {
            make_private(directory, owner);
        }
        let root = base.join("project");
        let text = |path: &Path| path.display().to_string();
        let socket = engine.socket().unwrap_or_else(|error| panic!("{error}"));
        let host = format!("unix://{}", socket.display());
        let host_variable = if engine == Engine::Docker { "DOCKER_HOST" } else { "CONTAINER_HOST" };
        let env = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", text(&base.join("home"))),
            ("XDG_RUNTIME_DIR", text(&base.join("run"))),
            ("XDG_STATE_HOME", text(&shared)),
            ("LC_ALL", "C.UTF-8".to_owned()),
            (host_variable, host),
        ];
        let env = env.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let project = Self { engine, root, runtime, env, owner, base };
        let _made = project.git(&["init", "--quiet", "--initial-branch", "main"]).await.ok();
        project
    }

    /// The same project for a user who shares no table of names and ports with the other tests.
    #[must_use]
    pub fn of_another_user(mut self) -> Self {
        let state = self.base.join("state").display().to_string();
        self.env.insert("XDG_STATE_HOME".to_owned(), state);
        self
    }

    /// Writes `tanuki.yaml`, whole, as editors do.
    pub fn configure(&self, config: &str) {
        let (next, file) = (self.root.join(".tanuki.yaml.new"), self.root.join("tanuki.yaml"));
        let written = std::fs::write(&next, config).and_then(|()| give(&next, self.owner));
        let written = written.and_then(|()| std::fs::rename(&next, &file));
        written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Makes a directory of the project's owner, mode 0700.
    pub fn make_private(&self, directory: &Path) {
        make_private(directory, self.owner);
    }

    /// The directory around the project's, where nothing else is.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The user's own state: name claims and port leases.
    pub fn user_state(&self) -> PathBuf {
        Path::new(&self.env["XDG_STATE_HOME"]).join("tanuki")
    }

    /// `tanuki` with these arguments, in the project.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(self.binary(), args)
    }

    /// The program under test, where the project's owner can run it.
    pub fn binary(&self) -> PathBuf {
        if self.owner.is_some() { for_everybody(&binary()) } else { binary() }
    }

    /// Any program, as the project's owner and in the project.
    pub fn program(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root).env_clear().envs(&self.env);
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }

    /// Runs git in the project, as its owner.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> impl Future<Output = Outcome> + use<> {
        command::run(self.program("git", args), None, PATIENCE)
    }

    /// Runs `tanuki` with these arguments.
    #[track_caller]
    pub fn tanuki(&self, args: &[&str]) -> impl Future<Output = Outcome> + use<> {
        command::run(self.command(args), None, PATIENCE)
    }

    /// Runs `tanuki` with this on its standard input.
    #[track_caller]
    pub fn tanuki_with(&self, args: &[&str], input: &str) -> impl Future<Output = Outcome> + use<> {
        command::run(self.command(args), Some(input), PATIENCE)
    }

    /// Starts all enabled services.
    pub async fn start(&self) -> Outcome {
        self.tanuki(&["service", "start"]).await.ok()
    }

    /// `service status` as programs read it.
    pub async fn status(&self) -> Value {
        self.tanuki(&["service", "status", "-o", "json"]).await.ok().json()
    }

    /// The status of one service.
    pub async fn service(&self, name: &str) -> Value {
        self.status().await["services"][name].take()
    }

    /// Waits until a service's status is as it should be, and returns it.
    pub async fn until(&self, name: &str, what: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.service(name).await;
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{name} is not {what} within {limit:?}: {status:#}");
            sleep(POLL).await;
        }
    }

    /// Waits until a service is running and healthy in a run other than `before`'s.
    pub async fn until_restarted(&self, name: &str, before: &Value, limit: Duration) -> Value {
        let run = |status: &Value| (status["container_id"].clone(), status["started_at"].clone());
        let is = |status: &Value| is_healthy(status) && run(status) != run(before);
        self.until(name, "healthy in a new run", limit, is).await
    }

    /// Runs a query as users do, through `service connect`; what it prints, without the line's end.
    pub async fn sql(&self, query: &str) -> String {
        let args = ["service", "connect", "postgres", "--", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", query];
        self.tanuki(&args).await.ok().stdout.trim_end().to_owned()
    }

    /// Everything on the engine that says it is this project's.
    pub async fn objects(&self) -> Listing {
        objects(self.runtime.as_ref(), &self.root).await
    }

    /// The one container of a service.
    pub async fn container(&self, service: &str) -> Container {
        let labelled = |container: &Container| container.labels.get("dev.tanuki.name") == Some(service);
        let all = self.objects().await.containers;
        let mut found: Vec<Container> = all.into_iter().filter(labelled).collect();
        assert!(found.len() == 1, "one container of {service} is wanted: {found:#?}");
        let id = found.remove(0).id;
        self.runtime.inspect(&id).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a shell line in a service's container, past the program under test.
    pub async fn in_container(&self, service: &str, line: &str, env: &[(&str, &str)]) -> ExecOutput {
        let container = self.container(service).await;
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let command = ["sh", "-c", line].map(ToOwned::to_owned).to_vec();
        let spec = ExecSpec { command, env, ..ExecSpec::default() };
        let ran = self.runtime.exec(&container.id, &spec).await;
        ran.unwrap_or_else(|error| panic!("in {service}: {line}: {error}"))
    }

    /// Kills the main process of a service's container as the kernel would, past the engine.
    pub async fn kill_main_process(&self, service: &str) {
        let container = self.container(service).await;
        let pid = container.pid.unwrap_or_else(|| panic!("{service} has no process: {container:#?}"));
        kill(pid, rustix::process::Signal::KILL);
    }

    /// The controller's process, if one holds the project's lock.
    pub fn controller(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.root.join(".tanuki/state/controller.lock")).ok()?;
        let held: Value = serde_json::from_str(&text).ok()?;
        let pid = u32::try_from(held["pid"].as_u64()?).ok()?;
        // A zombie is gone, and a pid may have been given away again.
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let root = self.root.as_os_str().as_encoded_bytes();
        command.split(|byte| *byte == 0).any(|argument| argument == root).then_some(pid)
    }

    /// Kills the controller as the kernel would; false when none runs.
    pub fn kill_controller(&self) -> bool {
        let pid = self.controller();
        if let Some(pid) = pid {
            kill(pid, rustix::process::Signal::KILL);
        }
        pid.is_some()
    }

    /// The controller's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join(".tanuki/state/controller.log")).unwrap_or_default()
    }

    /// The label for what a test makes past the program under test: it is removed with the project.
    pub fn foreign_label(&self) -> String {
        format!("{FOREIGN}={}", self.root.display())
    }

    /// The engine's own command line on this engine's socket.
    #[track_caller]
    pub fn engine_cli(&self, args: &[&str]) -> impl Future<Output = Outcome> + use<> {
        command::run(self.engine.cli(args), None, PATIENCE)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let mut report = String::new();
        if failed {
            // Writing to a string cannot fail.
            _ = writeln!(report, "--- {} on {}: the controller's log", self.root.display(), self.engine);
            report.extend(
                self.log()
                    .lines()
                    .rev()
                    .take(150)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                    .flat_map(|line| [line, "\n"]),
            );
        }
        let down = self.root.join(".tanuki/state").exists().then(|| {
            let mut down = self.command(&["down", "--volumes", "--yes", "--wait-timeout", "60s"]);
            down.kill_on_drop(true);
            down
        });
        let (engine, root, pid) = (self.engine, self.root.clone(), self.controller());
        // A drop cannot wait, and the test's own runtime is busy with it.
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(clean(engine, &root, down, pid))
        });
        let cleaned = cleaned.join().unwrap_or_else(|_panic| Err("cleaning up panicked".to_owned()));
        if let Err(error) = &cleaned {
            _ = writeln!(report, "--- {}: {error}", self.root.display());
        }
        let _gone = std::fs::remove_dir_all(&self.base);
        if failed {
            tell(&report);
        } else if let Err(error) = cleaned {
            panic!("{error}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "nextest shows it with the failure")]
fn tell(report: &str) {
    eprintln!("{report}");
}

async fn clean(engine: Engine, root: &Path, down: Option<Command>, pid: Option<u32>) -> Result<(), String> {
    let mut trouble = Vec::new();
    let runtime = engine.connect().await?;
    let there = objects(runtime.as_ref(), root).await;
    let nothing = there.containers.is_empty() && there.networks.is_empty() && there.volumes.is_empty();
    if let Some(mut down) = down.filter(|_| !nothing || pid.is_some()) {
        match tokio::time::timeout(Duration::from_secs(90), down.output()).await {
            Ok(Ok(output)) if output.status.success() => {}
            Ok(Ok(output)) => trouble.push(format!("down: {}", String::from_utf8_lossy(&output.stderr))),
            Ok(Err(error)) => trouble.push(format!("down: {error}")),
            Err(_elapsed) => trouble.push("down did not end".to_owned()),
        }
    }
    // Asked to end by `down`; a test that broke it may have left it.
    if let Some(pid) = pid {
        for _ in 0..50 {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                break;
            }
            sleep(POLL).await;
        }
        kill(pid, rustix::process::Signal::KILL);
    }
    let label = [(FOREIGN, root.display().to_string())].into_iter().collect();
    let foreign = list(runtime.as_ref(), label).await;
    // What the test made itself, and did not get to remove.
    for container in &foreign.containers {
        drop(runtime.remove(&container.id).await);
    }
    for network in &foreign.networks {
        drop(runtime.remove_network(&network.name).await);
    }
    for volume in &foreign.volumes {
        drop(runtime.remove_volume(&volume.name).await);
    }
    let left = objects(runtime.as_ref(), root).await;
    for container in &left.containers {
        trouble.push(format!("container {} was left behind", container.name));
        drop(runtime.remove(&container.id).await);
    }
    for network in &left.networks {
        trouble.push(format!("network {} was left behind", network.name));
        drop(runtime.remove_network(&network.name).await);
    }
    for volume in &left.volumes {
        trouble.push(format!("volume {} was left behind", volume.name));
        drop(runtime.remove_volume(&volume.name).await);
    }
    if trouble.is_empty() { Ok(()) } else { Err(trouble.join("\n")) }
}

async fn objects(runtime: &dyn ContainerRuntime, root: &Path) -> Listing {
    list(runtime, [(Labels::PROJECT_PATH, root.display().to_string())].into_iter().collect()).await
}

async fn list(runtime: &dyn ContainerRuntime, labels: Labels) -> Listing {
    let filter = ListFilter { labels, networks_and_volumes: true };
    runtime.list(&filter).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Whether a service's status says that it can be used.
pub fn is_healthy(status: &Value) -> bool {
    status["state"] == "running" && status["health"] == "healthy"
}

/// Sends a signal to a process of this machine; one that is gone already is fine.
pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

fn make_private(directory: &Path, owner: Option<Owner>) {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let made = made.and_then(|()| give(directory, owner));
    made.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
}
