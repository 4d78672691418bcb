//! The engine goes away while something is asked of agents, and the store while agents are there.

use std::sync::Arc;
use std::time::Duration;

use tanuki::model::{AgentState, Desired, Rejected, Request};
use tanuki::store::{Stage, Store};

use super::lab::Lab;

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_spawn_without_its_engine_says_so_and_leaves_nothing_once_the_engine_is_back() {
    let lab = Lab::new();
    lab.engine.set_latency(Duration::from_millis(30));
    let controller = lab.controller();
    for after in [20, 60, 100, 140, 200] {
        let spawning = async { controller.spawn(&["api", "web"]).await };
        let breaking = async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            lab.engine.engine_down();
        };
        let (answer, ()) = tokio::join!(spawning, breaking);
        lab.engine.engine_up();
        let Err(error) = answer else {
            // The engine was faster: all or none.
            assert_eq!(lab.containers().len(), 2, "after {after} ms");
            return;
        };
        let told = format!("{error:?}");
        assert!(told.contains("engine"), "after {after} ms: {told}");
        eventually("what was made stays", || lab.store.agents().unwrap().is_empty()).await;
        assert_eq!((lab.containers(), lab.directories()), (Vec::new(), Vec::new()), "after {after} ms");
        assert_eq!(lab.refs(), ["refs/heads/main"], "after {after} ms");
    }
    controller.spawn(&["api", "web"]).await.unwrap();
}

#[tokio::test]
async fn nothing_is_removed_while_nothing_can_be_looked_at() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    let before = lab.refs();
    lab.engine.engine_down();
    for force in [false, true] {
        let remove = Request::AgentRemove { names: vec!["api".into()], force };
        let refused = controller.ask(remove).await.unwrap_err();
        assert!(matches!(refused, Rejected::Failed { .. } | Rejected::NotPossible { .. }), "{refused:?}");
        assert_eq!(lab.store.agent("api").unwrap().unwrap().stage, Stage::Made);
        assert_eq!((lab.refs(), lab.directories()), (before.clone(), vec!["api".to_owned(); 2]));
    }
    lab.engine.engine_up();
    controller.until("it is there", |now| now.agents["api"].state == AgentState::Idle).await;
    assert_eq!(lab.containers(), ["tanuki-agent-api"]);
}

#[tokio::test]
async fn without_their_store_agents_are_found_again_as_they_were() {
    let mut lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api", "ops", "web"]).await.unwrap();
    controller.ask(Request::AgentStop { names: vec!["ops".into()] }).await.unwrap();
    let specs: Vec<_> = lab.store.agents().unwrap().into_iter().map(|row| row.spec).collect();
    drop(controller);
    // One has its container no more, and one is left over of a spawn that nobody knows of.
    lab.engine.user_removes("tanuki-agent-web");
    let mut stray = lab.engine.container("tanuki-agent-api").spec().unwrap();
    stray.name = "tanuki-agent-gone".into();
    stray.labels.0.insert("dev.tanuki.name".into(), "gone".into());
    lab.engine.user_creates(&stray, true).unwrap();
    std::fs::create_dir(lab.root().join(".tanuki/workspaces/notes")).unwrap();

    lab.store = Arc::new(Store::in_memory().unwrap());
    let controller = lab.controller();
    controller.until("all are found", |now| now.agents.len() == 3).await;
    eventually("the left-over stays", || lab.containers() == ["tanuki-agent-api", "tanuki-agent-ops"]).await;
    let rows = lab.store.agents().unwrap();
    assert_eq!(rows[..2].iter().map(|row| &row.spec).collect::<Vec<_>>(), [&specs[0], &specs[1]]);
    let desired: Vec<_> = rows.iter().map(|row| (row.spec.name.as_str(), row.desired)).collect();
    let (running, stopped) = (Desired::Running, Desired::Stopped);
    assert_eq!(desired, [("api", running), ("ops", stopped), ("web", stopped)]);
    // What no container tells of is told by git.
    let web = (&rows[2].spec.branch, &rows[2].spec.base, &rows[2].spec.base_commit);
    assert_eq!(web, (&specs[2].branch, &specs[2].base, &specs[2].base_commit));
    controller
        .until("they are as before", |now| {
            let states = now.agents.values().map(|agent| agent.state);
            states.eq([AgentState::Idle, AgentState::Stopped, AgentState::Stopped])
        })
        .await;
    assert!(lab.root().join(".tanuki/workspaces/notes").is_dir());
    controller.ask(Request::AgentStart { names: Vec::new() }).await.unwrap();
    assert_eq!(lab.containers(), ["tanuki-agent-api", "tanuki-agent-ops", "tanuki-agent-web"]);
}
