//! Merges that a controller and its git were killed in: looked for once by the next one, beside the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Agents;
use crate::git::{Mended, Outcome};
use crate::model::EventType;

/// How soon a git that is still at work is looked at again; it has at most a quarter of an hour.
const AGAIN: Duration = Duration::from_secs(3);
const TRIES: u32 = 300;

/// Mends what was cut off, and tells of it, until nothing is half done any more or `shutdown`.
pub async fn mend_merges(agents: Arc<Agents>, shutdown: CancellationToken) {
    let state_dir = agents.deps.layout.state.parent();
    // Where no repository was ever used, nothing was merged: a project need not be in one.
    if !state_dir.is_some_and(|directory| directory.join("git").is_dir()) {
        return;
    }
    shutdown.run_until_cancelled(mend(&agents)).await.unwrap_or_default();
}

async fn mend(agents: &Agents) {
    for _ in 0..TRIES {
        let found = match agents.facts().await {
            Ok(facts) => {
                let git = facts.git.with_tasks_in(&agents.current_settings().tasks_dir);
                git.mend_moves().await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let busy = match found {
            Ok(found) => {
                found.iter().for_each(|mended| tell(agents, mended));
                found.iter().any(|mended| mended.outcome == Outcome::Busy)
            }
            Err(error) => {
                tracing::debug!(error, "cannot look for merges that were cut off");
                true
            }
        };
        if !busy {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn tell(agents: &Agents, Mended { branch, outcome }: &Mended) {
    let (reason, message) = match outcome {
        Outcome::Whole | Outcome::Busy => return,
        Outcome::Finished => {
            ("MergeFinished", format!("a merge into {branch} was cut off; it is finished now"))
        }
        Outcome::TakenBack(files) => (
            "MergeTakenBack",
            format!(
                "a merge into {branch} was cut off; {files} files are as they were before it, and it can be merged again"
            ),
        ),
        Outcome::Stuck(why) => (
            "MergeCutOff",
            format!(
                "a merge into {branch} was cut off, and its checkout is half moved: {why}; put them in order, and merge again"
            ),
        ),
    };
    agents.record(EventType::Warning, "project", reason, &message);
}
