//! The kind Task on the generic controller: look at files and agents, decide, carry out one step, publish.
//!
//! One key decides for all tasks at once; each task that somebody has is a key of its own, and a pass over it is one
//! step of its life. What a step changes is saved before the next one begins, so that a controller that is killed
//! anywhere is followed by one that goes on there.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::file::{Folder, Found, TaskFile};
use super::hand::at_once;
use super::memory::{Memory, Project, Wish};
use super::ports::{Roles, Workers};
use super::sheet::{Sheet, sheet};
use crate::controller::{Clock, Kind, Next, PassError, Publisher, Wake, Waker};
use crate::model::{AgentStatus, Credentials, Desired, EventType, HealthWord, ServiceState, Snapshot, Time};
use crate::store::{Store, StoreError};

/// Events a snapshot carries.
const EVENTS: usize = 100;

/// Where the store keeps what is remembered of the project as a whole.
pub(super) const META: &str = "tasks.project";

/// What is looked at in one pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Who works on what.
    Plan,
    /// Which branches would conflict.
    Forecast,
    /// A task that somebody has.
    Task(String),
}

/// What the kind needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Claims and history.
    pub store: Arc<Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where state goes.
    pub publisher: Publisher<Snapshot>,
    /// The loop's ear.
    pub waker: Waker<Key>,
    /// Agents.
    pub workers: Arc<dyn Workers>,
    /// The project's directory.
    pub root: PathBuf,
}

/// One look at everything.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) sheet: Arc<Sheet>,
    /// How many tasks of a role may be worked on at once, where that is said.
    pub(super) roles: BTreeMap<String, usize>,
    /// Not all directories could be read.
    pub(super) partial: bool,
    /// Absent until they were looked at.
    pub(super) agents: Option<Arc<BTreeMap<String, AgentStatus>>>,
    /// Services that should be ready and are not.
    pub(super) unready: Vec<String>,
}

/// Keeps a project's tasks going.
#[derive(Debug)]
pub struct Tasks {
    pub(super) deps: Deps,
    folder: Mutex<Folder>,
    memory: Mutex<State>,
    /// Changes with everything that is remembered.
    changed: watch::Sender<u64>,
    /// Held from the look at the files until they say how things are: nobody decides from an older look.
    planning: Mutex<()>,
    /// Merges happen one after another, first come, first served.
    pub(super) merging: tokio::sync::Mutex<()>,
}

/// Everything remembered, behind one lock that is never held over an await.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tasks: BTreeMap<String, Memory>,
    pub(super) project: Project,
    /// Not in the store.
    pub(super) credentials: Credentials,
    /// Services were ready once since the project was started.
    pub(super) prepared: bool,
    /// Since when the files of tasks that somebody has are not there.
    pub(super) missing: BTreeMap<String, Time>,
    /// What the last forecast was made from.
    pub(super) forecast_of: Option<String>,
    /// The target's newest commit that was told of, or is a merge of ours.
    pub(super) head: Option<String>,
    /// Files as they were last looked at.
    pub(super) files: BTreeMap<String, Arc<TaskFile>>,
    last: Option<(Found, Option<Roles>, Arc<Sheet>)>,
}

