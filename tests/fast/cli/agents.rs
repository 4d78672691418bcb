//! Commands for agents: what can be typed, what is shown, and how a run's end is told.

use clap::Parser as _;
use jiff::tz::TimeZone;
use tanuki::cli::agent::{RunCommand, run_failure};
use tanuki::cli::output::Tone;
use tanuki::cli::render::{
    StatusView, render_agent, render_agents, render_diff, render_line, render_run, render_runs,
    render_tasks_line,
};
use tanuki::cli::{Cli, CliError, Command, Exit};
use tanuki::model::{
    AgentState, AgentStatus, Completion, Condition, ConditionStatus, Desired, OutputKind, OutputLine,
    Priority, Rejected, RunFailure, RunRecord, RunState, TaskState, TaskStatus, Time, Usage,
};

use super::{NOW, snapshot};

/// An agent with nothing to do.
pub(super) fn idle(name: &str) -> AgentStatus {
    AgentStatus {
        name: name.to_owned(),
        state: AgentState::Idle,
        desired: Desired::Running,
        role: None,
        workstream: None,
        adapter: "claude".to_owned(),
        model: None,
        image: "tanuki-agent:1".to_owned(),
        branch: format!("tanuki/{name}"),
        base: "refs/heads/main".to_owned(),
        base_commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        head: Some("fedcba9876543210fedcba9876543210fedcba98".to_owned()),
        ahead: Some(0),
        behind: Some(0),
        dirty: Some(false),
        container: format!("tanuki-agent-{name}"),
        container_id: Some("c0ffee".to_owned()),
        workspace: format!("/home/ann/shop/.tanuki/workspaces/{name}"),
        started_at: Some(Time(NOW.0 - 125_000)),
        run: None,
        last_run: None,
        task: None,
        stale_environment: false,
        out_of_date: Vec::new(),
        missing_services: Vec::new(),
        waiting: None,
        reason: "Idle".to_owned(),
        message: String::new(),
        generation: 1,
        conditions: Vec::new(),
    }
}

pub(super) fn run(id: &str, state: RunState) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        agent: id.rsplit_once('-').unwrap().0.to_owned(),
        task: None,
        adapter: "claude".to_owned(),
        title: "Make the login page remember who was there last".to_owned(),
        state,
        failure: None,
        message: String::new(),
        created_at: Time(NOW.0 - 300_000),
        started_at: Some(Time(NOW.0 - 240_000)),
        ended_at: state.is_over().then_some(Time(NOW.0 - 60_000)),
        iteration: 1,
        max_iterations: 1,
        exit_code: state.is_over().then_some(0),
        usage: Usage::default(),
        session: None,
        verified: None,
    }
}

fn failed(failure: RunFailure, message: &str) -> RunRecord {
    RunRecord { failure: Some(failure), message: message.to_owned(), ..run("api-3", RunState::Failed) }
}

