//! Tasks in files become work by agents, over killed controllers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, repeat};

where_agents_run!(a_project_comes_to_its_end_over_killed_controllers, a_stopped_project_goes_on);

const SOON: Duration = Duration::from_secs(60);

const CONFIG: &str = "  worker: { kind: command, run: [sh, work.sh] }
workstreams:
  api: { role: backend }
  web: { role: frontend }
limits: { agents: 4, working: 2 }
";

/// What the agents do: a file named by the task, with what was there before. `flaky` needs three tries.
const WORK: &str = r#"
cat >/dev/null
echo "working on $TANUKI_TASK"
sleep 0.5
case $TANUKI_TASK in
    flaky) echo try >>flaky.count; [ "$(wc -l <flaky.count)" -ge 3 ] || exit 0 ;;
    bad) exit 0 ;;
esac
ls *.txt >"$TANUKI_TASK.txt" 2>/dev/null
true
"#;

/// Every task: id, and the rest of its front matter.
const TASKS: [(&str, &str); 9] = [
    ("schema", "workstream: api\npriority: high\ncompletion: { verify: 'test -f schema.txt' }"),
    ("store", "workstream: api\ndepends_on: [schema]\ncompletion: { verify: 'grep -q schema store.txt' }"),
    (
        "flaky",
        "workstream: api\ndepends_on: [store]\ncompletion: { verify: 'test -f flaky.txt', max_iterations: 4 }",
    ),
    ("layout", "workstream: web\ncompletion: { verify: 'test -f layout.txt' }"),
    // Of two agents.
    (
        "page",
        "workstream: web\ndepends_on: [layout, store]\n\
         completion: { verify: 'grep -q layout page.txt && grep -q store page.txt' }",
    ),
    ("bad", "role: qa\ncompletion: { verify: 'test -f bad.txt', max_iterations: 1 }"),
    ("after-bad", "role: qa\ndepends_on: [bad]\ncompletion: { verify: 'true' }"),
    // Nothing can tell whether this is done.
    ("manual", "role: docs  # by somebody who can write"),
    (
        "final",
        "workstream: web\ndepends_on: [flaky, page]\ncompletion: { verify: 'grep -q flaky final.txt' }",
    ),
];

const ENDS: [(&str, &str); 9] = [
    ("after-bad", "blocked"),
    ("bad", "failed"),
    ("final", "complete"),
    ("flaky", "complete"),
    ("layout", "complete"),
    ("manual", "review"),
    ("page", "complete"),
    ("schema", "complete"),
    ("store", "complete"),
];

fn file(id: &str) -> String {
    format!(".tanuki/tasks/{id}.md")
}

