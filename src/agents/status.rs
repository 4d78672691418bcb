//! From a plan and what is remembered to what people read.

use super::kind::Agents;
use super::memory::Saved;
use super::observe::World;
use super::plan::Plan;
use crate::controller::PassError;
use crate::git::Head;
use crate::model::{
    AgentState, AgentStatus, Condition, ConditionStatus, ContainerPhase, EventType, ObservedContainer,
    RunState, Time,
};
use crate::store::AgentRow;

/// What is told beside the plan.
pub(super) struct Told {
    pub(super) container: String,
    pub(super) workspace: String,
    pub(super) container_id: Option<String>,
    pub(super) started_at: Option<Time>,
    pub(super) running: bool,
    pub(super) head: Head,
    pub(super) stale: bool,
    pub(super) missing: Vec<String>,
}

impl Agents {
    /// Whether a run of this agent is under way.
    pub(super) fn is_working(&self, name: &str) -> bool {
        let run = self.runs().and_then(|runs| runs.live(name));
        run.is_some_and(|run| run.state == RunState::Running)
    }

    /// Whether a run of this agent was started with other variables than there are now.
    fn is_stale(&self, name: &str, generation: u64) -> bool {
        let started_with = self.runs().and_then(|runs| runs.environment_generation(name));
        started_with.is_some_and(|started_with| started_with < generation)
    }

    pub(super) async fn publish(
        &self,
        row: &AgentRow,
        saved: &Saved,
        plan: &Plan,
        world: &World,
    ) -> Result<(), PassError> {
        let name = &row.spec.name;
        let container = world.containers.get(name);
        let running = container.is_some_and(|container| container.phase == ContainerPhase::Running);
        let started_at = match container.filter(|_| running) {
            Some(container) => Some(self.started_at(name, container).await?),
            None => None,
        };
        let (generation, missing) = {
            let memory = self.lock();
            (memory.environment.remembered.generation, memory.environment.missing.clone())
        };
        let told = Told {
            container: self.deps.names.agent(name),
            workspace: self.deps.layout.workspace(name).display().to_string(),
            container_id: container.map(|container| container.id.clone()),
            started_at,
            running,
            head: world.heads.get(name).cloned().unwrap_or_default(),
            stale: self.is_stale(name, generation),
            missing,
        };
        self.waits.watch(name, &self.deps.layout.runs(name));
        self.tell(row, saved, plan, told);
        Ok(())
    }

    fn tell(&self, row: &AgentRow, saved: &Saved, plan: &Plan, told: Told) {
        let now = self.now();
        let name = row.spec.name.clone();
        let _order = self.waits.order();
        let before = self.deps.publisher.current().agents.get(&name).cloned();
        let newly = |state| plan.state == state && before.as_ref().is_none_or(|old| old.state != state);
        if newly(AgentState::Lost) || newly(AgentState::Error) {
            let object = format!("agent/{name}");
            self.record(EventType::Warning, &object, plan.reason, &plan.message);
        }
        let conditions = conditions(plan, &told, row.generation, now, before.as_ref());
        let of_runs = self.runs().map(|runs| (runs.live(&name), runs.last(&name)));
        let (run, last_run) = of_runs.unwrap_or_default();
        let mut status = AgentStatus { run, last_run, ..compose(row, saved, plan, told, conditions) };
        self.with_waiting(&mut status, before.as_ref());
        self.deps.publisher.update(|snapshot| {
            // What others tell of it stays as it is, also when it was told since.
            status.task = snapshot.agents.remove(&name).and_then(|old| old.task);
            snapshot.agents.insert(name, status);
        });
    }

    /// When a container that runs was started. Some engines do not tell it in lists.
    async fn started_at(&self, name: &str, container: &ObservedContainer) -> Result<Time, PassError> {
        if let Some(time) = container.started_at {
            return Ok(time);
        }
        let known = self.with_record(name, |record| record.started.clone());
        if let Some((_, time)) = known.filter(|(id, _)| *id == container.id) {
            return Ok(time);
        }
        let inspected = self.deps.runtime.inspect(&container.id).await.map_err(PassError::new)?;
        let time = inspected.started_at.map_or(self.now(), Time::from);
        let started = Some((container.id.clone(), time));
        self.with_record(name, |record| record.started.clone_from(&started));
        if let Err(error) = self.remember(name, |saved| saved.started = started) {
            tracing::warn!(error, agent = name, "cannot note when its container was started");
        }
        Ok(time)
    }
}

/// A status of what is known here; runs, tasks and what it waits for are told by others.
pub(super) fn compose(
    row: &AgentRow,
    saved: &Saved,
    plan: &Plan,
    told: Told,
    conditions: Vec<Condition>,
) -> AgentStatus {
    let spec = row.spec.clone();
    AgentStatus {
        name: spec.name,
        state: plan.state,
        desired: row.desired,
        role: spec.role,
        workstream: spec.workstream,
        adapter: spec.adapter,
        model: spec.model,
        image: spec.image,
        branch: spec.branch,
        base: spec.base,
        base_commit: spec.base_commit,
        head: told.head.commit,
        ahead: told.head.ahead,
        behind: told.head.behind,
        dirty: saved.dirty,
        container: told.container,
        container_id: told.container_id,
        workspace: told.workspace,
        started_at: told.started_at,
        run: None,
        last_run: None,
        task: None,
        stale_environment: told.stale,
        out_of_date: plan.out_of_date.clone(),
        missing_services: told.missing,
        waiting: None,
        reason: plan.reason.to_owned(),
        message: plan.message.clone(),
        generation: row.generation,
        conditions,
    }
}

fn conditions(
    plan: &Plan,
    told: &Told,
    generation: u64,
    now: Time,
    before: Option<&AgentStatus>,
) -> Vec<Condition> {
    let ready = matches!(plan.state, AgentState::Idle | AgentState::Working) && told.running;
    let up_to_date = match (plan.out_of_date.as_slice(), told.stale) {
        ([], false) => (true, "Same", String::new()),
        ([], true) => (false, "StaleEnvironment", "its run was started with older variables".to_owned()),
        (fields, _) => (false, "Changed", fields.join(", ")),
    };
    let services = match told.missing.as_slice() {
        [] => (true, "Given", String::new()),
        missing => (false, "NotHealthy", missing.join(", ")),
    };
    let planned = || plan.message.clone();
    [
        ("ContainerRunning", (told.running, plan.reason, planned())),
        ("Ready", (ready, plan.reason, planned())),
        ("UpToDate", up_to_date),
        ("ServicesPresent", services),
    ]
    .into_iter()
    .map(|(kind, (holds, reason, message))| {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let old = before.and_then(|before| before.conditions.iter().find(|old| old.kind == kind));
        Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message,
            last_transition: old.filter(|old| old.status == status).map_or(now, |old| old.last_transition),
            observed_generation: generation,
        }
    })
    .collect()
}
