//! What the configuration says of agents: defaults, adapters, roles, workstreams, limits.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Resources;

/// What agents get unless a role says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDefaults {
    /// Name of an adapter.
    pub agent: String,
    /// Image of agents' containers.
    pub image: Option<String>,
    /// Model, as the agent CLI names it.
    pub model: Option<String>,
    /// Most turns of one run.
    pub max_turns: u32,
    /// Tools agents may use; all when empty.
    pub allowed_tools: Vec<String>,
    /// Tools agents may not use.
    pub denied_tools: Vec<String>,
    /// Limits of an agent's container.
    pub resources: Resources,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        Self {
            agent: "claude".to_owned(),
            image: None,
            model: None,
            max_turns: 50,
            allowed_tools: Vec::new(),
            denied_tools: Vec::new(),
            resources: Resources { memory: Some(4 << 30), milli_cpus: Some(2000), pids: Some(512) },
        }
    }
}

/// Agent CLIs that can be invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// `OpenCode`.
    Opencode,
    /// Any program.
    Command,
}

/// How an agent CLI is invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Which agent CLI.
    pub kind: AdapterKind,
    /// Names of variables passed through from the user's environment.
    pub env: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// For [`AdapterKind::Command`]: program and arguments, with `{prompt}`.
    pub run: Vec<String>,
}

/// A role of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// For people.
    pub description: Option<String>,
    /// Said to the agent before its task.
    pub prompt: Option<String>,
    /// Name of an adapter.
    pub agent: Option<String>,
    /// Image of the agent's container.
    pub image: Option<String>,
    /// Model, as the agent CLI names it.
    pub model: Option<String>,
    /// Most turns of one run.
    pub max_turns: Option<u32>,
    /// Tools the agent may use; those of the defaults when empty.
    pub allowed_tools: Vec<String>,
    /// Tools the agent may not use.
    pub denied_tools: Vec<String>,
    /// Limits of the agent's container; those of the defaults where absent.
    pub resources: Resources,
    /// How many of its tasks may be worked on at once; as many as the limits allow where absent.
    pub concurrency: Option<u32>,
}

/// A workstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workstream {
    /// How many of its tasks may be worked on at once.
    pub concurrency: u32,
    /// Role of its agents.
    pub role: Option<String>,
}

/// How much may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most agents, those that are stopped included: each has a branch, a workspace and a container.
    pub agents: u32,
    /// Most runs at once.
    pub working: u32,
    /// No run is started while less memory than this is free, in bytes.
    pub free_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { agents: 8, working: 4, free_memory: 1 << 30 }
    }
}

/// Everything the configuration says of agents and tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// What agents get unless a role says otherwise.
    pub defaults: AgentDefaults,
    /// Agent CLIs by name, the built-in ones included.
    pub adapters: BTreeMap<String, Adapter>,
    /// Roles of the configuration; built-in and project roles are elsewhere.
    pub roles: BTreeMap<String, Role>,
    /// Workstreams by name.
    pub workstreams: BTreeMap<String, Workstream>,
    /// How much may be at once.
    pub limits: Limits,
    /// Prefix of agents' branches.
    pub branch_prefix: String,
    /// Directory of task files, relative to the project.
    pub tasks_dir: PathBuf,
    /// Existing networks that agents also enter.
    pub join: Vec<String>,
}

/// Values of variables that hold credentials, by name. Printing one never shows a value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credentials(pub BTreeMap<String, String>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
