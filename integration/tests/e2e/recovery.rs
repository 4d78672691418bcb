//! Services that die, hang, or never come up; engines that restart.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, is_healthy, repeat};
use tokio::process::Command;

on_every_engine!(
    a_killed_postgres_comes_back_with_its_data,
    a_hung_service_is_restarted,
    a_service_that_never_gets_healthy_is_explained,
    a_service_that_ends_at_once_is_explained,
    services_come_back_after_the_engine_alone,
);

const SOON: Duration = Duration::from_secs(30);

async fn a_killed_postgres_comes_back_with_its_data(engine: Engine) {
    let project = Project::new(engine, &format!("{POSTGRES}    restart: {{ initial: 2s, max: 4s }}\n")).await;
    let _started = project.start().await;
    let _none = project.sql("create table kept (n int)").await;
    for round in 1..=repeat("TANUKI_E2E_KILLS", 3) {
        let _none = project.sql(&format!("insert into kept values ({round})")).await;
        let before = project.service("postgres").await;
        project.kill_main_process("postgres").await;
        if round > 1 {
            // From the second time on there is a wait, and it is shown.
            let is = |status: &Value| status["state"] == "backoff" || status["state"] == "CrashLoopBackOff";
            let waiting = project.until("postgres", "waiting", SOON, is).await;
            assert!(waiting["next_try"].is_number(), "{waiting:#}");
            assert_eq!(waiting["last_exit_code"], 137, "{waiting:#}");
            let _shown = project
                .tanuki(&["service", "status"])
                .await
                .ok()
                .says("CrashLoopBackOff")
                .says("next try")
                .says("exit code 137");
        }
        let after = project.until_restarted("postgres", &before, SOON).await;
        assert_eq!(after["restarts"], round, "{after:#}");
        assert_eq!(project.sql("select count(*) from kept").await, round.to_string());
    }
    let _told = project.tanuki(&["events"]).await.ok().says("ended with exit code 137");
}

async fn a_hung_service_is_restarted(engine: Engine) {
    let config = "\
services:
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
    stop_grace_period: 1s
    healthcheck: { interval: 300ms, timeout: 1s, retries: 2 }
";
    let project = Project::new(engine, config).await;
    let _started = project.start().await;
    let before = project.service("redis").await;
    let container = project.container("redis").await;
    project.runtime.kill(&container.id, "STOP").await.unwrap();
    let after = project.until_restarted("redis", &before, SOON).await;
    assert_eq!(after["restarts"], 1, "{after:#}");
    let _told = project.tanuki(&["events"]).await.ok().says("Unhealthy");
}

async fn a_service_that_never_gets_healthy_is_explained(engine: Engine) {
    let config = "\
services:
  web:
    image: tanuki-test/plain:1
    pull_policy: never
    port: 8080
    command: [sh, -c, 'echo last-words; exec sleep 1000']
    stop_grace_period: 0s
    restart: { initial: 100ms, max: 100ms }
    healthcheck: { command: [sh, -c, 'echo probe-says-no; exit 1'], interval: 300ms, retries: 3, start_period: 0s }
";
    let project = Project::new(engine, config).await;
    let started = project.tanuki(&["service", "start", "--wait-timeout", "45s"]).await;
    assert!([1, 4].contains(&started.code), "{started}");
    let _told = started.says("probe-says-no").says("last-words").says("web");
    let status = project.service("web").await;
    assert!(!is_healthy(&status), "{status:#}");
}

async fn a_service_that_ends_at_once_is_explained(engine: Engine) {
    let config = "\
services:
  web:
    image: tanuki-test/plain:1
    pull_policy: never
    port: 8080
    command: [sh, -c, 'echo last-words; exit 7']
    restart: { initial: 100ms, max: 100ms, max_retries: 2 }
    healthcheck: { command: [test, -e, /ready] }
";
    let project = Project::new(engine, config).await;
    let _told = project
        .tanuki(&["service", "start"])
        .await
        .code(1)
        .says("exit code 7")
        .says("last-words")
        .says("web");
    let status = project.service("web").await;
    assert_eq!(status["state"], "failed", "{status:#}");
    assert_eq!(status["last_exit_code"], 7, "{status:#}");
    let _shown = project.tanuki(&["service", "status"]).await.ok().says("failed").says("exit code 7");
    // It stays so until a person acts.
    project.configure(&config.replace("exit 7", "touch /ready; exec sleep 1000"));
    let _started = project.start().await;
}

async fn services_come_back_after_the_engine_alone(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let _started = project.start().await;
    let _none = project.sql("create table kept (n int); insert into kept values (1)").await;
    let controller = project.controller();
    assert!(controller.is_some());

    let mut restart = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines.sh"));
    restart.args(["restart", &engine.to_string()]);
    let _restarted = command::run(restart, None, Duration::from_secs(120)).await.ok();

    // Looked at past the program: a command would start what the controller has to do by itself.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let log = project.objects().await;
        let running = |container: &tanuki_runtimes::Container| {
            container.state == tanuki_runtimes::ContainerState::Running
        };
        if log.containers.iter().any(running) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{log:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Until the controller has looked again, it says that the engine is away.
    while project.tanuki(&["service", "status"]).await.code != 0 {
        assert!(tokio::time::Instant::now() < deadline, "{}", project.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    project.until("postgres", "healthy again", SOON, is_healthy).await;
    assert_eq!(project.controller(), controller, "the same controller did it");
    assert_eq!(project.sql("select n from kept").await, "1");
}
