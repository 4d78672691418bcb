//! `tanuki runs`: what agents were given to do, and how it went. Read from the store: no controller is needed.

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::render_runs;
use crate::cli::{CliError, Context, Exit, Output, Result, now};

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
    let project = context.project()?;
    let runs = match project.existing_store()? {
        Some(store) => store
            .runs(args.agent.as_deref())
            .map_err(|error| CliError::failed("cannot read the project's runs").because(&error))?,
        None => Vec::new(),
    };
    match args.format.format {
        Format::Table => out.result(&render_runs(&runs, now(), &TimeZone::system()))?,
        Format::Json => out.json(&runs)?,
    }
    Ok(Exit::DONE)
}
