//! `tanuki list`: the agents. As fast as `tanuki service status`, for the same reasons.

use clap::Args;

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::{StatusView, render_agents};
use crate::cli::service::{Interrupted, engine_trouble, interrupted_error};
use crate::cli::{Context, Exit, Output, Result, now};

/// Arguments of `tanuki list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Shows agent CLI, workstream, uncommitted work, run, reason and container too.
    #[arg(long)]
    pub wide: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(in crate::cli) async fn run(context: &Context, args: &ListArgs, out: &Output) -> Result {
    let snapshot = context.look_at_agents().await?;
    match args.format.format {
        Format::Table => out.result(&render_agents(&snapshot, now(), StatusView { wide: args.wide }))?,
        Format::Json => out.json(&snapshot.agents.values().collect::<Vec<_>>())?,
    }
    match engine_trouble(&snapshot) {
        None => Ok(Exit::DONE),
        Some(why) => Err(interrupted_error(Interrupted::EngineUnavailable(why))),
    }
}
