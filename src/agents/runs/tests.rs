//! Whole runs: the real supervisor under a real shell, the container in memory.

mod counts;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, Program};
use tanuki_runtimes::{ContainerSpec, ExecOutput, ExecSpec};
use tokio::sync::mpsc;

use super::*;
use crate::agents::Ready;
use crate::controller::TokioClock;
use crate::model::{
    Adapter, AdapterKind, AgentSettings, ControllerInfo, EngineSummary, LogQuery, OutputKind, OutputLine,
    ProjectId, Resources, Time,
};

/// Ids of runs are found in `/proc` of this machine: agents of different tests have different names.
static NUMBER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct FakeGround {
    dir: tempfile::TempDir,
    container: String,
    settings: Mutex<AgentSettings>,
    commits: Mutex<Vec<String>>,
    /// Nothing may be started.
    stopped: AtomicBool,
    /// Not found by name.
    unresolved: Mutex<Vec<String>>,
}

impl FakeGround {
    fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }
}

#[async_trait]
impl Ground for FakeGround {
    fn spec(&self, agent: &str) -> Option<AgentSpec> {
        (!agent.starts_with("no")).then(|| AgentSpec {
            name: agent.to_owned(),
            role: None,
            workstream: None,
            adapter: "shell".to_owned(),
            image: "i".to_owned(),
            model: None,
            branch: format!("tanuki/{agent}"),
            base: "refs/heads/main".to_owned(),
            base_commit: "c".to_owned(),
            resources: Resources::default(),
            created_at: Time(0),
        })
    }

    fn settings(&self) -> Arc<AgentSettings> {
        Arc::new(self.settings.lock().unwrap().clone())
    }

    fn runs_dir(&self, agent: &str) -> PathBuf {
        self.dir.path().join("agents").join(agent).join("runs")
    }

    fn home_dir(&self, agent: &str) -> PathBuf {
        self.dir.path().join("agents").join(agent).join("home")
    }

    fn may_enter(&self, _agent: &str) -> Result<(), Rejected> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Rejected::NotPossible { message: "it is stopped".to_owned() }),
            false => Ok(()),
        }
    }

    fn entered(&self, _agent: &str) {}

    async fn unresolved(&self, _agent: &str, _ready: &Ready) -> Vec<String> {
        self.unresolved.lock().unwrap().clone()
    }

    async fn enter(&self, agent: &str) -> Result<Ready, Rejected> {
        for directory in [self.runs_dir(agent), self.home_dir(agent)] {
            std::fs::create_dir_all(directory).unwrap();
        }
        Ok(Ready {
            container: self.container.clone(),
            env: [("SERVICE".to_owned(), "value".to_owned()), ("AGENT".to_owned(), agent.to_owned())].into(),
            service_variables: vec!["SERVICE".to_owned()],
            missing_services: Vec::new(),
            environment_generation: 4,
            user: None,
            workdir: self.workspace().display().to_string(),
        })
    }

    async fn shell(&self, _agent: &str, command: &str, _timeout: Duration) -> Result<ExecOutput, Rejected> {
        let mut child = tokio::process::Command::new("sh");
        let output = child.args(["-c", command]).current_dir(self.workspace()).output().await.unwrap();
        let exit_code = output.status.code().map_or(-1, i64::from);
        Ok(ExecOutput { exit_code, stdout: output.stdout, stderr: output.stderr, truncated: false })
    }

    async fn commit_all(&self, _agent: &str, message: &str) -> Result<bool, Rejected> {
        self.commits.lock().unwrap().push(message.to_owned());
        Ok(true)
    }

    async fn collect(&self, _agent: &str) -> Result<Option<String>, Rejected> {
        Ok(None)
    }

    fn touched(&self, _agent: &str) {}
}

/// A project with a shell as agent CLI: the prompt is the script.
struct World {
    ground: Arc<FakeGround>,
    runtime: FakeRuntime,
    store: Arc<Store>,
    agent: String,
}

