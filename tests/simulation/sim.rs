//! A world, a controller in it, and what must hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tanuki::controller::{Clock, Options, Publisher, TokioClock, Waker, run};
use tanuki::model::{ControllerInfo, EngineSummary, LabelKey, Names, ProjectStatus, Request, Snapshot, Time};
use tanuki::services::{Deps, Services, follow_engine};
use tanuki::store::Store;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, Fault, FaultPlan, Faulty};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::action::{Action, mend};
use crate::project::{self, SERVICES, SimulatedPorts};
use crate::properties;

/// From the end of the faults until everything is as it should be.
const CONVERGES_WITHIN: Duration = Duration::from_secs(150);
/// Longer than the longest wait between restarts.
const LOOKS_RIGHT_FOR: Duration = Duration::from_secs(25);
/// How long it must then stay so without a further write.
const STAYS_FOR: Duration = Duration::from_secs(120);

/// The world with the controller in it.
pub(crate) struct Sim {
    pub(crate) engine: FakeRuntime,
    pub(crate) faulty: Faulty<FakeRuntime>,
    pub(crate) store: Arc<Store>,
    pub(crate) revisions: [u32; 3],
    pub(crate) controller: Option<Controller>,
    pub(crate) history: Vec<(Duration, Action)>,
    /// Highest generation published so far, by service; and every breach of a rule seen on the way.
    generations: Arc<Mutex<BTreeMap<String, u64>>>,
    breaches: Arc<Mutex<Vec<String>>>,
    minutes: Option<JoinHandle<()>>,
    clock: Arc<HostClock>,
    seed: u64,
}

/// The host's wall clock, which somebody sets; the engine's, which runs in a machine of its own, goes on.
#[derive(Debug)]
struct HostClock {
    tokio: TokioClock,
    offset: Mutex<i64>,
}

impl Clock for HostClock {
    fn now(&self) -> Time {
        let now = i64::try_from(self.tokio.now().0).unwrap() + *self.offset.lock().unwrap();
        Time(u64::try_from(now).unwrap_or(0))
    }
}

/// A controller at work, put together as the program does it.
pub(crate) struct Controller {
    pub(crate) services: Arc<Services>,
    pub(crate) publisher: Publisher<Snapshot>,
    connection: Faulty<FakeRuntime>,
    shutdown: CancellationToken,
    run: JoinHandle<()>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sim {
    /// A world with images, nothing else, and no controller yet.
    pub(crate) fn new(seed: u64, plan: FaultPlan) -> Self {
        let engine = FakeRuntime::seeded(seed);
        engine.set_detailed_lists(seed % 2 == 1);
        engine.set_report_lag(Duration::from_millis(if seed.is_multiple_of(3) { 80 } else { 0 }));
        engine.add_image("foreign", FakeImage::default());
        for service in 0..SERVICES.len() {
            engine.publish_image(project::image_reference(service), project::image());
        }
        Self {
            faulty: Faulty::new(engine.clone(), plan),
            engine,
            store: Arc::new(Store::in_memory().unwrap()),
            revisions: [0; 3],
            controller: None,
            history: Vec::new(),
            generations: Arc::default(),
            breaches: Arc::default(),
            minutes: None,
            clock: Arc::new(HostClock { tokio: TokioClock::new(Time(0)), offset: Mutex::new(0) }),
            seed,
        }
    }

    /// What the kind needs, on a fresh connection to the engine.
    pub(crate) fn deps(&self, connection: &Faulty<FakeRuntime>) -> Deps {
        let started_at = Time::from(self.engine.now());
        let snapshot = Snapshot {
            project: project::owner().project,
            path: project::owner().path,
            controller: ControllerInfo { version: "0".into(), pid: 1, started_at },
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
        };
        Deps {
            runtime: Arc::new(connection.clone()),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as _,
            ports: Arc::new(SimulatedPorts(self.engine.clone())),
            owner: project::owner(),
            names: Names { network: "tanuki-net".into(), suffix: None },
            publisher: Publisher::new(snapshot),
            waker: Waker::default(),
        }
    }

    pub(crate) fn start_controller(&mut self) {
        let connection = self.faulty.reconnected();
        let deps = self.deps(&connection);
        let (publisher, waker) = (deps.publisher.clone(), deps.waker.clone());
        let services = Services::new(deps, project::specs(self.revisions)).unwrap();
        let shutdown = CancellationToken::new();
        let options = Options { seed: self.seed, ..Options::default() };
        let listeners = vec![
            tokio::spawn(follow_engine(Arc::clone(&services), shutdown.clone())),
            tokio::spawn(watch_generations(
                publisher.clone(),
                Arc::clone(&self.generations),
                Arc::clone(&self.breaches),
            )),
        ];
        let run = tokio::spawn(run(Arc::new(Arc::clone(&services)), waker, options, shutdown.clone()));
        self.minutes.get_or_insert_with(|| {
            tokio::spawn(count_calls(self.engine.clone(), Arc::clone(&self.breaches)))
        });
        self.controller = Some(Controller { services, publisher, connection, shutdown, run, listeners });
    }

    /// The controller's process ends where it stands.
    pub(crate) async fn kill_controller(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.connection.sever();
            controller.run.abort();
            for listener in &controller.listeners {
                listener.abort();
            }
            self.note_end(controller.run.await);
        }
    }

