//! Moving a branch, together with the checkout it may be in.
//!
//! A branch that is checked out nowhere moves in one transaction. Where it is checked out, one git process moves files,
//! index and branch; it is started in a group of its own and goes on to its end even when the controller is killed.
//! Nothing of the user's is overwritten: not what is changed, not what is untracked, not what is ignored.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::carry::Ours;
use super::command::{Git, failed};
use super::{GitError, Repository};

/// A large repository on a slow disk.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(900);

/// Files and directories in a checkout's git directory that say what is under way there.
const UNDER_WAY: &[(&str, &str)] = &[
    ("MERGE_HEAD", "a merge is under way there"),
    ("rebase-merge", "a rebase is under way there"),
    ("rebase-apply", "a rebase is under way there"),
    ("CHERRY_PICK_HEAD", "a cherry-pick is under way there"),
    ("REVERT_HEAD", "a revert is under way there"),
    ("BISECT_LOG", "a bisection is under way there"),
    ("index.lock", "another git is at work there"),
];

/// References that change together with a branch, as [`Repository::transact`] takes them.
pub(super) type Changes<'a> = [(&'a str, Option<&'a str>, Option<&'a str>)];

impl Repository {
    /// Moves a branch from `old` to `new`, and the checkout it is in, where there is one.
    ///
    /// # Errors
    ///
    /// The branch is not at `old`, or its checkout cannot be moved. Nothing has changed then but `with`.
    pub(super) async fn move_branch(
        &self,
        branch: &str,
        old: &str,
        new: &str,
        why: &str,
        with: &Changes<'_>,
    ) -> Result<Vec<String>, GitError> {
        let _one_at_a_time = self.moves().lock().await;
        let checkouts = self.checkouts(branch).await?;
        let [checkout] = checkouts.as_slice() else {
            if let Some(checkout) = checkouts.into_iter().next() {
                let reason = "and elsewhere too; only one checkout can be moved".to_owned();
                return Err(GitError::CheckedOut { branch: short(branch), checkout, reason });
            }
            let mut changes = with.to_vec();
            changes.push((branch, Some(new), Some(old)));
            self.transact(why, &changes).await?;
            return Ok(Vec::new());
        };
        let ours = self.movable(checkout, branch, old, new).await?;
        if self.commit(branch).await?.as_deref() != Some(old) {
            return Err(GitError::Moved { reference: branch.to_owned() });
        }
        // What makes it undone is there before anything is done.
        if !with.is_empty() {
            self.transact(why, with).await?;
        }
        let moved = match self.carry(checkout, new, &ours).await {
            Ok(()) => self.move_checkout(checkout, old, new, why).await,
            Err(error) => Err(error),
        };
        if let Err(error) = moved {
            self.carry_back(checkout, old, &ours).await?;
            return Err(error);
        }
        if self.commit(branch).await?.as_deref() != Some(new) {
            return Err(GitError::Moved { reference: branch.to_owned() });
        }
        self.unfiltered(old, new).await
    }

