//! `tanuki remove`: an agent goes; its work is saved first.

use clap::Args;

use super::{Which, ask_and_tell, names};
use crate::cli::confirm::Question;
use crate::cli::{Context, Exit, Output, Result};
use crate::model::Request;

/// Arguments of `tanuki remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    which: Which,
    /// Removes it also while its work is not merged or a run is under way.
    #[arg(short, long)]
    pub force: bool,
}

pub(in crate::cli) async fn run(context: &Context, args: &RemoveArgs, out: &Output) -> Result {
    let what = names(&args.which.agents);
    question(&what).ask(context, out)?;
    let request = Request::AgentRemove { names: args.which.agents.clone(), force: args.force };
    let accepted = ask_and_tell(context, &request, &format!("removing {what}"), out).await?;
    if accepted.agents.is_empty() && accepted.text.is_empty() {
        out.line("no agents")?;
    }
    Ok(Exit::DONE)
}

/// What is asked before an agent is removed.
pub(super) fn question(what: &str) -> Question {
    Question {
        text: format!("Remove {what}: container, workspace and branch? The work is saved first."),
        unattended: format!("{what} would be removed, and there is nobody to ask"),
        because: "container, workspace and branch go; the work is saved under refs/tanuki/rescue/ first"
            .to_owned(),
        refused: "nothing was removed",
    }
}
