//! Fast tests: no engine, no network.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod agents;
mod api;
mod cli;
mod config;
mod git;
mod plan;
mod tasks;
mod tidy;
mod tui;
