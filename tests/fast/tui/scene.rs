//! A dashboard without a terminal: keys in, screen out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tanuki::model::{
    AgentState, AgentStatus, Completion, Condition, ConditionStatus, ControllerInfo, Desired, EngineSummary,
    EventRecord, EventType, HealthWord, OutputKind, OutputLine, Priority, ProbeRecord, ProbeVerdict,
    ProjectId, ProjectPhase, ProjectStatus, RunFailure, RunRecord, RunState, ServiceState, ServiceStatus,
    ServiceType, Snapshot, TaskState, TaskStatus, Time, Usage,
};
use tanuki::tui::{Change, Effect, Event, State, Theme, draw, update};
use unicode_width::UnicodeWidthStr as _;

/// Ten past ten, on a day in 2026.
pub(super) const NOW: Time = Time(1_780_049_400_000);

/// A time before [`NOW`].
pub(super) fn ago(seconds: u64) -> Time {
    Time(NOW.0 - seconds * 1000)
}

/// A dashboard and what it wanted done.
pub(super) struct Scene {
    pub(super) state: State,
    pub(super) snapshot: Snapshot,
    pub(super) size: (u16, u16),
    pub(super) effects: Vec<Effect>,
}

impl Scene {
    pub(super) fn new(snapshot: Snapshot, size: (u16, u16)) -> Self {
        Self::themed(snapshot, size, true)
    }

    pub(super) fn themed(snapshot: Snapshot, size: (u16, u16), colour: bool) -> Self {
        let state = State::new(NOW, TimeZone::UTC, Theme { colour, light: false });
        let mut scene = Self { state, snapshot, size, effects: Vec::new() };
        scene.feed(Event::Resized(size.0, size.1));
        scene.feed(Event::Up);
        scene
    }

    pub(super) fn feed(&mut self, event: Event) {
        let effects = update(&mut self.state, &self.snapshot, event, NOW);
        self.effects.extend(effects);
    }

    /// Presses keys: letters as they are, others by name in angle brackets.
    pub(super) fn press(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(character) = rest.chars().next() {
            let (code, modifiers, length) = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
            {
                Some((name, _)) => {
                    let (code, modifiers) = match name {
                        "enter" => (KeyCode::Enter, KeyModifiers::NONE),
                        "esc" => (KeyCode::Esc, KeyModifiers::NONE),
                        "tab" => (KeyCode::Tab, KeyModifiers::NONE),
                        name => {
                            let control = name.strip_prefix("ctrl-").unwrap().chars().next().unwrap();
                            (KeyCode::Char(control), KeyModifiers::CONTROL)
                        }
                    };
                    (code, modifiers, name.len() + 2)
                }
                None => (KeyCode::Char(character), KeyModifiers::NONE, character.len_utf8()),
            };
            self.feed(Event::Key(KeyEvent::new(code, modifiers)));
            rest = &rest[length..];
        }
    }

    /// The newest stream of output.
    pub(super) fn stream(&self) -> u64 {
        let opened = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Stream(Change::Open { stream, .. }) => Some(*stream),
            _ => None,
        });
        opened.unwrap()
    }

    /// Output comes by the newest stream.
    pub(super) fn output(&mut self, lines: Vec<OutputLine>) {
        let stream = self.stream();
        self.feed(Event::Lines { stream, lines });
    }

    /// The number and the name of the newest request.
    pub(super) fn asked(&self) -> (u64, String) {
        let asked = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Ask { ticket, request } => Some((*ticket, format!("{request:?}"))),
            _ => None,
        });
        asked.unwrap()
    }

    pub(super) fn terminal(&self) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal.draw(|frame| draw(&self.state, &self.snapshot, frame)).unwrap();
        terminal
    }

    /// The screen as text, without blanks at the ends of lines.
    pub(super) fn screen(&self) -> String {
        let terminal = self.terminal();
        let buffer = terminal.backend().buffer();
        let line = |y| {
            let (mut line, mut x) = (String::new(), 0);
            while x < self.size.0 {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(symbol.width().max(1)).unwrap();
            }
            line.trim_end().to_owned() + "\n"
        };
        (0..self.size.1).map(line).collect()
    }
}

pub(super) fn line(seconds_ago: u64, kind: OutputKind, text: &str) -> OutputLine {
    OutputLine { source: String::new(), run: None, time: Some(ago(seconds_ago)), kind, text: text.to_owned() }
}

