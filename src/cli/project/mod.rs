//! `tanuki project …`: the project's tasks become work by agents.

mod follow;
mod init;
mod start;
mod status;
mod stop;

use clap::{Args, Subcommand};

use super::{Context, Output, Result};

/// Arguments of `tanuki project`.
#[derive(Debug, Args)]
pub struct ProjectArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProjectCommand,
}

/// What to do with the project's tasks.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Writes a sample task to begin from.
    Init(init::InitArgs),
    /// Starts services, hands tasks to agents, and shows what happens until everything is done.
    ///
    /// The work goes on in the controller: Ctrl-C only ends the showing, with exit code 130. A second start joins the
    /// first. Ends with exit code 0 when every task is complete or in review, and 1 when one failed or is blocked.
    Start(start::StartArgs),
    /// Stops handing out tasks, ends what runs, and returns those tasks; their work is kept.
    Stop(stop::StopArgs),
    /// Goes on after a stop, and tries at once what waits.
    Resume(start::ResumeArgs),
    /// Shows how the tasks go: who works on what, what went wrong, which branches would conflict.
    ///
    /// JSON is an object: phase, projects, merge, target, message, counts, problems (file, line, message, help),
    /// conflicts (agent, with, files), tasks as `tanuki task show -o json` prints them; with --watch one per line.
    Status(status::StatusArgs),
    /// Lists the subfolders of the tasks' directory with how far each is.
    ///
    /// JSON is a list of objects: project, tasks, counts by status.
    #[command(visible_alias = "ls")]
    List(status::ListArgs),
}

pub(super) async fn run(context: &Context, args: &ProjectArgs, out: &Output) -> Result {
    match &args.command {
        ProjectCommand::Init(args) => init::run(context, args, out),
        ProjectCommand::Start(args) => start::start(context, args, out).await,
        ProjectCommand::Stop(args) => stop::run(context, args, out).await,
        ProjectCommand::Resume(args) => start::resume(context, args, out).await,
        ProjectCommand::Status(args) => status::run(context, args, out).await,
        ProjectCommand::List(args) => status::list(context, args, out).await,
    }
}
