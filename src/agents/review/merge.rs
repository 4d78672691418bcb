//! Bringing an agent's work into its base.

use std::time::Duration;

use super::diff::Work;
use super::scripts::VERIFY;
use super::{said, short};
use crate::agents::Ground as _;
use crate::agents::kind::Agents;
use crate::agents::lifecycle::{failed, store_failed};
use crate::git::{GitError, Merged, Merging, ProjectGit};
use crate::model::{Accepted, AgentSpec, EventType, Merge, MergeMethod, Rejected};
use crate::store::Stage;

/// A test suite may take its time.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(3600);

impl Agents {
    /// Merges the agent's work into its base: conflicts are told before anything else, the verify command runs on the
    /// result, and then the target moves. Removing the agent afterwards is the caller's.
    pub(in crate::agents) async fn merge(&self, asked: &Merge) -> Result<Accepted, Rejected> {
        let name = asked.name.as_str();
        let spec = self.made(name)?.spec;
        let git = self.facts().await.map_err(failed)?.git;
        let mut warnings = Vec::new();
        if let Work::Dirty(files) = self.work(name).await? {
            let files: Vec<&str> = files.lines().filter_map(|line| line.get(3..)).collect();
            warnings.push(format!("not committed in the workspace, so not merged: {}", files.join(", ")));
        }
        let head = self.collect(name).await?;
        let head = head.ok_or_else(|| Rejected::NotPossible {
            message: format!("the workspace of agent '{name}' has no branch {}", spec.branch),
        })?;
        let merged = compute(git.as_ref(), &spec, &head, asked).await?;
        if let Some(command) = &asked.verify {
            self.verify(name, &merged, command).await?;
        }
        let git = git.with_tasks_in(&self.current_settings().tasks_dir);
        warnings.extend(git.land(name, &merged).await?);
        let target = merged.target.trim_start_matches("refs/heads/");
        let how = match (asked.method, merged.fast_forward) {
            (_, true) => "fast-forward",
            (MergeMethod::Merge, false) => "merge commit",
            (MergeMethod::Squash, false) => "one commit",
            (MergeMethod::Rebase, false) => "rebased",
        };
        let text = format!(
            "Merged {} into {target}: {} -> {} ({how})",
            spec.branch,
            short(&merged.before),
            short(&merged.after)
        );
        self.record(EventType::Normal, &format!("agent/{name}"), "Merged", &text);
        self.touch(name);
        Ok(Accepted { agents: vec![name.to_owned()], text, warnings, ..Accepted::default() })
    }

    /// Runs the verify command on the files of a merge that is nowhere yet, in the agent's container. The project's
    /// objects, which the container sees, have it already.
    async fn verify(&self, name: &str, merged: &Merged, command: &str) -> Result<(), Rejected> {
        let args = [merged.after.as_str(), command];
        let output = self.inside(name, (VERIFY, &args), None, VERIFY_TIMEOUT).await?;
        match output.exit_code {
            0 => Ok(()),
            125 => Err(Rejected::Failed {
                message: format!("agent '{name}': cannot lay out the result to verify it: {}", said(&output)),
            }),
            code => {
                let mut message =
                    format!("nothing was merged: `{command}` fails on the result with exit code {code}");
                let said = said(&output);
                if !said.is_empty() {
                    message.push_str(&format!(": {said}"));
                }
                Err(Rejected::VerifyFailed { message })
            }
        }
    }

    /// Whether merges would conflict, by what is known of the branches; nothing is fetched.
    pub(in crate::agents) async fn forecast(&self, name: &str) -> Result<Accepted, Rejected> {
        let spec = self.made(name)?.spec;
        let git = self.facts().await.map_err(failed)?.git;
        let head = format!("refs/heads/{}", spec.branch);
        let target = spec.base.trim_start_matches("refs/heads/");
        let mut lines = vec![told(target, &git.conflicts(&spec.base, &head).await?)];
        let rows = self.deps.store.agents().map_err(|error| store_failed(&error))?;
        let others = rows.into_iter().filter(|row| row.stage == Stage::Made && row.spec.name != name);
        for other in others.map(|row| row.spec).filter(|other| other.base == spec.base) {
            let files = match git.conflicts(&format!("refs/heads/{}", other.branch), &head).await {
                Err(GitError::UnknownRef { .. }) => continue,
                files => files?,
            };
            if !files.is_empty() {
                lines.push(told(&other.branch, &files));
            }
        }
        let text = lines.join("\n");
        Ok(Accepted { agents: vec![name.to_owned()], text, ..Accepted::default() })
    }

    /// Why the agent's work would be lost to its base if it were removed now; `None` where all of it is there.
    pub(in crate::agents) async fn unmerged(&self, name: &str) -> Result<Option<String>, Rejected> {
        let spec = self.made(name)?.spec;
        let git = self.facts().await.map_err(failed)?.git;
        if let Work::Dirty(files) = self.work(name).await.map_err(unless_forced)? {
            let first = files.lines().next().and_then(|line| line.get(3..)).unwrap_or_default().to_owned();
            return Ok(Some(format!(
                "agent '{name}' has work that is not committed (as {first}), which a merge would leave behind; \
                 commit it in the workspace (`tanuki attach {name}`)"
            )));
        }
        let Some(head) = self.collect(name).await.map_err(unless_forced)? else { return Ok(None) };
        let base = git.commit(&spec.base).await?.unwrap_or_else(|| spec.base_commit.clone());
        if git.has_all(&base, &head).await? {
            return Ok(None);
        }
        let target = spec.base.trim_start_matches("refs/heads/");
        Ok(Some(format!(
            "branch {} has work that is not in {target}; `tanuki merge {name}` brings it over",
            spec.branch
        )))
    }
}

async fn compute(
    git: &dyn ProjectGit,
    spec: &AgentSpec,
    head: &str,
    asked: &Merge,
) -> Result<Merged, Rejected> {
    let merging = Merging {
        branch: &spec.branch,
        head,
        target: &spec.base,
        method: asked.method,
        message: asked.message.as_deref(),
    };
    match git.compute_merge(&merging).await {
        Err(GitError::Conflicts { files }) => Err(Rejected::Conflicts {
            message: format!(
                "{} and {} both changed the same lines; let the agent merge {1} into its branch, or do it by hand",
                spec.branch,
                spec.base.trim_start_matches("refs/heads/")
            ),
            files,
        }),
        computed => Ok(computed?),
    }
}

/// A workspace that cannot be looked at can still be saved.
fn unless_forced(rejected: Rejected) -> Rejected {
    match rejected {
        Rejected::Failed { message } => Rejected::NotPossible {
            message: format!("{message}; --force removes the agent all the same, after its files are saved"),
        },
        other => other,
    }
}

fn told(with: &str, files: &[String]) -> String {
    if files.is_empty() {
        format!("merges cleanly into {with}")
    } else {
        format!("conflicts with {with} in {}", files.join(", "))
    }
}
