//! `service start` returns when clients can use the service, and not before.

use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, repeat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_every_engine!(
    start_returns_when_postgres_answers_over_tcp,
    start_sees_through_the_server_that_initialises
);

/// What asks over the unix socket alone is told that the temporary server is ready.
const TOO_EARLY: &str = "healthcheck: { command: [pg_isready, -U, tanuki] }";

async fn start_returns_when_postgres_answers_over_tcp(engine: Engine) {
    let project = Project::new(engine, &postgres("")).await;
    for round in 0..repeat("TANUKI_E2E_STARTS", 3) {
        if round > 0 {
            let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
        }
        fresh_start_is_usable(&project).await;
    }
}

async fn start_sees_through_the_server_that_initialises(engine: Engine) {
    let project = Project::new(engine, &postgres("environment: { TANUKI_TEST_INIT_DELAY: \"3\" }")).await;
    let started = fresh_start_is_usable(&project).await;
    assert!(started.as_secs() >= 3, "returned after {started:?}");
}

fn postgres(more: &str) -> String {
    format!(
        "services:\n  postgres:\n    image: tanuki-test/postgres:15\n    pull_policy: never\n    {TOO_EARLY}\n    {more}\n"
    )
}

/// Starts from nothing, then asks at once: from the host, and as another container would.
async fn fresh_start_is_usable(project: &Project) -> std::time::Duration {
    let mut command = project.command(&["service", "start"]);
    let ran = command.stdin(std::process::Stdio::null());
    let began = tokio::time::Instant::now();
    let output = ran.output().await.unwrap();
    let took = began.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let container = project.container("postgres").await;
    let port = container.ports.iter().find(|port| port.container_port == 5432).expect("a published port");
    let answer = greet(port.host_port).await;
    assert_eq!(answer, b'R', "the server asks for a password, and nothing else: '{}'", char::from(answer));

    // Not over loopback: as for an agent, the way in is the network, by name, with the password.
    let query = "psql -h tanuki-svc-postgres -U tanuki -d tanuki_dev -Atc 'select 6 * 7' 2>&1";
    let answer = project.in_container("postgres", query, &[("PGPASSWORD", "tanuki")]).await;
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "42");
    took
}

/// Begins a session on the published port as clients do, and returns the kind of the server's first message.
async fn greet(port: u16) -> u8 {
    let mut parameters = Vec::new();
    for text in ["user", "tanuki", "database", "tanuki_dev", ""] {
        parameters.extend(text.as_bytes());
        parameters.push(0);
    }
    let length = u32::try_from(parameters.len() + 8).unwrap();
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    server.write_all(&length.to_be_bytes()).await.unwrap();
    // Version 3.0 of the protocol.
    server.write_all(&(3_u32 << 16).to_be_bytes()).await.unwrap();
    server.write_all(&parameters).await.unwrap();
    server.read_u8().await.expect("an answer")
}
