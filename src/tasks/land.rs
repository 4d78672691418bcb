//! Completed tasks on their way to the target branch, one after another, and the forecast of what would not fit.

use std::fmt::Write as _;
use std::time::Duration;

use super::flow::Step;
use super::kind::{Tasks, World};
use super::memory::{Outcome, Wish};
use super::ports::{MergeResult, Trouble};
use super::prepare::branch_text;
use crate::controller::{Next, PassError};
use crate::model::{EventType, TaskState};

/// A target that cannot be moved is tried again so often, with growing waits, before a person decides.
const REFUSALS: u32 = 6;
/// First wait after a refusal.
const REFUSED: Duration = Duration::from_secs(2);
/// How often branches are looked at without news of them.
const FORECAST: Duration = Duration::from_secs(60);

impl Tasks {
    /// Merges what was done for a task.
    pub(super) async fn land(&self, step: &Step<'_>) -> Result<Next, PassError> {
        let agent = &step.claim.agent;
        let title = format!("{}: {}", step.id, step.task.front.title);
        let verify = step.task.front.completion.verify.as_deref();
        let merge = async {
            let _turn = self.merging.lock().await;
            let merged = self.deps.workers.merge(agent, verify, &title).await;
            self.know_target().await;
            merged
        };
        let Some(result) = self.wanted(step, merge).await else { return Ok(Next::Again) };
        let target = branch_text(&self.lock().project.target.clone().unwrap_or_default());
        match result {
            Err(trouble) => self.setback(step, trouble),
            Ok(MergeResult::Merged) => {
                self.change(step, |memory, _| memory.merged = true)?;
                self.news(step.id, "Merged", &format!("the work of '{agent}' is in {target}"));
                self.complete(step, &format!("done by '{agent}', and merged"))
            }
            Ok(MergeResult::Conflicts(files)) => {
                let message = format!(
                    "the work of '{agent}' does not fit into {target}: conflicts in {}; merge it, then `tanuki task approve {}`",
                    files.join(", "),
                    step.id
                );
                self.end(step, &Outcome::new(TaskState::Review, "Conflict", message))
            }
            Ok(MergeResult::VerifyFailed(output)) => {
                let command = verify.unwrap_or_default();
                let feedback =
                    format!("`{command}` failed after your work was merged with {target}:\n{output}");
                self.spend(
                    step,
                    "MergedVerifyFailed",
                    &format!("`{command}` failed on the merged result"),
                    feedback,
                )
            }
            Ok(MergeResult::Refused(why)) if step.claim.refusals >= REFUSALS => {
                let message = format!(
                    "done by '{agent}', but {target} cannot take it: {why}; merge it, then `tanuki task approve {}`",
                    step.id
                );
                self.end(step, &Outcome::new(TaskState::Review, "NotMerged", message))
            }
            Ok(MergeResult::Refused(why)) => {
                let wait = REFUSED.saturating_mul(1 << step.claim.refusals);
                let message = format!("{target} cannot take it yet: {why}");
                self.trouble(step.id, "MergeWaits", &message);
                self.change(step, |memory, claim| {
                    claim.refusals += 1;
                    memory.reason = "MergeWaits".to_owned();
                    memory.message = message;
                })?;
                self.wake_plan();
                Ok(Next::After(wait))
            }
        }
    }

    /// Takes down where the target is after a merge of ours.
    async fn know_target(&self) {
        let target = self.lock().project.target.clone();
        if let Some(target) = target
            && let Ok(head) = self.deps.workers.head(&target).await
        {
            self.lock().head = Some(head);
        }
    }

    /// Where the target is. That somebody else moved it is told once.
    async fn tell_target(&self, target: &str) -> Result<String, Trouble> {
        // While a merge is under way nobody can tell whose a move was.
        let Ok(_turn) = self.merging.try_lock() else { return self.deps.workers.head(target).await };
        let head = self.deps.workers.head(target).await?;
        let (before, running) = {
            let mut state = self.lock();
            (state.head.replace(head.clone()), state.project.wish == Wish::Run)
        };
        if running && before.is_some_and(|before| before != head) {
            let message = format!(
                "{} has commits that are not of a task's merge; tasks that begin now build on them",
                branch_text(target)
            );
            self.record(EventType::Normal, "project", "TargetMoved", &message);
        }
        Ok(head)
    }

    /// Which branches would not merge, whenever one of them moved.
    pub(super) async fn forecast(&self, world: &World) -> Result<Next, PassError> {
        let Some(agents) = &world.agents else { return Ok(Next::Settled) };
        let started = self.lock().project.target.clone();
        let target = match started {
            Some(target) => target,
            None if agents.is_empty() => return Ok(Next::Settled),
            // Without a project that was started: where the work of agents would go.
            None => match self.deps.workers.target().await {
                Ok(target) => target.branch,
                Err(_) => return Ok(Next::After(FORECAST)),
            },
        };
        let Ok(head) = self.tell_target(&target).await else { return Ok(Next::After(FORECAST)) };
        let mut of = head;
        for agent in agents.values() {
            // Writing to a string cannot fail.
            _ = write!(of, " {}={}", agent.name, agent.head.as_deref().unwrap_or_default());
        }
        if self.lock().forecast_of.as_ref() == Some(&of) {
            return Ok(Next::After(FORECAST));
        }
        match self.deps.workers.forecast(&target).await {
            Ok(conflicts) => {
                self.lock().forecast_of = Some(of);
                self.update_project(|project| project.conflicts.clone_from(&conflicts))?;
                self.deps.publisher.update(|snapshot| snapshot.work.conflicts = conflicts);
            }
            Err(trouble) => tracing::warn!(%trouble, "cannot tell which branches would conflict"),
        }
        Ok(Next::After(FORECAST))
    }
}
