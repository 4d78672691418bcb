//! `tanuki start`, `stop` and `restart`: agents' containers. Answered when it is so.

use clap::Args;

use super::{Which, ask, names};
use crate::cli::output::Tone;
use crate::cli::{Context, Exit, Output, Result, text};
use crate::model::Request;

/// Arguments of `tanuki start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `tanuki stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `tanuki restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    #[command(flatten)]
    which: Which,
}

pub(in crate::cli) async fn start(context: &Context, args: &StartArgs, out: &Output) -> Result {
    let names = args.which.agents.clone();
    carry_out(context, &Request::AgentStart { names }, &args.which, ["starting", "started"], out).await
}

pub(in crate::cli) async fn stop(context: &Context, args: &StopArgs, out: &Output) -> Result {
    let names = args.which.agents.clone();
    carry_out(context, &Request::AgentStop { names }, &args.which, ["stopping", "stopped"], out).await
}

pub(in crate::cli) async fn restart(context: &Context, args: &RestartArgs, out: &Output) -> Result {
    let names = args.which.agents.clone();
    carry_out(context, &Request::AgentRestart { names }, &args.which, ["restarting", "restarted"], out).await
}

async fn carry_out(
    context: &Context,
    request: &Request,
    which: &Which,
    [doing, done]: [&str; 2],
    out: &Output,
) -> Result {
    let project = context.project()?;
    let doing = format!("{doing} {}", names(&which.agents));
    let (session, accepted) = ask(context, &project, request, &doing, out).await?;
    session.finish().await;
    let agents = if accepted.agents.is_empty() { &which.agents } else { &accepted.agents };
    for name in agents {
        out.line(&format!("{} {} {done}", out.paint(Tone::Good, "✓"), text::one_line(name)))?;
    }
    if agents.is_empty() {
        out.line("no agents")?;
    }
    Ok(Exit::DONE)
}
