//! Without faults, what is asked for or broken is done at once: a wake that is missing would otherwise hide behind
//! the half-minute resync.

use std::time::Duration;

use tanuki_runtimes::Labels;
use tanuki_runtimes::testing::FaultPlan;
use tokio::time::{Instant, sleep};

use crate::action::Action;
use crate::properties;
use crate::sim::Sim;

/// Pull (3 s), boot (1.2 s) and a probe (0.5 s).
const FIRST_START: Duration = Duration::from_millis(5000);
/// Boot and a probe.
const START: Duration = Duration::from_millis(2000);
const AT_ONCE: Duration = Duration::from_millis(300);

async fn takes_at_most(sim: &mut Sim, action: Action, most: Duration) {
    sim.act(action).await;
    let before = Instant::now();
    loop {
        sleep(Duration::from_millis(10)).await;
        let wrong = properties::wrong(sim);
        if wrong.is_empty() {
            return;
        }
        assert!(before.elapsed() < most, "{action:?} is not done after {most:?}: {wrong:#?}");
    }
}

async fn running() -> Sim {
    let mut sim = Sim::new(1, FaultPlan::none());
    sim.start_controller();
    takes_at_most(&mut sim, Action::WantRunning(None), FIRST_START).await;
    // The first failures are forgiven after this long; restarts are then immediate.
    sleep(Duration::from_secs(200)).await;
    sim
}

#[tokio::test(start_paused = true)]
async fn requests_are_done_at_once() {
    let mut sim = running().await;
    takes_at_most(&mut sim, Action::WantStopped(Some(0)), AT_ONCE).await;
    takes_at_most(&mut sim, Action::WantRunning(Some(0)), START).await;
    takes_at_most(&mut sim, Action::WantRestart(1), START).await;
    takes_at_most(&mut sim, Action::Reconfigure(1), START).await;
    takes_at_most(&mut sim, Action::WantNothing, AT_ONCE).await;
    takes_at_most(&mut sim, Action::WantRunning(None), START).await;
    takes_at_most(&mut sim, Action::WantStopped(None), AT_ONCE).await;
    takes_at_most(&mut sim, Action::WantNothing, AT_ONCE).await;
    sim.check();
}

#[tokio::test(start_paused = true)]
async fn what_breaks_is_mended_at_once() {
    let mut sim = running().await;
    for action in [
        Action::Crash(0),
        Action::Remove(1),
        Action::Stop(2),
        Action::RemoveNetwork,
        Action::EngineRestart,
        Action::KillController,
        Action::RestartController,
        Action::Stray,
    ] {
        let most = if action == Action::EngineRestart { START * 3 } else { START };
        takes_at_most(&mut sim, action, most).await;
        sleep(Duration::from_secs(200)).await;
    }
    sim.check();
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_restarted_after_its_retries() {
    let mut sim = running().await;
    // Three probes of two seconds and the engine's round trip, five seconds apart, then the grace of the stop.
    takes_at_most(&mut sim, Action::Hang(1), Duration::from_secs(5 + 3 * 8 + 4 + 4)).await;
    sleep(Duration::from_secs(200)).await;
    takes_at_most(&mut sim, Action::Sicken(1), Duration::from_secs(5 * 4 + 4)).await;
    sim.check();
}

#[tokio::test(start_paused = true)]
async fn a_first_start_is_no_restart() {
    let sim = running().await;
    assert!(sim.snapshot().services.values().all(|status| status.restarts == 0));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_restarts_nothing_and_stops_no_probe() {
    for seconds in [-4000, 4000] {
        let mut sim = running().await;
        let writes = sim.engine.writes().len();
        sim.act(Action::JumpClock(seconds)).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(sim.engine.writes().len(), writes, "after {seconds} s");
        takes_at_most(&mut sim, Action::Sicken(1), Duration::from_secs(5 * 4 + 4)).await;
        sim.check();
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_do_on_the_engine_costs_nothing() {
    let sim = running().await;
    let before = sim.calls();
    for turn in 0..600 {
        let name = format!("other-{}", turn % 7);
        if !sim.engine.user_removes_network(&name) {
            sim.engine.user_creates_network(&name, &Labels::default());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let calls = sim.calls() - before;
    assert!(calls <= properties::CALLS_PER_IDLE_MINUTE + 3, "{calls} calls in a minute");
}
