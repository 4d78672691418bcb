//! A project with agents, a controller of them, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use tanuki::agents::runs::{self, Runs};
use tanuki::agents::{Agents, Deps, Ground, Layout};
use tanuki::controller::{Options, Publisher, TokioClock, Waker, run};
use tanuki::model::{
    Accepted, Adapter, AdapterKind, AgentSettings, ControllerInfo, Credentials, EngineSummary, Names,
    ProjectId, ProjectStatus, Rejected, Request, RunSpec, Snapshot, Time,
};
use tanuki::services::spec::Owner;
use tanuki::store::Store;
use tanuki_runtimes::ContainerRuntime as _;
use tanuki_runtimes::EventFilter;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, FaultPlan, Faulty};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::action::{Action, mend};
use super::git::FakeGit;
use super::inside::Inside;
use super::properties;

/// The image of agents.
pub(crate) const IMAGE: &str = "agent:1";
/// One without git.
pub(crate) const BARE: &str = "bare:1";

/// From the end of the faults until everything is as it should be: requests, runs and waits between tries.
const CONVERGES_WITHIN: Duration = Duration::from_secs(600);
/// Longer than the time between two looks at a run.
const LOOKS_RIGHT_FOR: Duration = Duration::from_secs(45);
/// How long it must then stay so without a further write.
const STAYS_FOR: Duration = Duration::from_secs(120);

/// The world with the controller in it.
pub(crate) struct Sim {
    project: TempDir,
    pub(crate) engine: FakeRuntime,
    pub(crate) faulty: Faulty<FakeRuntime>,
    pub(crate) git: FakeGit,
    pub(crate) inside: Inside,
    pub(crate) store: Arc<Store>,
    pub(crate) controller: Option<Controller>,
    pub(crate) history: Vec<(Duration, Action)>,
    /// What became of requests, for people.
    pub(crate) answers: Arc<Mutex<Vec<(Duration, String)>>>,
    /// Work of an agent that a person threw away by hand does not count.
    pub(crate) precious: BTreeMap<String, BTreeSet<String>>,
    pub(crate) memory: u64,
    /// What was begun and not finished then may be left: nobody knows of it.
    pub(crate) lost_store: bool,
    clock: TokioClock,
    seed: u64,
    watcher: JoinHandle<()>,
    breaches: Arc<Mutex<Vec<String>>>,
}

/// A controller at work, put together as the program does it.
pub(crate) struct Controller {
    pub(crate) agents: Arc<Agents>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) publisher: Publisher<Snapshot>,
    connection: Faulty<FakeRuntime>,
    shutdown: CancellationToken,
    run: JoinHandle<()>,
    follower: JoinHandle<()>,
    requests: JoinSet<()>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

pub(crate) fn owner() -> Owner {
    Owner { project: ProjectId("0123456789ab".into()), path: "/project".into() }
}

