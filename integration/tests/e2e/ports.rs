//! Host ports: on loopback only, another one when the wanted one is taken, an error when that one was insisted on.

use std::net::TcpListener;
use std::time::Duration;

use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;
use tokio::net::TcpStream;
use tokio::time::timeout;

on_every_engine!(a_busy_port_is_gone_round_or_explained);

async fn a_busy_port_is_gone_round_or_explained(engine: Engine) {
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = busy.local_addr().unwrap().port();
    let config = format!(
        "services:\n  redis:\n    image: tanuki-test/redis:7\n    pull_policy: never\n    port: {port}\n    \
         command: [redis-server, --port, '{port}']\n"
    );
    let project = Project::new(engine, &config).await;
    let _started = project.start().await.says(&format!("✓ redis (tanuki-svc-redis:{port})"));
    let status = project.service("redis").await;
    let host = u16::try_from(status["host_port"].as_u64().unwrap()).unwrap();
    assert_ne!(host, port);
    let _shown = project.tanuki(&["service", "status"]).await.ok().says(&format!("{host}->{port}"));
    let _told = project
        .tanuki(&["service", "env", "--from", "host"])
        .await
        .ok()
        .says("REDIS_HOST=127.0.0.1")
        .says(&format!("REDIS_PORT={host}"));

    // Every address of 127/8 is this machine, but only one is published on.
    let bindings = project.container("redis").await.ports;
    assert!(!bindings.is_empty() && bindings.iter().all(|port| port.host_ip.is_loopback()), "{bindings:?}");
    let _open = TcpStream::connect(("127.0.0.1", host)).await.unwrap();
    let elsewhere = timeout(Duration::from_secs(2), TcpStream::connect(("127.0.0.2", host))).await;
    assert!(!matches!(elsewhere, Ok(Ok(_))), "port {host} is published on more than 127.0.0.1");

    project.configure(&format!("{config}    host_port: {port}\n"));
    let started = project.tanuki(&["service", "start"]).await.code(1);
    let holder = format!("pid {}", std::process::id());
    let _told = started.says(&port.to_string()).says("in use by").says(&holder);

    drop(busy);
    let _started = project.start().await;
    assert_eq!(project.service("redis").await["host_port"], port);
}
