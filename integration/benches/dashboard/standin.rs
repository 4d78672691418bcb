//! A controller that only seems to be one: the real server of the socket, with a made-up project and made-up output.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tanuki::api::{Clients, Server, socket};
use tanuki::config::project_id;
use tanuki::controller::{Envelope, Handle};
use tanuki::model::{
    Accepted, AgentState, AgentStatus, Completion, ControllerInfo, Desired, EngineSummary, HealthWord,
    LogQuery, OutputKind, OutputLine, Priority, ProjectStatus, RunRecord, RunState, ServiceState,
    ServiceStatus, ServiceType, Snapshot, TaskState, TaskStatus, Time, Usage,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::Result;

/// How often output at a rate goes on.
const PACE: Duration = Duration::from_millis(5);

/// What the first agent prints.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// Nothing.
    Quiet,
    /// So many lines, as fast as they are taken.
    Burst(u64),
    /// So many lines a second.
    Rate(f64),
}

/// The controller. It ends when this is dropped.
pub(crate) struct StandIn {
    directory: TempDir,
    plan: watch::Sender<Plan>,
    sent: Arc<AtomicU64>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    _runtime: Runtime,
}

impl StandIn {
    /// A project with so many agents and tasks.
    pub(crate) fn new(agents: u32, tasks: u32) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("shop");
        std::fs::create_dir(&root)?;
        let root = root.canonicalize()?;
        std::fs::write(root.join("tanuki.yaml"), "version: \"1\"\n")?;
        let made = Command::new("git").args(["init", "--quiet"]).current_dir(&root).status()?;
        if !made.success() {
            return Err("git init failed".into());
        }
        let path = socket::path(&project_id(&root), Some(&directory.path().join("run")));
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot(agents, tasks)));
        let (handle, inbox) = Handle::new(receiver);
        let (plan, plans) = watch::channel(Plan::Quiet);
        let sent = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        std::fs::create_dir(directory.path().join("run"))?;
        let server = {
            let _inside = runtime.enter();
            Server::bind(&path)?
        };
        drop(runtime.spawn(server.serve(handle, Clients::default(), CancellationToken::new())));
        drop(runtime.spawn(answer(inbox, plans, Arc::clone(&sent))));
        Ok(Self { directory, plan, sent, snapshots, _runtime: runtime })
    }

    /// A dashboard of this project.
    pub(crate) fn dashboard(&self, tanuki: &Path) -> Command {
        let mut command = Command::new(tanuki);
        command.arg("dashboard").current_dir(self.directory.path().join("shop"));
        command.env("XDG_RUNTIME_DIR", self.directory.path().join("run")).env("HOME", self.directory.path());
        command
    }

    /// What is printed from now on.
    pub(crate) fn print(&self, plan: Plan) {
        self.plan.send_replace(plan);
    }

    /// How many lines were taken so far. The next one has this number.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Publishes another snapshot, in which a task went on.
    pub(crate) fn publish(&self) {
        self.snapshots.send_modify(|snapshot| {
            let mut next = Snapshot::clone(snapshot);
            if let Some(task) = next.tasks.values_mut().next() {
                let task = Arc::make_mut(task);
                task.attempts += 1;
                task.state =
                    if task.attempts.is_multiple_of(2) { TaskState::InProgress } else { TaskState::Pending };
            }
            *snapshot = Arc::new(next);
        });
    }
}

async fn answer(mut inbox: mpsc::Receiver<Envelope>, plans: watch::Receiver<Plan>, sent: Arc<AtomicU64>) {
    while let Some(envelope) = inbox.recv().await {
        match envelope {
            Envelope::Request { reply, .. } => drop(reply.send(Ok(Accepted::default()))),
            Envelope::Logs { query, lines } => {
                drop(tokio::spawn(print(query, lines, plans.clone(), Arc::clone(&sent))));
            }
        }
    }
}

async fn print(
    query: LogQuery,
    lines: mpsc::Sender<OutputLine>,
    mut plans: watch::Receiver<Plan>,
    sent: Arc<AtomicU64>,
) {
    let source = query.agents.first().or(query.service.as_ref()).cloned().unwrap_or_default();
    if source != agent_name(0) {
        for number in 0..200 {
            drop(lines.send(line(&source, number)).await);
        }
        lines.closed().await;
        return;
    }
    while !lines.is_closed() {
        let plan = *plans.borrow_and_update();
        match plan {
            Plan::Quiet => {}
            Plan::Burst(count) => send(&source, &lines, &sent, count).await,
            Plan::Rate(rate) => {
                let (began, mut printed) = (Instant::now(), 0);
                while plans.has_changed().is_ok_and(|changed| !changed) && !lines.is_closed() {
                    let due = (began.elapsed().as_secs_f64() * rate) as u64;
                    send(&source, &lines, &sent, due.saturating_sub(printed)).await;
                    printed = due.max(printed);
                    tokio::time::sleep(PACE).await;
                }
                continue;
            }
        }
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            () = lines.closed() => return,
        }
    }
}

async fn send(source: &str, lines: &mpsc::Sender<OutputLine>, sent: &AtomicU64, count: u64) {
    for _ in 0..count {
        let number = sent.load(Ordering::SeqCst);
        if lines.send(line(source, number)).await.is_err() {
            return;
        }
        sent.store(number + 1, Ordering::SeqCst);
    }
}

