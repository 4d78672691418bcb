//! How a project is now: from its controller, or by a look of one's own that changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tanuki_runtimes::ContainerRuntime;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::context::Project;
use super::session::VERSION;
use super::{CliError, Context, Result, now};
use crate::agents::{self, Layout, LookError, Sight};
use crate::api::{Client, ClientError, LaunchError};
use crate::model::{
    Accepted, AgentSettings, AgentState, AgentStatus, ControllerInfo, EngineSummary, HealthWord, Names,
    ProjectStatus, Request, ServicePlan, ServiceState, ServiceStatus, Snapshot,
};
use crate::services::spec::Owner;
use crate::services::{self, names, observe};
use crate::store::{Store, StoreError};
use crate::tasks;

/// How long a look waits for a controller that has just started to see how things are.
const FIRST_LOOK: Duration = Duration::from_millis(1000);

/// How long a controller may take to find agents that no store tells of.
const FIND: Duration = Duration::from_secs(3);

/// What would be done now, by name. Nothing is changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Plans {
    pub(super) services: BTreeMap<String, ServicePlan>,
    pub(super) agents: BTreeMap<String, agents::plan::Plan>,
}

impl Context {
    /// How the project is now: from its controller. Where none runs, one is started if it has something to watch over;
    /// else the engine is looked at, and nothing is changed.
    pub async fn look(&self) -> Result<Snapshot> {
        if let Some(snapshot) = self.told().await? {
            return Ok(snapshot);
        }
        let project = self.project()?;
        if let Some(workspaces) = without_store(&project) {
            return self.find_again(&project, workspaces).await;
        }
        let store = project.existing_store()?;
        let wanted = match &store {
            Some(store) => store.wanted_running().map_err(|error| unreadable(&error))?,
            None => Vec::new(),
        };
        let runs =
            |name: &String| project.config.services.get(name).is_some_and(|spec| spec.external.is_none());
        if is_under_way(store.as_ref())? || wanted.iter().any(runs) || has_live_runs(store.as_ref())? {
            return self.first_look(&project).await;
        }
        let work = sight(&project, store.as_ref())?;
        let view = self.view(&project, store).await?;
        let settings = project.config.agents();
        let agents = view.agents(Some(&settings));
        let (services, agents, info) =
            tokio::try_join!(view.services(), agents, async { Ok(view.runtime.info().await?) })?;
        Ok(Snapshot {
            services: services.0,
            agents: agents.statuses,
            tasks: work.tasks,
            work: work.work,
            engine: EngineSummary {
                kind: info.kind.to_string(),
                version: info.version,
                endpoint: info.endpoint,
                rootless: info.rootless,
            },
            ..view.snapshot()
        })
    }

    /// How the agents are now. As [`Context::look`], but services and their wishes are left out where no controller
    /// tells of them: one question to the engine.
    pub async fn look_at_agents(&self) -> Result<Snapshot> {
        if let Some(snapshot) = self.told().await? {
            return Ok(snapshot);
        }
        let project = self.project()?;
        if let Some(workspaces) = without_store(&project) {
            return self.find_again(&project, workspaces).await;
        }
        let store = project.existing_store()?;
        if has_live_runs(store.as_ref())? {
            return self.first_look(&project).await;
        }
        let view = self.view(&project, store).await?;
        let agents = view.agents(None).await?.statuses;
        Ok(Snapshot { agents, ..view.snapshot() })
    }

    /// As [`Context::look_at_agents`], with a look into the workspace of one of them.
    pub async fn look_into_agent(&self, name: &str) -> Result<Snapshot> {
        let Some(mut snapshot) = self.told().await? else {
            let mut snapshot = self.look_at_agents().await?;
            let is_nobodys = snapshot.controller.pid == 0;
            if let Some(agent) = snapshot.agents.get_mut(name).filter(|_| is_nobodys) {
                let project = self.project()?;
                let view = self.view(&project, project.existing_store()?).await?;
                agent.dirty = view.work(agent).await.or(agent.dirty);
            }
            return Ok(snapshot);
        };
        if let Some(agent) = snapshot.agents.get_mut(name).filter(|agent| runs(agent)) {
            let looked = Client::new(&self.socket(&self.paths()?))
                .request(&Request::AgentLook { name: name.to_owned() })
                .await;
            // Otherwise what was known stays: the rest of the status is no worse for it.
            if let Ok(Ok(Accepted { text, .. })) = looked {
                agent.dirty = Some(!text.is_empty());
            }
        }
        Ok(snapshot)
    }

