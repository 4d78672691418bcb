//! Taking back the last removal or merge of an agent.

use super::short;
use crate::agents::kind::{Agents, Ask};
use crate::agents::layout;
use crate::agents::lifecycle::{failed, store_failed};
use crate::git::{Base, Rescue};
use crate::model::{Accepted, AgentSpec, Desired, EventType, Rejected};
use crate::store::{Claim, Stage};

impl Agents {
    /// Restores an agent that was removed, or moves the target of its last merge back.
    pub(in crate::agents) async fn undo(&self, name: &str) -> Result<Accepted, Rejected> {
        let lock = self.agent_lock(name);
        let _held = lock.lock().await;
        let git = self.facts().await.map_err(failed)?.git;
        let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
        match row {
            Some(row) if row.stage == Stage::Removed => {
                let rescue = git.rescues(Some(name)).await?.pop();
                match rescue {
                    Some(rescue) => self.restore(row.spec, row.memory.as_deref(), &rescue).await,
                    None if git.has_undo(name).await? => self.undo_merge(name).await,
                    None => Err(Rejected::NotPossible {
                        message: format!("nothing was saved of agent '{name}', so there is nothing to undo"),
                    }),
                }
            }
            Some(_) => self.undo_merge(name).await,
            None if git.has_undo(name).await? => self.undo_merge(name).await,
            None => Err(Rejected::UnknownAgent { name: name.to_owned(), known: self.known()? }),
        }
    }

    async fn undo_merge(&self, name: &str) -> Result<Accepted, Rejected> {
        let git = self.facts().await.map_err(failed)?.git;
        let git = git.with_tasks_in(&self.current_settings().tasks_dir);
        let undone = git.undo_merge(name).await?;
        let text = format!("{} is at {} again, as before the merge", undone.target, short(&undone.commit));
        self.record(EventType::Normal, &format!("agent/{name}"), "MergeUndone", &text);
        self.touch(name);
        Ok(Accepted { agents: vec![name.to_owned()], text, ..Accepted::default() })
    }

    /// Makes a removed agent again, by whoever holds its lock: first as one that is not finished, so that whatever goes
    /// wrong is rolled back. The rescue stays.
    async fn restore(
        &self,
        spec: AgentSpec,
        memory: Option<&str>,
        rescue: &Rescue,
    ) -> Result<Accepted, Rejected> {
        let name = spec.name.clone();
        let facts = self.facts().await.map_err(failed)?;
        let head = facts.git.rescued_head(rescue).await?;
        let branch = format!("refs/heads/{}", spec.branch);
        let there = facts.git.commit(&branch).await?;
        if there.as_ref().is_some_and(|there| *there != head) {
            return Err(Rejected::NotPossible {
                message: format!(
                    "branch '{}' is there and is not what was saved; rename it, then undo again",
                    spec.branch
                ),
            });
        }
        let workspace = self.deps.layout.workspace(&name);
        if workspace.symlink_metadata().is_ok() {
            return Err(Rejected::NotPossible {
                message: format!("{} is there already; move it away", workspace.display()),
            });
        }
        let most = self.current_settings().limits.agents;
        let claimed = self.deps.store.claim_agent(&spec, memory.unwrap_or_default(), most);
        match claimed.map_err(|error| store_failed(&error))? {
            Claim::Taken => {}
            Claim::InUse => {
                return Err(Rejected::NotPossible { message: format!("agent '{name}' is there already") });
            }
            Claim::Full { agents } => {
                return Err(Rejected::Invalid {
                    message: format!("there are {agents} agents already, and `limits.agents` allows {most}"),
                    hint: "remove one, or raise `limits.agents` in tanuki.yaml".to_owned(),
                });
            }
        }
        if there.is_some() {
            // An earlier try was killed between the branch and the rest.
            facts.git.drop_refs(&name, &spec.branch, &head).await?;
        }
        let base = Base { reference: spec.base.clone(), commit: spec.base_commit.clone() };
        let layout = &self.deps.layout;
        let made = facts.git.restore_rescue(rescue, &workspace, &spec.branch, &base).await;
        let prepared = made.map_err(Rejected::from).and_then(|made| {
            let given = layout::remove(&layout.state(&name))
                .and_then(|()| layout.make(&name, facts.identity))
                .and_then(|()| layout::give(&workspace, facts.identity));
            given.map(|()| made).map_err(|error| Rejected::Failed {
                message: format!("cannot prepare the directories of agent '{name}': {error}"),
            })
        });
        let made = match prepared {
            Ok(made) => made,
            Err(error) => {
                if let Err(again) = self.drive(&name, Ask::default()).await {
                    tracing::warn!(?again, agent = name, "cannot roll back yet");
                    self.touch(&name);
                }
                return Err(error);
            }
        };
        self.deps.store.set_agent_stage(&name, Stage::Made).map_err(|error| store_failed(&error))?;
        self.deps.store.set_agent_desired(&name, Desired::Running).map_err(|error| store_failed(&error))?;
        let text = format!("Restored agent {name} from {}", rescue.reference);
        self.record(EventType::Normal, &format!("agent/{name}"), "Restored", &text);
        let mut warnings = made.warnings;
        if let Err(error) = self.drive(&name, Ask { renew: true, restart: false }).await {
            // Its work is back; a container can be made later.
            warnings.push(match error {
                Rejected::Failed { message } | Rejected::NotPossible { message } => message,
                _ => format!("the container of agent '{name}' does not run"),
            });
        }
        self.touch(&name);
        Ok(Accepted { agents: vec![name], text, warnings, ..Accepted::default() })
    }
}
