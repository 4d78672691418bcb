//! Finding the engine that is already there.

use crate::EngineKind;

/// Where an engine is reached, and how that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Which adapter is expected to fit.
    pub kind: EngineKind,
    /// `unix:///path` or `tcp://host:port`.
    pub url: String,
    /// How it was found, for people: `DOCKER_HOST`, `usual socket`, …
    pub source: String,
}
