//! A spawn is whole or leaves nothing, whatever fails and whenever the controller dies.

use std::time::Duration;

use tanuki::model::{AgentState, Rejected, Request, Spawn};
use tanuki::store::Stage;
use tanuki_runtimes::testing::{FakeImage, Program};

use super::lab::{IMAGE, Lab};

#[tokio::test]
async fn a_spawn_makes_branch_workspace_and_a_hardened_container() {
    let lab = Lab::new();
    let controller = lab.controller();
    let accepted = controller.spawn(&["api"]).await.unwrap();
    assert_eq!(accepted.agents, ["api"]);
    assert_eq!(lab.refs(), ["refs/heads/main", "refs/heads/tanuki/api", "refs/tanuki/base/api"]);
    assert!(lab.root().join(".tanuki/workspaces/api/README.md").is_file());
    let status = controller.publisher.current().agents["api"].clone();
    assert_eq!((status.state, status.base.as_str()), (AgentState::Idle, "refs/heads/main"));
    assert_eq!((status.ahead, status.behind), (Some(0), Some(0)));

    let spec = lab.engine.container("tanuki-agent-api").spec().unwrap();
    assert!(spec.hardened && spec.init && spec.ports.is_empty());
    let user = spec.user.clone().unwrap();
    assert!(!user.starts_with("0:") && !user.contains("root"), "{user}");
    for mount in &spec.mounts {
        let source = format!("{:?}", mount.source);
        let objects = mount.target.ends_with("/.git/objects");
        assert!(mount.read_only == objects, "{mount:?}");
        assert!(!source.contains(".sock") && (objects || source.contains(".tanuki/")), "{mount:?}");
    }
    assert_eq!(spec.env["TANUKI_AGENT"], "api");
}

#[tokio::test]
async fn names_are_free_ones_and_never_given_twice() {
    let lab = Lab::new();
    lab.git(&["branch", "tanuki/agent-2"]);
    let controller = lab.controller();
    let several = |count| {
        let spawn = Spawn { count, ..Spawn::default() };
        controller.ask(Request::Spawn(Box::new(spawn)))
    };
    let (one, two) = tokio::join!(several(3), several(4));
    let mut names = one.unwrap().agents;
    names.extend(two.unwrap().agents);
    names.sort();
    assert_eq!(names, ["agent-1", "agent-3", "agent-4", "agent-5", "agent-6", "agent-7", "agent-8"]);
    // The limit is 8: one more fits, two do not, and then none is made.
    let refused = several(2).await.unwrap_err();
    assert!(
        matches!(&refused, Rejected::Invalid { message, .. } if message.contains("limits.agents")),
        "{refused:?}"
    );
    assert_eq!(lab.containers().len(), 7);
    assert_eq!(lab.store.agents().unwrap().len(), 7);
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_with_a_hint_and_leaves_nothing() {
    let lab = Lab::new();
    let controller = lab.controller();
    lab.git(&["branch", "tanuki/taken"]);
    let spawn = |change: fn(&mut Spawn)| {
        let mut spawn = Spawn { names: vec!["api".into()], count: 1, ..Spawn::default() };
        change(&mut spawn);
        controller.ask(Request::Spawn(Box::new(spawn)))
    };
    let refused = [
        spawn(|spawn| spawn.names = vec!["Api".into()]).await,
        spawn(|spawn| spawn.names = vec!["api".into(), "api".into()]).await,
        spawn(|spawn| spawn.names = vec!["taken".into()]).await,
        spawn(|spawn| spawn.base = Some("nowhere".into())).await,
        spawn(|spawn| spawn.role = Some("backnd".into())).await,
        spawn(|spawn| spawn.workstream = Some("web".into())).await,
        spawn(|spawn| spawn.agent = Some("script".into())).await,
        spawn(|spawn| spawn.image = Some("nobody/has:1".into())).await,
    ];
    let told: Vec<String> = refused
        .into_iter()
        .map(|refused| match refused.unwrap_err() {
            Rejected::Invalid { message, hint } => format!("{message} | {hint}"),
            Rejected::NotPossible { message } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!((lab.containers(), lab.directories()), (Vec::new(), Vec::new()));
    assert_eq!(lab.store.agents().unwrap(), []);
}

#[tokio::test]
async fn an_image_without_git_is_refused_and_everything_rolled_back() {
    let lab = Lab::new();
    lab.engine.add_image("bare:1", FakeImage::default().with_program("sh", Program::fixed(21, "")));
    let controller = lab.controller();
    let spawn = Spawn {
        names: vec!["api".into(), "web".into()],
        count: 2,
        image: Some("bare:1".into()),
        ..Spawn::default()
    };
    let refused = controller.ask(Request::Spawn(Box::new(spawn))).await.unwrap_err();
    assert!(
        matches!(&refused, Rejected::Invalid { message, .. } if message.contains("no git")),
        "{refused:?}"
    );
    assert_eq!((lab.containers(), lab.directories()), (Vec::new(), Vec::new()));
    assert_eq!(lab.refs(), ["refs/heads/main"]);
    assert_eq!(lab.store.agents().unwrap(), []);
    assert!(controller.publisher.current().agents.is_empty());
}

#[tokio::test]
async fn an_agent_cli_that_is_not_there_is_only_warned_of() {
    let lab = Lab::new();
    lab.engine.add_image("plain:1", FakeImage::default().with_program("sh", Program::fixed(24, "")));
    let controller = lab.controller();
    let spawn =
        Spawn { names: vec!["api".into()], count: 1, image: Some("plain:1".into()), ..Spawn::default() };
    let accepted = controller.ask(Request::Spawn(Box::new(spawn))).await.unwrap();
    assert_eq!(
        accepted.warnings,
        ["agent 'api': `sh` is not in image plain:1; runs need it (adapter scripted)"]
    );
}

#[tokio::test]
async fn a_controller_killed_anywhere_in_a_spawn_is_followed_by_one_that_cleans_up() {
    let lab = Lab::new();
    // Each call takes so long that the kill falls into another step each time.
    lab.engine.set_latency(Duration::from_millis(30));
    for after in [5, 20, 40, 60, 80, 110, 140, 170, 200] {
        let controller = lab.controller();
        let spawning = controller.spawn(&["api", "web"]);
        let killed = tokio::time::timeout(Duration::from_millis(after), spawning).await;
        assert!(killed.is_err(), "it is over after {after} ms; let the engine be slower");
        drop(controller);

        let next = lab.controller();
        let over = async {
            while !lab.store.agents().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let over = tokio::time::timeout(Duration::from_secs(20), over).await;
        assert!(over.is_ok(), "after {after} ms: {:?}", lab.store.agents());
        assert_eq!((lab.containers(), lab.directories()), (Vec::new(), Vec::new()), "after {after} ms");
        assert_eq!(lab.refs(), ["refs/heads/main"], "after {after} ms");
        drop(next);
    }
    let controller = lab.controller();
    controller.spawn(&["api", "web"]).await.unwrap();
    assert!(lab.store.agents().unwrap().iter().all(|row| row.stage == Stage::Made));
}

#[tokio::test]
async fn a_missing_image_is_pulled() {
    let lab = Lab::new();
    lab.engine.remove_image(IMAGE);
    lab.engine.publish_image(IMAGE, FakeImage::default().with_program("sh", Program::fixed(0, "")));
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    assert!(lab.engine.has_image(IMAGE));
}
