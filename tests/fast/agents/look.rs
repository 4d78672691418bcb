//! A look without a controller says what the controller said, and what it would do.

use std::collections::BTreeMap;

use tanuki::agents::plan::Action;
use tanuki::agents::{Ground as _, Layout, Looked, Sight, look};
use tanuki::model::{AgentState, AgentStatus, Names, ProjectId, Request};
use tanuki::services::spec::Owner;

use super::lab::{Controller, Lab};

async fn sight(lab: &Lab, exact: bool) -> Sight {
    let owner = Owner { project: ProjectId("0123456789ab".into()), path: lab.root().display().to_string() };
    let looked = Looked {
        runtime: &lab.engine,
        store: &lab.store,
        owner: &owner,
        names: &Names { network: "tanuki-net".into(), suffix: None },
        layout: &Layout::new(lab.root(), &lab.root().join(".tanuki/state")),
        settings: exact.then_some(&lab.settings),
    };
    look(looked).await.unwrap()
}

/// What the controller tells, without what only somebody who watches can know.
fn told(controller: &Controller) -> BTreeMap<String, AgentStatus> {
    let mut agents = controller.publisher.current().agents.clone();
    for agent in agents.values_mut() {
        agent.conditions.clear();
    }
    agents
}

#[tokio::test]
async fn a_look_and_the_controller_tell_the_same() {
    let mut lab = Lab::new();
    assert!(sight(&lab, true).await.statuses.is_empty());
    let controller = lab.controller();
    for name in ["api", "web", "gone"] {
        controller.spawn(&[name]).await.unwrap();
    }
    controller.ask(Request::AgentStop { names: vec!["web".into()] }).await.unwrap();
    lab.engine.user_removes("tanuki-agent-gone");
    controller.agents.touched("gone");
    controller.until("it is lost", |now| now.agents["gone"].state == AgentState::Lost).await;
    let seen = sight(&lab, true).await;
    assert_eq!(seen.statuses, told(&controller));
    assert!(seen.plans.values().all(|plan| plan.steps.is_empty()), "{:?}", seen.plans);

    // Without the configuration nothing is compared with it.
    lab.settings.defaults.resources.memory = Some(1 << 30);
    assert_eq!(sight(&lab, false).await.statuses, seen.statuses);
    assert_eq!(sight(&lab, true).await.statuses["api"].out_of_date, ["resources"]);
}

#[tokio::test]
async fn what_would_be_done_is_planned_and_not_done() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    drop(controller);
    lab.engine.user_stops("tanuki-agent-api");
    for _ in 0..2 {
        let seen = sight(&lab, true).await;
        let plan = &seen.plans["api"];
        assert!(matches!(plan.steps.as_slice(), [only] if only.action == Action::Start), "{plan:?}");
        assert_eq!(seen.statuses["api"].state, AgentState::Stopped);
    }
    assert_eq!(lab.engine.container("tanuki-agent-api").starts(), 1);
}
