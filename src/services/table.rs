//! Small tables shared by all projects of a user: one JSON file each, private, changed under a lock.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{SeekFrom, ftruncate, seek};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads the table, lets `change` change it, and writes it back if it did. Others wait meanwhile.
///
/// A table that is not there or cannot be understood is empty: it only remembers choices that can be made again.
///
/// # Errors
///
/// The file cannot be made, read or written.
pub(super) fn update<T, R>(path: &Path, change: impl FnOnce(&mut T) -> R) -> std::io::Result<R>
where
    T: Clone + Default + DeserializeOwned + PartialEq + Serialize,
{
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file: File =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    // Held until the file is closed.
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut table: T = serde_json::from_str(&text).unwrap_or_default();
    let before = table.clone();
    let result = change(&mut table);
    if table != before {
        let text = serde_json::to_vec_pretty(&table)?;
        ftruncate(&file, 0)?;
        seek(&file, SeekFrom::Start(0))?;
        file.write_all(&text)?;
    }
    Ok(result)
}