impl Tasks {
    /// The kind, with what an earlier controller left.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn new(deps: Deps) -> Result<Arc<Self>, StoreError> {
        let mut state = State::default();
        for (id, text) in deps.store.task_memories()? {
            // What cannot be read was written by another version; its file still says how the task is.
            if let Ok(memory) = serde_json::from_str(&text) {
                state.tasks.insert(id, memory);
            }
        }
        let project = deps.store.meta(META)?.and_then(|text| serde_json::from_str(&text).ok());
        state.project = project.unwrap_or_default();
        if state.project.wish == Wish::Run {
            state.credentials = deps.workers.kept_credentials();
        }
        let conflicts = state.project.conflicts.clone();
        deps.publisher.update(|snapshot| snapshot.work.conflicts = conflicts);
        let folder = Mutex::new(Folder::new(deps.root.clone()));
        let (changed, _) = watch::channel(0);
        let merging = tokio::sync::Mutex::new(());
        Ok(Arc::new(Self {
            deps,
            folder,
            memory: Mutex::new(state),
            changed,
            planning: Mutex::new(()),
            merging,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves the memory consistent, and a pass that panicked is repeated from what is seen.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else looks at the files and decides while this is kept. Never held over an await.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.planning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Time {
        self.deps.clock.now()
    }

    /// The files as they are now.
    fn read_files(&self) -> (Arc<Sheet>, Option<Roles>, bool) {
        let settings = self.deps.workers.settings();
        let found = self.folder.lock().unwrap_or_else(PoisonError::into_inner).scan(&settings.tasks_dir);
        let roles = self.deps.workers.roles();
        let partial = found.partial;
        let mut state = self.lock();
        if let Some((last, last_roles, sheet)) = &state.last
            && (last, last_roles) == (&found, &roles)
        {
            return (Arc::clone(sheet), roles, partial);
        }
        let made = Arc::new(sheet(&found, roles.as_ref()));
        state.last = Some((found, roles.clone(), Arc::clone(&made)));
        (made, roles, partial)
    }

    pub(super) fn memory(&self, id: &str) -> Option<Memory> {
        self.lock().tasks.get(id).cloned()
    }

    /// Changes what is remembered of a task, in the store first.
    pub(super) fn update(&self, id: &str, change: impl FnOnce(&mut Memory)) -> Result<(), PassError> {
        let mut state = self.lock();
        let before = state.tasks.get(id).cloned().unwrap_or_default();
        let mut memory = before.clone();
        change(&mut memory);
        if memory == before && state.tasks.contains_key(id) {
            return Ok(());
        }
        self.deps.store.save_task(id, &text(&memory)?).map_err(PassError::new)?;
        state.tasks.insert(id.to_owned(), memory);
        drop(state);
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
        Ok(())
    }

    /// Takes down that an agent gets a task; false where somebody else was first.
    pub(super) fn claim(&self, id: &str, memory: Memory) -> Result<bool, PassError> {
        let Some(claim) = &memory.claim else { return Ok(false) };
        let mut state = self.lock();
        let taken = self.deps.store.claim_task(id, &claim.agent, &text(&memory)?).map_err(PassError::new)?;
        if taken {
            state.tasks.insert(id.to_owned(), memory);
        }
        Ok(taken)
    }

    pub(super) fn forget(&self, id: &str) -> Result<(), PassError> {
        self.deps.store.forget_task(id).map_err(PassError::new)?;
        let mut state = self.lock();
        state.tasks.remove(id);
        state.files.remove(id);
        Ok(())
    }

    /// Changes what is remembered of the project, in the store first.
    pub(super) fn update_project(&self, change: impl FnOnce(&mut Project)) -> Result<(), PassError> {
        let mut state = self.lock();
        let mut project = state.project.clone();
        change(&mut project);
        if project == state.project {
            return Ok(());
        }
        let text = serde_json::to_string(&project).map_err(PassError::new)?;
        self.deps.store.set_meta(META, &text).map_err(PassError::new)?;
        let (was, is) = (state.project.wish, project.wish);
        state.project = project;
        // The next controller needs them as long as there is something to begin.
        let kept = if is == Wish::Run { state.credentials.clone() } else { Credentials::default() };
        drop(state);
        if was != is {
            self.deps.workers.keep_credentials(&kept);
        }
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
        Ok(())
    }

    /// Waits for `work` as long as `wanted` holds of what is remembered; `None` when it does not any more.
    pub(super) async fn while_wanted<T>(
        &self,
        wanted: impl Fn(&State) -> bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        tokio::pin!(work);
        loop {
            changed.mark_unchanged();
            if !wanted(&self.lock()) {
                return None;
            }
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = changed.changed() => {}
            }
        }
    }

    /// Records that something happened, in the store and in the snapshot.
    pub(super) fn record(&self, kind: EventType, object: &str, reason: &str, message: &str) {
        match self.deps.store.add_event(self.now(), kind, object, reason, message) {
            Ok(event) => self.deps.publisher.update(|snapshot| {
                snapshot.events.retain(|old| old.id != event.id);
                snapshot.events.push(event);
                let excess = snapshot.events.len().saturating_sub(EVENTS);
                snapshot.events.drain(..excess);
            }),
            Err(error) => tracing::warn!(%error, object, reason, message, "cannot record an event"),
        }
    }

    pub(super) fn news(&self, id: &str, reason: &str, message: &str) {
        self.record(EventType::Normal, &format!("task/{id}"), reason, message);
    }

    pub(super) fn trouble(&self, id: &str, reason: &str, message: &str) {
        self.record(EventType::Warning, &format!("task/{id}"), reason, message);
    }

    pub(super) fn wake(&self, id: &str) {
        self.deps.waker.wake(Wake::Urgent(Key::Task(id.to_owned())));
    }

    pub(super) fn wake_plan(&self) {
        self.deps.waker.wake(Wake::Urgent(Key::Plan));
    }

    pub(super) fn look(&self) -> World {
        let (sheet, roles, partial) = self.read_files();
        let snapshot = self.deps.publisher.current();
        let unready = snapshot.services.values().filter(|service| {
            let well = matches!(service.health, HealthWord::Healthy | HealthWord::None);
            let ready =
                service.state == ServiceState::External || service.state == ServiceState::Running && well;
            service.enabled && service.desired == Desired::Running && !ready
        });
        World {
            sheet,
            roles: roles.as_ref().map(at_once).unwrap_or_default(),
            partial,
            agents: self.deps.workers.agents().map(Arc::new),
            unready: unready.map(|service| service.name.clone()).collect(),
        }
    }
}

fn text(memory: &Memory) -> Result<String, PassError> {
    serde_json::to_string(memory).map_err(PassError::new)
}

#[async_trait]
impl Kind for Arc<Tasks> {
    type Key = Key;
    type World = World;

    async fn observe(&self) -> Result<World, PassError> {
        Ok(self.look())
    }

    fn keys(&self, _world: &World) -> Vec<Key> {
        let state = self.lock();
        let claimed = state.tasks.iter().filter(|(_, memory)| memory.claim.is_some());
        let claimed = claimed.map(|(id, _)| Key::Task(id.clone()));
        [Key::Plan, Key::Forecast].into_iter().chain(claimed).collect()
    }

    async fn reconcile(&self, key: &Key, world: &World) -> Result<Next, PassError> {
        match key {
            Key::Plan => self.plan(),
            Key::Forecast => self.forecast(world).await,
            Key::Task(id) => self.drive(id, world).await,
        }
    }

    fn on_observed(&self, _result: Result<&World, &PassError>) {}

    fn on_failed(&self, key: &Key, error: &PassError) {
        if let Key::Task(id) = key {
            self.trouble(id, "Retrying", &error.message);
        }
    }
}
