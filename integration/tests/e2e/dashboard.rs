//! The dashboard on a terminal: what happens elsewhere shows, keys do what they say, and the terminal is given back.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, kill};
use tanuki_integration::terminal::Terminal;

/// How long a database may take to come up on a busy machine.
const LONG: Duration = Duration::from_secs(60);

on_every_engine!(services_are_watched_and_kept_from_the_dashboard);

mod with_agents {
    use super::{agents_are_watched_and_worked_with, tasks_are_watched_to_their_end};

    where_agents_run!(agents_are_watched_and_worked_with, tasks_are_watched_to_their_end);
}

/// The cell of the screen that something has in its list: the line as far as its pane goes.
fn row<'a>(screen: &'a str, name: &str) -> &'a str {
    let is = |cell: &&str| cell.trim_start_matches(['>', ' ']).split_whitespace().nth(1) == Some(name);
    screen.lines().flat_map(|line| line.split('│')).find(is).unwrap_or_default()
}

/// A dashboard in a terminal of its own.
async fn open(project: &Project) -> Terminal {
    let terminal = Terminal::new(project).await;
    begin(project, &terminal).await;
    terminal
}

/// Opens the dashboard; what the terminal was like before is noted.
async fn begin(project: &Project, terminal: &Terminal) {
    terminal.line("stty -a | md5sum > ../before").await;
    let program = project.command(&[]).as_std().get_program().display().to_string();
    // By the file its process is known.
    terminal.line(&format!("sh -c 'echo $$ >../pid; exec {program} dashboard'")).await;
    let _drawn = terminal.until("the dashboard", |screen| screen.contains("Agents [")).await;
}

/// It ended with this code, and the terminal is as it was before.
async fn ended(terminal: &Terminal, code: u8) {
    let back = |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.trim() == "ready$");
    let _back = terminal.until("the shell's prompt", back).await;
    terminal.line("echo ended with $?").await;
    let end = format!("ended with {code}");
    let _end = terminal.until("how it ended", |screen| screen.lines().any(|line| line == end)).await;
    terminal.line("stty -a | md5sum | cmp - ../before && echo as it was").await;
    let as_it_was = |screen: &str| screen.lines().any(|line| line == "as it was");
    let _as_it_was = terminal.until("the terminal as it was", as_it_was).await;
}

async fn press(terminal: &Terminal, keys: &[&str]) {
    for key in keys {
        terminal.key(key).await;
    }
}

/// Any size will do.
async fn resize(terminal: &Terminal, whole: &str) {
    for (columns, rows) in [(48, 12), (10, 3), (1, 1), (80, 24), (200, 60), (100, 30)] {
        terminal.resize(columns, rows).await;
    }
    let _whole = terminal.until("the whole screen again", |screen| screen.contains(whole)).await;
}

async fn services_are_watched_and_kept_from_the_dashboard(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let terminal = open(&project).await;
    let _drawn = terminal.until("the service", |screen| row(screen, "postgres").contains("stopped")).await;

    // Started here, seen healthy here.
    press(&terminal, &["4", "S"]).await;
    // A first start takes longer than anything else here.
    let healthy = |status: &Value| status["health"] == "healthy";
    let before = project.until("postgres", "healthy", LONG, healthy).await;
    let _healthy =
        terminal.until("a healthy service", |screen| row(screen, "postgres").contains("healthy")).await;
    let _output = terminal.until("its output", |screen| screen.contains("ready to accept connections")).await;

    // Killed elsewhere: it fails, and comes back.
    project.kill_main_process("postgres").await;
    let _failed =
        terminal.until("the failure", |screen| !row(screen, "postgres").contains("● postgres")).await;
    let _again = project.until_restarted("postgres", &before, LONG).await;
    let is_back = |screen: &str| {
        let row = row(screen, "postgres");
        row.contains("healthy") && row.contains("1 restart")
    };
    let _back = terminal.until("the recovery", is_back).await;
    resize(&terminal, "Agents [0]").await;

    // The whole terminal for psql, and back.
    terminal.key("c").await;
    let _prompt = terminal.until("psql's prompt", |screen| screen.contains("tanuki_dev=#")).await;
    terminal.line("select 6 * 7 as answer;").await;
    let _answer = terminal.until("the answer", |screen| screen.contains("(1 row)")).await;
    terminal.key("C-d").await;
    let _back = terminal.until("the dashboard again", |screen| screen.contains("back from postgres")).await;

    // The shell and back.
    terminal.key("C-z").await;
    let _shell = terminal.until("the shell", |screen| screen.contains("Stopped")).await;
    terminal.line("fg").await;
    let _back =
        terminal.until("the dashboard from the shell", |screen| screen.contains("Services [1]")).await;

    // Without a controller it says so, and finds another one.
    assert!(project.kill_controller(), "a controller runs");
    let _stale = terminal.until("that it is stale", |screen| screen.contains("STALE: no controller")).await;
    let back = |screen: &str| screen.contains("the controller is back") && !screen.contains("STALE");
    let _back = terminal.until("another controller", back).await;

    // What takes something away asks.
    press(&terminal, &["s", "n", "s", "y"]).await;
    let _stopped = terminal.until("the stop", |screen| row(screen, "postgres").contains("stopped")).await;

    terminal.key("q").await;
    ended(&terminal, 0).await;
}