fn local(spec: &ExecSpec, agents: &Path) -> ExecOutput {
    let here = |word: &String| match spec.env.get("AGENT").or(spec.env.get("WHO")) {
        Some(agent) => word.replace("/tanuki/runs", &agents.join(agent).join("runs").display().to_string()),
        None => word.clone(),
    };
    let path = format!("{}/bin:/usr/bin:/bin", agents.display());
    let mut command = Command::new("sh");
    command.args(spec.command[1..].iter().map(here)).env_clear().env("PATH", path);
    command.envs(spec.env.iter().map(|(name, value)| (name, here(value))));
    if let Some(workdir) = &spec.workdir {
        command.current_dir(workdir);
    }
    let output = command.output().unwrap();
    let exit_code = output.status.code().map_or(-1, i64::from);
    ExecOutput { exit_code, stdout: output.stdout, stderr: output.stderr, truncated: false }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let agent = format!("t{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir_all(dir.path().join("workspace")).unwrap();
        std::fs::create_dir_all(dir.path().join("agents").join(&agent)).unwrap();
        let runtime = FakeRuntime::new();
        let agents = dir.path().join("agents");
        let shell = Program::new(move |spec| local(spec, &agents));
        runtime.add_image("i", FakeImage::default().with_program("sh", shell));
        let spec = ContainerSpec {
            name: "c".to_owned(),
            image: "i".to_owned(),
            env: [("WHO".to_owned(), agent.clone())].into(),
            ..ContainerSpec::default()
        };
        let container = runtime.create(&spec).await.unwrap();
        runtime.start(&container).await.unwrap();
        let run = ["sh", "-c", "{prompt}"].map(str::to_owned).to_vec();
        let shell =
            Adapter { kind: AdapterKind::Command, env: vec!["KEY".to_owned()], args: Vec::new(), run };
        let mut settings = AgentSettings::default();
        settings.limits.free_memory = 0;
        settings.adapters.insert("shell".to_owned(), shell);
        let ground = FakeGround {
            dir,
            container,
            settings: Mutex::new(settings),
            commits: Mutex::default(),
            stopped: AtomicBool::new(false),
            unresolved: Mutex::default(),
        };
        Self { ground: Arc::new(ground), runtime, store: Arc::new(Store::in_memory().unwrap()), agent }
    }

    /// A controller.
    fn runs(&self) -> Arc<Runs> {
        self.runs_with(|| Some(1 << 40))
    }

    fn runs_with(&self, free_memory: fn() -> Option<u64>) -> Arc<Runs> {
        let snapshot = Snapshot {
            project: ProjectId("p".to_owned()),
            path: "/p".to_owned(),
            controller: ControllerInfo { version: String::new(), pid: 1, started_at: Time(0) },
            engine: EngineSummary {
                kind: String::new(),
                version: String::new(),
                endpoint: String::new(),
                rootless: false,
            },
            services: BTreeMap::new(),
            agents: BTreeMap::new(),
            tasks: BTreeMap::new(),
            work: crate::model::ProjectStatus::default(),
            conditions: Vec::new(),
            events: Vec::new(),
            observed_at: None,
        };
        Runs::new(Deps {
            ground: Arc::clone(&self.ground) as Arc<dyn Ground>,
            runtime: Arc::new(self.runtime.clone()),
            store: Arc::clone(&self.store),
            publisher: Publisher::new(snapshot),
            clock: Arc::new(TokioClock::new(Time(1_000_000))),
            project: self.ground.dir.path().to_owned(),
            user_home: None,
            free_memory,
        })
    }

    fn spec(&self, prompt: &str) -> RunSpec {
        RunSpec { agent: self.agent.clone(), prompt: prompt.to_owned(), ..RunSpec::default() }
    }

    async fn run(&self, spec: RunSpec) -> RunRecord {
        let runs = self.runs();
        runs.start(spec, Credentials::default()).unwrap();
        over(&runs, &self.agent).await
    }

    async fn shown(&self, runs: &Arc<Runs>, query: LogQuery) -> Vec<OutputLine> {
        let (sender, mut lines) = mpsc::channel(4);
        let runs = Arc::clone(runs);
        let sent = tokio::spawn(async move { runs.logs(query, sender).await });
        let mut shown = Vec::new();
        while let Some(line) = lines.recv().await {
            shown.push(line);
        }
        sent.await.unwrap().unwrap();
        shown
    }

    async fn texts(&self, runs: &Arc<Runs>, query: LogQuery) -> Vec<String> {
        self.shown(runs, query).await.into_iter().map(|line| line.text).collect()
    }

    fn query(&self) -> LogQuery {
        LogQuery { agents: vec![self.agent.clone()], ..LogQuery::default() }
    }
}

