//! The kind Agent on the generic controller: observe, plan, execute, publish.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tanuki_runtimes::{ContainerRuntime, Event, EventAction, ObjectKind as EngineObject};
use thiserror::Error;
use tokio::sync::OnceCell;

use super::choose;
use super::container::Blueprint;
use super::environment::{Environment, Remembered};
use super::layout::{self, Identity, Layout};
use super::memory::{Memory, Record, Saved};
use super::observe::{self, World};
use super::plan::{self, Journal, Plan, Seen, Wanted};
use super::runs::Runs;
use super::waiting::Waits;
use crate::controller::{Clock, Kind, Next, PassError, Publisher, Wake, Waker};
use crate::git::{GitError, ProjectGit, Repository};
use crate::model::{
    AgentSettings, AgentSpec, AgentState, ConditionStatus, EventType, LabelKey, Names, ObjectKind, Rejected,
    ServiceSpec, Snapshot, Time,
};
use crate::services::spec::Owner;
use crate::services::{record_event, set_condition};
use crate::store::{AgentRow, Stage, Store, StoreError};

/// Where the store has what is remembered of the environment.
const META_ENVIRONMENT: &str = "agents-environment";

/// Milliseconds that an agent's processes have to end.
const GRACE_MS: u64 = 10_000;

/// How soon an agent is looked at again that somebody is doing something to.
const BUSY: Duration = Duration::from_secs(1);

/// What is looked at in one pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// What is nobody's: throw-away containers, agents that are gone.
    All,
    /// One agent.
    Agent(String),
}

/// What the kind needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Agents, wishes and history.
    pub store: Arc<Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whose objects these are.
    pub owner: Owner,
    /// What they are called.
    pub names: Names,
    /// Where agents' files are.
    pub layout: Layout,
    /// This program: git is told to run it, to reach into containers.
    pub program: PathBuf,
    /// Where state goes, and services' state comes from.
    pub publisher: Publisher<Snapshot>,
    /// The loop's ear.
    pub waker: Waker<Key>,
}

/// What is asked once: who agents are on this engine, and the project's repository.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) identity: Identity,
    pub(super) git: Arc<dyn ProjectGit>,
}

/// Why what is asked once could not be told. It is asked again the next time.
#[derive(Debug, Error)]
pub(super) enum FactsError {
    /// The repository cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The engine or the project's directory.
    #[error("{0}")]
    Other(String),
}

impl From<FactsError> for PassError {
    fn from(error: FactsError) -> Self {
        Self::new(error)
    }
}

impl From<FactsError> for Rejected {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Git(error) => error.into(),
            FactsError::Other(message) => Self::Failed { message },
        }
    }
}

/// What a person asked for now, beyond what is written down.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ask {
    /// What is out of date or gone may be made anew.
    pub(super) renew: bool,
    /// Stop and start it again.
    pub(super) restart: bool,
}

/// How a pass over an agent went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    /// Something was changed: only another look tells how that went.
    pub(super) acted: bool,
    /// A step failed for good.
    pub(super) failed: Option<String>,
    /// The plan that was carried out.
    pub(super) plan: Plan,
}

/// Keeps a project's agents as they should be.
#[derive(Debug)]
pub struct Agents {
    pub(super) deps: Deps,
    memory: Mutex<Memory>,
    facts: OnceCell<Facts>,
    /// Git in the project; the repository around it where nothing else was given.
    git: Option<Arc<dyn ProjectGit>>,
    /// Runs, which stand on this; absent until they are there.
    runs: OnceLock<Weak<Runs>>,
    pub(super) waits: Waits,
    /// One per agent: whoever changes something of an agent holds its lock.
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Agents {
    /// The kind, for these settings and services; see [`configure`](Self::configure) for later changes.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn new(
        deps: Deps,
        settings: AgentSettings,
        services: BTreeMap<String, ServiceSpec>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::over(None, deps, settings, services)
    }

