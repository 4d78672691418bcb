//! Moves of a checkout that were cut off: a machine that lost its power, a git that was killed with its controller.
//!
//! While the checkout of a branch is moved, `refs/tanuki/moving/{from,to}/<branch>` say what is going on. Who finds them
//! with nobody at work looks how far it came. Git writes files first, then the index, then the branch: where the index
//! is moved the rest is finished, and before that the files that were written are taken back. A file that is neither as it
//! was nor as it was to be is the user's: then nothing is touched, and the user is told. Task files say nothing here: what
//! stands in them before git begins is as good as what stood there before (`carry`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::{GitError, Repository};

const FROM: &str = "refs/tanuki/moving/from/";
const TO: &str = "refs/tanuki/moving/to/";

/// A move that was found half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The branch, as `main`.
    pub branch: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a move that was found half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was not half done: nothing had begun, or all was over.
    Whole,
    /// Its git is still at work.
    Busy,
    /// It was finished.
    Finished,
    /// Files and branch are as they were before; so many files were written back.
    TakenBack(usize),
    /// Nothing was touched: why, for people.
    Stuck(String),
}

impl Repository {
    /// The references that say that a branch is being moved, as changes.
    pub(super) fn moving(branch: &str) -> (String, String) {
        let short = branch.trim_start_matches("refs/heads/");
        (format!("{FROM}{short}"), format!("{TO}{short}"))
    }

    /// Nothing is moving this branch any more.
    pub(super) async fn moved(&self, branch: &str) -> Result<(), GitError> {
        let (from, to) = Self::moving(branch);
        self.transact("tanuki: moved", &[(&from, None, None), (&to, None, None)]).await
    }

