//! Task files in a checkout that moves: what Tanuki itself wrote into them stands in nobody's way, and stays.
//!
//! A file that the move does not change is left alone. One that it changes gets its new text under the lines that are
//! there now, and its new content in the index, before git moves the rest; git leaves a file alone whose index has the
//! new content already. A controller that is killed in between has lost nothing, and does the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::{GitError, Repository};
use crate::model::{same_but_for_status, with_status_of};

/// Larger files are no tasks.
const LARGEST: u64 = 1 << 20;

/// Task files whose changes are Tanuki's own.
#[derive(Debug, Default)]
pub(super) struct Ours {
    /// All of them, relative to the repository.
    pub(super) files: BTreeSet<String>,
    /// Those that the move changes too.
    carried: Vec<Carried>,
}

#[derive(Debug)]
struct Carried {
    file: String,
    /// What it was when it was read.
    seen: (u64, u64, i64, i64),
    was: String,
    text: String,
}

fn stamp(metadata: &Metadata) -> (u64, u64, i64, i64) {
    (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

impl Repository {
    /// Task files of a checkout that have only Tanuki's own changes, among those that are `dirty` and those that a move
    /// from `old` to `new` changes.
    pub(super) async fn ours(
        &self,
        checkout: &Path,
        (old, new): (&str, &str),
        dirty: &[String],
        changed: &[(String, String)],
    ) -> Result<Ours, GitError> {
        let Some(tasks) = self.tasks() else { return Ok(Ours::default()) };
        let is_task = |file: &&str| {
            let path = Path::new(file);
            path.starts_with(tasks) && path.extension().is_some_and(|end| end == "md") && !file.contains('\n')
        };
        let modified: BTreeSet<&str> = changed
            .iter()
            .filter(|(kind, _)| kind == "M")
            .map(|(_, path)| path.as_str())
            .filter(is_task)
            .collect();
        let elsewise: BTreeSet<&str> =
            changed.iter().map(|(_, path)| path.as_str()).filter(|path| !modified.contains(path)).collect();
        let dirty: BTreeSet<&str> = dirty
            .iter()
            .map(String::as_str)
            .filter(is_task)
            .filter(|path| !elsewise.contains(path))
            .collect();
        let files: Vec<&str> = modified.union(&dirty).copied().collect();
        let mut ours = Ours::default();
        if files.is_empty() {
            return Ok(ours);
        }
        let names = files
            .iter()
            .flat_map(|file| [format!("{old}:{file}"), format!("{new}:{file}"), format!(":{file}")]);
        let texts = texts(checkout, &names.collect::<Vec<_>>()).await?;
        for file in files {
            let text = |name: String| texts.get(&name).map(String::as_str);
            let (before, after, index) =
                (text(format!("{old}:{file}")), text(format!("{new}:{file}")), text(format!(":{file}")));
            let (Some(before), Some(index), Some((seen, now))) = (before, index, read(&checkout.join(file)))
            else {
                continue;
            };
            if !modified.contains(file) {
                if same_but_for_status(before, &now) && same_but_for_status(before, index) {
                    ours.files.insert(file.to_owned());
                }
                continue;
            }
            let Some(after) = after else { continue };
            let own = |text: &str| same_but_for_status(before, text) || same_but_for_status(after, text);
            let Some(text) = with_status_of(after, &now) else { continue };
            if own(&now) && own(index) && (text != *after || dirty.contains(file)) {
                ours.files.insert(file.to_owned());
                ours.carried.push(Carried { file: file.to_owned(), seen, was: now, text });
            }
        }
        Ok(ours)
    }

    /// Gives the files that the move changes their new text, and the index their new content.
    ///
    /// # Errors
    ///
    /// One was changed meanwhile, or cannot be written.
    pub(super) async fn carry(&self, checkout: &Path, new: &str, ours: &Ours) -> Result<(), GitError> {
        if ours.carried.is_empty() {
            return Ok(());
        }
        for carried in ours.carried.iter().filter(|carried| carried.text != carried.was) {
            replace(&checkout.join(&carried.file), carried)?;
        }
        index(checkout, new, ours).await
    }

    /// Takes [`Repository::carry`] back, as far as it got.
    ///
    /// # Errors
    ///
    /// A file or the index cannot be written.
    pub(super) async fn carry_back(&self, checkout: &Path, old: &str, ours: &Ours) -> Result<(), GitError> {
        if ours.carried.is_empty() {
            return Ok(());
        }
        for carried in &ours.carried {
            let path = checkout.join(&carried.file);
            // What somebody wrote since stays.
            let Some((seen, _)) = read(&path).filter(|(_, text)| *text == carried.text) else { continue };
            let back =
                Carried { file: carried.file.clone(), seen, was: String::new(), text: carried.was.clone() };
            replace(&path, &back)?;
        }
        index(checkout, old, ours).await
    }
}

/// Lets the index say of the carried files what a commit has.
async fn index(checkout: &Path, commit: &str, ours: &Ours) -> Result<(), GitError> {
    let files = ours.carried.iter().map(|carried| carried.file.as_str());
    let entries = Git::new("ls-tree").args(["-z", "--full-tree", commit, "--"]).args(files);
    let entries = entries.within(checkout).run().await?.stdout;
    Git::new("update-index").args(["-z", "--index-info"]).within(checkout).stdin(entries).run().await?;
    Ok(())
}

/// The content of objects by name; what is not there, or is no text, is left out.
async fn texts(checkout: &Path, names: &[String]) -> Result<BTreeMap<String, String>, GitError> {
    let input = names.join("\n") + "\n";
    let output = Git::new("cat-file").arg("--batch").within(checkout).stdin(input).run().await?.stdout;
    let mut found = BTreeMap::new();
    let mut rest = output.as_slice();
    for name in names {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let mut words = head.rsplit(' ');
        // `<id> blob <size>`, or `<name> missing`.
        let (Some(Ok(size)), Some("blob")) = (words.next().map(str::parse::<usize>), words.next()) else {
            continue;
        };
        if rest.len() <= size {
            break;
        }
        if let Ok(text) = std::str::from_utf8(&rest[..size]) {
            found.insert(name.clone(), text.to_owned());
        }
        rest = &rest[size + 1..];
    }
    Ok(found)
}

/// A file as it is, with what tells whether it still is so.
fn read(path: &Path) -> Option<((u64, u64, i64, i64), String)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    Some((stamp(&metadata), fs::read_to_string(path).ok()?))
}

fn replace(path: &Path, carried: &Carried) -> Result<(), GitError> {
    let io = |source| GitError::io(format!("write {}", path.display()), source);
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut file =
        tempfile::Builder::new().prefix(".tanuki-").suffix(".tmp").tempfile_in(directory).map_err(io)?;
    file.write_all(carried.text.as_bytes()).map_err(io)?;
    let now = fs::symlink_metadata(path).map_err(io)?;
    file.as_file().set_permissions(now.permissions()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    if stamp(&fs::symlink_metadata(path).map_err(io)?) != carried.seen {
        return Err(GitError::Moved { reference: carried.file.clone() });
    }
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}
