//! The kind Agent: coding agents, each with a branch, a workspace and a container of its own.

mod ground;

pub use ground::{Ground, Ready};
