//! The controller dies at every await of a pass; the next one must bring the world to the end it would have had.
//!
//! A pass is polled so many times and dropped. Every engine call waits before and after its effect, so this stops at
//! each point between any two effects, and with an effect done that nobody heard of.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tanuki::controller::{Kind, Next};
use tanuki::services::Services;
use tanuki_runtimes::testing::FaultPlan;
use tokio::time::sleep;

use crate::action::Action;
use crate::project;
use crate::sim::Sim;

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

/// Passes over everything, one after another, until nothing is left to be done at once.
async fn passes(kind: std::sync::Arc<Services>) {
    loop {
        let world = kind.observe().await.unwrap();
        let mut done = true;
        for key in kind.keys(&world) {
            match kind.reconcile(&key, &world).await.unwrap() {
                Next::Settled => {}
                Next::Again => done = false,
                Next::After(wait) => {
                    sleep(wait).await;
                    done = false;
                }
            }
        }
        if done {
            return;
        }
    }
}

/// What must be the same however often the controller died: everything but ids and times.
fn outcome(sim: &Sim) -> Vec<String> {
    let listing = sim.engine.listing();
    let containers = listing.containers.iter().map(|container| {
        let labels = &container.labels;
        format!(
            "{} {:?} {:?} {:?} {labels:?}",
            container.name, container.state, container.ports, container.networks
        )
    });
    let networks = listing.networks.iter().map(|network| format!("{} {:?}", network.name, network.labels));
    let volumes = listing.volumes.iter().map(|volume| format!("{} {:?}", volume.name, volume.labels));
    let made =
        sim.engine.writes().into_iter().filter(|write| write.method == "ensure_volume" && write.changed);
    let made = std::iter::once(format!("{} volumes made", made.count()));
    containers.chain(networks).chain(volumes).chain(made).collect()
}

/// Brings a world to where `before` leads, asks for what `request` says, lets the controller work for so many polls,
/// and settles. `None` as polls lets it work undisturbed. Returns the outcome, and whether the controller was done
/// before it died.
fn run(before: &[Action], request: Action, polls: Option<usize>) -> (Vec<String>, bool) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut sim = Sim::new(7, FaultPlan::none());
        sim.start_controller();
        for action in before {
            sim.act(*action).await;
        }
        sim.settle_for(Duration::from_secs(1)).await;
        sim.act(request).await;
        sim.kill_controller().await;

        let connection = sim.faulty.reconnected();
        let services = Services::new(sim.deps(&connection), project::specs(sim.revisions)).unwrap();
        let work = Box::pin(passes(services));
        let done = Dies { work, polls: polls.unwrap_or(usize::MAX) }.await.is_some();
        connection.sever();

        sim.start_controller();
        sim.settle_for(Duration::from_secs(20)).await;
        sim.end_controller().await;
        sim.check();
        (outcome(&sim), done)
    })
}

fn survives_death_at_every_await(before: &[Action], request: Action) {
    let (undisturbed, _) = run(before, request, None);
    let mut polls = 0;
    loop {
        let (outcome, done) = run(before, request, Some(polls));
        assert_eq!(outcome, undisturbed, "after death at poll {polls} of {request:?}");
        if done {
            assert!(polls > 4, "{request:?} needed {polls} polls only: is anything tested?");
            return;
        }
        polls += 1;
    }
}

#[test]
fn while_making_everything() {
    survives_death_at_every_await(&[], Action::WantRunning(None));
}

#[test]
fn while_replacing_what_changed() {
    survives_death_at_every_await(&[Action::WantRunning(None)], Action::Reconfigure(1));
}

#[test]
fn while_stopping() {
    survives_death_at_every_await(&[Action::WantRunning(None)], Action::WantStopped(None));
}

#[test]
fn while_restarting() {
    survives_death_at_every_await(&[Action::WantRunning(None)], Action::WantRestart(1));
}

#[test]
fn while_taking_everything_away() {
    survives_death_at_every_await(&[Action::WantRunning(None)], Action::WantNothing);
}

#[test]
fn while_mending_what_broke() {
    for broken in [Action::Remove(1), Action::Crash(0), Action::RemoveNetwork] {
        survives_death_at_every_await(&[Action::WantRunning(None)], broken);
    }
    // A volume that is gone is only missed at the next start.
    let before = [Action::WantRunning(None), Action::RemoveVolume(1)];
    survives_death_at_every_await(&before, Action::Crash(1));
}

#[test]
fn while_moving_to_another_port() {
    let before = [Action::WantRunning(None), Action::WantStopped(None)];
    survives_death_at_every_await(&[&before[..], &[Action::HoldPort(1)]].concat(), Action::WantRunning(None));
}
