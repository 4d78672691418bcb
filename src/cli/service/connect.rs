//! `tanuki service connect`: the service's own client, inside its container.

use clap::Args;
use tanuki_runtimes::ContainerState;

use super::client;
use crate::cli::{CliError, Context, Output, Result, terminal};
use crate::services::output;

/// Arguments of `tanuki service connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Service to connect to.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Arguments for the client, after `--`.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &ConnectArgs, out: &Output) -> Result {
    let project = context.project_with_service(&args.name)?;
    let spec = project.service(&args.name)?;
    if let Some(external) = &spec.external {
        return Err(CliError::failed(format!("service '{}' is external", args.name))
            .cause(format!(
                "it is run by somebody else at {}, so there is no container to enter",
                external.host
            ))
            .hint("connect to it with a client of your own"));
    }
    let engine = context.engine(&project).await?;
    let labels = output::labels(&project.paths.id(), &args.name);
    let container = output::find(engine.as_ref(), &labels)
        .await?
        .filter(|container| container.state == ContainerState::Running)
        .ok_or_else(|| {
            CliError::failed(format!("service '{}' is not running", args.name))
                .hint(format!("`tanuki service start {}` starts it", args.name))
        })?;
    let tty = terminal::is_interactive();
    let term = if tty { context.env.var("TERM").or(Some("xterm")) } else { None };
    let command = client::command(spec, &args.args, term);
    terminal::exec(engine.as_ref(), &container.id, &command, tty, out).await
}
