//! Configurations that load, and what they come to.

use std::collections::BTreeMap;
use std::time::Duration;

use tanuki::config::RuntimeKind;
use tanuki::model::AdapterKind;
use tanuki::model::{HostPort, Probe, ServiceType, VolumeSource};

use super::Project;

const SEED: &str = r#"
services:
  postgres:
    enabled: true
    image: postgres:16
    port: 5432
    environment:
      POSTGRES_USER: tanuki
      POSTGRES_PASSWORD: tanuki
      POSTGRES_DB: tanuki_dev
    volumes:
      - tanuki-postgres:/var/lib/postgresql/data
    healthcheck:
      command: ["pg_isready", "-U", "tanuki"]
      interval: 5s
      timeout: 3s
      retries: 5
"#;

pub(crate) const CONTRACT: &str = r#"
version: "1"
runtime: auto
network: { name: tanuki-net, join: [] }
services:
  postgres:
    enabled: true
    image: postgres:16
    port: 5432
    host_port: 5432
    environment: { POSTGRES_USER: tanuki, POSTGRES_PASSWORD: tanuki, POSTGRES_DB: tanuki_dev }
    volumes: [ "tanuki-postgres:/var/lib/postgresql/data" ]
    healthcheck: { command: ["pg_isready", "-U", "tanuki"], interval: 5s, timeout: 3s, retries: 5, start_period: 10s }
    restart: { initial: 1s, max: 60s, reset_after: 10m, max_retries: 0 }
    inject: { prefix: POSTGRES, env: { DATABASE_URL: "postgres://{user}:{password}@{host}:{port}/{database}" } }
  search:
    external: true
    host: opensearch
    port: 9200
defaults: { agent: claude, image: agent:1, model: opus, max_turns: 50, allowed_tools: [Read], resources: { memory: 4g, cpus: 2, pids: 512 } }
adapters:
  claude: { env: [ANTHROPIC_API_KEY], args: ["--verbose"] }
  scripted: { kind: command, run: ["sh", "agent.sh", "{prompt}"] }
git: { branch_prefix: tanuki/ }
roles: { backend: { prompt: "You write Rust.", max_turns: 20 } }
workstreams: { api: { concurrency: 2, role: backend } }
limits: { agents: 8, working: 4, free_memory: 1g }
tasks_dir: .tanuki/tasks
"#;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_example_of_the_seed() {
    let config = Project::new(SEED).ok();
    let pg = &config.services["postgres"];
    assert_eq!(pg.service_type, ServiceType::Postgres);
    assert_eq!(pg.image, "postgres:16");
    assert_eq!((pg.port, pg.host_port), (Some(5432), HostPort::Auto));
    assert_eq!(pg.volumes[0].source, VolumeSource::Named("tanuki-postgres".to_owned()));
    assert_eq!(pg.probe, Probe::Exec(vec!["pg_isready".to_owned(), "-U".to_owned(), "tanuki".to_owned()]));
    assert_eq!(pg.health.interval, Duration::from_secs(5));
    assert!(config.warnings.is_empty());
}

