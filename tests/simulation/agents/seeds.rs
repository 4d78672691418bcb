//! The whole loop with agents, under faults, by seed.

use std::panic::AssertUnwindSafe;

use fastrand::Rng;
use futures_util::FutureExt;
use tanuki_runtimes::testing::FaultPlan;

use super::action::Action;
use super::world::Sim;
use crate::seeds::{Report, run_seeds};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 150;
/// Most actions before the faults stop.
const ACTIONS: usize = 50;

#[test]
fn agents_converge_whatever_happens() {
    run_seeds(SEEDS, simulate);
}

fn simulate(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut rng = Rng::with_seed(seed);
        let git_faults = if rng.bool() { rng.f64() * 0.05 } else { 0.0 };
        let mut sim = Sim::new(seed, FaultPlan::seeded(seed), git_faults);
        sim.start_controller();
        let body = async {
            if rng.u8(..10) > 1 {
                sim.act(Action::SpawnAll).await;
                sim.act(Action::Wait(rng.u64(1..6000))).await;
            }
            for _ in 0..rng.usize(1..ACTIONS) {
                sim.act(Action::random(&mut rng)).await;
            }
            sim.settle_well().await;
            sim.end_controller().await;
            sim.check();
        };
        let failure = AssertUnwindSafe(body).catch_unwind().await.err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        });
        let mut lines: Vec<_> =
            sim.history.iter().map(|(at, action)| (*at, format!("ACTION {action:?}"))).collect();
        lines.extend(sim.answers.lock().unwrap().iter().map(|(at, text)| (*at, format!("  answer {text}"))));
        lines.extend(
            sim.faulty.log().iter().map(|fault| {
                (fault.at, format!("  fault {} {}: {}", fault.method, fault.subject, fault.what))
            }),
        );
        lines.extend(sim.engine.writes().iter().chain(&sim.engine.execs()).map(|write| {
            let nothing = if write.changed { "" } else { " (nothing)" };
            (write.at, format!("    {} {}{nothing}", write.method, write.name))
        }));
        lines.extend(sim.store.events(1000).unwrap().into_iter().map(|event| {
            let at = std::time::Duration::from_millis(event.time.0);
            (at, format!("      event {} {} {}", event.object, event.reason, event.message))
        }));
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines.into_iter().map(|(at, line)| format!("{at:>12.3?} {line}")).collect();
        Report { seed, failure, lines }
    })
}