async fn project(engine: Engine, tasks: &[(&str, &str)]) -> Project {
    let texts: Vec<(String, String)> = tasks
        .iter()
        .map(|(id, rest)| {
            let text = format!(
                "---\nid: {id}\ntitle: Do {id}\n{rest}\n# a person's remark\nx-own: [1,  2]\n---\nDo {id}.\n"
            );
            (file(id), text)
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let files: Vec<(&str, &str)> = files.into_iter().chain([("work.sh", WORK)]).collect();
    let project = Project::with_agents(engine, CONFIG, &files).await;
    let text = std::fs::read_to_string(project.root.join("tanuki.yaml")).unwrap();
    project.configure(&text.replace("agent: shell", "agent: worker"));
    project.commit("let workers do it").await;
    project
}

/// All tasks, by id.
async fn tasks(project: &Project) -> BTreeMap<String, Value> {
    let listed = project.tanuki(&["task", "list", "-o", "json"]).await.ok().json();
    let listed = listed.as_array().cloned().unwrap_or_else(|| panic!("not a list: {listed:#}"));
    listed.into_iter().map(|task| (task["id"].as_str().unwrap().to_owned(), task)).collect()
}

async fn a_project_comes_to_its_end_over_killed_controllers(engine: Engine) {
    let project = project(engine, &TASKS).await;
    let before: Vec<String> =
        TASKS.iter().map(|(id, _)| std::fs::read_to_string(project.root.join(file(id))).unwrap()).collect();
    let _begun = project.tanuki(&["project", "start", "--detach"]).await.ok();
    for nth in 0..repeat("TANUKI_E2E_KILLS", 4) {
        tokio::time::sleep(Duration::from_millis(u64::from(1100 + 270 * nth))).await;
        let _killed = project.kill_controller();
        let _joined = project.tanuki(&["project", "start", "--detach"]).await.ok();
    }
    // One failed, and one is blocked by it.
    let _ended = project.tanuki(&["project", "start"]).await.code(1);

    let tasks = tasks(&project).await;
    let ends: Vec<(&str, &str)> =
        tasks.iter().map(|(id, task)| (id.as_str(), task["state"].as_str().unwrap())).collect();
    assert_eq!(ends, ENDS, "{tasks:#?}");
    let _told = project.tanuki(&["project", "status"]).await.says("bad").says("blocked");
    for task in tasks.values() {
        for needed in task["depends_on"].as_array().unwrap() {
            let needed = &tasks[needed.as_str().unwrap()];
            let (began, done) = (task["started_at"].as_u64(), needed["ended_at"].as_u64());
            assert!(began.is_none() || done <= began, "{task:#} began before {needed:#} ended");
        }
    }
    // None was run twice for one try, and at no moment were there more runs than may be.
    let runs = project.runs().await;
    let of = |id: &str| runs.iter().filter(|run| run["task"] == id).count();
    for (id, count) in [("schema", 1), ("store", 1), ("page", 1), ("final", 1), ("bad", 1), ("manual", 1)] {
        assert_eq!(of(id), count, "{id}: {runs:#?}");
    }
    let spans: Vec<(u64, u64)> = runs
        .iter()
        .filter_map(|run| Some((run["started_at"].as_u64()?, run["ended_at"].as_u64()?)))
        .collect();
    for (began, _) in &spans {
        let beside = spans.iter().filter(|(other, ended)| other <= began && began < ended).count();
        assert!(beside <= 2, "{beside} runs at once: {runs:#?}");
    }
    // The person's files are as they were but for what Tanuki writes.
    for ((id, _), before) in TASKS.iter().zip(&before) {
        let after = std::fs::read_to_string(project.root.join(file(id))).unwrap();
        let own = |text: &str| {
            let written = |line: &&str| !line.starts_with("status:") && !line.starts_with("assigned_to:");
            text.lines().filter(written).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(own(&after), own(before), "{id}");
    }
    // Everything that went into it is in the branch of the last one.
    let agent = tasks["final"]["assigned_to"].as_str().unwrap();
    let there = project.git_says(&["ls-tree", "--name-only", &format!("tanuki/{agent}")]).await;
    for needed in ["schema.txt", "store.txt", "flaky.txt", "layout.txt", "page.txt", "final.txt"] {
        assert!(there.lines().any(|name| name == needed), "{needed}: {there}");
    }
    let _fsck = project.git(&["fsck", "--no-dangling"]).await.ok();
}

async fn a_stopped_project_goes_on(engine: Engine) {
    let waits = "completion: { verify: 'test -f one.txt' }";
    let project =
        project(engine, &[("one", waits), ("two", "depends_on: [one]\ncompletion: { verify: 'true' }")])
            .await;
    // A file that is none of it, told with its place, and in nobody's way.
    project.write(".tanuki/tasks/broken.md", "---\nid: [\n---\nno\n");
    let shown = project.tanuki(&["project", "start", "--dry-run"]).await;
    let _told = shown.says("one").says("two");
    let _told = project.tanuki(&["task", "list"]).await.says("broken.md");
    let slow = WORK.replace("sleep 0.5", "sleep 300");
    project.write("work.sh", &slow);
    project.commit("slow").await;
    let _begun = project.tanuki(&["project", "start", "--detach"]).await.ok();
    let deadline = tokio::time::Instant::now() + SOON;
    while tasks(&project).await["one"]["state"] != "in_progress" {
        assert!(tokio::time::Instant::now() < deadline, "{:#?}", tasks(&project).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let _stopped = project.tanuki(&["project", "stop"]).await.ok();
    let now = tasks(&project).await;
    assert_eq!(now["one"]["state"], "pending", "{now:#?}");
    let agents = project.tanuki(&["list", "-o", "json"]).await.ok().json();
    let agents = agents.as_array().unwrap();
    assert!(agents.iter().all(|agent| agent["state"] != "working"), "{agents:#?}");
    let name = agents[0]["name"].as_str().unwrap();
    let quick = "sed -i 's/sleep 300/sleep 0/' work.sh && git commit -qam quick";
    let _quick = project.inside(name, quick).await.ok();
    let _going = project.tanuki(&["project", "resume"]).await.ok();
    let _done = project.tanuki(&["project", "start"]).await;
    let now = tasks(&project).await;
    assert_eq!(
        (&now["one"]["state"], &now["two"]["state"]),
        (&"complete".into(), &"complete".into()),
        "{now:#?}"
    );
}