impl Sim {
    pub(crate) fn new(seed: u64, plan: FaultPlan, git_faults: f64) -> Self {
        let project = TempDir::new().unwrap();
        let objects = project.path().join("objects");
        fs::create_dir(&objects).unwrap();
        let engine = FakeRuntime::seeded(seed);
        engine.set_detailed_lists(seed % 2 == 1);
        engine.set_report_lag(Duration::from_millis(if seed.is_multiple_of(3) { 80 } else { 0 }));
        let git = FakeGit::new(objects, seed, git_faults);
        let inside = Inside::new(project.path(), git.clone());
        engine.add_image("foreign", FakeImage::default());
        engine.add_image(IMAGE, inside.image(&engine, true));
        engine.add_image(BARE, inside.image(&engine, false));
        let breaches = Arc::default();
        let watcher = tokio::spawn(watch(engine.clone(), inside.clone(), Arc::clone(&breaches)));
        Self {
            project,
            faulty: Faulty::new(engine.clone(), plan),
            engine,
            git,
            inside,
            store: Arc::new(Store::in_memory().unwrap()),
            controller: None,
            history: Vec::new(),
            answers: Arc::default(),
            precious: BTreeMap::new(),
            memory: 1 << 30,
            lost_store: false,
            clock: TokioClock::new(Time(0)),
            seed,
            watcher,
            breaches,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.project.path()
    }

    pub(crate) fn settings(&self) -> AgentSettings {
        let mut settings = AgentSettings { branch_prefix: "tanuki/".into(), ..AgentSettings::default() };
        settings.defaults.agent = "shell".into();
        settings.defaults.image = Some(IMAGE.into());
        settings.defaults.resources.memory = Some(self.memory);
        settings.limits.free_memory = 0;
        let run = ["sh", "-c", "{prompt}"].map(str::to_owned).to_vec();
        let shell = Adapter { kind: AdapterKind::Command, env: Vec::new(), args: Vec::new(), run };
        settings.adapters.insert("shell".into(), shell);
        settings
    }

    /// The kind, over a connection of its own.
    pub(crate) fn agents(
        &self,
        connection: &Faulty<FakeRuntime>,
    ) -> (Arc<Agents>, Publisher<Snapshot>, Waker<tanuki::agents::Key>) {
        let publisher = Publisher::new(first_snapshot());
        let waker = Waker::default();
        let deps = Deps {
            runtime: Arc::new(connection.clone()),
            store: Arc::clone(&self.store),
            clock: Arc::new(self.clock),
            owner: owner(),
            names: Names { network: "tanuki-net".into(), suffix: None },
            layout: Layout::new(self.root(), &self.root().join(".tanuki/state")),
            program: "tanuki".into(),
            publisher: publisher.clone(),
            waker: waker.clone(),
        };
        let git = Some(Arc::new(self.git.clone()) as _);
        let agents = Agents::over(git, deps, self.settings(), BTreeMap::new()).unwrap();
        (agents, publisher, waker)
    }

    pub(crate) fn start_controller(&mut self) {
        let connection = self.faulty.reconnected();
        let (agents, publisher, waker) = self.agents(&connection);
        let runs = Runs::new(runs::Deps {
            ground: Arc::clone(&agents) as Arc<dyn Ground>,
            runtime: Arc::new(connection.clone()),
            store: Arc::clone(&self.store),
            publisher: publisher.clone(),
            clock: Arc::new(self.clock),
            project: self.root().to_owned(),
            user_home: None,
            free_memory: || None,
        });
        agents.attach(&runs);
        let shutdown = CancellationToken::new();
        let options = Options { seed: self.seed, ..Options::default() };
        let run = tokio::spawn(run(Arc::new(Arc::clone(&agents)), waker, options, shutdown.clone()));
        let follower = tokio::spawn(follow(connection.clone(), Arc::clone(&agents), Arc::clone(&runs)));
        runs.recover().unwrap();
        let requests = JoinSet::new();
        self.controller =
            Some(Controller { agents, runs, publisher, connection, shutdown, run, follower, requests });
    }

    /// The controller's process ends where it stands.
    pub(crate) async fn kill_controller(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            controller.connection.sever();
            controller.run.abort();
            if let Err(error) = (&mut controller.run).await
                && error.is_panic()
            {
                self.breach(format!("the loop panicked: {error}"));
            }
            clear(controller).await;
        }
    }

