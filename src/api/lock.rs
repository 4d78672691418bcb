//! One controller per project: an advisory lock that ends with the process, and who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{SeekFrom, ftruncate, seek};
use serde::{Deserialize, Serialize};

use crate::model::Time;

/// The single writer's lock. Released when dropped, and by the kernel whenever the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds the lock, for people; the lock itself decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// When it took the lock.
    pub started_at: Time,
}

impl Lock {
    /// Takes the lock, or returns `None` when another process has it.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub fn acquire(path: &Path, now: Time) -> io::Result<Option<Self>> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let holder = LockHolder { pid: std::process::id(), started_at: now };
        ftruncate(&file, 0)?;
        seek(&file, SeekFrom::Start(0))?;
        file.write_all(&serde_json::to_vec(&holder)?)?;
        Ok(Some(Self { _file: file }))
    }

    /// Who wrote itself into the lock file last. It may be gone.
    pub fn holder(path: &Path) -> Option<LockHolder> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_says_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("controller.lock");
        let first = Lock::acquire(&path, Time(1)).unwrap();
        assert!(first.is_some());
        assert!(Lock::acquire(&path, Time(2)).unwrap().is_none());
        assert_eq!(Lock::holder(&path), Some(LockHolder { pid: std::process::id(), started_at: Time(1) }));
        drop(first);
        assert!(Lock::acquire(&path, Time(3)).unwrap().is_some());
    }
}
