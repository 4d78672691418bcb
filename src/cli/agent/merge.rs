//! `tanuki merge`: an agent's work comes into its base, or becomes a pull request.

use clap::Args;

use super::{ask, ask_and_tell, pull_request, remove};
use crate::cli::output::Tone;
use crate::cli::{Context, Exit, Output, Result};
use crate::model::{Merge, MergeMethod, Request};

/// Arguments of `tanuki merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Agent whose work is merged.
    #[arg(value_name = "AGENT")]
    pub agent: String,
    /// Makes one commit of it.
    #[arg(long, conflicts_with = "rebase")]
    pub squash: bool,
    /// Puts its commits one by one on top.
    #[arg(long)]
    pub rebase: bool,
    /// Pushes its branch and opens a pull request with `gh`, instead of merging here.
    #[arg(long, conflicts_with_all = ["squash", "rebase", "verify", "remove"])]
    pub pr: bool,
    /// Shell command that must succeed on the result, in the agent's container, before anything is changed.
    #[arg(long, value_name = "CMD")]
    pub verify: Option<String>,
    /// Removes the agent afterwards; asks first.
    #[arg(long)]
    pub remove: bool,
    /// Message of the commit; with --pr title and text of the pull request.
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

pub(in crate::cli) async fn run(context: &Context, args: &MergeArgs, out: &Output) -> Result {
    if args.remove {
        remove::question(&args.agent).ask(context, out)?;
    }
    let project = context.project()?;
    if args.pr {
        pull_request::check(context)?;
    }
    // Asked for on its own, so that what is about to happen is told before it does.
    let forecast = Request::MergeForecast { name: args.agent.clone() };
    let doing = format!("looking whether {} merges", args.agent);
    let (session, accepted) = ask(context, &project, &forecast, &doing, out).await?;
    session.finish().await;
    for line in accepted.text.lines() {
        out.remark(Tone::Plain, line);
    }
    if args.pr {
        return pull_request::open(context, &project, &args.agent, args.message.as_deref(), out).await;
    }
    let method = match (args.squash, args.rebase) {
        (true, _) => MergeMethod::Squash,
        (_, true) => MergeMethod::Rebase,
        _ => MergeMethod::Merge,
    };
    let request = Request::AgentMerge(Box::new(Merge {
        name: args.agent.clone(),
        method,
        verify: args.verify.clone(),
        remove: args.remove,
        message: args.message.clone(),
    }));
    ask_and_tell(context, &request, &format!("merging {}", args.agent), out).await?;
    Ok(Exit::DONE)
}
