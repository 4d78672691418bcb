//! What is reached from where: services by name, shown by a container that is none of Tanuki's; and nothing of the host
//! or of another agent from inside an agent.

use std::time::Duration;

use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;
use tokio::process::Command;

on_every_engine!(services_are_reached_by_name);
on_every_engine!(@ agents_docker Docker nothing_else_is_reached);
on_every_engine!(@ agents_podman_rootless PodmanRootless nothing_else_is_reached);

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

async fn nothing_else_is_reached(engine: Engine) {
    let config = "services:\n  redis:\n    image: tanuki-test/redis:7\n    pull_policy: never\n";
    let project = Project::with_agents(engine, config, &[("a.txt", "a\n")]).await;
    let _started = project.start().await;
    let (_one, _other) = (project.spawn("one").await, project.spawn("other").await);
    let _hidden = project.inside("other", "echo hidden >/workspace/hidden; echo hidden >~/hidden").await.ok();

    // Something that listens on the host alone, as services' published ports do.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let published = project.service("redis").await["host_port"].as_u64().unwrap();
    let serve = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _answered = tokio::io::AsyncWriteExt::write_all(&mut stream, b"host\n").await;
        }
    });
    let ask = |host: &str| {
        format!(
            "{{ nc -w 2 {host} {port} </dev/null; timeout 2 redis-cli -h {host} -p {published} ping; }} 2>/dev/null"
        )
    };
    for port in [u64::from(port), published] {
        let there = tokio::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).await;
        assert!(there.is_ok(), "nothing listens on the host's port {port}");
    }
    let hosts = "127.0.0.1 $(ip -4 route show default | cut -d' ' -f3) host.docker.internal host.containers.internal \
                 10.0.2.2 169.254.1.2";
    let line = format!("for host in {hosts}; do {}; done; true", ask("$host"));
    let reached = project.inside("one", &line).await.ok();
    assert_eq!(reached.stdout, "", "the host is reached");
    // By its name it is there.
    project.until_named("one", "redis").await;
    let named = project.inside("one", "redis-cli -h redis ping").await.ok();
    assert_eq!(named.stdout, "PONG\n");
    serve.abort();

    // Neither files nor processes of anybody else, and no engine.
    let root = project.root.display();
    for line in [
        "find / -xdev -name hidden -not -path '/proc/*' 2>/dev/null | grep .".to_owned(),
        format!("ls {root}/.tanuki {root}/tanuki.yaml {root}/.git/HEAD {root}/.git/config"),
        format!("echo x >{root}/.git/objects/x"),
        format!("rm -rf {root}/.git/objects; test ! -e {root}/.git/objects/info"),
        "grep -l TANUKI_AGENT=other /proc/[0-9]*/environ".to_owned(),
        "find / -xdev -type s 2>/dev/null | grep .".to_owned(),
        "env | grep -e DOCKER_HOST -e CONTAINER_HOST".to_owned(),
        "mknod /tmp/null c 1 3".to_owned(),
        "unshare --user --map-root-user true && unshare --mount true".to_owned(),
    ] {
        let tried = project.inside("one", &line).await;
        assert!(tried.code != 0, "{tried}");
    }
    let _whole = project.git(&["fsck"]).await.ok();
}
