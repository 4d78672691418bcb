//! The kind Task: Markdown files that become work by agents.

pub mod board;
pub mod file;
pub mod front;
pub mod graph;
pub mod schedule;
