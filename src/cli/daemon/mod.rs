//! A project's controller, put together: store, kinds, sources, socket. In this process, until it is told to end.

mod answer;
mod logs;
mod watch;
mod workers;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tanuki_runtimes::ContainerRuntime;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agents::runs::{self, Runs};
use crate::agents::{self, Agents, Layout};
use crate::api::{Clients, Lock, Server};
use crate::controller::{self, Clock, Handle, Options, Publisher, SystemClock, Waker};
use crate::model::{
    AgentSettings, AgentState, ControllerInfo, Desired, EngineSummary, EventType, ProjectId, ProjectPhase,
    ProjectStatus, ServiceSpec, ServiceState, Snapshot,
};
use crate::services::names::{self, ClaimFile};
use crate::services::ports::LeaseFile;
use crate::services::spec::Owner;
use crate::services::{self, Deps, Services};
use crate::store::Store;
use crate::tasks::{self, Tasks};

/// How long nothing may be wanted and nobody connected before a controller ends by itself.
const IDLE: Duration = Duration::from_secs(60);

/// Tasks that may be driven at once; more wait for their turn.
const TASK_PASSES: usize = 256;

/// Reads the configuration again; an error is for people.
pub type Reload = Arc<dyn Fn() -> Result<Wanted, String> + Send + Sync>;

/// What a configuration wants of a controller.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Shared services by name.
    pub services: BTreeMap<String, ServiceSpec>,
    /// Everything that concerns agents and tasks.
    pub agents: AgentSettings,
}

/// What a controller is put together from.
#[derive(Clone)]
pub struct Setup {
    /// The project's id.
    pub project: ProjectId,
    /// The project's directory, canonical.
    pub root: PathBuf,
    /// `.tanuki/state`.
    pub state_dir: PathBuf,
    /// This user's state, shared by all projects.
    pub user_state_dir: PathBuf,
    /// The user's home: agents get copies of sign-ins that are there.
    pub user_home: Option<PathBuf>,
    /// The controller's socket.
    pub socket: PathBuf,
    /// Files whose change means that the configuration is read again.
    pub config_files: Vec<PathBuf>,
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Base name of the network.
    pub network: String,
    /// This program's own file.
    pub program: PathBuf,
    /// What the configuration wants now.
    pub wanted: Wanted,
    /// The same after a change.
    pub reload: Reload,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why a controller could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A file or directory cannot be made.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// No names could be chosen.
    #[error(transparent)]
    Names(#[from] names::NamesError),
}

/// A controller that runs in this process.
#[derive(Debug)]
pub struct Controller {
    /// Speaks to it.
    pub handle: Handle,
    clients: Clients,
    shutdown: CancellationToken,
    tracker: TaskTracker,
    runs: Arc<Runs>,
    ended: [JoinHandle<()>; 2],
    tasks_ended: JoinHandle<()>,
    _lock: Lock,
}

/// Starts the controller in this process, or returns `None` when another process has the project's lock.
///
/// # Errors
///
/// Files, the store or the engine failed.
pub async fn start(setup: Setup) -> Result<Option<Controller>, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    private_directory(&setup.state_dir)?;
    agents::hide(&setup.state_dir).map_err(|source| io_error(&setup.state_dir, source))?;
    let lock_path = setup.state_dir.join("controller.lock");
    let lock = Lock::acquire(&lock_path, clock.now()).map_err(|source| io_error(&lock_path, source))?;
    let Some(lock) = lock else { return Ok(None) };
    let server = Server::bind(&setup.socket).map_err(|source| io_error(&setup.socket, source))?;

    let (store, renewed) = Store::open_or_renew(&setup.state_dir.join("tanuki.db"), clock.now())?;
    let store = Arc::new(store);
    let owner = Owner { project: setup.project.clone(), path: setup.root.display().to_string() };
    let claims = ClaimFile::new(&setup.user_state_dir);
    let names = names::choose(
        setup.runtime.as_ref(),
        &store,
        &claims,
        &owner,
        &setup.network,
        setup.wanted.services.values(),
    )
    .await?;
    let publisher = Publisher::new(first_snapshot(&setup, clock.as_ref()));
    if let Some((aside, why)) = renewed {
        let message = format!(
            "{why}; it is set aside as {} and begun anew: what exists is found again, what was wanted is not known",
            aside.display()
        );
        let event = (EventType::Warning, "project", "StateLost", message.as_str());
        services::record_event(&store, &publisher, clock.now(), event);
    }
    let Wanted { services: specs, agents: settings } = setup.wanted.clone();
    let agents_waker = Waker::default();
    let agents = Agents::new(
        agents::Deps {
            runtime: Arc::clone(&setup.runtime),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            owner: owner.clone(),
            names: names.clone(),
            layout: Layout::new(&setup.root, &setup.state_dir),
            program: setup.program,
            publisher: publisher.clone(),
            waker: agents_waker.clone(),
        },
        settings,
        specs.clone(),
    )?;
    let runs = Runs::new(runs::Deps {
        ground: Arc::clone(&agents) as Arc<dyn agents::Ground>,
        runtime: Arc::clone(&setup.runtime),
        store: Arc::clone(&store),
        publisher: publisher.clone(),
        clock: Arc::clone(&clock),
        project: setup.root.clone(),
        user_home: setup.user_home.clone(),
        free_memory: runs::free_memory,
    });
    agents.attach(&runs);
    let crew = workers::Crew {
        agents: Arc::clone(&agents),
        runs: Arc::clone(&runs),
        store: Arc::clone(&store),
        publisher: publisher.clone(),
        root: setup.root.clone(),
        state_dir: setup.state_dir.clone(),
        git: tokio::sync::OnceCell::new(),
    };
    let tasks_waker = Waker::default();
    let work = Tasks::new(tasks::Deps {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        publisher: publisher.clone(),
        waker: tasks_waker.clone(),
        workers: Arc::new(crew),
        root: setup.root.clone(),
    })?;
    let waker = Waker::default();
    let deps = Deps {
        runtime: Arc::clone(&setup.runtime),
        store,
        clock,
        ports: Arc::new(LeaseFile::new(&setup.user_state_dir)),
        owner,
        names,
        publisher: publisher.clone(),
        waker: waker.clone(),
    };
    let services = Services::new(deps, specs)?;
    services.on_config(None);

