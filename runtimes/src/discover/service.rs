//! A Podman service for this user, where Podman is installed and nobody runs one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::connect::identify;
use super::{Endpoint, Env};
use crate::{EngineKind, Error, ErrorKind, Result};

const START: &str = "start the Podman service at";

/// How long the service stays without a request. An open event stream counts as one, so it lives as long as a
/// controller listens.
const IDLE_SECONDS: u32 = 600;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the service listens: a socket of our own, so that nobody else's is replaced.
pub(super) fn socket(env: &Env) -> PathBuf {
    env.runtime_dir().join("tanuki/podman.sock")
}

/// Whether the `podman` program is on the search path.
pub(super) fn installed(env: &Env) -> bool {
    program(env).is_some()
}

fn program(env: &Env) -> Option<PathBuf> {
    let path = env.variable("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join("podman")).find(|file| (env.exists)(file))
}

/// Starts `podman system service` for this user on a private socket and returns once it answers; one that answers
/// already is used. The service ends by itself when nobody has used it for ten minutes.
///
/// Two callers at once start one. [`ErrorKind::Unsupported`] where Podman is not installed.
pub async fn start_podman_service(env: &Env) -> Result<Endpoint> {
    let socket = socket(env);
    let url = format!("unix://{}", socket.display());
    let fail = |kind: ErrorKind, detail: &dyn std::fmt::Display| Error::new(kind, START, &url, detail);
    let program = program(env).ok_or_else(|| fail(ErrorKind::Unsupported, &"podman is not installed"))?;
    let endpoint = Endpoint {
        kind: EngineKind::Podman,
        url: url.clone(),
        source: "Podman service of Tanuki".to_owned(),
    };
    timeout(PATIENCE, start(&program, &socket, &endpoint))
        .await
        .map_err(|_elapsed| fail(ErrorKind::Timeout, &"it did not answer in time"))?
        .map_err(|error| fail(ErrorKind::Unavailable, &error))?;
    Ok(endpoint)
}

async fn start(program: &Path, socket: &Path, endpoint: &Endpoint) -> Result<(), String> {
    let directory = socket.parent().ok_or("the socket has no directory")?;
    let said = |what: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", what.display());
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory).map_err(|error| said(directory, &error))?;
    let lock_path = directory.join("podman.lock");
    let lock = rustix::fs::open(
        &lock_path,
        OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )
    .map_err(|error| said(&lock_path, &error))?;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) => sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(said(&lock_path, &error)),
        }
    }
    if identify(endpoint).await.is_ok() {
        return Ok(());
    }
    // A dead socket keeps older services from listening.
    match std::fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(said(socket, &error)),
    }
    let mut child = Command::new(program)
        .args(["system", "service"])
        .arg(format!("--time={IDLE_SECONDS}"))
        .arg(&endpoint.url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // It outlives this program, and an interrupt at the terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(|error| said(program, &error))?;
    loop {
        if identify(endpoint).await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("podman system service ended with {status}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
