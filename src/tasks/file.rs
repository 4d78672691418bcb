//! Task files on disk: found, read within bounds, and changed in one step.
//!
//! One bad file never hides another: it becomes a problem with its name and line. A file is replaced by renaming a
//! complete new one over it, with the same mode, and only if it still is the one that was read.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::front::{self, Flaw, Front, Parsed};
use crate::model::{FileProblem, TaskState};

/// Largest file that is read.
const FILE_LIMIT: u64 = 1 << 20;
/// Most task files of a project.
const FILES: usize = 20_000;
/// How deep folders are followed.
const DEPTH: usize = 12;

/// A task as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFile {
    /// Relative to the project.
    pub file: String,
    /// The subfolder of the tasks' directory; empty at the top.
    pub project: String,
    /// What it says.
    pub front: Front,
    /// The prompt.
    pub body: String,
    /// What is wrong with it, if anything: nobody is given such a task.
    pub flawed: Option<String>,
    /// Lines of keys that can turn out to be wrong later.
    pub lines: BTreeMap<&'static str, u32>,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Tasks by file name; ids may be double.
    pub tasks: Vec<Arc<TaskFile>>,
    /// What is wrong.
    pub problems: Vec<FileProblem>,
    /// A directory could not be read: what is not here may still be there.
    pub partial: bool,
}

/// What tells that a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[derive(Debug, Clone)]
struct Known {
    stamp: Stamp,
    task: Option<Arc<TaskFile>>,
    problems: Vec<FileProblem>,
}

/// Reads the tasks' directory again and again, and each file only when it changed.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    known: BTreeMap<PathBuf, Known>,
}

impl Folder {
    /// The project's directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root, known: BTreeMap::new() }
    }

    /// Reads everything below `dir`, relative to the project. A directory that is not there has no tasks.
    pub fn scan(&mut self, dir: &Path) -> Found {
        let mut walk = Walk {
            root: &self.root,
            known: std::mem::take(&mut self.known),
            next: BTreeMap::new(),
            problems: Vec::new(),
            full: false,
            partial: false,
        };
        walk.directory(dir, "", 0);
        let Walk { next, problems, partial, .. } = walk;
        let mut found = Found { tasks: Vec::new(), problems, partial };
        for known in next.values() {
            found.tasks.extend(known.task.clone());
            found.problems.extend(known.problems.iter().cloned());
        }
        self.known = next;
        found
    }
}

struct Walk<'r> {
    root: &'r Path,
    known: BTreeMap<PathBuf, Known>,
    next: BTreeMap<PathBuf, Known>,
    problems: Vec<FileProblem>,
    full: bool,
    partial: bool,
}

impl Walk<'_> {
    fn problem(&mut self, file: &Path, flaw: Flaw) {
        self.problems.push(problem(&file.display().to_string(), flaw));
    }

    fn directory(&mut self, dir: &Path, project: &str, depth: usize) {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                self.partial = true;
                return self.problem(
                    dir,
                    Flaw::whole(format!("cannot read the directory: {error}"), "check its permissions"),
                );
            }
        };
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            let Some(text) = name.to_str() else {
                self.problem(&dir.join(&name), Flaw::whole("the name of the file is not UTF-8", "rename it"));
                continue;
            };
            if text.starts_with('.') {
                continue;
            }
            let path = dir.join(text);
            let is_task = Path::new(text).extension().is_some_and(|extension| extension == "md");
            let kind = fs::symlink_metadata(self.root.join(&path)).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() && is_task => {
                    self.problem(
                        &path,
                        Flaw::whole("a task's file is a directory", "rename it: only files end in .md"),
                    );
                }
                Ok(kind) if kind.is_dir() => {
                    if depth >= DEPTH {
                        self.problem(&path, Flaw::whole("folders are too deep here", "move them further up"));
                        continue;
                    }
                    let project = if project.is_empty() { text } else { project };
                    self.directory(&path, project, depth + 1);
                }
                _ if is_task => self.file(path, project),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: PathBuf, project: &str) {
        if self.next.len() >= FILES {
            if !std::mem::replace(&mut self.full, true) {
                let flaw =
                    Flaw::whole(format!("there are more than {FILES} task files"), "the rest is not read");
                self.problem(&path, flaw);
            }
            return;
        }
        let full = self.root.join(&path);
        let metadata = match fs::metadata(&full) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => {
                return self.problem(&path, Flaw::whole("this is not a file", "task files are plain files"));
            }
            Err(error) => {
                return self
                    .problem(&path, Flaw::whole(format!("cannot read it: {error}"), "check the file"));
            }
        };
        let stamp = Stamp::of(&metadata);
        let old = self.known.remove(&path);
        if let Some(old) = old.as_ref().filter(|old| old.stamp == stamp) {
            self.next.insert(path, old.clone());
            return;
        }
        let (text, unreadable) = match read(&full) {
            Ok(text) => (text, None),
            Err(Unreadable::Flaw(flaw, text)) => (text, Some(flaw)),
            Err(Unreadable::Io(error)) => {
                let flaw = Flaw::whole(format!("cannot read it: {error}"), "check its permissions");
                return self.keep(path, stamp, old, None, vec![flaw]);
            }
        };
        let Parsed { front, body, flaws } = front::parse(&text);
        let flaws: Vec<Flaw> = unreadable.into_iter().chain(flaws).collect();
        let lines = ["id", "depends_on", "role"].map(|key| (key, front::line_of(&text, key)));
        let task = front.map(|front| TaskFile {
            file: path.display().to_string(),
            project: project.to_owned(),
            front,
            body,
            flawed: None,
            lines: BTreeMap::from(lines),
        });
        self.keep(path, stamp, old, task, flaws);
    }

    fn keep(
        &mut self,
        path: PathBuf,
        stamp: Stamp,
        old: Option<Known>,
        task: Option<TaskFile>,
        flaws: Vec<Flaw>,
    ) {
        let name = path.display().to_string();
        let flawed = flaws.first().map(|flaw| flaw.message.clone());
        // Somebody may be in the middle of an edit: the task is still there, as it last was.
        let task = task.or_else(|| old.and_then(|old| old.task).map(|task| TaskFile::clone(&task)));
        let task = task.map(|task| Arc::new(TaskFile { flawed, ..task }));
        let problems = flaws.into_iter().map(|flaw| problem(&name, flaw)).collect();
        self.next.insert(path, Known { stamp, task, problems });
    }
}

