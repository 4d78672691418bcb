//! Runs: agent CLIs at work in their agents' containers, one at a time each.
//!
//! ```text
//!  start ─▶ queued ─▶ iteration: enter ─▶ supervisor in the container ─▶ follow its files ─▶ outcome ─▶ commit ─▶ verify ─┐
//!                        ▲                                                                                   │ again      │
//!                        └───────────────────────────────────────────────────────────────────────────────────┴──▶ record ─┘
//! ```
//!
//! # Guarantees
//!
//! * An agent has at most one run that is not over, and as many are under way as `limits` allow.
//! * The program runs under a supervisor of its own in the container. A controller that was killed changes nothing for
//!   it; the next one finds the run by its directory, reads on where the last one stopped, and records its end once.
//! * A run ends with all its processes, whatever sessions they made.
//! * What the agent can write is read as hostile: regular files, no links, bounded.
//! * Credentials are in no argument, label, event or record. For a run that is not over they are kept in a file with
//!   mode 0600 that no container sees, for the controller that comes after a killed one.

pub(super) mod dir;
mod drive;
mod follow;
mod home;
mod instructions;
mod iteration;
mod journal;
mod logs;
mod queue;
mod requests;
mod script;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tanuki_runtimes::{ContainerRuntime, Event, EventAction};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Ground;
use super::roles::{self, Profile};
use super::waiting;
use crate::controller::{Clock, Publisher};
use crate::model::{
    AgentSpec, Credentials, EventType, LabelKey, Rejected, RunFailure, RunRecord, RunSpec, RunState,
    Snapshot, Usage,
};
use crate::store::{Store, StoreError};

pub use queue::free_memory;
pub use secrets::{load as kept_credentials, save as keep_credentials};

/// Events kept in the snapshot.
const EVENTS: usize = 100;
/// Iterations where nothing else is said.
const ITERATIONS: u32 = 10;
/// Highest number that the files of a run are believed to have.
const HIGHEST: u64 = 1 << 32;
/// How long ending a run may take.
const STOP: Duration = Duration::from_secs(60);

/// What runs stand on.
pub struct Deps {
    /// Agents' containers and workspaces.
    pub ground: Arc<dyn Ground>,
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Where runs are kept.
    pub store: Arc<Store>,
    /// Where events go.
    pub publisher: Publisher<Snapshot>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The project's directory, for its roles.
    pub project: PathBuf,
    /// The user's home, for sign-ins that are files.
    pub user_home: Option<PathBuf>,
    /// How much memory is free on the machine, in bytes, where that can be told.
    pub free_memory: fn() -> Option<u64>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("project", &self.project).finish_non_exhaustive()
    }
}

/// What the controller remembers of a run beside its record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Memory {
    spec: RunSpec,
    /// The container the current iteration runs in.
    container: Option<String>,
    /// When that container was started, in milliseconds since 1970.
    container_started: Option<u64>,
    /// The environment its process was started with.
    #[serde(default)]
    environment: u64,
    /// What iterations that are over used.
    before: Usage,
    /// What the agent CLI's session used in all, where it tells that only.
    session_total: Option<Usage>,
    /// How the last iteration failed.
    failure: Option<(RunFailure, String)>,
    /// A person asked for its end.
    stop: bool,
}

/// A run that is not over.
#[derive(Debug, Clone)]
struct Live {
    record: RunRecord,
    memory: Memory,
    credentials: Credentials,
    /// Cancelled when it is to end.
    stop: CancellationToken,
    /// Told when its container may have ended.
    look: Arc<Notify>,
}

/// The runs of a project's agents.
#[derive(Debug)]
pub struct Runs {
    deps: Deps,
    live: Mutex<BTreeMap<String, Live>>,
    last: Mutex<BTreeMap<String, Option<RunRecord>>>,
    /// Counts changes of records and output, for who follows.
    changed: watch::Sender<u64>,
    /// Memory is looked at again in a moment.
    starved: AtomicBool,
    tasks: TaskTracker,
    detach: CancellationToken,
}

impl Runs {
    /// No runs yet: [`recover`](Self::recover) finds those there are.
    pub fn new(deps: Deps) -> Arc<Self> {
        Arc::new(Self {
            deps,
            live: Mutex::default(),
            last: Mutex::default(),
            changed: watch::Sender::new(0),
            starved: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            detach: CancellationToken::new(),
        })
    }

