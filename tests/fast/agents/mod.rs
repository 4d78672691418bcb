//! Agents: what is planned, and what spawning, stopping and removing come to over the in-memory engine and real git.

mod lab;
mod life;
mod look;
mod outage;
mod plan;
mod spawn;
mod told;
