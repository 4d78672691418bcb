//! `list` and `status`.

use std::fmt::Write as _;

use super::status::StatusView;
use crate::cli::text;
use crate::model::{AgentState, AgentStatus, RunRecord, RunState, Snapshot, TaskState, Time};

/// What to do about an agent that waits.
pub(super) const ANSWER: &str = "answer it where the agent CLI is open";

/// Characters shown of a run's title where the agent has no task.
const TITLE: usize = 40;

/// The table of agents, and below it a line for each one that needs an explanation.
pub fn render_agents(snapshot: &Snapshot, now: Time, view: StatusView) -> String {
    if snapshot.agents.is_empty() {
        return "no agents; `tanuki spawn <name>` makes one\n".to_owned();
    }
    let mut header = vec!["NAME", "STATUS", "ROLE", "BRANCH", "AHEAD/BEHIND", "TASK", "UPTIME"];
    if view.wide {
        header.extend(["AGENT", "WORKSTREAM", "UNCOMMITTED", "RUN", "REASON", "CONTAINER"]);
    }
    let header = header.into_iter().map(ToOwned::to_owned).collect();
    let rows = snapshot.agents.values().map(|agent| row(agent, now, view));
    let mut text = text::table(std::iter::once(header).chain(rows));
    for agent in snapshot.agents.values() {
        for remark in remarks(agent) {
            let line = format!("{}: {}", agent.name, remark);
            // Writing to a string cannot fail.
            _ = writeln!(text, "{}", text::one_line(&line));
        }
    }
    text
}

fn row(agent: &AgentStatus, now: Time, view: StatusView) -> Vec<String> {
    let dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let mut row = vec![
        agent.name.clone(),
        agent.state.to_string(),
        dash(agent.role.clone()),
        agent.branch.clone(),
        ahead_behind(agent),
        dash(task(agent)),
        dash(uptime(agent, now)),
    ];
    if view.wide {
        let uncommitted = agent.dirty.map(|dirty| if dirty { "yes" } else { "no" }.to_owned());
        row.extend([
            agent.adapter.clone(),
            dash(agent.workstream.clone()),
            dash(uncommitted),
            dash(agent.run.as_ref().map(|run| run.id.clone())),
            dash(Some(agent.reason.clone())),
            agent.container.clone(),
        ]);
    }
    row
}

/// Commits the branch has over its base, and the other way round.
pub(super) fn ahead_behind(agent: &AgentStatus) -> String {
    let number = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    match (agent.ahead, agent.behind) {
        (None, None) => "-".to_owned(),
        (ahead, behind) => format!("{}/{}", number(ahead), number(behind)),
    }
}

/// What it works on: its task, else what its run was asked for.
fn task(agent: &AgentStatus) -> Option<String> {
    let title = || agent.run.as_ref().map(|run| text::shorten(&run.title, TITLE));
    agent.task.clone().or_else(title)
}

pub(super) fn uptime(agent: &AgentStatus, now: Time) -> Option<String> {
    let runs = matches!(agent.state, AgentState::Idle | AgentState::Working);
    agent.started_at.filter(|_| runs).map(|started| text::duration(now.since(started)))
}

/// What the table alone would leave a person wondering about an agent, each on a line.
pub(super) fn remarks(agent: &AgentStatus) -> Vec<String> {
    let mut remarks = Vec::new();
    if matches!(agent.state, AgentState::Error | AgentState::Lost | AgentState::Unknown) {
        remarks.push(why(agent));
    }
    if matches!(agent.state, AgentState::Creating | AgentState::Removing) && !agent.message.is_empty() {
        remarks.push(agent.message.clone());
    }
    if let Some(what) = &agent.waiting {
        remarks.push(format!("waits for a person: {what} ({ANSWER})"));
    }
    if agent.dirty == Some(true) {
        remarks.push(format!("has work that is not committed; `tanuki diff {}` shows it", agent.name));
    }
    if let Some(run) = agent.run.as_ref().filter(|run| run.state == RunState::Queued) {
        let why = if run.message.is_empty() { "for its turn" } else { &run.message };
        remarks.push(format!("run {} waits: {why}", run.id));
    }
    if agent.stale_environment {
        remarks.push(
            "its processes hold older values of the services' variables; the next run has the new ones"
                .to_owned(),
        );
    }
    if !agent.out_of_date.is_empty() {
        remarks.push(out_of_date(agent));
    }
    if !agent.missing_services.is_empty() && agent.state != AgentState::Stopped {
        remarks.push(missing_services(agent));
    }
    remarks
}

pub(super) fn why(agent: &AgentStatus) -> String {
    match (agent.reason.as_str(), agent.message.as_str()) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

pub(super) fn out_of_date(agent: &AgentStatus) -> String {
    format!(
        "its container is out of date ({}); `tanuki restart {}` makes it anew and keeps the workspace",
        agent.out_of_date.join(", "),
        agent.name,
    )
}

pub(super) fn missing_services(agent: &AgentStatus) -> String {
    format!("without the variables of {}, not healthy", agent.missing_services.join(", "))
}

/// How the tasks are, in a line; nothing without tasks.
pub fn render_tasks_line(snapshot: &Snapshot) -> Option<String> {
    if snapshot.tasks.is_empty() {
        return None;
    }
    let counted = TaskState::ALL.into_iter().filter_map(|state| {
        let count = snapshot.tasks.values().filter(|task| task.state == state).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    Some(format!("Tasks: {}", counted.collect::<Vec<_>>().join(", ")))
}

/// How a run ended, or how far it is, in a word or two.
pub(super) fn result(run: &RunRecord) -> String {
    match (run.state, run.failure) {
        (RunState::Failed, Some(failure)) => format!("failed: {failure}"),
        (state, _) => state.to_string(),
    }
}