/// What an agent says while it works.
pub(super) fn work() -> Vec<OutputLine> {
    vec![
        line(128, OutputKind::Note, "run backend-agent-3 begins"),
        line(127, OutputKind::Text, "Reading file src/api/routes.ts"),
        line(
            126,
            OutputKind::Thinking,
            "The routes are spread over three files; the users' one is the longest.",
        ),
        line(
            125,
            OutputKind::Tool,
            "Bash: rg -n 'router\\.(get|post|put|delete)' src/api --glob '*.ts' | sort | head -n 50",
        ),
        line(124, OutputKind::ToolResult, "src/api/routes.ts:12:router.get('/api/users', list)"),
        line(120, OutputKind::Text, "Found 12 endpoints to refactor"),
        line(90, OutputKind::Error, "npm ERR! missing script: test"),
        line(60, OutputKind::Text, "Starting with the /api/users endpoint"),
    ]
}

/// A project in which nothing is configured and nothing has happened.
pub(super) fn empty() -> Snapshot {
    Snapshot {
        project: ProjectId("0123456789ab".into()),
        path: "/home/me/shop".into(),
        controller: ControllerInfo { version: "1.2.0".into(), pid: 4242, started_at: ago(7500) },
        engine: EngineSummary {
            kind: "docker".into(),
            version: "27.1.1".into(),
            endpoint: "unix:///var/run/docker.sock".into(),
            rootless: false,
        },
        services: BTreeMap::new(),
        agents: BTreeMap::new(),
        tasks: BTreeMap::new(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: Some(NOW),
    }
}

/// A project at work: the example of the seed, with services.
pub(super) fn busy() -> Snapshot {
    let mut snapshot = empty();
    let mut backend = agent("backend-agent", AgentState::Working, Some("TASK-002"));
    backend.run = Some(run("backend-agent-3", RunState::Running));
    backend.ahead = Some(3);
    backend.behind = Some(1);
    backend.dirty = Some(true);
    let mut qa = agent("qa-agent", AgentState::Stopped, None);
    qa.out_of_date = vec!["image".into()];
    for agent in [backend, agent("frontend-agent", AgentState::Idle, None), qa] {
        snapshot.agents.insert(agent.name.clone(), agent);
    }
    for task in [
        task("TASK-001", "User Auth", TaskState::Complete, "backend", Some("backend-agent")),
        task("TASK-002", "API Refactor", TaskState::InProgress, "backend", Some("backend-agent")),
        task("TASK-003", "Dashboard UI", TaskState::Pending, "frontend", None),
        TaskStatus {
            waits_for: vec!["TASK-002".into(), "TASK-003".into()],
            ..task("TASK-004", "Integration Tests", TaskState::Pending, "qa", None)
        },
    ] {
        snapshot.tasks.insert(task.id.clone(), Arc::new(task));
    }
    snapshot.work.phase = ProjectPhase::Running;
    for service in [service("postgres", 5432), service("redis", 6379)] {
        snapshot.services.insert(service.name.clone(), service);
    }
    snapshot.events = vec![
        event(1, 7400, EventType::Normal, "service/postgres", "Ready", "healthy"),
        event(2, 130, EventType::Warning, "agent/qa-agent", "OutOfDate", "its image is another one now"),
    ];
    snapshot
}

/// The same, with everything wrong that can be wrong at once.
pub(super) fn failing() -> Snapshot {
    let mut snapshot = busy();
    let postgres = snapshot.services.get_mut("postgres").unwrap();
    postgres.state = ServiceState::Backoff;
    postgres.health = HealthWord::None;
    postgres.host_port = None;
    postgres.restarts = 4;
    postgres.next_try = Some(Time(NOW.0 + 8000));
    postgres.last_exit_code = Some(1);
    postgres.reason = "CrashLoopBackOff".into();
    postgres.message = "ended with exit code 1 after 2s".into();
    let redis = snapshot.services.get_mut("redis").unwrap();
    redis.health = HealthWord::Unhealthy;
    redis.message = "the probe failed 3 times: NOAUTH Authentication required".into();
    let frontend = snapshot.agents.get_mut("frontend-agent").unwrap();
    frontend.last_run =
        Some(RunRecord { failure: Some(RunFailure::Auth), ..run("frontend-agent-1", RunState::Failed) });
    let qa = snapshot.agents.get_mut("qa-agent").unwrap();
    qa.state = AgentState::Lost;
    qa.message = "its container was removed by hand".into();
    let backend = snapshot.agents.get_mut("backend-agent").unwrap();
    backend.waiting = Some("a question".into());
    let failed = TaskStatus {
        message: "the verify command failed 3 times".into(),
        ..task("TASK-003", "Dashboard UI", TaskState::Failed, "frontend", Some("frontend-agent"))
    };
    snapshot.tasks.insert(failed.id.clone(), Arc::new(failed));
    let blocked = TaskStatus {
        message: "TASK-003 failed".into(),
        ..task("TASK-004", "Integration Tests", TaskState::Blocked, "qa", None)
    };
    snapshot.tasks.insert(blocked.id.clone(), Arc::new(blocked));
    snapshot.conditions = vec![condition("ConfigValid", "line 3: unknown key 'servics'")];
    snapshot
}

pub(super) fn condition(kind: &str, message: &str) -> Condition {
    Condition {
        kind: kind.into(),
        status: ConditionStatus::False,
        reason: "Invalid".into(),
        message: message.into(),
        last_transition: ago(10),
        observed_generation: 1,
    }
}

fn event(id: i64, seconds: u64, kind: EventType, object: &str, reason: &str, message: &str) -> EventRecord {
    EventRecord {
        id,
        time: ago(seconds),
        kind,
        object: object.into(),
        reason: reason.into(),
        message: message.into(),
        count: 1,
    }
}

pub(super) fn agent(name: &str, state: AgentState, task: Option<&str>) -> AgentStatus {
    AgentStatus {
        name: name.into(),
        state,
        desired: Desired::Running,
        role: Some(name.split('-').next().unwrap().to_owned()),
        workstream: None,
        adapter: "claude".into(),
        model: None,
        image: "tanuki/agent:latest".into(),
        branch: format!("tanuki/{name}"),
        base: "refs/heads/main".into(),
        base_commit: "0123456789abcdef0123456789abcdef01234567".into(),
        head: None,
        ahead: Some(0),
        behind: Some(0),
        dirty: Some(false),
        container: format!("tanuki-agent-{name}"),
        container_id: Some("c0ffee".into()),
        workspace: format!("/home/me/shop/.tanuki/workspaces/{name}"),
        started_at: Some(ago(3700)),
        run: None,
        last_run: None,
        task: task.map(str::to_owned),
        stale_environment: false,
        out_of_date: Vec::new(),
        missing_services: Vec::new(),
        waiting: None,
        reason: String::new(),
        message: String::new(),
        generation: 1,
        conditions: Vec::new(),
    }
}

pub(super) fn run(id: &str, state: RunState) -> RunRecord {
    RunRecord {
        id: id.into(),
        agent: id.rsplit_once('-').unwrap().0.into(),
        task: None,
        adapter: "claude".into(),
        title: "Refactor the API".into(),
        state,
        failure: None,
        message: String::new(),
        created_at: ago(130),
        started_at: Some(ago(128)),
        ended_at: None,
        iteration: 2,
        max_iterations: 10,
        exit_code: None,
        usage: Usage::default(),
        session: None,
        verified: None,
    }
}

pub(super) fn task(id: &str, title: &str, state: TaskState, role: &str, agent: Option<&str>) -> TaskStatus {
    TaskStatus {
        id: id.into(),
        title: title.into(),
        state,
        priority: Priority::Medium,
        role: Some(role.into()),
        workstream: None,
        depends_on: vec!["TASK-000".into()],
        waits_for: Vec::new(),
        assigned_to: agent.map(str::to_owned),
        completion: Completion { verify: Some("npm test".into()), signal: None, max_iterations: Some(10) },
        tags: vec!["api".into(), "urgent".into()],
        file: format!(".tanuki/tasks/{id}.md"),
        project: String::new(),
        body: "Split the routes by resource.\n\nKeep the tests green.".into(),
        attempts: 1,
        next_try: None,
        run: agent.map(|agent| format!("{agent}-3")),
        started_at: agent.map(|_| ago(300)),
        ended_at: None,
        usage: Usage {
            turns: Some(12),
            input_tokens: Some(34_567),
            output_tokens: Some(890),
            cost_microdollars: Some(1_230_000),
        },
        merged: false,
        reason: String::new(),
        message: String::new(),
    }
}

fn service(name: &str, port: u16) -> ServiceStatus {
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
        port: Some(port),
        host_port: Some(if name == "redis" { port + 1 } else { port }),
        started_at: Some(ago(7400)),
        restarts: 0,
        last_exit_code: None,
        last_probe: Some(ProbeRecord { time: ago(3), verdict: ProbeVerdict::Success, output: "1".into() }),
        next_try: None,
        reason: "Ready".into(),
        message: String::new(),
        generation: 1,
        observed_generation: 1,
        conditions: Vec::new(),
    }
}