    /// The same over another git than the one of the repository that the project is in.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn over(
        git: Option<Arc<dyn ProjectGit>>,
        deps: Deps,
        settings: AgentSettings,
        services: BTreeMap<String, ServiceSpec>,
    ) -> Result<Arc<Self>, StoreError> {
        let remembered = deps.store.meta(META_ENVIRONMENT)?;
        let remembered: Remembered =
            remembered.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let memory = Memory {
            settings: Arc::new(settings),
            services,
            environment: Environment::remembered(remembered),
            records: BTreeMap::new(),
            helpers: std::collections::BTreeSet::new(),
        };
        let agents = Self {
            deps,
            memory: Mutex::new(memory),
            facts: OnceCell::new(),
            git,
            runs: OnceLock::new(),
            waits: Waits::default(),
            locks: Mutex::new(BTreeMap::new()),
        };
        agents.look_at_services();
        Ok(Arc::new(agents))
    }

    /// Takes note of the runs that stand on these agents.
    pub fn attach(&self, runs: &Arc<Runs>) {
        // Only the first counts; there is one.
        drop(self.runs.set(Arc::downgrade(runs)));
    }

    pub(super) fn runs(&self) -> Option<Arc<Runs>> {
        self.runs.get()?.upgrade()
    }

    /// Takes other settings and services, after the configuration changed.
    pub fn configure(&self, settings: AgentSettings, services: BTreeMap<String, ServiceSpec>) {
        {
            let mut memory = self.lock();
            if *memory.settings == settings && memory.services == services {
                return;
            }
            memory.settings = Arc::new(settings);
            memory.services = services;
        }
        self.look_at_services();
        self.deps.waker.wake(Wake::All);
    }

    /// The engine told of something: look again.
    pub fn on_event(&self, event: Option<&Event>) {
        let Some(event) = event else {
            self.deps.waker.wake(Wake::All);
            return;
        };
        let kind = event.labels.get(LabelKey::KIND);
        if event.object != EngineObject::Container
            || event.action == EventAction::Other
            || kind != Some(ObjectKind::Agent.to_string().as_str())
        {
            return;
        }
        if let Some(name) = event.labels.get(LabelKey::NAME) {
            if let Some(record) = self.lock().records.get_mut(name) {
                record.started = None;
            }
            self.touch(name);
        }
    }

    /// Makes the environment anew from the services as they are now; what follows from a change is looked at.
    pub(super) fn look_at_services(&self) {
        let statuses = self.deps.publisher.current();
        let (before, next) = {
            let mut memory = self.lock();
            let next = memory.environment.next(&memory.services, &statuses.services);
            (std::mem::replace(&mut memory.environment, next.clone()), next)
        };
        if before == next {
            return;
        }
        if before.remembered != next.remembered {
            let saved = serde_json::to_string(&next.remembered).unwrap_or_default();
            if let Err(error) = self.deps.store.set_meta(META_ENVIRONMENT, &saved) {
                tracing::warn!(%error, "cannot save which environment agents have");
            }
        }
        if before.conflict != next.conflict {
            let (status, reason, message) = match &next.conflict {
                Some(conflict) => (ConditionStatus::False, "Conflict", conflict.to_string()),
                None => (ConditionStatus::True, "Complete", String::new()),
            };
            let now = self.now();
            set_condition(&self.deps.publisher, now, ("EnvironmentValid", status, reason, &message), 0);
            if next.conflict.is_some() {
                self.record(EventType::Warning, "project", "EnvironmentConflict", &message);
            }
        }
        self.deps.waker.wake(Wake::All);
    }

    /// Look at this agent again.
    pub(super) fn touch(&self, agent: &str) {
        self.deps.waker.wake(Wake::Key(Key::Agent(agent.to_owned())));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        // Each change leaves the memory consistent, and a pass that panicked is repeated from what is seen.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_record<T>(&self, agent: &str, use_record: impl FnOnce(&mut Record) -> T) -> T {
        use_record(self.lock().records.entry(agent.to_owned()).or_default())
    }

    /// The lock of an agent: held by whoever changes something of it.
    pub(super) fn agent_lock(&self, agent: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(agent.to_owned()).or_default())
    }

    pub(super) fn now(&self) -> Time {
        self.deps.clock.now()
    }

    pub(super) fn record(&self, kind: EventType, object: &str, reason: &str, message: &str) {
        let now = self.now();
        record_event(&self.deps.store, &self.deps.publisher, now, (kind, object, reason, message));
    }

    pub(super) fn current_settings(&self) -> Arc<AgentSettings> {
        Arc::clone(&self.lock().settings)
    }

    /// What is asked once.
    pub(super) async fn facts(&self) -> Result<Facts, FactsError> {
        let asked = self.facts.get_or_try_init(|| async {
            let info =
                self.deps.runtime.info().await.map_err(|error| FactsError::Other(error.to_string()))?;
            let root = &self.deps.layout.root;
            let identity = layout::identity(root, &info)
                .map_err(|error| FactsError::Other(format!("cannot look at {}: {error}", root.display())))?;
            let state_dir = self.deps.layout.state.parent().unwrap_or(root);
            let git = match &self.git {
                Some(git) => Arc::clone(git),
                None => Arc::new(Repository::open(root, state_dir).await?),
            };
            Ok(Facts { identity, git })
        });
        asked.await.cloned()
    }

    pub(super) fn blueprint<'a>(
        &'a self,
        spec: &'a AgentSpec,
        facts: &'a Facts,
        settings: &'a AgentSettings,
    ) -> Blueprint<'a> {
        Blueprint {
            spec,
            owner: &self.deps.owner,
            names: &self.deps.names,
            layout: &self.deps.layout,
            identity: facts.identity,
            objects: facts.git.objects(),
            join: &settings.join,
        }
    }

    /// One look at the engine alone: all agents' containers, or one's. Nothing is known of branches.
    pub(super) async fn containers(&self, agent: Option<&str>) -> Result<World, PassError> {
        let listed = observe::world(self.deps.runtime.as_ref(), &self.deps.owner, agent).await;
        listed.map_err(PassError::new)
    }

    /// One look at the engine and at the agents' branches: all, or one's.
    pub(super) async fn look(&self, agent: Option<&str>) -> Result<World, PassError> {
        let mut world = self.containers(agent).await?;
        let rows = match agent {
            Some(agent) => self.deps.store.agent(agent).map(|row| row.into_iter().collect()),
            None => self.deps.store.agents(),
        };
        let specs = rows.map_err(PassError::new)?.into_iter().filter(|row| row.stage != Stage::Removed);
        let (names, asked): (Vec<_>, Vec<_>) =
            specs.map(|AgentRow { spec, .. }| (spec.name, (spec.branch, spec.base))).unzip();
        if !asked.is_empty() {
            let heads = self.facts().await?.git.heads(&asked).await.map_err(PassError::new)?;
            world.heads = names.into_iter().zip(heads).collect();
        }
        Ok(world)
    }

    /// One pass over an agent, by whoever holds its lock.
    pub(super) async fn pass(&self, row: &AgentRow, world: &World, ask: Ask) -> Result<Passed, PassError> {
        let name = &row.spec.name;
        let saved = Saved::read(row.memory.as_deref());
        let facts = self.facts().await?;
        let settings = self.current_settings();
        let renewed = choose::renewed(&row.spec, &settings, &self.deps.layout.root, &saved.asked);
        let container = world.containers.get(name);
        let fields = self.blueprint(&renewed, &facts, &settings).fields();
        let wanted = Wanted {
            renew: ask.renew,
            restart: ask.restart,
            join: settings.join.clone(),
            ..wanted(row, &saved, &self.deps.names, fields)
        };
        let failure = self.with_record(name, |record| record.failure.clone());
        let seen = Seen {
            container,
            surplus: world.surplus(name),
            workspace: self.deps.layout.workspace(name).symlink_metadata().is_ok_and(|meta| meta.is_dir()),
            working: self.is_working(name),
            failure: failure.as_deref(),
        };
        let plan = plan::plan(&wanted, &seen);
        self.publish(row, &saved, &plan, world).await?;
        let (acted, failed) = self
            .execute(row, &renewed, &facts, &wanted, &plan, seen.container.map(|seen| seen.id.as_str()))
            .await?;
        Ok(Passed { acted, failed, plan })
    }

    async fn reconcile_agent(&self, name: &str, world: &World) -> Result<Next, PassError> {
        let lock = self.agent_lock(name);
        // Whoever has it may have woken this pass before letting go.
        let Ok(_held) = lock.try_lock() else { return Ok(Next::After(BUSY)) };
        let row = self.deps.store.agent(name).map_err(PassError::new)?;
        let row = match row {
            Some(row) if row.stage != Stage::Removed => row,
            removed => {
                self.forget(name);
                return self.look_at_trace(name, removed.as_ref(), world).await;
            }
        };
        let passed = self.pass(&row, world, Ask::default()).await?;
        Ok(match (passed.acted, passed.plan.recheck) {
            (true, _) => Next::Again,
            (false, true) => Next::After(Duration::from_secs(1)),
            (false, false) => Next::Settled,
        })
    }

    /// Nothing of this agent is told any more.
    pub(super) fn forget(&self, name: &str) {
        self.lock().records.remove(name);
        self.waits.forget(name, &self.deps.layout.runs(name));
        self.deps.publisher.update(|snapshot| {
            snapshot.agents.remove(name);
        });
    }

    /// Throw-away containers that nobody uses are a dead controller's.
    async fn reconcile_helpers(&self, world: &World) -> Result<Next, PassError> {
        for helper in &world.helpers {
            if !self.lock().helpers.contains(&helper.name) {
                self.deps.runtime.remove(&helper.id).await.map_err(PassError::new)?;
            }
        }
        Ok(Next::Settled)
    }
}