#[test]
fn the_example_of_the_contract() {
    let config = Project::new(CONTRACT).ok();
    assert_eq!(config.services["postgres"].host_port, HostPort::Fixed(5432));
    let search = &config.services["search"];
    assert_eq!(search.external.as_ref().map(|external| external.host.as_str()), Some("opensearch"));
    assert_eq!(search.port, Some(9200));
    assert_eq!(config.adapters["scripted"].kind, AdapterKind::Command);
    assert_eq!(config.adapters["claude"].env, ["ANTHROPIC_API_KEY"]);
    assert_eq!(config.workstreams["api"].concurrency, 2);
    assert_eq!(config.defaults.resources.memory, Some(4 << 30));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn templates_fill_what_is_left_out() {
    let config = Project::new("services:\n  postgres:\n  cache: {type: redis}\n  db: {type: postgres, image: 'postgres:18', environment: {POSTGRES_DB: shop}}\n").ok();
    let pg = &config.services["postgres"];
    let credentials =
        [("POSTGRES_DB", "tanuki_dev"), ("POSTGRES_PASSWORD", "tanuki"), ("POSTGRES_USER", "tanuki")];
    assert_eq!(pg.environment, map(&credentials));
    assert_eq!((pg.image.as_str(), pg.port), ("postgres:16", Some(5432)));
    assert_eq!(pg.volumes[0].target, "/var/lib/postgresql/data");
    let cache = &config.services["cache"];
    assert_eq!((cache.image.as_str(), cache.port), ("redis:7", Some(6379)));
    assert_eq!(cache.volumes[0].source, VolumeSource::Named("tanuki-cache".to_owned()));
    let db = &config.services["db"];
    assert_eq!(db.environment["POSTGRES_DB"], "shop");
    assert_eq!(db.environment["POSTGRES_USER"], "tanuki");
    assert_eq!(db.volumes[0].target, "/var/lib/postgresql");
}

#[test]
fn flags_win_over_variables_over_files() {
    let mut project = Project::new("runtime: { kind: docker, socket: /run/mine.sock }\n");
    assert_eq!(project.ok().runtime.socket.as_deref(), Some("/run/mine.sock"));
    project = project.var("TANUKI_RUNTIME", "podman");
    let runtime = project.ok().runtime;
    assert_eq!((runtime.kind, runtime.socket), (RuntimeKind::Podman, None));
    project.overrides.runtime = Some(RuntimeKind::Auto);
    assert_eq!(project.ok().runtime.kind, RuntimeKind::Auto);
}

#[test]
fn compose_spellings() {
    let config = Project::new(
        r#"
x-common: &common
  restart: unless-stopped
  stop_grace_period: 1m30s
services:
  search:
    <<: *common
    image: search:2
    command: serve --flag "two words"
    entrypoint: [/init]
    environment: [A=1, B=x=y, EMPTY=, GIVEN, NOT_GIVEN]
    ports: ["127.0.0.1:19200:9200", 9300, "9400:9400/tcp"]
    volumes:
      - ./data:/data:ro,z
      - ~/cache:/cache
      - { type: volume, source: named, target: /named, read_only: true }
    tmpfs: /run:size=64m
    user: 1000
    shm_size: 64m
    stop_signal: sigint
    pull_policy: if_not_present
    mem_limit: 1g
    cpus: "0.5"
    pids_limit: 100
    healthcheck: { test: "curl -f localhost", interval: 1s, retries: 3, start_interval: 0.5s }
  one: { image: i, port: "80", healthcheck: { test: [CMD, curl, -f], disable: false }, restart: "on-failure:3" }
  two: { image: i, port: 80, healthcheck: { test: [CMD-SHELL, "a | b"] }, host_port: none, tmpfs: [/a, /b] }
  three: { image: i, port: 80, healthcheck: { test: [NONE] } }
  four: { image: i, port: 80, healthcheck: { disable: true }, restart: always }
  five: { image: i, port: 80, healthcheck: { tcp: true } }
  six: { image: i, port: 80, healthcheck: { http: /health } }
  seven: { image: i, port: 80, healthcheck: { http: { port: 81 } } }
  eight: { image: i, port: 80, healthcheck: { log: "^ready" }, inject: { prefix: my-db.1 } }
"#,
    )
    .var("GIVEN", "given")
    .ok();
    insta::with_settings!({ filters => vec![(r"/[^ ]*/\.tmp[^/]*/", "[project]/")] }, {
        insta::assert_debug_snapshot!("compose_search", config.services["search"]);
    });
    let probe = |name: &str| config.services[name].probe.clone();
    assert_eq!(probe("one"), Probe::Exec(vec!["curl".to_owned(), "-f".to_owned()]));
    assert_eq!(probe("two"), Probe::Shell("a | b".to_owned()));
    assert_eq!(probe("three"), Probe::Disabled);
    assert_eq!(probe("four"), Probe::Disabled);
    assert_eq!(probe("five"), Probe::Tcp(80));
    assert_eq!(probe("six"), Probe::Http { port: 80, path: "/health".to_owned() });
    assert_eq!(probe("seven"), Probe::Http { port: 81, path: "/".to_owned() });
    assert_eq!(probe("eight"), Probe::Log("^ready".to_owned()));
    assert_eq!(config.services["one"].restart.max_retries, 3);
    assert_eq!(config.services["two"].host_port, HostPort::None);
    assert_eq!(config.services["eight"].inject.prefix.as_deref(), Some("MY_DB_1"));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].message.contains("NOT_GIVEN"));
}

