//! What can be asked of a controller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A request. It only changes what is wanted; the controller then makes it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Want these services running; all enabled ones when empty. Clears their backoff.
    ServiceStart {
        /// Names; empty for all enabled.
        names: Vec<String>,
    },
    /// Want these services stopped; all when empty.
    ServiceStop {
        /// Names; empty for all.
        names: Vec<String>,
    },
    /// Stop and start one service again.
    ServiceRestart {
        /// Its name.
        name: String,
    },
    /// Want nothing of this project on the engine but its volumes.
    Down {
        /// The volumes too, with all their data.
        volumes: bool,
    },
    /// End the controller. Containers are not touched.
    Shutdown {},
}

/// A request was taken down; what it asks for is on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// For each service it is about, the generation whose status tells how it went.
    pub services: BTreeMap<String, u64>,
    /// For a request about the project as a whole, the generation its `Down` condition tells of.
    pub project: Option<u64>,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// No service of this name.
    UnknownService {
        /// As asked.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
    /// It makes no sense for this object.
    NotPossible {
        /// Why, for people.
        message: String,
    },
    /// The controller failed.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// The controller is going away; ask the next one.
    ShuttingDown,
}
