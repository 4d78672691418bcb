//! `tanuki status`: the project at a glance, or one agent in depth.

use clap::Args;

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::{
    StatusView, render_agent, render_agents, render_conflicts, render_status, render_tasks_line,
};
use crate::cli::service::{Interrupted, engine_trouble, interrupted_error};
use crate::cli::{CliError, Context, Exit, Output, Result, now};
use crate::model::Snapshot;

/// Arguments of `tanuki status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Agent to show in depth; agents, services and tasks at a glance when left out.
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Shows more columns of the tables.
    #[arg(long, conflicts_with = "agent")]
    pub wide: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(in crate::cli) async fn run(context: &Context, args: &StatusArgs, out: &Output) -> Result {
    let mut snapshot = match &args.agent {
        Some(name) => context.look_into_agent(name).await?,
        None => context.look().await?,
    };
    match (&args.agent, args.format.format) {
        (Some(name), format) => {
            let agent = snapshot
                .agents
                .get(name)
                .ok_or_else(|| CliError::unknown_agent(name, snapshot.agents.keys().map(String::as_str)))?;
            match format {
                Format::Table => {
                    let conflicts = render_conflicts(&snapshot, Some(name));
                    out.result(&(render_agent(agent, now()) + &conflicts))?;
                }
                Format::Json => out.json(agent)?,
            }
        }
        (None, Format::Table) => out.result(&glance(&snapshot, StatusView { wide: args.wide }))?,
        (None, Format::Json) => {
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

fn glance(snapshot: &Snapshot, view: StatusView) -> String {
    let now = now();
    let mut parts = vec![render_agents(snapshot, now, view)];
    if !snapshot.services.is_empty() {
        parts.push(render_status(snapshot, now, view));
    }
    parts.extend(render_tasks_line(snapshot).map(|line| format!("{line}\n")));
    parts.extend(Some(render_conflicts(snapshot, None)).filter(|text| !text.is_empty()));
    parts.join("\n")
}
