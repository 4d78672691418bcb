//! The life of a task that somebody has, step by step: each pass does one and saves what came of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::file::TaskFile;
use super::kind::{Tasks, World};
use super::memory::{Claim, Memory, Outcome, Pause, Stage, Wish};
use super::ports::Trouble;
use crate::controller::{Next, PassError};
use crate::model::{AgentState, RunFailure, RunRecord, RunState, TaskState, Time};

/// Tries of a task that says nothing about them.
const TRIES: u32 = 3;
/// How often a run is looked at without news of it.
const LOOK: Duration = Duration::from_secs(30);
/// A run that was seen alive is noted at most so often.
const RENEW: Duration = Duration::from_secs(60);
/// First wait before another try, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Longest wait for a service of somebody else.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A container may end under a task so often in a row before that counts as a try.
const CONTAINER_ENDS: u32 = 5;

/// What a step is about, as it was when the pass began.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) id: &'a str,
    pub(super) task: &'a Arc<TaskFile>,
    pub(super) memory: &'a Memory,
    pub(super) claim: &'a Claim,
}

impl Tasks {
    /// One step of a task's life.
    pub(super) async fn drive(&self, id: &str, world: &World) -> Result<Next, PassError> {
        let Some(memory) = self.memory(id) else { return Ok(Next::Settled) };
        let Some(claim) = memory.claim.clone() else { return Ok(Next::Settled) };
        if claim.stage == Stage::Return {
            return self.give_back(id, &memory, &claim, world).await;
        }
        if self.lock().project.wish == Wish::Stop {
            self.give_up(id, Outcome::new(TaskState::Pending, "Stopped", "the project was stopped"))?;
            return Ok(Next::Again);
        }
        // Without its file nothing is known of it; what is to become of it is decided elsewhere.
        let Some(task) = world.sheet.task(id) else { return Ok(Next::Settled) };
        let step = Step { id, task, memory: &memory, claim: &claim };
        match claim.stage {
            Stage::Prepare if !claim.go => Ok(Next::Settled),
            Stage::Prepare => self.prepare(&step, world).await,
            Stage::Run => self.follow_run(&step, world).await,
            Stage::Verify => self.verify(&step).await,
            Stage::Merge => self.land(&step).await,
            Stage::Return => Ok(Next::Again),
        }
    }

    /// Changes what is remembered, unless somebody took the task away meanwhile.
    pub(super) fn change(
        &self,
        step: &Step<'_>,
        change: impl FnOnce(&mut Memory, &mut Claim),
    ) -> Result<(), PassError> {
        self.update(step.id, |memory| {
            let same = |claim: &Claim| claim.since == step.claim.since && claim.agent == step.claim.agent;
            let Some(mut claim) = memory.claim.take() else { return };
            if same(&claim) && claim.stage != Stage::Return {
                change(memory, &mut claim);
                memory.touched = true;
            }
            memory.claim = Some(claim);
        })
    }

    /// The task comes to an end, unless somebody took it away meanwhile.
    pub(super) fn end(&self, step: &Step<'_>, outcome: &Outcome) -> Result<Next, PassError> {
        let now = self.now();
        let mut ended = false;
        self.update(step.id, |memory| {
            let kept = memory.claim.as_ref().is_some_and(|claim| {
                claim.since == step.claim.since
                    && claim.agent == step.claim.agent
                    && claim.stage != Stage::Return
            });
            if kept {
                memory.end(outcome.clone(), now);
                ended = true;
            }
        })?;
        if ended {
            self.tell_end(step.id, outcome);
        }
        self.wake_plan();
        Ok(Next::Again)
    }

    fn tell_end(&self, id: &str, outcome: &Outcome) {
        let Outcome { state, reason, message } = outcome;
        match state {
            TaskState::Failed | TaskState::Blocked => self.trouble(id, reason, message),
            _ => self.news(id, reason, message),
        }
    }

    /// Waits for `work` as long as the task is still this agent's; `None` when it is not any more.
    pub(super) async fn wanted<T>(&self, step: &Step<'_>, work: impl Future<Output = T>) -> Option<T> {
        self.while_wanted(
            |state| {
                let memory = state.tasks.get(step.id);
                let claim = memory.and_then(|memory| memory.claim.as_ref());
                state.project.wish != Wish::Stop
                    && claim
                        .is_some_and(|claim| claim.since == step.claim.since && claim.stage != Stage::Return)
            },
            work,
        )
        .await
    }

