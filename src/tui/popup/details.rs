//! Everything known of one agent, task or service, as it is now.

use ratatui::text::{Line, Span};

use super::Scroll;
use crate::model::{AgentStatus, RunRecord, ServiceStatus, Snapshot, TaskStatus, Time, Usage};
use crate::tui::pane::clock;
use crate::tui::state::State;
use crate::tui::text;
use crate::tui::theme::Tone;

/// Columns of what a line is about.
const LABEL: usize = 14;

/// What it is about, and where its reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Details {
    subject: Subject,
    pub(super) scroll: Scroll,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Agent(String),
    Task(String),
    Service(String),
}

impl Details {
    /// Of an agent.
    pub(in crate::tui) fn agent(name: String) -> Self {
        Self { subject: Subject::Agent(name), scroll: Scroll::default() }
    }

    /// Of a task.
    pub(in crate::tui) fn task(id: String) -> Self {
        Self { subject: Subject::Task(id), scroll: Scroll::default() }
    }

    /// Of a service.
    pub(in crate::tui) fn service(name: String) -> Self {
        Self { subject: Subject::Service(name), scroll: Scroll::default() }
    }

    pub(super) fn title(&self) -> String {
        let (kind, name) = match &self.subject {
            Subject::Agent(name) => ("Agent", name),
            Subject::Task(id) => ("Task", id),
            Subject::Service(name) => ("Service", name),
        };
        format!("{kind} {}", text::clean(name))
    }

    pub(super) fn lines(&self, state: &State, snapshot: &Snapshot, columns: usize) -> Vec<Line<'static>> {
        let mut page = Page { state, columns, lines: Vec::new() };
        match &self.subject {
            Subject::Agent(name) => match snapshot.agents.get(name) {
                Some(agent) => page.agent(agent),
                None => page.row("", "it is gone", Tone::Warning),
            },
            Subject::Task(id) => match snapshot.tasks.get(id) {
                Some(task) => page.task(task),
                None => page.row("", "it is gone", Tone::Warning),
            },
            Subject::Service(name) => match snapshot.services.get(name) {
                Some(service) => page.service(service),
                None => page.row("", "it is gone", Tone::Warning),
            },
        }
        page.lines
    }
}

