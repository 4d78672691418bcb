//! Whole trees of agents that were removed, and their way back.
//!
//! A rescue is a commit of everything that was in a workspace. Its first parent is the head of the agent's branch; the
//! others are what else was committed there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::command::Git;
use super::{Base, GitError, Made, Repository, Transport};
use crate::model::Time;

/// A large repository on a slow disk.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(900);

/// The reference that a workspace's side offers a rescue as.
pub const RESCUE_REFERENCE: &str = "refs/tanuki/rescue";

/// Files are written as they were, whatever attributes say.
const VERBATIM: &str = "* -text -filter -ident -working-tree-encoding\n";

/// A saved tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescue {
    /// The agent.
    pub name: String,
    /// What keeps it.
    pub reference: String,
    /// The commit of the whole tree; its parent is the head of the branch.
    pub commit: String,
}

impl Repository {
    /// Brings the tree that the workspace's side offers as [`RESCUE_REFERENCE`] into the project, and keeps it.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be reached, or it is too large.
    pub async fn fetch_rescue(
        &self,
        transport: &Transport,
        name: &str,
        at: Time,
    ) -> Result<Rescue, GitError> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let commit = self.receive(transport, name, RESCUE_REFERENCE, true).await?;
        let missing = || GitError::Nothing { what: "the workspace has saved nothing".to_owned() };
        self.save_rescue(name, &commit.ok_or_else(missing)?, at).await
    }

    /// Keeps a commit as the agent's rescue of this time.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn save_rescue(&self, name: &str, commit: &str, at: Time) -> Result<Rescue, GitError> {
        let reference = format!("refs/tanuki/rescue/{name}/{}", stamp(at));
        self.transact(&format!("tanuki: rescue of {name}"), &[(&reference, Some(commit), None)]).await?;
        Ok(Rescue { name: name.to_owned(), reference, commit: commit.to_owned() })
    }

    /// Saves a commit of the project as a rescue: with its files, and nothing beside them.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn rescue_commit(
        &self,
        name: &str,
        head: &str,
        message: &str,
        at: Time,
    ) -> Result<Rescue, GitError> {
        let (tree, identity) = (self.tree(head).await?, self.identity().await?);
        let commit = self.commit_tree(&tree, &[head], message, &identity, None).await?;
        self.save_rescue(name, &commit, at).await
    }

    /// The head of the agent's branch when a rescue was made.
    ///
    /// # Errors
    ///
    /// Git failed, or it is no rescue.
    pub async fn rescued_head(&self, rescue: &Rescue) -> Result<String, GitError> {
        let head = self.commit(&format!("{}^1", rescue.commit)).await?;
        head.ok_or_else(|| GitError::UnknownRef { name: rescue.reference.clone() })
    }

    /// What was saved of an agent, or of all, oldest first for each.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn rescues(&self, name: Option<&str>) -> Result<Vec<Rescue>, GitError> {
        let all = "refs/tanuki/rescue/";
        let prefix = name.map_or_else(|| all.to_owned(), |name| format!("{all}{name}/"));
        let found = self.references(&prefix).await?;
        let rescue = |(reference, commit): (String, String)| {
            let name = reference.strip_prefix(all)?.split('/').next()?.to_owned();
            Some(Rescue { name, reference, commit })
        };
        Ok(found.into_iter().filter_map(rescue).collect())
    }

    /// Makes the agent's branch and workspace as they were when they were saved: what was committed is committed, the
    /// rest lies in the workspace, byte by byte.
    ///
    /// # Errors
    ///
    /// The branch is there already, or the workspace cannot be written. Nothing is left then.
    pub async fn restore_rescue(
        &self,
        rescue: &Rescue,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        let head = self.rescued_head(rescue).await?;
        let begin = Base { reference: base.reference.clone(), commit: head.clone() };
        let made = self.make_workspace(&rescue.name, dest, branch, &begin).await?;
        let restored = self.write_rescue(rescue, dest, &base.commit).await;
        match restored {
            Ok(()) => Ok(made),
            Err(error) => {
                // What is told is why it could not be restored.
                drop(fs::remove_dir_all(dest));
                drop(self.drop_refs(&rescue.name, branch, &head).await);
                Err(error)
            }
        }
    }

    async fn write_rescue(&self, rescue: &Rescue, dest: &Path, base: &str) -> Result<(), GitError> {
        let kept = format!("refs/tanuki/base/{}", rescue.name);
        self.transact("tanuki: restore", &[(&kept, Some(base), None)]).await?;
        let io = |error| GitError::io(format!("write {}", dest.display()), error);
        let attributes = dest.join(".git/info/attributes");
        fs::create_dir_all(dest.join(".git/info")).map_err(io)?;
        fs::write(&attributes, VERBATIM).map_err(io)?;
        let inside = |subcommand: &str| {
            Git::new(subcommand)
                .unconfigured()
                .within(dest)
                .env("GIT_CEILING_DIRECTORIES", dest)
                .timeout(CHECKOUT_TIMEOUT)
        };
        // The list of ignored files was followed when it was saved; what is written here is what was there then.
        inside("read-tree").args(["--reset", "-u", &rescue.commit]).run().await?;
        inside("read-tree").args(["--reset", "HEAD"]).run().await?;
        fs::remove_file(&attributes).map_err(io)?;
        // Only so that the first look at the workspace is quick; exit code 1 says that files differ.
        inside("update-index").args(["-q", "--refresh"]).output().await?;
        Ok(())
    }
}

/// A time as part of a reference: sorts as it should, and people can read it.
fn stamp(at: Time) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) => time.strftime("%Y%m%dT%H%M%S.%3fZ").to_string(),
        Err(_beyond) => at.0.to_string(),
    }
}
