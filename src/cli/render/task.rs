//! `task list`, `task show`, `project status`, `project list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::text;
use crate::model::{Conflict, ProjectPhase, Snapshot, TaskState, TaskStatus, Time};

/// Characters of a title in a table.
const TITLE: usize = 48;
/// Problems that are shown before the rest is only counted.
const PROBLEMS: usize = 20;

/// Which tasks are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In these states; in any when empty.
    pub states: Vec<TaskState>,
    /// Of this role.
    pub role: Option<String>,
    /// Of this workstream.
    pub workstream: Option<String>,
}

impl TaskFilter {
    /// Whether a task is shown.
    pub fn shows(&self, task: &TaskStatus) -> bool {
        (self.states.is_empty() || self.states.contains(&task.state))
            && (self.role.is_none() || task.role == self.role)
            && (self.workstream.is_none() || task.workstream == self.workstream)
    }
}

/// The table of tasks, and below it why those stand where they are that a person would ask about.
pub fn render_tasks(snapshot: &Snapshot, filter: &TaskFilter, wide: bool, now: Time) -> String {
    let shown: Vec<&TaskStatus> =
        snapshot.tasks.values().map(AsRef::as_ref).filter(|task| filter.shows(task)).collect();
    let mut text = String::new();
    if snapshot.tasks.is_empty() {
        text.push_str("no tasks; `tanuki project init` writes a sample\n");
    } else if shown.is_empty() {
        text.push_str("no task is like that\n");
    } else {
        let mut header = vec!["ID", "STATUS", "PRIORITY", "ROLE", "AGENT", "TITLE"];
        if wide {
            header.extend(["PROJECT", "WORKSTREAM", "TRIES", "REASON", "FILE"]);
        }
        let header: Vec<String> = header.into_iter().map(ToOwned::to_owned).collect();
        let rows = shown.iter().map(|task| {
            let mut row = vec![
                task.id.clone(),
                task.state.to_string(),
                task.priority.to_string(),
                dash(task.role.as_deref()),
                dash(task.assigned_to.as_deref()),
                text::shorten(&task.title, TITLE),
            ];
            if wide {
                row.extend([
                    dash(Some(&task.project)),
                    dash(task.workstream.as_deref()),
                    task.attempts.to_string(),
                    dash(Some(&task.reason)),
                    task.file.clone(),
                ]);
            }
            row
        });
        text.push_str(&text::table(std::iter::once(header).chain(rows)));
    }
    for task in shown.iter().filter(|task| needs_words(task)) {
        line(&mut text, &format!("{}: {}", task.id, words(task, now)));
    }
    problems(snapshot, &mut text);
    text
}

/// Whether the status alone would leave a person wondering.
fn needs_words(task: &TaskStatus) -> bool {
    match task.state {
        TaskState::Failed | TaskState::Blocked | TaskState::Review => !task.message.is_empty(),
        TaskState::Assigned => task.next_try.is_some(),
        TaskState::InProgress => !matches!(task.reason.as_str(), "Running" | ""),
        TaskState::Pending | TaskState::Complete => false,
    }
}

fn words(task: &TaskStatus, now: Time) -> String {
    let mut words = if task.message.is_empty() { task.reason.clone() } else { task.message.clone() };
    if let Some(next) = task.next_try.filter(|next| *next > now) {
        // Rounded up: a try is never sooner than told.
        let seconds = next.since(now).as_millis().div_ceil(1000);
        words.push_str(&format!("; next try in {seconds}s"));
    }
    words
}

fn problems(snapshot: &Snapshot, text: &mut String) {
    let problems = &snapshot.work.problems;
    for problem in problems.iter().take(PROBLEMS) {
        let place = match problem.line {
            Some(at) => format!("{}:{at}", problem.file),
            None => problem.file.clone(),
        };
        line(text, &format!("{place}: {}; {}", problem.message, problem.help));
    }
    if problems.len() > PROBLEMS {
        line(
            text,
            &format!("and {} more; `tanuki project status -o json` has all", problems.len() - PROBLEMS),
        );
    }
}

/// One task in depth.
pub fn render_task(task: &TaskStatus, snapshot: &Snapshot, now: Time) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push([format!("{name}:"), value]);
        }
    };
    row("Task", task.id.clone());
    row("Title", task.title.clone());
    row("Status", task.state.to_string());
    row("Why", if task.message.is_empty() { String::new() } else { words(task, now) });
    row("Agent", task.assigned_to.clone().unwrap_or_default());
    row("Run", task.run.clone().unwrap_or_default());
    row("Role", task.role.clone().unwrap_or_default());
    row("Workstream", task.workstream.clone().unwrap_or_default());
    row("Priority", task.priority.to_string());
    row("Depends on", depends(task, snapshot));
    row("Verify", task.completion.verify.clone().unwrap_or_default());
    row("Signal", task.completion.signal.clone().unwrap_or_default());
    row("Tries", tries(task));
    row("Took", took(task, now).unwrap_or_default());
    row("Used", used(task));
    row("Merged", if task.merged { "yes".to_owned() } else { String::new() });
    row("Tags", task.tags.join(", "));
    row("File", task.file.clone());
    let mut text = text::table(rows);
    if !task.body.trim().is_empty() {
        text.push('\n');
        text.push_str(text::block(&task.body).trim_end());
        text.push('\n');
    }
    text
}