async fn over(runs: &Arc<Runs>, agent: &str) -> RunRecord {
    let mut changed = runs.changed.subscribe();
    let over = async {
        while runs.live(agent).is_some() {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), over).await.expect("the run does not end");
    runs.last(agent).unwrap()
}

/// Waits until a file is there.
async fn appears(path: &Path) {
    for _ in 0..600 {
        if path.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} does not appear", path.display());
}

#[tokio::test]
async fn a_run_has_its_environment_and_leaves_its_output() {
    let world = World::new().await;
    let runs = world.runs();
    let prompt =
        "echo \"$SERVICE $TANUKI_RUN $TANUKI_ITERATION $TANUKI_TASK $KEY $HOME\"; echo bad >&2; touch made";
    let spec = RunSpec { task: Some("7".to_owned()), ..world.spec(prompt) };
    let secret =
        Credentials([("KEY".to_owned(), "k-1".to_owned()), ("OTHER".to_owned(), "x".to_owned())].into());
    let record = runs.start(spec, secret).unwrap();
    assert_eq!(record.id, format!("{}-1", world.agent));
    let record = over(&runs, &world.agent).await;
    assert_eq!((record.state, record.exit_code), (RunState::Succeeded, Some(0)), "{}", record.message);
    assert!(world.ground.workspace().join("made").exists());
    assert_eq!(world.ground.commits.lock().unwrap().len(), 1);
    let shown = world.shown(&runs, world.query()).await;
    let texts: Vec<&str> = shown.iter().map(|line| line.text.as_str()).collect();
    let first = format!("value {} 1 7 k-1 /tanuki/home", record.id);
    assert_eq!(texts[1..], [first.as_str(), "bad", "the run succeeded"], "{texts:?}");
    assert!(shown.iter().all(|line| line.time.is_some() && line.run.as_deref() == Some(&record.id)));
    assert_eq!(world.texts(&runs, LogQuery { raw: true, ..world.query() }).await, [first.as_str(), "bad"]);
    assert_eq!(
        world.texts(&runs, LogQuery { tail: Some(2), ..world.query() }).await,
        ["bad", "the run succeeded"]
    );
    assert!(!world.ground.dir.path().join("agents").join(&world.agent).join("credentials").exists());
}

#[tokio::test]
async fn how_a_run_fails_is_told() {
    let world = World::new().await;
    let record = world.run(world.spec("echo no >&2; exit 3")).await;
    assert_eq!(
        (record.state, record.failure, record.exit_code),
        (RunState::Failed, Some(RunFailure::Other), Some(3))
    );
    assert!(record.message.contains("exit code 3: no"), "{}", record.message);
    let record = world.run(RunSpec { timeout_ms: Some(300), ..world.spec("sleep 60") }).await;
    assert_eq!(record.failure, Some(RunFailure::Timeout));
    world.ground.settings.lock().unwrap().adapters.get_mut("shell").unwrap().run =
        vec!["no-such-cli".to_owned()];
    let record = world.run(world.spec("x")).await;
    assert_eq!(record.failure, Some(RunFailure::NotStarted), "{}", record.message);
    assert!(record.message.contains("no-such-cli"), "{}", record.message);
    assert_eq!(world.store.runs(Some(&world.agent), 10).unwrap().len(), 3);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::new().await;
    let runs = world.runs();
    let start = |spec| runs.start(spec, Credentials::default());
    for spec in [
        world.spec(" \n"),
        RunSpec { repeat: true, ..world.spec("x") },
        RunSpec { max_iterations: Some(0), ..world.spec("x") },
        RunSpec { deny: vec!["Bash".to_owned()], ..world.spec("x") },
    ] {
        assert!(matches!(start(spec.clone()), Err(Rejected::Invalid { .. })), "{spec:?}");
    }
    let unknown = RunSpec { agent: "nobody".to_owned(), ..world.spec("x") };
    assert!(matches!(start(unknown), Err(Rejected::UnknownAgent { .. })));
    world.ground.stopped.store(true, Ordering::Relaxed);
    assert!(matches!(start(world.spec("true")), Err(Rejected::NotPossible { .. })));
    assert_eq!(world.store.runs(None, 10).unwrap(), []);
    world.ground.stopped.store(false, Ordering::Relaxed);
    start(world.spec("sleep 60")).unwrap();
    assert!(matches!(start(world.spec("x")), Err(Rejected::NotPossible { .. })));
    runs.stop(&world.agent).await.unwrap();
    assert!(matches!(runs.stop(&world.agent).await, Err(Rejected::NotPossible { .. })));
}

