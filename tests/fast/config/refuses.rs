//! Configurations that are refused, in the words a person reads.

use std::os::unix::fs::PermissionsExt;

use super::Project;

/// Snapshots the refusal of a text under a name.
#[track_caller]
fn refuses(name: &str, yaml: &str) {
    let refusal = Project::new(yaml).refusal();
    insta::with_settings!({ description => yaml.chars().take(400).collect::<String>(), omit_expression => true }, {
        insta::assert_snapshot!(name, refusal);
    });
}

#[test]
fn broken_yaml() {
    refuses("unclosed_quote", "services:\n  pg:\n    image: \"postgres\n    port: 1\n");
    refuses("bad_indentation", "services:\n  pg:\n    image: a\n   port: 1\n");
    refuses("unclosed_list", "services:\n  pg:\n    command: [a, b\n    port: 1\n");
    refuses("tab", "services:\n\tpg:\n\t\timage: a\n");
    refuses("unknown_anchor", "services:\n  pg: *nothing\n");
    refuses("tag", "services:\n  pg: !reset\n    image: a\n");
    refuses("directive", "%YAML 1.2\n---\nservices:\n");
    refuses("two_documents", "services:\n---\nservices:\n");
    refuses("key_is_a_list", "services:\n  ? [a]\n  : b\n");
    refuses("not_a_mapping", "just text\n");
    refuses("list", "- services\n");
}

#[test]
fn doubled_keys() {
    refuses(
        "doubled_keys",
        "services:\n  pg:\n    image: a\n    port: 1\n    image: b\n  pg:\n    image: c\nservices: {}\n",
    );
}

#[test]
fn alias_bombs() {
    let mut laughs = "x-a: &a [l, l, l, l, l, l, l, l, l]\n".to_owned();
    for (before, name) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        let line = format!("x-{name}: &{name} [{}]\n", format!("*{before}, ").repeat(9));
        laughs.push_str(&line);
    }
    refuses("billion_laughs", &laughs);
    let many = "*a, ".repeat(2000);
    let quadratic = format!("x-a: &a [{}]\nx-b: [{many}]\n", "l, ".repeat(2000));
    refuses("quadratic_aliases", &quadratic);
}

