//! Making an agent ready for its task, and beginning the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::file::TaskFile;
use super::flow::Step;
use super::hand::group;
use super::kind::{Tasks, World};
use super::memory::{Claim, Memory, Outcome, Project, Stage};
use super::ports::{Bring, NewAgent, Trouble};
use crate::controller::{Next, PassError};
use crate::model::{AgentState, AgentStatus, RunSpec, TaskState};

/// How soon an agent that is on its way is looked at again; news of it comes sooner.
const SOON: Duration = Duration::from_secs(2);

impl Tasks {
    pub(super) async fn prepare(&self, step: &Step<'_>, world: &World) -> Result<Next, PassError> {
        let Some(agents) = &world.agents else { return Ok(Next::After(SOON)) };
        match self.ready(step, agents).await {
            Ok(None) => {}
            Ok(Some(next)) => return Ok(next),
            Err(trouble) => return self.setback(step, trouble),
        }
        match self.begin(step, agents).await? {
            Ok(next) => Ok(next),
            Err(Trouble::Conflicts { with, files }) => {
                let agent = &step.claim.agent;
                let message = format!(
                    "{with} does not fit into the branch of '{agent}': conflicts in {}",
                    files.join(", ")
                );
                self.end(step, &Outcome::new(TaskState::Blocked, "Conflict", message))
            }
            Err(trouble) => self.setback(step, trouble),
        }
    }

    /// Whether the agent is there and can begin; otherwise when to look again.
    async fn ready(
        &self,
        step: &Step<'_>,
        agents: &BTreeMap<String, AgentStatus>,
    ) -> Result<Option<Next>, Trouble> {
        let Claim { agent, replaces, .. } = step.claim;
        if let Some(replaced) = replaces.as_ref().filter(|replaced| agents.contains_key(*replaced)) {
            self.wanted(step, self.deps.workers.remove(replaced)).await.unwrap_or(Ok(()))?;
            return Ok(Some(Next::Again));
        }
        let Some(status) = agents.get(agent) else {
            let group = group(step.task, &self.deps.workers.settings());
            let base = self.lock().project.target.clone();
            let new = NewAgent { name: agent.clone(), role: group.role, workstream: group.workstream, base };
            // Not cut off: what is half made would be in the way.
            self.deps.workers.spawn(&new).await?;
            self.news(step.id, "Spawned", &format!("agent '{agent}' was made for it"));
            return Ok(Some(Next::Again));
        };
        match status.state {
            AgentState::Creating | AgentState::Unknown => Ok(Some(Next::After(SOON))),
            AgentState::Lost | AgentState::Removing => Err(Trouble::Gone),
            AgentState::Error => {
                Err(Trouble::Passing { message: format!("agent '{agent}' is not well: {}", status.message) })
            }
            AgentState::Stopped => {
                self.wanted(step, self.deps.workers.start(agent)).await.unwrap_or(Ok(()))?;
                Ok(Some(Next::Again))
            }
            AgentState::Idle | AgentState::Working => Ok(None),
        }
    }

    async fn begin(
        &self,
        step: &Step<'_>,
        agents: &BTreeMap<String, AgentStatus>,
    ) -> Result<Result<Next, Trouble>, PassError> {
        let Claim { agent, .. } = step.claim;
        // A controller that was killed may have begun one without writing it down.
        let runs = match self.deps.workers.runs(agent, step.id).await {
            Ok(runs) => runs,
            Err(trouble) => return Ok(Err(trouble)),
        };
        if let Some(run) = runs.last().filter(|run| !step.memory.runs.contains(&run.id)) {
            return self.begun(step, &run.id).map(Ok);
        }
        let adapter = agents.get(agent).map(|status| status.adapter.clone()).unwrap_or_default();
        // In a statement of its own: the lock must not be held over what follows.
        let pause = self.lock().project.pauses.get(&adapter).cloned();
        if let Some(pause) = pause.filter(|pause| pause.until > self.now()) {
            return self.rest(step, pause.until, &pause.reason, &pause.message).map(Ok);
        }
        let bring = match self.to_bring(step).await {
            Ok(bring) => bring,
            Err(trouble) => return Ok(Err(trouble)),
        };
        match self.wanted(step, self.deps.workers.bring(agent, &bring)).await {
            None => return Ok(Ok(Next::Again)),
            Some(Err(trouble)) => return Ok(Err(trouble)),
            Some(Ok(())) => {}
        }
        // From here on its branch may hold work for the task.
        self.change(step, |memory, claim| {
            memory.unsettled = true;
            claim.reset = false;
        })?;
        let credentials = self.lock().credentials.clone();
        match self.deps.workers.start_run(self.run_spec(step), credentials).await {
            Ok(run) => self.begun(step, &run).map(Ok),
            Err(trouble) => Ok(Err(trouble)),
        }
    }

    fn begun(&self, step: &Step<'_>, run: &str) -> Result<Next, PassError> {
        let (agent, now) = (&step.claim.agent, self.now());
        self.change(step, |memory, claim| {
            claim.stage = Stage::Run;
            claim.run = Some(run.to_owned());
            claim.renewed = now;
            memory.unsettled = true;
            // What was in the way of the run is over.
            memory.setbacks = 0;
            memory.state = TaskState::InProgress;
            memory.reason = "Running".to_owned();
            memory.message = format!("'{agent}' works on it");
            memory.started_at.get_or_insert(now);
        })?;
        self.news(step.id, "Started", &format!("run {run} of agent '{agent}' began"));
        self.wake_plan();
        Ok(Next::Again)
    }

    async fn to_bring(&self, step: &Step<'_>) -> Result<Bring, Trouble> {
        let (project, dependencies) = {
            let state = self.lock();
            let commits = step.task.front.depends_on.iter().filter_map(|id| {
                let memory = state.tasks.get(id)?;
                Some((format!("the work of '{id}'"), memory.commit.clone()?))
            });
            (state.project.clone(), commits.collect::<Vec<_>>())
        };
        let Project { target, made, .. } = project;
        let mut bring = Bring { commits: dependencies, own: step.memory.commit.clone(), ..Bring::default() };
        if let Some(target) = &target {
            bring.target = Some(self.deps.workers.head(target).await?);
        }
        if step.claim.reset {
            let good = made.get(&step.claim.agent).and_then(|made| made.good.clone());
            bring.reset = good.or_else(|| bring.target.clone());
        }
        Ok(bring)
    }

    fn run_spec(&self, step: &Step<'_>) -> RunSpec {
        RunSpec {
            agent: step.claim.agent.clone(),
            prompt: prompt(step.task, step.memory),
            task: Some(step.id.to_owned()),
            signal: step.task.front.completion.signal.clone(),
            max_iterations: Some(1),
            ..RunSpec::default()
        }
    }
}

/// What the agent is told.
fn prompt(task: &Arc<TaskFile>, memory: &Memory) -> String {
    let front = &task.front;
    let mut text = if task.body.trim().is_empty() { front.title.clone() } else { task.body.clone() };
    if let Some(verify) = &front.completion.verify {
        text.push_str(&format!("\n\nThe task is done when this command succeeds: {verify}\n"));
    }
    if let Some(feedback) = &memory.feedback {
        text.push_str(&format!("\nThe last try did not complete it. {feedback}\n"));
    }
    text
}

/// A branch as people say it.
pub(super) fn branch_text(branch: &str) -> String {
    format!("the branch '{}'", branch.strip_prefix("refs/heads/").unwrap_or(branch))
}
