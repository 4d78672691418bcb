//! What agents need of git, behind a trait: whole controllers run in simulations, on a paused clock, without git.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Base, Diff, GitError, Head, Made, Mended, Merged, Merging, Repository, Rescue, Transport, Undone,
};
use crate::model::{DiffFormat, Time};

/// Git in the project. What each method does, and what it never does, is with [`Repository`]'s method of that name.
#[async_trait]
#[expect(missing_docs, reason = "each is the method of `Repository` that has its name")]
pub trait ProjectGit: fmt::Debug + Send + Sync + 'static {
    fn objects(&self) -> &[PathBuf];
    fn format(&self) -> &str;
    fn with_tasks_in(&self, directory: &Path) -> Arc<dyn ProjectGit>;
    async fn resolve_base(&self, name: Option<&str>) -> Result<Base, GitError>;
    async fn commit(&self, reference: &str) -> Result<Option<String>, GitError>;
    async fn heads(&self, asked: &[(String, String)]) -> Result<Vec<Head>, GitError>;
    async fn make_workspace(
        &self,
        name: &str,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError>;
    async fn drop_refs(&self, name: &str, branch: &str, expected: &str) -> Result<(), GitError>;
    async fn fetch(
        &self,
        transport: &Transport,
        name: &str,
        branch: &str,
    ) -> Result<Option<String>, GitError>;
    async fn fetch_rescue(&self, transport: &Transport, name: &str, at: Time) -> Result<Rescue, GitError>;
    async fn rescue_commit(
        &self,
        name: &str,
        head: &str,
        message: &str,
        at: Time,
    ) -> Result<Rescue, GitError>;
    async fn rescues(&self, name: Option<&str>) -> Result<Vec<Rescue>, GitError>;
    async fn rescued_head(&self, rescue: &Rescue) -> Result<String, GitError>;
    async fn restore_rescue(
        &self,
        rescue: &Rescue,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError>;
    async fn has_all(&self, target: &str, head: &str) -> Result<bool, GitError>;
    async fn conflicts(&self, target: &str, head: &str) -> Result<Vec<String>, GitError>;
    async fn compute_merge(&self, merging: &Merging<'_>) -> Result<Merged, GitError>;
    async fn land(&self, name: &str, merged: &Merged) -> Result<Vec<String>, GitError>;
    async fn has_undo(&self, name: &str) -> Result<bool, GitError>;
    async fn undo_merge(&self, name: &str) -> Result<Undone, GitError>;
    async fn mend_moves(&self) -> Result<Vec<Mended>, GitError>;
    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, GitError>;
    async fn diff(&self, from: &str, to: &str, format: DiffFormat) -> Result<Diff, GitError>;
}

#[async_trait]
impl ProjectGit for Repository {
    fn objects(&self) -> &[PathBuf] {
        Self::objects(self)
    }

    fn format(&self) -> &str {
        Self::format(self)
    }

    fn with_tasks_in(&self, directory: &Path) -> Arc<dyn ProjectGit> {
        Arc::new(Self::with_tasks_in(self, directory))
    }

    async fn resolve_base(&self, name: Option<&str>) -> Result<Base, GitError> {
        Self::resolve_base(self, name).await
    }

    async fn commit(&self, reference: &str) -> Result<Option<String>, GitError> {
        Self::commit(self, reference).await
    }

    async fn heads(&self, asked: &[(String, String)]) -> Result<Vec<Head>, GitError> {
        Self::heads(self, asked).await
    }

    async fn make_workspace(
        &self,
        name: &str,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        Self::make_workspace(self, name, dest, branch, base).await
    }

    async fn drop_refs(&self, name: &str, branch: &str, expected: &str) -> Result<(), GitError> {
        Self::drop_refs(self, name, branch, expected).await
    }

    async fn fetch(
        &self,
        transport: &Transport,
        name: &str,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        Self::fetch(self, transport, name, branch).await
    }

    async fn fetch_rescue(&self, transport: &Transport, name: &str, at: Time) -> Result<Rescue, GitError> {
        Self::fetch_rescue(self, transport, name, at).await
    }

    async fn rescue_commit(
        &self,
        name: &str,
        head: &str,
        message: &str,
        at: Time,
    ) -> Result<Rescue, GitError> {
        Self::rescue_commit(self, name, head, message, at).await
    }

    async fn rescues(&self, name: Option<&str>) -> Result<Vec<Rescue>, GitError> {
        Self::rescues(self, name).await
    }

    async fn rescued_head(&self, rescue: &Rescue) -> Result<String, GitError> {
        Self::rescued_head(self, rescue).await
    }

    async fn restore_rescue(
        &self,
        rescue: &Rescue,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        Self::restore_rescue(self, rescue, dest, branch, base).await
    }

    async fn has_all(&self, target: &str, head: &str) -> Result<bool, GitError> {
        Self::has_all(self, target, head).await
    }

    async fn conflicts(&self, target: &str, head: &str) -> Result<Vec<String>, GitError> {
        Self::conflicts(self, target, head).await
    }

    async fn compute_merge(&self, merging: &Merging<'_>) -> Result<Merged, GitError> {
        Self::compute_merge(self, merging).await
    }

    async fn land(&self, name: &str, merged: &Merged) -> Result<Vec<String>, GitError> {
        Self::land(self, name, merged).await
    }

    async fn has_undo(&self, name: &str) -> Result<bool, GitError> {
        Self::has_undo(self, name).await
    }

    async fn undo_merge(&self, name: &str) -> Result<Undone, GitError> {
        Self::undo_merge(self, name).await
    }

    async fn mend_moves(&self) -> Result<Vec<Mended>, GitError> {
        Self::mend_moves(self).await
    }

    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, GitError> {
        Self::merge_base(self, one, other).await
    }

    async fn diff(&self, from: &str, to: &str, format: DiffFormat) -> Result<Diff, GitError> {
        Self::diff(self, from, to, format).await
    }
}
