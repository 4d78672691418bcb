//! Runs: followed and left alone, ended in every way, over controllers that are killed.
//!
//! The agents here run their prompts as shell scripts.

use std::time::Duration;

use rustix::process::Signal;
use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, kill, repeat, variable};
use tanuki_integration::terminal::Terminal;
use tokio::io::{AsyncBufReadExt, BufReader};

where_agents_run!(
    work_lands_on_the_agents_branch,
    a_run_that_is_ended_leaves_no_process,
    a_run_ends_with_its_agent,
    leaving_does_not_end_a_run,
    a_terminal_that_closes_does_not_end_a_run,
    a_loop_ends_when_the_work_is_done,
    a_killed_controller_loses_nothing_of_a_run,
    a_run_that_begins_or_ends_with_the_controller_happens_once,
    strange_output_is_no_success,
);

const SOON: Duration = Duration::from_secs(30);

/// Exit code of a loop that used up its iterations.
const LIMIT: i32 = 5;

async fn project(engine: Engine) -> Project {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    project
}

async fn work_lands_on_the_agents_branch(engine: Engine) {
    let project = project(engine).await;
    let script = "echo id=$TANUKI_RUN iteration=$TANUKI_ITERATION; echo committed >one.txt; git add one.txt
                  git commit -qm 'By the agent'; echo left >two.txt; echo complaint >&2";
    let ran = project.tanuki(&["run", "api", script]).await.ok();
    let _told = ran.says("id=api-1 iteration=1").says("complaint");
    let agent = project.agent("api").await;
    assert_eq!((&agent["state"], &agent["run"]), (&"idle".into(), &serde_json::Value::Null), "{agent:#}");
    // In the user's repository, with what the agent itself did not commit.
    assert_eq!(project.git_says(&["show", "tanuki/api:one.txt"]).await, "committed");
    assert_eq!(project.git_says(&["show", "tanuki/api:two.txt"]).await, "left");
    let log = project.git_says(&["log", "--format=%s", "main..tanuki/api"]).await;
    assert!(log.lines().any(|line| line == "By the agent"), "{log}");
    assert_eq!(project.git_says(&["status", "--porcelain"]).await, "", "the user's checkout is as it was");

    let failed = project.tanuki(&["run", "api", "echo last words; exit 3"]).await.code(1);
    let _told = failed.says("exit code 3").says("last words");
    let runs = project.runs().await;
    let of = |key: &str| runs.iter().map(|run| run[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("id"), ["api-1", "api-2"], "{runs:#?}");
    assert_eq!(of("state"), ["succeeded", "failed"], "{runs:#?}");
    let _shown = project.tanuki(&["logs", "api"]).await.ok().says("last words");
    let _shown = project.tanuki(&["logs", "api", "--run", "api-1"]).await.ok().never_says("last words");

    let _refused = project.tanuki(&["run", "api", " "]).await.code(2).says("empty");
    let _refused = project.tanuki(&["run", "api", "-f", "missing.md"]).await.code(2).says("missing.md");
    let _refused = project.tanuki(&["run", "nobody", "true"]).await.code(2).says("nobody");
    project.write("prompt.txt", "echo from a file");
    let _read = project.tanuki(&["run", "api", "-f", "prompt.txt"]).await.ok().says("from a file");
    let _read = project.tanuki_with(&["run", "api", "-"], "echo from a pipe").await.ok().says("from a pipe");
}

/// How many processes of a run are there, in its own session or out of it.
async fn sleepers(project: &Project) -> usize {
    let shown = project.inside("api", "ps -eo args").await.ok().stdout;
    shown.lines().filter(|line| *line == "sleep 1000").count()
}

async fn a_run_that_is_ended_leaves_no_process(engine: Engine) {
    let project = project(engine).await;
    // In the background, in a session of its own, and deaf to what is polite.
    let script = "trap '' TERM INT HUP; sleep 1000 & setsid sleep 1000 & echo begun; sleep 1000";
    let begun = project.tanuki(&["run", "api", "--detach", script]).await.ok();
    assert_eq!(begun.stdout, "api-1\n");
    project.until_agent("api", "working", SOON, |agent| agent["state"] == "working").await;
    let deadline = tokio::time::Instant::now() + SOON;
    while sleepers(&project).await < 3 {
        assert!(tokio::time::Instant::now() < deadline, "the script does not begin");
    }
    let _busy = project.tanuki(&["run", "api", "true"]).await.code(1).says("api-1");
    let _refused = project.tanuki(&["remove", "api", "--yes"]).await.code(1).says("run");
    let _stopped = project.tanuki(&["run", "stop", "api"]).await.ok().says("api-1");
    assert_eq!(sleepers(&project).await, 0);
    let agent = project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;
    assert_eq!(agent["last_run"]["state"], "stopped", "{agent:#}");

    let late = project.tanuki(&["run", "api", "--timeout", "2s", "setsid sleep 1000 & sleep 1000"]).await;
    let _told = late.code(4).says("timeout");
    assert_eq!(sleepers(&project).await, 0);
    let _next = project.tanuki(&["run", "api", "true"]).await.ok();
}

async fn a_run_ends_with_its_agent(engine: Engine) {
    let project = project(engine).await;
    for (verb, after) in [("stop", "stopped"), ("restart", "idle")] {
        let _started = project.tanuki(&["start", "api"]).await.ok();
        let script = "echo kept >>kept.txt; trap '' TERM; setsid sleep 1000 & sleep 1000";
        let id = project.tanuki(&["run", "api", "--detach", script]).await.ok().stdout.trim().to_owned();
        project.until_agent("api", "working", SOON, |agent| agent["state"] == "working").await;
        while sleepers(&project).await < 2 {}
        let _done = project.tanuki(&[verb, "api"]).await.ok();
        let agent = project.until_agent("api", after, SOON, |agent| agent["state"] == after).await;
        assert_eq!(
            (&agent["last_run"]["id"], &agent["run"]),
            (&id.into(), &serde_json::Value::Null),
            "{agent:#}"
        );
        assert_ne!(agent["last_run"]["state"], "succeeded", "{agent:#}");
    }
    assert_eq!(sleepers(&project).await, 0);
    assert_eq!(project.inside("api", "cat kept.txt").await.ok().stdout, "kept\nkept\n");
}

async fn leaving_does_not_end_a_run(engine: Engine) {
    let project = project(engine).await;
    let script = "echo begun; until test -e /tmp/go; do sleep 0.1; done; echo over";
    let mut following = project.command(&["run", "api", "--follow", script]);
    following.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    following.stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut following = following.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    while lines.next_line().await.unwrap().expect("the output ends early") != "begun" {}
    kill(following.id().unwrap(), Signal::INT);
    let left = following.wait_with_output().await.unwrap();
    assert_eq!(left.status.code(), Some(130), "{left:?}");
    let told = String::from_utf8_lossy(&left.stderr);
    assert!(told.contains("the run goes on") && told.contains("run stop api"), "{told}");
    assert_eq!(project.agent("api").await["state"], "working");

    // Another one who follows sees it from the beginning to the end.
    let mut logs = project.command(&["logs", "api", "--follow", "--run", "api-1"]);
    let logs = async { command::run(std::mem::replace(&mut logs, project.command(&[])), None, SOON).await };
    let go = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        project.inside("api", "touch /tmp/go").await.ok()
    };
    let (logs, _went) = tokio::join!(logs, go);
    let _told = logs.ok().says("begun").says("over");
    let agent = project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;
    assert_eq!(agent["last_run"]["state"], "succeeded", "{agent:#}");
}