/// What an agent should be, where nobody asks for more now.
pub(super) fn wanted(
    row: &AgentRow,
    saved: &Saved,
    names: &Names,
    fields: BTreeMap<String, String>,
) -> Wanted {
    Wanted {
        journal: match row.stage {
            Stage::Creating => Journal::Unfinished,
            Stage::Made => Journal::Made,
            Stage::Removing | Stage::Removed => Journal::Removing,
        },
        desired: row.desired,
        renew: false,
        restart: false,
        container: names.agent(&row.spec.name),
        network: names.network(),
        join: Vec::new(),
        fields,
        had_container: saved.container.is_some(),
        grace_ms: GRACE_MS,
    }
}

#[async_trait]
impl Kind for Arc<Agents> {
    type Key = Key;
    type World = World;

    async fn observe(&self) -> Result<World, PassError> {
        self.look(None).await
    }

    fn keys(&self, world: &World) -> Vec<Key> {
        // A store that cannot be read leaves those that are told of.
        let rows = self.deps.store.agents().unwrap_or_default();
        let mut names: Vec<String> = rows
            .into_iter()
            .filter(|row| row.stage != Stage::Removed)
            .map(|row| row.spec.name)
            .chain(self.deps.publisher.current().agents.keys().cloned())
            .chain(self.traces(world))
            .collect();
        names.sort();
        names.dedup();
        let all = (!world.helpers.is_empty()).then_some(Key::All);
        all.into_iter().chain(names.into_iter().map(Key::Agent)).collect()
    }

    async fn reconcile(&self, key: &Key, world: &World) -> Result<Next, PassError> {
        match key {
            Key::All => self.reconcile_helpers(world).await,
            Key::Agent(name) => self.reconcile_agent(name, world).await,
        }
    }

    fn on_observed(&self, result: Result<&World, &PassError>) {
        let Err(error) = result else { return };
        self.deps.publisher.update(|snapshot| {
            for status in snapshot.agents.values_mut() {
                status.state = AgentState::Unknown;
                status.reason = "EngineUnavailable".into();
                status.message.clone_from(&error.message);
            }
        });
    }

    fn on_failed(&self, key: &Key, error: &PassError) {
        let Key::Agent(name) = key else { return };
        self.deps.publisher.update(|snapshot| {
            if let Some(status) = snapshot.agents.get_mut(name) {
                status.reason = "Retrying".into();
                status.message.clone_from(&error.message);
            }
        });
    }
}
