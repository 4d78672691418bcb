//! `tanuki merge`: an agent's work comes into its base, or becomes a pull request.

use clap::Args;

use super::{ask, pull_request, remove, tell};
use crate::cli::live::Live;
use crate::cli::output::Tone;
use crate::cli::session::Session;
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
    // What there is now decides, not what the last run left.
    let collect = Request::AgentCollect { name: args.agent.clone() };
    let doing = format!("looking at the work of {}", args.agent);
    let (session, _collected) = ask(context, &project, &collect, &doing, out).await?;
    let merged = if args.pr {
        let looked = session.request(Request::AgentLook { name: args.agent.clone() }).await;
        if let Some(left) = looked.ok().filter(|looked| !looked.text.is_empty()) {
            let files: Vec<&str> = left.text.lines().filter_map(|line| line.get(3..)).collect();
            let files = files.join(", ");
            out.warning(&format!("not committed in the workspace, so not in the pull request: {files}"));
        }
        pull_request::open(context, &project, &args.agent, args.message.as_deref(), out).await
    } else {
        merge(&session, args, out).await
    };
    session.finish().await;
    merged
}

/// Tells what is about to happen, and then does it.
async fn merge(session: &Session, args: &MergeArgs, out: &Output) -> Result {
    let forecast = session.request(Request::MergeForecast { name: args.agent.clone() }).await?;
    for line in forecast.text.lines() {
        out.remark(Tone::Plain, &format!("{} {line}", args.agent));
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
    let mut live = Live::new(out);
    live.update(&[format!("… merging {}", args.agent)])?;
    let merged = session.request(request).await;
    live.clear()?;
    let merged = merged?;
    for warning in &merged.warnings {
        out.warning(warning);
    }
    tell(&merged, out)?;
    Ok(Exit::DONE)
}
