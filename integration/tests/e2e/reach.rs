//! Agents reach services by name: shown by a container that is none of Tanuki's.

use std::time::Duration;

use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;
use tokio::process::Command;

on_every_engine!(services_are_reached_by_name);

const CONFIG: &str = "\
services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
";

async fn services_are_reached_by_name(engine: Engine) {
    let project = Project::new(engine, CONFIG).await;
    let _started = project.start().await;
    let network = project.objects().await.networks[0].name.clone();
    let env = project.tanuki(&["service", "env", "--export"]).await.ok().stdout;
    let script = format!(
        "{env}
        psql -Atc \"select 'by variables'\"
        psql \"$POSTGRES_DSN\" -Atc \"select 'by address'\"
        redis-cli -h \"$REDIS_HOST\" -p \"$REDIS_PORT\" ping
        redis-cli -h redis ping"
    );
    let client = Command::new(env!("CARGO_BIN_EXE_throwaway"));
    let mut client = client;
    let socket = engine.socket().unwrap();
    client.env("DOCKER_HOST", format!("unix://{}", socket.display())).args([&network, &script]);
    let answered = command::run(client, None, Duration::from_secs(60)).await.ok();
    assert_eq!(
        answered.stdout.lines().collect::<Vec<_>>(),
        ["by variables", "by address", "PONG", "PONG"],
        "{answered}"
    );
}
