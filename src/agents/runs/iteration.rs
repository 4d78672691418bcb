//! One iteration's beginning: what is invoked, and the supervisor that is started for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tanuki_runtimes::{Container, ContainerState, ExecOutput, ExecSpec};

use super::dir::Dir;
use super::{Runs, home, instructions, script};
use crate::agents::Ready;
use crate::agents::adapters::{self, HOME, Invocation};
use crate::agents::roles::Profile;
use crate::agents::waiting;
use crate::model::{Adapter, AdapterKind, AgentSpec, Credentials, Rejected, RunFailure, RunSpec};

/// Where an agent sees the directories of its runs.
const INSIDE: &str = "/tanuki/runs";
/// How long the start of a supervisor may take.
const START: Duration = Duration::from_secs(60);

/// What an agent is to do, and as whom.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) profile: Profile,
    pub(super) adapter: Adapter,
    pub(super) agent: AgentSpec,
    spec: RunSpec,
    allow: Vec<String>,
    deny: Vec<String>,
}

impl Job {
    pub(super) fn invocation(
        &self,
        credentials: &Credentials,
        session: Option<&str>,
        instructions: &str,
    ) -> Result<Invocation, Rejected> {
        adapters::invocation(&self.order(credentials, session, instructions)).map_err(refused)
    }

    pub(super) fn interactive(
        &self,
        credentials: &Credentials,
        session: Option<&str>,
        instructions: &str,
    ) -> Result<Invocation, Rejected> {
        adapters::interactive(&self.order(credentials, session, instructions)).map_err(refused)
    }

    /// Most turns of one iteration.
    pub(super) fn max_turns(&self) -> u32 {
        self.spec.max_turns.unwrap_or(self.profile.max_turns)
    }

    fn order<'a>(
        &'a self,
        credentials: &'a Credentials,
        session: Option<&'a str>,
        instructions: &'a str,
    ) -> adapters::Order<'a> {
        adapters::Order {
            name: &self.agent.adapter,
            adapter: &self.adapter,
            prompt: &self.spec.prompt,
            instructions,
            model: self.agent.model.as_deref(),
            max_turns: self.max_turns(),
            allow: &self.allow,
            deny: &self.deny,
            session,
            credentials: &credentials.0,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn refused(error: adapters::AdapterError) -> Rejected {
    Rejected::Invalid {
        message: error.to_string(),
        hint: "`tanuki role show` shows what a role allows".to_owned(),
    }
}

/// The container an iteration runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) container: String,
    pub(super) started: Option<u64>,
    /// The environment its process was started with.
    pub(super) environment: u64,
}

impl Runs {
    /// What is to be done, with the role as it is now.
    pub(super) fn job(&self, agent: &AgentSpec, spec: &RunSpec) -> Result<Job, Rejected> {
        let settings = self.deps.ground.settings();
        let adapter = settings.adapters.get(&agent.adapter).cloned().ok_or_else(|| Rejected::Invalid {
            message: format!(
                "agent '{}' is for the adapter '{}', which there is not any more",
                agent.name, agent.adapter
            ),
            hint: "describe it under `adapters:` in tanuki.yaml".to_owned(),
        })?;
        let profile = self.profile(agent)?;
        // Where everything is allowed there is nothing to allow further.
        let mut allow = profile.allowed_tools.clone();
        if !allow.is_empty() {
            allow.extend(spec.allow.iter().cloned());
        }
        let deny = profile.denied_tools.iter().chain(&spec.deny).cloned().collect();
        Ok(Job { profile, adapter, agent: agent.clone(), spec: spec.clone(), allow, deny })
    }

