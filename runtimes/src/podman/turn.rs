//! One create at a time whose container keeps its user's ids, on a rootless Podman.
//!
//! Podman 4 looks these ids up in a way that two requests at once crash (libsubid, a segmentation fault of the whole
//! service), whoever sends them. So those of one process take turns, and those of all processes of a user: by a lock of
//! the kernel on the directory of the engine's socket, which ends with whoever has it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

/// How often another process's turn is asked to be over.
const POLL: Duration = Duration::from_millis(10);
/// A process that was stopped in the middle of its turn must not keep the others for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whose turn it is in this process.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<()>);

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _here: MutexGuard<'a, ()>,
    _everywhere: Option<File>,
}

impl Turns {
    /// Waits for a turn. `socket` is the engine's, where it is on this machine; where its directory cannot be locked,
    /// only this process's own requests take turns. `None` when nobody gets on.
    pub(super) async fn take(&self, socket: Option<&Path>) -> Option<Turn<'_>> {
        let here = self.0.lock().await;
        let directory = socket.and_then(Path::parent).and_then(|directory| File::open(directory).ok());
        let Some(directory) = directory else { return Some(Turn { _here: here, _everywhere: None }) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match directory.try_lock() {
                Ok(()) => return Some(Turn { _here: here, _everywhere: Some(directory) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL).await,
                Err(TryLockError::WouldBlock) => return None,
                Err(TryLockError::Error(_)) => return Some(Turn { _here: here, _everywhere: None }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_processes_take_turns_for_one_engine_only() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let socket = one.path().join("podman.sock");
        // Each has its own, as processes do; a lock belongs to the file as it was opened.
        let (first, second) = (Turns::default(), Turns::default());
        let turn = first.take(Some(&socket)).await.unwrap();
        assert!(second.take(Some(&other.path().join("podman.sock"))).await.is_some());
        assert!(second.take(Some(&socket)).await.is_none(), "both have a turn");
        drop(turn);
        assert!(second.take(Some(&socket)).await.is_some());
        assert!(second.take(Some(Path::new("/nowhere/at/all.sock"))).await.is_some());
    }
}
