//! Programs that a test runs: always under a time limit, always with their output captured.

use std::fmt;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run, for messages.
    pub line: String,
    /// Its exit code; 128 plus the signal's number when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, code, stdout, stderr, took } = self;
        write!(f, "`{line}` ended with {code} after {took:.1?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

impl Outcome {
    /// Itself, when it ended with this code.
    #[must_use]
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert!(self.code == code, "wanted exit code {code}: {self}");
        self
    }

    /// Itself, when it did what it was asked.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Checks that a person is told this, on either stream.
    #[must_use]
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "wanted '{text}': {self}");
        self
    }

    /// Checks that a person is not told this, on either stream.
    #[must_use]
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "unwanted '{text}': {self}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

/// Runs a program with nothing, or this, on its standard input. One that does not end within `limit` is killed, and
/// fails the test.
#[track_caller]
pub fn run(command: Command, input: Option<&str>, limit: Duration) -> impl Future<Output = Outcome> + use<> {
    let line = line(&command);
    let input = input.map(ToOwned::to_owned);
    async move {
        match try_run(command, input, limit).await {
            Ok(outcome) => outcome,
            Err(error) => panic!("`{line}`: {error}"),
        }
    }
}

async fn try_run(mut command: Command, input: Option<String>, limit: Duration) -> Result<Outcome, String> {
    let line = line(&command);
    let began = Instant::now();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let stdin = child.stdin.take();
    let feed = async {
        if let (Some(input), Some(mut stdin)) = (input, stdin) {
            // One that ends without reading all of it is judged by how it ends.
            let _unread = stdin.write_all(input.as_bytes()).await;
        }
    };
    // At once: a program that answers while it reads must not wait for us.
    let ended = timeout(limit, async { tokio::join!(child.wait_with_output(), feed).0 }).await;
    let Output { status, stdout, stderr } = ended
        .map_err(|_elapsed| format!("still runs after {limit:?}"))?
        .map_err(|error| error.to_string())?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok(Outcome {
        line,
        code: status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        took: began.elapsed(),
    })
}

fn line(command: &Command) -> String {
    let command = command.as_std();
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
