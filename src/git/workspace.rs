//! Making a workspace: a private clone that borrows the project's objects.
//!
//! It is made in place instead of by `git clone`: there is no remote to leave behind, and nothing of the project but
//! its objects is read. Once an agent can write there, no git of the host opens it again.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::Git;
use super::{Base, GitError, Repository};

/// A large repository on a slow disk.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(900);

/// How the beginning of LFS's pointer files is recognised.
const LFS_ATTRIBUTE: &str = "filter=lfs";

/// A list of ignored files that workspaces get a copy of, in the syntax of `.gitignore`.
const INCLUDE_FILE: &str = ".worktreeinclude";

/// A workspace was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// What the workspace does not have, for people.
    pub warnings: Vec<String>,
}

impl Repository {
    /// Makes branch `branch` at the base, and a workspace on it in `dest`, which must not be there or be empty. The
    /// base stays reachable as `refs/tanuki/base/<name>`.
    ///
    /// # Errors
    ///
    /// The branch is there already or cannot be, or the workspace cannot be written. Nothing is left then.
    pub async fn make_workspace(
        &self,
        name: &str,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        self.check_branch(branch).await?;
        let head = format!("refs/heads/{branch}");
        let kept = format!("refs/tanuki/base/{name}");
        let why = format!("tanuki: agent {name}");
        let commit = base.commit.as_str();
        let made = self.transact(&why, &[(&head, Some(commit), Some("")), (&kept, Some(commit), None)]).await;
        match made {
            Err(GitError::Moved { reference }) if reference == head => {
                return Err(GitError::BranchExists { branch: branch.to_owned() });
            }
            made => made?,
        }
        let mut written = self.write_workspace(dest, branch, commit).await;
        if let Err(error) = written {
            written = Err(self.room_for(dest, commit, error).await);

            // What is told is why the workspace could not be made.
            drop(fs::remove_dir_all(dest));
            drop(self.drop_refs(name, branch, commit).await);
        }
        written
    }

    /// Deletes an agent's branch, if it is still at `expected`, and then the references that kept its commits. Fine
    /// when they are gone. What was saved by a rescue stays.
    ///
    /// # Errors
    ///
    /// The branch is somewhere else.
    pub async fn drop_refs(&self, name: &str, branch: &str, expected: &str) -> Result<(), GitError> {
        let head = format!("refs/heads/{branch}");
        if self.commit(&head).await?.is_some() {
            self.transact("tanuki: remove", &[(&head, None, Some(expected))]).await?;
        }
        let mut gone = Vec::new();
        for kept in [format!("refs/tanuki/base/{name}"), format!("refs/tanuki/fetched/{name}")] {
            gone.extend(self.references(&kept).await?);
        }
        gone.extend(self.references(&format!("refs/tanuki/old/{name}/")).await?);
        let changes: Vec<_> = gone.iter().map(|(name, _)| (name.as_str(), None, None)).collect();
        if changes.is_empty() { Ok(()) } else { self.transact("tanuki: remove", &changes).await }
    }

    /// Why a workspace could not be written: git says which file, and not that there was no room for it.
    async fn room_for(&self, dest: &Path, commit: &str, error: GitError) -> GitError {
        let Ok(disk) = rustix::fs::statvfs(dest) else { return error };
        let listed = self.plain("ls-tree").args(["-r", "-l", "--full-tree", commit]).text().await;
        let sizes = listed.unwrap_or_default();
        // Mode, kind, id, size, and then the name.
        let sizes = sizes.lines().filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        let (free, wanted) = (disk.f_bavail.saturating_mul(disk.f_frsize), sizes.sum::<u64>());
        if free < wanted || (disk.f_files > 0 && disk.f_favail == 0) {
            return GitError::DiskFull { path: dest.to_owned(), free: free >> 10, wanted: wanted >> 10 };
        }
        error
    }

    async fn check_branch(&self, branch: &str) -> Result<(), GitError> {
        let output = self.git("check-ref-format").args(["--branch", branch]).output().await?;
        if output.code == 0 && output.text() == branch {
            return Ok(());
        }
        let reason = "git does not allow the name".to_owned();
        Err(GitError::BadBranch { branch: branch.to_owned(), reason })
    }

