//! `tanuki undo`: what `remove` or `merge` saved comes back.

use clap::Args;

use super::ask_and_tell;
use crate::cli::{Context, Exit, Output, Result};
use crate::model::Request;

/// Arguments of `tanuki undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// Agent whose last `remove` or `merge` is undone.
    #[arg(value_name = "AGENT")]
    pub agent: String,
}

pub(in crate::cli) async fn run(context: &Context, args: &UndoArgs, out: &Output) -> Result {
    let request = Request::AgentUndo { name: args.agent.clone() };
    ask_and_tell(context, &request, &format!("restoring {}", args.agent), out).await?;
    Ok(Exit::DONE)
}
