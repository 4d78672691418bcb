//! Tanuki on real engines: what the tests of this crate share.
//!
//! [`engines`] knows where the engines of this machine are. [`project`] makes a project that a test works in with the
//! real binary and cleans up behind it, [`command`] runs programs under a time limit, [`terminal`] types into one.

pub mod agents;
pub mod command;
pub mod engines;
pub mod project;
pub mod terminal;
