//! What is told of agents: that one waits for a person, that one has work not committed, that one cannot begin.

use std::time::Duration;

use serde_json::Value;
use tanuki_integration::agents::model_service;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project};
use tanuki_integration::terminal::Terminal;

where_agents_run!(
    a_run_that_waits_for_a_person_is_told_of,
    a_permission_that_claude_asks_for_is_told_of,
    work_that_is_not_committed_is_told_of,
    what_cannot_begin_is_refused_at_once,
    services_are_found_by_name_or_that_is_said,
);

const SOON: Duration = Duration::from_secs(30);

fn waits(what: &str) -> impl Fn(&Value) -> bool {
    let what = what.to_owned();
    move |agent| agent["waiting"].as_str().is_some_and(|waiting| waiting.contains(&what))
}

fn goes_on(agent: &Value) -> bool {
    agent["waiting"].is_null()
}

async fn a_run_that_waits_for_a_person_is_told_of(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    let script = "echo 'which colour?' >$TANUKI_WAITING; until test -e /tmp/told; do sleep 0.1; done
                  rm $TANUKI_WAITING; until test -e /tmp/end; do sleep 0.1; done";
    let _begun = project.tanuki(&["run", "api", "--detach", script]).await.ok();
    let agent = project.until_agent("api", "waiting", SOON, waits("which colour?")).await;
    let condition =
        agent["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "WaitingForPerson");
    assert_eq!(condition.map(|condition| &condition["status"]), Some(&"True".into()), "{agent:#}");
    let _listed = project.tanuki(&["list"]).await.ok().says("waits for a person: which colour?");
    let _shown = project.tanuki(&["status", "api"]).await.ok().says("a person: which colour?");
    let _events = project.tanuki(&["events"]).await.ok().says("WaitsForPerson").says("which colour?");

    let _told = project.inside("api", "touch /tmp/told").await.ok();
    let agent = project.until_agent("api", "going on", SOON, goes_on).await;
    assert_eq!(agent["state"], "working", "{agent:#}");
    let _ended = project.inside("api", "touch /tmp/end").await.ok();
    project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;

    // Nobody waits any more when the run is over, whatever it left.
    let _ran = project.tanuki(&["run", "api", "echo for ever >$TANUKI_WAITING"]).await.ok();
    project.until_agent("api", "over", SOON, goes_on).await;
    // What the agent puts there leads nowhere.
    let hostile = "ln -s /etc/passwd /tanuki/runs/waiting.3; mkdir /tanuki/runs/waiting.4; sleep 1";
    let _ran = project.tanuki(&["run", "api", hostile]).await.ok();
    assert!(goes_on(&project.agent("api").await));
}

async fn a_permission_that_claude_asks_for_is_told_of(engine: Engine) {
    let roles = "roles: { careful: { allowed_tools: [Read, 'Bash(git:*)'] } }\n";
    let config = format!("services:\n{}{roles}", model_service());
    let mut project = Project::with_agents(engine, &config, &[("a.txt", "a\n")]).await;
    project.env.insert("ANTHROPIC_BASE_URL".to_owned(), "http://model:8080".to_owned());
    project
        .env
        .insert("ANTHROPIC_API_KEY".to_owned(), "sk-ant-not-a-key-but-long-enough-to-be-one".to_owned());
    let _started = project.start().await;
    let _made = project.tanuki(&["spawn", "api", "--agent", "claude", "--role", "careful"]).await.ok();
    project.until_named("api", "model").await;

    let terminal = Terminal::new(&project).await;
    terminal.line(&format!("{} attach api --agent", project.binary().display())).await;
    let _prompt = terminal.until("claude", |screen| screen.contains("Claude Code")).await;
    terminal.line("STUB: run touch asked").await;
    project.until_agent("api", "waiting", SOON, waits("permission to use Bash: touch asked")).await;
    let _listed = project.tanuki(&["list"]).await.ok().says("waits for a person").says("touch asked");
    terminal.key("Enter").await;
    project.until_agent("api", "going on", SOON, goes_on).await;
    let _done = terminal.until("the answer", |screen| screen.contains("Done.")).await;
    assert!(project.workspace("api").join("asked").exists());

    // One that is killed while it asks waits for nobody.
    terminal.line("STUB: run touch again").await;
    project.until_agent("api", "waiting again", SOON, waits("touch again")).await;
    let _killed = project.inside("api", "kill -9 $(pidof claude)").await.ok();
    project.until_agent("api", "over", SOON, goes_on).await;

    // Without a person at the terminal nothing is asked: what is not allowed is denied.
    let denied = project.tanuki(&["run", "api", "STUB: run touch denied"]).await.code(1);
    let _told = denied.says("denied");
    let events = project.tanuki(&["events"]).await.ok().never_says("touch denied");
    assert_eq!(events.stdout.matches("permission to use Bash").count(), 2, "{events}");

    // A shell has a prompt that names the agent, whether the image knows the user or not.
    terminal.line(&format!("clear; {} attach api", project.binary().display())).await;
    let shown = terminal.until("a prompt", |screen| screen.contains("/workspace$")).await;
    assert!(!shown.contains("I have no name"), "{shown}");
    // Whatever was started from it, it waits no longer than the shell is there.
    terminal.line("echo by hand >$TANUKI_WAITING").await;
    project.until_agent("api", "waiting by hand", SOON, waits("by hand")).await;
    terminal.line("exit 7").await;
    project.until_agent("api", "over", SOON, goes_on).await;
    // What is typed before would go where the shell was.
    let back = |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.trim() == "ready$");
    let _back = terminal.until("the prompt again", back).await;
    terminal.line("echo ended with $?").await;
    let _code = terminal.until("the exit code", |screen| screen.contains("ended with 7")).await;
}

