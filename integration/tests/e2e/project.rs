//! Tasks in files become work by agents: twelve tasks of every fate, over killed controllers; stop and resume.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tanuki_integration::agents::model_service;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, REDIS, repeat};
use tokio::time::{Instant, sleep};

where_agents_run!(
    twelve_tasks_end_as_they_should,
    twelve_tasks_end_the_same_over_killed_controllers,
    a_stopped_project_goes_on,
);

const SOON: Duration = Duration::from_secs(60);
/// Longest that twelve tasks take, however often the controller is killed.
const LATE: Duration = Duration::from_secs(600);
/// Within this time all kills happen.
const KILLS: Duration = Duration::from_secs(40);

/// Most runs at once, and most tasks of `maker` and of `writer`.
const WORKING: usize = 3;
const MAKERS: usize = 2;
const WRITERS: usize = 1;

/// One role does what a script says, the other one is codex.
const CONFIG: &str = "  worker: { kind: command, run: [sh, work.sh] }
roles:
  maker: { agent: worker, concurrency: 2 }
  writer: { agent: codex, model: stand-in, concurrency: 1 }
workstreams: { api: { role: maker }, web: { role: maker }, docs: { role: writer } }
limits: { agents: 5, working: 3, free_memory: 0 }
";

/// What the scripted agents do: a file named by the task, with what was there before. `flaky` needs three tries.
/// Services are there before the first of them begins, or it fails.
const WORK: &str = r#"
cat >/dev/null
echo "working on $TANUKI_TASK"
[ -z "$TANUKI_TEST_SERVICES" ] || [ -n "$REDIS_HOST" ] || exit 1
sleep 0.5
case $TANUKI_TASK in
    flaky) echo try >>flaky.count; [ "$(wc -l <flaky.count)" -ge 3 ] || exit 0 ;;
    bad) exit 0 ;;
esac
ls *.txt >"$TANUKI_TASK.txt" 2>/dev/null
true
"#;

/// What codex is to do for `quota`: nothing before a bill is paid, which it is on the second try.
const QUOTA: &str = "STUB: run cat bill.log 2>/dev/null; echo paid >bill.log
STUB: unless paid 402
STUB: write quota.txt paid for
STUB: say Written.";

/// What codex is to do for `text`.
const TEXT: &str = "STUB: run test -n \"$REDIS_HOST\" && ls *.txt
STUB: write text.txt by the model
STUB: say Written.";

/// A task: its id, the rest of its front matter, what is to be done where that is not the script's, how it ends, and
/// how many runs that takes.
type Task = (&'static str, &'static str, &'static str, &'static str, usize);

const TWELVE: [Task; 12] = [
    (
        "schema",
        "workstream: api\npriority: high\ncompletion: { verify: 'test -f schema.txt' }",
        "",
        "complete",
        1,
    ),
    (
        "store",
        "workstream: api\ndepends_on: [schema]\ncompletion: { verify: 'grep -q schema store.txt' }",
        "",
        "complete",
        1,
    ),
    // Its command fails twice.
    (
        "flaky",
        "workstream: api\ndepends_on: [store]\ncompletion: { verify: 'test -f flaky.txt', max_iterations: 4 }",
        "",
        "complete",
        3,
    ),
    ("layout", "workstream: web\ncompletion: { verify: 'test -f layout.txt' }", "", "complete", 1),
    (
        "style",
        "workstream: web\npriority: low\ncompletion: { verify: 'test -f style.txt' }",
        "",
        "complete",
        1,
    ),
    // Of two agents, and of two other workstreams.
    (
        "page",
        "workstream: web\ndepends_on: [layout, store]\n\
         completion: { verify: 'grep -q layout page.txt && grep -q store page.txt' }",
        "",
        "complete",
        1,
    ),
    (
        "final",
        "workstream: web\ndepends_on: [flaky, page, text, quota]\n\
         completion: { verify: 'for each in flaky page text quota; do grep -q $each final.txt || exit 1; done' }",
        "",
        "complete",
        1,
    ),
    // Waits until the account has quota again.
    (
        "quota",
        "workstream: docs\npriority: critical\ncompletion: { verify: 'test -f quota.txt' }",
        QUOTA,
        "complete",
        2,
    ),
    (
        "text",
        "workstream: docs\ndepends_on: [schema]\ncompletion: { verify: 'grep -q model text.txt' }",
        TEXT,
        "complete",
        1,
    ),
    // Never passes.
    ("bad", "role: maker\ncompletion: { verify: 'test -f bad.txt', max_iterations: 2 }", "", "failed", 2),
    ("after-bad", "role: maker\ndepends_on: [bad]\ncompletion: { verify: 'true' }", "", "blocked", 0),
    // Nothing can tell whether this is done.
    ("manual", "role: maker  # by somebody who can look", "", "review", 1),
];

