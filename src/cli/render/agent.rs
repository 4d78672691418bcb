//! `status <agent>`: one agent in depth.

use std::fmt::Write as _;

use super::agents::{ANSWER, missing_services, out_of_date, result, uptime, why};
use crate::cli::text;
use crate::model::{AgentState, AgentStatus, ConditionStatus, RunRecord, RunState, Time};

/// Hex digits of a commit that are shown.
const COMMIT: usize = 10;

/// Everything known of an agent, a line for each thing, and its conditions.
pub fn render_agent(agent: &AgentStatus, now: Time) -> String {
    let mut lines = Lines::default();
    lines.add("Agent", &agent.name);
    lines.add("Status", &state(agent));
    if let Some(what) = &agent.waiting {
        lines.add("Waits for", &format!("a person: {what} ({ANSWER})"));
    }
    lines.add("Agent CLI", &with(&agent.adapter, "model", agent.model.as_deref()));
    lines.maybe("Role", agent.role.as_deref());
    lines.maybe("Workstream", agent.workstream.as_deref());
    lines.add("Branch", &branch(agent));
    lines.add("Base", &format!("{} at {}", base(agent), commit(&agent.base_commit)));
    if let Some(dirty) = agent.dirty {
        let what = if dirty { "there is work that is not committed" } else { "everything is committed" };
        lines.add("Workspace", &format!("{}; {what}", agent.workspace));
    } else {
        lines.add("Workspace", &agent.workspace);
    }
    lines.add("Container", &container(agent, now));
    lines.add("Image", &agent.image);
    lines.maybe("Task", agent.task.as_deref());
    if let Some(run) = &agent.run {
        lines.add("Run", &render_run(run, now));
    }
    if let Some(run) = &agent.last_run {
        lines.add("Last run", &render_run(run, now));
    }
    if !agent.missing_services.is_empty() {
        lines.add("Services", &missing_services(agent));
    }
    if agent.stale_environment {
        let what = "stale: its processes hold older values of the services' variables; the next run has the new ones";
        lines.add("Environment", what);
    }
    if !agent.out_of_date.is_empty() {
        lines.add("Out of date", &out_of_date(agent));
    }
    let mut text = lines.finish();
    if !agent.conditions.is_empty() {
        text.push('\n');
        text.push_str(&conditions(agent, now));
    }
    text
}

#[derive(Debug, Default)]
struct Lines(Vec<(&'static str, String)>);

impl Lines {
    fn add(&mut self, name: &'static str, value: &str) {
        self.0.push((name, text::one_line(value)));
    }

    fn maybe(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn finish(self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
        let mut text = String::new();
        for (name, value) in self.0 {
            // Writing to a string cannot fail.
            _ = writeln!(text, "{:<width$}  {value}", format!("{name}:"));
        }
        text
    }
}

fn state(agent: &AgentStatus) -> String {
    let trouble = matches!(agent.state, AgentState::Error | AgentState::Lost | AgentState::Unknown);
    let why = if trouble { why(agent) } else { agent.message.clone() };
    if why.is_empty() { agent.state.to_string() } else { format!("{} ({why})", agent.state) }
}

fn with(what: &str, name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{what}, {name} {value}"),
        None => what.to_owned(),
    }
}

/// The branch's name without what git puts before it.
fn base(agent: &AgentStatus) -> &str {
    agent.base.strip_prefix("refs/heads/").unwrap_or(&agent.base)
}

fn commit(id: &str) -> &str {
    id.get(..COMMIT).unwrap_or(id)
}

fn branch(agent: &AgentStatus) -> String {
    let mut text = agent.branch.clone();
    if let Some(head) = &agent.head {
        // Writing to a string cannot fail.
        _ = write!(text, " at {}", commit(head));
    }
    let part = |count: Option<u32>, word: &str| count.map(|count| format!("{count} {word}"));
    let parts: Vec<String> =
        [part(agent.ahead, "ahead of"), part(agent.behind, "behind")].into_iter().flatten().collect();
    if !parts.is_empty() {
        _ = write!(text, ", {} {}", parts.join(" and "), base(agent));
    }
    text
}

fn container(agent: &AgentStatus, now: Time) -> String {
    match (&agent.container_id, uptime(agent, now)) {
        (None, _) => format!("{} (not there)", agent.container),
        (Some(_), Some(up)) => format!("{}, up {up}", agent.container),
        (Some(_), None) => format!("{}, not running", agent.container),
    }
}

/// A run in a line.
pub fn render_run(run: &RunRecord, now: Time) -> String {
    let mut text = format!("{} {}", run.id, result(run));
    let iteration = || format!(", iteration {} of {}", run.iteration.max(1), run.max_iterations);
    match (run.state, run.started_at, run.ended_at) {
        (RunState::Queued, ..) => _ = write!(text, " for {}", text::duration(now.since(run.created_at))),
        (RunState::Running, Some(started), _) => {
            _ = write!(text, " for {}", text::duration(now.since(started)));
        }
        (_, _, Some(ended)) => _ = write!(text, " {} ago", text::duration(now.since(ended))),
        _ => {}
    }
    if run.max_iterations > 1 {
        text.push_str(&iteration());
    }
    if !run.title.is_empty() {
        _ = write!(text, ": {}", run.title);
    }
    if !run.message.is_empty() {
        _ = write!(text, " ({})", run.message);
    }
    text::one_line(&text)
}

fn conditions(agent: &AgentStatus, now: Time) -> String {
    let header = ["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"];
    let rows = agent.conditions.iter().map(|condition| {
        let status = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        [
            condition.kind.clone(),
            status.to_owned(),
            condition.reason.clone(),
            text::duration(now.since(condition.last_transition)),
            condition.message.clone(),
        ]
    });
    text::table(std::iter::once(header.map(ToOwned::to_owned)).chain(rows))
}
