//! What people ask of runs, and what the snapshot tells of them at once.

use std::sync::Arc;

use super::{Memory, Runs, home, instructions};
use crate::model::{
    Accepted, AgentState, Credentials, Enter, Rejected, Request, RunRecord, RunSpec, RunState,
};

/// The shell a person gets: the better one where it is there.
const SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";

impl Runs {
    /// Carries out what is asked of runs.
    ///
    /// # Errors
    ///
    /// The agent is unknown, the request makes no sense, or it failed.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Result<Accepted, Rejected> {
        match request {
            Request::RunStart { spec, credentials } => {
                let begun = self.begun(&spec);
                let record = begun.map_or_else(|| self.start(*spec, credentials), Ok)?;
                let text = if record.message.is_empty() { String::new() } else { record.message };
                Ok(Accepted { agents: vec![record.agent], run: Some(record.id), text, ..Accepted::default() })
            }
            Request::RunStop { agent } => {
                let record = self.stop(&agent).await?;
                let text = format!("{} {}", record.id, record.state);
                Ok(Accepted { agents: vec![agent], run: Some(record.id), text, ..Accepted::default() })
            }
            Request::AgentEnter { name, agent_cli: true, credentials } => self.cli(&name, &credentials).await,
            Request::AgentEnter { name, agent_cli: false, .. } => self.shell(&name).await,
            _ => Err(Rejected::NotPossible { message: "this is not about runs".to_owned() }),
        }
    }

    /// The run that a request began already, whose answer was lost with the controller that gave it.
    fn begun(&self, spec: &RunSpec) -> Option<RunRecord> {
        let request = spec.request.as_ref()?;
        let is = |memory: &Memory| memory.spec.request.as_ref() == Some(request);
        let live = self.lock().get(&spec.agent).cloned();
        if let Some(live) = live {
            return is(&live.memory).then_some(live.record);
        }
        let last = self.deps.store.ended_runs(&spec.agent, 1).ok()?.pop()?;
        is(&serde_json::from_str(&last.memory).ok()?).then_some(last.record)
    }

    /// The agent CLI itself, for a person at a terminal, going on with its last session.
    async fn cli(&self, agent: &str, credentials: &Credentials) -> Result<Accepted, Rejected> {
        let agent = self.agent(agent)?;
        let spec = RunSpec { agent: agent.name.clone(), ..RunSpec::default() };
        let job = self.job(&agent, &spec)?;
        let session = self.session(&agent);
        let ready = self.deps.ground.enter(&agent.name).await?;
        let instructions = instructions::compose(&job.profile, &ready, &spec);
        let made = job.interactive(credentials, session.as_deref(), &instructions)?;
        let home = self.deps.ground.home_dir(&agent.name);
        home::prepare(&home, &made.files).map_err(|error| home::rejected(&agent.name, &error))?;
        self.copy_sign_in(&agent.name, job.adapter.kind, credentials);
        let mut env = ready.env;
        env.extend(made.env);
        Ok(Accepted {
            agents: vec![agent.name],
            enter: Some(Enter {
                container: ready.container,
                command: made.command,
                env: Credentials(env),
                user: ready.user,
                workdir: ready.workdir,
            }),
            ..Accepted::default()
        })
    }

    async fn shell(&self, agent: &str) -> Result<Accepted, Rejected> {
        self.agent(agent)?;
        let ready = self.deps.ground.enter(agent).await?;
        let warnings = match ready.missing_services.as_slice() {
            [] => Vec::new(),
            missing => vec![format!("not healthy, so their variables are missing: {}", missing.join(", "))],
        };
        Ok(Accepted {
            agents: vec![agent.to_owned()],
            warnings,
            enter: Some(Enter {
                container: ready.container,
                command: ["sh", "-c", SHELL].map(str::to_owned).to_vec(),
                env: Credentials(ready.env),
                user: ready.user,
                workdir: ready.workdir,
            }),
            ..Accepted::default()
        })
    }

    /// Ends the runs of these agents, of all when there are no names. Those without one are left alone.
    ///
    /// # Errors
    ///
    /// A run does not end.
    pub async fn end_all(self: &Arc<Self>, names: &[String]) -> Result<(), Rejected> {
        let live: Vec<String> = self.lock().keys().cloned().collect();
        for agent in live.into_iter().filter(|agent| names.is_empty() || names.contains(agent)) {
            match self.stop(&agent).await {
                // It ended meanwhile, or its agent is gone.
                Err(Rejected::NotPossible { .. } | Rejected::UnknownAgent { .. }) | Ok(_) => {}
                Err(rejected) => return Err(rejected),
            }
        }
        Ok(())
    }

    /// Puts what is known of an agent's runs into the snapshot, where the agent is in it.
    pub(super) fn publish(&self, agent: &str) {
        let (run, last_run) = (self.live(agent), self.last(agent));
        self.deps.publisher.update(|snapshot| {
            if let Some(status) = snapshot.agents.get_mut(agent) {
                (status.run, status.last_run) = (run, last_run);
                // What held older values is gone with its run.
                status.stale_environment &= status.run.is_some();
                // The rest is told by the agent's next pass; this word is not to contradict the run meanwhile.
                let working = status.run.as_ref().is_some_and(|run| run.state == RunState::Running);
                match status.state {
                    AgentState::Idle if working => status.state = AgentState::Working,
                    AgentState::Working if !working => status.state = AgentState::Idle,
                    _ => {}
                }
            }
        });
    }
}