fn problem(file: &str, flaw: Flaw) -> FileProblem {
    FileProblem { file: file.to_owned(), line: flaw.line, message: flaw.message, help: flaw.help }
}

enum Unreadable {
    Io(std::io::Error),
    /// What is wrong, and what could be read of the beginning.
    Flaw(Flaw, String),
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let file = fs::File::open(path).map_err(Unreadable::Io)?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    let too_large = bytes.len() as u64 > FILE_LIMIT;
    bytes.truncate(usize::try_from(FILE_LIMIT).unwrap_or(usize::MAX));
    match String::from_utf8(bytes) {
        Ok(text) if too_large => {
            let flaw = Flaw::whole(
                "the file is larger than 1 MiB",
                "shorten it: an agent can read other files itself",
            );
            Err(Unreadable::Flaw(flaw, text))
        }
        Ok(text) => Ok(text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let text = String::from_utf8_lossy(&bytes[..good]).into_owned();
            let line = u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1);
            let flaw = if too_large {
                Flaw::whole(
                    "the file is larger than 1 MiB",
                    "shorten it: an agent can read other files itself",
                )
            } else {
                Flaw::at(line, "the file is not UTF-8", "save it as UTF-8")
            };
            Err(Unreadable::Flaw(flaw, text))
        }
    }
}

/// Why a file was not changed.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Somebody changed it meanwhile: look again.
    #[error("{file} changed meanwhile")]
    Changed {
        /// The file.
        file: String,
    },
    /// It is written in a way that cannot be changed by a line.
    #[error("cannot change {file}: {why}")]
    Refused {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The file system failed.
    #[error("cannot write {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Sets status and agent of the task in `file`, as long as they are still what was seen.
///
/// # Errors
///
/// See [`WriteError`]; the file is then as it was.
pub fn write(root: &Path, seen: &TaskFile, status: TaskState, agent: Option<&str>) -> Result<(), WriteError> {
    let file = seen.file.clone();
    let io = |source| WriteError::Io { file: seen.file.clone(), source };
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(root.join(&file)).map_err(io)?;
    let before = fs::metadata(&path).map_err(io)?;
    let text = match read(&path) {
        Ok(text) => text,
        Err(Unreadable::Io(source)) => return Err(io(source)),
        Err(Unreadable::Flaw(flaw, _)) => return Err(WriteError::Refused { file, why: flaw.message }),
    };
    let now = front::parse(&text).front;
    let same = now.as_ref().is_some_and(|now| {
        (&now.id, now.status, &now.assigned_to)
            == (&seen.front.id, seen.front.status, &seen.front.assigned_to)
    });
    if !same {
        return Err(WriteError::Changed { file });
    }
    // A status that is left out means pending: nothing is added to say so.
    let status = (status != seen.front.status).then(|| ("status", Some(status.word())));
    let agent = (agent != seen.front.assigned_to.as_deref()).then_some(("assigned_to", agent));
    let changes: Vec<(&str, Option<&str>)> = status.into_iter().chain(agent).collect();
    let edited = front::edit(&text, &changes)
        .map_err(|refused| WriteError::Refused { file: seen.file.clone(), why: refused.0 })?;
    if edited == text {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(root);
    let mut new =
        tempfile::Builder::new().prefix(".tanuki-").suffix(".tmp").tempfile_in(directory).map_err(io)?;
    new.write_all(edited.as_bytes()).map_err(io)?;
    new.as_file().set_permissions(before.permissions()).map_err(io)?;
    new.as_file().sync_all().map_err(io)?;
    let still = fs::metadata(&path).map_err(io)?;
    if Stamp::of(&still) != Stamp::of(&before) {
        return Err(WriteError::Changed { file });
    }
    new.persist(&path).map_err(|error| io(error.error))?;
    Ok(())
}
