//! One writer: controllers that are killed, commands that meet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, is_healthy, repeat, variable};
use tanuki_runtimes::ContainerState;
use tokio::time::sleep;

on_every_engine!(
    a_controller_may_be_killed_at_any_instant,
    two_starts_at_once_share_one_controller,
    start_against_stop_ends_consistently,
    the_inline_controller_leaves_nothing_running,
);

const SOON: Duration = Duration::from_secs(30);

const CONFIG: &str = "\
services:
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
  web:
    image: tanuki-test/plain:1
    pull_policy: never
    port: 8080
    command: [sleep, '1000']
    stop_grace_period: 0s
    healthcheck: { command: ['true'] }
";

async fn a_controller_may_be_killed_at_any_instant(engine: Engine) {
    let project = Project::new(engine, CONFIG).await;
    let seed = variable("TANUKI_E2E_SEED").unwrap_or_else(std::process::id);
    let mut random = u64::from(seed) | 1;
    for round in 0..repeat("TANUKI_E2E_CONTROLLER_KILLS", 6) {
        let verb = ["start", "stop", "start", "restart", "restart", "stop"][round as usize % 6];
        let args: &[&str] =
            if verb == "restart" { &["service", "restart", "redis"] } else { &["service", verb] };
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let instant = Duration::from_millis((random >> 33) % 1500);
        let kill = async {
            sleep(instant).await;
            project.kill_controller()
        };
        let (outcome, killed) = tokio::join!(project.tanuki(args), kill);
        let context = format!("seed {seed}, round {round}: killed ({killed}) {instant:?} into {outcome}");
        assert!([0, 1].contains(&outcome.code), "{context}");

        // One look, and what it says is so.
        let status = project.status().await;
        let world = states(&project).await;
        for (name, service) in status["services"].as_object().unwrap() {
            if is_healthy(service) {
                assert_eq!(world.get(name), Some(&ContainerState::Running), "{context}\n{service:#}");
            }
        }
        if outcome.code == 0 {
            let wanted = if verb == "stop" { "stopped" } else { "running" };
            for name in if verb == "restart" { &["redis"][..] } else { &["redis", "web"] } {
                let is = |service: &Value| {
                    service["state"] == wanted && (wanted == "stopped" || is_healthy(service))
                };
                project.until(name, &format!("{wanted} ({context})"), SOON, is).await;
            }
        }
        let objects = project.objects().await;
        assert!(objects.containers.len() <= 2 && objects.networks.len() <= 1, "{context}\n{objects:#?}");
    }
}

async fn two_starts_at_once_share_one_controller(engine: Engine) {
    let project = Project::new(engine, CONFIG).await;
    let args = ["service", "start"];
    let (one, other) = tokio::join!(project.tanuki(&args), project.tanuki(&args));
    let (_one, _other) = (one.ok(), other.ok());
    assert_eq!(controllers(&project), 1);
    let objects = project.objects().await;
    assert_eq!((objects.containers.len(), objects.networks.len()), (2, 1), "{objects:#?}");
}

async fn start_against_stop_ends_consistently(engine: Engine) {
    let project = Project::new(engine, CONFIG).await;
    for round in 0..repeat("TANUKI_E2E_RACES", 2) {
        let start = project.tanuki(&["service", "start", "--wait-timeout", "6s"]);
        let stop = async {
            sleep(Duration::from_millis(u64::from(round) * 300)).await;
            project.tanuki(&["service", "stop", "--wait-timeout", "6s"]).await
        };
        let (start, stop) = tokio::join!(start, stop);
        for outcome in [&start, &stop] {
            assert!([0, 1, 4].contains(&outcome.code), "{outcome}");
        }
        assert_eq!(controllers(&project), 1);
        // Whoever asked last is who is heard.
        for name in ["redis", "web"] {
            let settled = |service: &Value| match service["desired"].as_str() {
                Some("running") => is_healthy(service),
                _ => service["state"] == "stopped",
            };
            let service = project.until(name, "settled", SOON, settled).await;
            let runs = states(&project).await.get(name) == Some(&ContainerState::Running);
            assert_eq!(runs, service["desired"] == "running", "{service:#}");
        }
    }
}

async fn the_inline_controller_leaves_nothing_running(engine: Engine) {
    let mut project = Project::new(engine, CONFIG).await;
    project.env.insert("TANUKI_CONTROLLER".into(), "inline".into());
    let _started = project.start().await;
    assert_eq!(project.controller(), None);
    assert_eq!(states(&project).await.get("redis"), Some(&ContainerState::Running));
    let _stopped = project.tanuki(&["service", "stop"]).await.ok();
    assert_ne!(states(&project).await.get("redis"), Some(&ContainerState::Running));
    assert_eq!(project.controller(), None);
}

async fn states(project: &Project) -> BTreeMap<String, ContainerState> {
    let containers = project.objects().await.containers;
    let named = containers
        .into_iter()
        .filter_map(|container| Some((container.labels.get("dev.tanuki.name")?.to_owned(), container.state)));
    named.collect()
}

/// How many processes are this project's controller.
fn controllers(project: &Project) -> usize {
    let root = project.root.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.contains(&&b"controller"[..]) && words.contains(&root)
        })
        .count()
}