#[tokio::test]
async fn a_loop_goes_on_until_its_criteria_hold() {
    let world = World::new().await;
    let spec = RunSpec {
        repeat: true,
        verify: Some("[ $(wc -l <f) -ge 3 ]".to_owned()),
        signal: Some("DONE".to_owned()),
        max_iterations: Some(5),
        ..world.spec("echo $TANUKI_ITERATION >>f; [ $TANUKI_ITERATION != 2 ] || exit 4; echo DONE")
    };
    let record = world.run(spec.clone()).await;
    assert_eq!((record.state, record.iteration, record.verified), (RunState::Succeeded, 3, Some(true)));
    assert_eq!(world.ground.commits.lock().unwrap().len(), 3);
    let spec = RunSpec { signal: Some("NEVER".to_owned()), max_iterations: Some(2), ..spec };
    let record = world.run(RunSpec { prompt: "echo NEVER EVER".to_owned(), ..spec }).await;
    assert_eq!((record.failure, record.iteration), (Some(RunFailure::IterationLimit), 2));
    assert_eq!(record.message, "the signal did not come after 2 iterations");
}

#[tokio::test]
async fn a_stopped_run_leaves_nothing_behind() {
    let world = World::new().await;
    let runs = world.runs();
    runs.start(
        world.spec("trap '' TERM; setsid sleep 61.5 & touch begun; sleep 61.5"),
        Credentials::default(),
    )
    .unwrap();
    appears(&world.ground.workspace().join("begun")).await;
    let record = runs.stop(&world.agent).await.unwrap();
    assert_eq!(record.state, RunState::Stopped);
    let left = Command::new("sh").args(["-c", &script::alive(), "tanuki", &record.id]).status().unwrap();
    assert!(!left.success(), "processes are left");
}

#[tokio::test]
async fn runs_wait_for_a_place_and_for_memory() {
    let world = World::new().await;
    world.ground.settings.lock().unwrap().limits.working = 1;
    let runs = world.runs();
    let other = format!("{}b", world.agent);
    std::fs::create_dir_all(world.ground.dir.path().join("agents").join(&other)).unwrap();
    runs.start(world.spec("while [ ! -e go ]; do sleep 0.1; done"), Credentials::default()).unwrap();
    let queued =
        runs.start(RunSpec { agent: other.clone(), ..world.spec("true") }, Credentials::default()).unwrap();
    assert_eq!(queued.state, RunState::Queued);
    assert!(queued.message.contains("limits.working"), "{}", queued.message);
    std::fs::write(world.ground.workspace().join("go"), "").unwrap();
    assert_eq!(over(&runs, &other).await.state, RunState::Succeeded);
    assert_eq!(over(&runs, &world.agent).await.state, RunState::Succeeded);

    world.ground.settings.lock().unwrap().limits.free_memory = 2 << 20;
    let poor = world.runs_with(|| Some(1 << 20));
    let queued = poor.start(world.spec("true"), Credentials::default()).unwrap();
    assert_eq!(queued.message, "waits for memory: 1 MiB are free, limits.free_memory wants 2");
    assert_eq!(poor.stop(&world.agent).await.unwrap().state, RunState::Stopped);
}