    /// How tasks are now. Files and store are enough where no controller tells.
    pub async fn look_at_tasks(&self) -> Result<Snapshot> {
        if let Some(snapshot) = self.told().await? {
            return Ok(snapshot);
        }
        let project = self.project()?;
        let store = project.existing_store()?;
        // Somebody has to go on with what is under way; where nobody can, the files still tell.
        if is_under_way(store.as_ref())?
            && let Ok(session) = self.controller(&project).await
        {
            let snapshot = first_tasks(session.snapshots()).await;
            session.finish().await;
            if let Some(snapshot) = snapshot {
                return Ok(snapshot);
            }
        }
        let sight = sight(&project, store.as_ref())?;
        Ok(Snapshot { tasks: sight.tasks, work: sight.work, ..without_engine(&project) })
    }

    /// Ports that services are published on now, by service.
    pub async fn host_ports(&self, project: &Project) -> Result<BTreeMap<String, u16>> {
        let runtime = self.engine(project).await?;
        let world = observe::world(runtime.as_ref(), &project.owner()).await?;
        let published = project.config.services.values().filter_map(|spec| {
            let container = world.containers.get(&spec.name)?;
            Some((spec.name.clone(), container.host_port(spec.port?)?))
        });
        Ok(published.collect())
    }

    /// The plans of all services and agents as they would be carried out now.
    pub(super) async fn plans(&self, project: &Project) -> Result<Plans> {
        let view = self.view(project, project.existing_store()?).await?;
        let settings = project.config.agents();
        let (services, agents) = tokio::try_join!(view.services(), view.agents(Some(&settings)))?;
        Ok(Plans { services: services.1, agents: agents.plans })
    }

    /// What a controller tells. Nothing from one that has just started: it may not have gone through everything yet.
    async fn told(&self) -> Result<Option<Snapshot>> {
        match Client::new(&self.socket(&self.paths()?)).snapshot().await {
            Ok(snapshot) if now().since(snapshot.controller.started_at) > FIRST_LOOK => Ok(Some(snapshot)),
            Ok(_) | Err(ClientError::NotRunning) => Ok(None),
            Err(error) => Err(LaunchError::from(error).into()),
        }
    }

    async fn first_look(&self, project: &Project) -> Result<Snapshot> {
        let session = self.controller(project).await?;
        let snapshot = first_look(session.snapshots(), project).await;
        session.finish().await;
        Ok(snapshot)
    }

    /// Has a controller find the agents that no store tells of: there may be as many as there are workspaces.
    async fn find_again(&self, project: &Project, workspaces: usize) -> Result<Snapshot> {
        let session = self.controller(project).await?;
        let mut snapshots = session.snapshots();
        let found =
            timeout(FIND, snapshots.wait_for(|snapshot| snapshot.agents.len() >= workspaces)).await.is_ok();
        tracing::debug!(found, "looked for agents without a store");
        let snapshot = Snapshot::clone(&snapshots.borrow());
        session.finish().await;
        Ok(snapshot)
    }

    async fn view<'a>(&self, project: &'a Project, store: Option<Store>) -> Result<View<'a>> {
        let runtime = self.engine(project).await?;
        let owner = project.owner();
        let (network, specs) = (&project.config.network.name, project.config.services.values());
        let names = names::look(runtime.as_ref(), store.as_ref(), &owner, network, specs).await?;
        let layout = Layout::new(&project.paths.root, &project.paths.state_dir);
        Ok(View { runtime, project, store, owner, names, layout })
    }
}

/// What a project is looked at through, without a controller.
struct View<'a> {
    runtime: Arc<dyn ContainerRuntime>,
    project: &'a Project,
    store: Option<Store>,
    owner: Owner,
    names: Names,
    layout: Layout,
}