fn depends(task: &TaskStatus, snapshot: &Snapshot) -> String {
    let each = task.depends_on.iter().map(|id| match snapshot.tasks.get(id) {
        Some(task) => format!("{id} ({})", task.state),
        None => format!("{id} (not there)"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn tries(task: &TaskStatus) -> String {
    match task.completion.max_iterations {
        Some(most) => format!("{} of {most}", task.attempts),
        None if task.attempts == 0 => String::new(),
        None => task.attempts.to_string(),
    }
}

fn took(task: &TaskStatus, now: Time) -> Option<String> {
    let started = task.started_at?;
    let ended = match task.state {
        TaskState::Assigned | TaskState::InProgress => now,
        _ => task.ended_at?,
    };
    Some(text::duration(ended.since(started)))
}

fn used(task: &TaskStatus) -> String {
    let usage = task.usage;
    let mut parts = Vec::new();
    if let Some(turns) = usage.turns {
        parts.push(format!("{turns} turns"));
    }
    if usage.input_tokens.is_some() || usage.output_tokens.is_some() {
        let tokens =
            usage.input_tokens.unwrap_or_default().saturating_add(usage.output_tokens.unwrap_or_default());
        parts.push(format!("{tokens} tokens"));
    }
    if let Some(cost) = usage.cost_microdollars {
        let cents = cost.div_ceil(10_000);
        parts.push(format!("${}.{:02}", cents / 100, cents % 100));
    }
    parts.join(", ")
}

/// The work as a whole.
pub fn render_project(snapshot: &Snapshot, now: Time) -> String {
    let work = &snapshot.work;
    let mut head = work.phase.to_string();
    if !work.projects.is_empty() {
        head.push_str(&format!(", only {}", work.projects.join(", ")));
    }
    if let Some(target) = &work.target
        && work.phase != ProjectPhase::Idle
    {
        let target = target.strip_prefix("refs/heads/").unwrap_or(target);
        head.push_str(&if work.merge {
            format!(", merging into {target}")
        } else {
            format!(", from {target}")
        });
    }
    if !work.message.is_empty() {
        head.push_str(&format!(": {}", work.message));
    }
    let mut text = String::new();
    line(&mut text, &head);
    if snapshot.tasks.is_empty() {
        text.push_str("no tasks; `tanuki project init` writes a sample\n");
        problems(snapshot, &mut text);
        return text;
    }
    line(&mut text, &counts_text(&work.counts));
    text.push('\n');
    let header = ["ID", "STATUS", "AGENT", "TRIES", "TOOK", "USED", "WAITS FOR"].map(ToOwned::to_owned);
    let rows = snapshot.tasks.values().map(|task| {
        let tries = if task.attempts == 0 { String::new() } else { tries(task) };
        [
            task.id.clone(),
            task.state.to_string(),
            dash(task.assigned_to.as_deref()),
            dash(Some(&tries)),
            dash(took(task, now).as_deref()),
            dash(Some(&used(task))),
            dash(Some(&waits_for(task))),
        ]
    });
    text.push_str(&text::table(std::iter::once(header).chain(rows)));
    for task in snapshot.tasks.values().filter(|task| needs_words(task)) {
        line(&mut text, &format!("{}: {}", task.id, words(task, now)));
    }
    text.push_str(&render_conflicts(snapshot, None));
    problems(snapshot, &mut text);
    text
}

/// Which branches would not merge, a line each: all, or those of one agent.
pub fn render_conflicts(snapshot: &Snapshot, agent: Option<&str>) -> String {
    let mut text = String::new();
    let is_about =
        |conflict: &&Conflict| agent.is_none_or(|agent| conflict.agent == agent || conflict.with == agent);
    for conflict in snapshot.work.conflicts.iter().filter(is_about) {
        let files = conflict.files.join(", ");
        let words =
            format!("the work of {} would conflict with {} in {files}", conflict.agent, conflict.with);
        line(&mut text, &words);
    }
    text
}

fn waits_for(task: &TaskStatus) -> String {
    match task.state {
        TaskState::Pending | TaskState::Blocked => text::shorten(&task.waits_for.join(", "), 40),
        _ => String::new(),
    }
}

fn counts_text(counts: &BTreeMap<String, u32>) -> String {
    let total: u32 = counts.values().sum();
    let each = TaskState::ALL.iter().rev().filter_map(|state| {
        Some(format!("{} {}", counts.get(state.word())?, state.word().replace('_', " ")))
    });
    let tasks = if total == 1 { "1 task" } else { "tasks" };
    let count = if total == 1 { tasks.to_owned() } else { format!("{total} {tasks}") };
    format!("{count}: {}", each.collect::<Vec<_>>().join(", "))
}

/// The subfolders of the tasks' directory.
pub fn render_projects(snapshot: &Snapshot) -> String {
    let mut projects: BTreeMap<&str, BTreeMap<String, u32>> = BTreeMap::new();
    for task in snapshot.tasks.values() {
        *projects.entry(&task.project).or_default().entry(task.state.word().to_owned()).or_default() += 1;
    }
    if projects.is_empty() {
        return "no tasks; `tanuki project init` writes a sample\n".to_owned();
    }
    let header = ["PROJECT", "TASKS"].map(ToOwned::to_owned);
    let rows = projects.iter().map(|(name, counts)| [dash(Some(name)), counts_text(counts)]);
    text::table(std::iter::once(header).chain(rows))
}

fn dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

fn line(text: &mut String, words: &str) {
    // Writing to a string cannot fail.
    _ = writeln!(text, "{}", text::one_line(words));
}
