//! Errors: what they say, and how the process ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tanuki::cli::{CliError, ErrorKind, Exit, engine_error};
use tanuki::config::{Env, Overrides, ProjectPaths, load};
use tanuki_runtimes::discover::{DiscoverError, Endpoint, Problem};
use tanuki_runtimes::{EngineKind, ErrorKind as EngineErrorKind, Holder, Labels};

#[test]
fn an_error_names_the_thing_says_why_and_what_next() {
    let source = std::io::Error::other("disk on fire");
    let error = CliError::failed("cannot save the plan")
        .because(&source)
        .with_detail("  last probe:\n    \x1b[31mno\x1b[0m answer\n")
        .hint("put it out");
    insta::assert_snapshot!(error.render(false), @r"
    error: cannot save the plan
      because: disk on fire
      last probe:
        no answer
    hint: put it out
    ");
}

#[test]
fn the_kind_decides_how_the_process_ends() {
    let exits = [
        (ErrorKind::Failed, 1),
        (ErrorKind::Usage, 2),
        (ErrorKind::Engine, 3),
        (ErrorKind::TimedOut, 4),
        (ErrorKind::BrokenPipe, 0),
    ];
    for (kind, exit) in exits {
        assert_eq!(CliError::new(kind, "").exit(), Exit(exit));
    }
    let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    assert_eq!(CliError::from(closed).exit(), Exit::DONE);
}

#[test]
fn a_misspelt_service_gets_the_nearest_name() {
    let known = ["postgres", "redis", "search"];
    let say = |name: &str| CliError::unknown_service(name, known).render(false);
    insta::assert_snapshot!(say("postgre"), @r"
    error: no service is named 'postgre'
    hint: did you mean 'postgres'?
    ");
    insta::assert_snapshot!(say("Redsi"), @r"
    error: no service is named 'Redsi'
    hint: did you mean 'redis'?
    ");
    insta::assert_snapshot!(say("zzz"), @r"
    error: no service is named 'zzz'
    hint: services in tanuki.yaml: postgres, redis, search
    ");
    insta::assert_snapshot!(CliError::unknown_service("a", []).render(false), @r"
    error: no service is named 'a'
    hint: tanuki.yaml has no services; add one under `services:`
    ");
    assert!(say(&"x".repeat(300)).len() < 200);
}

#[test]
fn engine_failures_end_with_3_and_say_how_to_mend_them() {
    let error = |kind| {
        CliError::from(tanuki_runtimes::Error::new(kind, "start container", "tanuki-svc-db", "it said no"))
    };
    assert_eq!(error(EngineErrorKind::Unavailable).exit(), Exit::ENGINE);
    assert_eq!(error(EngineErrorKind::Denied).exit(), Exit::ENGINE);
    assert_eq!(error(EngineErrorKind::Timeout).exit(), Exit::ENGINE);
    assert_eq!(error(EngineErrorKind::Other).exit(), Exit::FAILED);
    let labels = Labels([(Labels::PROJECT_PATH.to_owned(), "/home/bob/shop".to_owned())].into());
    let taken = error(EngineErrorKind::NameTaken(Box::new(Holder { name: None, labels })));
    insta::assert_snapshot!(taken.render(false), @r"
    error: cannot start container tanuki-svc-db
      because: it said no
    hint: the name belongs to the project in /home/bob/shop
    ");
}

#[test]
fn without_an_engine_every_candidate_is_told_with_a_mend() {
    let endpoint =
        |kind, url: &str, source: &str| Endpoint { kind, url: url.to_owned(), source: source.to_owned() };
    let say = |tried: Vec<(Endpoint, Problem)>| {
        engine_error(&DiscoverError { tried, podman_installed: false }).render(false)
    };
    insta::assert_snapshot!(say(vec![
        (endpoint(EngineKind::Docker, "unix:///var/run/docker.sock", "Docker"), Problem::Denied),
        (
            endpoint(EngineKind::Podman, "unix:///run/user/1000/podman/podman.sock", "rootless Podman"),
            Problem::Dead
        ),
    ]));
    insta::assert_snapshot!(say(vec![(
        endpoint(EngineKind::Docker, "unix:///nowhere", "DOCKER_HOST"),
        Problem::Missing
    )]), @r"
    error: no container engine can be used
      because: DOCKER_HOST at unix:///nowhere: not there
    hint: start the engine that DOCKER_HOST names, or unset it
    ");
    insta::assert_snapshot!(say(vec![(
        endpoint(EngineKind::Docker, "unix:///var/run/docker.sock", "Docker"),
        Problem::WrongKind(EngineKind::Podman)
    )]), @r"
    error: no container engine can be used
      because: Docker at unix:///var/run/docker.sock: it is podman, which was not asked for
    hint: use --runtime podman, or --runtime auto
    ");
    insta::assert_snapshot!(say(Vec::new()), @r"
    error: no container engine can be used
    hint: install Docker (docs.docker.com/engine/install) or Podman (podman.io), or name a socket in DOCKER_HOST
    ");
}

#[test]
fn a_bad_configuration_shows_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tanuki.yaml"), "services:\n  postgres:\n    prot: 5432\n").unwrap();
    let paths = ProjectPaths::new(dir.path().to_owned());
    let env = Env { vars: BTreeMap::new(), home: Some(PathBuf::from("/nowhere")) };
    let error: CliError = load(&paths, &env, &Overrides::default()).unwrap_err().into();
    assert_eq!(error.exit(), Exit::USAGE);
    let text = error.render(false);
    assert!(text.starts_with("error: ") && text.contains("tanuki.yaml:3:5"), "{text}");
}

#[test]
fn an_error_crosses_from_the_controller_to_the_command_whole() {
    let error = CliError::engine("no engine").cause("it is off").hint("turn it on");
    let json = serde_json::to_string(&error).unwrap();
    assert!(!json.contains('\n'));
    assert_eq!(serde_json::from_str::<CliError>(&json).unwrap(), error);
}