    /// Begins a run, or puts it in the queue.
    ///
    /// # Errors
    ///
    /// It is not possible as it is asked for, or the agent has one already.
    pub fn start(self: &Arc<Self>, spec: RunSpec, credentials: Credentials) -> Result<RunRecord, Rejected> {
        let agent = self.agent(&spec.agent)?;
        check(&spec)?;
        self.deps.ground.may_enter(&agent.name)?;
        // What cannot be carried out is refused now, not when its turn comes.
        self.job(&agent, &spec)?.invocation(&credentials, None, "")?;
        if let Some(live) = self.live(&agent.name) {
            return Err(Rejected::NotPossible {
                message: format!("agent '{}' already has a run, {} ({})", agent.name, live.id, live.state),
            });
        }
        let now = self.deps.clock.now();
        let memory = Memory { spec, ..Memory::default() };
        let make = |number| {
            let spec = &memory.spec;
            let record = RunRecord {
                id: format!("{}-{number}", agent.name),
                agent: agent.name.clone(),
                task: spec.task.clone(),
                adapter: agent.adapter.clone(),
                title: title(&spec.prompt),
                state: RunState::Queued,
                failure: None,
                message: String::new(),
                created_at: now,
                started_at: None,
                ended_at: None,
                iteration: 0,
                max_iterations: if spec.repeat { spec.max_iterations.unwrap_or(ITERATIONS) } else { 1 },
                exit_code: None,
                usage: Usage::default(),
                session: None,
                verified: None,
            };
            (record, json(&memory))
        };
        let mut live = self.lock();
        if live.contains_key(&agent.name) {
            return Err(Rejected::NotPossible {
                message: format!("agent '{}' already has a run", agent.name),
            });
        }
        // Above what is there: a store that was lost knows nothing of it.
        let numbers = self.numbers(&agent.name).into_iter().map(|(number, _)| number);
        // An agent can make such directories too.
        let above = numbers.filter(|number| *number <= HIGHEST).max().unwrap_or(0);
        let record = self.deps.store.add_run(&agent.name, above, make).map_err(failed)?;
        if let Err(error) = secrets::save(&self.state_dir(&agent.name), &credentials) {
            tracing::warn!(%error, agent = agent.name, "the run's credentials do not survive this controller");
        }
        live.insert(agent.name.clone(), Live::new(record.clone(), memory, credentials));
        drop(live);
        self.tell(&agent.name);
        self.pump();
        Ok(self.live(&agent.name).unwrap_or(record))
    }

    /// Ends the agent's run with all its processes. Returns when it is over.
    ///
    /// # Errors
    ///
    /// There is none, or it does not end.
    pub async fn stop(self: &Arc<Self>, agent: &str) -> Result<RunRecord, Rejected> {
        self.agent(agent)?;
        let mut changed = self.changed.subscribe();
        let id = {
            let mut live = self.lock();
            let Some(run) = live.get_mut(agent) else {
                return Err(Rejected::NotPossible { message: format!("agent '{agent}' has no run") });
            };
            run.memory.stop = true;
            if let Err(error) = self.deps.store.save_run(&run.record, &json(&run.memory)) {
                tracing::warn!(%error, "cannot save that a run is to end");
            }
            run.stop.cancel();
            run.record.id.clone()
        };
        if self.live(agent).is_some_and(|run| run.state == RunState::Queued) {
            self.over(agent, RunState::Stopped, None, "ended before it began".to_owned());
        }
        let over = async {
            while self.live(agent).is_some_and(|run| run.id == id) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(STOP, over).await.is_err() {
            return Err(Rejected::Failed {
                message: format!("the run {id} does not end; stop the agent to end it"),
            });
        }
        let record = self.deps.store.run(&id).map_err(failed)?;
        record.ok_or_else(|| Rejected::Failed { message: format!("the run {id} was forgotten") })
    }

    /// Takes up the runs that are not over, as a controller that was there before left them.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn recover(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut begun = Vec::new();
        for stored in self.deps.store.live_runs()? {
            let agent = stored.record.agent.clone();
            let memory: Memory = serde_json::from_str(&stored.memory).unwrap_or_default();
            let credentials = secrets::load(&self.state_dir(&agent));
            let run = Live::new(stored.record, memory, credentials);
            if run.memory.stop {
                run.stop.cancel();
            }
            if run.record.state == RunState::Running {
                // Looked at first: the controller that was there before may have left it long ago.
                run.look.notify_one();
                begun.push(agent.clone());
            }
            self.lock().insert(agent, run);
        }
        for agent in begun {
            self.drive(agent);
        }
        self.pump();
        Ok(())
    }

