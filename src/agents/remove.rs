//! Removing agents: their work is saved first, and only then anything is taken away.

use super::kind::{Agents, Ask};
use super::lifecycle::{failed, store_failed};
use crate::controller::{HandleError, Wake};
use crate::model::{Accepted, AgentSpec, EventType, Rejected};
use crate::store::Stage;

impl Agents {
    /// Removes agents, one after another: what is refused for one leaves the others be removed.
    pub(super) async fn remove_agents(&self, names: &[String], force: bool) -> Result<Accepted, Rejected> {
        let names = self.resolve(names)?;
        let mut accepted = Accepted::default();
        let mut refused = Vec::new();
        for name in names {
            match self.remove_one(&name, force).await {
                Ok((text, warnings)) => {
                    accepted.text.push_str(&format!("{text}\n"));
                    accepted
                        .warnings
                        .extend(warnings.into_iter().map(|said| format!("agent '{name}': {said}")));
                    accepted.agents.push(name);
                }
                Err(rejected) => refused.push(rejected),
            }
        }
        accepted.text.truncate(accepted.text.trim_end().len());
        if refused.len() == 1 && accepted.agents.is_empty() {
            return Err(refused.remove(0));
        }
        if refused.is_empty() {
            return Ok(accepted);
        }
        let mut lines: Vec<String> =
            refused.into_iter().map(|rejected| HandleError::Rejected(rejected).to_string()).collect();
        if !accepted.agents.is_empty() {
            lines.push(format!("the others are gone: {}", accepted.agents.join(", ")));
        }
        Err(Rejected::NotPossible { message: lines.join("\n") })
    }

    /// Removes one agent. How it is restored, and what of it was not saved.
    async fn remove_one(&self, name: &str, force: bool) -> Result<(String, Vec<String>), Rejected> {
        let lock = self.agent_lock(name);
        let _held = lock.lock().await;
        let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
        let mut told = (format!("Removed agent {name}"), Vec::new());
        if row.is_some_and(|row| row.stage == Stage::Made) {
            let spec = self.made(name)?.spec;
            self.may_remove(&spec, force).await?;
            let saved = self.rescue(name, force).await?;
            self.deps.store.set_agent_stage(name, Stage::Removing).map_err(|error| store_failed(&error))?;
            let reference = &saved.rescue.reference;
            self.record(
                EventType::Normal,
                &format!("agent/{name}"),
                "Saved",
                &format!("saved as {reference}"),
            );
            told = (
                format!(
                    "Removed agent {name}; its work is saved as {reference}\nRestore it with: tanuki undo {name}"
                ),
                saved.warnings,
            );
        }
        let driven = self.drive(name, Ask::default()).await;
        self.touch(name);
        driven.map(|()| told)
    }

    /// Whether an agent may go: not while it works, or has what its base does not have.
    async fn may_remove(&self, spec: &AgentSpec, force: bool) -> Result<(), Rejected> {
        let name = &spec.name;
        if let Some(run) = self.runs().and_then(|runs| runs.live(name)) {
            // Where it was forced, its end was asked for before; a new one began since.
            return Err(Rejected::NotPossible {
                message: format!(
                    "agent '{name}' has a run that is not over ({}); `tanuki run stop {name}` ends it",
                    run.id
                ),
            });
        }
        if force {
            return Ok(());
        }
        let why = if self.deps.layout.workspace(name).is_dir() {
            self.unmerged(name).await?
        } else {
            self.branch_unmerged(spec).await?
        };
        match why {
            None => Ok(()),
            Some(why) => Err(Rejected::NotPossible {
                message: format!(
                    "{why}, and --force removes the agent all the same (its work is saved either way)"
                ),
            }),
        }
    }

    /// The same for an agent whose workspace is gone: by its branch alone.
    async fn branch_unmerged(&self, spec: &AgentSpec) -> Result<Option<String>, Rejected> {
        let git = self.facts().await.map_err(failed)?.git;
        let Some(head) = git.commit(&format!("refs/heads/{}", spec.branch)).await? else { return Ok(None) };
        let base = git.commit(&spec.base).await?.unwrap_or_else(|| spec.base_commit.clone());
        if git.has_all(&base, &head).await? {
            return Ok(None);
        }
        Ok(Some(format!(
            "branch {} has work that its base does not have; `tanuki merge {}` brings it over",
            spec.branch, spec.name
        )))
    }

    /// Merges an agent's work, and removes the agent where that was asked for too.
    pub(super) async fn merge_and_remove(&self, asked: &crate::model::Merge) -> Result<Accepted, Rejected> {
        let mut accepted = self.merge(asked).await?;
        // Everybody's base may be another one now.
        self.deps.waker.wake(Wake::All);
        self.refresh(&asked.name).await;
        if asked.remove {
            match self.remove_one(&asked.name, false).await {
                Ok((text, warnings)) => {
                    accepted.text = format!("{}\n{text}", accepted.text);
                    accepted.warnings.extend(warnings);
                }
                // What was merged stays merged.
                Err(rejected) => {
                    let why = HandleError::Rejected(rejected);
                    accepted.warnings.push(format!("agent '{}' was not removed: {why}", asked.name));
                }
            }
        }
        Ok(accepted)
    }
}