async fn a_terminal_that_closes_does_not_end_a_run(engine: Engine) {
    let project = project(engine).await;
    let terminal = Terminal::new(&project).await;
    // The controller is a child of this terminal's, too.
    let _killed = project.kill_controller();
    let program = project.binary();
    let script = "echo begun $TANUKI_RUN; until test -e /tmp/$TANUKI_RUN; do sleep 0.1; done; echo over";
    terminal.line(&format!("{} run api --follow '{script}'", program.display())).await;
    let begun = |id: &'static str| move |screen: &str| screen.contains(&format!("begun {id}"));
    let _begun = terminal.until("the run", begun("api-1")).await;
    terminal.key("C-c").await;
    let left = |screen: &str| screen.contains("the run goes on") && screen.contains("run stop api");
    let _left = terminal.until("that it goes on", left).await;
    let agent = project.agent("api").await;
    assert_eq!((&agent["state"], &agent["run"]["id"]), (&"working".into(), &"api-1".into()), "{agent:#}");
    let _go = project.inside("api", "touch /tmp/api-1").await.ok();
    project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;

    terminal.line(&format!("clear; {} run api --follow '{script}'", program.display())).await;
    let _begun = terminal.until("the next run", begun("api-2")).await;
    let controller = project.controller();
    drop(terminal);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(project.agent("api").await["state"], "working");
    assert_eq!((project.controller(), controller.is_some()), (controller, true));
    let _go = project.inside("api", "touch /tmp/api-2").await.ok();
    let agent = project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;
    assert_eq!(agent["last_run"]["state"], "succeeded", "{agent:#}");
    let _told = project.tanuki(&["logs", "api", "--run", "api-2"]).await.ok().says("over");
}

