//! The controller dies at every await of what is asked of it; the next one must bring everything to a good end.
//!
//! A request is polled so many times and dropped, together with what it has asked the engine for. Whatever was there
//! of it, the agent is whole afterwards or gone, its work is kept, and the same can be asked for again.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tanuki::model::{Request, Spawn};
use tanuki::store::Stage;
use tanuki_runtimes::testing::FaultPlan;

use super::action::Action;
use super::world::Sim;

/// Ends with nothing after so many polls.
struct Dies<F> {
    work: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Dies<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.work.as_mut().poll(context).map(Some)
    }
}

/// Does what comes before, asks for something, and dies after so many polls; then another controller settles it. Whether
/// the request was answered before.
fn run(before: &[Action], request: &Request, polls: usize, then: &dyn Fn(&Sim, bool)) -> bool {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut sim = Sim::new(7, FaultPlan::none(), 0.0);
        sim.start_controller();
        for action in before {
            sim.act(*action).await;
            while sim.is_asking() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        sim.kill_controller().await;

        let connection = sim.faulty.reconnected();
        let (agents, ..) = sim.agents(&connection);
        let work = Box::pin(agents.handle(request.clone()));
        let answer = Dies { work, polls }.await;
        let done = answer.is_some();
        assert!(answer.is_none_or(|answer| answer.is_ok()), "{request:?} is refused");
        connection.sever();

        sim.start_controller();
        sim.settle(Duration::from_secs(35)).await;
        then(&sim, done);
        // Nothing of it stands in the way of another try.
        sim.ask(request.clone());
        sim.settle(Duration::from_secs(1)).await;
        sim.end_controller().await;
        sim.check();
        done
    })
}

fn survives_death_at_every_await(before: &[Action], request: &Request, then: impl Fn(&Sim, bool)) {
    let mut polls = 0;
    while !run(before, request, polls, &then) {
        polls += 1;
        assert!(polls < 1000, "{request:?} does not end");
    }
    assert!(polls > 4, "{request:?} needed {polls} polls only: is anything tested?");
}

fn made(sim: &Sim, agent: &str) -> bool {
    let row = sim.store.agent(agent).unwrap();
    row.is_some_and(|row| row.stage == Stage::Made)
}

fn names() -> Vec<String> {
    vec!["api".to_owned()]
}

#[test]
fn while_an_agent_is_made() {
    let spawn = Request::Spawn(Box::new(Spawn { names: names(), count: 1, ..Spawn::default() }));
    survives_death_at_every_await(&[], &spawn, |sim, done| {
        assert!(!done || made(sim, "api"), "it was told to be there");
    });
}

#[test]
fn while_an_agent_is_removed() {
    let before = [Action::Spawn(0), Action::Work(0)];
    let remove = Request::AgentRemove { names: names(), force: true };
    survives_death_at_every_await(&before, &remove, |sim, done| {
        assert!(!done || !made(sim, "api"), "it was told to be gone");
        assert!(made(sim, "api") || sim.git.kept("api").len() == 1, "its work is not saved");
    });
}

#[test]
fn while_an_agent_is_restored() {
    let before = [Action::Spawn(0), Action::Work(0), Action::RemoveByForce(0)];
    let undo = Request::AgentUndo { name: "api".to_owned() };
    survives_death_at_every_await(&before, &undo, |sim, done| {
        assert!(!done || made(sim, "api"), "it was told to be there");
    });
}

#[test]
fn while_a_container_is_made_anew() {
    let before = [Action::Spawn(0), Action::Work(0), Action::Reconfigure];
    let restart = Request::AgentRestart { names: names() };
    survives_death_at_every_await(&before, &restart, |sim, _| assert!(made(sim, "api")));
}

#[test]
fn while_an_agent_is_stopped_and_started() {
    let stop = Request::AgentStop { names: names() };
    survives_death_at_every_await(&[Action::Spawn(0)], &stop, |sim, _| assert!(made(sim, "api")));
    let start = Request::AgentStart { names: names() };
    let before = [Action::Spawn(0), Action::Stop(Some(0))];
    survives_death_at_every_await(&before, &start, |sim, _| assert!(made(sim, "api")));
}
