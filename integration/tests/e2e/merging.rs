//! Completed tasks are merged: in an order the graph allows, verified, and the same when the controller is killed in the
//! middle.
//!
//! The agents here run the body of a task as a shell script. It ends with `exit`, since more is said to agents after it.

use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, repeat};

where_agents_run!(a_project_ends_as_it_should, a_killed_controller_changes_nothing_of_how_a_project_ends,);

const WORKSTREAMS: &str =
    "limits: { free_memory: 0 }\nworkstreams: { api: { role: backend }, web: { role: frontend } }\n";

/// A task's file. Neither comments nor the order of its keys may change.
fn task(id: &str, workstream: &str, depends_on: &str, verify: &str, script: &str) -> (String, String) {
    let text = format!(
        "---\nid: {id}\ntitle: Make {id}\nworkstream: {workstream}\nstatus: pending  # of life\ndepends_on: [{depends_on}]\n\
         completion:\n  verify: {verify}\n  max_iterations: 2\nx-note: kept\n---\n{script}\nexit 0\n"
    );
    (format!(".tanuki/tasks/{id}.md"), text)
}

/// Two workstreams, dependencies across them, a task that passes on its second try, one that never does.
async fn project(engine: Engine) -> Project {
    let again = "test -f tried || { touch tried; exit 0; }; echo second >second.txt";
    let files = [
        task("A-1", "api", "", "test -f one.txt", "echo one >one.txt"),
        task("W-1", "web", "", "test -f two.txt", "echo two >two.txt"),
        task("A-2", "api", "A-1, W-1", "test -f both.txt", "cat one.txt two.txt >both.txt"),
        task("W-2", "web", "W-1", "test -f second.txt", again),
        task("W-3", "web", "W-2", "test -f never.txt", "sleep 1"),
        task("A-3", "api", "W-3", "test -f one.txt", "echo unreachable >three.txt"),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Project::with_agents(engine, WORKSTREAMS, &files).await
}

/// The project's tasks as programs read them, by id.
async fn tasks(project: &Project) -> Vec<(String, Value)> {
    let listed = project.tanuki(&["task", "list", "-o", "json"]).await.ok().json();
    let tasks = listed.as_array().expect("a list of tasks").iter();
    tasks.map(|task| (task["id"].as_str().unwrap().to_owned(), task.clone())).collect()
}

/// However it went on the way, this is how it ends.
async fn check(project: &Project) {
    let tasks = tasks(project).await;
    let states: Vec<(&str, &str)> =
        tasks.iter().map(|(id, task)| (id.as_str(), task["state"].as_str().unwrap())).collect();
    let expected = [
        ("A-1", "complete"),
        ("A-2", "complete"),
        ("A-3", "blocked"),
        ("W-1", "complete"),
        ("W-2", "complete"),
        ("W-3", "failed"),
    ];
    assert_eq!(states, expected, "{tasks:#?}");
    // What was completed is on the target, dependencies before dependants, and nothing else is.
    assert_eq!(project.git_says(&["show", "main:both.txt"]).await, "one\ntwo");
    assert_eq!(project.git_says(&["show", "main:second.txt"]).await, "second");
    let there = project.git_says(&["ls-tree", "--name-only", "main"]).await;
    assert!(!there.contains("three.txt") && !there.contains("never.txt"), "{there}");
    // No file of the user's changed but the lines of status and agent.
    let changed = project.git_says(&["diff", "--unified=0", "--", ".tanuki/tasks"]).await;
    for line in changed.lines().filter(|line| line.starts_with(['+', '-'])) {
        let line = line.trim_start_matches(['+', '-', ' ']);
        let own = ["status:", "assigned_to:", "a/", "b/", "++", "--"];
        assert!(own.iter().any(|start| line.starts_with(start)), "{changed}");
    }
    let kept = std::fs::read_to_string(project.root.join(".tanuki/tasks/A-1.md")).unwrap();
    assert!(kept.contains("status: complete  # of life\n") && kept.contains("x-note: kept\n"), "{kept}");
    // Never two runs of one agent at once, never two of one task.
    let mut runs = project.runs().await;
    runs.sort_by_key(|run| run["started_at"].as_u64());
    for (index, run) in runs.iter().enumerate() {
        let clash = runs[index + 1..].iter().find(|later| {
            let same = later["agent"] == run["agent"] || later["task"] == run["task"];
            same && later["started_at"].as_u64() < run["ended_at"].as_u64()
        });
        assert!(clash.is_none(), "{run:#} and {clash:#?}");
    }
}

async fn a_project_ends_as_it_should(engine: Engine) {
    let project = project(engine).await;
    let planned = project.tanuki(&["project", "start", "--dry-run"]).await.ok();
    let _told = planned.says("A-1").says("W-1");
    let ended = project.tanuki(&["project", "start", "--merge"]).await.code(1);
    let _told = ended.says("4 of 6 tasks are complete").says("W-3").says("test -f never.txt");
    check(&project).await;
    let _why = project.tanuki(&["task", "show", "A-3"]).await.ok().says("W-3");
    let _history = project.tanuki(&["events", "-n", "200"]).await.ok().says("VerifyFailed").says("Merged");
    // A person decides otherwise: what never passed is tried again with another criterion.
    let path = ".tanuki/tasks/W-3.md";
    let text = std::fs::read_to_string(project.root.join(path)).unwrap();
    project.write(path, &text.replace("never.txt", "two.txt"));
    let _open = project.tanuki(&["task", "retry", "W-3"]).await.ok();
    let _done = project.tanuki(&["project", "start", "--merge"]).await.ok().says("6 of 6 tasks are complete");
}

async fn a_killed_controller_changes_nothing_of_how_a_project_ends(engine: Engine) {
    let project = project(engine).await;
    let _begun = project.tanuki(&["project", "start", "--merge", "--detach"]).await.ok();
    for round in 0..repeat("TANUKI_E2E_PROJECT_KILLS", 4) {
        tokio::time::sleep(Duration::from_millis(400 + u64::from(round % 7) * 350)).await;
        let _one_ran = project.kill_controller();
        // Any command that looks starts the next one.
        let _looked = project.tanuki(&["project", "status"]).await.ok();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(150);
    loop {
        let status = project.tanuki(&["project", "status", "-o", "json"]).await.ok().json();
        if status["phase"] == "finished" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{status:#}\n{}", project.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    check(&project).await;
}
