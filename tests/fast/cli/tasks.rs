//! Tasks and projects, as people see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tanuki::cli::render::{TaskFilter, render_project, render_projects, render_task, render_tasks};
use tanuki::model::{
    Completion, Conflict, FileProblem, Priority, ProjectPhase, ProjectStatus, Snapshot, TaskState,
    TaskStatus, Time, Usage,
};

use super::{NOW, snapshot};

fn task(id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        id: id.to_owned(),
        title: format!("Do {id}"),
        state,
        priority: Priority::Medium,
        role: Some("backend".to_owned()),
        workstream: Some("api".to_owned()),
        depends_on: Vec::new(),
        waits_for: Vec::new(),
        assigned_to: None,
        completion: Completion { verify: Some("make test".to_owned()), signal: None, max_iterations: None },
        tags: vec!["auth".to_owned()],
        file: format!(".tanuki/tasks/{id}.md"),
        project: String::new(),
        body: format!("Do {id}.\n"),
        attempts: 0,
        next_try: None,
        run: None,
        started_at: None,
        ended_at: None,
        usage: Usage::default(),
        merged: false,
        reason: String::new(),
        message: String::new(),
    }
}

fn project() -> Snapshot {
    let done = TaskStatus {
        assigned_to: Some("api".to_owned()),
        started_at: Some(Time(NOW.0 - 300_000)),
        ended_at: Some(Time(NOW.0 - 60_000)),
        usage: Usage {
            turns: Some(12),
            input_tokens: Some(40_000),
            output_tokens: Some(2_000),
            cost_microdollars: Some(123_456),
        },
        merged: true,
        message: "done by 'api', and merged".to_owned(),
        run: Some("api-1".to_owned()),
        ..task("schema", TaskState::Complete)
    };
    let waits = TaskStatus {
        assigned_to: Some("api".to_owned()),
        attempts: 1,
        next_try: Some(Time(NOW.0 + 7_200)),
        started_at: Some(Time(NOW.0 - 30_000)),
        message: "try 1 of 3 of agent 'api': `make test` failed".to_owned(),
        ..task("login", TaskState::Assigned)
    };
    let blocked = TaskStatus {
        depends_on: vec!["login".to_owned(), "gone".to_owned()],
        waits_for: vec!["login".to_owned(), "gone".to_owned()],
        message: "it depends on 'gone', and no task has that id".to_owned(),
        project: "shop".to_owned(),
        priority: Priority::High,
        ..task("logout\u{1b}[31m", TaskState::Blocked)
    };
    let tasks = [done, waits, blocked, task("docs", TaskState::Pending)];
    let counts = BTreeMap::from([("complete", 1), ("assigned", 1), ("blocked", 1), ("pending", 1)]);
    let mut shown = snapshot([]);
    shown.tasks = tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect();
    shown.work = ProjectStatus {
        phase: ProjectPhase::Running,
        projects: Vec::new(),
        merge: true,
        target: Some("refs/heads/main".to_owned()),
        message: "claude waits: quota used up; it goes on by itself".to_owned(),
        counts: counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect(),
        problems: vec![FileProblem {
            file: ".tanuki/tasks/x.md".to_owned(),
            line: Some(3),
            message: "broken YAML: did not find expected key".to_owned(),
            help: "values with `:` or `#` in them need quotes".to_owned(),
        }],
        conflicts: vec![Conflict {
            agent: "api".to_owned(),
            with: "web".to_owned(),
            files: vec!["src/main.rs".to_owned()],
        }],
    };
    shown
}

#[test]
fn tasks_in_a_table_with_what_needs_words() {
    insta::assert_snapshot!(render_tasks(&project(), &TaskFilter::default(), true, NOW));
    let filter = TaskFilter { states: vec![TaskState::Complete], ..TaskFilter::default() };
    insta::assert_snapshot!(render_tasks(&project(), &filter, false, NOW));
    let nothing = TaskFilter { role: Some("qa".to_owned()), ..TaskFilter::default() };
    assert!(render_tasks(&project(), &nothing, false, NOW).starts_with("no task is like that\n"));
    assert_eq!(
        render_tasks(&snapshot([]), &filter, false, NOW),
        "no tasks; `tanuki project init` writes a sample\n"
    );
}

#[test]
fn one_task_in_depth() {
    let shown = project();
    let all: Vec<String> = shown.tasks.values().map(|task| render_task(task, &shown, NOW)).collect();
    insta::assert_snapshot!(all.join("-----\n"));
}

#[test]
fn the_work_as_a_whole() {
    insta::assert_snapshot!(render_project(&project(), NOW));
    insta::assert_snapshot!(render_projects(&project()));
}