    /// The controller ends as it should, within its grace.
    pub(crate) async fn end_controller(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            let (grace, before) = (Options::default().grace, Instant::now());
            controller.shutdown.cancel();
            match tokio::time::timeout(grace + Duration::from_millis(1), &mut controller.run).await {
                Ok(ended) => self.note_end(ended),
                Err(_elapsed) => {
                    controller.run.abort();
                    self.breach(format!("shutdown took longer than its grace: {:?}", before.elapsed()));
                }
            }
            controller.connection.sever();
            for listener in &controller.listeners {
                listener.abort();
            }
        }
    }

    fn note_end(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.breach(format!("the loop panicked: {error}"));
        }
    }

    /// Does one action and lets a moment pass, so that it can meet the controller at any point.
    pub(crate) async fn act(&mut self, action: Action) {
        self.history.push((self.engine.elapsed(), action));
        if action.happens_to_engine(&self.engine) {
            return;
        }
        let names = |service: Option<usize>| service.map(|s| SERVICES[s].to_owned()).into_iter().collect();
        match action {
            Action::Wait(millis) => sleep(Duration::from_millis(millis)).await,
            Action::WantRunning(service) => self.request(&Request::ServiceStart { names: names(service) }),
            Action::WantStopped(service) => self.request(&Request::ServiceStop { names: names(service) }),
            Action::WantRestart(service) => {
                self.request(&Request::ServiceRestart { name: SERVICES[service].into() });
            }
            Action::WantNothing => self.request(&Request::Down { volumes: false }),
            Action::Reconfigure(service) => {
                self.revisions[service] += 1;
                if let Some(controller) = &self.controller {
                    controller.services.configure(project::specs(self.revisions));
                }
            }
            Action::JumpClock(seconds) => {
                let mut offset = self.clock.offset.lock().unwrap();
                let elapsed = i64::try_from(self.engine.elapsed().as_millis()).unwrap();
                // Not before the epoch.
                *offset = (*offset + seconds * 1000).max(-elapsed);
            }
            Action::KillController => {
                self.kill_controller().await;
                self.start_controller();
            }
            Action::RestartController => {
                self.end_controller().await;
                self.start_controller();
            }
            _ => unreachable!("{action:?} happens to the engine"),
        }
    }

    pub(crate) fn request(&self, request: &Request) {
        if let Some(controller) = &self.controller
            && let Err(rejected) = controller.services.request(request)
        {
            self.breach(format!("{request:?} was rejected: {rejected:?}"));
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.controller.as_ref().expect("a controller runs").publisher.current()
    }

    /// Faults stop; then everything must become as it is wanted, and stay so without another write.
    pub(crate) async fn settle(&mut self) {
        self.settle_for(STAYS_FOR).await;
    }

    /// Like [`settle`](Self::settle), with another time for which it must stay so.
    pub(crate) async fn settle_for(&mut self, stays_for: Duration) {
        if self.controller.is_none() {
            self.start_controller();
        }
        self.faulty.heal();
        while self.faulty.under_way() > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        mend(&self.engine);
        let mended = Instant::now();
        let mut right_since = None;
        loop {
            let wrong = properties::wrong(self);
            if wrong.is_empty() {
                // A program that is about to end once more looks right for a moment.
                let since = *right_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LOOKS_RIGHT_FOR {
                    break;
                }
            } else {
                right_since = None;
                assert!(mended.elapsed() < CONVERGES_WITHIN, "does not converge: {wrong:#?}");
            }
            sleep(Duration::from_millis(500)).await;
        }
        let (writes, calls) = (self.engine.writes().len(), self.calls());
        sleep(stays_for).await;
        let wrong = properties::wrong(self);
        assert!(wrong.is_empty(), "does not stay as it should be: {wrong:#?}");
        let further = &self.engine.writes()[writes..];
        assert!(further.is_empty(), "writes though all is as it should be: {further:#?}");
        let idle = self.calls() - calls;
        let most = properties::CALLS_PER_IDLE_MINUTE * (stays_for.as_secs() + 5) / 60 + 3;
        assert!(
            idle <= most,
            "{idle} calls in {stays_for:?} of quiet, more than {most}: {:?}",
            self.engine.calls()
        );
        self.check();
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        let mut breaches = self.breaches.lock().unwrap().clone();
        breaches.extend(properties::breaches(&self.engine));
        assert!(breaches.is_empty(), "{breaches:#?}");
    }

    pub(crate) fn calls(&self) -> u64 {
        self.engine.calls().values().sum()
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.faulty.log()
    }

    fn breach(&self, breach: String) {
        self.breaches.lock().unwrap().push(breach);
    }
}

