//! `tanuki runs`: what agents were given to do, and how it went. Read from the store: no controller is needed.

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::render_runs;
use crate::cli::{CliError, Context, Exit, Output, Result, now};
use crate::model::RunRecord;
use crate::store::{Store, StoreError};

/// Arguments of `tanuki runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Agent whose runs to show; all agents' when left out.
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Shows only the last N runs.
    #[arg(short = 'n', long = "tail", value_name = "N", default_value = "100")]
    pub tail: u32,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(in crate::cli) async fn run(context: &Context, args: &RunsArgs, out: &Output) -> Result {
    let project = context.project()?;
    let runs = match project.existing_store()? {
        Some(store) => read(&store, args)?,
        None => Vec::new(),
    };
    match args.format.format {
        Format::Table => out.result(&render_runs(&runs, now(), &TimeZone::system()))?,
        Format::Json => out.json(&runs)?,
    }
    Ok(Exit::DONE)
}

fn read(store: &Store, args: &RunsArgs) -> Result<Vec<RunRecord>> {
    let unreadable = |error: StoreError| CliError::failed("cannot read the project's runs").because(&error);
    let mut runs = store.runs(args.agent.as_deref(), args.tail).map_err(unreadable)?;
    if let (Some(name), true) = (&args.agent, runs.is_empty())
        && store.agent(name).map_err(unreadable)?.is_none()
    {
        let known = store.agents().map_err(unreadable)?;
        return Err(CliError::unknown_agent(name, known.iter().map(|row| row.spec.name.as_str())));
    }
    runs.reverse();
    Ok(runs)
}
