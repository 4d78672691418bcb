//! Removing agents: their work is saved first, and only then anything is taken away.

use super::kind::{Agents, Ask};
use super::lifecycle::store_failed;
use crate::model::{Accepted, Rejected};
use crate::store::Stage;

impl Agents {
    /// Removes agents, one after another: what is refused for one leaves the rest.
    pub(super) async fn remove_agents(&self, names: &[String], force: bool) -> Result<Accepted, Rejected> {
        let names = self.resolve(names)?;
        for name in &names {
            let lock = self.agent_lock(name);
            let _held = lock.lock().await;
            let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
            if row.is_some_and(|row| row.stage == Stage::Made) {
                if !force {
                    return Err(Rejected::NotPossible { message: "not yet without force".into() });
                }
                self.deps
                    .store
                    .set_agent_stage(name, Stage::Removing)
                    .map_err(|error| store_failed(&error))?;
            }
            self.drive(name, Ask::default()).await?;
        }
        Ok(Accepted { agents: names, ..Accepted::default() })
    }
}
