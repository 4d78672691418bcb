//! Agent CLIs' own ways, and what is counted of a run: its usage, its turns, how long it waits, names it may not find.

use super::*;

/// Prints what Codex does: usage of the whole session, which is kept beside the workspace.
const CODEX: &str = r#"#!/bin/sh
used=$(cat ../used 2>/dev/null || echo 0)
case " $* " in *" resume s-1 "*) ;; *) used=0 ;; esac
used=$((used + 100))
echo $used >../used
cat >../prompt
echo '{"type":"thread.started","thread_id":"s-1"}'
echo '{"type":"item.completed","item":{"type":"agent_message","text":"ok"}}'
echo "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":$used,\"output_tokens\":1}}"
"#;

#[tokio::test]
async fn a_resumed_session_counts_only_what_is_new() {
    let world = World::new().await;
    install(&world, AdapterKind::Codex, "codex", CODEX);
    let mut used = Vec::new();
    for resume in [true, true, true, false] {
        let record = world.run(RunSpec { resume, ..world.spec("-do it") }).await;
        assert_eq!(record.state, RunState::Succeeded, "{}", record.message);
        assert_eq!(record.session.as_deref(), Some("s-1"));
        used.push(record.usage.input_tokens.unwrap());
    }
    assert_eq!(used, [100, 100, 100, 100]);
    assert_eq!(std::fs::read_to_string(world.ground.dir.path().join("prompt")).unwrap(), "-do it");
    let config = world.ground.home_dir(&world.agent).join(".codex/config.toml");
    assert!(std::fs::read_to_string(config).unwrap().contains("[analytics]"));
}

/// Puts an agent CLI of this kind and text into the container.
fn install(world: &World, kind: AdapterKind, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = world.ground.dir.path().join("agents/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join(name), script).unwrap();
    std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.ground.settings.lock().unwrap().adapters.get_mut("shell").unwrap().kind = kind;
}

#[tokio::test]
async fn turns_are_counted_where_the_agent_cli_has_no_limit() {
    let command = |id: &str| {
        format!(
            r#"echo '{{"type":"item.completed","item":{{"id":"{id}","type":"command_execution","exit_code":0}}}}'"#
        )
    };
    let (one, two) = (command("1"), command("2"));
    let endless = format!("#!/bin/sh\n{one}\n{two}\nexec sleep 63.5\n");
    let world = World::new().await;
    install(&world, AdapterKind::Codex, "codex", &endless);
    let record = world.run(RunSpec { max_turns: Some(2), ..world.spec("x") }).await;
    assert_eq!((record.state, record.failure), (RunState::Failed, Some(RunFailure::TurnLimit)));
    let left = Command::new("sh").args(["-c", &script::alive(), "tanuki", &record.id]).status().unwrap();
    assert!(!left.success(), "processes are left");
    assert_eq!(world.ground.commits.lock().unwrap().len(), 1, "what was done so far is kept");

    // One that is faster than who counts is no better off, and one within its limit is fine.
    let said = r#"echo '{"type":"item.completed","item":{"type":"agent_message","text":"ok"}}'"#;
    let done = r#"echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}'"#;
    install(&world, AdapterKind::Codex, "codex", &format!("#!/bin/sh\n{one}\n{two}\n{said}\n{done}\n"));
    let record = world.run(RunSpec { max_turns: Some(2), ..world.spec("x") }).await;
    assert_eq!(record.failure, Some(RunFailure::TurnLimit));
    let record = world.run(RunSpec { max_turns: Some(3), ..world.spec("x") }).await;
    assert_eq!((record.state, record.usage.turns), (RunState::Succeeded, Some(3)), "{}", record.message);
}

#[tokio::test]
async fn a_run_waits_for_a_person_no_longer_than_it_goes_on() {
    let world = World::new().await;
    let runs = world.runs();
    let file = world.ground.runs_dir(&world.agent).join("waiting.run");
    let prompt = "echo why >$TANUKI_WAITING; while [ ! -e go ]; do sleep 0.1; done";
    runs.start(world.spec(prompt), Credentials::default()).unwrap();
    appears(&file).await;
    std::fs::write(world.ground.workspace().join("go"), "").unwrap();
    over(&runs, &world.agent).await;
    assert!(!file.exists());
    // Nor from before it began.
    std::fs::write(&file, "old").unwrap();
    runs.start(world.spec("test ! -e $TANUKI_WAITING"), Credentials::default()).unwrap();
    assert_eq!(over(&runs, &world.agent).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn services_that_are_not_found_by_name_are_told_of() {
    let world = World::new().await;
    *world.ground.unresolved.lock().unwrap() = vec!["tanuki-svc-db".to_owned()];
    let runs = world.runs();
    runs.start(world.spec("echo on"), Credentials::default()).unwrap();
    assert_eq!(over(&runs, &world.agent).await.state, RunState::Succeeded);
    let texts = world.texts(&runs, world.query()).await;
    assert!(texts.iter().any(|text| text.contains("tanuki-svc-db")), "{texts:?}");
}
