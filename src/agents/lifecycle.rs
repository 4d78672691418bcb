//! Starting, stopping and restarting agents: what is wanted is written down, then passes go on until it is so.

use std::time::Duration;

use super::kind::{Agents, Ask};
use crate::controller::PassError;
use crate::model::{Accepted, Desired, EventType, Rejected};
use crate::store::{AgentRow, Stage, StoreError};

/// Passes before what is asked for is given up; each changes something, and few are ever needed.
const PASSES: usize = 30;

/// How long apart two looks are while the engine is on its way.
const RECHECK: Duration = Duration::from_millis(200);

impl Agents {
    /// Passes over an agent, by whoever holds its lock, until nothing is left to do.
    pub(super) async fn drive(&self, name: &str, mut ask: Ask) -> Result<(), Rejected> {
        if ask.renew {
            self.with_record(name, |record| record.failure = None);
        }
        for _ in 0..PASSES {
            let world = self.look(Some(name)).await.map_err(failed)?;
            let Some(row) = self.deps.store.agent(name).map_err(|error| store_failed(&error))? else {
                return Ok(());
            };
            if row.stage == Stage::Removed {
                return Ok(());
            }
            let passed = self.pass(&row, &world, ask).await.map_err(failed)?;
            if let Some(message) = passed.failed {
                return Err(Rejected::Failed { message: format!("agent '{name}': {message}") });
            }
            ask.restart &= !passed.acted;
            if passed.plan.recheck {
                tokio::time::sleep(RECHECK).await;
            } else if !passed.acted {
                return Ok(());
            }
        }
        Err(Rejected::Failed { message: format!("agent '{name}' does not come to rest") })
    }

    /// Looks at an agent again before an answer, so that who asked sees what came of it.
    pub(super) async fn refresh(&self, name: &str) {
        let lock = self.agent_lock(name);
        let _held = lock.lock().await;
        if let Err(error) = self.drive(name, Ask::default()).await {
            tracing::debug!(?error, agent = name, "cannot look at it again");
            self.touch(name);
        }
    }

    /// Runs agents' containers.
    pub(super) async fn start_agents(&self, names: &[String]) -> Result<Accepted, Rejected> {
        self.bring(names, Desired::Running, Ask { renew: true, restart: false }).await
    }

    /// Stops and starts agents' containers; what is out of date is made anew.
    pub(super) async fn restart_agents(&self, names: &[String]) -> Result<Accepted, Rejected> {
        self.bring(names, Desired::Running, Ask { renew: true, restart: true }).await
    }

    /// Stops agents' containers.
    pub(super) async fn stop_agents(&self, names: &[String]) -> Result<Accepted, Rejected> {
        self.bring(names, Desired::Stopped, Ask::default()).await
    }

    async fn bring(&self, names: &[String], desired: Desired, ask: Ask) -> Result<Accepted, Rejected> {
        let names = self.resolve(names)?;
        let each = names.iter().map(|name| self.bring_one(name, desired, ask));
        let ended = futures_util::future::join_all(each).await;
        ended.into_iter().collect::<Result<Vec<()>, Rejected>>()?;
        Ok(Accepted { agents: names, ..Accepted::default() })
    }

    async fn bring_one(&self, name: &str, desired: Desired, ask: Ask) -> Result<(), Rejected> {
        let lock = self.agent_lock(name);
        let _held = lock.lock().await;
        let row = self.made(name)?;
        self.deps.store.set_agent_desired(name, desired).map_err(|error| store_failed(&error))?;
        if row.desired != desired {
            let reason = if desired == Desired::Running { "StartRequested" } else { "StopRequested" };
            self.record(EventType::Normal, &format!("agent/{name}"), reason, "asked for");
        }
        let brought = self.drive(name, ask).await;
        self.touch(name);
        brought?;
        if desired == Desired::Running && !self.deps.layout.workspace(name).is_dir() {
            return Err(Rejected::NotPossible {
                message: format!(
                    "the workspace of agent '{name}' is gone; `tanuki remove {name}` keeps what is on its \
                     branch, and `tanuki undo {name}` then makes it anew"
                ),
            });
        }
        Ok(())
    }

    /// Wants no container of any agent: `down`. Workspaces, branches and homes stay.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn down(&self) -> Result<(), Rejected> {
        let rows = self.deps.store.agents().map_err(|error| store_failed(&error))?;
        for row in rows.iter().filter(|row| row.stage == Stage::Made) {
            let name = &row.spec.name;
            self.deps.store.set_agent_desired(name, Desired::Absent).map_err(|error| store_failed(&error))?;
            self.touch(name);
        }
        Ok(())
    }

    /// The agents asked for, or all there are.
    pub(super) fn resolve(&self, names: &[String]) -> Result<Vec<String>, Rejected> {
        let known = self.known()?;
        if names.is_empty() {
            return Ok(known);
        }
        match names.iter().find(|name| !known.contains(name)) {
            Some(name) => Err(Rejected::UnknownAgent { name: name.clone(), known }),
            None => Ok(names.to_vec()),
        }
    }

    /// Names of the agents there are.
    pub(super) fn known(&self) -> Result<Vec<String>, Rejected> {
        let rows = self.deps.store.agents().map_err(|error| store_failed(&error))?;
        let there = rows.into_iter().filter(|row| row.stage != Stage::Removed);
        Ok(there.map(|row| row.spec.name).collect())
    }

    /// An agent that is there.
    pub(super) fn made(&self, name: &str) -> Result<AgentRow, Rejected> {
        let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
        match row {
            Some(row) if row.stage == Stage::Made => Ok(row),
            Some(row) if row.stage != Stage::Removed => Err(Rejected::NotPossible {
                message: match row.stage {
                    Stage::Creating => format!("agent '{name}' is still being made"),
                    _ => format!("agent '{name}' is being removed"),
                },
            }),
            _ => Err(Rejected::UnknownAgent { name: name.to_owned(), known: self.known()? }),
        }
    }
}

impl From<PassError> for Rejected {
    fn from(error: PassError) -> Self {
        Self::Failed { message: error.message }
    }
}

pub(super) fn failed(error: impl Into<Rejected>) -> Rejected {
    error.into()
}

pub(super) fn store_failed(error: &StoreError) -> Rejected {
    Rejected::Failed { message: error.to_string() }
}
