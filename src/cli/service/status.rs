//! `tanuki service status`: the newest snapshot as a table. Fast: no configuration is read and no engine asked where a
//! controller runs.

use clap::Args;

use super::lifecycle::interrupted_error;
use super::settle::{Interrupted, engine_trouble};
use crate::cli::args::{Format, FormatArg};
use crate::cli::render::{StatusView, render_status};
use crate::cli::{Context, Exit, Output, Result, now};

/// Arguments of `tanuki service status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Shows restarts, reasons and containers too.
    #[arg(long)]
    pub wide: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(super) async fn run(context: &Context, args: &StatusArgs, out: &Output) -> Result {
    let mut snapshot = context.look().await?;
    match args.format.format {
        Format::Table => out.result(&render_status(&snapshot, now(), StatusView { wide: args.wide }))?,
        Format::Json => {
            // They have a command of their own.
            snapshot.events.clear();
            out.json(&snapshot)?;
        }
    }
    match engine_trouble(&snapshot) {
        None => Ok(Exit::DONE),
        Some(why) => Err(interrupted_error(Interrupted::EngineUnavailable(why))),
    }
}
