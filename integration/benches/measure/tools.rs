//! The programs that are measured, and the engine they are measured on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::Result;
use crate::process::kill;

/// The image of redis on the engine.
pub(crate) const REDIS: &str = "tanuki-test/redis:7";
/// The image of postgres on the engine.
pub(crate) const POSTGRES: &str = "tanuki-test/postgres:15";
/// An image with nothing special.
pub(crate) const PLAIN: &str = "tanuki-test/plain:1";

const SOCKET: &str = "/var/run/docker.sock";

/// Where everything is.
pub(crate) struct Tools {
    /// The release build of `tanuki`.
    pub(crate) tanuki: PathBuf,
    /// A configuration directory of the docker client that has the compose plugin.
    docker_config: PathBuf,
    /// The directory where the tables go.
    pub(crate) reports: PathBuf,
    /// How often each pair is measured.
    pub(crate) rounds: usize,
}

impl Tools {
    /// As `integration/run.sh bench` sets it up.
    pub(crate) fn from_environment() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name).ok_or_else(|| format!("{name} is not set; run integration/run.sh bench"))
        };
        let tools = Self {
            tanuki: variable("TANUKI_BENCH_BINARY")?.into(),
            docker_config: variable("TANUKI_BENCH_DOCKER_CONFIG")?.into(),
            reports: variable("TANUKI_BENCH_REPORTS")?.into(),
            rounds: std::env::var("TANUKI_BENCH_ROUNDS").map_or(Ok(5), |rounds| rounds.parse())?,
        };
        timed(&mut tools.docker(&["version"]))?;
        timed(&mut tools.docker(&["compose", "version"]))?;
        Ok(tools)
    }

    /// The engine's client.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_CONFIG", &self.docker_config);
        command.env("DOCKER_HOST", format!("unix://{SOCKET}"));
        command
    }

    /// What the figures were taken on.
    pub(crate) fn machine(&self) -> String {
        let output = |arguments: &[&str]| {
            let output = self.docker(arguments).output().map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&output).trim().to_owned()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        format!(
            "Docker {}, Compose {}, {cores} cores, load {} at the end.\n\
             Pairs are taken in turn; figures are ratios of medians unless a unit says otherwise.",
            output(&["version", "--format", "{{.Server.Version}}"]),
            output(&["compose", "version", "--short"]),
            load.split(' ').next().unwrap_or_default(),
        )
    }
}

/// Runs a command to its end; how long that took, in seconds. Anything but success is an error.
pub(crate) fn timed(command: &mut Command) -> Result<f64> {
    let began = Instant::now();
    output(command)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Runs a command to its end; what it prints. Anything but success is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        return Err(format!("{command:?}: {}\n{}", output.status, text.join("\n")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The engine's own account of a container, by the shortest way.
pub(crate) fn inspect(container: &str) -> Result<Value> {
    let mut socket = UnixStream::connect(SOCKET)?;
    // In HTTP/1.0 the reply is not cut into chunks and ends with the connection.
    write!(socket, "GET /containers/{container}/json HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut reply = String::new();
    socket.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("the engine's reply has no end")?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(format!("inspect {container}: {}", head.lines().next().unwrap_or_default()).into());
    }
    Ok(serde_json::from_str(body)?)
}

/// The first process of a running container.
pub(crate) fn pid(container: &str) -> Result<i32> {
    let inspected = inspect(container)?;
    let pid = inspected["State"]["Pid"].as_i64().filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| format!("{container} does not run"))?;
    Ok(i32::try_from(pid)?)
}

/// Kills a container's first process; how long it takes until another one runs in its place, in seconds.
pub(crate) fn kill_and_await(container: &str) -> Result<f64> {
    let old = pid(container)?;
    let began = Instant::now();
    kill(old, Signal::KILL)?;
    loop {
        // Between two runs, and on some engines while it starts, there is no process to tell.
        if pid(container).is_ok_and(|new| new != old) {
            return Ok(began.elapsed().as_secs_f64());
        }
        if began.elapsed() > Duration::from_secs(60) {
            return Err(format!("{container} did not come back").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