    /// The agent waits with the task.
    pub(super) fn rest(
        &self,
        step: &Step<'_>,
        until: Time,
        reason: &str,
        message: &str,
    ) -> Result<Next, PassError> {
        self.change(step, |memory, claim| {
            claim.stage = Stage::Prepare;
            claim.go = false;
            claim.run = None;
            memory.next_try = Some(until);
            memory.state = TaskState::Assigned;
            memory.reason = reason.to_owned();
            memory.message = message.to_owned();
        })?;
        self.wake_plan();
        Ok(Next::Settled)
    }

    /// Something failed that is not the task's fault: no try is spent.
    pub(super) fn setback(&self, step: &Step<'_>, trouble: Trouble) -> Result<Next, PassError> {
        match trouble {
            Trouble::Gone => {
                let message = format!("agent '{}' is gone; another one goes on", step.claim.agent);
                self.change(step, |memory, _| memory.unsettled = false)?;
                self.end(step, &Outcome::new(TaskState::Pending, "AgentGone", message))
            }
            Trouble::Taken { message } if step.memory.pinned.is_none() => {
                let name = step.claim.agent.clone();
                self.update_project(|project| {
                    project.made.remove(&name);
                    project.taken.insert(name);
                })?;
                self.end(step, &Outcome::new(TaskState::Pending, "NameTaken", message))
            }
            Trouble::Taken { message } | Trouble::Invalid { message } => {
                self.end(step, &Outcome::new(TaskState::Blocked, "NotPossible", message))
            }
            Trouble::Conflicts { .. } | Trouble::Passing { .. } => {
                let message = trouble.to_string();
                let wait = growing(RETRY.0, step.memory.setbacks, RETRY.1);
                self.trouble(step.id, "Retrying", &message);
                let next = self.now() + wait;
                self.change(step, |memory, claim| {
                    memory.setbacks += 1;
                    if claim.stage != Stage::Prepare {
                        // It goes on where it was.
                        memory.message = message.clone();
                        memory.reason = "Retrying".to_owned();
                    }
                })?;
                if step.claim.stage == Stage::Prepare {
                    return self.rest(step, next, "Retrying", &message);
                }
                self.wake_plan();
                Ok(Next::After(wait))
            }
        }
    }

    /// A try is spent.
    pub(super) fn spend(
        &self,
        step: &Step<'_>,
        reason: &str,
        message: &str,
        feedback: String,
    ) -> Result<Next, PassError> {
        let most = step.task.front.completion.max_iterations.unwrap_or(TRIES);
        let attempts = step.memory.attempts + 1;
        self.change(step, |memory, _| {
            memory.attempts = attempts;
            (memory.setbacks, memory.outages) = (0, 0);
            memory.feedback = Some(feedback);
        })?;
        let told = format!("try {attempts} of {most} of agent '{}': {message}", step.claim.agent);
        if attempts >= most {
            return self.end(step, &Outcome::new(TaskState::Failed, reason, told));
        }
        self.trouble(step.id, reason, &told);
        let wait = growing(RETRY.0, attempts - 1, RETRY.1);
        self.rest(step, self.now() + wait, reason, &told)
    }

    /// Waits for the run, and takes into account how it ended.
    async fn follow_run(&self, step: &Step<'_>, world: &World) -> Result<Next, PassError> {
        let Claim { agent, run, renewed, .. } = step.claim;
        let runs = match self.deps.workers.runs(agent, step.id).await {
            Ok(runs) => runs,
            Err(trouble) => return self.setback(step, trouble),
        };
        let Some(record) = runs.into_iter().find(|record| Some(&record.id) == run.as_ref()) else {
            // Its history is lost: as if it had never begun.
            self.change(step, |_, claim| {
                claim.stage = Stage::Prepare;
                claim.run = None;
            })?;
            return Ok(Next::Again);
        };
        let lost = world.agents.as_ref().is_some_and(|agents| {
            agents
                .get(agent)
                .is_none_or(|agent| matches!(agent.state, AgentState::Lost | AgentState::Removing))
        });
        if !record.state.is_over() {
            if lost {
                return self.setback(step, Trouble::Gone);
            }
            let now = self.now();
            let queued = record.state == RunState::Queued;
            let message = if queued { record.message.clone() } else { format!("'{agent}' works on it") };
            let renew = now.since(*renewed) >= RENEW;
            if renew || message != step.memory.message {
                self.change(step, |memory, claim| {
                    claim.renewed = now;
                    memory.reason = if queued { "Queued" } else { "Running" }.to_owned();
                    memory.message = message;
                })?;
                self.wake_plan();
            }
            return Ok(Next::After(LOOK));
        }
        self.account(step.id, &record)?;
        match record.state {
            RunState::Succeeded => self.to_verify(step, &record),
            RunState::Stopped => {
                let message = format!("its run was stopped; `tanuki task retry {}` goes on", step.id);
                self.end(step, &Outcome::new(TaskState::Blocked, "RunStopped", message))
            }
            _ if lost => self.setback(step, Trouble::Gone),
            _ => self.failed_run(step, &record),
        }
    }

