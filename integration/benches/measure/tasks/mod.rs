//! Tasks: what a large project costs to look at and to decide about.

mod large;

use crate::Group;

/// One large project serves all of it.
pub(crate) const GROUP: Group = Group { name: "tasks", measurements: &[("tasks", large::measure)] };
