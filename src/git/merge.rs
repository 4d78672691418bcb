//! Merges computed from objects alone, and the way back.
//!
//! No checkout is touched before the result is there as a commit. Then the target moves to it from the very commit it
//! was computed for, or not at all.

use super::command::{Git, failed};
use super::{GitError, Identity, Repository};
use crate::model::MergeMethod;

/// A merge to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merging<'a> {
    /// The agent's branch, for messages.
    pub branch: &'a str,
    /// Its commit.
    pub head: &'a str,
    /// The branch to merge into, as `refs/heads/main`.
    pub target: &'a str,
    /// How.
    pub method: MergeMethod,
    /// Message of the commit, in place of the usual one.
    pub message: Option<&'a str>,
}

/// A merge that was computed and is nowhere yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The branch to merge into.
    pub target: String,
    /// The commit it was computed for.
    pub before: String,
    /// The result.
    pub after: String,
    /// The result is the agent's own commit.
    pub fast_forward: bool,
}

/// A merge that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The branch that was moved back.
    pub target: String,
    /// Where it is again.
    pub commit: String,
}

/// Where the two sides of a merge come together.
enum Tree {
    Clean(String),
    Conflicts(Vec<String>),
}

impl Repository {
    /// Files that would conflict if one commit or branch were merged into the other; none when all is well.
    ///
    /// # Errors
    ///
    /// One of them is not there.
    pub async fn conflicts(&self, target: &str, head: &str) -> Result<Vec<String>, GitError> {
        let unknown = |name: &str| GitError::UnknownRef { name: name.to_owned() };
        let target = self.commit(target).await?.ok_or_else(|| unknown(target))?;
        let head = self.commit(head).await?.ok_or_else(|| unknown(head))?;
        match self.merge_tree(&target, &head).await? {
            Tree::Clean(_) => Ok(Vec::new()),
            Tree::Conflicts(files) => Ok(files),
        }
    }

