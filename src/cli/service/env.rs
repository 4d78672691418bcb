//! `tanuki service env`: how services are reached, as variables.

use clap::{Args, ValueEnum};

use crate::cli::args::{Format, FormatArg};
use crate::cli::render::{EnvStyle, redact, render_env};
use crate::cli::{CliError, Context, Exit, Output, Result};
use crate::services::env::{Side, variables};

/// Arguments of `tanuki service env`.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// Service to describe; all enabled ones when left out.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Whose view it is.
    #[arg(long, value_enum, value_name = "SIDE", default_value = "agent")]
    pub from: From,
    /// Prints shell lines to evaluate, with the real values.
    #[arg(long, conflicts_with = "format")]
    pub export: bool,
    /// Shows passwords.
    #[arg(long)]
    pub show_secrets: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

/// Whose view it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// An agent's container.
    Agent,
    /// The host: 127.0.0.1 and published ports.
    Host,
}

pub(super) async fn run(context: &Context, args: &EnvArgs, out: &Output) -> Result {
    let project = match &args.name {
        Some(name) => context.project_with_service(name)?,
        None => context.project()?,
    };
    let side = match args.from {
        From::Agent => Side::Agent,
        From::Host => Side::Host,
    };
    let chosen = project.config.services.values().filter(|spec| match &args.name {
        Some(name) => &spec.name == name,
        None => spec.enabled || spec.external.is_some(),
    });
    // Values are as observed, never as configured: without a published port there is none to tell.
    let host_ports = match side {
        Side::Agent => std::collections::BTreeMap::new(),
        Side::Host => context.host_ports(&project).await?,
    };
    if let (Side::Host, Some(name)) = (side, &args.name)
        && !host_ports.contains_key(name)
        && project.service(name)?.external.is_none()
    {
        return Err(CliError::failed(format!("service '{name}' has no port on the host now"))
            .cause("it is not running, or `host_port: none` is set")
            .hint(format!("`tanuki service start {name}` starts it")));
    }
    let variables = variables(chosen, side, &host_ports)
        .map_err(|error| CliError::usage(error.to_string()).hint("change tanuki.yaml"))?;
    let shown = redact(variables, args.show_secrets || args.export);
    match (args.format.format, args.export) {
        (Format::Json, _) => out.json(&shown)?,
        (Format::Table, true) => out.result(&render_env(&shown, EnvStyle::Export))?,
        (Format::Table, false) => out.result(&render_env(&shown, EnvStyle::Plain))?,
    }
    Ok(Exit::DONE)
}
