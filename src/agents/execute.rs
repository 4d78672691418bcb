//! Carries out a plan: single steps in order, with nothing left to decide but what a failure means.

use std::collections::BTreeMap;
use std::time::Duration;

use tanuki_runtimes::{Error, ErrorKind, NetworkSpec};

use super::kind::{Agents, Facts};
use super::layout;
use super::memory::Saved;
use super::plan::{Action, Plan, Wanted};
use crate::controller::PassError;
use crate::model::{AgentSpec, EventType, LabelKey, ObjectKind};
use crate::services::{META_DOWN, name_taken};
use crate::store::{AgentRow, Stage};

/// Why a step failed.
#[derive(Debug)]
pub(super) enum StepError {
    /// The engine's or the disk's trouble: it is tried again.
    Retry(String),
    /// It would fail again; a person is told.
    Final(String),
}

impl Agents {
    /// Carries out the plan. `container` is the id of the one that was seen. Whether anything was done, and what failed
    /// for good.
    pub(super) async fn execute(
        &self,
        row: &AgentRow,
        renewed: &AgentSpec,
        facts: &Facts,
        wanted: &Wanted,
        plan: &Plan,
        container: Option<&str>,
    ) -> Result<(bool, Option<String>), PassError> {
        let name = &row.spec.name;
        let mut container = container.map(ToOwned::to_owned);
        let object = format!("agent/{name}");
        // A container that is made now may follow the configuration as it is now.
        let mut spec = &row.spec;
        for step in &plan.steps {
            tracing::info!(agent = name, action = ?step.action, cause = step.cause, "step");
            let done = match &step.action {
                Action::EnsureNetwork => self.ensure_network().await,
                Action::Create => {
                    spec = renewed;
                    self.create(row, renewed, facts).await.map(|id| container = Some(id))
                }
                Action::Start => match &container {
                    Some(id) => self.start(spec, id).await,
                    None => Err(StepError::Retry("there is no container to start".to_owned())),
                },
                Action::Stop { id } => self.stop(id, Duration::from_millis(wanted.grace_ms)).await,
                Action::Remove { id } => self.remove_container(name, id).await,
                Action::RemoveBranch => self.remove_branch(row, facts).await,
                Action::RemoveWorkspace => remove(&self.deps.layout.workspace(name)),
                Action::RemoveState => remove(&self.deps.layout.state(name)),
                Action::Finish => self.finish(row),
            };
            match done {
                Ok(()) => self.after(&object, &step.action, &step.cause),
                Err(StepError::Retry(message)) => return Err(PassError::new(message)),
                Err(StepError::Final(message)) => {
                    self.record(EventType::Warning, &object, "Failed", &message);
                    self.with_record(name, |record| record.failure = Some(message.clone()));
                    return Ok((true, Some(message)));
                }
            }
        }
        if !plan.steps.is_empty() {
            self.with_record(name, |record| record.failure = None);
        }
        Ok((!plan.steps.is_empty(), None))
    }

    fn after(&self, object: &str, action: &Action, cause: &str) {
        let (reason, what) = match action {
            Action::Create => ("Created", "created its container"),
            Action::Start => ("Started", "started its container"),
            Action::Stop { .. } => ("Stopped", "stopped its container"),
            Action::Remove { .. } => ("Removed", "removed its container"),
            Action::Finish if cause == super::plan::UNFINISHED => ("RolledBack", "rolled back"),
            Action::Finish => ("Gone", "removed"),
            Action::EnsureNetwork | Action::RemoveBranch | Action::RemoveWorkspace | Action::RemoveState => {
                return;
            }
        };
        self.record(EventType::Normal, object, reason, &format!("{what}: {cause}"));
    }

    /// Makes sure that the project's network is there, and that nobody takes it away again.
    pub(super) async fn ensure_network(&self) -> Result<(), StepError> {
        let down = self.deps.store.meta(META_DOWN).map_err(|error| StepError::Retry(error.to_string()))?;
        if down.is_some_and(|down| !down.is_empty()) {
            let up = self.deps.store.set_meta(META_DOWN, "");
            up.map_err(|error| StepError::Retry(error.to_string()))?;
        }
        let labels = self.deps.owner.object_labels(ObjectKind::Network, &self.deps.names.network);
        let network = NetworkSpec { name: self.deps.names.network(), labels };
        self.deps.runtime.ensure_network(&network).await.map(drop).map_err(|error| self.explain(&error, ""))
    }