    /// Worktrees that have this branch checked out.
    async fn checkouts(&self, branch: &str) -> Result<Vec<PathBuf>, GitError> {
        let fields = self.git("worktree").args(["list", "--porcelain", "-z"]).run().await?.fields();
        let mut found = Vec::new();
        for record in fields.split(String::is_empty) {
            let value = |key: &str| record.iter().find_map(|line| line.strip_prefix(key));
            if value("branch ") == Some(branch)
                && let Some(path) = value("worktree ").map(PathBuf::from)
                && path.is_dir()
            {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Whether a checkout can be moved from one commit to another without touching anything of the user's; the task files
    /// in which Tanuki's own changes stay.
    async fn movable(&self, checkout: &Path, branch: &str, old: &str, new: &str) -> Result<Ours, GitError> {
        let directory =
            PathBuf::from(Git::new("rev-parse").arg("--absolute-git-dir").within(checkout).text().await?);
        for (file, reason) in UNDER_WAY {
            if directory.join(file).exists() {
                let (checkout, reason) = (checkout.to_owned(), (*reason).to_owned());
                return Err(GitError::CheckedOut { branch: short(branch), checkout, reason });
            }
        }
        let changed = self.changed_paths(old, new).await?;
        let status = Git::new("status")
            .args([
                "--porcelain=v1",
                "-z",
                "--untracked-files=no",
                "--ignore-submodules=dirty",
                "--no-renames",
            ])
            .within(checkout)
            .run()
            .await?;
        let own = self.prefix().join(".tanuki");
        let mut files: Vec<String> =
            status.fields().iter().filter_map(|entry| entry.get(3..).map(str::to_owned)).collect();
        // Tanuki itself writes the status of tasks.
        files.retain(|file| {
            !Path::new(file).starts_with(&own) || changed.iter().any(|(_, path)| path == file)
        });
        let ours = self.ours(checkout, (old, new), &files, &changed).await?;
        files.retain(|file| !ours.files.contains(file));
        if !files.is_empty() {
            return Err(GitError::Dirty { checkout: checkout.to_owned(), files });
        }
        let of_kind = |wanted: &str| -> BTreeSet<&str> {
            changed.iter().filter(|(kind, _)| kind == wanted).map(|(_, path)| path.as_str()).collect()
        };
        let (added, removed) = (of_kind("A"), of_kind("D"));
        let in_the_way: Vec<String> =
            added.into_iter().filter(|path| is_taken(checkout, path, &removed)).map(str::to_owned).collect();
        if in_the_way.is_empty() {
            Ok(ours)
        } else {
            Err(GitError::InTheWay { checkout: checkout.to_owned(), files: in_the_way })
        }
    }

    async fn move_checkout(&self, checkout: &Path, old: &str, new: &str, why: &str) -> Result<(), GitError> {
        let forward = self.is_ancestor(old, new).await?;
        let git = if forward {
            Git::new("merge")
                .args(["--ff-only", "--no-squash", "--no-autostash", "--no-verify-signatures"])
                .args(["--no-stat", "--no-overwrite-ignore", "--quiet"])
        } else {
            Git::new("reset").args(["--keep", "--quiet"])
        };
        let mut git =
            git.arg(new).within(checkout).env("GIT_REFLOG_ACTION", why).timeout(CHECKOUT_TIMEOUT).survives();
        for filter in self.filters().await? {
            for key in ["smudge", "clean", "process"] {
                git = git.config(format!("filter.{filter}.{key}"), "");
            }
            git = git.config(format!("filter.{filter}.required"), "false");
        }
        let name = if forward { "git merge" } else { "git reset" };
        let output = git.output().await?;
        if output.code == 0 {
            return Ok(());
        }
        Err(failed(name, output.code, &output.stderr))
    }

    /// Names of the filters that the user's configuration has.
    async fn filters(&self) -> Result<Vec<String>, GitError> {
        let output = self
            .git("config")
            .args(["-z", "--name-only", "--get-regexp", r"^filter\..*\.(smudge|clean|process|required)$"])
            .output()
            .await?;
        let mut names: Vec<String> = output
            .fields()
            .iter()
            .filter_map(|key| Some(key.strip_prefix("filter.")?.rsplit_once('.')?.0.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Paths that differ between two commits, with `A`, `M`, `D` or `T`.
    pub(super) async fn changed_paths(
        &self,
        old: &str,
        new: &str,
    ) -> Result<Vec<(String, String)>, GitError> {
        let fields = self
            .plain("diff-tree")
            .args(["-r", "-z", "--name-status", "--no-renames", old, new, "--"])
            .run()
            .await?
            .fields();
        Ok(fields.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
    }

    /// What the user is to know of files that a filter would have changed.
    async fn unfiltered(&self, old: &str, new: &str) -> Result<Vec<String>, GitError> {
        let filters = self.filters().await?;
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        let changed = self.changed_paths(old, new).await?;
        let mut input = Vec::new();
        for (_, path) in changed.iter().filter(|(kind, _)| kind != "D") {
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let fields =
            self.git("check-attr").args(["-z", "--stdin", "filter"]).stdin(input).run().await?.fields();
        let unfiltered: Vec<&str> = fields
            .chunks_exact(3)
            .filter(|entry| filters.contains(&entry[2]))
            .map(|entry| entry[0].as_str())
            .collect();
        Ok(match unfiltered.first() {
            None => Vec::new(),
            Some(first) => vec![format!(
                "{} of the files (as {first}) were written without their filter; `git checkout -- <file>` runs it",
                unfiltered.len()
            )],
        })
    }
}

/// Whether something of the user's is where a file is to be added; what the move itself removes is not.
fn is_taken(checkout: &Path, path: &str, removed: &BTreeSet<&str>) -> bool {
    for part in Path::new(path).ancestors().filter(|part| !part.as_os_str().is_empty()) {
        let Ok(metadata) = fs::symlink_metadata(checkout.join(part)) else { continue };
        return if metadata.is_dir() {
            part == Path::new(path) && !only_removed(checkout, part, removed)
        } else {
            !part.to_str().is_some_and(|part| removed.contains(part))
        };
    }
    false
}

/// Whether everything in a directory is removed by the move.
fn only_removed(checkout: &Path, directory: &Path, removed: &BTreeSet<&str>) -> bool {
    let Ok(entries) = fs::read_dir(checkout.join(directory)) else { return false };
    entries.flatten().all(|entry| {
        let path = directory.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => only_removed(checkout, &path, removed),
            _ => path.to_str().is_some_and(|path| removed.contains(path)),
        }
    })
}

fn short(branch: &str) -> String {
    branch.trim_start_matches("refs/heads/").to_owned()
}
