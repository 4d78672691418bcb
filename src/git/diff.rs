//! Differences between commits, as text for people.

use super::{GitError, Repository};
use crate::model::DiffFormat;

/// Most bytes of a difference that are told.
const LIMIT: usize = 8 << 20;

/// What differs, and whether all of it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The difference, in the form asked for. File names and lines may hold anything.
    pub text: String,
    /// There is more.
    pub truncated: bool,
}

impl Repository {
    /// What differs between two commits.
    ///
    /// # Errors
    ///
    /// Git failed, or there is no such commit.
    pub async fn diff(&self, from: &str, to: &str, format: DiffFormat) -> Result<Diff, GitError> {
        let output = self
            .attributes_of(self.plain("diff"), from)
            .config("core.quotePath", "false")
            .args(diff_options(format))
            .args([from, to, "--"])
            .limit(LIMIT)
            .run()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Diff { text, truncated: output.truncated })
    }

    /// The newest commit that both have in their history.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, GitError> {
        let output = self.plain("merge-base").args([one, other]).output().await?;
        Ok((output.code == 0).then(|| output.text()))
    }
}

/// How git is asked for a difference, here and in a container.
pub fn diff_options(format: DiffFormat) -> Vec<&'static str> {
    let form = match format {
        DiffFormat::Patch => "--patch",
        DiffFormat::Stat => "--stat=100",
        DiffFormat::NameOnly => "--name-only",
    };
    vec!["--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", "--submodule=short", form]
}
