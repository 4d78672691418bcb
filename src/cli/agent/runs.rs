//! `tanuki runs`: what agents were given to do, and how it went. Read from the store: no controller is needed.

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::render_runs;
use crate::cli::{Context, Exit, Output, Result, now};
use crate::model::RunRecord;

/// Arguments of `tanuki runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Agent whose runs to show; all agents' when left out.
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(in crate::cli) async fn run(context: &Context, args: &RunsArgs, out: &Output) -> Result {
    let snapshot = context.look().await?;
    let agents =
        snapshot.agents.values().filter(|agent| args.agent.as_ref().is_none_or(|name| name == &agent.name));
    let runs: Vec<RunRecord> =
        agents.flat_map(|agent| [&agent.last_run, &agent.run]).flatten().cloned().collect();
    match args.format.format {
        Format::Table => out.result(&render_runs(&runs, now(), &TimeZone::system()))?,
        Format::Json => out.json(&runs)?,
    }
    Ok(Exit::DONE)
}
