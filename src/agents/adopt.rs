//! Agents that the world has and the store does not know: found again after the store was lost, or left over.
//!
//! A container whose workspace or branch is there is an agent's, whatever became of the store: it is written down
//! again as its labels tell it, or as far as git and the configuration do. So is a workspace that git knows the base of.
//! A container without either is what a removal or a spawn that was taken back has left, and goes.

use tanuki_runtimes::ErrorKind;

use super::kind::Agents;
use super::memory::Saved;
use super::observe::World;
use crate::controller::{Next, PassError};
use crate::model::{AgentSpec, ContainerPhase, Desired, EventType, ObservedContainer, check_agent_name};
use crate::store::AgentRow;

impl Agents {
    /// Names that may be agents', by what is there.
    pub(super) fn traces(&self, world: &World) -> Vec<String> {
        let mut names: Vec<String> = world.containers.keys().cloned().collect();
        if let Ok(entries) = std::fs::read_dir(&self.deps.layout.workspaces) {
            let directories =
                entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            names.extend(directories.filter_map(|entry| entry.file_name().into_string().ok()));
        }
        names.retain(|name| check_agent_name(name).is_ok());
        names
    }

    /// One pass over what no agent of the store is, by whoever holds the lock of that name. `row` is of an agent that
    /// was removed.
    pub(super) async fn look_at_trace(
        &self,
        name: &str,
        row: Option<&AgentRow>,
        world: &World,
    ) -> Result<Next, PassError> {
        let container = world.containers.get(name);
        let workspace = self.deps.layout.workspace(name).is_dir();
        if (container.is_none() && !workspace) || (workspace && row.is_some()) {
            return Ok(Next::Settled);
        }
        let git = self.facts().await?.git;
        if row.is_none() && check_agent_name(name).is_ok() {
            let base = git.commit(&format!("refs/tanuki/base/{name}")).await.map_err(PassError::new)?;
            let spec = self.known_spec(name, base.as_deref(), container, world).await?;
            let branch = git.commit(&format!("refs/heads/{}", spec.branch)).await.map_err(PassError::new)?;
            let is_agent = match container {
                Some(container) => (workspace || branch.is_some()) && self.is_there(container).await?,
                None => base.is_some() && branch.is_some(),
            };
            if is_agent {
                return self.adopt(&spec, container);
            }
        }
        let left = container.into_iter().chain(world.surplus(name));
        let mut gone = false;
        for container in left {
            self.deps.runtime.remove(&container.id).await.map_err(PassError::new)?;
            gone = true;
        }
        Ok(if gone { Next::Again } else { Next::Settled })
    }

    /// A list may be older than a removal.
    async fn is_there(&self, container: &ObservedContainer) -> Result<bool, PassError> {
        match self.deps.runtime.inspect(&container.id).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PassError::new(error)),
        }
    }

    /// What an agent was spawned as: its container tells, or else it is what one of that name would be now.
    async fn known_spec(
        &self,
        name: &str,
        base: Option<&str>,
        container: Option<&ObservedContainer>,
        world: &World,
    ) -> Result<AgentSpec, PassError> {
        let told = container.and(world.specs.get(name)).and_then(|text| serde_json::from_str(text).ok());
        if let Some(spec) = told.filter(|spec: &AgentSpec| spec.name == name) {
            return Ok(spec);
        }
        let settings = self.current_settings();
        let now = self.facts().await?.git.resolve_base(None).await.map_err(PassError::new)?;
        Ok(AgentSpec {
            name: name.to_owned(),
            role: None,
            workstream: None,
            adapter: settings.defaults.agent.clone(),
            image: settings.defaults.image.clone().unwrap_or_default(),
            model: settings.defaults.model.clone(),
            branch: format!("{}{name}", settings.branch_prefix),
            base: now.reference,
            base_commit: base.map_or(now.commit, ToOwned::to_owned),
            resources: settings.defaults.resources,
            created_at: self.now(),
        })
    }

    /// Writes an agent down that is there. Nothing of it changes.
    fn adopt(&self, spec: &AgentSpec, container: Option<&ObservedContainer>) -> Result<Next, PassError> {
        let runs = container.is_some_and(|container| container.phase == ContainerPhase::Running);
        let desired = if runs { Desired::Running } else { Desired::Stopped };
        let saved = Saved { container: container.map(|container| container.id.clone()), ..Saved::default() };
        self.deps.store.adopt_agent(spec, desired, &saved.text()).map_err(PassError::new)?;
        self.record(
            EventType::Warning,
            &format!("agent/{}", spec.name),
            "FoundAgain",
            "the project's state did not know it; it is as its container, its workspace and its branch tell",
        );
        Ok(Next::Again)
    }
}
