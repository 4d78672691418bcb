//! What runs and reviews stand on, for real: the agent's container, environment and workspace.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tanuki_runtimes::{ErrorKind, ExecOutput, ExecSpec};

use super::helper::Room;
use super::kind::{Agents, Ask};
use super::layout::WORKSPACE;
use super::lifecycle::failed;
use super::review::COMMIT_ALL;
use super::{Ground, Ready};
use crate::git::Transport;
use crate::model::{AgentSettings, AgentSpec, AgentState, ContainerPhase, Desired, Rejected};
use crate::store::Stage;

/// How long a commit may take.
const COMMIT: Duration = Duration::from_secs(300);

impl Agents {
    fn ready(&self, agent: &str, container: String, user: String) -> Result<Ready, Rejected> {
        let memory = self.lock();
        let environment = &memory.environment;
        if let Some(conflict) = &environment.conflict {
            return Err(Rejected::NotPossible { message: conflict.to_string() });
        }
        let (env, hidden) = environment.of_agent(agent);
        let given = environment.variables.iter().filter(|variable| !hidden.contains(variable));
        Ok(Ready {
            container,
            service_variables: given.map(|variable| variable.name.clone()).collect(),
            env,
            missing_services: environment.missing.clone(),
            environment_generation: environment.remembered.generation,
            user: Some(user),
            workdir: WORKSPACE.to_owned(),
        })
    }

    pub(super) fn is_wanted_running(&self, agent: &str) -> Result<(), Rejected> {
        if self.made(agent)?.desired == Desired::Running {
            return Ok(());
        }
        Err(Rejected::NotPossible {
            message: format!("agent '{agent}' is stopped; `tanuki start {agent}` starts it"),
        })
    }

    /// Runs a program in the workspace, with the current environment as far as there is one.
    pub(super) async fn exec_in(
        &self,
        room: &Room<'_>,
        agent: &str,
        command: Vec<String>,
        stdin: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<ExecOutput, Rejected> {
        let facts = self.facts().await.map_err(failed)?;
        let env = self.lock().environment.of_agent(agent).0;
        let spec = ExecSpec {
            command,
            env,
            user: Some(facts.identity.user()),
            workdir: Some(WORKSPACE.to_owned()),
            stdin,
            timeout: Some(timeout),
        };
        self.deps.runtime.exec(&room.container, &spec).await.map_err(|error| Rejected::Failed {
            message: match error.kind {
                ErrorKind::Timeout => format!("agent '{agent}': the command did not end in {timeout:?}"),
                _ => format!("agent '{agent}': {error}"),
            },
        })
    }
}

#[async_trait]
impl Ground for Agents {
    fn spec(&self, agent: &str) -> Option<AgentSpec> {
        let row = self.deps.store.agent(agent).ok()??;
        (row.stage == Stage::Made).then_some(row.spec)
    }

    fn settings(&self) -> Arc<AgentSettings> {
        self.current_settings()
    }

    fn runs_dir(&self, agent: &str) -> PathBuf {
        self.deps.layout.runs(agent)
    }

    fn home_dir(&self, agent: &str) -> PathBuf {
        self.deps.layout.home(agent)
    }

    fn may_enter(&self, agent: &str) -> Result<(), Rejected> {
        self.is_wanted_running(agent)?;
        match self.deps.publisher.current().agents.get(agent) {
            Some(status) if matches!(status.state, AgentState::Lost | AgentState::Error) => {
                let message = format!(
                    "agent '{agent}' is not well ({}: {}); `tanuki start {agent}` makes its container anew",
                    status.state, status.message
                );
                Err(Rejected::NotPossible { message })
            }
            _ => Ok(()),
        }
    }

    fn entered(&self, agent: &str) {
        if let Err(error) = self.note_dirty(agent, None) {
            tracing::debug!(?error, agent, "what is known of its workspace is old");
        }
    }

    async fn unresolved(&self, agent: &str, ready: &Ready) -> Vec<String> {
        self.wait_for_names(agent, ready).await
    }

