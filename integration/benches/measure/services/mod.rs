//! Services: what it costs to start them, to keep them and to ask for them.

mod death;
mod idle;
mod pass;
mod start;

use crate::Group;

/// Quick ones first.
pub(crate) const GROUP: Group = Group {
    name: "services",
    measurements: &[
        ("pass", pass::measure),
        ("start", start::measure),
        ("death", death::measure),
        ("idle", idle::measure),
    ],
};
