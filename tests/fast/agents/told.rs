//! What is told of agents beside their containers: that one waits for a person, that one has work not committed.

use std::path::{Path, PathBuf};

use tanuki::agents::Ground as _;
use tanuki::model::{ConditionStatus, Rejected, Request, Snapshot};
use tanuki_runtimes::testing::{FakeImage, Program};

use super::lab::{IMAGE, Lab};

/// The file of the first process that a person opened.
fn file(lab: &Lab) -> PathBuf {
    lab.root().join(".tanuki/state/agents/api/runs/waiting.0")
}

/// As hooks write it: whole, or not at all.
fn write(file: &Path, text: &str) {
    let new = file.with_extension("0.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn waits_for(snapshot: &Snapshot, what: Option<&str>) -> bool {
    let agent = &snapshot.agents["api"];
    let condition = agent.conditions.iter().find(|condition| condition.kind == "WaitingForPerson");
    let status = if what.is_some() { ConditionStatus::True } else { ConditionStatus::False };
    agent.waiting.as_deref() == what && condition.is_some_and(|condition| condition.status == status)
}

#[tokio::test]
async fn an_agent_that_waits_is_told_of_at_once_and_no_longer_than_it_waits() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    write(&file(&lab), r#"{"tool_name":"Bash","tool_input":{"command":"make test"}}"#);
    let told = "permission to use Bash: make test";
    controller.until("it waits", |now| waits_for(now, Some(told))).await;
    let events = controller.publisher.current().events.clone();
    assert!(
        events.iter().any(|event| event.reason == "WaitsForPerson" && event.message == told),
        "{events:#?}"
    );
    write(&file(&lab), "something else");
    controller.until("it waits for another thing", |now| waits_for(now, Some("something else"))).await;
    std::fs::remove_file(file(&lab)).unwrap();
    controller.until("it goes on", |now| waits_for(now, None)).await;

    // Not one whose container is gone, and not for what its last container waited for.
    write(&file(&lab), "x");
    controller.until("it waits again", |now| waits_for(now, Some("x"))).await;
    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    controller.until("it is stopped", |now| waits_for(now, None)).await;
}

#[tokio::test]
async fn an_agent_that_waits_is_seen_by_the_next_controller() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    drop(controller);
    write(&file(&lab), "for long");
    let controller = lab.controller();
    controller
        .until("it is seen", |now| now.agents.contains_key("api") && waits_for(now, Some("for long")))
        .await;
    controller.ask(Request::AgentRemove { names: Vec::new(), force: true }).await.unwrap_err();
}

fn dirty(agents: &Snapshot) -> Option<bool> {
    agents.agents["api"].dirty
}

#[tokio::test]
async fn work_that_is_not_committed_is_known_as_it_was_last_looked_at() {
    let lab = Lab::new();
    // As the script that looks for it does, where there is a file of that name.
    let mark = lab.root().join("dirty");
    let look = Program::new(move |spec| {
        let mut output = tanuki_runtimes::ExecOutput {
            exit_code: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
        };
        if mark.exists() && spec.command.iter().any(|word| word.contains("status --porcelain")) {
            output.exit_code = 1;
            output.stdout = b"?? made\n".to_vec();
        }
        output
    });
    lab.engine.add_image(IMAGE, FakeImage::default().with_program("sh", look));
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    let look = || controller.ask(Request::AgentLook { name: "api".to_owned() });
    assert_eq!(look().await.unwrap().text, "");
    assert_eq!(dirty(&controller.publisher.current()), Some(false));
    std::fs::write(lab.root().join("dirty"), "").unwrap();
    assert_eq!(look().await.unwrap().text, "?? made");
    assert_eq!(dirty(&controller.publisher.current()), Some(true));
    controller.until("it stays so", |now| dirty(now) == Some(true)).await;
    // A process that may change everything.
    controller.agents.entered("api");
    assert_eq!(dirty(&controller.publisher.current()), None);
    controller.agents.commit_all("api", "x").await.unwrap();
    assert_eq!(dirty(&controller.publisher.current()), Some(false));

    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    let refused = look().await.unwrap_err();
    assert!(matches!(&refused, Rejected::NotPossible { message } if message.contains("tanuki start api")));
}

#[tokio::test]
async fn nothing_is_begun_where_it_cannot_run() {
    let lab = Lab::new();
    let controller = lab.controller();
    controller.spawn(&["api"]).await.unwrap();
    assert_eq!(controller.agents.may_enter("api"), Ok(()));
    lab.engine.user_removes("tanuki-agent-api");
    controller.ask(Request::AgentStop { names: Vec::new() }).await.unwrap();
    for _ in 0..2 {
        let refused = controller.agents.may_enter("api").unwrap_err();
        assert!(
            matches!(&refused, Rejected::NotPossible { message } if message.contains("tanuki start api")),
            "{refused:?}"
        );
        // Stopped first, and lost then: what is wanted is not all that counts.
        lab.store.set_agent_desired("api", tanuki::model::Desired::Running).unwrap();
    }
    let unknown = controller.agents.may_enter("web");
    assert!(matches!(unknown, Err(Rejected::UnknownAgent { .. })), "{unknown:?}");
}
