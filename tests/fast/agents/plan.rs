//! What is planned for an agent, by table: pure, no engine.

use std::collections::BTreeMap;

use tanuki::agents::plan::{Action, Journal, Plan, Seen, Wanted, plan};
use tanuki::model::{AgentState, ContainerPhase, Desired, ObservedContainer};

fn fields() -> BTreeMap<String, String> {
    [("image".to_owned(), "1".to_owned()), ("resources".to_owned(), "2".to_owned())].into()
}

fn wanted(desired: Desired) -> Wanted {
    Wanted {
        journal: Journal::Made,
        desired,
        renew: false,
        restart: false,
        container: "tanuki-agent-api".into(),
        network: "tanuki-net".into(),
        join: Vec::new(),
        fields: fields(),
        had_container: true,
        grace_ms: 1000,
    }
}

fn container(phase: ContainerPhase) -> ObservedContainer {
    ObservedContainer {
        id: "c1".into(),
        name: "tanuki-agent-api".into(),
        phase,
        exit_code: (phase == ContainerPhase::Exited).then_some(137),
        oom_killed: false,
        started_at: None,
        finished_at: None,
        ports: Vec::new(),
        networks: vec!["tanuki-net".into()],
        spec_hash: "h".into(),
        spec_fields: fields(),
        error: None,
    }
}

fn seen(container: Option<&ObservedContainer>) -> Seen<'_> {
    Seen { container, surplus: &[], workspace: true, working: false, failure: None }
}

fn short(plan: &Plan) -> String {
    let steps: Vec<String> = plan
        .steps
        .iter()
        .map(|step| match &step.action {
            Action::Stop { id } => format!("stop {id}"),
            Action::Remove { id } => format!("remove {id}"),
            other => format!("{other:?}"),
        })
        .collect();
    format!("{} {} [{}]", plan.state, plan.reason, steps.join(", "))
}

#[test]
fn each_state_of_the_world_has_its_plan() {
    use ContainerPhase::{Changing, Created, Dead, Exited, Paused, Running};
    use Desired::{Absent, Stopped};
    let table: &[(Desired, Option<ContainerPhase>, &str)] = &[
        (Desired::Running, Some(Running), "idle Ready []"),
        (Desired::Running, Some(Exited), "idle Starting [Start]"),
        (Desired::Running, Some(Created), "idle Starting [Start]"),
        (Desired::Running, Some(Changing), "idle Changing []"),
        (Desired::Running, Some(Paused), "stopped Paused []"),
        (Desired::Running, Some(Dead), "error Dead []"),
        (Desired::Running, None, "lost ContainerGone []"),
        (Stopped, Some(Running), "stopped Stopping [stop c1]"),
        (Stopped, Some(Paused), "stopped Stopping [stop c1]"),
        (Stopped, Some(Exited), "stopped Stopped []"),
        (Stopped, None, "lost ContainerGone []"),
        (Absent, Some(Running), "stopped Down [stop c1, remove c1]"),
        (Absent, Some(Exited), "stopped Down [remove c1]"),
        (Absent, None, "stopped Down []"),
    ];
    for (desired, phase, expected) in table {
        let container = phase.map(container);
        let plan = plan(&wanted(*desired), &seen(container.as_ref()));
        assert_eq!(short(&plan), *expected, "{desired:?} {phase:?}");
    }
}

#[test]
fn what_was_removed_by_hand_is_made_anew_only_when_asked_for() {
    let asked = Wanted { renew: true, ..wanted(Desired::Running) };
    assert_eq!(short(&plan(&asked, &seen(None))), "idle Creating [EnsureNetwork, Create, Start]");
    let never_had = Wanted { had_container: false, ..wanted(Desired::Running) };
    assert_eq!(short(&plan(&never_had, &seen(None))), "idle Creating [EnsureNetwork, Create, Start]");
    let no_workspace = Seen { workspace: false, ..seen(None) };
    assert_eq!(short(&plan(&asked, &no_workspace)), "lost WorkspaceGone []");
}

#[test]
fn drift_is_shown_and_mended_only_by_a_restart() {
    let old = ObservedContainer {
        spec_fields: [("image".to_owned(), "0".to_owned()), ("resources".to_owned(), "2".to_owned())].into(),
        networks: vec!["other".into()],
        ..container(ContainerPhase::Running)
    };
    let shown = plan(&wanted(Desired::Running), &seen(Some(&old)));
    assert_eq!(short(&shown), "idle Ready []");
    assert_eq!(shown.out_of_date, ["image", "network"]);
    let asked = Wanted { renew: true, restart: true, ..wanted(Desired::Running) };
    let mended = plan(&asked, &seen(Some(&old)));
    assert_eq!(short(&mended), "idle Creating [stop c1, remove c1, EnsureNetwork, Create, Start]");
    assert_eq!(mended.steps[0].cause, "changed: image, network");
    let same = container(ContainerPhase::Running);
    assert_eq!(short(&plan(&asked, &seen(Some(&same)))), "idle Restarting [stop c1, Start]");
}

#[test]
fn what_failed_waits_for_a_person() {
    let exited = container(ContainerPhase::Exited);
    let failed = Seen { failure: Some("no sh"), ..seen(Some(&exited)) };
    let plan = plan(&wanted(Desired::Running), &failed);
    assert_eq!((plan.state, plan.message.as_str()), (AgentState::Error, "no sh"));
    assert!(plan.steps.is_empty());
}

#[test]
fn only_a_journaled_removal_or_an_unfinished_creation_takes_a_workspace() {
    let running = container(ContainerPhase::Running);
    let all = "[stop c1, remove c1, RemoveBranch, RemoveWorkspace, RemoveState, Finish]";
    for (journal, reason) in [(Journal::Unfinished, "RollingBack"), (Journal::Removing, "Removing")] {
        for desired in [Desired::Running, Desired::Stopped, Desired::Absent] {
            let plan = plan(&Wanted { journal, ..wanted(desired) }, &seen(Some(&running)));
            assert_eq!(short(&plan), format!("removing {reason} {all}"));
        }
    }
    let takes = |plan: &Plan| plan.steps.iter().any(|step| step.action == Action::RemoveWorkspace);
    for desired in [Desired::Running, Desired::Stopped, Desired::Absent] {
        for (renew, restart, workspace) in [(true, true, true), (true, true, false), (false, false, false)] {
            let wanted = Wanted { renew, restart, ..wanted(desired) };
            for container in [None, Some(&running)] {
                assert!(!takes(&plan(&wanted, &Seen { workspace, ..seen(container) })));
            }
        }
    }
}

#[test]
fn of_two_containers_one_goes_first() {
    let (one, two) = (
        container(ContainerPhase::Running),
        ObservedContainer { id: "c2".into(), ..container(ContainerPhase::Exited) },
    );
    let both = Seen { surplus: std::slice::from_ref(&two), ..seen(Some(&one)) };
    assert_eq!(short(&plan(&wanted(Desired::Running), &both)), "idle Surplus [remove c2]");
}