    /// Leaves all runs to themselves and returns when nobody here looks after them any more. They go on; the next
    /// controller finds them.
    pub async fn detach(&self) {
        self.detach.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The agent's run that is not over.
    pub fn live(&self, agent: &str) -> Option<RunRecord> {
        self.lock().get(agent).map(|run| run.record.clone())
    }

    /// The agent's last run that is over; not of an agent that had the same name before.
    pub fn last(&self, agent: &str) -> Option<RunRecord> {
        let since = self.deps.ground.spec(agent)?.created_at;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let record = match last.get(agent) {
            Some(record) => record.clone(),
            None => match self.deps.store.ended_runs(agent, 1) {
                Ok(runs) => {
                    let record = runs.into_iter().next().map(|run| run.record);
                    last.insert(agent.to_owned(), record.clone());
                    record
                }
                Err(error) => {
                    tracing::warn!(%error, agent, "cannot read its runs");
                    None
                }
            },
        };
        record.filter(|record| record.created_at >= since)
    }

    /// Which environment the agent's run was started with.
    pub fn environment_generation(&self, agent: &str) -> Option<u64> {
        self.lock().get(agent).filter(|run| run.memory.container.is_some()).map(|run| run.memory.environment)
    }

    /// The engine told of something: looks whether the run still has its container. Of everything when it does not say.
    pub fn on_event(&self, event: Option<&Event>) {
        // What happens without a change of state is, for one, the looking itself.
        if event.is_some_and(|event| event.action == EventAction::Other) {
            return;
        }
        let agent = event.map(|event| event.labels.get(LabelKey::NAME));
        let live = self.lock();
        for (_, run) in live.iter().filter(|(name, _)| agent.is_none_or(|agent| agent == Some(name.as_str())))
        {
            run.look.notify_one();
        }
    }

    fn agent(&self, name: &str) -> Result<AgentSpec, Rejected> {
        let known = || self.deps.publisher.current().agents.keys().cloned().collect();
        let spec = self.deps.ground.spec(name);
        spec.ok_or_else(|| Rejected::UnknownAgent { name: name.to_owned(), known: known() })
    }

    fn profile(&self, agent: &AgentSpec) -> Result<Profile, Rejected> {
        let settings = self.deps.ground.settings();
        roles::resolve(agent.role.as_deref(), &settings, &self.deps.project).map_err(|error| {
            Rejected::Invalid {
                message: error.to_string(),
                hint: "`tanuki role list` shows the roles there are".to_owned(),
            }
        })
    }

    /// The session of the agent's last run with the same agent CLI.
    fn session(&self, agent: &AgentSpec) -> Option<String> {
        self.last(&agent.name).filter(|run| run.adapter == agent.adapter).and_then(|run| run.session)
    }

    /// What is kept of an agent where it cannot see it.
    fn state_dir(&self, agent: &str) -> PathBuf {
        let runs = self.deps.ground.runs_dir(agent);
        runs.parent().map(PathBuf::from).unwrap_or(runs)
    }

    fn journal_path(&self, agent: &str, run: &str) -> PathBuf {
        self.state_dir(agent).join("output").join(format!("{run}.jsonl"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a run that is not over, saves it, and has everybody look.
    fn update(&self, agent: &str, change: impl FnOnce(&mut RunRecord, &mut Memory)) {
        {
            let mut live = self.lock();
            let Some(run) = live.get_mut(agent) else { return };
            let before = run.record.clone();
            change(&mut run.record, &mut run.memory);
            if let Err(error) = self.deps.store.save_run(&run.record, &json(&run.memory)) {
                tracing::warn!(%error, run = run.record.id, "cannot save how far a run is");
            }
            if before == run.record {
                return;
            }
        }
        self.tell(agent);
    }

    /// Records how a run ended, once.
    fn over(self: &Arc<Self>, agent: &str, state: RunState, failure: Option<RunFailure>, message: String) {
        let Some(Live { mut record, memory, .. }) = self.lock().get(agent).cloned() else { return };
        (record.state, record.failure, record.message) = (state, failure, message);
        record.ended_at = Some(self.deps.clock.now());
        match self.deps.store.save_run(&record, &json(&memory)) {
            Ok(true) => {
                let (kind, reason) = match state {
                    RunState::Failed => (EventType::Warning, "RunFailed"),
                    RunState::Stopped => (EventType::Normal, "RunStopped"),
                    _ => (EventType::Normal, "RunSucceeded"),
                };
                self.event(kind, agent, reason, &said(&record));
            }
            Ok(false) => {}
            // It stays live in the store, and is looked at again by the next controller.
            Err(error) => tracing::warn!(%error, run = record.id, "cannot record how a run ended"),
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.to_owned(), Some(record));
        self.lock().remove(agent);
        secrets::remove(&self.state_dir(agent));
        waiting::run_is_over(&self.deps.ground.runs_dir(agent));
        self.tell(agent);
        self.pump();
    }

    fn tell(&self, agent: &str) {
        self.changed.send_modify(|count| *count += 1);
        self.publish(agent);
        self.deps.ground.touched(agent);
    }

    fn event(&self, kind: EventType, agent: &str, reason: &str, message: &str) {
        let object = format!("agent/{agent}");
        match self.deps.store.add_event(self.deps.clock.now(), kind, &object, reason, message) {
            Ok(event) => self.deps.publisher.update(|snapshot| {
                snapshot.events.retain(|old| old.id != event.id);
                snapshot.events.push(event);
                let excess = snapshot.events.len().saturating_sub(EVENTS);
                snapshot.events.drain(..excess);
            }),
            Err(error) => tracing::warn!(%error, object, reason, message, "cannot record an event"),
        }
    }
}

impl Live {
    fn new(record: RunRecord, memory: Memory, credentials: Credentials) -> Self {
        let (stop, look) = (CancellationToken::new(), Arc::default());
        Self { record, memory, credentials, stop, look }
    }
}

/// What can be wrong with what is asked for.
fn check(spec: &RunSpec) -> Result<(), Rejected> {
    let invalid = |message: &str, hint: &str| {
        Err(Rejected::Invalid { message: message.to_owned(), hint: hint.to_owned() })
    };
    if spec.prompt.trim().is_empty() {
        return invalid("the prompt is empty", "say what the agent is to do");
    }
    if spec.signal.as_deref().is_some_and(|signal| signal.trim().is_empty() || signal.contains('\n')) {
        return invalid(
            "the signal is not a line of text",
            "use a word that stands for itself, such as DONE",
        );
    }
    if spec.verify.as_deref().is_some_and(|verify| verify.trim().is_empty()) {
        return invalid(
            "the verify command is empty",
            "give a shell command that succeeds when the work is done",
        );
    }
    if spec.repeat && spec.signal.is_none() && spec.verify.is_none() {
        return invalid("a loop needs to know when it is done", "add a verify command or a signal");
    }
    if spec.max_iterations == Some(0) || spec.max_turns == Some(0) {
        return invalid(
            "a run needs at least one iteration and one turn",
            "leave the limit out, or raise it",
        );
    }
    Ok(())
}

/// The first line that says something, cut to 120 characters.
fn title(prompt: &str) -> String {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= 120 {
        return line.to_owned();
    }
    line.chars().take(119).chain(['…']).collect()
}

fn said(record: &RunRecord) -> String {
    match (&record.failure, record.message.as_str()) {
        (_, "") => record.id.clone(),
        (Some(failure), message) => format!("{}: {failure}: {message}", record.id),
        (None, message) => format!("{}: {message}", record.id),
    }
}

fn json(memory: &Memory) -> String {
    serde_json::to_string(memory).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn failed(error: StoreError) -> Rejected {
    Rejected::Failed { message: error.to_string() }
}