    /// Whether everything a commit brings is in another one already, even if under other commits.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn has_all(&self, target: &str, head: &str) -> Result<bool, GitError> {
        if self.is_ancestor(head, target).await? {
            return Ok(true);
        }
        match self.merge_tree(target, head).await? {
            Tree::Clean(tree) => Ok(tree == self.tree(target).await?),
            Tree::Conflicts(_) => Ok(false),
        }
    }

    /// Computes a merge. Nothing moves.
    ///
    /// # Errors
    ///
    /// There are conflicts, there is nothing to merge, or the target is no branch.
    pub async fn compute_merge(&self, merging: &Merging<'_>) -> Result<Merged, GitError> {
        let (head, target) = (merging.head, merging.target);
        if !target.starts_with("refs/heads/") {
            return Err(GitError::NotABranch { reference: target.to_owned() });
        }
        let short = target.trim_start_matches("refs/heads/");
        let before =
            self.commit(target).await?.ok_or_else(|| GitError::UnknownRef { name: short.to_owned() })?;
        let nothing = || GitError::Nothing {
            what: format!("'{short}' has all the work of '{}' already", merging.branch),
        };
        if self.is_ancestor(head, &before).await? {
            return Err(nothing());
        }
        let identity = self.identity().await?;
        let ahead = self.is_ancestor(&before, head).await?;
        let after = match merging.method {
            MergeMethod::Merge if ahead && merging.message.is_none() => head.to_owned(),
            MergeMethod::Merge => {
                let tree = self.clean_tree(&before, head).await?;
                let usual = format!("Merge branch '{}' into {short}", merging.branch);
                let message = merging.message.unwrap_or(&usual);
                self.commit_tree(&tree, &[&before, head], message, &identity, None).await?
            }
            MergeMethod::Squash => {
                let tree = self.clean_tree(&before, head).await?;
                if tree == self.tree(&before).await? {
                    return Err(nothing());
                }
                let message = match merging.message {
                    Some(message) => message.to_owned(),
                    None => self.squash_message(merging, &before).await?,
                };
                self.commit_tree(&tree, &[&before], &message, &identity, None).await?
            }
            MergeMethod::Rebase
                if ahead && merging.message.is_none() && self.is_linear(&before, head).await? =>
            {
                head.to_owned()
            }
            MergeMethod::Rebase => self.replay(&before, head, &identity).await?,
        };
        if after == before {
            return Err(nothing());
        }
        Ok(Merged { target: target.to_owned(), before, fast_forward: after == head, after })
    }

    /// Moves the target of a computed merge to its result, with the checkout it is in. What was there can be had back
    /// by [`Repository::undo_merge`]. The answer is what should be looked at, for people.
    ///
    /// # Errors
    ///
    /// The target has moved meanwhile, or its checkout is in the way. Nothing has changed then.
    pub async fn land(&self, name: &str, merged: &Merged) -> Result<Vec<String>, GitError> {
        let Merged { target, before, after, .. } = merged;
        let below = format!("refs/tanuki/undo/{name}");
        let short = target.trim_start_matches("refs/heads/");
        let (from, to) = (format!("{below}/before/{short}"), format!("{below}/after/{short}"));
        let why = format!("tanuki: merge of {name}");
        self.forget_undo(name).await?;
        let kept = [(from.as_str(), Some(before.as_str()), None), (to.as_str(), Some(after.as_str()), None)];
        let landed = self.move_branch(target, before, after, &why, &kept).await;
        if landed.is_err() && self.commit(target).await?.as_deref() != Some(after.as_str()) {
            self.forget_undo(name).await?;
        }
        landed
    }

    /// Whether a merge of this agent can be taken back.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn has_undo(&self, name: &str) -> Result<bool, GitError> {
        Ok(!self.references(&format!("refs/tanuki/undo/{name}/after/")).await?.is_empty())
    }

    /// Moves the target of the agent's last merge back to where it was, if it is still where the merge left it.
    ///
    /// # Errors
    ///
    /// There was no merge, the target has moved since, or its checkout is in the way.
    pub async fn undo_merge(&self, name: &str) -> Result<Undone, GitError> {
        let nothing = || GitError::Nothing { what: format!("no merge of '{name}' is there to undo") };
        let (before, after) =
            (format!("refs/tanuki/undo/{name}/before/"), format!("refs/tanuki/undo/{name}/after/"));
        let (old, new) = (self.references(&before).await?, self.references(&after).await?);
        let (reference, commit) = old.into_iter().next().ok_or_else(nothing)?;
        let (_, merged) = new.into_iter().next().ok_or_else(nothing)?;
        let short = reference.strip_prefix(&before).unwrap_or_default();
        let target = format!("refs/heads/{short}");
        let now = self.commit(&target).await?;
        if now.as_deref() != Some(commit.as_str()) {
            if now.as_deref() != Some(merged.as_str()) {
                return Err(GitError::Moved { reference: short.to_owned() });
            }
            let why = format!("tanuki: undo of the merge of {name}");
            self.move_branch(&target, &merged, &commit, &why, &[]).await?;
        }
        self.forget_undo(name).await?;
        Ok(Undone { target: short.to_owned(), commit })
    }

    async fn forget_undo(&self, name: &str) -> Result<(), GitError> {
        let old = self.references(&format!("refs/tanuki/undo/{name}/")).await?;
        let gone: Vec<_> = old.iter().map(|(name, _)| (name.as_str(), None, None)).collect();
        if gone.is_empty() { Ok(()) } else { self.transact("tanuki: undo", &gone).await }
    }

    async fn clean_tree(&self, target: &str, head: &str) -> Result<String, GitError> {
        match self.merge_tree(target, head).await? {
            Tree::Clean(tree) => Ok(tree),
            Tree::Conflicts(files) => Err(GitError::Conflicts { files }),
        }
    }

    async fn merge_tree(&self, target: &str, head: &str) -> Result<Tree, GitError> {
        let output = self
            .attributes_of(self.plain("merge-tree"), target)
            .args(["--write-tree", "-z", "--name-only", "--no-messages", target, head])
            .output()
            .await?;
        let mut fields = output.fields().into_iter();
        match (output.code, fields.next()) {
            (0, Some(tree)) => Ok(Tree::Clean(tree)),
            (1, Some(_)) => Ok(Tree::Conflicts(fields.collect())),
            (code, _) => Err(failed("git merge-tree", code, &output.stderr)),
        }
    }

    /// Lets a command see the attributes of one commit's files, where git can.
    pub(super) fn attributes_of(&self, git: Git, commit: &str) -> Git {
        if self.has((2, 41)) { git.env("GIT_ATTR_SOURCE", commit) } else { git }
    }

    /// Makes a commit; by and as of another one's author where one is given.
    pub(super) async fn commit_tree(
        &self,
        tree: &str,
        parents: &[&str],
        message: &str,
        identity: &Identity,
        author: Option<&Author>,
    ) -> Result<String, GitError> {
        let mut git = self
            .plain("commit-tree")
            .env("GIT_COMMITTER_NAME", &identity.name)
            .env("GIT_COMMITTER_EMAIL", &identity.email)
            .env("GIT_AUTHOR_NAME", author.map_or(&identity.name, |author| &author.name))
            .env("GIT_AUTHOR_EMAIL", author.map_or(&identity.email, |author| &author.email));
        if let Some(author) = author {
            git = git.env("GIT_AUTHOR_DATE", &author.date);
        }
        for parent in parents {
            git = git.args(["-p", *parent]);
        }
        let mut message = message.to_owned();
        if !message.ends_with('\n') {
            message.push('\n');
        }
        git.args([tree, "-F", "-"]).stdin(message).text().await
    }

    pub(super) async fn tree(&self, commit: &str) -> Result<String, GitError> {
        self.plain("rev-parse").args(["--verify", &format!("{commit}^{{tree}}")]).text().await
    }

    async fn is_linear(&self, from: &str, to: &str) -> Result<bool, GitError> {
        let range = format!("{from}..{to}");
        let merges = self.plain("rev-list").args(["--merges", "--max-count=1", &range, "--"]).text().await?;
        Ok(merges.is_empty())
    }

    /// Puts the commits of `head` that `onto` does not have on top of it, one by one, and gives the last. Merges are
    /// left out, as are commits whose change is there already.
    async fn replay(&self, onto: &str, head: &str, identity: &Identity) -> Result<String, GitError> {
        let commits = self
            .plain("rev-list")
            .args(["--reverse", "--topo-order", "--no-merges", &format!("{onto}..{head}"), "--"])
            .text()
            .await?;
        let mut top = onto.to_owned();
        for commit in commits.lines() {
            let original = self.original(commit).await?;
            let (tree, top_tree) = (self.tree(commit).await?, self.tree(&top).await?);
            // Beside the commit, from the same parent: so that their merge is the commit's change and nothing else.
            let parents: Vec<&str> = original.parent.iter().map(String::as_str).collect();
            let beside = self.commit_tree(&top_tree, &parents, "beside", identity, None).await?;
            let result = match parents.as_slice() {
                [] if tree == top_tree => top_tree.clone(),
                _ => self.clean_tree(&beside, commit).await?,
            };
            let was_empty = match &original.parent {
                Some(parent) => self.tree(parent).await? == tree,
                None => false,
            };
            if result == top_tree && !was_empty {
                continue;
            }
            let author = Some(&original.author);
            top = self.commit_tree(&result, &[&top], &original.message, identity, author).await?;
        }
        Ok(top)
    }

    async fn original(&self, commit: &str) -> Result<Original, GitError> {
        let format = "--format=%P%x00%an%x00%ae%x00%ad%x00%B";
        let text = self
            .plain("log")
            .args([
                "--max-count=1",
                "--no-show-signature",
                "--date=raw",
                "--encoding=UTF-8",
                format,
                commit,
                "--",
            ])
            .run()
            .await?;
        let mut fields = text.fields().into_iter();
        let mut field = || fields.next().unwrap_or_default();
        let parent = field().split(' ').next().filter(|parent| !parent.is_empty()).map(str::to_owned);
        let author = Author { name: field(), email: field(), date: format!("@{}", field()) };
        Ok(Original { parent, author, message: field().trim_end().to_owned() })
    }

    async fn squash_message(&self, merging: &Merging<'_>, before: &str) -> Result<String, GitError> {
        let range = format!("{before}..{}", merging.head);
        let subjects = self
            .plain("log")
            .args(["--reverse", "--no-merges", "--max-count=100", "--format=* %s", &range, "--"])
            .text()
            .await?;
        Ok(format!("Work of {}\n\n{subjects}", merging.branch))
    }
}

/// Who made a commit, and when, as git takes it.
#[derive(Debug)]
pub(super) struct Author {
    name: String,
    email: String,
    date: String,
}

/// A commit that is put elsewhere.
struct Original {
    parent: Option<String>,
    author: Author,
    message: String,
}