    async fn enter(&self, agent: &str) -> Result<Ready, Rejected> {
        self.is_wanted_running(agent)?;
        let running = |world: &super::observe::World| {
            let container = world.containers.get(agent)?;
            (container.phase == ContainerPhase::Running).then(|| container.id.clone())
        };
        let mut container = running(&self.containers(Some(agent)).await.map_err(failed)?);
        if container.is_none() {
            let lock = self.agent_lock(agent);
            let _held = lock.lock().await;
            self.drive(agent, Ask::default()).await?;
            container = running(&self.containers(Some(agent)).await.map_err(failed)?);
        }
        let Some(container) = container else {
            let status = self.deps.publisher.current().agents.get(agent).cloned();
            let why = status.map(|status| format!("{}: {}", status.state, status.message));
            return Err(Rejected::NotPossible {
                message: format!(
                    "the container of agent '{agent}' does not run ({}); `tanuki start {agent}` makes it anew",
                    why.unwrap_or_default()
                ),
            });
        };
        let facts = self.facts().await.map_err(failed)?;
        self.ready(agent, container, facts.identity.user())
    }

    async fn shell(&self, agent: &str, command: &str, timeout: Duration) -> Result<ExecOutput, Rejected> {
        let room = self.room(agent).await?;
        let command = ["sh", "-c", command].map(ToOwned::to_owned).to_vec();
        let output = self.exec_in(&room, agent, command, None, timeout).await;
        room.leave().await;
        output
    }

    async fn commit_all(&self, agent: &str, message: &str) -> Result<bool, Rejected> {
        let branch = self.made(agent)?.spec.branch;
        let room = self.room(agent).await?;
        let command = ["sh", "-c", COMMIT_ALL, "tanuki", &branch].map(ToOwned::to_owned).to_vec();
        let output = self.exec_in(&room, agent, command, Some(message.as_bytes().to_vec()), COMMIT).await;
        room.leave().await;
        let output = output?;
        let committed = match output.exit_code {
            0 => true,
            3 => false,
            4 => {
                return Err(Rejected::Failed {
                    message: format!(
                        "agent '{agent}' works on something that does not follow from its branch {branch}; \
                         what it has is committed there (`tanuki attach {agent}`)"
                    ),
                });
            }
            5 => {
                let said = String::from_utf8_lossy(&output.stderr);
                let files = said.trim().lines().collect::<Vec<_>>().join(", ");
                return Err(Rejected::Failed {
                    message: format!(
                        "agent '{agent}': everything is committed but what has more than 1 GiB: {files}; \
                         remove it, or have git ignore it"
                    ),
                });
            }
            code => {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(Rejected::Failed {
                    message: format!("agent '{agent}': cannot commit (exit code {code}): {}", said.trim()),
                });
            }
        };
        self.note_dirty(agent, Some(false))?;
        self.touch(agent);
        Ok(committed)
    }

    async fn collect(&self, agent: &str) -> Result<Option<String>, Rejected> {
        let spec = self.made(agent)?.spec;
        let facts = self.facts().await.map_err(failed)?;
        let room = self.room(agent).await?;
        let transport = self.transport(&room, &facts);
        let fetched = facts.git.fetch(&transport, agent, &spec.branch).await;
        room.leave().await;
        // Told at once: who waits for a run looks as soon as it is over, before the next pass.
        if let Ok(mut heads) = facts.git.heads(&[(spec.branch, spec.base)]).await
            && let Some(head) = heads.pop()
        {
            self.deps.publisher.update(|snapshot| {
                if let Some(status) = snapshot.agents.get_mut(agent) {
                    (status.head, status.ahead, status.behind) = (head.commit, head.ahead, head.behind);
                }
            });
        }
        self.touch(agent);
        fetched.map_err(|error| super::spawn::git(&error))
    }

    fn touched(&self, agent: &str) {
        self.touch(agent);
    }
}

impl Agents {
    /// The program that connects git on the host to git in this container.
    pub(super) fn transport(&self, room: &Room<'_>, facts: &super::kind::Facts) -> Transport {
        Transport {
            program: self.deps.program.clone(),
            args: vec![
                "git-transport".to_owned(),
                self.deps.runtime.kind().to_string(),
                self.deps.runtime.endpoint().to_owned(),
                room.container.clone(),
                facts.identity.user(),
            ],
            env: Vec::new(),
        }
    }
}
