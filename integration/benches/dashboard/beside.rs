//! The dashboard on real containers, beside `docker logs -f` and oxker on the same container, in one run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Meter, memory};
use crate::pty::Pty;
use crate::table::{Row, percentile};
use crate::{Programs, Result};

/// The container's program: silent, printing steadily, or a lot at once, as files in it say.
const SCRIPT: &str = "while :; do \
    if [ -e /tmp/steady ]; then seq -f 'request %.0f answered 200 after a while, as it should' 250; sleep 0.05; \
    elif [ -e /tmp/burst ]; then seq -f 'request %.0f answered 200 after a while, as it should' 200000; \
    printf 'end of burst '; cat /tmp/burst; rm /tmp/burst; \
    else sleep 0.05; fi; done";

/// How long each is watched.
const WATCH: Duration = Duration::from_secs(15);

/// After a start, before it counts.
const SETTLE: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_secs(120);

/// What was measured of one program.
#[derive(Default)]
struct Figures {
    idle: f64,
    idle_bytes: u64,
    steady: f64,
    burst: f64,
    memory: f64,
    key: Option<f64>,
}

pub(crate) fn measure(programs: &Programs) -> Result<Vec<Row>> {
    let project = Project::new(&programs.tanuki)?;
    let controller = project.controller()?;
    let ours = watch(&project, "tanuki", &project.tanuki(&["dashboard"]), Some(controller))?;
    let container = project.container.as_str();
    let mut logs = Command::new("docker");
    logs.args(["logs", "-f", "--tail", "2000", container]).env_remove("DOCKER_HOST");
    let docker = watch(&project, "docker", &logs, None)?;
    let mut oxker = Command::new(&programs.oxker);
    oxker.env("HOME", project.directory.path()).env_remove("DOCKER_HOST");
    let oxker = watch(&project, "oxker", &oxker, None)?;

    let row = |what: &str, unit, of: fn(&Figures) -> f64, remark: &str| Row {
        docker: Some(of(&docker.0)),
        oxker: Some(of(&oxker.0)),
        ..Row::told(what, of(&ours.0), unit, remark.to_owned())
    };
    let seconds = WATCH.as_secs();
    let silent = format!("{seconds} s of a container that prints nothing");
    let steady = format!("{seconds} s of about 5,000 lines/s");
    let burst = "200,000 lines, from the word until the end is on the screen";
    let mut rows = vec![
        Row { target: Some(0.2), ..row("silent container: processor time", "%", |it| it.idle, &silent) },
        row("silent container: bytes written", "bytes", |it| it.idle_bytes as f64, &silent),
        row("steady output: processor time", "%", |it| it.steady, &steady),
        row("burst: until its end shows", "s", |it| it.burst, burst),
        Row { target: Some(40.0), ..row("memory after that", "MB", |it| it.memory, "resident") },
    ];
    let remark = format!("{KEYS} keys, one list up and down");
    rows.push(Row {
        target: Some(16.0),
        oxker: oxker.0.key,
        ..Row::told("silent container: key to frame, p99", ours.0.key.unwrap_or_default(), "ms", remark)
    });
    let remark = format!("what the dashboard stands on, beside it; {steady}");
    rows.push(Row::told("steady output: controller's processor time", ours.1, "%", remark));
    Ok(rows)
}

/// Keys that are pressed in a list.
const KEYS: usize = 200;

