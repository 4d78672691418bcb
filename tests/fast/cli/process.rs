//! The program itself, where no engine answers: exit codes, streams, pipes.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const CONFIG: &str = "services:
  postgres: { image: 'postgres:16', environment: { POSTGRES_PASSWORD: s3cret } }
  redis: {}
";

/// A project on a machine whose only engine is a socket that is not there.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir_all(dir.path().join("project/deep/down")).unwrap();
        std::fs::write(dir.path().join("project/tanuki.yaml"), CONFIG).unwrap();
        Self { dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tanuki"));
        command
            .args(arguments)
            .current_dir(self.dir.path().join("project/deep/down"))
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKER_HOST", format!("unix://{}/no.sock", self.dir.path().display()))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_an_engine_commands_end_soon_with_3_and_a_mend() {
    let scene = Scene::new();
    let commands: [&[&str]; 14] = [
        &["service", "start"],
        &["service", "stop", "redis"],
        &["service", "status"],
        &["service", "logs", "redis"],
        &["service", "connect", "redis"],
        &["plan"],
        &["down"],
        &["spawn", "api"],
        &["list"],
        &["status", "api"],
        &["run", "api", "hello"],
        &["attach", "api", "--", "true"],
        &["remove", "api", "--yes"],
        &["logs", "api"],
    ];
    for arguments in commands {
        let began = began();
        let output = scene.run(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("DOCKER_HOST at unix://") && said.contains("hint: "), "{arguments:?}: {said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", began.elapsed());
    }
    let doctor = scene.run(&["doctor", "-o", "json"]);
    assert_eq!(doctor.status.code(), Some(3));
    let checks: serde_json::Value = serde_json::from_str(&stdout(&doctor)).unwrap();
    let engine = checks.as_array().unwrap().iter().find(|check| check["name"] == "engine").unwrap();
    assert_eq!(engine["level"], "failure");
}

#[expect(clippy::disallowed_methods, reason = "another process is timed, on the real clock")]
fn began() -> Instant {
    Instant::now()
}

#[test]
fn usage_errors_end_with_2_and_name_what_is_meant() {
    let scene = Scene::new();
    let output = scene.run(&["service", "logs", "postgre"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean 'postgres'?"));
    assert_eq!(scene.run(&["service", "dance"]).status.code(), Some(2));
    assert_eq!(scene.run(&["--runtime", "lxc", "plan"]).status.code(), Some(2));
    assert_eq!(scene.run(&["--project", "/", "plan"]).status.code(), Some(2));
    for (arguments, said) in [
        (&["spawn", "Api"][..], "begins with a lower case letter"),
        (&["attach", "api"], "a shell needs a terminal"),
        (&["attach", "api", "--agent"], "the agent CLI needs a terminal"),
        (&["remove", "api"], "add --yes"),
        (&["merge", "api", "--remove"], "add --yes"),
        (&["run", "api", "-f", "no-such-file"], "cannot read the prompt from"),
        (&["run", "api", " "], "the prompt is empty"),
        (&["run", "api", "-"], "the prompt is empty"),
        (&["run", "api", "go", "--loop"], "add --verify"),
    ] {
        let output = scene.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    let output = scene.run(&["merge", "api", "--pr"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cli.github.com"), "{}", stderr(&output));
    let output = scene.run(&["down", "--volumes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("add --yes"), "{}", stderr(&output));
}

#[test]
fn what_agents_get_is_told_without_an_engine_and_without_secrets() {
    let scene = Scene::new();
    let plain = scene.run(&["service", "env"]);
    assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
    assert!(stdout(&plain).contains("POSTGRES_HOST=tanuki-svc-postgres\n"));
    assert!(!stdout(&plain).contains("s3cret"));
    assert!(!stdout(&scene.run(&["service", "env", "-o", "json"])).contains("s3cret"));
    assert!(
        stdout(&scene.run(&["service", "env", "--export"])).contains("export POSTGRES_PASSWORD=s3cret\n")
    );
    assert!(stdout(&scene.run(&["service", "env", "--show-secrets"])).contains("PGPASSWORD=s3cret\n"));
    let one = stdout(&scene.run(&["service", "env", "redis"]));
    assert!(one.contains("REDIS_PORT=6379") && !one.contains("POSTGRES"), "{one}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scene = Scene::new();
    let mut child =
        scene.command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn output_that_is_no_terminal_has_no_colour() {
    let scene = Scene::new();
    for arguments in [&["--help"][..], &["plan"], &["service", "--help"], &["doctor"]] {
        let output = scene.run(arguments);
        assert!(!stdout(&output).contains('\x1b') && !stderr(&output).contains('\x1b'), "{arguments:?}");
    }
}

#[test]
fn looking_changes_nothing() {
    let scene = Scene::new();
    for arguments in [
        &["plan"][..],
        &["service", "status"],
        &["doctor"],
        &["events"],
        &["service", "env"],
        &["list"],
        &["status"],
        &["runs"],
    ] {
        scene.run(arguments);
    }
    assert!(!scene.dir.path().join("project/.tanuki").exists());
}