async fn a_loop_ends_when_the_work_is_done(engine: Engine) {
    let project = project(engine).await;
    let script = "echo $TANUKI_ITERATION >>count; echo; echo DONE";
    let args = ["run", "api", "--loop", "--verify", "test $(wc -l <count) -ge 3", "--signal", "DONE", script];
    let _done = project.tanuki(&args).await.ok();
    let runs = project.runs().await;
    assert_eq!((&runs[0]["iteration"], &runs[0]["verified"]), (&3.into(), &true.into()), "{runs:#?}");
    assert_eq!(project.git_says(&["show", "tanuki/api:count"]).await, "1\n2\n3");

    // The agent's word alone is not enough, and the limit is a failure of its own.
    let args = ["run", "api", "--loop", "--verify", "false", "--max-iterations", "2", "echo DONE"];
    let _limit = project.tanuki(&args).await.code(LIMIT).says("--max-iterations");
    let runs = project.runs().await;
    assert_eq!(runs[1]["iteration"], 2, "{runs:#?}");
    let args = ["run", "api", "--loop", "--signal", "DONE", "--max-iterations", "1", "echo not DONE yet"];
    let _limit = project.tanuki(&args).await.code(LIMIT);
    let _usage = project.tanuki(&["run", "api", "--loop", "true"]).await.code(2).says("--verify");
}

async fn a_killed_controller_loses_nothing_of_a_run(engine: Engine) {
    let project = project(engine).await;
    let mut moments = Moments::new();
    let seed = moments.seed;
    let script = "n=0; until test -e /tmp/go; do n=$((n+1)); echo line $n; sleep 0.05; done
                  echo $n >count; echo $TANUKI_RUN >>once";
    let _begun = project.tanuki(&["run", "api", "--detach", script]).await.ok();
    let mut killed = 0;
    for _ in 0..repeat("TANUKI_E2E_KILLS", 4) {
        moments.next(1200).await;
        killed += u32::from(project.kill_controller());
        // A command that needs the controller starts it again.
        let _env = project.environment("api").await;
    }
    assert!(killed > 0, "no controller ran");
    let _go = project.inside("api", "touch /tmp/go").await.ok();
    moments.next(1200).await;
    let _killed = project.kill_controller();
    let _env = project.environment("api").await;
    project.until_agent("api", "idle", SOON * 2, |agent| agent["state"] == "idle").await;
    let runs = project.runs().await;
    assert_eq!((runs.len(), &runs[0]["state"]), (1, &"succeeded".into()), "seed {seed} {runs:#?}");
    let shown = project.tanuki(&["logs", "api", "--run", "api-1", "-n", "100000"]).await.ok().stdout;
    let told: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("line ")).collect();
    let lines: u32 = project.git_says(&["show", "tanuki/api:count"]).await.parse().unwrap();
    let wanted: Vec<String> = (1..=lines).map(|n| n.to_string()).collect();
    assert_eq!(told, wanted, "seed {seed} {shown}");
    assert_eq!(shown.matches("begins").count(), 1, "{shown}");
    assert_eq!(project.git_says(&["show", "tanuki/api:once"]).await, "api-1");
}

