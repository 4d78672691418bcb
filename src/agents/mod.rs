//! The kind Agent: coding agents, each with a branch, a workspace and a container of its own.

pub mod adapters;
mod ground;
pub mod roles;
pub mod runs;

pub use ground::{Ground, Ready};
