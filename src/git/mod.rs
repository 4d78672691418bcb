//! Git as a subprocess, in the project's own repository only.
//!
//! No git process of the host ever opens a directory that an agent can write: what leaves a workspace comes through
//! the agent's container, over the [`Transport`]. [`Repository::make_workspace`] writes a workspace before any agent
//! can.
//!
//! # Guarantees
//!
//! * Hooks and fsmonitor never run. What is computed from commits of agents (differences, merges, and the fetch
//!   itself) goes through a repository of Tanuki's own that borrows the project's objects and has no configuration
//!   but Tanuki's: no filter, text conversion, external diff or merge driver of anybody runs on it.
//! * A branch moves in one transaction, from the value that was looked at, or not at all. Where it is checked out, the
//!   checkout moves with it in one git process that goes on even when the controller is killed; a checkout with
//!   changes is left alone.
//! * No commit is lost: what a move takes from a branch stays under `refs/tanuki/`.
//!
//! # References
//!
//! | reference | what it keeps |
//! |---|---|
//! | `refs/tanuki/base/<agent>` | the commit the agent was made from |
//! | `refs/tanuki/fetched/<agent>` | the newest commit that came from the agent's workspace |
//! | `refs/tanuki/old/<agent>/<commit>` | a head of the agent's branch that the agent has rewritten |
//! | `refs/tanuki/undo/<agent>/{before,after}/<branch>` | what the last merge moved |
//! | `refs/tanuki/moving/{from,to}/<branch>` | a move of its checkout that is under way, or was cut off |
//! | `refs/tanuki/rescue/<agent>/<time>` | the whole tree of an agent that was removed |

mod carry;
mod command;
mod diff;
mod error;
mod fetch;
mod heads;
mod land;
mod mend;
mod merge;
mod project;
mod repository;
mod rescue;
mod workspace;

pub use diff::{Diff, diff_options};
pub use error::GitError;
pub use fetch::Transport;
pub use heads::Head;
pub use mend::{Mended, Outcome};
pub use merge::{Merged, Merging, Undone};
pub use project::ProjectGit;
pub use repository::{Base, Identity, Repository};
pub use rescue::{RESCUE_REFERENCE, Rescue};
pub use workspace::Made;