impl View<'_> {
    async fn services(&self) -> Result<(BTreeMap<String, ServiceStatus>, BTreeMap<String, ServicePlan>)> {
        let looked = services::Looked {
            runtime: self.runtime.as_ref(),
            store: self.store.as_ref(),
            owner: &self.owner,
            names: &self.names,
            specs: &self.project.config.services,
        };
        Ok(services::look(looked, now()).await?)
    }

    async fn agents(&self, settings: Option<&AgentSettings>) -> Result<Sight> {
        let Some(looked) = self.looked(settings) else { return Ok(Sight::default()) };
        Ok(agents::look(looked).await?)
    }

    fn looked<'a>(&'a self, settings: Option<&'a AgentSettings>) -> Option<agents::Looked<'a>> {
        Some(agents::Looked {
            runtime: self.runtime.as_ref(),
            store: self.store.as_ref()?,
            owner: &self.owner,
            names: &self.names,
            layout: &self.layout,
            settings,
        })
    }

    async fn work(&self, agent: &AgentStatus) -> Option<bool> {
        agents::look_into(self.looked(None)?, agent).await
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            engine: EngineSummary {
                kind: self.runtime.kind().to_string(),
                version: String::new(),
                endpoint: self.runtime.endpoint().to_owned(),
                rootless: false,
            },
            observed_at: Some(now()),
            ..without_engine(self.project)
        }
    }
}

fn runs(agent: &AgentStatus) -> bool {
    matches!(agent.state, AgentState::Idle | AgentState::Working)
}

/// How many workspaces there are, where no store tells of them: it was deleted, or is broken.
fn without_store(project: &Project) -> Option<usize> {
    let workspaces = Layout::new(&project.paths.root, &project.paths.state_dir).workspaces;
    let entries = std::fs::read_dir(workspaces).ok()?;
    let there = entries.flatten().filter(|entry| entry.path().is_dir()).count();
    let path = project.paths.state_dir.join("tanuki.db");
    let lost = there > 0 && (!path.exists() || Store::open(&path).is_err_and(|error| error.is_broken()));
    lost.then_some(there)
}

/// Whether runs are not over, so that somebody has to watch over them.
fn has_live_runs(store: Option<&Store>) -> Result<bool> {
    let Some(store) = store else { return Ok(false) };
    Ok(!store.live_runs().map_err(|error| unreadable(&error))?.is_empty())
}

/// Whether tasks are handed out, so that somebody has to do it.
fn is_under_way(store: Option<&Store>) -> Result<bool> {
    store.map_or(Ok(false), |store| tasks::is_under_way(store).map_err(|error| unreadable(&error)))
}

/// The first snapshot that has tasks or says why not.
async fn first_tasks(mut snapshots: watch::Receiver<Arc<Snapshot>>) -> Option<Snapshot> {
    let told =
        snapshots.wait_for(|snapshot| !snapshot.tasks.is_empty() || !snapshot.work.problems.is_empty());
    let told = timeout(FIRST_LOOK, told).await.ok()?.ok()?;
    Some(Snapshot::clone(&told))
}

/// How tasks are by their files and what controllers remembered.
fn sight(project: &Project, store: Option<&Store>) -> Result<tasks::Sight> {
    let settings = project.config.agents();
    let root = &project.paths.root;
    let roles = agents::roles::at_once(&settings, root).ok();
    let looked = tasks::Looked { root, settings: &settings, roles: roles.as_ref(), store };
    tasks::look(looked, now()).map_err(|error| unreadable(&error))
}

/// What can be told of a project without asking anybody.
fn without_engine(project: &Project) -> Snapshot {
    Snapshot {
        project: project.paths.id(),
        path: project.paths.root.display().to_string(),
        // Nobody's pid: there is no controller.
        controller: ControllerInfo { version: VERSION.to_owned(), pid: 0, started_at: now() },
        engine: EngineSummary {
            kind: String::new(),
            version: String::new(),
            endpoint: String::new(),
            rootless: false,
        },
        services: BTreeMap::new(),
        agents: BTreeMap::new(),
        tasks: BTreeMap::new(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: None,
    }
}

fn unreadable(error: &StoreError) -> CliError {
    CliError::failed("cannot read the project's store").because(error)
}

/// Waits until a controller that has just started has seen everything, and shortly for the services' health.
async fn first_look(mut snapshots: watch::Receiver<Arc<Snapshot>>, project: &Project) -> Snapshot {
    let deadline = Instant::now() + FIRST_LOOK;
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let known = project.config.services.keys().all(|name| {
            snapshot.services.get(name).is_some_and(|status| {
                !matches!(status.state, ServiceState::Starting | ServiceState::Pending)
                    && status.health != HealthWord::Starting
            })
        });
        if (known && snapshot.observed_at.is_some())
            || !matches!(timeout_at(deadline, snapshots.changed()).await, Ok(Ok(())))
        {
            return Arc::unwrap_or_clone(snapshot);
        }
    }
}

impl From<LookError> for CliError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Engine(error) => error.into(),
            error => Self::failed("cannot look at the project's agents").because(&error),
        }
    }
}