/// Watches one program, and the controller it stands on: what it takes of a core while output comes.
fn watch(
    project: &Project,
    name: &str,
    command: &Command,
    controller: Option<u32>,
) -> Result<(Figures, f64)> {
    let mut figures = Figures::default();
    let mut program = Pty::new(command)?;
    if name == "oxker" {
        // One of perhaps many containers, by its name.
        program
            .until("its container", LIMIT, |screen| screen.has("containers") || screen.has("Containers"))?;
        program.press("/")?;
        program.press(&project.container)?;
        program.press("\r")?;
    }
    std::thread::sleep(SETTLE);
    project.tell(&format!("echo 'before {name}' >/proc/1/fd/1"))?;
    let line = format!("before {name}");
    program.until("the output", LIMIT, |screen| screen.has(&line))?;
    std::thread::sleep(SETTLE);

    let meter = Meter::new(program.pid())?;
    let bytes = program.look(|screen| screen.bytes);
    std::thread::sleep(WATCH);
    figures.idle = meter.share()?;
    figures.idle_bytes = program.look(|screen| screen.bytes) - bytes;

    if name != "docker" {
        let mut took = Vec::new();
        for at in 0..KEYS {
            std::thread::sleep(Duration::from_millis(5 + (at as u64 * 7) % 30));
            took.push(program.frame_after(if at % 2 == 0 { "j" } else { "k" })?);
        }
        figures.key = Some(percentile(&took, 99));
    }

    project.tell("touch /tmp/steady")?;
    std::thread::sleep(Duration::from_secs(1));
    let meter = Meter::new(program.pid())?;
    let other = controller.map(Meter::new).transpose()?;
    std::thread::sleep(WATCH);
    figures.steady = meter.share()?;
    let other = other.map_or(Ok(0.0), |meter| meter.share())?;
    project.tell("rm /tmp/steady")?;
    std::thread::sleep(Duration::from_secs(2));

    let began = Instant::now();
    project.tell(&format!("echo {name} >/tmp/burst"))?;
    let line = format!("end of burst {name}");
    let shown = program.until("the end of the burst", LIMIT, |screen| screen.has(&line))?;
    figures.burst = shown.duration_since(began).as_secs_f64();
    figures.memory = memory(program.pid(), false)?;
    Ok((figures, other))
}

/// A project with one service that prints. It is taken down when this is dropped.
struct Project {
    directory: TempDir,
    tanuki: PathBuf,
    container: String,
}

impl Project {
    fn new(tanuki: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut project = Self { directory, tanuki: tanuki.to_owned(), container: String::new() };
        let root = project.directory.path().join("shop");
        std::fs::create_dir(&root)?;
        let script = serde_json::to_string(SCRIPT)?;
        let yaml = format!(
            "services:\n  chatty:\n    image: tanuki-test/plain:1\n    pull_policy: never\n    port: 9\n    host_port: none\n    \
             stop_signal: SIGKILL\n    healthcheck: {{ disable: true }}\n    command: [sh, -c, {script}]\n"
        );
        std::fs::write(root.join("tanuki.yaml"), yaml)?;
        run(Command::new("git").args(["init", "--quiet"]).current_dir(&root))?;
        run(&mut project.tanuki(&["service", "start"]))?;
        let status = project.status()?;
        let container = status["services"]["chatty"]["container"].as_str();
        project.container = container.ok_or("the service has no container")?.to_owned();
        Ok(project)
    }

    fn tanuki(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tanuki);
        command.args(arguments).current_dir(self.directory.path().join("shop"));
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.directory.path()).env("TANUKI_RUNTIME", "docker");
        command
    }

    fn status(&self) -> Result<Value> {
        let output = self.tanuki(&["service", "status", "-o", "json"]).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn controller(&self) -> Result<u32> {
        let pid = self.status()?["controller"]["pid"].as_u64().ok_or("no controller runs")?;
        Ok(u32::try_from(pid)?)
    }

    /// Runs a line in the container.
    fn tell(&self, line: &str) -> Result {
        run(Command::new("docker")
            .args(["exec", &self.container, "sh", "-c", line])
            .env_remove("DOCKER_HOST"))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = run(&mut self.tanuki(&["down", "--volumes", "--yes"])) {
            eprintln!("bench: cannot clean up: {error}");
        }
    }
}

/// Runs a command to its end; anything but success is an error.
fn run(command: &mut Command) -> Result {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("{command:?}: {}\n{}", output.status, text.join("\n")).into())
}
