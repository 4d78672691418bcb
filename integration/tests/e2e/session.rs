//! The example session, and what its commands print.

use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, is_healthy};

on_every_engine!(the_example_session_runs, data_survives_stop_and_down);

async fn the_example_session_runs(engine: Engine) {
    let project = Project::empty(engine).await;
    let _made = project.tanuki(&["init"]).await.ok().says("Initialized .tanuki/");
    let file = project.root.join("tanuki.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    assert!(config.contains("image: postgres:16") && config.contains("image: redis:7"), "{config}");
    // The images that are here.
    let config =
        config.replace("redis:7", "tanuki-test/redis:7").replace("postgres:16", "tanuki-test/postgres:15");
    project.configure(&config);
    let _again = project.tanuki(&["init"]).await.ok().says("Initialized .tanuki/");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), config, "init again leaves what is there");

    let started = project.start().await;
    assert_eq!(
        started.stdout,
        "Starting services...\n  ✓ postgres (tanuki-svc-postgres:5432)\n  ✓ redis (tanuki-svc-redis:6379)\n"
    );

    let shown = project.tanuki(&["service", "status"]).await.ok();
    let table: Vec<Vec<&str>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table.len(), 3, "{shown}");
    assert_eq!(table[0], ["SERVICE", "STATUS", "HEALTH", "PORT", "UPTIME"]);
    assert_eq!(table[1][..3], ["postgres", "running", "healthy"], "{shown}");
    assert_eq!(table[2][..3], ["redis", "running", "healthy"], "{shown}");
    for row in &table[1..] {
        assert!(row[3].split("->").all(|port| port.parse::<u16>().is_ok()), "a port: {shown}");
        assert!(row[4].ends_with('s'), "an uptime in seconds: {shown}");
    }

    let _answer = project
        .tanuki_with(&["service", "connect", "postgres"], "\\dt\nselect 6 * 7 as answer;\n")
        .await
        .ok()
        .says("Did not find any relations.")
        .says("answer")
        .says("42");
    let pong = project.tanuki_with(&["service", "connect", "redis"], "PING\n").await.ok();
    assert_eq!(pong.stdout.trim(), "PONG");

    let _log =
        project.tanuki(&["service", "logs", "postgres"]).await.ok().says("ready to accept connections");
    let tail = project.tanuki(&["service", "logs", "postgres", "-n", "2"]).await.ok();
    assert_eq!(tail.stdout.lines().count() + tail.stderr.lines().count(), 2, "{tail}");

    let env = project.tanuki(&["service", "env"]).await.ok();
    for line in [
        "POSTGRES_HOST=tanuki-svc-postgres",
        "POSTGRES_PORT=5432",
        "POSTGRES_URL=tanuki-svc-postgres:5432",
        "POSTGRES_USER=tanuki",
        "POSTGRES_DATABASE=tanuki_dev",
        "REDIS_HOST=tanuki-svc-redis",
        "REDIS_PORT=6379",
        "REDIS_URL=tanuki-svc-redis:6379",
    ] {
        assert!(env.stdout.lines().any(|shown| shown == line), "{line}: {env}");
    }
    let _settled = project.tanuki(&["plan"]).await.ok();
    let _events = project.tanuki(&["events"]).await.ok().says("service/postgres").says("Started");

    let _stopped = project.tanuki(&["service", "stop"]).await.ok();
    let status = project.status().await;
    for service in ["postgres", "redis"] {
        assert_eq!(status["services"][service]["state"], "stopped", "{status:#}");
    }
    let _down = project.tanuki(&["down"]).await.ok();
    let left = project.objects().await;
    assert!(left.containers.is_empty() && left.networks.is_empty(), "{left:#?}");
    assert_eq!(left.volumes.len(), 2, "data is kept: {left:#?}");
}

async fn data_survives_stop_and_down(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let _started = project.start().await;
    let _none = project.sql("create table kept (n int); insert into kept values (1)").await;

    let _stopped = project.tanuki(&["service", "stop", "postgres"]).await.ok();
    let _started = project.tanuki(&["service", "start", "postgres"]).await.ok();
    assert_eq!(project.sql("select n from kept").await, "1");

    let before = project.service("postgres").await;
    let _restarted = project.tanuki(&["service", "restart", "postgres"]).await.ok();
    let after = project.service("postgres").await;
    assert!(is_healthy(&after), "{after:#}");
    assert_ne!(before["started_at"], after["started_at"], "{after:#}");

    let _down = project.tanuki(&["down"]).await.ok();
    let _started = project.start().await;
    assert_eq!(project.sql("select n from kept").await, "1");

    // Without somebody to ask, data only goes when that was said.
    let _refused = project.tanuki(&["down", "--volumes"]).await.code(2).says("--yes");
    assert_eq!(project.sql("select n from kept").await, "1");
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    let left = project.objects().await;
    assert!(left.volumes.is_empty(), "{left:#?}");
}
