//! A container to work on a workspace in: the agent's own while it runs, else a throw-away one from the same image.
//!
//! A throw-away container is removed as soon as it is done with; one that a killed controller left is removed by the
//! next one.

use std::sync::atomic::{AtomicU64, Ordering};

use tanuki_runtimes::Error;

use super::kind::{Agents, Key};
use super::lifecycle::failed;
use crate::controller::Wake;
use crate::model::{ContainerPhase, Rejected};

/// Counts throw-away containers of this process, so that two never have one name.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A container that sees an agent's workspace. Throw-away ones go when this does.
pub(super) struct Room<'a> {
    /// Its id.
    pub(super) container: String,
    /// Name of the throw-away container.
    helper: Option<String>,
    agents: &'a Agents,
}

impl Agents {
    /// A container that sees this agent's workspace.
    pub(super) async fn room(&self, name: &str) -> Result<Room<'_>, Rejected> {
        let world = self.containers(Some(name)).await.map_err(failed)?;
        let own = world.containers.get(name);
        if let Some(own) = own.filter(|container| container.phase == ContainerPhase::Running) {
            return Ok(Room { container: own.id.clone(), helper: None, agents: self });
        }
        let row = self.deps.store.agent(name).map_err(|error| super::lifecycle::store_failed(&error))?;
        let Some(row) = row else {
            return Err(Rejected::UnknownAgent { name: name.to_owned(), known: self.known()? });
        };
        if !self.deps.layout.workspace(name).is_dir() {
            return Err(Rejected::NotPossible {
                message: format!("the workspace of agent '{name}' is gone"),
            });
        }
        let facts = self.facts().await.map_err(failed)?;
        let settings = self.current_settings();
        self.ensure_image(&row.spec.image).await?;
        let number = u64::from(std::process::id()) << 20 | NUMBER.fetch_add(1, Ordering::Relaxed);
        let spec = self.blueprint(&row.spec, &facts, &settings).helper(number);
        self.lock().helpers.insert(spec.name.clone());
        // From here on dropping it leads to the removal of whatever was made.
        let mut room = Room { container: spec.name.clone(), helper: Some(spec.name.clone()), agents: self };
        let rejected = |error: Error| Rejected::Failed { message: error.to_string() };
        room.container = self.deps.runtime.create(&spec).await.map_err(rejected)?;
        self.deps.runtime.start(&room.container).await.map_err(rejected)?;
        Ok(room)
    }
}

impl Room<'_> {
    /// Done with it.
    pub(super) async fn leave(mut self) {
        if let Some(helper) = &self.helper {
            match self.agents.deps.runtime.remove(&self.container).await {
                Ok(()) => {
                    self.agents.lock().helpers.remove(helper);
                    self.helper = None;
                }
                Err(error) => tracing::warn!(%error, "a throw-away container stays for now"),
            }
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            // The loop removes those that nobody uses.
            self.agents.lock().helpers.remove(&helper);
            self.agents.deps.waker.wake(Wake::Key(Key::All));
        }
    }
}
