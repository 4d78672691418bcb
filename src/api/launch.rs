//! Reaching a project's controller, starting one in the background when there is none.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::client::{Client, ClientError};
use crate::controller::Handle;
use crate::model::Request;

/// What a started controller says on its standard output once it listens.
pub const READY: &str = "ready";
/// What it says when another one holds the project's lock.
pub const LOCKED: &str = "locked";

/// How long a controller may take to listen, or to go away.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to start a controller.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program: this one.
    pub program: PathBuf,
    /// Arguments that make it this project's controller.
    pub arguments: Vec<OsString>,
    /// Its socket.
    pub socket: PathBuf,
    /// Where its log goes (mode 0600, appended).
    pub log: PathBuf,
    /// This program's version; an older controller is replaced.
    pub version: &'static str,
}

/// Why there is no controller.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// It cannot be spoken to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It cannot be started.
    #[error("cannot start the controller: {0}")]
    Spawn(#[from] io::Error),
    /// It ended before it listened.
    #[error("the controller could not start: {message}")]
    Failed {
        /// Its own words.
        message: String,
    },
    /// It neither listens nor ends.
    #[error("the controller did not start within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// Connects to the project's controller, starting it when none runs and replacing one of an older version. Two
/// commands that do this at once end up with the same controller.
///
/// # Errors
///
/// It cannot be started or spoken to.
pub async fn connect_or_start(launch: &Launch) -> Result<Handle, LaunchError> {
    let client = Client::new(&launch.socket);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.connect().await {
            Ok(handle) => {
                let version = handle.snapshots().borrow().controller.version.clone();
                if !is_older(&version, launch.version) {
                    return Ok(handle);
                }
                // Between two passes: containers and runs are not touched. It may be gone before it answers.
                let _gone = client.request(&Request::Shutdown {}).await;
            }
            Err(ClientError::NotRunning) => {
                if start(launch).await? {
                    continue;
                }
            }
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Timeout);
        }
        // Another process is starting or ending one; it tells nobody else when it is done.
        sleep(Duration::from_millis(20)).await;
    }
}

/// Starts a controller and waits until it listens; false when another process has the lock.
async fn start(launch: &Launch) -> Result<bool, LaunchError> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&launch.log)?;
    let mut child = Command::new(&launch.program)
        .args(&launch.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(false)
        .spawn()?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        // It closes its output once it has said how it went.
        let reading = timeout(PATIENCE, output.read_to_string(&mut said)).await;
        reading.map_err(|_elapsed| LaunchError::Timeout)??;
    }
    match said.trim() {
        READY => Ok(true),
        LOCKED => Ok(false),
        "" => Err(LaunchError::Failed { message: format!("it ended at once; see {}", launch.log.display()) }),
        message => Err(LaunchError::Failed { message: message.to_owned() }),
    }
}

/// Tells whoever started this process how it went, and closes the channel. Called by the started controller.
///
/// # Errors
///
/// Standard output failed; whoever waited is gone.
pub async fn announce(message: &str) -> io::Result<()> {
    let mut output = tokio::io::stdout();
    output.write_all(message.as_bytes()).await?;
    output.flush().await?;
    // The reader waits for the end of the stream, so the descriptor itself has to go.
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// Whether version `a` is older than `b`, by their numbers.
fn is_older(a: &str, b: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
    };
    numbers(a) < numbers(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(is_older("0.9.0", "0.10.0"));
        assert!(!is_older("0.10.0", "0.10.0"));
        assert!(!is_older("1.0.0", "0.10.0"));
    }
}