    /// Finishes moves that were cut off, or takes them back. What was found.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn mend_moves(&self) -> Result<Vec<Mended>, GitError> {
        let _one_at_a_time = self.moves().lock().await;
        let mut found = Vec::new();
        for (reference, _) in self.references(FROM).await? {
            let branch = reference.trim_start_matches(FROM).to_owned();
            if let Some(outcome) = self.mend_move(&format!("refs/heads/{branch}")).await? {
                found.push(Mended { branch, outcome });
            }
        }
        Ok(found)
    }

    /// The same for one branch, by whoever moves branches now; `None` where nothing was moving it.
    pub(super) async fn mend_move(&self, branch: &str) -> Result<Option<Outcome>, GitError> {
        let (from, to) = Self::moving(branch);
        let Some(old) = self.commit(&from).await? else { return Ok(None) };
        let Some(new) = self.commit(&to).await? else { return Ok(None) };
        let outcome = self.how_far(branch, &old, &new).await?;
        if !matches!(outcome, Outcome::Busy | Outcome::Stuck(_)) {
            self.moved(branch).await?;
        }
        Ok(Some(outcome))
    }

    async fn how_far(&self, branch: &str, old: &str, new: &str) -> Result<Outcome, GitError> {
        let at = self.commit(branch).await?;
        let checkouts = self.checkouts(branch).await?;
        let [checkout] = checkouts.as_slice() else { return Ok(Outcome::Whole) };
        for lock in self.locks(checkout, branch).await? {
            if lock.exists() {
                // A `git commit` that waits for an editor holds its lock without having it open.
                if is_open(&lock) || git_works_in(checkout) {
                    return Ok(Outcome::Busy);
                }
                fs::remove_file(&lock)
                    .map_err(|error| GitError::io(format!("remove {}", lock.display()), error))?;
            }
        }
        // The branch comes last; one that is elsewhere was moved by somebody who has seen how things are.
        if at.as_deref() != Some(old) {
            return Ok(Outcome::Whole);
        }
        let mut changed = self.changed_paths(old, new).await?;
        let only_tasks = changed.iter().all(|(_, path)| self.is_task(path));
        if !only_tasks {
            changed.retain(|(_, path)| !self.is_task(path));
        }
        let paths: BTreeSet<&str> = changed.iter().map(|(_, path)| path.as_str()).collect();
        let differs = async |from: &str| -> Result<bool, GitError> {
            let git =
                Git::new("diff-index").args(["--cached", "--no-renames", "--name-only", "-z", from, "--"]);
            let fields = git.within(checkout).run().await?.fields();
            Ok(fields.iter().any(|path| paths.contains(path.as_str())))
        };
        if !differs(new).await? {
            self.transact("tanuki: merge, finished", &[(branch, Some(new), Some(old))]).await?;
            return Ok(Outcome::Finished);
        }
        if only_tasks {
            return Ok(Outcome::Whole);
        }
        if differs(old).await? {
            return Ok(Outcome::Stuck("its index is neither as before nor as after".to_owned()));
        }
        self.take_back(checkout, &changed, new).await
    }

    /// Writes back the files that differ from the index, which is as before the move.
    async fn take_back(
        &self,
        checkout: &Path,
        changed: &[(String, String)],
        new: &str,
    ) -> Result<Outcome, GitError> {
        Git::new("update-index").args(["-q", "--refresh"]).within(checkout).output().await?;
        let git = Git::new("diff-files").args(["--no-renames", "--name-only", "-z"]).within(checkout);
        let differing: BTreeSet<String> = git.run().await?.fields().into_iter().collect();
        let written = self.written(checkout, changed, new).await?;
        let (mut back, mut away, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, path) in changed {
            let there = fs::symlink_metadata(checkout.join(path)).is_ok();
            let added = kind == "A";
            if (added && !there) || (!added && !differing.contains(path)) {
                continue;
            }
            if there && !written.contains(path.as_str()) && !self.is_written(checkout, path, new).await? {
                theirs.push(path.as_str());
            } else if added {
                away.push(path.as_str());
            } else {
                back.push(path.as_str());
            }
        }
        if let Some(first) = theirs.first() {
            let (number, place) = (theirs.len(), checkout.display());
            return Ok(Outcome::Stuck(format!(
                "{number} files in {place} (as {first}) are neither as before nor as after; `git status` there shows them"
            )));
        }
        for path in &away {
            remove(checkout, Path::new(path))
                .map_err(|error| GitError::io(format!("remove {path} in {}", checkout.display()), error))?;
        }
        if !back.is_empty() {
            let mut input = Vec::new();
            for path in &back {
                input.extend_from_slice(path.as_bytes());
                input.push(0);
            }
            let git =
                Git::new("checkout-index").args(["--force", "--quiet", "-z", "--stdin"]).within(checkout);
            self.without_filters(git).await?.stdin(input).run().await?;
        }
        Git::new("update-index").args(["-q", "--refresh"]).within(checkout).output().await?;
        Ok(match back.len() + away.len() {
            0 => Outcome::Whole,
            files => Outcome::TakenBack(files),
        })
    }

    /// Files that are, as a whole, what the move writes: most of them, in two processes.
    async fn written<'a>(
        &self,
        checkout: &Path,
        changed: &'a [(String, String)],
        new: &str,
    ) -> Result<BTreeSet<&'a str>, GitError> {
        let is_file = |path: &str| {
            let metadata = fs::symlink_metadata(checkout.join(path));
            metadata.is_ok_and(|metadata| metadata.is_file()) && !path.contains('\n')
        };
        let there: Vec<&str> =
            changed.iter().map(|(_, path)| path.as_str()).filter(|path| is_file(path)).collect();
        if there.is_empty() {
            return Ok(BTreeSet::new());
        }
        let lines = |line: &dyn Fn(&str) -> String| there.iter().map(|path| line(path)).collect::<String>();
        let hash = Git::new("hash-object").args(["--no-filters", "--stdin-paths"]).within(checkout);
        let own = hash.stdin(lines(&|path| format!("{path}\n"))).text().await?;
        let wanted = self
            .plain("cat-file")
            .arg("--batch-check=%(objectname)")
            .stdin(lines(&|path| format!("{new}:{path}\n")))
            .text()
            .await?;
        let same = own.lines().zip(wanted.lines()).map(|(own, wanted)| own == wanted);
        Ok(there.iter().zip(same).filter(|(_, same)| *same).map(|(path, _)| *path).collect())
    }

    /// Whether what is there is what the move has written, or the beginning of it.
    async fn is_written(&self, checkout: &Path, path: &str, new: &str) -> Result<bool, GitError> {
        let file = checkout.join(path);
        let io = |error| GitError::io(format!("read {}", file.display()), error);
        let metadata = fs::symlink_metadata(&file).map_err(io)?;
        let there = if metadata.is_symlink() {
            fs::read_link(&file).map_err(io)?.as_os_str().as_bytes().to_vec()
        } else if metadata.is_file() {
            fs::read(&file).map_err(io)?
        } else {
            return Ok(false);
        };
        let object = format!("{new}:{path}");
        let wanted = self.plain("cat-file").args(["blob", &object]).limit(usize::MAX).output().await?;
        // Removed by the move, and here all the same: then it is somebody's.
        Ok(wanted.code == 0 && wanted.stdout.starts_with(&there))
    }

    /// What git locks on the way, in its order.
    async fn locks(&self, checkout: &Path, branch: &str) -> Result<Vec<PathBuf>, GitError> {
        let directory = Git::new("rev-parse").arg("--absolute-git-dir").within(checkout).text().await?;
        let directory = Path::new(&directory);
        let branch = self.common().join(format!("{branch}.lock"));
        Ok(vec![directory.join("index.lock"), directory.join("HEAD.lock"), branch])
    }
}

/// Whether a process has this file open. Where that cannot be told, one may have.
fn is_open(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes.flatten().any(|process| {
        // Those of others cannot be looked at, and have nothing to do with it.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { return false };
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|open| open == path))
    })
}

/// Whether a git of this user is at work in a checkout.
fn git_works_in(checkout: &Path) -> bool {
    let Ok(checkout) = checkout.canonicalize() else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes.flatten().any(|process| {
        let is_git =
            fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim_end() == "git");
        is_git && fs::read_link(process.path().join("cwd")).is_ok_and(|at| at.starts_with(&checkout))
    })
}

/// Removes a file, and the directories that are empty then.
fn remove(checkout: &Path, path: &Path) -> io::Result<()> {
    fs::remove_file(checkout.join(path))?;
    for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        if fs::remove_dir(checkout.join(parent)).is_err() {
            break;
        }
    }
    Ok(())
}
