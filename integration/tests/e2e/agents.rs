//! Agents: made, stopped and removed; what is inside their containers, and what is out of their reach.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, repeat};

where_agents_run!(
    an_agent_has_the_services_and_nothing_else,
    many_agents_at_once,
    what_cannot_be_an_agent_is_refused,
    an_agent_that_is_removed_by_hand_is_lost,
    new_processes_have_the_current_values,
);

const SOON: Duration = Duration::from_secs(30);

/// Both built-in services.
const SERVICES: &str = "\
services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
    environment: { POSTGRES_PASSWORD: 'p@ss/word' }
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
";

async fn an_agent_has_the_services_and_nothing_else(engine: Engine) {
    let project = Project::with_agents(engine, SERVICES, &[("README.md", "a shop\n")]).await;
    let _started = project.start().await;

    // The session of the seed, word by word but for a suffix that another project's names make necessary.
    let made = project.tanuki(&["spawn", "api", "--role", "backend"]).await.ok();
    let agent = project.agent("api").await;
    let container = agent["container"].as_str().unwrap();
    assert!(container.starts_with("tanuki-agent-api"), "{agent:#}");
    assert_eq!(made.stdout, format!("Created agent: api\nBranch: tanuki/api\nContainer: {container}\n"));
    assert_eq!((&agent["state"], &agent["role"]), (&"idle".into(), &"backend".into()), "{agent:#}");
    let listed = project.tanuki(&["list"]).await.ok().says("api").says("idle").says("backend");
    assert!(listed.stdout.starts_with("NAME "), "{listed}");
    let _shown = project.tanuki(&["status", "api"]).await.ok().says("tanuki/api").says("backend");

    // Every variable of the contract, with its value.
    let env = project.environment("api").await;
    for (name, value) in [
        ("POSTGRES_HOST", "tanuki-svc-postgres"),
        ("POSTGRES_PORT", "5432"),
        ("POSTGRES_URL", "tanuki-svc-postgres:5432"),
        ("POSTGRES_USER", "tanuki"),
        ("POSTGRES_PASSWORD", "p@ss/word"),
        ("POSTGRES_DATABASE", "tanuki_dev"),
        ("POSTGRES_DSN", "postgres://tanuki:p%40ss%2Fword@tanuki-svc-postgres:5432/tanuki_dev"),
        ("DATABASE_URL", "postgres://tanuki:p%40ss%2Fword@tanuki-svc-postgres:5432/tanuki_dev"),
        ("PGHOST", "tanuki-svc-postgres"),
        ("PGPORT", "5432"),
        ("PGUSER", "tanuki"),
        ("PGPASSWORD", "p@ss/word"),
        ("PGDATABASE", "tanuki_dev"),
        ("REDIS_HOST", "tanuki-svc-redis"),
        ("REDIS_PORT", "6379"),
        ("REDIS_URL", "tanuki-svc-redis:6379"),
        ("REDIS_DSN", "redis://tanuki-svc-redis:6379"),
        ("TANUKI_AGENT", "api"),
        ("TANUKI_WORKSPACE", "/workspace"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name} of {env:#?}");
    }
    project.until_named("api", "tanuki-svc-postgres").await;
    project.until_named("api", "redis").await;
    let asked = "psql \"$POSTGRES_DSN\" -Atc \"select 'by address'\" && psql -Atc \"select 'by variables'\" \
                 && redis-cli -h \"$REDIS_HOST\" -p \"$REDIS_PORT\" ping";
    let answered = project.inside("api", asked).await.ok();
    assert_eq!(answered.stdout, "by address\nby variables\nPONG\n");

    // Its files are the user's, on both sides; it is not root, and has nothing of root's.
    let _written = project.inside("api", "echo mine >/workspace/made && mkdir /workspace/inner").await.ok();
    let owner = std::fs::metadata(&project.root).unwrap().uid();
    for path in ["made", "inner", "README.md"] {
        assert_eq!(std::fs::metadata(project.workspace("api").join(path)).unwrap().uid(), owner, "{path}");
    }
    let inside = project.inside("api", "id -u; stat -c %u /workspace/README.md; cat /proc/self/status").await;
    let inside = inside.ok().stdout;
    let lines: Vec<&str> = inside.lines().collect();
    assert_eq!((lines[0], lines[1]), (owner.to_string().as_str(), owner.to_string().as_str()), "{inside}");
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(lines.contains(&line), "{line}: {inside}");
    }
    if engine == Engine::Docker {
        // Without systemd, rootless Podman may not set limits.
        let limits = "cd /sys/fs/cgroup; cat pids/pids.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us \
                      pids.max memory.max cpu.max 2>/dev/null; true";
        let limits = project.inside("api", limits).await.ok().stdout;
        let first = |line: &'_ str| line.split(' ').next().unwrap_or_default().to_owned();
        assert_eq!(limits.lines().map(first).collect::<Vec<_>>(), ["512", "4294967296", "200000"]);
    }

    // The wall.
    let git = project.root.join(".git").display().to_string();
    let tanuki = project.root.join(".tanuki").display().to_string();
    for line in [
        format!("touch {git}/objects/new"),
        format!("touch {git}/hooks/pre-commit"),
        format!("test -e {git}/HEAD"),
        format!("test -e {tanuki}"),
        "ls /var/run/docker.sock /run/docker.sock /run/podman/podman.sock".to_owned(),
        "touch /usr/bin/new".to_owned(),
        "mount -t tmpfs none /mnt".to_owned(),
    ] {
        let tried = project.inside("api", &line).await;
        assert!(tried.code != 0, "{tried}");
    }
    let there = project.inside("api", "git log --format=%s && git status --short").await.ok();
    assert_eq!(there.stdout, "begin\n?? inner/\n?? made\n".replace("?? inner/\n", ""));
}

