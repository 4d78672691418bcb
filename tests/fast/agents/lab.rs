//! A project with a git repository, an engine in memory, and a controller's agents over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tanuki::agents::{Agents, Deps, Layout, follow_waiting};
use tanuki::controller::{Options, Publisher, SystemClock, Waker, run};
use tanuki::model::{
    Accepted, Adapter, AdapterKind, AgentSettings, ControllerInfo, EngineSummary, Names, ProjectId,
    ProjectStatus, Rejected, Request, ServiceSpec, Snapshot, Spawn, Time,
};
use tanuki::services::spec::Owner;
use tanuki::store::Store;
use tanuki_runtimes::ContainerRuntime;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, Program};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The image of agents, whose look into a new container finds everything.
pub(super) const IMAGE: &str = "agent:1";

pub(super) struct Lab {
    pub(super) project: TempDir,
    pub(super) engine: FakeRuntime,
    pub(super) store: Arc<Store>,
    pub(super) settings: AgentSettings,
    pub(super) services: BTreeMap<String, ServiceSpec>,
}

/// A controller at work; dropped, it is as good as killed.
pub(super) struct Controller {
    pub(super) agents: Arc<Agents>,
    pub(super) publisher: Publisher<Snapshot>,
    run: JoinHandle<()>,
    waiting: JoinHandle<()>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.run.abort();
        self.waiting.abort();
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let project = TempDir::new().unwrap();
        let lab = Self {
            engine: FakeRuntime::new(),
            store: Arc::new(Store::in_memory().unwrap()),
            settings: settings(),
            services: BTreeMap::new(),
            project,
        };
        lab.engine.add_image(IMAGE, FakeImage::default().with_program("sh", Program::fixed(0, "")));
        lab.git(&["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(lab.root().join("README.md"), "hello\n").unwrap();
        lab.git(&["add", "."]);
        lab.git(&["commit", "--quiet", "--message=first"]);
        lab
    }

    pub(super) fn root(&self) -> &Path {
        self.project.path()
    }

    /// What git says in the project.
    pub(super) fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
        let output = Command::new("git").args(identity).args(args).current_dir(self.root()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every branch and reference of Tanuki's.
    pub(super) fn refs(&self) -> Vec<String> {
        let text = self.git(&["for-each-ref", "--format=%(refname)"]);
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// Names in `.tanuki/workspaces` and `.tanuki/state/agents`.
    pub(super) fn directories(&self) -> Vec<String> {
        let mut names = Vec::new();
        for directory in [".tanuki/workspaces", ".tanuki/state/agents"] {
            let Ok(entries) = std::fs::read_dir(self.root().join(directory)) else { continue };
            names.extend(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
        }
        names.retain(|name| name != ".gitignore");
        names.sort();
        names
    }

    pub(super) fn containers(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.engine.listing().containers.into_iter().map(|container| container.name).collect();
        names.sort();
        names
    }

    pub(super) fn controller(&self) -> Controller {
        let owner =
            Owner { project: ProjectId("0123456789ab".into()), path: self.root().display().to_string() };
        let publisher = Publisher::new(Snapshot {
            project: owner.project.clone(),
            path: owner.path.clone(),
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
        });
        let waker = Waker::default();
        let deps = Deps {
            runtime: Arc::new(self.engine.clone()) as Arc<dyn ContainerRuntime>,
            store: Arc::clone(&self.store),
            clock: Arc::new(SystemClock),
            owner,
            names: Names { network: "tanuki-net".into(), suffix: None },
            layout: Layout::new(self.root(), &self.root().join(".tanuki/state")),
            program: "tanuki".into(),
            publisher: publisher.clone(),
            waker: waker.clone(),
        };
        let agents = Agents::new(deps, self.settings.clone(), self.services.clone()).unwrap();
        let kind = Arc::new(Arc::clone(&agents));
        let run = tokio::spawn(run(kind, waker, Options::default(), CancellationToken::new()));
        let waiting = tokio::spawn(follow_waiting(Arc::clone(&agents), CancellationToken::new()));
        Controller { agents, publisher, run, waiting }
    }
}

impl Controller {
    pub(super) async fn spawn(&self, names: &[&str]) -> Result<Accepted, Rejected> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.ask(Request::Spawn(Box::new(Spawn { names, count: 1, ..Spawn::default() }))).await
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Accepted, Rejected> {
        self.agents.handle(request).await
    }

    /// Waits for a snapshot of which this holds.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) {
        let mut snapshots = self.publisher.subscribe();
        let wait = async {
            while !holds(&snapshots.borrow_and_update()) {
                snapshots.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{what}: {:#?}", self.publisher.current().agents);
    }
}

fn settings() -> AgentSettings {
    let mut settings = AgentSettings { branch_prefix: "tanuki/".into(), ..AgentSettings::default() };
    settings.defaults.agent = "scripted".into();
    settings.defaults.image = Some(IMAGE.into());
    let adapter = Adapter {
        kind: AdapterKind::Command,
        env: Vec::new(),
        args: Vec::new(),
        run: vec!["sh".into(), "agent.sh".into()],
    };
    settings.adapters.insert("scripted".into(), adapter);
    settings
}
