//! The controller in a simulated world: rungs 2 to 4 of the testing ladder.
//!
//! * `crash`: the controller dies at every await of a few scenarios; the next one must bring the world to the same end.
//! * `seeds`: the whole loop on a paused clock, with faults and a world that changes, by seed. `TANUKI_SEEDS=N` runs N
//!   seeds, `TANUKI_SEED=S` runs one and prints what happened. A failure prints its seed.
//! * `prompt`: without faults, everything is done at once.
//! * `sequences`: sequences of actions found and shrunk by proptest.
//! * `agents`: the same for agents and their runs, over git in memory.
//!
//! Nothing here waits for real time, and nothing is random but by seed; only that files of a run have changed is told by
//! the machine, and may be heard sooner or later.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and tells how it came to that"
)]

mod action;
mod agents;
mod crash;
mod project;
mod prompt;
mod properties;
mod seeds;
mod sequences;
mod sim;
