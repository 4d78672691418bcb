use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::{Behaviour, FakeImage, FakeRuntime, Program};
use crate::{
    ContainerRuntime, ContainerSpec, ContainerState, ErrorKind, EventAction, EventFilter, ExecSpec, Labels,
    ListFilter, LogOptions, Mount, MountSource, NetworkAttachment, NetworkSpec, PortBinding, ProbeResult,
    StreamKind, VolumeSpec,
};

const GRACE: Duration = Duration::from_secs(10);

fn ours() -> Labels {
    [(Labels::MANAGED, "true"), (Labels::PROJECT, "p1")].into_iter().collect()
}

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        image: "db".into(),
        labels: ours(),
        probe: Some(vec!["check".into()]),
        ..ContainerSpec::default()
    }
}

fn with_volume(name: &str, volume: &str) -> ContainerSpec {
    let source = MountSource::Volume(volume.into());
    ContainerSpec { mounts: vec![Mount { target: "/data".into(), source, read_only: false }], ..spec(name) }
}

fn with_port(name: &str, port: u16) -> ContainerSpec {
    ContainerSpec { ports: vec![PortBinding::loopback(5432, port)], ..spec(name) }
}

fn on_network(name: &str, network: &str) -> ContainerSpec {
    let network = NetworkAttachment { network: network.into(), aliases: Vec::new() };
    ContainerSpec { network: Some(network), ..spec(name) }
}

fn command(words: &[&str]) -> ExecSpec {
    ExecSpec { command: words.iter().map(|word| (*word).into()).collect(), ..ExecSpec::default() }
}

fn engine() -> FakeRuntime {
    let engine = FakeRuntime::new();
    engine.add_image("db", FakeImage::booting(Duration::from_secs(2)).exposing(5432));
    engine
}