/// Whatever goes wrong, the engine is not asked without end.
async fn count_calls(engine: FakeRuntime, breaches: Arc<Mutex<Vec<String>>>) {
    let calls = || engine.calls().values().sum::<u64>();
    let mut before = calls();
    loop {
        sleep(Duration::from_secs(60)).await;
        let now = calls();
        if now - before > properties::CALLS_PER_MINUTE {
            let what = format!(
                "{} calls in the minute before {:?}: {:?}",
                now - before,
                engine.elapsed(),
                engine.calls()
            );
            breaches.lock().unwrap().push(what);
        }
        before = now;
    }
}

async fn watch_generations(
    publisher: Publisher<Snapshot>,
    highest: Arc<Mutex<BTreeMap<String, u64>>>,
    breaches: Arc<Mutex<Vec<String>>>,
) {
    let mut snapshots = publisher.subscribe();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        for (name, status) in &snapshot.services {
            let mut highest = highest.lock().unwrap();
            let highest = highest.entry(name.clone()).or_default();
            if status.generation < *highest || status.observed_generation > status.generation {
                let (generation, observed) = (status.generation, status.observed_generation);
                breaches
                    .lock()
                    .unwrap()
                    .push(format!("{name}: generation {generation} (observed {observed}) after {highest}"));
            }
            *highest = (*highest).max(status.generation);
            if status.message.contains("belongs to the Tanuki project in /project") {
                breaches.lock().unwrap().push(format!("{name} complains of itself: {}", status.message));
            }
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Name of the service that a container's labels say it is.
pub(crate) fn service_of(container: &tanuki_runtimes::Container) -> Option<&str> {
    container
        .labels
        .owned_by(&project::owner().labels())
        .then(|| container.labels.get(LabelKey::NAME))
        .flatten()
}
