//! `tanuki attach`: a shell, the agent CLI itself, or any program in an agent's workspace.

use clap::Args;
use tanuki_runtimes::ExecSpec;

use super::ask;
use crate::cli::{CliError, Context, Output, Result, terminal};
use crate::model::Request;

/// Arguments of `tanuki attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Agent to enter.
    #[arg(value_name = "AGENT")]
    pub name: String,
    /// Opens the agent CLI itself, with its last session.
    #[arg(long, conflicts_with = "command")]
    pub agent: bool,
    /// Program and arguments to run instead of a shell, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

pub(in crate::cli) async fn run(context: &Context, args: &AttachArgs, out: &Output) -> Result {
    let tty = terminal::is_interactive();
    if !tty && args.command.is_empty() {
        let what = if args.agent { "the agent CLI" } else { "a shell" };
        return Err(CliError::usage(format!("{what} needs a terminal"))
            .cause("standard input or output is not one")
            .hint(format!("run one command without a terminal: tanuki attach {} -- <command>", args.name)));
    }
    let project = context.project()?;
    let request = Request::AgentEnter {
        name: args.name.clone(),
        agent_cli: args.agent,
        credentials: context.credentials(&project),
    };
    let doing = format!("entering {}", args.name);
    let (session, accepted) = ask(context, &project, &request, &doing, out).await?;
    let enter = accepted.enter.ok_or_else(|| {
        CliError::failed(format!("the controller does not tell how {} is entered", args.name))
            .hint("its log is .tanuki/state/controller.log")
    })?;
    let mut env = enter.env.0;
    if tty {
        env.insert("TERM".to_owned(), context.env.var("TERM").unwrap_or("xterm").to_owned());
    }
    let command = if args.command.is_empty() { enter.command } else { args.command.clone() };
    let spec =
        ExecSpec { command, env, user: enter.user, workdir: Some(enter.workdir), ..ExecSpec::default() };
    let engine = context.engine(&project).await?;
    let exit = terminal::exec(engine.as_ref(), &enter.container, &spec, tty, out).await;
    // What it left is told of by `list` from now on; that it cannot be told is no trouble of this command.
    drop(session.request(Request::AgentLook { name: args.name.clone() }).await);
    session.finish().await;
    exit
}
