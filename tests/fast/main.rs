//! Fast tests: no engine, no network.

mod config;
mod plan;
mod tidy;