#[test]
fn layers_merge_maps_and_replace_lists() {
    let config = Project::new(
        "\
services:
  postgres:
    environment: { POSTGRES_DB: mine, FROM_USER: , NULL_DB: ~ }
    healthcheck: { tcp: true }
network: { join: [b] }
",
    )
    .file(
        "home/.config/tanuki/config.yaml",
        "\
services:
  postgres:
    image: postgres:15
    environment: [POSTGRES_DB=user, EXTRA=1, NULL_DB=x]
    healthcheck: { test: [CMD, x], interval: 7s }
network: { name: mine, join: [a] }
",
    )
    .var("FROM_USER", "me")
    .ok();
    let pg = &config.services["postgres"];
    let environment = [
        ("EXTRA", "1"),
        ("FROM_USER", "me"),
        ("POSTGRES_DB", "mine"),
        ("POSTGRES_PASSWORD", "tanuki"),
        ("POSTGRES_USER", "tanuki"),
    ];
    assert_eq!(pg.environment, map(&environment));
    assert_eq!(pg.image, "postgres:15");
    assert_eq!((pg.probe.clone(), pg.health.interval), (Probe::Tcp(5432), Duration::from_secs(7)));
    assert_eq!(
        (config.network.name.as_str(), config.network.join.as_slice()),
        ("mine", &["b".to_owned()][..])
    );
}

#[test]
fn the_user_wide_file_follows_xdg() {
    let project = Project::new("").file("xdg/tanuki/config.yaml", "runtime: podman\n");
    let xdg = project.root().join("xdg");
    let config = project.var("XDG_CONFIG_HOME", &xdg.display().to_string()).ok();
    assert_eq!(config.runtime.kind, RuntimeKind::Podman);
}

#[test]
fn env_files_come_first() {
    let config = Project::new(
        "services: { a: { image: i, port: 1, env_file: [a.env, b.env], environment: { C: 3 } } }",
    )
    .file("a.env", "A=1\nB=1\nC=1\n")
    .file("b.env", "B=2\nC=2\n")
    .ok();
    assert_eq!(config.services["a"].environment, map(&[("A", "1"), ("B", "2"), ("C", "3")]));
}

#[test]
fn a_password_file_replaces_the_templates_password() {
    let config =
        Project::new("services: { postgres: { environment: { POSTGRES_PASSWORD_FILE: /run/pw } } }").ok();
    assert!(!config.services["postgres"].environment.contains_key("POSTGRES_PASSWORD"));
}

#[test]
fn values_are_interpolated_and_keys_are_not() {
    let project = Project::new(
        "services: { a: { image: \"i:${TAG:-1}\", port: $PORT, enabled: $ON, environment: { $A: $$A, B: 1.10, C: 0644, D: no } } }",
    )
    .var("PORT", "99")
    .var("ON", "false");
    let a = &project.ok().services["a"];
    assert_eq!((a.image.as_str(), a.port, a.enabled), ("i:1", Some(99), false));
    assert_eq!(a.environment, map(&[("$A", "$A"), ("B", "1.10"), ("C", "0644"), ("D", "no")]));
    let warned = Project::new("network: { name: \"n${NOTHING}\" }").ok().warnings;
    insta::assert_snapshot!("warning_unset", tanuki::config::render_all(&warned, false));
}

#[test]
fn odd_but_fine_texts() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "---\nservices:\n...\n",
        "services:\n",
        "\u{feff}version: 1\r\nservices:\r\n  postgres:\r\n    image: postgres:16\r\n",
        "x-anything: { deep: [1, { no: check }] }\nservices: { x-base: {}, postgres: { x-note: hi } }\n",
        "{\"services\": {\"redis\": {\"port\": 6379}}}",
    ] {
        Project::new(text).ok();
    }
}

#[test]
fn external_services_take_only_the_port_of_a_template() {
    let config = Project::new(
        "services: { warehouse: { external: true, type: postgres, host: db.internal, environment: { POSTGRES_USER: u } } }",
    )
    .ok();
    let warehouse = &config.services["warehouse"];
    assert_eq!((warehouse.port, warehouse.image.as_str()), (Some(5432), ""));
    assert_eq!(warehouse.environment, map(&[("POSTGRES_USER", "u")]));
}

#[test]
fn warnings() {
    let config = Project::new(
        "\
services:
  db: { image: \"docker.io/library/postgres:16\", port: 5432, volumes: [\"data:/data\"], env_file: [{ path: a.env, required: false }] }
  other: { image: \"redis@sha256:00\", type: custom, port: 1, volumes: [\"data:/data\"] }
  reads: { image: i, port: 1, volumes: [\"data:/data:ro\"] }
",
    );
    let files = config.ok().files;
    assert_eq!(
        files,
        ["tanuki.yaml", "home/.config/tanuki/config.yaml", "a.env"].map(|file| config.root().join(file))
    );
    insta::assert_snapshot!("warnings", tanuki::config::render_all(&config.ok().warnings, false));
}