struct Page<'a> {
    state: &'a State,
    columns: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    /// A label with its value, which takes as many rows as it needs; nothing where there is no value.
    fn row(&mut self, label: &str, value: &str, tone: Tone) {
        let mut label = label;
        for line in text::block(value) {
            for row in text::wrap(&line, self.columns.saturating_sub(LABEL)) {
                self.lines.push(Line::from(vec![
                    Span::styled(text::column(label, LABEL), self.state.theme.style(Tone::Faint)),
                    Span::styled(line.get(row).unwrap_or_default().to_owned(), self.state.theme.style(tone)),
                ]));
                label = "";
            }
        }
    }

    fn plain(&mut self, label: &str, value: &str) {
        self.row(label, value, Tone::Plain);
    }

    fn maybe(&mut self, label: &str, value: Option<&str>) {
        self.plain(label, value.unwrap_or_default());
    }

    fn time(&mut self, label: &str, time: Option<Time>) {
        if let Some(time) = time {
            let ago = text::age(self.state.now.since(time));
            self.plain(label, &format!("{} ({ago} ago)", clock(self.state, time)));
        }
    }

    fn reason(&mut self, reason: &str, message: &str, tone: Tone) {
        match (reason, message) {
            ("", message) => self.row("why", message, tone),
            (reason, "") => self.row("why", reason, tone),
            (reason, message) => self.row("why", &format!("{reason}: {message}"), tone),
        }
    }

    fn agent(&mut self, agent: &AgentStatus) {
        self.row("status", &agent.state.to_string(), Tone::Strong);
        self.reason(&agent.reason, &agent.message, Tone::Plain);
        self.row("waits for", agent.waiting.as_deref().unwrap_or_default(), Tone::Warning);
        self.maybe("task", agent.task.as_deref());
        self.maybe("role", agent.role.as_deref());
        self.maybe("workstream", agent.workstream.as_deref());
        self.plain("agent CLI", &agent.adapter);
        self.maybe("model", agent.model.as_deref());
        self.plain("image", &agent.image);
        self.plain("branch", &agent.branch);
        self.plain("base", agent.base.trim_start_matches("refs/heads/"));
        if let (Some(ahead), Some(behind)) = (agent.ahead, agent.behind) {
            let dirty = if agent.dirty == Some(true) { ", work not committed" } else { "" };
            self.plain("work", &format!("{ahead} ahead, {behind} behind{dirty}"));
        }
        self.plain("container", &agent.container);
        self.plain("workspace", &agent.workspace);
        self.time("started", agent.started_at);
        if agent.stale_environment {
            self.row(
                "environment",
                "its processes hold older values of the services' variables",
                Tone::Warning,
            );
        }
        if !agent.missing_services.is_empty() {
            self.row(
                "services",
                &format!("not healthy: {}", agent.missing_services.join(", ")),
                Tone::Warning,
            );
        }
        if !agent.out_of_date.is_empty() {
            self.row("out of date", &agent.out_of_date.join(", "), Tone::Warning);
        }
        self.run("run", agent.run.as_ref());
        self.run("last run", agent.last_run.as_ref());
    }

    fn run(&mut self, label: &str, run: Option<&RunRecord>) {
        let Some(run) = run else { return };
        let failure = run.failure.map_or(String::new(), |failure| format!(" ({failure})"));
        let tone = if run.failure.is_some() { Tone::Bad } else { Tone::Plain };
        self.lines.push(Line::default());
        self.row(label, &format!("{} {}{failure}", run.id, run.state), tone);
        self.plain("", &run.title);
        self.row("", &run.message, tone);
        if run.max_iterations > 1 {
            self.plain("", &format!("iteration {} of {}", run.iteration, run.max_iterations));
        }
        self.time("", run.started_at);
        self.plain("", &usage(&run.usage));
    }

    fn task(&mut self, task: &TaskStatus) {
        self.row("title", &task.title, Tone::Strong);
        self.plain("status", &task.state.to_string());
        self.reason(&task.reason, &task.message, Tone::Plain);
        self.plain("priority", &task.priority.to_string());
        self.maybe("agent", task.assigned_to.as_deref());
        self.maybe("role", task.role.as_deref());
        self.maybe("workstream", task.workstream.as_deref());
        self.plain("depends on", &task.depends_on.join(", "));
        self.row("waits for", &task.waits_for.join(", "), Tone::Warning);
        self.plain("verify", task.completion.verify.as_deref().unwrap_or_default());
        self.plain("signal", task.completion.signal.as_deref().unwrap_or_default());
        if task.attempts > 0 {
            self.plain("attempts", &task.attempts.to_string());
        }
        self.maybe("run", task.run.as_deref());
        self.time("started", task.started_at);
        self.time("ended", task.ended_at);
        self.plain("used", &usage(&task.usage));
        self.plain("tags", &task.tags.join(", "));
        self.plain("file", &task.file);
        self.lines.push(Line::default());
        for line in text::block(&task.body) {
            for row in text::wrap(&line, self.columns) {
                self.lines.push(Line::raw(line.get(row).unwrap_or_default().to_owned()));
            }
        }
    }

    fn service(&mut self, service: &ServiceStatus) {
        self.row("status", &service.state.to_string(), Tone::Strong);
        self.plain("health", &service.health.to_string());
        self.reason(
            &service.reason,
            &service.message,
            if service.is_ready() { Tone::Plain } else { Tone::Warning },
        );
        if let Some(next) = service.next_try {
            self.plain("next try", &format!("in {}", text::age(next.since(self.state.now))));
        }
        self.plain("image", &service.image);
        self.plain("container", &service.container);
        if let Some(port) = service.port {
            self.plain("agents reach", &format!("{}:{port}", service.host));
        }
        if let Some(port) = service.host_port {
            self.plain("host reaches", &format!("127.0.0.1:{port}"));
        }
        self.time("started", service.started_at);
        self.plain("restarts", &service.restarts.to_string());
        if let Some(code) = service.last_exit_code {
            self.plain("last exit", &code.to_string());
        }
        if let Some(probe) = &service.last_probe {
            let verdict = format!("{:?}", probe.verdict).to_lowercase();
            self.plain("last probe", &format!("{verdict} at {}", clock(self.state, probe.time)));
            self.plain("", &probe.output);
        }
    }
}

fn usage(usage: &Usage) -> String {
    let mut parts = Vec::new();
    parts.extend(usage.turns.map(|turns| format!("{turns} turns")));
    parts.extend(usage.input_tokens.map(|tokens| format!("{tokens} tokens in")));
    parts.extend(usage.output_tokens.map(|tokens| format!("{tokens} tokens out")));
    parts.extend(
        usage.cost_microdollars.map(|cost| format!("${}.{:02}", cost / 1_000_000, cost % 1_000_000 / 10_000)),
    );
    parts.join(", ")
}