/// The name of an agent.
pub(crate) fn agent_name(number: u32) -> String {
    format!("agent-{number:02}")
}

/// What a line of output has in it that tells it from the others.
pub(crate) fn mark(number: u64) -> String {
    format!("request {number} ")
}

fn now() -> Time {
    SystemTime::now().into()
}

fn line(source: &str, number: u64) -> OutputLine {
    let text = format!(
        "{}get /api/v1/orders/{} answered 200 after {} ms with {} bytes, as it should",
        mark(number),
        number * 7919 % 100_000,
        number % 97,
        number % 8191
    );
    OutputLine { source: source.to_owned(), run: None, time: Some(now()), kind: OutputKind::Text, text }
}

/// Long enough ago that no time on the screen changes while it is watched.
fn long_ago() -> Time {
    Time(now().0 - 30 * 3_600_000)
}

fn snapshot(agents: u32, tasks: u32) -> Snapshot {
    let services = ["postgres", "redis", "search", "mail"];
    Snapshot {
        project: tanuki::model::ProjectId("0123456789ab".into()),
        path: "/home/me/shop".into(),
        controller: ControllerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_at: long_ago(),
        },
        engine: EngineSummary {
            kind: "docker".into(),
            version: "27.1.1".into(),
            endpoint: "unix:///var/run/docker.sock".into(),
            rootless: false,
        },
        services: services.into_iter().map(|name| (name.to_owned(), service(name))).collect(),
        agents: (0..agents).map(|number| (agent_name(number), agent(number))).collect(),
        tasks: (0..tasks).map(|number| (format!("TASK-{number:04}"), Arc::new(task(number)))).collect(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: Some(now()),
    }
}

fn agent(number: u32) -> AgentStatus {
    let name = agent_name(number);
    let works = number.is_multiple_of(5);
    let run = RunRecord {
        id: format!("{name}-3"),
        agent: name.clone(),
        task: None,
        adapter: "claude".into(),
        title: "Refactor the API".into(),
        state: RunState::Running,
        failure: None,
        message: String::new(),
        created_at: long_ago(),
        started_at: Some(long_ago()),
        ended_at: None,
        iteration: 2,
        max_iterations: 10,
        exit_code: None,
        usage: Usage::default(),
        session: None,
        verified: None,
    };
    AgentStatus {
        state: if works { AgentState::Working } else { AgentState::Idle },
        desired: Desired::Running,
        role: Some("backend".into()),
        workstream: None,
        adapter: "claude".into(),
        model: None,
        image: "tanuki/agent:latest".into(),
        branch: format!("tanuki/{name}"),
        base: "refs/heads/main".into(),
        base_commit: "0123456789abcdef0123456789abcdef01234567".into(),
        head: None,
        ahead: Some(number % 4),
        behind: Some(number % 3),
        dirty: Some(number.is_multiple_of(2)),
        container: format!("tanuki-agent-{name}"),
        container_id: Some(format!("{number:064x}")),
        workspace: format!("/home/me/shop/.tanuki/workspaces/{name}"),
        started_at: Some(long_ago()),
        run: works.then_some(run),
        last_run: None,
        task: works.then(|| format!("TASK-{number:04}")),
        stale_environment: false,
        out_of_date: Vec::new(),
        missing_services: Vec::new(),
        waiting: None,
        reason: String::new(),
        message: String::new(),
        generation: 1,
        conditions: Vec::new(),
        name,
    }
}

fn task(number: u32) -> TaskStatus {
    let id = format!("TASK-{number:04}");
    let states = TaskState::ALL;
    TaskStatus {
        title: format!("Make part {number} of the shop faster and say how much"),
        state: states.get(number as usize % states.len()).copied().unwrap_or_default(),
        priority: Priority::Medium,
        role: Some(["backend", "frontend", "qa"][number as usize % 3].into()),
        workstream: None,
        depends_on: vec![format!("TASK-{:04}", number.saturating_sub(1))],
        waits_for: Vec::new(),
        assigned_to: number.is_multiple_of(3).then(|| agent_name(number % 50)),
        completion: Completion { verify: Some("make test".into()), signal: None, max_iterations: Some(10) },
        tags: vec!["api".into()],
        file: format!(".tanuki/tasks/{id}.md"),
        project: String::new(),
        body: "Split the routes by resource. Keep the tests green, and add one for what had none.\n"
            .repeat(5),
        attempts: 1,
        next_try: None,
        run: None,
        started_at: None,
        ended_at: None,
        usage: Usage::default(),
        merged: false,
        reason: String::new(),
        message: String::new(),
        id,
    }
}

fn service(name: &str) -> ServiceStatus {
    ServiceStatus {
        name: name.into(),
        service_type: ServiceType::Custom,
        enabled: true,
        desired: Desired::Running,
        state: ServiceState::Running,
        health: HealthWord::Healthy,
        image: format!("{name}:16"),
        container: format!("tanuki-svc-{name}"),
        container_id: Some("beef".into()),
        host: format!("tanuki-svc-{name}"),
        port: Some(5432),
        host_port: Some(5432),
        started_at: Some(long_ago()),
        restarts: 0,
        last_exit_code: None,
        last_probe: None,
        next_try: None,
        reason: "Ready".into(),
        message: String::new(),
        generation: 1,
        observed_generation: 1,
        conditions: Vec::new(),
    }
}
