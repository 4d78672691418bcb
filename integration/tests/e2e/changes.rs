//! A `tanuki.yaml` that changes while services run, and data that does not fit any more.

use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, is_healthy, kill};
use tokio::time::sleep;

on_every_engine!(a_change_recreates_only_what_differs, data_of_another_major_version_is_refused);

const SOON: Duration = Duration::from_secs(30);

fn config(value: &str, interval: &str) -> String {
    format!(
        "\
services:
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
    healthcheck: {{ interval: {interval} }}
  web:
    image: tanuki-test/plain:1
    pull_policy: never
    port: 8080
    command: [sleep, '1000']
    stop_grace_period: 0s
    environment: {{ COLOUR: {value} }}
    healthcheck: {{ command: ['true'] }}
"
    )
}

async fn a_change_recreates_only_what_differs(engine: Engine) {
    let project = Project::new(engine, &config("red", "1s")).await;
    let _started = project.start().await;
    let (redis, web) = (project.service("redis").await, project.service("web").await);
    let same = |one: &Value, other: &Value| {
        one["container_id"] == other["container_id"] && one["started_at"] == other["started_at"]
    };

    // Held still, so that there is time to ask what it is going to do.
    let controller = project.controller().expect("a controller");
    kill(controller, rustix::process::Signal::STOP);
    project.configure(&config("green", "2s"));
    let plan = project.tanuki(&["plan"]).await;
    kill(controller, rustix::process::Signal::CONT);
    let plan = plan.code(1).says("web: remove container").says("web: create container").says("COLOUR");
    let _plan = plan.never_says("redis: ").never_says("green");

    let is = |status: &Value| is_healthy(status) && !same(status, &web);
    let web = project.until("web", "made anew", SOON, is).await;
    let colour = project.in_container("web", "echo $COLOUR", &[]).await;
    assert_eq!(String::from_utf8_lossy(&colour.stdout).trim(), "green");
    assert!(same(&project.service("redis").await, &redis), "redis was not asked to change");
    let _settled = project.tanuki(&["plan"]).await.ok().says("Nothing to do.");
    assert_eq!(project.controller(), Some(controller));

    // What cannot be read changes nothing, and is told.
    project.configure("services:\n  redis:\n    imago: nonsense\n");
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let shown = project.tanuki(&["service", "status"]).await.ok();
        if shown.stdout.contains("configuration:") || shown.stderr.contains("configuration:") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(same(&project.service("redis").await, &redis) && same(&project.service("web").await, &web));

    // A service that is no longer there is taken away; the other one stays.
    let only_redis = config("green", "2s");
    let only_redis = &only_redis[..only_redis.find("  web:").unwrap()];
    project.configure(only_redis);
    let deadline = tokio::time::Instant::now() + SOON;
    while project.objects().await.containers.len() != 1 {
        assert!(tokio::time::Instant::now() < deadline, "{:#?}", project.objects().await);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(same(&project.service("redis").await, &redis));
}

async fn data_of_another_major_version_is_refused(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let _started = project.start().await;
    let _none = project.sql("create table kept (n int); insert into kept values (1)").await;
    let before = project.container("postgres").await;

    // While it runs: refusing leaves it running.
    let older = POSTGRES.replace("postgres:15", "postgres:14");
    project.configure(&older);
    let refused = |status: &Value| status["reason"] == "DataVersionMismatch";
    let status = project.until("postgres", "refused", SOON, refused).await;
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("15") && message.contains("14"), "{message}");
    assert_eq!(project.container("postgres").await.started_at, before.started_at);

    // From a standstill.
    let _down = project.tanuki(&["down"]).await.ok();
    let _told = project.tanuki(&["service", "start"]).await.code(1).says("postgres 15").says("postgres 14");
    assert!(project.objects().await.containers.is_empty(), "nothing was made for it");

    project.configure(POSTGRES);
    let _started = project.start().await;
    assert_eq!(project.sql("select n from kept").await, "1");
}