async fn many_agents_at_once(engine: Engine) {
    let count = repeat("TANUKI_E2E_AGENTS", 16);
    let config = format!("limits: {{ agents: {count} }}\n");
    let project = Project::with_agents(engine, &config, &[("a.txt", "a\n")]).await;
    let names: Vec<String> = (1..=count).map(|number| format!("agent-{number}")).collect();
    let spawned = names.iter().map(|name| project.tanuki(&["spawn", name]));
    for spawned in futures_util::future::join_all(spawned).await {
        let _made = spawned.ok();
    }
    let all = async |state: &str| {
        let listed = project.tanuki(&["list", "-o", "json"]).await.ok().json();
        let listed = listed.as_array().unwrap().clone();
        assert_eq!(listed.len(), names.len(), "{listed:#?}");
        assert!(listed.iter().all(|agent| agent["state"] == state), "not all are {state}: {listed:#?}");
    };
    all("idle").await;
    let branches = project.git_says(&["for-each-ref", "--format=%(refname)", "refs/heads/tanuki"]).await;
    assert_eq!(branches.lines().count(), names.len(), "{branches}");
    // One more than may be.
    let _refused = project.tanuki(&["spawn", "too-many"]).await.code(2).says("limits.agents");

    let _stopped = project.tanuki(&["stop", "--all"]).await.ok();
    all("stopped").await;
    let _started = project.tanuki(&["start", "--all"]).await.ok();
    all("idle").await;
    let _removed = project.tanuki(&["remove", "--all", "--yes"]).await.ok();
    let _none = project.tanuki(&["list"]).await.ok().never_says("agent-1");
    let there = project.objects().await.containers;
    assert!(there.is_empty(), "{there:#?}");
    let branches = project.git_says(&["for-each-ref", "--format=%(refname)", "refs/heads/tanuki"]).await;
    assert_eq!(branches, "");

    // By number, with names that are chosen.
    let made = project.tanuki(&["spawn", "-n", "8"]).await.ok();
    assert_eq!(made.stdout.matches("Created agent: ").count(), 8, "{made}");
    let listed = async || project.tanuki(&["list", "-o", "json"]).await.ok().json();
    let all_are = |listed: &Value, state: &str| {
        let listed = listed.as_array().unwrap();
        listed.len() == 8 && listed.iter().all(|agent| agent["state"] == state)
    };
    for (verb, state) in [("stop", "stopped"), ("start", "idle"), ("restart", "idle")] {
        let _done = project.tanuki(&[verb, "--all"]).await.ok();
        let listed = listed().await;
        assert!(all_are(&listed, state), "after {verb}: {listed:#}");
    }
    let _removed = project.tanuki(&["remove", "--all", "--yes"]).await.ok();
    assert_eq!(listed().await, Value::Array(Vec::new()));
}

