//! Agent CLIs: how each is invoked, and what its output means.
//!
//! An adapter is two things: an [`Invocation`] built from an [`Order`], and a [`Reader`] that turns the bytes of the
//! program's output into readable [`Item`]s and one [`Outcome`]. Nothing here runs anything.
//!
//! # Guarantees
//!
//! * A run is a success only when exit code, final event, errors and denials all agree; none of them alone is believed.
//! * What a role may not do is enforced by the program's own options, or the order is refused.
//! * Memory is bounded whatever a program prints; what is left out is said.
//! * Usage is of this run alone, or marked as the session's total ([`Outcome::cumulative`]).

mod classify;
mod claude;
mod codex;
mod command;
mod gemini;
mod lines;
mod opencode;
mod read;
#[cfg(test)]
mod tests;
mod tools;
mod waits;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::model::{Adapter, AdapterKind};

pub(super) use lines::Lines;
pub use read::{Item, Outcome, Reader};
pub(super) use waits::asked;

/// Where an agent's home is inside its container.
pub const HOME: &str = "/tanuki/home";

/// Longest prompt that is given as an argument; the kernel takes 128 KiB for one.
const LONGEST_ARGUMENT: usize = 96 << 10;

/// What an agent CLI is to do.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Name of the adapter, for errors.
    pub name: &'a str,
    /// How it is invoked.
    pub adapter: &'a Adapter,
    /// What to do.
    pub prompt: &'a str,
    /// The role's prompt and what the environment holds.
    pub instructions: &'a str,
    /// Model, as the agent CLI names it.
    pub model: Option<&'a str>,
    /// Most turns, where the agent CLI can count them; see [`Reader::is_over`] for the others.
    pub max_turns: u32,
    /// Tools it may use; all when empty.
    pub allow: &'a [String],
    /// Tools it may not use.
    pub deny: &'a [String],
    /// Session to go on with.
    pub session: Option<&'a str>,
    /// Values of passed-through variables.
    pub credentials: &'a BTreeMap<String, String>,
}

impl Order<'_> {
    fn is_restricted(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// The variables of this list that have a value.
    fn pass(&self, names: &[&str]) -> BTreeMap<String, String> {
        let own = self.adapter.env.iter().map(String::as_str);
        let named = names.iter().copied().chain(own);
        named.filter_map(|name| Some((name.to_owned(), self.credentials.get(name)?.clone()))).collect()
    }
}

/// A file that has to be in the agent's home before the program starts.
#[derive(Clone, PartialEq, Eq)]
pub struct HomeFile {
    /// Relative to the home.
    pub path: &'static str,
    /// What is in it; may hold a secret.
    pub content: String,
    /// The program keeps JSON of its own in it, which this is merged into.
    pub merged: bool,
}

impl HomeFile {
    fn new(path: &'static str, content: String) -> Self {
        Self { path, content, merged: false }
    }

    fn merged(path: &'static str, content: &serde_json::Value) -> Self {
        Self { path, content: content.to_string(), merged: true }
    }
}

/// How a program is started.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Program and arguments. Never holds a secret.
    pub command: Vec<String>,
    /// Variables beside the agent's own. Holds secrets.
    pub env: BTreeMap<String, String>,
    /// What it reads; nothing when absent.
    pub stdin: Option<String>,
    /// Files in its home.
    pub files: Vec<HomeFile>,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation").field("command", &self.command).finish_non_exhaustive()
    }
}

/// Why an order cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdapterError {
    /// The program cannot be held to the role's tools.
    #[error(
        "`{adapter}` cannot be held to allowed or denied tools; use claude, gemini or opencode for this role, or take \
         `allowed_tools` and `denied_tools` out of it"
    )]
    Policy {
        /// Name of the adapter.
        adapter: String,
    },
    /// A command adapter without a program.
    #[error("the adapter `{adapter}` has no program; set `run` of it in tanuki.yaml")]
    NoProgram {
        /// Name of the adapter.
        adapter: String,
    },
}

/// How the order is carried out without a person.
///
/// # Errors
///
/// The program cannot be held to the tools, or there is none.
pub fn invocation(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    match order.adapter.kind {
        AdapterKind::Claude => Ok(claude::headless(order)),
        AdapterKind::Codex => codex::headless(order),
        AdapterKind::Gemini => Ok(gemini::headless(order)),
        AdapterKind::Opencode => Ok(opencode::headless(order)),
        AdapterKind::Command => command::headless(order),
    }
}

/// The agent CLI itself, for a person at a terminal; the prompt is not used.
///
/// # Errors
///
/// As [`invocation`].
pub fn interactive(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    match order.adapter.kind {
        AdapterKind::Claude => Ok(claude::interactive(order)),
        AdapterKind::Codex => codex::interactive(order),
        AdapterKind::Gemini => Ok(gemini::interactive(order)),
        AdapterKind::Opencode => Ok(opencode::interactive(order)),
        AdapterKind::Command => command::interactive(order),
    }
}

/// Names of the variables that are passed from the user's environment to this agent CLI.
pub fn variables(adapter: &Adapter) -> Vec<String> {
    let own: &[&str] = match adapter.kind {
        AdapterKind::Claude => claude::VARIABLES,
        AdapterKind::Codex => codex::VARIABLES,
        AdapterKind::Gemini => gemini::VARIABLES,
        AdapterKind::Opencode => opencode::VARIABLES,
        AdapterKind::Command => &[],
    };
    let mut names: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
    names.extend(adapter.env.iter().filter(|name| !own.contains(&name.as_str())).cloned());
    names
}

/// The file in a user's home that this agent CLI keeps its sign-in in, which is also where it looks inside, and the
/// variables any of which makes it needless.
pub fn sign_in(kind: AdapterKind) -> Option<(&'static str, &'static [&'static str])> {
    match kind {
        AdapterKind::Claude => Some((".claude/.credentials.json", claude::SECRETS)),
        AdapterKind::Codex => Some((".codex/auth.json", codex::SECRETS)),
        AdapterKind::Gemini => Some((".gemini/oauth_creds.json", gemini::SECRETS)),
        AdapterKind::Opencode => Some((".local/share/opencode/auth.json", opencode::SECRETS)),
        AdapterKind::Command => None,
    }
}

/// Adds `flag value` where there is a value.
fn option(command: &mut Vec<String>, flag: &str, value: Option<&str>) {
    if let Some(value) = value {
        command.extend([flag.to_owned(), value.to_owned()]);
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
