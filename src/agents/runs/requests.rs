//! What people ask of runs, and what the snapshot tells of them at once.

use std::sync::Arc;

use super::{Memory, Runs, home, instructions};
use crate::agents::{Ready, waiting};
use crate::model::{
    Accepted, AgentSpec, AgentState, Credentials, Enter, Rejected, Request, RunRecord, RunSpec, RunState,
};

/// The shell a person gets: the better one where it is there. Where the image has no name for the user's number, the
/// prompt says whose shell it is instead of complaining; a start-up file may set it, so it is set after those.
const SHELL: &str = r#"
if ! id -un >/dev/null 2>&1; then
  USER=agent LOGNAME=agent PROMPT_COMMAND='PS1="$TANUKI_AGENT:\w\\$ "; unset PROMPT_COMMAND'
  export USER LOGNAME PROMPT_COMMAND
fi
if command -v bash >/dev/null 2>&1; then set -- bash; else set -- sh; fi
"#;

/// Runs a program for a person. However it ends, it waits for nobody any more; keys that end programs are its own.
const FOR_A_PERSON: &str = r#"
trap : INT QUIT
"$@"
code=$?
rm -f "$TANUKI_WAITING"
exit "$code""#;

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
            Request::AgentEnter { name, agent_cli: false, credentials } => {
                self.shell(&name, &credentials).await
            }
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
        let warnings = self.opened(&agent.name, &ready).await;
        let mut env = ready.env;
        env.extend(made.env);
        env.insert(waiting::VARIABLE.to_owned(), waiting::of_person(&self.deps.ground.runs_dir(&agent.name)));
        let mut command = ["sh", "-c", FOR_A_PERSON, "tanuki"].map(str::to_owned).to_vec();
        command.extend(made.command);
        Ok(Accepted {
            agents: vec![agent.name],
            warnings,
            enter: Some(Enter {
                container: ready.container,
                command,
                env: Credentials(env),
                user: ready.user,
                workdir: ready.workdir,
            }),
            ..Accepted::default()
        })
    }

    async fn shell(&self, agent: &str, credentials: &Credentials) -> Result<Accepted, Rejected> {
        let spec = self.agent(agent)?;
        let ready = self.deps.ground.enter(agent).await?;
        let mut warnings = match ready.missing_services.as_slice() {
            [] => Vec::new(),
            missing => vec![format!("not healthy, so their variables are missing: {}", missing.join(", "))],
        };
        warnings.extend(self.opened(agent, &ready).await);
        self.prepare_for_a_person(&spec, credentials);
        let mut env = ready.env;
        env.insert(waiting::VARIABLE.to_owned(), waiting::of_person(&self.deps.ground.runs_dir(agent)));
        Ok(Accepted {
            agents: vec![agent.to_owned()],
            warnings,
            enter: Some(Enter {
                container: ready.container,
                command: ["sh", "-c", &format!("{SHELL}{FOR_A_PERSON}")].map(str::to_owned).to_vec(),
                env: Credentials(env),
                user: ready.user,
                workdir: ready.workdir,
            }),
            ..Accepted::default()
        })
    }

    /// A person's process is about to begin. What should be said of it.
    async fn opened(&self, agent: &str, ready: &Ready) -> Vec<String> {
        self.deps.ground.entered(agent);
        match self.deps.ground.unresolved(agent, ready).await.as_slice() {
            [] => Vec::new(),
            hosts => vec![unresolved(hosts)],
        }
    }

    /// An agent CLI that a person starts from the shell tells that it waits too, where its settings are added to what it
    /// has there; the shell is there with or without them.
    fn prepare_for_a_person(&self, agent: &AgentSpec, credentials: &Credentials) {
        let job = self.job(agent, &RunSpec { agent: agent.name.clone(), ..RunSpec::default() });
        let Ok(made) = job.and_then(|job| job.interactive(credentials, None, "")) else { return };
        let added: Vec<_> = made.files.into_iter().filter(|file| file.merged).collect();
        if let Err(error) = home::prepare(&self.deps.ground.home_dir(&agent.name), &added) {
            tracing::warn!(%error, agent = agent.name, "cannot add to the settings of its agent CLI");
        }
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

/// What is said of services that are not found by their names.
pub(super) fn unresolved(hosts: &[String]) -> String {
    format!(
        "not found by name in its container: {}; the engine's name server may need a moment more, or a restart of it",
        hosts.join(", ")
    )
}
