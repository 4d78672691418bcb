//! What Tanuki's objects are called on an engine, and the labels they carry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A project's identity: 12 hex digits from a hash of its canonical path. Never its directory's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub String);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Kinds of engine objects, as the `kind` label has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A shared service's container.
    Service,
    /// The project's network.
    Network,
    /// A data volume.
    Volume,
    /// An agent's container.
    Agent,
    /// A throw-away container that works on an agent's workspace.
    Helper,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Agent => "agent",
            Self::Helper => "helper",
        })
    }
}

/// Keys of the labels on every object Tanuki makes.
#[derive(Debug, Clone, Copy)]
pub struct LabelKey;

impl LabelKey {
    /// Always `true`.
    pub const MANAGED: &str = "dev.tanuki.managed";
    /// The project's id.
    pub const PROJECT: &str = "dev.tanuki.project";
    /// The project's directory, for people.
    pub const PROJECT_PATH: &str = "dev.tanuki.project-path";
    /// An [`ObjectKind`].
    pub const KIND: &str = "dev.tanuki.kind";
    /// The service's name, or the volume's name as configured.
    pub const NAME: &str = "dev.tanuki.name";
    /// Digest of everything the container was made from.
    pub const SPEC_HASH: &str = "dev.tanuki.spec-hash";
    /// Short digests by field (`image=1f2e3d4c,env.PGDATA=…`), so that a plan can say which field differed.
    pub const SPEC_FIELDS: &str = "dev.tanuki.spec-fields";
    /// The generation of the spec it was made from.
    pub const GENERATION: &str = "dev.tanuki.generation";
    /// On an agent's container: what the agent was spawned as, as JSON. Holds no secret.
    pub const AGENT_SPEC: &str = "dev.tanuki.agent-spec";
    /// On a data volume: which program's data of which major version is in it (`postgres-16`).
    pub const DATA_VERSION: &str = "dev.tanuki.data-version";
}

/// The names of one project's objects on an engine.
///
/// Plain names when nobody else has them; otherwise all of them carry the same short suffix. DNS names that agents
/// see are always the plain ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Base name of the network, as configured.
    pub network: String,
    /// Added to every name with a hyphen, where another project has the plain ones.
    pub suffix: Option<String>,
}

impl Names {
    fn suffixed(&self, plain: &str) -> String {
        match &self.suffix {
            Some(suffix) => format!("{plain}-{suffix}"),
            None => plain.to_owned(),
        }
    }

    /// The project's network.
    pub fn network(&self) -> String {
        self.suffixed(&self.network)
    }

    /// A service's container.
    pub fn service(&self, name: &str) -> String {
        self.suffixed(&Self::service_host(name))
    }

    /// An agent's container.
    pub fn agent(&self, name: &str) -> String {
        self.suffixed(&format!("tanuki-agent-{name}"))
    }

    /// A volume, by its name in the configuration.
    pub fn volume(&self, configured: &str) -> String {
        self.suffixed(configured)
    }

    /// The DNS name agents reach a service by; the plain container name whatever the suffix.
    pub fn service_host(name: &str) -> String {
        format!("tanuki-svc-{name}")
    }
}
