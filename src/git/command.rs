//! One git process: what it may read of the surroundings, how long it may take, how much it may say.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::GitError;

/// Enough for anything that looks.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Most bytes of output kept, unless said otherwise.
const LIMIT: usize = 64 << 20;

/// Most bytes of errors kept.
pub(super) const STDERR_LIMIT: usize = 16 << 10;

/// All that git gets of the controller's environment: nothing that changes what git does.
const PASSED_ON: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];

/// What every git is told, over any configuration.
const ALWAYS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("advice.detachedHead", "false"),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "never"),
];

/// A git command to be.
#[derive(Debug)]
pub(super) struct Git {
    command: Command,
    /// For messages: `git merge-tree`.
    name: String,
    config: Vec<(String, String)>,
    stdin: Vec<u8>,
    timeout: Duration,
    limit: usize,
    survives: bool,
}

/// How a git command ended.
#[derive(Debug)]
pub(super) struct Output {
    /// Its exit code; -1 where a signal ended it.
    pub(super) code: i32,
    /// What it printed.
    pub(super) stdout: Vec<u8>,
    /// What it said of errors.
    pub(super) stderr: String,
    /// Whether output was cut.
    pub(super) truncated: bool,
}

impl Output {
    /// What it printed, without the end of line.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Parts of its output that end with a zero byte.
    pub(super) fn fields(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stdout);
        text.split_terminator('\0').map(str::to_owned).collect()
    }
}

impl Git {
    /// A command, for example `Git::new("rev-parse")`.
    pub(super) fn new(subcommand: &str) -> Self {
        let mut command = Command::new("git");
        command.env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_PAGER", "cat")
            .env("GIT_EDITOR", "true")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .arg("--no-pager")
            .arg(subcommand);
        Self {
            command,
            name: format!("git {subcommand}"),
            config: ALWAYS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            stdin: Vec::new(),
            timeout: TIMEOUT,
            limit: LIMIT,
            survives: false,
        }
    }

    /// Runs it there.
    pub(super) fn within(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Lets it read no configuration of the user or the machine.
    pub(super) fn unconfigured(self) -> Self {
        self.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(super) fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets a value over any configuration. Not by `-c`, which cannot take every name.
    pub(super) fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// What it reads.
    pub(super) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// How long it may take.
    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How much output is kept; the rest is cut.
    pub(super) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Lets it go on to its end, whatever becomes of who waits for it.
    pub(super) fn survives(mut self) -> Self {
        self.survives = true;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// It could not be started, or did not end in time. Not: that it failed.
    pub(super) async fn output(self) -> Result<Output, GitError> {
        let (name, timeout, limit) = (self.name.clone(), self.timeout, self.limit);
        let stdin = self.stdin.clone();
        let mut running = self.spawn()?;
        let io = |error| GitError::io(format!("talk to {name}"), error);
        let work = async {
            let (mut input, out, err) =
                (running.child.stdin.take(), running.child.stdout.take(), running.child.stderr.take());
            let feed = async {
                if let Some(input) = &mut input {
                    // One that has read enough may end first.
                    drop(input.write_all(&stdin).await);
                    drop(input.shutdown().await);
                }
                drop(input.take());
            };
            let ((), stdout, stderr) = tokio::join!(feed, read(out, limit), read(err, STDERR_LIMIT));
            let (stdout, truncated) = stdout.map_err(io)?;
            let (mut stderr, _cut) = stderr.map_err(io)?;
            let status = running.child.wait().await.map_err(io)?;
            if let Some(said) = &mut running.said {
                stderr = words(said).map_err(io)?;
            }
            let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
            Ok(Output { code: status.code().unwrap_or(-1), stdout, stderr, truncated })
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(output) => output,
            Err(_elapsed) => Err(GitError::TimedOut { command: name, seconds: timeout.as_secs() }),
        }
    }

    /// Starts it; what it says is read by the caller.
    pub(super) fn spawn(mut self) -> Result<Running, GitError> {
        self.command.env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (index, (key, value)) in self.config.iter().enumerate() {
            self.command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        let piped = if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        let (mut stdout, mut stderr, mut said) = (Stdio::piped(), Stdio::piped(), None);
        if self.survives {
            // A pipe that nobody reads any more would end it at its first word.
            let file = tempfile::tempfile().and_then(|file| Ok((file.try_clone()?, file)));
            let (own, its) =
                file.map_err(|error| GitError::io(format!("keep what {} says", self.name), error))?;
            (stdout, stderr, said) = (Stdio::null(), Stdio::from(its), Some(own));
        }
        let child = self
            .command
            .stdin(piped)
            .stdout(stdout)
            .stderr(stderr)
            // Ctrl-C in the user's terminal is not meant for it, and what it starts ends with it.
            .process_group(0)
            .spawn()
            .map_err(|error| GitError::io(format!("start {}", self.name), error))?;
        Ok(Running { child, said })
    }

    /// Runs it to its end, which has to be good.
    ///
    /// # Errors
    ///
    /// Also that it failed.
    pub(super) async fn run(self) -> Result<Output, GitError> {
        let name = self.name.clone();
        let output = self.output().await?;
        if output.code == 0 || output.truncated {
            return Ok(output);
        }
        Err(failed(&name, output.code, &output.stderr))
    }

    /// Runs it, and gives what it printed.
    pub(super) async fn text(self) -> Result<String, GitError> {
        Ok(self.run().await?.text())
    }
}

/// A git process, which is killed with all it has started when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    /// What a process that survives says goes here.
    said: Option<File>,
}

impl Running {
    /// Ends it and what it has started.
    pub(super) fn kill(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = pid.and_then(rustix::process::Pid::from_raw) {
            // It may have ended just now.
            _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Running {
    /// Lets it, and what it starts from now on, have so much memory of its own.
    #[cfg(target_os = "linux")]
    pub(super) fn bound_memory(&self, bytes: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if pid.is_some() {
            // It may have ended already.
            _ = prlimit(pid, Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) });
        }
    }

    /// Nothing bounds another process's memory here; its time and its files are bounded all the same.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn bound_memory(&self, _bytes: u64) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without an id it was waited for, and its number may be another's by now.
        if self.said.is_none() {
            self.kill();
        }
    }
}

/// The beginning of what a process wrote into a file.
fn words(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    let most = u64::try_from(STDERR_LIMIT).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What git says of every connection that ends early, after the reason.
const NOISE: &[&str] = &[
    "Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
];

/// That a command failed, in its own words.
pub(super) fn failed(name: &str, code: i32, stderr: &str) -> GitError {
    let said: Vec<&str> = stderr
        .lines()
        .map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: "))
        .filter(|line| !line.is_empty() && !line.starts_with("hint:") && !NOISE.contains(line))
        .collect();
    let stderr = if said.is_empty() { format!("exit code {code}") } else { said.join("; ") };
    GitError::Failed { command: name.to_owned(), stderr }
}

/// Reads to the end, or to the limit; tells whether that was it.
pub(super) async fn read(
    from: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return Ok((bytes, false)) };
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut bounded = from.take(most.saturating_add(1));
    bounded.read_to_end(&mut bytes).await?;
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    Ok((bytes, truncated))
}
