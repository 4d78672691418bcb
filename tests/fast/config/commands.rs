//! The commands `init` and `config`, as the program itself.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A git repository with nobody's environment around it.
struct Place {
    dir: TempDir,
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        std::fs::write(dir.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        Self { dir }
    }

    fn write(&self, yaml: &str) {
        std::fs::write(self.dir.path().join("tanuki.yaml"), yaml).unwrap();
    }

    fn run(&self, args: &[&str]) -> Said {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_tanuki"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path().join("home"))
            // No engine: the fast tests do not look for the machine's.
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("CONTAINER_HOST", "unix:///nowhere/podman.sock")
            .output()
            .unwrap();
        let path = self.dir.path().canonicalize().unwrap().display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&path, "[project]");
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

#[test]
fn init_says_one_line() {
    let place = Place::new();
    for args in [&["init"][..], &["init"], &["init", "--force"]] {
        let said = place.run(args);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "Initialized .tanuki/\n"), "{}", said.err);
    }
    let said = place.run(&["config", "check"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "ok: 2 services (postgres, redis)\n"),
        "{}",
        said.err
    );
}

#[test]
fn init_outside_of_a_repository() {
    let place = Place { dir: TempDir::new().unwrap() };
    let said = place.run(&["init"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!("init_outside", said.err);
}

#[test]
fn check_tells_everything() {
    let place = Place::new();
    place.write("services:\n  pg: { imgae: a, image: a, port: 70000 }\n");
    let said = place.run(&["config", "check"]);
    assert_eq!(said.code, Some(2));
    assert!(said.out.contains("did you mean `image`?") && said.out.contains("70000"), "{}", said.out);

    let said = place.run(&["config", "check", "-o", "json"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!("check_json", said.out);

    place.write("services:\n  a: { image: redis, port: 1 }\n");
    let said = place.run(&["config", "check", "-o", "json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, Some(0));
    assert_eq!(
        (report["valid"].as_bool(), report["diagnostics"][0]["severity"].as_str()),
        (Some(true), Some("warning"))
    );
}

#[test]
fn no_project_is_told_in_both_forms() {
    let place = Place::new();
    let said = place.run(&["config", "check"]);
    assert_eq!(said.code, Some(2));
    assert!(said.out.contains("tanuki init"), "{}", said.out);
    let said = place.run(&["config", "check", "-o", "json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, report["valid"].as_bool()), (Some(2), Some(false)));
    let said = place.run(&["config", "show"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("tanuki init"), "{}", said.err);
}

#[test]
fn show_in_all_forms() {
    let place = Place::new();
    place.write("services: { redis: { environment: { REDIS_PASSWORD: hunter2 } } }\n");
    let said = place.run(&["--runtime", "podman", "config", "show"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("kind: podman") && !said.out.contains("hunter2"), "{}", said.out);
    let said = place.run(&["config", "show", "--show-secrets", "-o", "json"]);
    let tree: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(tree["services"]["redis"]["environment"]["REDIS_PASSWORD"], "hunter2");
    let said = place.run(&["--runtime", "podman", "config", "show", "--origin"]);
    let line = said.out.lines().find(|line| line.starts_with("runtime.kind")).unwrap_or_default();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["runtime.kind", "podman", "--runtime"]);
    let said = place.run(&["config", "show", "--origin", "-o", "json"]);
    let values: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(values["services.redis.environment.REDIS_PASSWORD"]["origin"], "tanuki.yaml:1");
}

#[test]
fn schema_is_json() {
    let said = Place::new().run(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, Some(0));
    assert!(schema["properties"]["services"].is_object());
}