#[test]
fn nesting() {
    refuses("nested_lists", &format!("x-a: {}", "[".repeat(1000)));
    refuses("nested_maps", &format!("x-a: {}", "{a: ".repeat(100)));
    refuses("nested_blocks", &(0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>());
    refuses("nested_dashes", &format!("x-a:\n  {}", "- ".repeat(10_000)));
    refuses("brackets", &format!("x-a: {}", "[".repeat(10_000)));
}

#[test]
fn files() {
    let project = Project::new("");
    let file = project.dir.path().join("tanuki.yaml");

    std::fs::write(&file, [b'a', b':', b' ', 0xff]).unwrap();
    insta::assert_snapshot!("not_utf8", project.refusal());

    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    insta::assert_snapshot!("too_long", project.refusal());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if std::fs::File::open(&file).is_err() {
        insta::assert_snapshot!(project.refusal(), @r"
        error: cannot read tanuki.yaml: permission denied
         |
         = help: make it readable for you
        ");
    }

    std::fs::remove_file(&file).unwrap();
    insta::assert_snapshot!("missing", project.refusal());

    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    insta::assert_snapshot!("missing", project.refusal());
    std::fs::remove_file(&file).unwrap();

    std::fs::create_dir(&file).unwrap();
    insta::assert_snapshot!("directory", project.refusal());
    std::fs::remove_dir(&file).unwrap();

    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    insta::assert_snapshot!("device", project.refusal());
}

#[test]
fn both_files_are_reported() {
    let project = Project::new("servces: {}\n").file("home/.config/tanuki/config.yaml", "runtme: auto\n");
    insta::assert_snapshot!("both_files", project.refusal());
    let project = Project::new("a: [\n").file("home/.config/tanuki/config.yaml", "b: }\n");
    insta::assert_snapshot!("both_files_broken", project.refusal());
}

#[test]
fn unknown_keys() {
    refuses(
        "unknown_keys",
        "\
servces: {}
services:
  pg:
    imgae: a
    image: a
    port: 1
    depends_on: [redis]
    healthcheck: { intervall: 5s, tst: x }
    volumes: [{ typ: bind, source: ., target: /x }]
    Port: 1
    stop-signal: INT
limits: { agnets: 1, zzz: 2 }
runtime: { sockt: x }
",
    );
}

#[test]
fn ports() {
    refuses(
        "port",
        "\
services:
  a: { image: a, port: 0 }
  b: { image: a, port: 70000 }
  c: { image: a, port: \"abc\" }
  d: { image: a, port: -1 }
  e: { image: a, port: 1.5 }
  f: { image: a, port: [1] }
  g: { image: a, port: 1, host_port: nine }
  h: { image: a, port: 1, host_port: 0 }
  i: { image: a }
  j: { image: a, host_port: 1 }
",
    );
    refuses(
        "ports",
        "\
services:
  a: { image: a, ports: [\"0.0.0.0:1:1\"] }
  b: { image: a, ports: [\"1-3:1-3\"] }
  c: { image: a, ports: [\"1:1/udp\"] }
  d: { image: a, ports: [\"a:b\"] }
  e: { image: a, ports: [{ target: 1 }] }
  f: { image: a, ports: [\"1:2:3:4\"] }
  g: { image: a, ports: 1 }
  h: { image: a, port: 5, host_port: 6, ports: [\"7:5\"] }
  i: { image: a, ports: [0, 70000] }
",
    );
    refuses(
        "same_host_port",
        "services:\n  a: { image: a, port: 1, host_port: 9 }\n  b:\n    image: a\n    port: 2\n    host_port: 9\n",
    );
}

#[test]
fn durations_and_sizes() {
    refuses(
        "durations",
        "\
services:
  a:
    image: a
    port: 1
    stop_grace_period: 5
    healthcheck: { interval: 5x, timeout: 0s, start_period: -1s, start_interval: soon, retries: 0 }
    restart: { initial: 10m, max: 1m, reset_after: [1], max_retries: -1 }
",
    );
    refuses(
        "sizes",
        "services:\n  a: { image: a, port: 1, shm_size: 64q, mem_limit: -1, cpus: many, pids_limit: 0 }\n",
    );
}

#[test]
fn volumes() {
    refuses(
        "volumes",
        "\
services:
  a:
    image: a
    port: 1
    volumes:
      - /data
      - name
      - name:relative
      - \"name:/x:rx\"
      - \"a:b:c:d\"
      - data/sub:/x
      - \"na me:/x\"
      - \"x:/\"
      - \"one:/same\"
      - \"two:/same/\"
      - { type: bind, source: name, target: /y }
      - { source: name }
    tmpfs: [rel, \"/x:size=z\", \"/x:exec\"]
",
    );
}

#[test]
fn names() {
    refuses("name_too_long", &format!("services:\n  {}: {{ image: a, port: 1 }}\n", "n".repeat(300)));
    refuses(
        "names",
        "services:\n  Pg: { image: a, port: 1 }\n  -a: { image: a, port: 1 }\n  a b: { image: a, port: 1 }\n  \"\": { image: a, port: 1 }\n",
    );
    refuses("same_prefix", "services:\n  main-db: { image: a, port: 1 }\n  main_db: { image: a, port: 2 }\n");
    refuses("network_name", "network: { name: \"my net\", join: [ok, -no] }\n");
}

#[test]
fn probes() {
    refuses(
        "probes",
        "\
services:
  a: { type: mysql, image: a, healthcheck: { tcp: 99999 } }
  b: { image: a, port: 1, healthcheck: { log: \"[\" } }
  c: { image: a, port: 1, healthcheck: { test: [\"pg_isready\"] } }
  d: { image: a, port: 1, healthcheck: { test: [CMD] } }
  e: { image: a, port: 1, healthcheck: { tcp: 1, http: / } }
  f: { image: a, port: 1, healthcheck: { http: health } }
  g: { image: a, port: 1, healthcheck: { command: [] } }
  h: { image: a, port: 1, healthcheck: yes }
  i: { image: a, healthcheck: { tcp: true } }
  j: { image: a, healthcheck: { http: /health } }
",
    );
}

#[test]
fn services() {
    refuses(
        "services",
        "\
services:
  no_image: { port: 1 }
  words: { image: a, port: 1, type: postgre, pull_policy: sometimes, restart: \"no\", enabled: yes }
  policy: { image: a, port: 1, restart: on-failure:x }
  external: { external: true, image: a, volumes: [] }
  hosted: { image: a, port: 1, host: h }
  text: hello
  quote: { image: a, port: 1, command: \"sh -c 'x\" }
  inject: { image: a, port: 1, inject: { prefix: 9x, env: { 1A: x, URL: \"{hst}{foo}\" } } }
  environment: { image: a, port: 1, environment: { \"A=B\": 1, LIST: [1] } }
  bad_list: { image: a, port: 1, environment: [A=1, {B: 2}] }
  limits: { image: a, port: 1, mem_limit: 1g, resources: { memory: 1g } }
",
    );
}

#[test]
fn interpolation() {
    let project = Project::new(
        "\
services:
  a:
    image: ${IMAGE:?name the image}
    port: ${SECRET_TOKEN}
    command: echo $
    environment: { A: \"${\", B: \"${B!}\" }
",
    )
    .var("SECRET_TOKEN", "hunter2");
    let refusal = project.refusal();
    assert!(!refusal.contains("hunter2"), "{refusal}");
    insta::assert_snapshot!("interpolation", refusal);
}

#[test]
fn env_files() {
    let project = Project::new(
        "services:\n  a: { image: a, port: 1, env_file: [missing.env, bad.env, { path: gone.env, required: false }] }\n",
    )
    .file("bad.env", "OK=1\nnot a line\n");
    insta::assert_snapshot!("env_files", project.refusal());
}

#[test]
fn agents() {
    refuses(
        "agents",
        "\
version: \"2\"
runtime: dokcer
defaults: { agent: cluade, max_turns: 0, allowed_tools: Read }
adapters:
  mine: { run: [x] }
  other: { kind: command }
  codex: { run: [x], env: [\"A=1\"] }
git: { branch_prefix: \"a b\" }
roles: { Back: {}, qa: { agent: nobody } }
workstreams: { api: { concurrency: 0 } }
limits: { agents: many, free_memory: 1q }
tasks_dir: ../elsewhere
",
    );
}

#[test]
fn variables_of_tanuki() {
    insta::assert_snapshot!("variables", Project::new("").var("TANUKI_RUNTIME", "dokcer").refusal());
}

#[test]
fn many_errors_end_somewhere() {
    let lines: String = (0..200).map(|index| format!("key{index}: 1\n")).collect();
    let refusal = Project::new(&lines).refusal();
    assert!(refusal.contains("180 more problems"), "{refusal}");
}
