//! What people and services do in the middle of a project: it adapts, and says so. Its task files are tracked, outside of
//! `.tanuki`, and what Tanuki writes into them stops no merge.

use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, REDIS};
use tokio::time::{Instant, sleep};

where_agents_run!(a_project_adapts_to_what_happens_in_the_middle);

const SOON: Duration = Duration::from_secs(60);

const CONFIG: &str = "  worker: { kind: command, run: [sh, work.sh] }
limits: { agents: 4, working: 2, free_memory: 0 }
tasks_dir: work/tasks
";

/// `wait` waits until it is told to go on; every task says what redis says to it.
const WORK: &str = r#"
cat >/dev/null
if [ "$TANUKI_TASK" = wait ]; then
    until [ -e go ]; do sleep 0.2; done
    rm go
fi
for _ in $(seq 30); do
    redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" ping >"$TANUKI_TASK.txt" 2>&1 && break
    sleep 1
done
true
"#;

fn task(id: &str, rest: &str) -> String {
    format!("---\nid: {id}\n{rest}completion: {{ verify: 'grep PONG {id}.txt' }}\n---\nDo {id}.\n")
}

fn file(id: &str) -> String {
    format!("work/tasks/{id}.md")
}

async fn project(engine: Engine) -> Project {
    let tasks = [
        ("wait", task("wait", "status: pending  # of life\n")),
        ("next", task("next", "depends_on: [wait]\n")),
        ("gone", task("gone", "depends_on: [wait]\n")),
    ];
    let tasks = tasks.map(|(id, text)| (file(id), text));
    let files = tasks.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let files: Vec<(&str, &str)> = files.chain([("work.sh", WORK)]).collect();
    let project = Project::with_agents(engine, &format!("{CONFIG}{REDIS}"), &files).await;
    let text = std::fs::read_to_string(project.root.join("tanuki.yaml")).unwrap();
    project.configure(&text.replace("agent: shell", "agent: worker"));
    project.commit("let workers do it").await;
    project
}

async fn task_status(project: &Project, id: &str) -> Value {
    project.tanuki(&["task", "show", id, "-o", "json"]).await.ok().json()
}

/// Waits until another agent than `before` works on a task, and tells which.
async fn until_begun(project: &Project, id: &str, before: &str) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let task = task_status(project, id).await;
        let agent = task["assigned_to"].as_str().unwrap_or_default();
        if task["state"] == "in_progress" && agent != before {
            return agent.to_owned();
        }
        assert!(Instant::now() < deadline, "{task:#}");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn a_project_adapts_to_what_happens_in_the_middle(engine: Engine) {
    let project = project(engine).await;
    let _begun = project.tanuki(&["project", "start", "--merge", "--detach"]).await.ok();
    let first = until_begun(&project, "wait", "").await;

    // A service dies, a container is taken away, files are changed, and the target gets a commit.
    let redis = project.service("redis").await;
    project.kill_main_process("redis").await;
    let container = project.agent(&first).await["container"].as_str().unwrap().to_owned();
    let _gone = project.engine_cli(&["rm", "--force", &container]).await.ok();
    std::fs::remove_file(project.root.join(file("gone"))).unwrap();
    project.write(&file("more"), &task("more", "depends_on: [next]\n"));
    let next = std::fs::read_to_string(project.root.join(file("next"))).unwrap();
    project.write(&file("next"), &next.replace("Do next.", "Do next well."));
    project.write("person.txt", "by a person\n");
    let _added = project.git(&["add", "--all", "person.txt", &file("next"), &file("gone")]).await.ok();
    let _made = project.git(&["commit", "--quiet", "--message", "meanwhile"]).await.ok();

    let second = until_begun(&project, "wait", &first).await;
    let _again = project.until_restarted("redis", &redis, SOON).await;
    project.until_named(&second, "tanuki-svc-redis").await;
    let _told = project.inside(&second, "touch go").await.ok();
    let ended = project.tanuki(&["project", "start", "--merge"]).await.ok();
    let _told = ended.says("under way already").says("3 of 3 tasks are complete");

    // Everybody's work is there, and nobody's is lost.
    for (id, text) in [("wait", "PONG"), ("next", "PONG"), ("more", "PONG"), ("person", "by a person")] {
        assert_eq!(project.git_says(&["show", &format!("main:{id}.txt")]).await, text);
    }
    // What Tanuki writes is in the files, and in no commit.
    let kept = std::fs::read_to_string(project.root.join(file("wait"))).unwrap();
    assert!(kept.contains("status: complete  # of life\n"), "{kept}");
    let changed =
        project.git_says(&["diff", "--unified=0", "--", "work/tasks/wait.md", "work/tasks/next.md"]).await;
    for line in changed.lines().filter(|line| line.starts_with(['+', '-'])) {
        let line = line.trim_start_matches(['+', '-', ' ']);
        let own = ["status:", "assigned_to:", "a/", "b/"];
        assert!(line.is_empty() || own.iter().any(|start| line.starts_with(start)), "{changed}");
    }
    let log = project.git_says(&["log", "--format=%s", "main", "--", "work/tasks"]).await;
    assert_eq!(log, "meanwhile\nbegin");
    // It said what it saw.
    let events = project.tanuki(&["events", "-n", "300"]).await.ok();
    let _told = events
        .says("its file has another prompt")
        .says("its file is new: work/tasks/more.md")
        .says("its file is gone: nobody works on it any more")
        .says("is gone; another one goes on")
        .says("the branch 'main' has commits that are not of a task's merge");
}
