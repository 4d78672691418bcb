//! The kind Agent: coding agents, each with a branch, a workspace and a container of its own.
//!
//! One pass over an agent goes observe → [`plan`] → execute → publish. What a person asks for is carried out by the
//! same passes, driven by whoever holds the agent's lock until they come to rest, so that a controller that is killed
//! in the middle is followed by one that goes on: the stage in the store is the journal.
//!
//! # Guarantees
//!
//! * Only objects that carry this project's labels are touched.
//! * A workspace or branch is removed only after its work is saved, or when its creation was never finished.
//! * A spawn is whole or leaves nothing.
//! * An agent that the store does not know (it was deleted, or is broken) is found again by what is there of it.
//! * No process of an agent is root, holds a capability, or sees an engine's socket or the project's `.git`.

pub mod adapters;
mod adopt;
mod choose;
mod container;
mod enter;
mod environment;
mod execute;
mod ground;
mod helper;
mod kind;
mod layout;
mod lifecycle;
mod look;
mod memory;
mod mend;
mod named;
mod observe;
pub mod plan;
mod remove;
mod requests;
mod review;
pub mod roles;
pub mod runs;
mod services;
mod spawn;
mod status;
mod waiting;

pub use ground::{Ground, Ready};
pub use kind::{Agents, Deps, Key};
pub use layout::{Layout, hide};
pub use look::{LookError, Looked, Sight, look, look_into};
pub use mend::mend_merges;
pub use services::follow_services;
pub use waiting::follow_waiting;
