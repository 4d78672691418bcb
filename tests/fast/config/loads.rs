//! Configurations that load, and what they come to.

use std::collections::BTreeMap;
use std::time::Duration;

use tanuki::config::{AdapterKind, RuntimeKind};
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
