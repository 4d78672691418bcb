//! Agents over time: stopped and started, changed and found missing, told of services, taken down.

use std::time::Duration;

use tanuki::agents::Ground;
use tanuki::model::{AgentState, Desired, Rejected, Request};
use tanuki::store::Stage;

use super::lab::Lab;

fn named(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[tokio::test]
async fn stop_start_and_down_keep_the_workspace_and_a_restart_takes_what_is_new() {
    let mut lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    let file = lab.root().join(".tanuki/workspaces/api/work");
    std::fs::write(&file, "unsaved").unwrap();

    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    assert_eq!(controller.publisher.current().agents["api"].state, AgentState::Stopped);
    let refused = controller.agents.enter("api").await.unwrap_err();
    assert!(
        matches!(&refused, Rejected::NotPossible { message } if message.contains("tanuki start api")),
        "{refused:?}"
    );
    controller.ask(Request::AgentStart { names: named("api") }).await.unwrap();
    assert_eq!(controller.publisher.current().agents["api"].state, AgentState::Idle);

    controller.agents.down().unwrap();
    controller.until("it is down", |now| now.agents["api"].container_id.is_none()).await;
    assert_eq!(lab.containers(), Vec::<String>::new());
    let status = controller.publisher.current().agents["api"].clone();
    assert_eq!((status.state, status.desired), (AgentState::Stopped, Desired::Absent));
    controller.ask(Request::AgentStart { names: named("api") }).await.unwrap();
    assert_eq!(lab.containers(), ["tanuki-agent-api"]);

    lab.settings.defaults.resources.memory = Some(1 << 30);
    controller.agents.configure(lab.settings.clone(), lab.services.clone());
    controller.until("it is out of date", |now| now.agents["api"].out_of_date == ["resources"]).await;
    let before = lab.engine.container("tanuki-agent-api").inspect().unwrap().id;
    controller.ask(Request::AgentRestart { names: named("api") }).await.unwrap();
    let after = lab.engine.container("tanuki-agent-api");
    assert_ne!(after.inspect().unwrap().id, before);
    assert_eq!(after.spec().unwrap().memory, Some(1 << 30));
    assert_eq!(controller.publisher.current().agents["api"].out_of_date, Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "unsaved");
}

#[tokio::test]
async fn what_was_removed_by_hand_is_lost_and_made_anew_when_asked_for() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    lab.engine.user_removes("tanuki-agent-api");
    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    controller.until("it is lost", |now| now.agents["api"].state == AgentState::Lost).await;
    assert_eq!(lab.containers(), Vec::<String>::new());
    controller.ask(Request::AgentStart { names: Vec::new() }).await.unwrap();
    assert_eq!(controller.publisher.current().agents["api"].state, AgentState::Idle);
    assert_eq!(lab.containers(), ["tanuki-agent-api"]);
}

#[tokio::test]
async fn a_container_that_ended_is_started_for_whoever_needs_it() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    lab.engine.user_stops("tanuki-agent-api");
    let ready = controller.agents.enter("api").await.unwrap();
    assert_eq!(ready.env["TANUKI_AGENT"], "api");
    assert_eq!(lab.engine.container("tanuki-agent-api").starts(), 2);
}

#[tokio::test]
async fn a_throw_away_container_stands_in_for_a_stopped_one_and_goes() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    let output = controller.agents.shell("api", "true", Duration::from_secs(5)).await.unwrap();
    assert_eq!(output.exit_code, 0);
    assert_eq!(lab.containers(), ["tanuki-agent-api"]);
    let execs = lab.engine.execs();
    assert!(execs.last().unwrap().name.starts_with("tanuki-agent-api-helper-"), "{execs:?}");
}

#[tokio::test]
async fn an_unknown_agent_is_told_with_those_there_are() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    let refused = controller.ask(Request::AgentStop { names: named("apo") }).await.unwrap_err();
    assert_eq!(refused, Rejected::UnknownAgent { name: "apo".into(), known: named("api") });
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished_by_the_next_controller() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api", "web"]).await.unwrap();
    drop(controller);
    lab.store.set_agent_stage("api", Stage::Removing).unwrap();
    let controller = lab.controller();
    let gone = async {
        while lab.store.agent("api").unwrap().unwrap().stage != Stage::Removed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), gone).await.is_ok());
    controller.until("it is not told of", |now| now.agents.keys().eq(["web"])).await;
    assert_eq!(lab.refs(), ["refs/heads/main", "refs/heads/tanuki/web", "refs/tanuki/base/web"]);
    assert_eq!((lab.containers(), lab.directories()), (named("tanuki-agent-web"), vec!["web".into(); 2]));
}

#[tokio::test]
async fn a_throw_away_container_of_a_dead_controller_goes() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    lab.engine.set_latency(Duration::from_millis(100));
    let shell = controller.agents.shell("api", "true", Duration::from_secs(60));
    let killed = tokio::time::timeout(Duration::from_millis(450), shell).await;
    assert!(killed.is_err());
    drop(controller);
    assert_eq!(lab.containers().len(), 2);
    let next = lab.controller();
    let gone = async {
        while lab.containers() != ["tanuki-agent-api"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), gone).await.is_ok(), "{:?}", lab.containers());
    drop(next);
}