fn task(id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        id: id.to_owned(),
        title: id.to_owned(),
        state,
        priority: Priority::Medium,
        role: None,
        workstream: None,
        depends_on: Vec::new(),
        waits_for: Vec::new(),
        assigned_to: None,
        completion: Completion::default(),
        tags: Vec::new(),
        file: format!("{id}.md"),
        project: String::new(),
        body: String::new(),
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

fn list(agents: impl IntoIterator<Item = AgentStatus>, wide: bool) -> String {
    let mut shown = snapshot([]);
    shown.agents = agents.into_iter().map(|agent| (agent.name.clone(), agent)).collect();
    render_agents(&shown, NOW, StatusView { wide })
}

#[test]
fn the_list_says_where_each_agent_is() {
    let working = AgentStatus {
        state: AgentState::Working,
        role: Some("backend".to_owned()),
        ahead: Some(3),
        behind: Some(1),
        run: Some(run("api-2", RunState::Running)),
        ..idle("api")
    };
    let stopped = AgentStatus {
        state: AgentState::Stopped,
        desired: Desired::Stopped,
        task: Some("T-7".to_owned()),
        ahead: None,
        behind: None,
        ..idle("web")
    };
    insta::assert_snapshot!(list([stopped, working], false), @r"
    NAME   STATUS    ROLE      BRANCH       AHEAD/BEHIND   TASK                                       UPTIME
    api    working   backend   tanuki/api   3/1            Make the login page remember who was th…   2m
    web    stopped   -         tanuki/web   -              T-7                                        -
    ");
    insta::assert_snapshot!(list([], false), @"no agents; `tanuki spawn <name>` makes one");
}

#[test]
fn the_list_explains_what_a_person_should_look_at() {
    let lost = AgentStatus {
        state: AgentState::Lost,
        reason: "WorkspaceMissing".to_owned(),
        message: "its workspace is gone\u{1b}[2J".to_owned(),
        container_id: None,
        ..idle("gone")
    };
    let stale = AgentStatus {
        stale_environment: true,
        out_of_date: vec!["image".to_owned(), "resources".to_owned()],
        missing_services: vec!["redis".to_owned()],
        dirty: Some(true),
        ..idle("old")
    };
    let queued = AgentStatus {
        state: AgentState::Working,
        run: Some(RunRecord {
            message: "4 agents are working, which is the limit".to_owned(),
            ..run("next-1", RunState::Queued)
        }),
        ..idle("next")
    };
    let asking = AgentStatus {
        state: AgentState::Working,
        waiting: Some("permission to run rm".to_owned()),
        ..idle("shy")
    };
    insta::assert_snapshot!(list([lost, stale, queued, asking], true));
}

#[test]
fn one_agent_in_depth() {
    let loops = RunRecord {
        iteration: 2,
        max_iterations: 10,
        message: "the verify command failed: 2 tests".to_owned(),
        ..run("api-4", RunState::Running)
    };
    let agent = AgentStatus {
        state: AgentState::Working,
        reason: "RunUnderWay".to_owned(),
        role: Some("backend".to_owned()),
        workstream: Some("api".to_owned()),
        model: Some("opus".to_owned()),
        ahead: Some(2),
        behind: Some(0),
        dirty: Some(true),
        task: Some("T-7".to_owned()),
        run: Some(loops),
        last_run: Some(failed(RunFailure::RateLimit, "429 Too Many Requests")),
        missing_services: vec!["redis".to_owned()],
        stale_environment: true,
        out_of_date: vec!["image".to_owned()],
        waiting: Some("an answer".to_owned()),
        conditions: vec![Condition {
            kind: "EnvironmentCurrent".to_owned(),
            status: ConditionStatus::False,
            reason: "Stale".to_owned(),
            message: "postgres has another password".to_owned(),
            last_transition: Time(NOW.0 - 5000),
            observed_generation: 1,
        }],
        ..idle("api")
    };
    insta::assert_snapshot!(render_agent(&agent, NOW));
    let lost =
        AgentStatus { container_id: None, head: None, ahead: None, behind: None, dirty: None, ..idle("web") };
    insta::assert_snapshot!(render_agent(&lost, NOW));
}

#[test]
fn runs_with_what_they_used() {
    let used = |turns, input, output, cost| Usage {
        turns: Some(turns),
        input_tokens: Some(input),
        output_tokens: Some(output),
        cost_microdollars: Some(cost),
    };
    let runs = [
        RunRecord {
            usage: used(3, 9000, 999, 1),
            task: Some("T-7".to_owned()),
            ..run("api-1", RunState::Succeeded)
        },
        RunRecord { usage: used(50, 1_200_000, 50_000, 12_345_678), ..failed(RunFailure::TurnLimit, "") },
        RunRecord { usage: used(1, 10_000, 0, 10_000), ..run("web-1", RunState::Stopped) },
        run("web-2", RunState::Running),
        RunRecord { started_at: None, ..run("web-3", RunState::Queued) },
    ];
    insta::assert_snapshot!(render_runs(&runs, NOW, &TimeZone::UTC));
}

#[test]
fn a_run_in_a_line() {
    insta::assert_snapshot!(render_run(&run("api-1", RunState::Succeeded), NOW), @"api-1 succeeded 1m ago: Make the login page remember who was there last");
    insta::assert_snapshot!(render_run(&failed(RunFailure::Timeout, "after 5m"), NOW), @"api-3 failed: timeout 1m ago: Make the login page remember who was there last (after 5m)");
}

#[test]
fn tasks_are_counted_by_state() {
    let mut shown = snapshot([]);
    assert_eq!(render_tasks_line(&shown), None);
    for (id, state) in [("a", TaskState::Pending), ("b", TaskState::Complete), ("c", TaskState::Pending)] {
        shown.tasks.insert(id.to_owned(), task(id, state).into());
    }
    assert_eq!(render_tasks_line(&shown).unwrap(), "Tasks: 2 pending, 1 complete");
}

#[test]
fn output_is_marked_by_what_it_is_and_cannot_harm_a_terminal() {
    let line = |kind, text: &str| OutputLine {
        source: "api".to_owned(),
        run: Some("api-1".to_owned()),
        time: None,
        kind,
        text: text.to_owned(),
    };
    let lines = [
        line(OutputKind::Text, "I look at \u{1b}[31mthe tests\u{1b}[0m."),
        line(OutputKind::Thinking, "which ones?"),
        line(OutputKind::Tool, "Bash: cargo test"),
        line(OutputKind::ToolResult, "ok\u{7}\tdone\r"),
        line(OutputKind::Error, "overloaded \u{202e}gpj.exe"),
        line(OutputKind::Note, "run api-1 succeeded"),
    ];
    let shown: Vec<String> = lines.iter().map(|line| render_line(line, None).1).collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(render_line(&lines[2], Some(5)).1, "api   | > Bash: cargo test");
}

#[test]
fn a_patch_is_coloured_by_what_its_lines_are() {
    let patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ fn f()\n one\n--- dashes\n+++ more\n+new\u{1b}[2J\n\
                 \\ No newline at end of file\ndiff --git a/y b/y\n@@ -0,0 +1 @@\n+++ a\n--- a/z\n";
    let lines = render_diff(patch);
    let tones: Vec<Tone> = lines.iter().map(|(tone, _)| *tone).collect();
    use Tone::{Bad, Faint, Good, Note, Plain, Strong};
    assert_eq!(
        tones,
        [Strong, Strong, Strong, Note, Plain, Bad, Good, Good, Faint, Strong, Note, Good, Strong]
    );
    assert_eq!(lines[7].1, "+new");
}

#[test]
fn how_a_run_failed_decides_how_the_command_ends() {
    let exits = [
        (RunFailure::Timeout, Exit::TIMED_OUT),
        (RunFailure::IterationLimit, Exit::LIMIT),
        (RunFailure::TurnLimit, Exit::FAILED),
        (RunFailure::Auth, Exit::FAILED),
    ];
    for (failure, exit) in exits {
        assert_eq!(run_failure(&failed(failure, "")).exit(), exit, "{failure}");
    }
    assert_eq!(run_failure(&run("api-3", RunState::Stopped)).exit(), Exit::FAILED);
    let auth = RunRecord { exit_code: Some(1), ..failed(RunFailure::Auth, "invalid x-api-key") };
    insta::assert_snapshot!(run_failure(&auth).render(false), @r"
    error: run api-3 failed: auth
      because: invalid x-api-key
      because: the agent CLI ended with exit code 1
    hint: set the variables that hold the credentials of claude, or name them in `adapters.claude.env`; `tanuki doctor` shows which
    hint: `tanuki logs api --run api-3` shows its output
    ");
    insta::assert_snapshot!(run_failure(&run("api-3", RunState::Stopped)).render(false), @r"
    error: run api-3 was stopped
    hint: `tanuki logs api --run api-3` shows its output
    ");
}

#[test]
fn refusals_say_what_to_do() {
    let say = |rejected: Rejected| CliError::rejected(&rejected).render(false);
    let known = vec!["api".to_owned(), "web".to_owned()];
    insta::assert_snapshot!(say(Rejected::UnknownAgent { name: "appi".to_owned(), known: known.clone() }), @r"
    error: no agent is named 'appi'
    hint: did you mean 'api'?
    ");
    insta::assert_snapshot!(say(Rejected::UnknownAgent { name: "zzz".to_owned(), known }), @r"
    error: no agent is named 'zzz'
    hint: agents: api, web
    ");
    insta::assert_snapshot!(say(Rejected::UnknownAgent { name: "api".to_owned(), known: Vec::new() }), @r"
    error: no agent is named 'api'
    hint: there are no agents yet; `tanuki spawn <name>` makes one
    ");
    insta::assert_snapshot!(say(Rejected::UnknownTask { id: "T-1".to_owned(), known: vec!["T-11".to_owned()] }), @r"
    error: no task has the id 'T-1'
    hint: did you mean 'T-11'?
    ");
    let conflicts = Rejected::Conflicts {
        message: "merging api into main would conflict".to_owned(),
        files: vec!["src/a.rs".to_owned(), "b\u{1b}[2J".to_owned()],
    };
    insta::assert_snapshot!(say(conflicts.clone()), @r"
    error: merging api into main would conflict
      files in conflict:
        src/a.rs
        b
    ");
    assert_eq!(CliError::rejected(&conflicts).exit(), Exit::FAILED);
    let invalid = Rejected::Invalid {
        message: "no role is named 'x'".to_owned(),
        hint: "`tanuki role list`".to_owned(),
    };
    insta::assert_snapshot!(say(invalid.clone()), @r"
    error: no role is named 'x'
    hint: `tanuki role list`
    ");
    assert_eq!(CliError::rejected(&invalid).exit(), Exit::USAGE);
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = shell_words::split(line).unwrap();
    Cli::try_parse_from(std::iter::once("tanuki".to_owned()).chain(words)).map(|cli| cli.command)
}

#[test]
fn run_takes_a_prompt_or_stops() {
    let run = |line: &str| match parse(line) {
        Ok(Command::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    };
    let args =
        run("run api 'fix it' --loop --verify 'make test' --max-iterations 3 --allow Bash --allow Edit -d");
    assert_eq!((args.agent.as_deref(), args.prompt.as_deref()), (Some("api"), Some("fix it")));
    assert_eq!((args.repeat, args.detach, args.max_iterations), (true, true, Some(3)));
    assert_eq!(args.allow, ["Bash", "Edit"]);
    let args = run("run stop api");
    assert!(matches!(args.command, Some(RunCommand::Stop(stop)) if stop.agent == "api"));
    // A prompt may be that word too, and an agent may have that name.
    let args = run("run api stop");
    assert!(args.command.is_none() && args.prompt.as_deref() == Some("stop"));
    let args = run("run -- stop api");
    assert!(args.command.is_none() && args.agent.as_deref() == Some("stop"));
    assert_eq!(run("run api -f prompt.md").file.unwrap(), std::path::Path::new("prompt.md"));
    assert_eq!(run("run api help").prompt.as_deref(), Some("help"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let lines = [
        "run",
        "run api",
        "run api hello -f file",
        "run api hello --detach --follow",
        "run api hello --max-iterations 3",
        "run api hello --timeout soon",
        "run stop",
        "start",
        "stop api --all",
        "remove",
        "merge api --squash --rebase",
        "merge api --pr --squash",
        "diff api --stat --name-only",
        "attach api --agent -- sh",
        "logs api --all",
        "logs --all --run api-1",
        "status api --wide",
        "spawn -n 0",
        "list api",
    ];
    for line in lines {
        assert!(parse(line).is_err(), "{line}");
    }
    let lines =
        ["start api web", "stop --all", "rm api -y", "logs", "attach api -- sh -c 'ls -l'", "spawn -n 3"];
    for line in lines {
        assert!(parse(line).is_ok(), "{line}");
    }
}
