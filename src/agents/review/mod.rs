//! What people do with an agent's work: look at it, merge it, save it, have it back.
//!
//! # Guarantees
//!
//! * Whatever looks at a workspace runs inside, as the agent's user; the host only reads what it prints, and what
//!   comes through the fetch.
//! * A merge is computed and verified before anything moves.
//! * A rescue holds every file git can hold, whether it was committed or not. Where something cannot be saved, the
//!   rescue fails and says what.

mod diff;
mod merge;
mod rescue;
mod scripts;
#[cfg(test)]
mod tests;
mod undo;

use std::time::Duration;

use tanuki_runtimes::ExecOutput;

use super::kind::Agents;
use crate::model::Rejected;
pub(super) use scripts::COMMIT_ALL;

impl Agents {
    /// Runs one of the scripts in a workspace, in the agent's container or a throw-away one.
    async fn inside(
        &self,
        agent: &str,
        (script, args): (&str, &[&str]),
        stdin: Option<String>,
        timeout: Duration,
    ) -> Result<ExecOutput, Rejected> {
        let room = self.room(agent).await?;
        let command = command(script, args);
        let output = self.exec_in(&room, agent, command, stdin.map(String::into_bytes), timeout).await;
        room.leave().await;
        output
    }
}

fn command(script: &str, args: &[&str]) -> Vec<String> {
    let fixed = ["sh", "-c", script, "tanuki"];
    fixed.iter().chain(args).map(|&word| word.to_owned()).collect()
}

/// What a program said last, for people.
fn said(output: &ExecOutput) -> String {
    const MOST: usize = 2000;
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    match text.char_indices().rev().nth(MOST) {
        Some((at, _)) => format!("…{}", &text[at..]),
        None => text.to_owned(),
    }
}

/// The first digits of a commit's id, as git shows them.
fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}