async fn what_cannot_be_an_agent_is_refused(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    for name in ["A", "a", "-x", "a_b", "a/b", &"a".repeat(64), "../up"] {
        let _refused = project.tanuki(&["spawn", "--", name]).await.code(2);
    }
    let _made = project.spawn("api").await;
    let _taken = project.tanuki(&["spawn", "api"]).await.code(1).says("api");
    let _branch = project.git(&["branch", "tanuki/taken"]).await.ok();
    let _taken = project.tanuki(&["spawn", "taken"]).await.code(1).says("tanuki/taken");
    for (args, told) in [
        (["--base", "nowhere"], "nowhere"),
        (["--role", "wizard"], "wizard"),
        (["--agent", "clod"], "clod"),
        (["--image", "tanuki-test/none:1"], "tanuki-test/none:1"),
        // A shell, but no git.
        (["--image", "tanuki-test/bare:1"], "git"),
    ] {
        let refused = project.tanuki(&["spawn", "web", args[0], args[1]]).await;
        assert!(matches!(refused.code, 1 | 2), "{refused}");
        let _told = refused.says(told);
        // Nothing of it is left.
        let _none = project.tanuki(&["list"]).await.ok().never_says("web");
        assert!(!project.workspace("web").exists(), "{args:?} leaves a workspace");
        assert_eq!(
            project.git_says(&["branch", "--list", "tanuki/web"]).await,
            "",
            "{args:?} leaves a branch"
        );
        assert_eq!(project.objects().await.containers.len(), 1, "{args:?} leaves a container");
    }
    let _made = project.spawn("web").await;
}

async fn an_agent_that_is_removed_by_hand_is_lost(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("api").await;
    let _work = project.inside("api", "echo precious >work.txt").await.ok();
    let container = project.agent("api").await["container_id"].as_str().unwrap().to_owned();
    project.runtime.remove(&container).await.unwrap();
    project.until_agent("api", "lost", SOON, |agent| agent["state"] == "lost").await;
    // It is not made again by itself, and nothing of its work goes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(project.agent("api").await["state"], "lost");
    let _back = project.tanuki(&["restart", "api"]).await.ok();
    assert_eq!(project.agent("api").await["state"], "idle");
    assert_eq!(project.inside("api", "cat work.txt").await.ok().stdout, "precious\n");
}

async fn new_processes_have_the_current_values(engine: Engine) {
    let project = Project::with_agents(engine, POSTGRES, &[("a.txt", "a\n")]).await;
    // Before the services are there: with a warning, and complete when they are.
    let _warned = project.spawn("api").await.says("postgres");
    let _started = project.start().await;
    let env = project.environment("api").await;
    assert_eq!(env["POSTGRES_PASSWORD"], "tanuki");
    project.until_named("api", "postgres").await;
    let _answered = project.inside("api", "psql -Atc 'select 1'").await.ok();

    // A service that was restarted is reached by what runs and by the next run.
    let _restarted = project.tanuki(&["service", "restart", "postgres"]).await.ok();
    project.until_named("api", "postgres").await;
    let _answered = project.tanuki(&["run", "api", "psql -Atc \"select 'anew'\""]).await.ok().says("anew");

    // While one is under way that has the older ones.
    let script = "until test -e /tmp/go; do sleep 0.1; done; echo had $PGPASSWORD";
    let _begun = project.tanuki(&["run", "api", "--detach", script]).await.ok();
    let agent = project.until_agent("api", "working", SOON, |agent| agent["state"] == "working").await;
    assert_eq!(agent["stale_environment"], false, "{agent:#}");
    let config = std::fs::read_to_string(project.root.join("tanuki.yaml")).unwrap();
    project.configure(&format!("{config}    environment: {{ POSTGRES_PASSWORD: changed }}\n"));
    let deadline = tokio::time::Instant::now() + SOON;
    while project.environment("api").await["PGPASSWORD"] != "changed" {
        assert!(tokio::time::Instant::now() < deadline, "the password stays as it was");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    project.until_agent("api", "stale", SOON, |agent| agent["stale_environment"] == true).await;
    let _told = project.tanuki(&["status", "api"]).await.ok().says("stale");
    let _told = project.tanuki(&["list"]).await.ok().says("older values");
    let _go = project.inside("api", "touch /tmp/go").await.ok();
    let agent = project.until_agent("api", "idle", SOON, |agent| agent["state"] == "idle").await;
    assert_eq!(agent["stale_environment"], false, "{agent:#}");
    let _had = project.tanuki(&["logs", "api", "--run", "api-2"]).await.ok().says("had tanuki");
    let _has = project.tanuki(&["run", "api", "echo has $PGPASSWORD"]).await.ok().says("has changed");
}
