//! The whole loop under faults, by seed.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use futures_util::FutureExt;
use tanuki_runtimes::testing::FaultPlan;

use crate::action::Action;
use crate::sim::Sim;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 200;
/// Most actions before the faults stop.
const ACTIONS: usize = 60;

#[test]
fn converges_whatever_happens() {
    run_seeds(SEEDS, simulate);
}

/// Runs the seeds that the environment asks for, or `usual` ones, on two threads; the lowest that fails is shown.
pub(crate) fn run_seeds(usual: u64, simulate: fn(u64) -> Report) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("TANUKI_SEED") {
        print(&simulate(seed));
        return;
    }
    let seeds = number("TANUKI_SEEDS").unwrap_or(usual);
    let next = AtomicU64::new(0);
    let failure = std::thread::scope(|scope| {
        let worker = || loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return None;
            }
            let report = simulate(seed);
            if report.failure.is_some() {
                // The others stop at their next seed.
                next.store(seeds, Ordering::Relaxed);
                return Some(report);
            }
        };
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).min_by_key(|report| report.seed)
    });
    if let Some(report) = failure {
        print(&report);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1000..1005 {
        assert_eq!(simulate(seed).lines, simulate(seed).lines);
    }
}

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) failure: Option<String>,
    /// Actions, faults and writes in the order of time.
    pub(crate) lines: Vec<String>,
}

fn print(report: &Report) {
    for line in &report.lines {
        println!("{line}");
    }
    if let Some(failure) = &report.failure {
        panic!("{failure}\nTANUKI_SEED={} shows this again", report.seed);
    }
}

fn simulate(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut rng = Rng::with_seed(seed);
        let mut sim = Sim::new(seed, FaultPlan::seeded(seed));
        sim.start_controller();
        let body = async {
            if rng.u8(..10) > 0 {
                sim.act(Action::WantRunning(None)).await;
            }
            for _ in 0..rng.usize(..ACTIONS) {
                sim.act(Action::random(&mut rng)).await;
            }
            sim.settle().await;
            sim.end_controller().await;
            sim.check();
        };
        let failure = AssertUnwindSafe(body).catch_unwind().await.err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        });
        let mut lines: Vec<_> =
            sim.history.iter().map(|(at, action)| (*at, format!("ACTION {action:?}"))).collect();
        lines.extend(
            sim.faults().iter().map(|fault| {
                (fault.at, format!("  fault {} {}: {}", fault.method, fault.subject, fault.what))
            }),
        );
        lines.extend(sim.engine.writes().iter().map(|write| {
            (
                write.at,
                format!(
                    "    {} {}{}",
                    write.method,
                    write.name,
                    if write.changed { "" } else { " (nothing)" }
                ),
            )
        }));
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines.into_iter().map(|(at, line)| format!("{at:>12.3?} {line}")).collect();
        Report { seed, failure, lines }
    })
}
