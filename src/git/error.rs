//! What can go wrong, by what to do next.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::model::Rejected;

/// Why git could not do what was asked. The texts are for people.
#[derive(Debug, Error)]
pub enum GitError {
    /// The project is in no repository.
    #[error("{} is in no git repository", path.display())]
    NotARepository {
        /// The project.
        path: PathBuf,
    },
    /// The repository has no working tree.
    #[error("{} is a bare repository; agents need one with files", path.display())]
    Bare {
        /// The project.
        path: PathBuf,
    },
    /// The repository has no commit.
    #[error("the repository has no commit yet")]
    Empty,
    /// Git does not trust the repository, since it belongs to another user.
    #[error("git does not trust {}, which belongs to another user", path.display())]
    Untrusted {
        /// The project.
        path: PathBuf,
    },
    /// The repository, or git itself, is of a kind that cannot be used.
    #[error("{reason}")]
    Unsupported {
        /// What it is, and what to do.
        reason: String,
    },
    /// There is no such branch, tag or commit.
    #[error("there is no branch, tag or commit '{name}'")]
    UnknownRef {
        /// As asked.
        name: String,
    },
    /// A branch of that name is there already.
    #[error("branch '{branch}' exists already")]
    BranchExists {
        /// Its name.
        branch: String,
    },
    /// No branch can have that name, or not beside those that are there.
    #[error("'{branch}' cannot be a branch: {reason}")]
    BadBranch {
        /// The name.
        branch: String,
        /// Why.
        reason: String,
    },
    /// Something that is not a branch cannot be moved.
    #[error("'{reference}' is no branch, so nothing can be merged into it")]
    NotABranch {
        /// What it is.
        reference: String,
    },
    /// The branch is checked out, and the checkout has changes that are not committed.
    #[error("{} has changes that are not committed: {}", checkout.display(), list(files))]
    Dirty {
        /// Where.
        checkout: PathBuf,
        /// Which files.
        files: Vec<String>,
    },
    /// Files that git does not track are where others would be written.
    #[error("files in {} are in the way: {}", checkout.display(), list(files))]
    InTheWay {
        /// Where.
        checkout: PathBuf,
        /// Which files.
        files: Vec<String>,
    },
    /// The branch is checked out where it cannot be moved now.
    #[error("branch '{branch}' is checked out in {}: {reason}", checkout.display())]
    CheckedOut {
        /// The branch.
        branch: String,
        /// Where.
        checkout: PathBuf,
        /// Why it cannot be moved.
        reason: String,
    },
    /// A reference is not any more where it was when it was looked at.
    #[error("'{reference}' has moved meanwhile")]
    Moved {
        /// Which.
        reference: String,
    },
    /// Two sides changed the same lines.
    #[error("there are conflicts in {}", list(files))]
    Conflicts {
        /// In which files.
        files: Vec<String>,
    },
    /// There is nothing to do it with.
    #[error("{what}")]
    Nothing {
        /// What is not there.
        what: String,
    },
    /// More came than is taken.
    #[error("more than {} MiB came from the workspace", limit >> 20)]
    TooLarge {
        /// How much is taken, in bytes.
        limit: u64,
    },
    /// A file, or another object, is larger than any that is taken.
    #[error("a file of {} MiB came from the workspace, and none of more than {} MiB is taken", size >> 20, limit >> 20)]
    LargeFile {
        /// Its size in bytes.
        size: u64,
        /// How much is taken, in bytes.
        limit: u64,
    },
    /// There is no room for what is to be written.
    #[error("cannot write {}: No space left on device ({wanted} KiB are wanted, {free} are free); make room there and try again", path.display())]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
        /// How much room there is, in KiB.
        free: u64,
        /// How much is wanted, in KiB.
        wanted: u64,
    },
    /// Git did not end in time.
    #[error("{command} did not end within {seconds} s")]
    TimedOut {
        /// Which command.
        command: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Git failed.
    #[error("{command} failed: {stderr}")]
    Failed {
        /// Which command.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// Files could not be read or written, or git not be started.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

/// So many names are told; more would hide the rest.
const NAMES: usize = 10;

fn list(files: &[String]) -> String {
    let mut text = files.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if files.len() > NAMES {
        text.push_str(&format!(" and {} more", files.len() - NAMES));
    }
    text
}

impl GitError {
    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

impl From<GitError> for Rejected {
    fn from(error: GitError) -> Self {
        let message = error.to_string();
        let invalid = |hint: &str| Self::Invalid { message: message.clone(), hint: hint.to_owned() };
        let not_now = |hint: &str| Self::NotPossible { message: format!("{message}; {hint}") };
        match error {
            GitError::NotARepository { .. } => invalid("`git init` makes one; agents work on branches of it"),
            GitError::Bare { .. } => invalid("use a clone with a working tree"),
            GitError::Empty => invalid("`git commit --allow-empty -m begin` makes one"),
            GitError::Untrusted { path } => invalid(&format!(
                "`git config --global --add safe.directory {}` if you trust it",
                path.display()
            )),
            GitError::Unsupported { .. } => invalid("see `tanuki doctor`"),
            GitError::UnknownRef { .. } => invalid("`git branch` lists branches"),
            GitError::BranchExists { branch } => {
                invalid(&format!("choose another name, or delete it: `git branch -D {branch}`"))
            }
            GitError::BadBranch { .. } => invalid("choose another name, or another `git.branch_prefix`"),
            GitError::NotABranch { .. } => invalid("merge the agent's branch by hand, or use --pr"),
            GitError::Dirty { .. } => not_now("commit or stash them first"),
            GitError::InTheWay { .. } => not_now("move them away first"),
            GitError::CheckedOut { .. } => not_now("end that, or check out another branch there"),
            GitError::Moved { .. } => not_now("try again from where it is now"),
            GitError::Nothing { .. } => Self::NotPossible { message },
            GitError::Conflicts { files } => Self::Conflicts { message, files },
            GitError::TooLarge { .. } | GitError::LargeFile { .. } => {
                not_now("remove large files from the workspace's history")
            }
            GitError::DiskFull { .. }
            | GitError::TimedOut { .. }
            | GitError::Failed { .. }
            | GitError::Io { .. } => Self::Failed { message },
        }
    }
}