fn file(id: &str) -> String {
    format!(".tanuki/tasks/{id}.md")
}

async fn project(engine: Engine, config: &str, tasks: &[(&str, &str, &str)]) -> Project {
    let texts: Vec<(String, String)> = tasks
        .iter()
        .map(|(id, rest, body)| {
            let text = format!(
                "---\nid: {id}\ntitle: Do {id}\n{rest}\n# a person's remark\nx-own: [1,  2]\n---\nDo {id}.\n{body}\n"
            );
            (file(id), text)
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let files: Vec<(&str, &str)> = files.into_iter().chain([("work.sh", WORK)]).collect();
    let project = Project::with_agents(engine, config, &files).await;
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

/// The project of twelve tasks, and its files as the person wrote them.
async fn twelve(engine: Engine) -> (Project, Vec<String>) {
    let tasks = TWELVE.map(|(id, rest, body, ..)| (id, rest, body));
    let worker = CONFIG.replace("run: [sh, work.sh]", "run: [sh, work.sh], env: [TANUKI_TEST_SERVICES]");
    let mut project = project(engine, &format!("{worker}{REDIS}{}", model_service()), &tasks).await;
    let _model = project.tanuki(&["service", "start", "model"]).await.ok();
    // By its address: the name server of Podman 4 sometimes ends, and comes back only with another container.
    let container = project.container("model").await.id;
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = project.engine_cli(&["inspect", "--format", format, &container]).await.ok().stdout;
    let service = format!("http://{}:8080/v1", address.trim());
    let env = [
        ("OPENAI_BASE_URL", service.as_str()),
        ("CODEX_API_KEY", "not-a-key"),
        ("TANUKI_TEST_SERVICES", "1"),
    ];
    project.env.extend(env.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let files = TWELVE.iter().map(|(id, ..)| std::fs::read_to_string(project.root.join(file(id))).unwrap());
    let files = files.collect();
    (project, files)
}

/// Whatever happened on the way, this is how it ends.
async fn check(project: &Project, before: &[String]) {
    let tasks = tasks(project).await;
    let runs = project.runs().await;
    for (id, _, _, state, count) in TWELVE {
        assert_eq!(tasks[id]["state"], state, "{id}: {tasks:#?}");
        let of: Vec<&Value> = runs.iter().filter(|run| run["task"] == id).collect();
        assert_eq!(of.len(), count, "runs of {id}: {of:#?}");
    }
    check_order(&tasks, &runs);
    // Waiting for quota spends no try; what its runs used is in the history.
    let quota: Vec<&Value> = runs.iter().filter(|run| run["task"] == "quota").collect();
    assert_eq!(
        (&quota[0]["failure"], &tasks["quota"]["attempts"]),
        (&"quota".into(), &0.into()),
        "{quota:#?}"
    );
    assert_eq!(tasks["flaky"]["attempts"], 2);
    assert!(tasks["text"]["usage"]["output_tokens"].as_u64() > Some(0), "{:#}", tasks["text"]);
    let _told = project.tanuki(&["project", "status"]).await.ok().says("tokens").says("it depends on 'bad'");
    // The person's files are as they were but for what Tanuki writes.
    for ((id, ..), before) in TWELVE.iter().zip(before) {
        let after = std::fs::read_to_string(project.root.join(file(id))).unwrap();
        let own = |text: &str| {
            let written = |line: &&str| !line.starts_with("status:") && !line.starts_with("assigned_to:");
            text.lines().filter(written).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(own(&after), own(before), "{id}");
        let state = tasks[*id]["state"].as_str().unwrap();
        assert!(after.contains(&format!("\nstatus: {state}\n")), "{after}");
    }
    // Everything that went into it is in the branch of the last one, and nothing of anybody's is lost.
    let agent = tasks["final"]["assigned_to"].as_str().unwrap();
    let there = project.git_says(&["ls-tree", "--name-only", &format!("tanuki/{agent}")]).await;
    for needed in ["schema.txt", "store.txt", "flaky.txt", "page.txt", "text.txt", "quota.txt", "final.txt"] {
        assert!(there.lines().any(|name| name == needed), "{needed}: {there}");
    }
    for task in tasks.values().filter_map(|task| task["assigned_to"].as_str()) {
        let inside = project.inside(task, "git status --porcelain && git rev-parse HEAD").await.ok();
        assert_eq!(inside.stdout.trim(), project.git_says(&["rev-parse", &format!("tanuki/{task}")]).await);
    }
    let _fsck = project.git(&["fsck", "--no-dangling"]).await.ok();
}

/// No task began before what it depends on was complete, none ran twice at once, and never were there more than may be.
fn check_order(tasks: &BTreeMap<String, Value>, runs: &[Value]) {
    for task in tasks.values() {
        for needed in task["depends_on"].as_array().unwrap() {
            let needed = &tasks[needed.as_str().unwrap()];
            let (began, done) = (task["started_at"].as_u64(), needed["ended_at"].as_u64());
            assert!(began.is_none() || done <= began, "{task:#} began before {needed:#} ended");
        }
    }
    let role = |run: &Value| {
        let task = &tasks[run["task"].as_str().unwrap()];
        let writes = task["role"] == "writer" || task["workstream"] == "docs";
        if writes { "writer" } else { "maker" }
    };
    let workstream = |run: &Value| tasks[run["task"].as_str().unwrap()]["workstream"].clone();
    for run in runs {
        let began = run["started_at"].as_u64();
        let at_once: Vec<&Value> = runs
            .iter()
            .filter(|other| other["started_at"].as_u64() <= began && began < other["ended_at"].as_u64())
            .collect();
        let alike = |same: &dyn Fn(&Value) -> bool| at_once.iter().filter(|other| same(other)).count();
        assert!(at_once.len() <= WORKING, "{at_once:#?}");
        for key in ["task", "agent"] {
            assert!(alike(&|other| other[key] == run[key]) <= 1, "two of one {key}: {at_once:#?}");
        }
        let stream = workstream(run);
        assert!(stream.is_null() || alike(&|other| workstream(other) == stream) <= 1, "{at_once:#?}");
        let most = if role(run) == "writer" { WRITERS } else { MAKERS };
        assert!(alike(&|other| role(other) == role(run)) <= most, "{at_once:#?}");
    }
}

async fn twelve_tasks_end_as_they_should(engine: Engine) {
    let (project, before) = twelve(engine).await;
    let planned = project.tanuki(&["project", "start", "--dry-run"]).await.ok();
    let _told = planned.says("schema -> a new agent api").says("quota -> a new agent docs");
    // One failed, and one is blocked by it.
    let ended = project.tanuki(&["project", "start"]).await.code(1);
    let _told =
        ended.says("9 of 12 tasks are complete").says("in review: manual").says("not done: after-bad, bad");
    check(&project, &before).await;
}

async fn twelve_tasks_end_the_same_over_killed_controllers(engine: Engine) {
    let (project, before) = twelve(engine).await;
    // Two at once: one starts it, the other one joins.
    let start = ["project", "start", "--detach"];
    let both = tokio::join!(project.tanuki(&start), project.tanuki(&start));
    let both = format!("{}{}", both.0.ok().stdout, both.1.ok().stdout);
    assert_eq!(both.matches("the project is started").count(), 1, "{both}");
    assert_eq!(both.matches("the project is under way already").count(), 1, "{both}");
    let kills = repeat("TANUKI_E2E_KILLS", 4);
    let mut random = u64::from(std::process::id()) | 1;
    for nth in 0..kills {
        // Numerical Recipes' generator; its high bits are good enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = KILLS.as_millis() as u64 * 2 / u64::from(kills);
        sleep(Duration::from_millis((random >> 33) % most.max(1))).await;
        let _one_ran = project.kill_controller();
        // Any command that looks starts the next one; it knows what agents sign in with.
        let command: &[&str] = if nth % 2 == 0 { &["project", "status"] } else { &start };
        let _next = project.tanuki(command).await.ok();
    }
    let deadline = Instant::now() + LATE;
    loop {
        let status = project.tanuki(&["project", "status", "-o", "json"]).await.ok().json();
        if status["phase"] == "finished" {
            break;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        sleep(Duration::from_millis(500)).await;
    }
    check(&project, &before).await;
}

async fn a_stopped_project_goes_on(engine: Engine) {
    let waits = "completion: { verify: 'test -f one.txt' }";
    let project = project(
        engine,
        CONFIG,
        &[("one", waits, ""), ("two", "depends_on: [one]\ncompletion: { verify: 'true' }", "")],
    )
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
    let deadline = Instant::now() + SOON;
    while tasks(&project).await["one"]["state"] != "in_progress" {
        assert!(Instant::now() < deadline, "{:#?}", tasks(&project).await);
        sleep(Duration::from_millis(200)).await;
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