    /// The controller ends as it should; what was asked for last may not be answered any more.
    pub(crate) async fn end_controller(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            controller.shutdown.cancel();
            let ended = tokio::time::timeout(Duration::from_secs(10), &mut controller.run).await;
            if !matches!(ended, Ok(Ok(()))) {
                controller.run.abort();
                self.breach("the loop did not end".to_owned());
            }
            controller.connection.sever();
            clear(controller).await;
        }
    }

    /// Does one action.
    pub(crate) async fn act(&mut self, action: Action) {
        self.history.push((self.engine.elapsed(), action));
        action.happen(self).await;
    }

    /// Asks the controller for something and goes on.
    pub(crate) fn ask(&mut self, request: Request) {
        let (engine, answers) = (self.engine.clone(), Arc::clone(&self.answers));
        let Some(controller) = &mut self.controller else { return };
        let agents = Arc::clone(&controller.agents);
        controller.requests.spawn(async move {
            let text = format!("{request:?}");
            let answer = agents.handle(request).await;
            answers.lock().unwrap().push((engine.elapsed(), told(&text, &answer)));
        });
    }

    /// Asks for a run, which begins at once or is refused.
    pub(crate) fn ask_run(&mut self, agent: &str, seconds: u64, exit_code: u64) {
        let Some(controller) = &self.controller else { return };
        let prompt = format!("{seconds} {exit_code}");
        let spec = RunSpec { agent: agent.to_owned(), prompt, ..RunSpec::default() };
        let answer = controller.runs.start(spec, Credentials::default()).map(|record| record.id);
        self.answers.lock().unwrap().push((self.engine.elapsed(), format!("run of {agent}: {answer:?}")));
    }

    /// Asks for the end of runs, as whoever stops or removes their agents does.
    pub(crate) fn ask_end(&mut self, agent: Option<&str>, then: Option<Request>) {
        let (engine, answers) = (self.engine.clone(), Arc::clone(&self.answers));
        let Some(controller) = &mut self.controller else { return };
        let (agents, runs) = (Arc::clone(&controller.agents), Arc::clone(&controller.runs));
        let names: Vec<String> = agent.map(str::to_owned).into_iter().collect();
        controller.requests.spawn(async move {
            let answer = match (runs.end_all(&names).await, then) {
                (Ok(()), Some(request)) => agents.handle(request).await,
                (ended, _) => ended.map(|()| Accepted::default()),
            };
            answers.lock().unwrap().push((engine.elapsed(), told(&format!("end {names:?}"), &answer)));
        });
    }

    /// Asks for the end of everything, as `down` does.
    pub(crate) fn ask_down(&mut self) {
        let Some(controller) = &mut self.controller else { return };
        let (agents, runs) = (Arc::clone(&controller.agents), Arc::clone(&controller.runs));
        controller.requests.spawn(async move {
            if runs.end_all(&[]).await.is_ok() {
                agents.down().unwrap();
            }
        });
    }

    /// Whether something asked for is not answered yet.
    pub(crate) fn is_asking(&mut self) -> bool {
        let Some(controller) = &mut self.controller else { return false };
        while controller.requests.try_join_next().is_some() {}
        !controller.requests.is_empty()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.controller.as_ref().expect("a controller runs").publisher.current()
    }

    /// Faults stop; then everything must become as it is wanted, and stay so without another write.
    pub(crate) async fn settle(&mut self, stays_for: Duration) {
        if self.controller.is_none() {
            self.start_controller();
        }
        self.faulty.heal();
        self.git.heal();
        while self.faulty.under_way() > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        mend(self);
        let mended = Instant::now();
        let mut right_since = None;
        loop {
            let wrong = if self.is_asking() {
                vec!["a request is not answered".to_owned()]
            } else {
                properties::wrong(self)
            };
            if wrong.is_empty() {
                let since = *right_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LOOKS_RIGHT_FOR {
                    break;
                }
            } else {
                right_since = None;
                assert!(mended.elapsed() < CONVERGES_WITHIN, "does not converge: {wrong:#?}");
            }
            sleep(Duration::from_secs(1)).await;
        }
        let (writes, calls) = (self.engine.writes().len(), self.calls());
        sleep(stays_for).await;
        let wrong = properties::wrong(self);
        assert!(wrong.is_empty(), "does not stay as it should be: {wrong:#?}");
        let further = &self.engine.writes()[writes..];
        assert!(further.is_empty(), "writes though all is as it should be: {further:#?}");
        let (idle, most) =
            (self.calls() - calls, properties::CALLS_PER_IDLE_MINUTE * (stays_for.as_secs() + 5) / 60 + 3);
        assert!(idle <= most, "{idle} calls in {stays_for:?} of quiet: {:?}", self.engine.calls());
        self.check();
    }

    pub(crate) async fn settle_well(&mut self) {
        self.settle(STAYS_FOR).await;
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        let mut breaches = self.breaches.lock().unwrap().clone();
        breaches.extend(self.inside.breaches());
        breaches.extend(properties::breaches(self));
        assert!(breaches.is_empty(), "{breaches:#?}");
    }

    fn calls(&self) -> u64 {
        self.engine.calls().values().sum()
    }

    fn breach(&self, breach: String) {
        self.breaches.lock().unwrap().push(breach);
    }
}

/// What a controller has left at work ends with it.
async fn clear(mut controller: Controller) {
    controller.follower.abort();
    controller.requests.shutdown().await;
    controller.runs.detach().await;
}

fn told(request: &str, answer: &Result<Accepted, Rejected>) -> String {
    match answer {
        Ok(accepted) => format!("{request}: done: {:?} {:?}", accepted.agents, accepted.warnings),
        Err(rejected) => format!("{request}: {rejected:?}"),
    }
}

/// The engine's events, for who must hear of them; listed again whenever the stream ends.
async fn follow(connection: Faulty<FakeRuntime>, agents: Arc<Agents>, runs: Arc<Runs>) {
    loop {
        if let Ok(mut events) =
            connection.events(&EventFilter { labels: owner().labels(), since: None }).await
        {
            agents.on_event(None);
            runs.on_event(None);
            while let Some(Ok(event)) = events.next().await {
                agents.on_event(Some(&event));
                runs.on_event(Some(&event));
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Looks all the time at what must never be, also between two actions.
async fn watch(engine: FakeRuntime, inside: Inside, breaches: Arc<Mutex<Vec<String>>>) {
    loop {
        inside.settle(&engine);
        let found = properties::twice(&engine, &inside);
        if !found.is_empty() {
            breaches.lock().unwrap().extend(found);
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn first_snapshot() -> Snapshot {
    Snapshot {
        project: owner().project,
        path: owner().path,
        controller: ControllerInfo { version: "0".into(), pid: 1, started_at: Time(0) },
        engine: EngineSummary {
            kind: "fake".into(),
            version: "0".into(),
            endpoint: "memory:".into(),
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
