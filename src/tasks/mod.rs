//! The kind Task: Markdown files that become work by agents.
//!
//! A pass looks at the files, at what is remembered and at the agents, decides with a pure function who works on what
//! ([`schedule`]), and takes claims down in the store. Each task that somebody has is then driven step by step:
//! the agent is made ready, its run begun and waited for, the result verified and, if asked for, merged.
//!
//! # Guarantees
//!
//! * The file of a task is the person's: only its status and agent are written, and an edit of either is taken for
//!   what it says.
//! * A task has one agent and an agent one task: claims are single statements of the store, and end only when the run
//!   is known to be over.
//! * What a step did is found again after a controller was killed: a run that was begun is adopted, never doubled.
//! * A task is complete when its criteria say so, never because an agent does.

mod absorb;
pub mod board;
pub mod file;
mod flow;
pub mod front;
pub mod graph;
mod hand;
mod kind;
mod land;
mod look;
pub mod memory;
pub mod ports;
mod prepare;
mod report;
mod requests;
pub mod schedule;
pub mod sheet;
mod watch;

pub use kind::{Deps, Key, Tasks, World};
pub use look::{Looked, Sight, is_under_way, look};
pub use watch::follow;