async fn running(engine: &FakeRuntime, spec: &ContainerSpec) -> String {
    let id = engine.create(spec).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

async fn probe(engine: &FakeRuntime, id: &str) -> ProbeResult {
    engine.probe(id, &["check".into()], Duration::from_secs(1)).await.unwrap().result
}

fn kind<T: std::fmt::Debug>(result: crate::Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn a_container_from_creation_to_removal() {
    let engine = engine();
    let id = engine.create(&spec("db")).await.unwrap();
    let created = engine.inspect("db").await.unwrap();
    assert_eq!(
        (created.id.as_str(), created.state, created.pid),
        (id.as_str(), ContainerState::Created, None)
    );
    engine.start("db").await.unwrap();
    engine.start("db").await.unwrap();
    assert_eq!(engine.container("db").starts(), 1);
    assert_eq!(probe(&engine, &id).await, ProbeResult::Exited(1));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(probe(&engine, &id).await, ProbeResult::Exited(0));
    engine.stop(&id, GRACE).await.unwrap();
    engine.stop(&id, GRACE).await.unwrap();
    let stopped = engine.inspect(&id).await.unwrap();
    assert_eq!((stopped.state, stopped.exit_code), (ContainerState::Exited, Some(143)));
    assert!(stopped.finished_at > stopped.started_at);
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(kind(engine.inspect(&id).await), ErrorKind::NotFound);
    let again = engine.create(&spec("db")).await.unwrap();
    assert_ne!(again, id, "ids are not used again");
}

#[tokio::test(start_paused = true)]
async fn names_images_networks_and_volumes_must_be_right_at_creation() {
    let engine = engine();
    engine.create(&spec("db")).await.unwrap();
    match kind(engine.create(&spec("db")).await) {
        ErrorKind::NameTaken(holder) => assert_eq!(holder.labels, ours()),
        other => panic!("{other:?}"),
    }
    let absent = ContainerSpec { image: "absent".into(), ..spec("a") };
    assert_eq!(kind(engine.create(&absent).await), ErrorKind::ImageMissing);
    assert_eq!(kind(engine.create(&on_network("a", "n")).await), ErrorKind::NotFound);
    assert_eq!(kind(engine.create(&with_volume("a", "v")).await), ErrorKind::NotFound);
    assert_eq!(kind(engine.create(&spec("a b")).await), ErrorKind::Invalid);
    assert_eq!(kind(engine.create(&with_port("a", 0)).await), ErrorKind::Invalid);
    let source = MountSource::Bind { path: "/no/such/path".into(), relabel_shared: None };
    let bound =
        ContainerSpec { mounts: vec![Mount { target: "/m".into(), source, read_only: true }], ..spec("a") };
    assert_eq!(kind(engine.create(&bound).await), ErrorKind::Invalid);
    engine.add_host_path("/no/such/path");
    engine.create(&bound).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn networks_and_volumes_in_use_stay_and_foreign_ones_are_told() {
    let engine = engine();
    let network = NetworkSpec { name: "n".into(), labels: ours() };
    let first = engine.ensure_network(&network).await.unwrap();
    assert_eq!(engine.ensure_network(&network).await.unwrap(), first);
    engine.ensure_volume(&VolumeSpec { name: "v".into(), labels: ours() }).await.unwrap();
    engine.create(&on_network("a", "n")).await.unwrap();
    engine.create(&with_volume("b", "v")).await.unwrap();
    assert_eq!(kind(engine.remove_network("n").await), ErrorKind::InUse);
    assert_eq!(kind(engine.remove_volume("v").await), ErrorKind::InUse);
    engine.user_creates_network("foreign", &Labels::default());
    let foreign = NetworkSpec { name: "foreign".into(), labels: ours() };
    assert!(matches!(kind(engine.ensure_network(&foreign).await), ErrorKind::NameTaken(_)));

    // A network of the same name is not the same network.
    assert!(engine.user_removes_network("n"));
    engine.ensure_network(&network).await.unwrap();
    assert_eq!(kind(engine.start("a").await), ErrorKind::NotFound);
    engine.remove("a").await.unwrap();
    engine.remove("b").await.unwrap();
    engine.remove_network("n").await.unwrap();
    engine.remove_network("n").await.unwrap();
    engine.remove_volume("v").await.unwrap();
    engine.remove_volume("v").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_port_is_held_by_who_runs() {
    let engine = engine();
    running(&engine, &with_port("a", 4000)).await;
    engine.create(&with_port("b", 4000)).await.unwrap();
    assert_eq!(kind(engine.start("b").await), ErrorKind::PortTaken { port: Some(4000) });
    let failed = engine.inspect("b").await.unwrap();
    assert_eq!((failed.state, failed.ports.len()), (ContainerState::Created, 0));
    assert!(failed.error.unwrap().contains("held by a"));
    engine.stop("a", GRACE).await.unwrap();
    engine.start("b").await.unwrap();
    engine.hold_port(4001);
    engine.create(&with_port("c", 4001)).await.unwrap();
    assert_eq!(kind(engine.start("c").await), ErrorKind::PortTaken { port: Some(4001) });
    engine.release_port(4001);
    engine.start("c").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_requests_is_killed_after_the_grace() {
    let engine = engine();
    engine.add_image("db", FakeImage::behaving(Behaviour { ignores_term: true, ..Behaviour::default() }));
    running(&engine, &spec("db")).await;
    let before = Instant::now();
    engine.stop("db", GRACE).await.unwrap();
    assert!(before.elapsed() >= GRACE);
    assert_eq!(engine.inspect("db").await.unwrap().exit_code, Some(137));
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_when_its_caller_is_gone() {
    let engine = engine();
    running(&engine, &spec("db")).await;
    engine.container("db").hang();
    assert!(tokio::time::timeout(Duration::from_secs(1), engine.stop("db", GRACE)).await.is_err());
    assert_eq!(engine.inspect("db").await.unwrap().state, ContainerState::Stopping);
    sleep(GRACE).await;
    assert_eq!(engine.inspect("db").await.unwrap().state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn signals() {
    let engine = engine();
    let id = running(&engine, &spec("db")).await;
    sleep(Duration::from_secs(3)).await;
    engine.kill(&id, "STOP").await.unwrap();
    let before = Instant::now();
    assert_eq!(probe(&engine, &id).await, ProbeResult::TimedOut);
    assert!(before.elapsed() >= Duration::from_secs(1));
    engine.kill(&id, "CONT").await.unwrap();
    assert_eq!(probe(&engine, &id).await, ProbeResult::Exited(0));
    engine.kill(&id, "SIGKILL").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(engine.inspect(&id).await.unwrap().exit_code, Some(137));
    assert_eq!(kind(engine.kill(&id, "KILL").await), ErrorKind::Conflict);
    assert_eq!(kind(engine.probe(&id, &["check".into()], Duration::from_secs(1)).await), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time() {
    let engine = engine();
    let id = running(&engine, &spec("db")).await;
    engine.container("db").hang();
    assert!(probe(&engine, &id).now_or_never().is_none());
    let first = tokio::time::timeout(Duration::from_millis(100), probe(&engine, &id)).await;
    assert!(first.is_err());
    let before = Instant::now();
    assert_eq!(probe(&engine, &id).await, ProbeResult::TimedOut);
    assert!(before.elapsed() < Duration::from_millis(10));
    assert_eq!(kind(engine.probe(&id, &["other".into()], Duration::from_secs(1)).await), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_dying_process_dies_at_its_time_and_tells() {
    let engine = engine();
    engine.add_image("db", FakeImage::dying(Duration::from_secs(5), 3));
    let mut events = engine.events(&EventFilter { labels: ours(), since: None }).await.unwrap();
    running(&engine, &spec("db")).await;
    let before = Instant::now();
    let mut actions = Vec::new();
    for _ in 0..3 {
        actions.push(events.next().await.unwrap().unwrap().action);
    }
    assert_eq!(actions, [EventAction::Created, EventAction::Started, EventAction::Died]);
    assert!(before.elapsed() <= Duration::from_secs(5));
    assert_eq!(engine.inspect("db").await.unwrap().exit_code, Some(3));
}

#[tokio::test(start_paused = true)]
async fn an_end_can_be_told_before_it_is_shown() {
    let engine = engine();
    engine.set_report_lag(Duration::from_millis(60));
    running(&engine, &spec("db")).await;
    engine.container("db").crash(3);
    assert_eq!(engine.inspect("db").await.unwrap().state, ContainerState::Running);
    assert_eq!(kind(engine.exec("db", &command(&["true"])).await), ErrorKind::Conflict);
    sleep(Duration::from_millis(60)).await;
    assert_eq!(engine.inspect("db").await.unwrap().exit_code, Some(3));
}

#[tokio::test(start_paused = true)]
async fn events_are_filtered_and_can_begin_in_the_past() {
    let engine = engine();
    let start = engine.now();
    engine.create(&spec("mine")).await.unwrap();
    engine.create(&ContainerSpec { labels: Labels::default(), ..spec("foreign") }).await.unwrap();
    engine.ensure_volume(&VolumeSpec { name: "v".into(), labels: ours() }).await.unwrap();
    let mut events = engine.events(&EventFilter { labels: ours(), since: Some(start) }).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().name.as_deref(), Some("mine"));
    assert_eq!(events.next().await.unwrap().unwrap().name.as_deref(), Some("v"));
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_engine_restart_stops_all_and_cuts_streams() {
    let engine = engine();
    running(&engine, &spec("db")).await;
    let mut events = engine.events(&EventFilter::default()).await.unwrap();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut logs = engine.logs("db", &follow).await.unwrap();
    assert_eq!(logs.next().await.unwrap().unwrap().bytes, b"ready");
    engine.engine_restart(Duration::from_secs(3));
    assert!(!matches!(events.next().await, Some(Ok(_))));
    assert!(events.next().await.is_none());
    assert!(logs.next().await.unwrap().is_err());
    assert_eq!(kind(engine.ping().await), ErrorKind::Unavailable);
    sleep(Duration::from_secs(3)).await;
    engine.ping().await.unwrap();
    assert_eq!(engine.inspect("db").await.unwrap().state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_loses_its_reply_when_the_engine_goes() {
    let engine = engine();
    engine.set_latency(Duration::from_secs(2));
    let create = tokio::spawn({
        let engine = engine.clone();
        async move { engine.create(&spec("db")).await }
    });
    sleep(Duration::from_millis(1500)).await;
    engine.engine_restart(Duration::ZERO);
    assert_eq!(kind(create.await.unwrap()), ErrorKind::Unavailable);
    assert!(engine.container("db").inspect().is_some(), "the effect is done");
}

#[tokio::test(start_paused = true)]
async fn logs_by_tail_since_and_follow() {
    let engine = engine();
    let script = "echo one; sleep 1; echo two; sleep 1; echo three >&2; exit 4";
    let shell = ContainerSpec { command: Some(vec!["sh".into(), "-c".into(), script.into()]), ..spec("sh") };
    running(&engine, &shell).await;
    let read = async |options: LogOptions| {
        let lines: Vec<_> = engine.logs("sh", &options).await.unwrap().collect().await;
        let lines = lines.into_iter().map(|line| line.unwrap());
        lines.map(|line| String::from_utf8(line.bytes).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(LogOptions::default()).await, ["one"]);
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    assert_eq!(read(follow).await, ["one", "two", "three"]);
    assert_eq!(engine.inspect("sh").await.unwrap().exit_code, Some(4));
    assert_eq!(read(LogOptions { tail: Some(1), ..LogOptions::default() }).await, ["three"]);
    let since = Some(engine.inspect("sh").await.unwrap().started_at.unwrap() + Duration::from_millis(500));
    assert_eq!(read(LogOptions { since, ..LogOptions::default() }).await, ["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn exec_runs_few_commands_and_the_programs_of_tests() {
    let engine = engine();
    engine.add_image("db", FakeImage::default().with_program("psql", Program::fixed(0, "1\n")));
    let id = running(&engine, &spec("db")).await;
    assert_eq!(engine.exec(&id, &command(&["echo", "a", "b"])).await.unwrap().stdout, b"a b\n");
    assert_eq!(engine.exec(&id, &command(&["false"])).await.unwrap().exit_code, 1);
    assert_eq!(engine.exec(&id, &command(&["nothing"])).await.unwrap().exit_code, 127);
    assert_eq!(engine.exec(&id, &command(&["psql", "-c", "SELECT 1"])).await.unwrap().stdout, b"1\n");
    let cat = ExecSpec { stdin: Some(b"in".to_vec()), ..command(&["cat"]) };
    assert_eq!(engine.exec(&id, &cat).await.unwrap().stdout, b"in");
    let env = ExecSpec { env: [("A".to_owned(), "1".to_owned())].into(), ..command(&["env"]) };
    assert_eq!(engine.exec(&id, &env).await.unwrap().stdout, b"A=1\n");
    let slow = ExecSpec { timeout: Some(Duration::from_secs(1)), ..command(&["sleep", "5"]) };
    assert_eq!(kind(engine.exec(&id, &slow).await), ErrorKind::Timeout);
    engine.stop(&id, GRACE).await.unwrap();
    assert_eq!(kind(engine.exec(&id, &command(&["true"])).await), ErrorKind::Conflict);
    assert!(engine.execs().len() > 5);
}

#[tokio::test(start_paused = true)]
async fn an_interactive_command_echoes_and_ends() {
    let engine = engine();
    let id = running(&engine, &spec("db")).await;
    let mut cat = engine.exec_interactive(&id, &command(&["cat"]), None).await.unwrap();
    cat.stdin.write_all(b"hello").await.unwrap();
    assert_eq!(cat.output.next().await.unwrap().unwrap(), (StreamKind::Stdout, b"hello".to_vec()));
    assert_eq!(kind(cat.control.exit_code().await), ErrorKind::Conflict);
    cat.stdin.shutdown().await.unwrap();
    assert!(cat.output.next().await.is_none());
    assert_eq!(cat.control.exit_code().await.unwrap(), 0);
    let mut shell = engine.exec_interactive(&id, &command(&["sh"]), None).await.unwrap();
    shell.stdin.write_all(b"echo hi\nexit 3\n").await.unwrap();
    shell.stdin.shutdown().await.unwrap();
    assert_eq!(shell.output.next().await.unwrap().unwrap(), (StreamKind::Stdout, b"hi\n".to_vec()));
    assert!(shell.output.next().await.is_none());
    assert_eq!(shell.control.exit_code().await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn pulls_bring_images_or_tell_why_not() {
    let engine = FakeRuntime::new();
    engine.publish_image("db", FakeImage { pull_time: Duration::from_secs(4), ..FakeImage::default() });
    assert_eq!(engine.image("db").await.unwrap(), None);
    let records: Vec<_> = engine.pull("db").await.unwrap().collect().await;
    assert!(records.iter().all(Result::is_ok));
    assert!(engine.image("db:latest").await.unwrap().is_some());
    let last = engine.pull("absent").await.unwrap().collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(kind(last), ErrorKind::ImageMissing);
    engine.set_registry_down(true);
    let last = engine.pull("db").await.unwrap().collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(kind(last), ErrorKind::Unavailable);
    engine.remove_image("db");
    assert_eq!(engine.image("db").await.unwrap(), None);
    engine.set_disk_full(true);
    engine.set_registry_down(false);
    let last = engine.pull("db").await.unwrap().collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(kind(last), ErrorKind::DiskFull);
}

#[tokio::test(start_paused = true)]
async fn volumes_keep_their_data_until_they_are_removed() {
    let engine = engine();
    engine.ensure_volume(&VolumeSpec { name: "v".into(), labels: ours() }).await.unwrap();
    for _ in 0..2 {
        running(&engine, &with_volume("db", "v")).await;
        engine.remove("db").await.unwrap();
    }
    assert_eq!(engine.volume_data("v").unwrap().len(), 2);
    engine.remove_volume("v").await.unwrap();
    assert_eq!(engine.volume_data("v"), None);
}

#[tokio::test(start_paused = true)]
async fn lists_filter_by_label_and_tell_little() {
    let engine = engine();
    for name in ["c", "a", "b"] {
        running(&engine, &spec(name)).await;
    }
    engine.user_creates(&ContainerSpec { labels: Labels::default(), ..spec("0") }, true).unwrap();
    engine.container("a").crash(3);
    let filter = ListFilter { labels: ours(), networks_and_volumes: true };
    let listing = engine.list(&filter).await.unwrap();
    let names: Vec<_> = listing.containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(listing.containers[0].exit_code, None);
    engine.set_detailed_lists(true);
    assert_eq!(engine.list(&filter).await.unwrap().containers[0].exit_code, Some(3));
    assert_eq!(engine.calls()["list"], 2);
}

#[tokio::test(start_paused = true)]
async fn writes_are_logged_with_whose_object_it_was() {
    let engine = engine();
    engine.user_creates(&ContainerSpec { labels: Labels::default(), ..spec("foreign") }, true).unwrap();
    let id = engine.create(&spec("db")).await.unwrap();
    engine.stop(&id, GRACE).await.unwrap();
    engine.kill("foreign", "HUP").await.unwrap();
    engine.remove("absent").await.unwrap();
    let writes: Vec<_> = engine
        .writes()
        .into_iter()
        .map(|write| (write.method, write.name, write.existed, write.labels == ours(), write.changed))
        .collect();
    let expected = [
        ("create", "db", false, true, true),
        ("stop", "db", true, true, false),
        ("kill", "foreign", true, false, true),
        ("remove", "absent", false, false, false),
    ];
    assert_eq!(
        writes,
        expected.map(|(method, name, existed, ours, done)| (method, name.to_owned(), existed, ours, done))
    );
}

#[tokio::test(start_paused = true)]
async fn the_user_pauses_renames_and_starts() {
    let engine = engine();
    let id = running(&engine, &spec("db")).await;
    engine.container("db").pause();
    assert_eq!(kind(engine.start(&id).await), ErrorKind::Conflict);
    assert_eq!(kind(engine.exec(&id, &command(&["true"])).await), ErrorKind::Conflict);
    engine.container("db").unpause();
    assert!(engine.user_renames("db", "other"));
    assert_eq!(engine.inspect(&id).await.unwrap().name, "other");
    assert!(engine.user_stops("other"));
    assert!(engine.user_starts("other"));
    assert!(engine.user_removes("other"));
    assert!(!engine.user_removes("other"));
}