    /// Takes a run that is over into account, once.
    fn account(&self, id: &str, record: &RunRecord) -> Result<(), PassError> {
        self.update(id, |memory| {
            if !memory.runs.contains(&record.id) {
                memory.runs.push(record.id.clone());
                memory.usage = memory.usage.plus(record.usage);
            }
        })
    }

    fn to_verify(&self, step: &Step<'_>, record: &RunRecord) -> Result<Next, PassError> {
        let adapter = record.adapter.clone();
        self.update_project(|project| {
            project.pauses.remove(&adapter);
        })?;
        self.change(step, |memory, claim| {
            claim.stage = Stage::Verify;
            (memory.setbacks, memory.outages) = (0, 0);
            memory.reason = "Verifying".to_owned();
            memory.message = "its run ended; whether it is done is found out".to_owned();
        })?;
        self.wake_plan();
        Ok(Next::Again)
    }

    fn failed_run(&self, step: &Step<'_>, record: &RunRecord) -> Result<Next, PassError> {
        let failure = record.failure.unwrap_or(RunFailure::Other);
        let why = if record.message.is_empty() { failure.to_string() } else { record.message.clone() };
        let message = format!("run {} ended: {why}", record.id);
        let completion = &step.task.front.completion;
        let ends = failure == RunFailure::ContainerEnded && step.memory.outages >= CONTAINER_ENDS;
        if failure.is_environment() && !ends {
            return self.pause(step, record, failure, &message);
        }
        // The command decides, not the agent: one that ran out of turns or time may have done it.
        let may_be_done = matches!(failure, RunFailure::TurnLimit | RunFailure::Timeout);
        if may_be_done && completion.verify.is_some() && completion.signal.is_none() {
            return self.to_verify(step, record);
        }
        let feedback = match (&completion.signal, failure) {
            (Some(signal), RunFailure::IterationLimit) => {
                format!("The line `{signal}` did not stand alone in your final message.")
            }
            _ => format!("It ended with: {why}."),
        };
        self.spend(step, "RunFailed", &message, feedback)
    }

    /// The agent CLI's service, the user's account with it, or the engine does not do its part.
    fn pause(
        &self,
        step: &Step<'_>,
        record: &RunRecord,
        failure: RunFailure,
        message: &str,
    ) -> Result<Next, PassError> {
        let (reason, first) = match failure {
            RunFailure::Auth => ("Auth", 15),
            RunFailure::Quota => ("Quota", 15),
            RunFailure::RateLimit => ("RateLimit", 5),
            RunFailure::Overloaded => ("Overloaded", 3),
            RunFailure::Unreachable => ("Unreachable", 3),
            _ => ("ContainerEnded", 1),
        };
        let wait = growing(Duration::from_secs(first), step.memory.outages, LONGEST);
        let until = self.now() + wait;
        let help = match failure {
            RunFailure::Auth => "; log in, then `tanuki project resume`",
            RunFailure::ContainerEnded => "",
            _ => "; it goes on by itself",
        };
        let told = format!("{message}{help}");
        if failure != RunFailure::ContainerEnded {
            let (adapter, message) = (record.adapter.clone(), format!("{} waits: {told}", record.adapter));
            self.update_project(|project| {
                let times = project.pauses.get(&adapter).map_or(1, |pause| pause.times + 1);
                let pause = Pause { until, reason: reason.to_owned(), message, times };
                project.pauses.insert(adapter, pause);
            })?;
        }
        self.trouble(step.id, reason, &told);
        self.change(step, |memory, _| memory.outages += 1)?;
        self.rest(step, until, reason, &told)
    }