    let shutdown = CancellationToken::new();
    let tracker = TaskTracker::new();
    let clients = Clients::default();
    let (handle, inbox) = Handle::new(publisher.subscribe());
    let kinds = Kinds {
        services: Arc::clone(&services),
        agents: Arc::clone(&agents),
        runs: Arc::clone(&runs),
        tasks: Arc::clone(&work),
    };
    let (all, agents_only) = (Arc::new(Arc::clone(&services)), Arc::new(Arc::clone(&agents)));
    let ended = [
        tokio::spawn(controller::run(all, waker, Options::default(), shutdown.clone())),
        tokio::spawn(controller::run(agents_only, agents_waker, Options::default(), shutdown.clone())),
    ];
    tracker.spawn(services::follow_engine_with(
        services,
        {
            let (agents, runs) = (Arc::clone(&agents), Arc::clone(&runs));
            move |event| {
                agents.on_event(event);
                runs.on_event(event);
            }
        },
        shutdown.clone(),
    ));
    tracker.spawn(agents::mend_merges(Arc::clone(&agents), shutdown.clone()));
    tracker.spawn(agents::follow_services(Arc::clone(&agents), shutdown.clone()));
    tracker.spawn(agents::follow_waiting(agents, shutdown.clone()));
    runs.recover()?;
    // A task's pass may wait long for its agent.
    let patient = Options { passes: TASK_PASSES, ..Options::default() };
    let tasks_only = Arc::new(Arc::clone(&work));
    let tasks_ended = tokio::spawn(controller::run(tasks_only, tasks_waker, patient, shutdown.clone()));
    tracker.spawn(tasks::follow(work, shutdown.clone()));
    tracker.spawn(introduce(setup.runtime, publisher));
    let reload = Arc::clone(&setup.reload);
    tracker.spawn(answer::answer(inbox, reload, kinds.clone(), tracker.clone(), shutdown.clone()));
    tracker.spawn(watch::follow_config(setup.config_files, setup.reload, kinds, shutdown.clone()));
    let serving = server.serve(handle.clone(), clients.clone(), shutdown.clone());
    tracker.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the controller's socket failed");
        }
    });
    tracker.close();
    Ok(Some(Controller { handle, clients, shutdown, tracker, runs, ended, tasks_ended, _lock: lock }))
}

impl Controller {
    /// Ends the controller: passes under way may end, containers are not touched.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // Each ends with the token; a stuck one must not keep the process.
        let _ended = timeout(Duration::from_secs(10), async {
            let _passes = self.tasks_ended.await;
            for loop_ended in self.ended {
                let _passes = loop_ended.await;
            }
            self.runs.detach().await;
            self.tracker.wait().await;
        })
        .await;
    }

    /// Waits until somebody asked the controller to end.
    pub async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }

    /// Waits until nothing of the project has been wanted running, and nobody connected, for a minute.
    pub async fn idle(&self) {
        let mut snapshots = self.handle.snapshots();
        let mut clients = self.clients.subscribe();
        loop {
            let busy = *clients.borrow_and_update() > 0 || !is_quiet(&snapshots.borrow_and_update());
            tokio::select! {
                biased;
                changed = clients.changed() => if changed.is_err() { return },
                changed = snapshots.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(IDLE), if !busy => return,
            }
        }
    }
}

/// Whether nothing is wanted running and nothing is on its way.
fn is_quiet(snapshot: &Snapshot) -> bool {
    snapshot.observed_at.is_some()
        && snapshot.services.values().all(|service| match service.state {
            ServiceState::External => true,
            ServiceState::Stopped => service.desired != Desired::Running,
            _ => false,
        })
        && matches!(snapshot.work.phase, ProjectPhase::Idle | ProjectPhase::Stopped | ProjectPhase::Finished)
        // A container that only waits needs nobody; a run does, and so does whatever is not finished.
        && snapshot.agents.values().all(|agent| {
            agent.run.is_none() && !matches!(agent.state, AgentState::Creating | AgentState::Removing)
        })
}

/// The kinds a controller keeps.
#[derive(Debug, Clone)]
struct Kinds {
    services: Arc<Services>,
    agents: Arc<Agents>,
    runs: Arc<Runs>,
    tasks: Arc<Tasks>,
}

fn first_snapshot(setup: &Setup, clock: &dyn Clock) -> Snapshot {
    Snapshot {
        project: setup.project.clone(),
        path: setup.root.display().to_string(),
        controller: ControllerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: clock.now(),
        },
        engine: EngineSummary {
            kind: setup.runtime.kind().to_string(),
            version: String::new(),
            endpoint: setup.runtime.endpoint().to_owned(),
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

/// Asks the engine for its version. Some take a third of a second for it: nothing waits.
async fn introduce(runtime: Arc<dyn ContainerRuntime>, publisher: Publisher<Snapshot>) {
    match runtime.info().await {
        Ok(info) => publisher.update(|snapshot| {
            snapshot.engine.version = info.version;
            snapshot.engine.rootless = info.rootless;
        }),
        Err(error) => tracing::warn!(%error, "the engine does not say what it is"),
    }
}

fn private_directory(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: std::io::Error) -> StartError {
    StartError::Io { path: path.display().to_string(), source }
}
