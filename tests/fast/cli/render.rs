//! Tables and lines, over plain data.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tanuki::agents::{
    self,
    plan::{Action, Plan},
};
use tanuki::cli::render::{
    AgentPlanLine, Check, EnvStyle, PlanLine, StatusView, is_settled, redact, render_agent, render_agents,
    render_diff, render_doctor, render_env, render_event, render_line, render_plan, render_runs,
    render_status, trouble,
};
use tanuki::cli::service::client_command;
use tanuki::cli::text;
use tanuki::model::{
    AgentState, AgentStatus, Condition, EventRecord, EventType, HealthWord, OutputKind, OutputLine,
    RunRecord, RunState, ServicePlan, ServiceState, ServiceStatus, ServiceType, Step, StepAction, Time,
};
use tanuki::services::env::Variable;

use super::agents::{idle, run};
use super::{NOW, crashing, engine_away, healthy, snapshot, stopped};

#[test]
fn status_in_the_form_of_the_example_session() {
    let shown = snapshot([healthy("redis", 6379), healthy("postgres", 5432)]);
    insta::assert_snapshot!(render_status(&shown, NOW, StatusView::default()), @r"
    SERVICE    STATUS    HEALTH    PORT   UPTIME
    postgres   running   healthy   5432   2m
    redis      running   healthy   6379   2m
    ");
}

#[test]
fn status_explains_what_is_wrong_and_shows_where_ports_are() {
    let external = ServiceStatus {
        state: ServiceState::External,
        health: HealthWord::None,
        host_port: None,
        started_at: None,
        reason: "External".to_owned(),
        ..healthy("search", 9200)
    };
    let pulling = ServiceStatus {
        state: ServiceState::Pulling,
        health: HealthWord::None,
        host_port: None,
        reason: "Pulling".to_owned(),
        message: "pulling big:1".to_owned(),
        ..healthy("big", 1)
    };
    let moved = ServiceStatus { host_port: Some(5433), ..healthy("postgres", 5432) };
    let disabled = ServiceStatus { enabled: false, ..stopped("extra") };
    let mut shown = snapshot([external, pulling, moved, disabled, stopped("redis"), crashing("worker")]);
    shown.conditions.push(Condition {
        kind: "ConfigValid".to_owned(),
        ..engine_away("tanuki.yaml:3:5: services.a: unknown key `prot`")
    });
    insta::assert_snapshot!(render_status(&shown, NOW, StatusView { wide: true }));
}

#[test]
fn a_project_without_services_says_so() {
    assert_eq!(render_status(&snapshot([]), NOW, StatusView::default()), "no services in tanuki.yaml\n");
}

#[test]
fn trouble_tells_reason_exit_code_next_try_and_probe() {
    insta::assert_snapshot!(
        trouble(&crashing("worker"), NOW),
        @"worker: CrashLoopBackOff: it was killed; last exit code 137; next try in 8s; last probe: connection refused"
    );
    let due = ServiceStatus { next_try: Some(NOW), last_probe: None, ..crashing("worker") };
    insta::assert_snapshot!(
        trouble(&due, NOW),
        @"worker: CrashLoopBackOff: it was killed; last exit code 137; next try now"
    );
}

#[test]
fn a_plan_says_what_agents_need() {
    let plan = |steps, state, reason, message: &str, out_of_date: &[&str]| Plan {
        steps,
        state,
        reason,
        message: message.to_owned(),
        out_of_date: out_of_date.iter().map(|field| (*field).to_owned()).collect(),
        recheck: false,
    };
    let start =
        vec![agents::plan::Step { action: Action::Start, cause: "it ended with exit code 1".to_owned() }];
    let lines = [
        ("api", plan(Vec::new(), AgentState::Idle, "Ready", "", &[])),
        ("old", plan(Vec::new(), AgentState::Idle, "Ready", "", &["image"])),
        ("web", plan(start, AgentState::Idle, "Starting", "", &["image"])),
        ("gone", plan(Vec::new(), AgentState::Lost, "WorkspaceGone", "its workspace is gone", &[])),
    ]
    .map(|(name, plan)| AgentPlanLine::new(name.to_owned(), plan));
    assert!(is_settled(&[], &lines[..2]) && !is_settled(&[], &lines[2..3]) && !is_settled(&[], &lines[3..]));
    insta::assert_snapshot!(render_plan(&[], &lines), @r"
    agent old: nothing by itself: its container is out of date (image); `tanuki restart old` makes it anew
    agent web: start its container (it ended with exit code 1)
    agent gone: nothing by itself: its workspace is gone (WorkspaceGone)
    ");
    insta::assert_snapshot!(render_plan(&[], &lines[..2]), @r"
    Nothing to do.
    agent old: nothing by itself: its container is out of date (image); `tanuki restart old` makes it anew
    ");
}

#[test]
fn a_plan_has_a_line_per_step_with_its_cause() {
    let step = |action, cause: &str| Step { action, cause: cause.to_owned() };
    let plan = |steps, state, message: &str| ServicePlan {
        steps,
        state,
        reason: "Why".to_owned(),
        message: message.to_owned(),
        deadline: None,
    };
    let container = || "tanuki-svc-db".to_owned();
    let steps = vec![
        step(StepAction::PullImage { image: "db:1".to_owned() }, "the image is not there"),
        step(StepAction::EnsureNetwork { network: "tanuki-net".to_owned() }, "the network does not exist"),
        step(
            StepAction::EnsureVolume {
                configured: "data".to_owned(),
                volume: "data-a1".to_owned(),
                data_version: None,
            },
            "the volume does not exist",
        ),
        step(StepAction::Create { container: container(), ports: vec![(5432, 5433)] }, "changed: image"),
        step(StepAction::Start { container: container() }, "it is wanted running"),
    ];
    let line = |service: &str, plan| PlanLine { service: service.to_owned(), plan };
    let plans = vec![
        line("db", plan(steps, ServiceState::Pending, "")),
        line("ok", plan(Vec::new(), ServiceState::Running, "")),
        line("old", plan(Vec::new(), ServiceState::Failed, "volume data holds data of postgres 15")),
    ];
    assert!(!is_settled(&plans, &[]));
    insta::assert_snapshot!(render_plan(&plans, &[]), @r"
    db: pull image db:1 (the image is not there)
    db: create network tanuki-net (the network does not exist)
    db: create volume data-a1 (the volume does not exist)
    db: create container tanuki-svc-db, publish 127.0.0.1:5433->5432 (changed: image)
    db: start container tanuki-svc-db (it is wanted running)
    old: nothing for now: volume data holds data of postgres 15 (Why)
    ");
    assert!(is_settled(&plans[1..2], &[]));
    assert_eq!(render_plan(&plans[1..2], &[]), "Nothing to do.\n");
}

#[test]
fn an_event_is_one_line_in_local_time() {
    let event = EventRecord {
        id: 1,
        time: NOW,
        kind: EventType::Warning,
        object: "service/postgres".to_owned(),
        reason: "Died".to_owned(),
        message: "ended with exit code 3\nand more".to_owned(),
        count: 3,
    };
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    insta::assert_snapshot!(
        render_event(&event, &zone),
        @"2026-01-31 13:00:00  Warning  service/postgres      Died                ended with exit code 3 and more (x3)"
    );
    let never = EventRecord { time: Time(u64::MAX), ..event };
    assert!(render_event(&never, &zone).starts_with('-'));
}

fn variables() -> Vec<Variable> {
    let variable = |name: &str, value: &str, secret| Variable {
        name: name.to_owned(),
        value: value.to_owned(),
        service: "postgres".to_owned(),
        secret,
    };
    vec![variable("PGHOST", "tanuki-svc-postgres", false), variable("PGPASSWORD", "it's $HOME", true)]
}

#[test]
fn passwords_are_shown_only_when_asked_for() {
    let hidden = redact(variables(), false);
    assert_eq!(render_env(&hidden, EnvStyle::Plain), "PGHOST=tanuki-svc-postgres\nPGPASSWORD=********\n");
    assert!(!serde_json::to_string(&hidden).unwrap().contains("HOME"));
    let shown = redact(variables(), true);
    assert_eq!(
        render_env(&shown, EnvStyle::Export),
        "export PGHOST=tanuki-svc-postgres\nexport PGPASSWORD='it'\\''s $HOME'\n"
    );
}

#[test]
fn doctor_puts_the_mend_below_what_it_mends() {
    let checks = [
        Check::ok("engine", "docker 20.10.24 at unix:///var/run/docker.sock"),
        Check::warning("image of postgres", "postgres:16 is not there", "pull it"),
        Check::note("tried", "Docker at unix:///x: not there"),
        Check::failure("git", "git is not on the search path", "install git"),
    ];
    insta::assert_snapshot!(render_doctor(&checks), @r"
    ok       engine             docker 20.10.24 at unix:///var/run/docker.sock
    warning  image of postgres  postgres:16 is not there
                                -> pull it
    -        tried              Docker at unix:///x: not there
    failure  git                git is not on the search path
                                -> install git
    ");
    let json = serde_json::to_value(&checks[1]).unwrap();
    assert_eq!(json["level"], "warning");
    assert_eq!(json["mend"], "pull it");
}

#[test]
fn durations_have_at_most_two_units() {
    let shown = |seconds| text::duration(std::time::Duration::from_secs(seconds));
    let cases = [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m"),
        (3599, "59m"),
        (3600, "1h"),
        (11_520, "3h12m"),
        (86_400, "1d"),
        (187_200, "2d4h"),
    ];
    for (seconds, text) in cases {
        assert_eq!(shown(seconds), text);
    }
}

#[test]
fn credentials_never_stand_in_an_argument_list() {
    for kind in [ServiceType::Postgres, ServiceType::Redis, ServiceType::Mysql, ServiceType::Custom] {
        let spec = super::spec(
            "db",
            kind,
            &["redis-server", "--requirepass", "s3cret"],
            &[
                ("POSTGRES_PASSWORD", "s3cret"),
                ("MYSQL_ROOT_PASSWORD", "s3cret"),
                ("REDIS_PASSWORD", "s3cret"),
            ],
        );
        let command = client_command(&spec, &["-c".to_owned(), "select 1".to_owned()], Some("xterm"));
        assert!(!command.command.iter().any(|word| word.contains("s3cret")), "{command:?}");
        assert_eq!(command.command[command.command.len() - 2..], ["-c", "select 1"]);
        assert_eq!(command.env.get("TERM").map(String::as_str), Some("xterm"));
    }
}

/// Text as bad as it comes: control characters, escape sequences, direction marks, line breaks.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        Just("\x1b]52;c;aGk=\x07".to_owned()),
        Just("\x1b[2J\x1b[H".to_owned()),
        Just("\u{9b}31m\u{202e}\u{85}\r\n\t\0".to_owned()),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|character| character != '\n' && character.is_control())
        && !text.chars().any(|character| matches!(character, '\u{202a}'..='\u{202e}'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_rendered_can_harm_a_terminal(bad in nasty(), wide in any::<bool>()) {
        let status = ServiceStatus {
            reason: bad.clone(),
            message: bad.clone(),
            container: bad.clone(),
            last_probe: Some(tanuki::model::ProbeRecord {
                time: NOW,
                verdict: tanuki::model::ProbeVerdict::Failure,
                output: format!("!{bad}"),
            }),
            ..crashing(&bad)
        };
        let mut shown = snapshot([status]);
        shown.conditions.push(Condition { kind: "ConfigValid".to_owned(), ..engine_away(&bad) });
        let status = render_status(&shown, NOW, StatusView { wide });
        prop_assert!(is_harmless(&status), "{status:?}");

        let plan = PlanLine {
            service: bad.clone(),
            plan: ServicePlan {
                steps: vec![Step { action: StepAction::PullImage { image: bad.clone() }, cause: bad.clone() }],
                state: ServiceState::Pending,
                reason: bad.clone(),
                message: bad.clone(),
                deadline: None,
            },
        };
        let plan = render_plan(&[plan], &[]);
        prop_assert!(is_harmless(&plan) && plan.lines().count() == 1, "{plan:?}");

        let run = RunRecord { title: bad.clone(), message: bad.clone(), task: Some(bad.clone()), ..run(&format!("{bad}-1"), RunState::Queued) };
        let agent = AgentStatus {
            state: AgentState::Lost, reason: bad.clone(), message: bad.clone(), role: Some(bad.clone()),
            waiting: Some(bad.clone()), run: Some(run.clone()), out_of_date: vec![bad.clone()], branch: bad.clone(),
            ..idle(&bad)
        };
        let text = render_agent(&agent, NOW);
        prop_assert!(is_harmless(&text), "{text:?}");
        let mut shown = snapshot([]);
        shown.agents.insert(bad.clone(), agent);
        let text = render_agents(&shown, NOW, StatusView { wide });
        prop_assert!(is_harmless(&text), "{text:?}");
        let text = render_runs(&[run], NOW, &TimeZone::UTC);
        prop_assert!(is_harmless(&text) && text.lines().count() == 2, "{text:?}");
        let line = OutputLine { source: bad.clone(), run: None, time: None, kind: OutputKind::Tool, text: bad.clone() };
        let (_, text) = render_line(&line, Some(3));
        prop_assert!(is_harmless(&text.replace('\t', "")) && !text.contains('\n'), "{text:?}");
        let text: String = render_diff(&bad).into_iter().map(|(_, line)| line).collect();
        prop_assert!(is_harmless(&text.replace('\t', "")), "{text:?}");

        let event = EventRecord {
            id: 1, time: NOW, kind: EventType::Normal, object: bad.clone(), reason: bad.clone(),
            message: bad.clone(), count: 1,
        };
        let event = render_event(&event, &TimeZone::UTC);
        prop_assert!(is_harmless(&event) && !event.contains('\n'), "{event:?}");

        let doctor = render_doctor(&[Check::failure(bad.clone(), bad.clone(), bad.clone())]);
        prop_assert!(is_harmless(&doctor) && doctor.lines().count() == 2, "{doctor:?}");

        let error = tanuki::cli::CliError::failed(bad.clone()).cause(bad.clone()).hint(bad.clone())
            .with_detail(bad.clone()).render(false);
        prop_assert!(is_harmless(&error), "{error:?}");

        let line = text::log_line(&bad);
        prop_assert!(is_harmless(&line.replace('\t', "")), "{line:?}");

        let variables = vec![Variable { name: "A".into(), value: bad.clone(), service: bad, secret: false }];
        let env = render_env(&redact(variables, true), EnvStyle::Plain);
        prop_assert!(is_harmless(&env) && env.lines().count() == 1, "{env:?}");
    }

    #[test]
    fn rows_of_a_table_are_as_many_as_services(names in proptest::collection::btree_set("[a-z]{2,9}", 1..9)) {
        let services: BTreeMap<String, ServiceStatus> =
            names.iter().map(|name| (name.clone(), healthy(name, 1))).collect();
        let text = render_status(&snapshot(services.into_values()), NOW, StatusView::default());
        prop_assert_eq!(text.lines().count(), names.len() + 1);
        prop_assert!(text.lines().all(|line| !line.ends_with(' ')));
    }
}
