//! Runs: one headless invocation of an agent CLI, or a loop of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Time;

/// A run to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The agent.
    pub agent: String,
    /// What it is to do.
    pub prompt: String,
    /// The task it is for.
    pub task: Option<String>,
    /// Goes on until the criteria hold; otherwise there is one iteration.
    pub repeat: bool,
    /// A line that must stand alone in the final message.
    pub signal: Option<String>,
    /// A shell command that must succeed in the workspace.
    pub verify: Option<String>,
    /// Most iterations; 10 when absent.
    pub max_iterations: Option<u32>,
    /// Most turns of one iteration; the role's when absent.
    pub max_turns: Option<u32>,
    /// Further tools that are allowed.
    pub allow: Vec<String>,
    /// Further tools that are denied.
    pub deny: Vec<String>,
    /// Milliseconds before the run is ended.
    pub timeout_ms: Option<u64>,
    /// Goes on with the agent CLI's last session.
    pub resume: bool,
    /// Names who asked for it, and when: asked again, since an answer was lost, it begins no second run.
    #[serde(default)]
    pub request: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for a place or for memory.
    Queued,
    /// Under way.
    Running,
    /// Ended as it should.
    Succeeded,
    /// Ended otherwise; see [`RunFailure`].
    Failed,
    /// Ended because a person asked.
    Stopped,
}

impl RunState {
    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}

/// Why a run failed, by what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFailure {
    /// The model's service does not know the user.
    Auth,
    /// The user's quota is used up.
    Quota,
    /// Too many requests.
    RateLimit,
    /// The model's service failed or overloaded.
    Overloaded,
    /// The model's service cannot be reached.
    Unreachable,
    /// The agent CLI used all its turns.
    TurnLimit,
    /// The agent was denied what it needed.
    Denied,
    /// All iterations are used and the criteria do not hold.
    IterationLimit,
    /// The time is over.
    Timeout,
    /// The agent CLI was killed.
    Killed,
    /// The agent CLI is not in the image, or could not be started.
    NotStarted,
    /// The agent CLI ended without telling how it went.
    NoResult,
    /// The container ended under it.
    ContainerEnded,
    /// Anything else.
    Other,
}

impl RunFailure {
    /// Whether it is nobody's fault that another try could mend: quota, rate limit, credentials, network, engine.
    pub fn is_environment(self) -> bool {
        matches!(
            self,
            Self::Auth
                | Self::Quota
                | Self::RateLimit
                | Self::Overloaded
                | Self::Unreachable
                | Self::ContainerEnded
        )
    }
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::RateLimit => "rate limit",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::TurnLimit => "turn limit",
            Self::Denied => "denied",
            Self::IterationLimit => "iteration limit",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
            Self::NotStarted => "not started",
            Self::NoResult => "no result",
            Self::ContainerEnded => "container ended",
            Self::Other => "error",
        })
    }
}

/// What a run used, as far as the agent CLI tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Turns.
    pub turns: Option<u32>,
    /// Tokens read, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// Cost in millionths of a dollar.
    pub cost_microdollars: Option<u64>,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        fn add<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a + b),
                (one, None) | (None, one) => one,
            }
        }
        Self {
            turns: add(self.turns, other.turns),
            input_tokens: add(self.input_tokens, other.input_tokens),
            output_tokens: add(self.output_tokens, other.output_tokens),
            cost_microdollars: add(self.cost_microdollars, other.cost_microdollars),
        }
    }
}

/// One run, from its beginning on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id: the agent's name, a hyphen and a number that only goes up, for example `api-3`.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// The task it is for.
    pub task: Option<String>,
    /// Name of the adapter.
    pub adapter: String,
    /// The first line of the prompt, cut to 120 characters.
    pub title: String,
    /// How far it is.
    pub state: RunState,
    /// Why it failed.
    pub failure: Option<RunFailure>,
    /// Why it waits or how it ended, for people; empty where there is nothing to say.
    pub message: String,
    /// When it was asked for.
    pub created_at: Time,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// The iteration it is in or ended in, from 1.
    pub iteration: u32,
    /// Most iterations.
    pub max_iterations: u32,
    /// How the agent CLI ended.
    pub exit_code: Option<i64>,
    /// What it used.
    pub usage: Usage,
    /// The agent CLI's session, to resume.
    pub session: Option<String>,
    /// Whether the verify command succeeded; absent without one, and before it ran.
    pub verified: Option<bool>,
}
