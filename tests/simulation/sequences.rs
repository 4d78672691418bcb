//! Sequences of actions against a model of what is wanted; proptest finds one that fails and shrinks it.
//!
//! The model knows nothing of containers: only what a person asked for last. Whatever else happens, that is what the
//! store must hold at once, and what the world must become in the end.

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tanuki::model::Desired;
use tanuki_runtimes::testing::FaultPlan;
use tokio::runtime::Runtime;

use crate::action::Action;
use crate::project::SERVICES;
use crate::sim::Sim;

/// What is wanted of each service, and how often that changed. Generations follow from it, but for new definitions.
#[derive(Debug, Clone)]
struct Wanted {
    desired: [Desired; 3],
    requests: [u64; 3],
}

impl Wanted {
    fn want(&mut self, service: Option<usize>, desired: Desired) {
        for index in service.map_or(0..SERVICES.len(), |service| service..service + 1) {
            self.desired[index] = desired;
            self.requests[index] += 1;
        }
    }
}

impl ReferenceStateMachine for Wanted {
    type State = Self;
    type Transition = Action;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { desired: [Desired::Stopped; 3], requests: [0; 3] }).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Action> {
        let service = || 0..SERVICES.len();
        prop_oneof![
            8 => (1..30_000_u64).prop_map(Action::Wait),
            6 => (1..400_u64).prop_map(Action::Wait),
            4 => proptest::option::of(service()).prop_map(Action::WantRunning),
            2 => proptest::option::of(service()).prop_map(Action::WantStopped),
            2 => service().prop_map(Action::WantRestart),
            1 => Just(Action::WantNothing),
            2 => service().prop_map(Action::Reconfigure),
            1 => (-4000..=4000_i64).prop_map(Action::JumpClock),
            2 => select(vec![Action::KillController, Action::RestartController]),
            2 => select(vec![Action::EngineRestart, Action::EngineDown, Action::EngineUp, Action::EngineUp]),
            2 => select(vec![Action::RemoveNetwork, Action::Stray, Action::DiskFull(true), Action::DiskFull(false)]),
            6 => service().prop_flat_map(|service| select(vec![
                Action::Crash(service),
                Action::Remove(service),
                Action::Stop(service),
                Action::Rename(service),
                Action::Hang(service),
                Action::Sicken(service),
                Action::Pause(service),
                Action::Usurp(service),
                Action::RemoveImage(service),
                Action::BreakImage(service),
                Action::MendImage(service),
                Action::RemoveVolume(service),
                Action::HoldPort(service),
            ])),
        ]
        .boxed()
    }

    fn apply(mut state: Self, action: &Action) -> Self {
        match *action {
            Action::WantRunning(service) => state.want(service, Desired::Running),
            Action::WantRestart(service) => state.want(Some(service), Desired::Running),
            Action::WantStopped(service) => state.want(service, Desired::Stopped),
            Action::WantNothing => state.want(None, Desired::Absent),
            _ => {}
        }
        state
    }
}

struct Controller {
    runtime: Runtime,
    sim: Sim,
}

impl StateMachineTest for Controller {
    type SystemUnderTest = Self;
    type Reference = Wanted;

    fn init_test(_: &Wanted) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let sim = runtime.block_on(async {
            let mut sim = Sim::new(3, FaultPlan::none());
            sim.start_controller();
            sim
        });
        Self { runtime, sim }
    }

    fn apply(mut state: Self, wanted: &Wanted, action: Action) -> Self {
        state.runtime.block_on(state.sim.act(action));
        for (index, service) in SERVICES.into_iter().enumerate() {
            if let Some(wish) = state.sim.store.wish(service).unwrap() {
                assert_eq!(wish.desired, wanted.desired[index], "wish for {service}");
                assert!(wish.generation >= wanted.requests[index], "generation of {service} went back");
            } else {
                assert_eq!(wanted.requests[index], 0, "the wish for {service} is gone");
            }
        }
        state
    }

    fn check_invariants(state: &Self, _: &Wanted) {
        state.sim.check();
    }

    fn teardown(mut state: Self, _: Wanted) {
        state.runtime.block_on(async {
            state.sim.settle().await;
            state.sim.end_controller().await;
            state.sim.check();
        });
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_asked_for_comes_to_be(sequential 1..40 => Controller);
}