#[tokio::test]
async fn the_next_controller_goes_on_where_the_last_one_was_killed() {
    let world = World::new().await;
    let first = world.runs();
    let prompt = "echo one; touch begun; while [ ! -e go ]; do sleep 0.1; done; echo two $KEY; [ -e again ] || { touch again; exit 1; }";
    let spec = RunSpec { repeat: true, verify: Some("[ -e again ]".to_owned()), ..world.spec(prompt) };
    let secret = Credentials([("KEY".to_owned(), "k-1".to_owned())].into());
    first.start(spec, secret).unwrap();
    appears(&world.ground.workspace().join("begun")).await;
    while world.texts(&first, world.query()).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    first.detach().await;
    std::fs::write(world.ground.workspace().join("go"), "").unwrap();
    // The program ends while nobody looks.
    let runs_dir = world.ground.runs_dir(&world.agent);
    appears(&runs_dir.join(format!("{}-1/1/exit", world.agent))).await;

    let second = world.runs();
    second.recover().unwrap();
    let record = over(&second, &world.agent).await;
    assert_eq!((record.state, record.iteration), (RunState::Succeeded, 2), "{}", record.message);
    let texts = world.texts(&second, world.query()).await;
    let said: Vec<&str> = texts.iter().map(String::as_str).filter(|text| text.len() < 8).collect();
    assert_eq!(said, ["one", "two k-1", "one", "two k-1"], "{texts:?}");
    world.runs().recover().unwrap();
    assert_eq!(world.store.runs(None, 10).unwrap(), [record]);
}

#[tokio::test]
async fn a_run_ends_with_its_container() {
    let world = World::new().await;
    let first = world.runs();
    first.start(world.spec("touch begun; sleep 62.5"), Credentials::default()).unwrap();
    appears(&world.ground.workspace().join("begun")).await;
    first.detach().await;
    world.runtime.stop(&world.ground.container, Duration::ZERO).await.unwrap();
    let second = world.runs();
    second.recover().unwrap();
    let record = over(&second, &world.agent).await;
    assert_eq!((record.state, record.failure), (RunState::Failed, Some(RunFailure::ContainerEnded)));
    let id = [record.id.as_str(), "/nowhere", "1"];
    drop(Command::new("sh").args(["-c", &script::end(), "tanuki"]).args(id).status());
}

#[tokio::test]
async fn output_is_followed_from_run_to_run() {
    let world = World::new().await;
    let runs = world.runs();
    let (sender, mut lines) = mpsc::channel(4);
    let query = LogQuery { follow: true, ..world.query() };
    let streaming = tokio::spawn({
        let runs = Arc::clone(&runs);
        async move { runs.logs(query, sender).await }
    });
    for n in ["one", "two"] {
        runs.start(world.spec(&format!("echo {n}; sleep 0.3; echo {n} more")), Credentials::default())
            .unwrap();
        let mut said = Vec::new();
        while said.len() < 2 {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.recv()).await.unwrap().unwrap();
            if line.kind == OutputKind::Text {
                said.push(line.text);
            }
        }
        assert_eq!(said, [n.to_owned(), format!("{n} more")]);
        over(&runs, &world.agent).await;
    }
    drop(lines);
    streaming.await.unwrap().unwrap();
}

#[tokio::test]
async fn output_of_old_runs_is_removed_and_nothing_else() {
    let world = World::new().await;
    world.ground.enter(&world.agent).await.unwrap();
    let runs = world.ground.runs_dir(&world.agent);
    let outside = world.ground.dir.path().join("outside");
    std::fs::create_dir_all(outside.join("precious")).unwrap();
    for number in 0..60 {
        std::fs::create_dir(runs.join(format!("{}-{number}", world.agent))).unwrap();
    }
    std::os::unix::fs::symlink(&outside, runs.join(format!("{}-0/link", world.agent))).unwrap();
    std::fs::create_dir(runs.join("mine")).unwrap();
    let record = world.run(world.spec("true")).await;
    assert_eq!(record.state, RunState::Succeeded, "{}", record.message);
    let left = std::fs::read_dir(&runs).unwrap().count();
    assert_eq!(left, 51, "the last fifty, and what is no run's");
    assert!(outside.join("precious").exists());
}