    /// Finds out whether the task is done.
    async fn verify(&self, step: &Step<'_>) -> Result<Next, PassError> {
        let Claim { agent, .. } = step.claim;
        let collected = match self.wanted(step, self.deps.workers.collect(agent)).await {
            None => return Ok(Next::Again),
            Some(Ok(commit)) => commit,
            Some(Err(trouble)) => return self.setback(step, trouble),
        };
        self.change(step, |memory, _| {
            if collected.is_some() {
                memory.commit = collected;
            }
        })?;
        let completion = &step.task.front.completion;
        let Some(command) = &completion.verify else {
            if completion.signal.is_some() {
                return self.done(step, "its agent gave the signal");
            }
            let message = format!(
                "'{agent}' is done with it, and nothing says whether it is; `tanuki task approve {}` takes it for complete",
                step.id
            );
            return self.end(step, &Outcome::new(TaskState::Review, "Review", message));
        };
        match self.wanted(step, self.deps.workers.verify(agent, command)).await {
            None => Ok(Next::Again),
            Some(Err(trouble)) => self.setback(step, trouble),
            Some(Ok(verdict)) if verdict.passed => self.done(step, &format!("`{command}` succeeded")),
            Some(Ok(verdict)) => {
                let feedback = format!("`{command}` failed with:\n{}", verdict.output);
                self.spend(step, "VerifyFailed", &format!("`{command}` failed"), feedback)
            }
        }
    }

    fn done(&self, step: &Step<'_>, why: &str) -> Result<Next, PassError> {
        if self.lock().project.merge {
            self.change(step, |memory, claim| {
                claim.stage = Stage::Merge;
                memory.setbacks = 0;
                memory.reason = "Merging".to_owned();
                memory.message = format!("{why}; it is merged next");
            })?;
            self.news(step.id, "Verified", why);
            self.wake_plan();
            return Ok(Next::Again);
        }
        self.complete(step, &format!("done by '{}': {why}", step.claim.agent))
    }

    pub(super) fn complete(&self, step: &Step<'_>, message: &str) -> Result<Next, PassError> {
        let commit = self.memory(step.id).and_then(|memory| memory.commit);
        self.update_project(|project| {
            if let Some(made) = project.made.get_mut(&step.claim.agent) {
                made.good = commit;
            }
        })?;
        self.end(step, &Outcome::new(TaskState::Complete, "Complete", message))
    }

    /// Ends what is under way and gives the task back, with what was done kept on the agent's branch.
    async fn give_back(
        &self,
        id: &str,
        memory: &Memory,
        claim: &Claim,
        world: &World,
    ) -> Result<Next, PassError> {
        let there = world.agents.as_ref().is_none_or(|agents| agents.contains_key(&claim.agent));
        if there && let Err(trouble) = self.end_run(id, memory, claim).await {
            return match trouble {
                Trouble::Gone => self.given_back(id, claim),
                other => Err(PassError::new(other)),
            };
        }
        self.given_back(id, claim)
    }

    async fn end_run(&self, id: &str, memory: &Memory, claim: &Claim) -> Result<(), Trouble> {
        let mut runs = self.deps.workers.runs(&claim.agent, id).await?;
        if runs.iter().any(|run| !run.state.is_over()) {
            self.deps.workers.stop_run(&claim.agent).await?;
            runs = self.deps.workers.runs(&claim.agent, id).await?;
            if runs.iter().any(|run| !run.state.is_over()) {
                return Err(Trouble::Passing {
                    message: format!("the run of '{}' does not end", claim.agent),
                });
            }
        }
        for run in runs.iter().filter(|run| !memory.runs.contains(&run.id)) {
            self.account(id, run).map_err(|error| Trouble::Passing { message: error.message })?;
        }
        if !memory.unsettled {
            return Ok(());
        }
        match self.deps.workers.collect(&claim.agent).await {
            Ok(commit) => {
                let keep = |memory: &mut Memory| memory.commit = commit.or(memory.commit.take());
                self.update(id, keep).map_err(|error| Trouble::Passing { message: error.message })
            }
            // It is still in the workspace.
            Err(trouble) => {
                tracing::warn!(%trouble, task = id, "cannot bring in what was done");
                Ok(())
            }
        }
    }

    fn given_back(&self, id: &str, claim: &Claim) -> Result<Next, PassError> {
        let now = self.now();
        let outcome =
            claim.then.clone().unwrap_or_else(|| Outcome::new(TaskState::Pending, "Returned", "given back"));
        self.update(id, |memory| {
            // What a person said last counts.
            let then = memory.claim.as_ref().and_then(|claim| claim.then.clone());
            memory.end(then.unwrap_or_else(|| outcome.clone()), now);
        })?;
        self.news(id, "Returned", &format!("taken from agent '{}': {}", claim.agent, outcome.message));
        self.wake_plan();
        Ok(Next::Again)
    }
}

/// A wait that doubles with each failure in a row.
fn growing(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}