async fn work_that_is_not_committed_is_told_of(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    let _ran = project.tanuki(&["run", "api", "echo b >b.txt"]).await.ok();
    let agent = project.agent("api").await;
    assert_eq!(agent["dirty"], false, "{agent:#}");
    let _clean = project.tanuki(&["list"]).await.ok().never_says("not committed");

    let _left = project.inside("api", "echo c >c.txt").await.ok();
    let agent = project.agent("api").await;
    assert_eq!(agent["dirty"], true, "{agent:#}");
    let _listed = project.tanuki(&["list"]).await.ok().says("not committed").says("tanuki diff api");
    let _shown = project.tanuki(&["status", "api"]).await.ok().says("not committed");
    let refused = project.tanuki(&["remove", "api", "--yes"]).await.code(1).says("c.txt");
    let _told = refused.says("tanuki attach api").never_says("brings it over");
    let _merged = project.tanuki(&["merge", "api"]).await.ok().says("not committed").says("c.txt");
    assert_eq!(project.git_says(&["ls-files", "*.txt"]).await, "a.txt\nb.txt");

    // Somebody who writes there without Tanuki is seen by whoever asks for this agent, or for what it changed.
    std::fs::remove_file(project.workspace("api").join("c.txt")).unwrap();
    let _shown = project.tanuki(&["status", "api"]).await.ok().says("everything is committed");
    std::fs::write(project.workspace("api").join("d.txt"), "d\n").unwrap();
    let _shown = project.tanuki(&["diff", "api", "--name-only"]).await.ok().says("d.txt");
    assert_eq!(project.agent("api").await["dirty"], true);
    // Also where no controller runs.
    let _ended = project.tanuki(&["stop", "api"]).await.ok();
    let _started = project.tanuki(&["start", "api"]).await.ok();
    project.kill_controller();
    std::fs::remove_file(project.workspace("api").join("d.txt")).unwrap();
    let shown = project.tanuki(&["status", "api", "-o", "json"]).await.ok().json();
    assert_eq!(shown["dirty"], false, "{shown:#}");
}

async fn what_cannot_begin_is_refused_at_once(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    let _stopped = project.tanuki(&["stop", "api"]).await.ok();
    let _refused = project.tanuki(&["run", "api", "true"]).await.code(1).says("tanuki start api");
    assert_eq!(project.runs().await, Vec::<Value>::new());
    let _started = project.tanuki(&["start", "api"]).await.ok();
    for word in ["one", "two"] {
        let _ran = project.tanuki(&["run", "api", &format!("echo {word}")]).await.ok();
    }
    // Without a run named, all of them.
    let _shown = project.tanuki(&["logs", "api"]).await.ok().says("one").says("two");
    let _shown = project.tanuki(&["logs", "api", "--run", "api-2"]).await.ok().never_says("one").says("two");
    let _down = project.tanuki(&["down"]).await.ok().says("Stopping agents...").never_says("services");
}

async fn services_are_found_by_name_or_that_is_said(engine: Engine) {
    let project = Project::with_agents(engine, POSTGRES, &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    let _started = project.start().await;
    // At once, and after its container is another one.
    for _ in 0..2 {
        let found = project.inside("api", "getent hosts tanuki-svc-postgres").await;
        assert!(found.code == 0 || found.stderr.contains("not found by name"), "{found}");
        let _again = project.tanuki(&["service", "restart", "postgres"]).await.ok();
    }
}