async fn a_run_that_begins_or_ends_with_the_controller_happens_once(engine: Engine) {
    let project = project(engine).await;
    let mut moments = Moments::new();
    let seed = moments.seed;
    let count = repeat("TANUKI_E2E_KILLS", 4);
    for nth in 0..count {
        let script = format!("echo {nth} >>once; echo said {nth}");
        let (begun, _killed) = tokio::join!(project.tanuki(&["run", "api", "--detach", &script]), async {
            moments.next(1000).await;
            project.kill_controller()
        });
        let _begun = begun.ok();
        let _env = project.environment("api").await;
        project.until_agent("api", "idle", SOON * 2, |agent| agent["state"] == "idle").await;
    }
    let runs = project.runs().await;
    let states: Vec<&str> = runs.iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, vec!["succeeded"; count as usize], "seed {seed} {runs:#?}");
    let numbers: Vec<String> = (0..count).map(|nth| nth.to_string()).collect();
    assert_eq!(project.git_says(&["show", "tanuki/api:once"]).await, numbers.join("\n"), "seed {seed}");
    for (nth, run) in runs.iter().enumerate() {
        let shown = project.tanuki(&["logs", "api", "--run", run["id"].as_str().unwrap()]).await.ok();
        let said = format!("said {nth}");
        let times = shown.stdout.lines().filter(|line| *line == said).count();
        assert_eq!(times, 1, "seed {seed} {shown}");
    }
}

/// Moments nobody chose. `TANUKI_E2E_SEED` chooses them again.
struct Moments {
    seed: u32,
    state: u64,
}

impl Moments {
    fn new() -> Self {
        let seed = variable("TANUKI_E2E_SEED").unwrap_or_else(std::process::id);
        Self { seed, state: u64::from(seed) | 1 }
    }

    /// Waits for less than so many milliseconds.
    async fn next(&mut self, most: u64) {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let millis = (self.state >> 33) % most;
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

async fn strange_output_is_no_success(engine: Engine) {
    let project = project(engine).await;
    let _killed = project.tanuki(&["run", "api", "kill -9 $$"]).await.code(1).says("killed");
    let _missing = project.tanuki(&["run", "api", "exec /no/such/program"]).await.code(1).says("127");
    // These are read to their end, and are in nobody's way.
    let _long =
        project.tanuki(&["run", "api", "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end"]).await;
    let _long = _long.ok().says("end");
    let _bytes = project.tanuki(&["run", "api", r"printf '\377\376\000 bytes\n\033[31mred\n'"]).await.ok();
    let shown = project.tanuki(&["logs", "api", "--run", "api-4"]).await.ok().says("bytes");
    assert!(!shown.stdout.contains('\u{1b}'), "{shown}");
    // What the host reads as a result is not taken from a link that the agent made.
    let script = "cd /tanuki/runs/$TANUKI_RUN* && rm -f stdout && ln -s /etc/passwd stdout; sleep 0.3";
    let _linked = project.tanuki(&["run", "api", script]).await;
    let _shown = project.tanuki(&["logs", "api"]).await.never_says("root:x:0");
}