    /// Starts the supervisor of an iteration. Starting one that was started is fine. Where it is, and which services are
    /// not found by their names there.
    pub(super) async fn begin(
        &self,
        job: &Job,
        id: &str,
        iteration: u32,
        session: Option<&str>,
        credentials: &Credentials,
    ) -> Result<(Place, Vec<String>), (RunFailure, String)> {
        let agent = &job.agent.name;
        let ready = self.deps.ground.enter(agent).await.map_err(|rejected| ended(&rejected))?;
        self.deps.ground.entered(agent);
        let instructions = instructions::compose(&job.profile, &ready, &job.spec);
        let made =
            job.invocation(credentials, session, &instructions).map_err(|rejected| not_started(&rejected))?;
        self.copy_sign_in(agent, job.adapter.kind, credentials);
        waiting::run_is_over(&self.deps.ground.runs_dir(agent));
        home::prepare(&self.deps.ground.home_dir(agent), &made.files)
            .and_then(|()| prompt(&self.deps.ground.runs_dir(agent), id, iteration, made.stdin.as_deref()))
            .map_err(|error| (RunFailure::Other, format!("cannot prepare the run: {error}")))?;
        let place = self.place(&ready).await?;
        let unresolved = self.deps.ground.unresolved(agent, &ready).await;
        let inside = format!("{INSIDE}/{id}/{iteration}");
        let input = if made.stdin.is_some() { format!("{inside}/prompt") } else { "/dev/null".to_owned() };
        let words = ["sh", "-c", script::START, "tanuki", &inside, &input];
        let mut spec = ExecSpec {
            command: words
                .iter()
                .map(|word| (*word).to_owned())
                .chain(made.command.iter().cloned())
                .collect(),
            env: environment(&ready, made.env, id, job.spec.task.as_deref(), iteration),
            user: ready.user.clone(),
            workdir: Some(ready.workdir.clone()),
            timeout: Some(START),
            ..ExecSpec::default()
        };
        spec.env.insert("HOME".to_owned(), HOME.to_owned());
        if job.adapter.kind == AdapterKind::Command {
            // The others deny what they would have to ask for.
            spec.env.insert(waiting::VARIABLE.to_owned(), waiting::of_run());
        }
        let output = self.exec(&ready.container, &spec).await?;
        match output.exit_code {
            0 => Ok((place, unresolved)),
            code => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said: String = said.trim().chars().take(300).collect();
                let told = if said.is_empty() {
                    format!("the start of the run ended with exit code {code}")
                } else {
                    said
                };
                Err((RunFailure::NotStarted, told))
            }
        }
    }

    /// Runs a script in a container; what may pass is tried again, since all of them can be repeated.
    pub(super) async fn exec(
        &self,
        container: &str,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, (RunFailure, String)> {
        let mut tries = 0;
        loop {
            match self.deps.runtime.exec(container, spec).await {
                Ok(output) => return Ok(output),
                Err(error) if error.is_retryable() && tries < 3 => tries += 1,
                Err(error) => return Err((RunFailure::ContainerEnded, error.to_string())),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn place(&self, ready: &Ready) -> Result<Place, (RunFailure, String)> {
        let found = self.deps.runtime.inspect(&ready.container).await;
        let found = found.map_err(|error| (RunFailure::ContainerEnded, error.to_string()))?;
        Ok(Place {
            container: ready.container.clone(),
            started: started(&found),
            environment: ready.environment_generation,
        })
    }

    /// Whether the container is the one the iteration was started in; `None` where the engine does not tell.
    pub(super) async fn stands(&self, place: &Place) -> Option<bool> {
        match self.deps.runtime.inspect(&place.container).await {
            Ok(found) => Some(found.state == ContainerState::Running && started(&found) == place.started),
            Err(error) if matches!(error.kind, tanuki_runtimes::ErrorKind::NotFound) => Some(false),
            Err(_) => None,
        }
    }

    /// Whether any process of the run lives; `None` where that cannot be told.
    pub(super) async fn alive(&self, place: &Place, id: &str) -> Option<bool> {
        let output = self.script(place, script::alive(), &[id]).await.ok()?;
        match output.exit_code {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        }
    }

    /// Ends every process of the run.
    pub(super) async fn end(
        &self,
        place: &Place,
        id: &str,
        iteration: u32,
        patience: u32,
    ) -> Result<(), String> {
        let (directory, patience) = (format!("{INSIDE}/{id}/{iteration}"), patience.to_string());
        let output = self.script(place, script::end(), &[id, &directory, &patience]).await;
        match output {
            Ok(output) if output.exit_code == 0 => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err((_, error)) => Err(error),
        }
    }

    async fn script(
        &self,
        place: &Place,
        text: String,
        words: &[&str],
    ) -> Result<ExecOutput, (RunFailure, String)> {
        let mut command = vec!["sh".to_owned(), "-c".to_owned(), text, "tanuki".to_owned()];
        command.extend(words.iter().map(|word| (*word).to_owned()));
        let spec = ExecSpec { command, timeout: Some(START), ..ExecSpec::default() };
        self.exec(&place.container, &spec).await
    }
}

fn started(container: &Container) -> Option<u64> {
    let since = container.started_at?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Makes the iteration's directory, with what the program reads.
fn prompt(runs: &Path, id: &str, iteration: u32, stdin: Option<&str>) -> std::io::Result<()> {
    let dir = Dir::open(runs)?.make(id)?.make(&iteration.to_string())?;
    match stdin {
        Some(text) => dir.write("prompt", text.as_bytes()),
        None => Ok(()),
    }
}

fn environment(
    ready: &Ready,
    own: BTreeMap<String, String>,
    id: &str,
    task: Option<&str>,
    iteration: u32,
) -> BTreeMap<String, String> {
    let mut env = ready.env.clone();
    env.extend(own);
    env.insert("TANUKI_RUN".to_owned(), id.to_owned());
    env.insert("TANUKI_ITERATION".to_owned(), iteration.to_string());
    if let Some(task) = task {
        env.insert("TANUKI_TASK".to_owned(), task.to_owned());
    }
    env
}

fn words(rejected: &Rejected) -> String {
    match rejected {
        Rejected::Invalid { message, .. }
        | Rejected::NotPossible { message }
        | Rejected::VerifyFailed { message }
        | Rejected::Failed { message }
        | Rejected::Conflicts { message, .. } => message.clone(),
        Rejected::UnknownAgent { name, .. } | Rejected::UnknownService { name, .. } => {
            format!("there is no '{name}' any more")
        }
        Rejected::UnknownTask { id, .. } => format!("there is no '{id}' any more"),
        Rejected::ShuttingDown => "the controller is shutting down".to_owned(),
    }
}

/// What was refused is not mended by another try; what failed may be.
pub(super) fn ended(rejected: &Rejected) -> (RunFailure, String) {
    let failure = match rejected {
        Rejected::Failed { .. } | Rejected::ShuttingDown => RunFailure::ContainerEnded,
        _ => RunFailure::NotStarted,
    };
    (failure, words(rejected))
}

pub(super) fn not_started(rejected: &Rejected) -> (RunFailure, String) {
    (RunFailure::NotStarted, words(rejected))
}
