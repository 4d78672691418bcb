//! Saving everything of an agent before it is removed.

use std::time::Duration;

use super::scripts::{CLEAR, SAVE};
use super::{command, said};
use crate::agents::helper::Room;
use crate::agents::kind::{Agents, Facts};
use crate::agents::lifecycle::failed;
use crate::controller::HandleError;
use crate::git::{GitError, Rescue};
use crate::model::{AgentSpec, Rejected};

/// A large workspace on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(900);

/// What was saved of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agents) struct Saved {
    /// Where.
    pub(in crate::agents) rescue: Rescue,
    /// What of it was not saved, for people.
    pub(in crate::agents) warnings: Vec<String>,
}

impl Agents {
    /// Saves the agent's whole tree, and everything it has committed, under `refs/tanuki/rescue/`. With `force` what
    /// cannot be saved is left out and told, otherwise it fails.
    ///
    /// Where the workspace is gone, what is on the agent's branch is saved.
    pub(in crate::agents) async fn rescue(&self, name: &str, force: bool) -> Result<Saved, Rejected> {
        let spec = self.made(name)?.spec;
        let facts = self.facts().await.map_err(failed)?;
        if !self.deps.layout.workspace(name).is_dir() {
            return self.rescue_branch(&spec, &facts).await;
        }
        let room = self.room(name).await?;
        let saved = match self.rescue_in(&room, &spec, &facts, "all", force).await {
            // Something of its history does not pass, or is too large to: its files are what matters most.
            Err(rejected @ (Rejected::Failed { .. } | Rejected::NotPossible { .. }))
                if force || matches!(rejected, Rejected::Failed { .. }) =>
            {
                let message = HandleError::Rejected(rejected).to_string();
                let plain = self.rescue_in(&room, &spec, &facts, "tree", force).await;
                plain.map(|mut saved| {
                    saved
                        .warnings
                        .push(format!("commits that were never brought over are not saved: {message}"));
                    saved
                })
            }
            saved => saved,
        };
        room.leave().await;
        saved
    }

    async fn rescue_in(
        &self,
        room: &Room<'_>,
        spec: &AgentSpec,
        facts: &Facts,
        mode: &str,
        force: bool,
    ) -> Result<Saved, Rejected> {
        let name = spec.name.as_str();
        let known = facts.git.commit(&format!("refs/heads/{}", spec.branch)).await?;
        let known = known.unwrap_or_else(|| spec.base_commit.clone());
        let objects: Vec<String> =
            facts.git.objects().iter().map(|path| path.display().to_string()).collect();
        let force = if force { "force" } else { "" };
        let mut args = vec![spec.branch.as_str(), &known, facts.git.format(), mode, force];
        args.extend(objects.iter().map(String::as_str));
        let message = format!("Rescue of {name}\n").into_bytes();
        let output = self.exec_in(room, name, command(SAVE, &args), Some(message), TIMEOUT).await?;
        let refused = |what: &str| Rejected::NotPossible {
            message: format!(
                "agent '{name}': {what}, so nothing was removed; --force leaves them out: {}",
                said(&output)
            ),
        };
        match output.exit_code {
            0 => {}
            5 => return Err(refused("files cannot be read")),
            6 => return Err(refused("files are too large to be saved")),
            code => {
                let message =
                    format!("agent '{name}': cannot save the workspace ({code}): {}", said(&output));
                return Err(Rejected::Failed { message });
            }
        }
        let place = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut transport = self.transport(room, facts);
        transport.args.extend(["--dir".to_owned(), format!("{place}/git")]);
        let fetched = facts.git.fetch_rescue(&transport, name, self.now()).await;
        // The container is about to go, and what is left in it with it.
        let cleared = self.exec_in(room, name, command(CLEAR, &[&place]), None, TIMEOUT).await;
        if let Err(error) = cleared {
            tracing::debug!(?error, "a rescue's files stay in the container");
        }
        let left_out = String::from_utf8_lossy(&output.stderr);
        let left_out = left_out.lines().filter_map(|line| line.strip_prefix("left out: "));
        let warnings = left_out.map(|line| format!("not saved: {line}")).collect();
        Ok(Saved { rescue: fetched?, warnings })
    }

    async fn rescue_branch(&self, spec: &AgentSpec, facts: &Facts) -> Result<Saved, Rejected> {
        let name = &spec.name;
        let branch = format!("refs/heads/{}", spec.branch);
        let head = facts.git.commit(&branch).await?;
        let head = head.ok_or(GitError::UnknownRef { name: spec.branch.clone() })?;
        let message = format!("Rescue of {name}");
        let rescue = facts.git.rescue_commit(name, &head, &message, self.now()).await?;
        let warnings = vec![format!("the workspace is gone; what {} has was saved", spec.branch)];
        Ok(Saved { rescue, warnings })
    }
}