async fn agents_are_watched_and_worked_with(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("one.txt", "one\n")]).await;
    let terminal = open(&project).await;
    let _empty = terminal.until("that there are none", |screen| screen.contains("no agents yet")).await;

    // Made and set to work elsewhere.
    let _made = project.spawn("api").await;
    let _there = terminal.until("the agent", |screen| row(screen, "api").contains("○ api   [idle]")).await;
    let script =
        "for n in 1 2 3; do echo said $n; done; until test -e /tmp/go; do sleep 0.1; done; echo over";
    let _begun = project.tanuki(&["run", "api", "--detach", script]).await.ok();
    let at_work =
        |screen: &str| row(screen, "api").contains("● api   [working]") && screen.contains("] said 3");
    let _works = terminal.until("its run and its output", at_work).await;
    resize(&terminal, "] said 3").await;
    let _go = project.inside("api", "touch /tmp/go").await.ok();
    let over = |screen: &str| row(screen, "api").contains("[idle]") && screen.contains("] over");
    let _over = terminal.until("the end of its run", over).await;

    // What takes something away asks; what brings it back does not.
    press(&terminal, &["s", "n", "s", "y"]).await;
    let is = |state, told| move |screen: &str| row(screen, "api").contains(state) && screen.contains(told);
    let _stopped = terminal.until("the stop", is("[stopped]", "api is stopped")).await;
    terminal.key("S").await;
    let _started = terminal.until("the start", is("[idle]", "api is started")).await;

    // The whole terminal for a shell, and back.
    terminal.key("a").await;
    let _away = terminal.until("the terminal free", |screen| !screen.contains("Agents [1]")).await;
    terminal.line("echo the shell of $TANUKI_AGENT in $PWD").await;
    let _inside =
        terminal.until("the shell", |screen| screen.contains("the shell of api in /workspace")).await;
    terminal.line("echo two >two.txt; git add -A; git commit -qm two; echo three >three.txt; exit").await;
    let _back = terminal.until("the dashboard again", |screen| screen.contains("back from api")).await;

    // What came of it, committed and not.
    terminal.key("d").await;
    let diff = |screen: &str| screen.contains("Diff of api") && screen.contains("+two");
    let _diff = terminal.until("the diff", diff).await;
    terminal.key("]").await;
    let _next = terminal.until("the next file", |screen| screen.contains("2/2 two.txt +1 -0")).await;
    press(&terminal, &["q", "m"]).await;
    let _ahead = terminal.until("what would happen", |screen| screen.contains("enter merge")).await;
    terminal.key("Enter").await;
    let _merged = terminal.until("what happened", |screen| screen.contains("It is merged.")).await;
    assert_eq!(project.git_says(&["show", "main:two.txt"]).await, "two");
    press(&terminal, &["q", "r"]).await;

    // A prompt of several lines is a run.
    let _prompt = terminal.until("where it is typed", |screen| screen.contains("Run api")).await;
    terminal.line("echo typed in the dashboard").await;
    let _ran = terminal.until("its output", |screen| screen.contains("] typed in the dashboard")).await;
    let _idle = terminal.until("the end of its run", |screen| row(screen, "api").contains("[idle]")).await;

    // It is not gone before it is agreed to, and its uncommitted work is known.
    terminal.key("x").await;
    let _asked = terminal.until("the question", |screen| screen.contains("Sure?")).await;
    press(&terminal, &["y", "f"]).await;
    let _gone = terminal.until("the end of it", |screen| screen.contains("no agents yet")).await;
    terminal.key("q").await;
    ended(&terminal, 0).await;
}

