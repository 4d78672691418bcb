//! A project of 1,000 task files with 5,000 dependencies: `project status`, a decision, and the controller.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tanuki::model::Priority;
use tanuki::tasks::board::{Board, Group, Item, Stand, What, Worker};
use tanuki::tasks::schedule::schedule;

use crate::Result;
use crate::process::{cpu, peak};
use crate::project::Project;
use crate::table::{Row, median};
use crate::tools::{PLAIN, Tools};

const TASKS: usize = 1000;
const EDGES: usize = 5000;
/// The first ones are done, so that others are ready.
const COMPLETE: usize = 300;
const WORKSTREAMS: usize = 8;
/// How often a decision is taken.
const DECISIONS: usize = 100;
/// How often a file is changed under the controller, and how long apart.
const CHANGES: (u32, Duration) = (20, Duration::from_millis(300));

/// What a task depends on: five tasks before it, and some six.
fn dependencies(task: usize) -> Vec<usize> {
    let count = (5 + usize::from((10..25).contains(&task))).min(task);
    let step = (task / 6).max(1);
    (0..count).map(|number| task - 1 - number * step).collect()
}

fn id(task: usize) -> String {
    format!("task-{task:04}")
}

fn workstream(task: usize) -> String {
    format!("stream-{}", task % WORKSTREAMS)
}

fn priority(task: usize) -> Priority {
    [Priority::Critical, Priority::High, Priority::Medium, Priority::Low][task % 4]
}

fn file(task: usize) -> String {
    let mut text = format!("---\nid: {}\ntitle: The task number {task}\n", id(task));
    // Writing to a string cannot fail.
    _ = writeln!(text, "workstream: {}\npriority: {}", workstream(task), priority(task));
    _ = writeln!(text, "status: {}", if task < COMPLETE { "complete" } else { "pending" });
    let ids: Vec<String> = dependencies(task).into_iter().map(id).collect();
    _ = writeln!(text, "depends_on: [{}]\ncompletion:\n  verify: \"true\"\n---\n", ids.join(", "));
    text + &"A line of the prompt that says what is to be done, and how.\n".repeat(20)
}

/// The same as the scheduler sees it, with as many agents as workstreams.
fn board() -> Board {
    let group = |task: usize| Group { role: None, workstream: Some(workstream(task)) };
    let item = |task: usize| Item {
        id: id(task),
        priority: priority(task),
        group: group(task),
        dependencies: dependencies(task),
        stand: if task < COMPLETE { Stand::Complete } else { Stand::Open },
        pinned: None,
        last: (task < COMPLETE).then(|| workstream(task)),
    };
    let agent = |number: usize| Worker {
        name: workstream(number),
        group: group(number),
        usable: true,
        busy: false,
        ours: true,
        merged: true,
        kept: None,
    };
    Board {
        tasks: (0..TASKS).map(item).collect(),
        agents: (0..WORKSTREAMS).map(agent).collect(),
        most_agents: WORKSTREAMS,
        most_working: WORKSTREAMS,
        ..Board::default()
    }
}

fn row(what: &str, ours: String, figure: f64, unit: &'static str, target: Option<f64>) -> Row {
    Row { what: what.to_owned(), ours, theirs: String::new(), figure, unit, target }
}

/// Decides, looks, and has a controller do both.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let edges: usize = (0..TASKS).map(|task| dependencies(task).len()).sum();
    if edges != EDGES {
        return Err(format!("there are {edges} dependencies").into());
    }
    let mut rows = vec![decision()?];
    let streams: String =
        (0..WORKSTREAMS).map(|number| format!("  {}: {{}}\n", workstream(number))).collect();
    let project =
        Project::new(tools, &format!("defaults: {{ image: '{PLAIN}' }}\nworkstreams:\n{streams}"), None)?;
    let directory = project.root().join(".tanuki/tasks");
    std::fs::create_dir_all(&directory)?;
    for task in 0..TASKS {
        std::fs::write(directory.join(id(task)).with_extension("md"), file(task))?;
    }
    let status = |rows: &mut Vec<Row>, what: &str| -> Result {
        let shown = project.says(&["project", "status"])?;
        if !shown.contains(&id(TASKS - 1)) {
            return Err(format!("not what was written:\n{shown}").into());
        }
        let mut took = Vec::new();
        for _ in 0..tools.rounds * 4 {
            took.push(project.timed(&["project", "status"])? * 1000.0);
        }
        let most = took.iter().copied().fold(0.0, f64::max);
        rows.push(row(
            what,
            format!("at most {most:.0} ms, n={}", took.len()),
            median(&took),
            "ms",
            Some(200.0),
        ));
        Ok(())
    };
    let of = format!("`project status` of {TASKS} tasks with {EDGES} dependencies");
    status(&mut rows, &format!("{of}, from their files"))?;
    project.timed(&["up", "--detach"])?;
    // What has just begun to look is not asked yet.
    std::thread::sleep(Duration::from_secs(3));
    status(&mut rows, &format!("{of}, told by the controller"))?;
    rows.extend(controller(&project, &directory)?);
    Ok(rows)
}

fn decision() -> Result<Row> {
    let board = board();
    let mut took = Vec::new();
    for _ in 0..DECISIONS {
        let began = Instant::now();
        let decisions = std::hint::black_box(schedule(std::hint::black_box(&board)));
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        if !decisions.iter().any(|decision| matches!(decision.what, What::Claim { .. })) {
            return Err("nothing was handed out".into());
        }
    }
    let most = took.iter().copied().fold(0.0, f64::max);
    let what = format!("one scheduling decision over {TASKS} tasks with {EDGES} dependencies");
    Ok(row(&what, format!("at most {most:.2} ms, n={DECISIONS}"), median(&took), "ms", Some(10.0)))
}

/// A controller that looks at all of it again and again, since files change.
fn controller(project: &Project, directory: &Path) -> Result<Vec<Row>> {
    let pid = project.controller()?;
    let before = cpu(pid)?;
    for number in 0..CHANGES.0 {
        std::fs::write(directory.join("task-0999.md"), file(TASKS - 1) + &format!("Change {number}.\n"))?;
        std::thread::sleep(CHANGES.1);
    }
    let used = (cpu(pid)? - before) * 1000.0 / f64::from(CHANGES.0);
    let changes = format!("{} changes", CHANGES.0);
    Ok(vec![
        row("processor time of the controller for one changed file among them", changes, used, "ms", None),
        row("most memory of that controller", String::new(), peak(pid)?, "MB", Some(64.0)),
    ])
}