    /// Writes the files of a workspace on `branch` at `commit`.
    pub(super) async fn write_workspace(
        &self,
        dest: &Path,
        branch: &str,
        commit: &str,
    ) -> Result<Made, GitError> {
        let io = |error| GitError::io(format!("write {}", dest.display()), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dest).map_err(io)?;
        let inside = |subcommand: &str| {
            Git::new(subcommand).unconfigured().within(dest).env("GIT_CEILING_DIRECTORIES", dest)
        };
        inside("init")
            .args(["--quiet", "--template=", &format!("--object-format={}", self.format())])
            .arg(format!("--initial-branch={branch}"))
            .run()
            .await?;
        let info = dest.join(".git/objects/info");
        let own = self.common().join("objects");
        let mut alternates = own.as_os_str().as_encoded_bytes().to_vec();
        alternates.push(b'\n');
        fs::create_dir_all(&info).map_err(io)?;
        fs::write(info.join("alternates"), alternates).map_err(io)?;
        let identity = self.identity().await?;
        for (key, value) in [("user.name", &identity.name), ("user.email", &identity.email)] {
            inside("config").args([key, value]).run().await?;
        }
        inside("update-ref").args([&format!("refs/heads/{branch}"), commit]).run().await?;
        inside("reset")
            .args(["--quiet", "--hard"])
            .config("checkout.workers", "0")
            .timeout(CHECKOUT_TIMEOUT)
            .run()
            .await?;
        let mut warnings = self.left_out(commit).await?;
        warnings.extend(self.copy_included(dest).await?);
        Ok(Made { warnings })
    }

    /// What a checkout of that commit does not have.
    async fn left_out(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let mut warnings = Vec::new();
        let modules = self.plain("cat-file").args(["-e", &format!("{commit}:.gitmodules")]).output().await?;
        if modules.code == 0 {
            warnings.push("submodules are left empty in the workspace".to_owned());
        }
        let lfs = self
            .plain("grep")
            .args(["--quiet", "--fixed-strings", "-e", LFS_ATTRIBUTE, commit, "--"])
            .args([".gitattributes", "*/.gitattributes"])
            .env("GIT_LITERAL_PATHSPECS", "0")
            .output()
            .await?;
        if lfs.code == 0 {
            warnings
                .push("files kept by Git LFS are pointers in the workspace, not their content".to_owned());
        }
        Ok(warnings)
    }

    /// Copies the ignored files that the project lists, regular ones only. A new workspace is nobody's yet.
    async fn copy_included(&self, dest: &Path) -> Result<Vec<String>, GitError> {
        let listed = self.included().await?;
        let mut warnings = Vec::new();
        for name in listed {
            let (from, to) = (self.root().join(&name), dest.join(&name));
            let regular = fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file());
            // What is tracked is there already.
            if !regular || fs::symlink_metadata(&to).is_ok() {
                continue;
            }
            // A commit of an agent's may have a link where the project has a directory.
            if leads_out(dest, &name) {
                warnings.push(format!("{} is not copied: a link is in its way", name.display()));
                continue;
            }
            let copy = || {
                if let Some(parent) = to.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::copy(&from, &to)
            };
            if let Err(error) = copy() {
                warnings.push(format!("cannot copy {}: {error}", name.display()));
            }
        }
        Ok(warnings)
    }

    /// The ignored files that the project lists for workspaces, relative to its top.
    async fn included(&self) -> Result<Vec<PathBuf>, GitError> {
        if !self.root().join(INCLUDE_FILE).is_file() {
            return Ok(Vec::new());
        }
        let others = ["-z", "--others", "--ignored"];
        let chosen = self
            .git("ls-files")
            .args(others)
            .arg(format!("--exclude-from={INCLUDE_FILE}"))
            .run()
            .await?
            .fields();
        let ignored = self.git("ls-files").args(others).arg("--exclude-standard").run().await?.fields();
        let ours = self.prefix().join(".tanuki");
        Ok(chosen
            .into_iter()
            .filter(|name| ignored.binary_search(name).is_ok())
            .map(PathBuf::from)
            .filter(|path| !path.starts_with(&ours))
            .collect())
    }
}

/// Whether a link is among the directories that a file below `dest` would be in.
fn leads_out(dest: &Path, name: &Path) -> bool {
    let above = name.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
    above
        .map(|part| dest.join(part))
        .any(|part| fs::symlink_metadata(part).is_ok_and(|meta| meta.is_symlink()))
}
