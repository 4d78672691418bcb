//! Recorded answers, shortened to the fields around those we read.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// Podman 4.3.1 rootful.
const LISTED: &str = r#"[{"AutoRemove":false,"Command":["sh"],"Created":"2026-11-22T21:46:44.600320402Z",
    "CreatedAt":"","Exited":true,"ExitedAt":1795384004,"ExitCode":3,"Id":"f9b4","Image":"localhost/dev:1",
    "ImageID":"6f38","IsInfra":false,"Labels":{"dev.tanuki.managed":"true"},"Mounts":["/data"],"Names":["one"],
    "Namespaces":{},"Networks":["net"],"Pid":0,"Pod":"","PodName":"","Ports":[{"host_ip":"127.0.0.1",
    "container_port":80,"host_port":18765,"range":2,"protocol":"tcp"}],"Size":null,"StartedAt":1795384003,
    "State":"exited","Status":""},
    {"ExitedAt":-62135596800,"ExitCode":0,"Id":"0a17","Image":"localhost/dev:1","ImageID":"6f38","Labels":null,
    "Mounts":[],"Names":["two"],"Networks":[],"Pid":0,"Ports":null,"StartedAt":-62135596800,"State":"created"}]"#;

fn listed(text: &str) -> Vec<Container> {
    serde_json::from_str::<Vec<Listed>>(text).unwrap().into_iter().map(Container::from).collect()
}

#[test]
fn a_recorded_list() {
    let containers = listed(LISTED);
    let [one, two] = containers.as_slice() else { panic!("{containers:?}") };
    assert_eq!((one.id.as_str(), one.name.as_str()), ("f9b4", "one"));
    assert_eq!(one.image_id.as_deref(), Some("sha256:6f38"));
    assert_eq!(one.labels.get("dev.tanuki.managed"), Some("true"));
    assert_eq!((one.state, one.exit_code), (ContainerState::Exited, Some(3)));
    assert_eq!(one.started_at, Some(UNIX_EPOCH + Duration::from_secs(1_795_384_003)));
    assert_eq!(one.finished_at, Some(UNIX_EPOCH + Duration::from_secs(1_795_384_004)));
    assert_eq!((one.ports.len(), one.networks.as_slice()), (0, ["net".to_owned()].as_slice()));
    assert_eq!((two.state, two.exit_code, two.started_at), (ContainerState::Created, None, None));
}

#[test]
fn every_state_can_be_listed() {
    let cases = [
        ("created", ContainerState::Created),
        ("configured", ContainerState::Created),
        ("initialized", ContainerState::Created),
        ("running", ContainerState::Running),
        ("paused", ContainerState::Paused),
        ("stopping", ContainerState::Stopping),
        ("stopped", ContainerState::Exited),
        ("exited", ContainerState::Exited),
        ("removing", ContainerState::Removing),
        ("unknown", ContainerState::Dead),
        ("a state of a later version", ContainerState::Dead),
    ];
    for (text, wanted) in cases {
        let found = listed(&LISTED.replace("\"exited\"", &format!("\"{text}\"")));
        assert_eq!(found.first().unwrap().state, wanted, "{text}");
    }
}

#[test]
fn ports_are_told_while_they_are_bound() {
    let found = listed(&LISTED.replace("\"exited\"", "\"running\""));
    let first = found.first().unwrap();
    assert_eq!(first.ports, [PortBinding::loopback(80, 18765), PortBinding::loopback(81, 18766)]);
    assert_eq!((first.exit_code, first.finished_at), (None, None));
}

/// Podman 4.3.1 rootful.
const INSPECTED: &str = r#"{"Id":"ae4b","Created":"2026-11-22T20:51:42.599422221Z","Path":"/run/podman-init",
    "State":{"OciVersion":"1.0.2-dev","Status":"running","Running":true,"OOMKilled":false,"Dead":false,"Pid":8018,
    "ConmonPid":8008,"ExitCode":0,"Error":"","StartedAt":"2026-11-22T20:51:42.837367386Z",
    "FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"starting","FailingStreak":1,
    "Log":[{"Start":"2026-11-22T20:46:53.882141638Z","End":"2026-11-22T20:46:53.980885175Z","ExitCode":1,
    "Output":"hi\nerr"}]}},"Image":"6f38","ImageName":"localhost/dev:1","Name":"e4","RestartCount":0,
    "Mounts":[{"Type":"volume","Name":"v1","Source":"/var/lib/containers/storage/volumes/v1/_data",
    "Destination":"/data","Driver":"local","Mode":"","RW":true},{"Type":"bind","Source":"/tmp","Destination":"/h"}],
    "NetworkSettings":{"EndpointID":"","Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"18765"}],"53/udp":null},
    "Networks":{"n1":{"EndpointID":"","IPAddress":"10.89.0.4","NetworkID":"n1","Aliases":["x","ae4b30fba502"]}}},
    "Config":{"Hostname":"ae4b30fba502","Labels":{"a":"b"},"Healthcheck":{"Test":["CMD","true"],
    "Timeout":5000000000}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"18765"}]}}}"#;

#[test]
fn a_recorded_inspection() {
    let inspected: Inspected = serde_json::from_str(INSPECTED).unwrap();
    assert!(inspected.state.running());
    assert!(inspected.probes_with(&["true".to_owned()]));
    assert!(!inspected.probes_with(&["false".to_owned()]));
    assert_eq!(inspected.wanted_ports(), [PortBinding::loopback(80, 18765)]);
    assert_eq!(inspected.state.health.log.last().map(|run| run.output.as_str()), Some("hi\nerr"));
    let found = Container::from(inspected);
    assert_eq!((found.name.as_str(), found.image.as_str()), ("e4", "localhost/dev:1"));
    assert_eq!((found.state, found.exit_code, found.pid), (ContainerState::Running, None, Some(8018)));
    assert_eq!((found.finished_at, found.error), (None, None));
    assert_eq!((found.networks, found.volumes), (vec!["n1".to_owned()], vec!["v1".to_owned()]));
    assert_eq!(found.ports, [PortBinding::loopback(80, 18765)]);
}

#[test]
fn a_container_that_ended() {
    let text = INSPECTED
        .replace("\"Status\":\"running\"", "\"Status\":\"stopped\"")
        .replace("\"ExitCode\":0", "\"ExitCode\":137")
        .replace("\"FinishedAt\":\"0001-01-01T00:00:00Z\"", "\"FinishedAt\":\"2026-11-22T21:51:42.5+01:00\"");
    let found = Container::from(serde_json::from_str::<Inspected>(&text).unwrap());
    assert_eq!((found.state, found.exit_code), (ContainerState::Exited, Some(137)));
    assert_eq!(found.finished_at, Some(UNIX_EPOCH + Duration::from_millis(1_795_380_702_500)));
    assert!(found.ports.is_empty());
}

#[test]
fn removals_tell_their_failures() {
    let failure = |text: &str| serde_json::from_str::<Removal>(text).unwrap().failure();
    assert_eq!(failure(r#"{"Id":"1207","RawInput":"e4"}"#), None);
    assert_eq!(failure(r#"{"Id":"1207","Err":null}"#), None);
    assert_eq!(failure(r#"{"Id":"1207","Err":"it is busy"}"#), Some("it is busy".to_owned()));
    assert_eq!(failure(r#"{"Id":"1207","Err":{}}"#), Some("{}".to_owned()));
}
