//! Output of agents and services, line by line.

use serde::{Deserialize, Serialize};

use super::Time;

/// Whose output, and which part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Agents; none when a service is asked for.
    pub agents: Vec<String>,
    /// A service.
    pub service: Option<String>,
    /// Only this run of an agent; its last runs when absent.
    pub run: Option<String>,
    /// Go on as more comes, over restarts and from run to run.
    pub follow: bool,
    /// Only the last so many lines of what is there.
    pub tail: Option<u32>,
    /// Only what was written at or after this time.
    pub since: Option<Time>,
    /// The agent CLI's own output instead of readable lines.
    pub raw: bool,
}

/// What a line of output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// What the agent says, or a service prints.
    Text,
    /// What the agent thinks.
    Thinking,
    /// A tool the agent uses.
    Tool,
    /// What a tool answered.
    ToolResult,
    /// Something went wrong.
    Error,
    /// Tanuki's own words: a run began, ended, how the verify command went.
    Note,
}

/// One line. The text may hold anything a program printed, without its end of line: who shows it takes out what a
/// terminal would act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// The agent or service.
    pub source: String,
    /// The run, for an agent's.
    pub run: Option<String>,
    /// When it was written, or read where that is not known.
    pub time: Option<Time>,
    /// What it is.
    pub kind: OutputKind,
    /// The line.
    pub text: String,
}
