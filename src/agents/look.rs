//! A look at a project's agents without a controller: what there is, and what would be done. Changes nothing.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream;
use tanuki_runtimes::{ContainerRuntime, Error as EngineError};
use thiserror::Error;

use super::choose;
use super::container::Blueprint;
use super::kind::wanted;
use super::layout::{self, Layout};
use super::memory::Saved;
use super::observe;
use super::plan::{self, Plan, Seen, Wanted};
use super::review::diff::dirty;
use super::status::{Told, compose};
use super::waiting;
use crate::git::{GitError, Repository};
use crate::model::{AgentSettings, AgentState, AgentStatus, ContainerPhase, Names, ObservedContainer, Time};
use crate::services::spec::Owner;
use crate::store::{AgentRow, Stage, Store, StoreError};

/// Containers that are asked at once when they were started.
const AT_ONCE: usize = 16;

/// What is looked at, and through what.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The engine.
    pub runtime: &'a dyn ContainerRuntime,
    /// What is written down of agents.
    pub store: &'a Store,
    /// Whose objects.
    pub owner: &'a Owner,
    /// What they are called.
    pub names: &'a Names,
    /// Where agents' files are.
    pub layout: &'a Layout,
    /// The configuration; without it nothing is compared with it, which saves a question to the engine.
    pub settings: Option<&'a AgentSettings>,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// How agents are, by name.
    pub statuses: BTreeMap<String, AgentStatus>,
    /// What would be done about them, by name.
    pub plans: BTreeMap<String, Plan>,
}

/// Why nothing was seen.
#[derive(Debug, Error)]
pub enum LookError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The project's repository cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// What is written down cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The project's directory cannot be looked at.
    #[error("cannot look at {path}: {source}")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Status and plan of every agent. Only a controller knows how runs are that are not over.
///
/// # Errors
///
/// The engine, git or the store failed: nothing is known.
pub async fn look(looked: Looked<'_>) -> Result<Sight, LookError> {
    let rows: Vec<AgentRow> =
        looked.store.agents()?.into_iter().filter(|row| row.stage != Stage::Removed).collect();
    if rows.is_empty() {
        return Ok(Sight::default());
    }
    let root = &looked.layout.root;
    let state_dir = looked.layout.state.parent().unwrap_or(root);
    let asked: Vec<(String, String)> =
        rows.iter().map(|row| (row.spec.branch.clone(), row.spec.base.clone())).collect();
    let git = async {
        let git = Repository::open(root, state_dir).await?;
        let heads = git.heads(&asked).await?;
        Ok::<_, LookError>((git, heads))
    };
    let world = async { Ok(observe::world(looked.runtime, looked.owner, None).await?) };
    let (world, (git, heads)) = tokio::try_join!(world, git)?;
    let identity = match looked.settings {
        Some(settings) => {
            let info = looked.runtime.info().await?;
            let identity = layout::identity(root, &info)
                .map_err(|source| LookError::Directory { path: root.display().to_string(), source })?;
            Some((settings, identity))
        }
        None => None,
    };
    let rows: Vec<(AgentRow, Saved)> = rows
        .into_iter()
        .map(|row| {
            let saved = Saved::read(row.memory.as_deref());
            (row, saved)
        })
        .collect();
    let known = rows.iter().filter_map(|(_, saved)| saved.started.clone()).collect();
    let started = started(looked.runtime, world.containers.values(), known).await;
    let mut sight = Sight::default();
    for ((row, saved), head) in rows.into_iter().zip(heads) {
        let name = row.spec.name.clone();
        let container = world.containers.get(&name);
        let fields = match identity {
            Some((settings, identity)) => Blueprint {
                spec: &choose::renewed(&row.spec, settings, root, &saved.asked),
                owner: looked.owner,
                names: looked.names,
                layout: looked.layout,
                identity,
                objects: git.objects(),
                join: &settings.join,
            }
            .fields(),
            None => container.map(|container| container.spec_fields.clone()).unwrap_or_default(),
        };
        let join = looked.settings.map(|settings| settings.join.clone()).unwrap_or_default();
        let wanted = Wanted { join, ..wanted(&row, &saved, looked.names, fields) };
        let workspace = looked.layout.workspace(&name);
        let seen = Seen {
            container,
            surplus: world.surplus(&name),
            workspace: workspace.symlink_metadata().is_ok_and(|meta| meta.is_dir()),
            working: false,
            failure: None,
        };
        let plan = plan::plan(&wanted, &seen);
        let running = container.is_some_and(|container| container.phase == ContainerPhase::Running);
        let told = Told {
            container: looked.names.agent(&name),
            workspace: workspace.display().to_string(),
            container_id: container.map(|container| container.id.clone()),
            started_at: container.and_then(|container| started.get(&container.id).copied()),
            running,
            head,
            stale: false,
            missing: Vec::new(),
        };
        let shown = without_steps(&plan, running);
        // Since when they hold is a controller's to tell.
        let mut status = compose(&row, &saved, &shown, told, Vec::new());
        status.last_run = looked.store.runs(Some(&name), 1)?.pop();
        status.waiting = waiting::of(&looked.layout.runs(&name), &status);
        sight.statuses.insert(name.clone(), status);
        sight.plans.insert(name, plan);
    }
    Ok(sight)
}

/// Whether an agent has work that is not committed, without a controller: a look into its container, where it runs.
/// `None` where that cannot be told.
pub async fn look_into(looked: Looked<'_>, agent: &AgentStatus) -> Option<bool> {
    let container = agent.container_id.as_deref().filter(|_| agent.state == AgentState::Idle)?;
    let info = looked.runtime.info().await.ok()?;
    let user = layout::identity(&looked.layout.root, &info).ok()?.user();
    dirty(looked.runtime, container, user).await
}

/// When containers that run were started, by id. Some engines do not tell it in lists: then it is what the controller
/// that was there last saw, and only containers it did not see are asked for, so that a list stays one call. Who does
/// not tell at all is left out.
async fn started(
    runtime: &dyn ContainerRuntime,
    containers: impl Iterator<Item = &ObservedContainer>,
    known: BTreeMap<String, Time>,
) -> BTreeMap<String, Time> {
    let running = containers.filter(|container| container.phase == ContainerPhase::Running);
    let asked = running.map(|container| {
        let seen = container.started_at.or_else(|| known.get(&container.id).copied());
        async move {
            let at = match seen {
                Some(at) => Some(at),
                None => runtime.inspect(&container.id).await.ok()?.started_at.map(Time::from),
            };
            Some((container.id.clone(), at?))
        }
    });
    let told: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
    told.into_iter().flatten().collect()
}

/// What is, rather than what would be on its way if somebody carried out the plan.
fn without_steps(plan: &Plan, running: bool) -> Plan {
    let (state, reason) = match plan.state {
        state if plan.steps.is_empty() => (state, plan.reason),
        AgentState::Removing => (AgentState::Removing, plan.reason),
        _ if running => (AgentState::Idle, "Running"),
        _ => (AgentState::Stopped, "NotRunning"),
    };
    Plan { steps: Vec::new(), state, reason, ..plan.clone() }
}
