//! Agents and their runs in a simulated world: the engine with its faults, git in memory, workspaces on disk.
//!
//! What must hold: an agent has one container and one run at work, a run's end is told once and truly, a spawn that
//! fails leaves nothing, no work is lost, what is lost is shown and not repaired by destroying, and everything becomes as
//! it is wanted once nothing goes wrong any more.

mod action;
mod crash;
mod git;
mod inside;
mod properties;
mod seeds;
mod world;