const CONFIG: &str = "  worker: { kind: command, run: [sh, work.sh] }
limits: { agents: 4, working: 2 }
";

/// Each task waits until it may end.
const WORK: &str = r#"
cat >/dev/null
echo "working on $TANUKI_TASK"
until test -e "/tmp/go-$TANUKI_TASK"; do sleep 0.1; done
echo done >"$TANUKI_TASK.txt"
"#;

async fn tasks_are_watched_to_their_end(engine: Engine) {
    let task = |id: &str, rest: &str| {
        let text = format!("---\nid: {id}\ntitle: Do {id}\nrole: backend\n{rest}---\nDo {id}.\n");
        (format!(".tanuki/tasks/{id}.md"), text)
    };
    let tasks = [
        task("first", "completion: { verify: 'test -f first.txt' }\n"),
        // Nothing can tell whether this one is done.
        task("last", "depends_on: [first]\n"),
    ];
    let files = tasks.iter().map(|(path, text)| (path.as_str(), text.as_str())).chain([("work.sh", WORK)]);
    let files: Vec<_> = files.collect();
    let project = Project::with_agents(engine, CONFIG, &files).await;
    let text = std::fs::read_to_string(project.root.join("tanuki.yaml")).unwrap();
    project.configure(&text.replace("agent: shell", "agent: worker"));
    project.commit("let workers do it").await;
    let terminal = open(&project).await;
    let pending = |screen: &str| row(screen, "first").contains("○ first") && screen.contains("Tasks [2]");
    let _pending = terminal.until("the tasks", pending).await;

    // Begun by name; agents come by themselves.
    terminal.key(":").await;
    terminal.line("project hand out tasks").await;
    let begun = |screen: &str| row(screen, "first").contains("◐ first") && screen.contains("→ first");
    let _begun = terminal.until("the first task in progress", begun).await;
    press(&terminal, &["2", "Enter"]).await;
    let _details = terminal
        .until("what is known of it", |screen| {
            screen.contains("Task first") && screen.contains("in_progress")
        })
        .await;
    press(&terminal, &["q", "l"]).await;
    let _output = terminal.until("its output", |screen| screen.contains("] working on first")).await;
    resize(&terminal, "] working on first").await;

    for id in ["first", "last"] {
        let working = |screen: &str| row(screen, id).contains(&format!("◐ {id}"));
        let _working = terminal.until("the task in progress", working).await;
        let shown = project.tanuki(&["task", "list", "-o", "json"]).await.ok().json();
        let task = shown.as_array().unwrap().iter().find(|task| task["id"] == id).unwrap();
        let agent = task["assigned_to"].as_str().unwrap();
        let _go = project.inside(agent, &format!("touch /tmp/go-{id}")).await.ok();
    }
    let verified = |screen: &str| row(screen, "first").contains("✓ first");
    let _verified = terminal.until("the first task complete", verified).await;
    let in_review = |screen: &str| row(screen, "last").contains("◑ last");
    let _in_review = terminal.until("the last task in review", in_review).await;
    press(&terminal, &["2", "G", "p"]).await;
    let approved = |screen: &str| row(screen, "last").contains("✓ last") && screen.contains("2/2 tasks done");
    let _approved = terminal.until("everything done", approved).await;
    terminal.key("q").await;
    ended(&terminal, 0).await;
}

/// No engine is needed for it, only one that is there.
#[tokio::test]
async fn signals_give_the_terminal_back() {
    let project = Project::new(Engine::Docker, "services: {}\n").await;
    let terminal = Terminal::new(&project).await;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        begin(&project, &terminal).await;
        let pid = std::fs::read_to_string(project.base().join("pid")).unwrap();
        kill(pid.trim().parse().unwrap(), signal);
        ended(&terminal, code).await;
        terminal.line("clear").await;
        let _clear = terminal.until("a clear screen", |screen| screen.trim() == "ready$").await;
    }
}
