//! What people ask of agents, carried out: each is answered when it is done.

use std::sync::Arc;

use super::{Agents, Ground as _};
use crate::model::{Accepted, Rejected, Request};

impl Agents {
    /// Carries out what is asked of agents.
    ///
    /// # Errors
    ///
    /// The agent is unknown, the request makes no sense, or it failed; nothing is left half done then.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Result<Accepted, Rejected> {
        match request {
            Request::Spawn(spawn) => self.spawn(&spawn).await,
            Request::AgentStart { names } => self.start_agents(&names).await,
            Request::AgentStop { names } => self.stop_agents(&names).await,
            Request::AgentRestart { names } => self.restart_agents(&names).await,
            Request::AgentRemove { names, force } => self.remove_agents(&names, force).await,
            Request::AgentUndo { name } => self.undo(&name).await,
            Request::AgentDiff { name, base, format } => self.diff(&name, base.as_deref(), format).await,
            Request::AgentLook { name } => self.look_into(&name).await,
            Request::AgentCollect { name } => {
                self.collect(&name).await.map(|_head| Accepted { agents: vec![name], ..Accepted::default() })
            }
            Request::AgentMerge(merge) => self.merge_and_remove(&merge).await,
            Request::MergeForecast { name } => self.forecast(&name).await,
            _ => Err(Rejected::NotPossible { message: "this is not about agents".into() }),
        }
    }
}