    /// Makes the container, and writes down that it is this agent's. Its id.
    pub(super) async fn create(
        &self,
        row: &AgentRow,
        spec: &AgentSpec,
        facts: &Facts,
    ) -> Result<String, StepError> {
        let name = &spec.name;
        let settings = self.current_settings();
        if *spec != row.spec {
            let changed = self.deps.store.set_agent_spec(spec);
            changed.map_err(|error| StepError::Retry(error.to_string()))?;
        }
        let env: BTreeMap<String, String> = self.lock().environment.of_agent(name).0;
        let container = self.blueprint(spec, facts, &settings).agent(env, row.generation);
        let id = self.deps.runtime.create(&container).await.map_err(|error| self.explain(&error, name))?;
        for network in &settings.join {
            let joined = self.deps.runtime.connect_network(network, &id).await;
            joined.map_err(|error| match error.kind {
                ErrorKind::NotFound => StepError::Final(format!(
                    "there is no network {network}, which `network.join` names; it is there once its own \
                     stack is up"
                )),
                _ => self.explain(&error, name),
            })?;
        }
        self.remember(name, |saved| saved.container = Some(id.clone())).map_err(StepError::Retry)?;
        Ok(id)
    }

    /// Starts the container that was made here or seen as this agent's. By its id: when an engine gets to it late, the
    /// name may be somebody else's.
    pub(super) async fn start(&self, spec: &AgentSpec, id: &str) -> Result<(), StepError> {
        self.with_record(&spec.name, |record| record.started = None);
        let started = self.deps.runtime.start(id).await;
        started.map_err(|error| match (self.explain(&error, &spec.name), &error.kind) {
            // Programs that are not there are told in each engine's own way.
            (StepError::Final(message), ErrorKind::Invalid | ErrorKind::Other) => {
                StepError::Final(format!("{message}; image {} must have `sh` and `git`", spec.image))
            }
            (explained, _) => explained,
        })
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), StepError> {
        match self.deps.runtime.stop(id, grace).await {
            // Removed since it was seen: it does not run, which is what was asked for.
            Err(error) if !error.is_not_found() => Err(StepError::Retry(error.to_string())),
            _ => Ok(()),
        }
    }

    async fn remove_container(&self, name: &str, id: &str) -> Result<(), StepError> {
        self.deps.runtime.remove(id).await.map_err(|error| StepError::Retry(error.to_string()))?;
        self.remember(name, |saved| saved.container = None).map_err(StepError::Retry)
    }

    /// A removed agent's branch is saved under its rescue ref; an unfinished one's has nothing on it.
    async fn remove_branch(&self, row: &AgentRow, facts: &Facts) -> Result<(), StepError> {
        let spec = &row.spec;
        let retry = |error: crate::git::GitError| StepError::Retry(error.to_string());
        let head = facts.git.commit(&format!("refs/heads/{}", spec.branch)).await.map_err(retry)?;
        if row.stage == Stage::Creating && head.as_ref().is_some_and(|head| *head != spec.base_commit) {
            // Somebody else's: a branch of a new agent is at its base.
            return Ok(());
        }
        let expected = head.unwrap_or_else(|| spec.base_commit.clone());
        facts.git.drop_refs(&spec.name, &spec.branch, &expected).await.map_err(retry)
    }

    fn finish(&self, row: &AgentRow) -> Result<(), StepError> {
        let name = &row.spec.name;
        let done = match row.stage {
            Stage::Creating => self.deps.store.forget_agent(name),
            _ => self.deps.store.set_agent_stage(name, Stage::Removed),
        };
        done.map_err(|error| StepError::Retry(error.to_string()))?;
        self.forget(name);
        Ok(())
    }

    /// Changes what is remembered of an agent in the store.
    pub(super) fn remember(&self, name: &str, change: impl FnOnce(&mut Saved)) -> Result<(), String> {
        let row = self.deps.store.agent(name).map_err(|error| error.to_string())?;
        let Some(row) = row else { return Ok(()) };
        let mut saved = Saved::read(row.memory.as_deref());
        let before = saved.clone();
        change(&mut saved);
        if saved == before {
            return Ok(());
        }
        self.deps.store.save_agent_memory(name, &saved.text()).map_err(|error| error.to_string())
    }

    /// What a failed engine call means, and what to do about it.
    pub(super) fn explain(&self, error: &Error, agent: &str) -> StepError {
        match &error.kind {
            ErrorKind::NameTaken(holder)
                if holder.labels.owned_by(&self.deps.owner.labels())
                    && holder.labels.get(LabelKey::NAME) == Some(agent) =>
            {
                // Its own container, made since the look.
                StepError::Retry(error.to_string())
            }
            ErrorKind::NameTaken(holder) => StepError::Final(name_taken(error, holder)),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict | ErrorKind::InUse => {
                StepError::Retry(error.to_string())
            }
            _ => StepError::Final(error.to_string()),
        }
    }
}

fn remove(directory: &std::path::Path) -> Result<(), StepError> {
    layout::remove(directory)
        .map_err(|error| StepError::Retry(format!("cannot remove {}: {error}", directory.display())))
}
