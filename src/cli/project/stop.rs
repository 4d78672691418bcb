//! `tanuki project stop`: running tasks are returned, their work is kept.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use crate::cli::{CliError, Context, Exit, Output, Result, text};
use crate::model::{ProjectPhase, Request};

/// Arguments of `tanuki project stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Gives up waiting for runs to end after this long, with exit code 4; they are still ended.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub wait_timeout: Duration,
}

pub(super) async fn run(context: &Context, args: &StopArgs, out: &Output) -> Result {
    let project = context.project()?;
    let (session, accepted) = context.ask(&project, &Request::ProjectStop {}).await?;
    out.line(&text::one_line(&accepted.text))?;
    let mut snapshots = session.snapshots();
    let stopped = snapshots.wait_for(|snapshot| snapshot.work.phase == ProjectPhase::Stopped);
    let waited = timeout(args.wait_timeout, stopped).await.map(|found| found.is_ok());
    session.finish().await;
    match waited {
        Ok(true) => {
            out.line("Stopped.")?;
            Ok(Exit::DONE)
        }
        Ok(false) => Err(CliError::failed("the controller ended before everything was returned")
            .hint("run the command again to start another one")),
        Err(_elapsed) => Err(CliError::timed_out("not everything is returned yet")
            .hint("`tanuki project status` shows what is left")),
    }
}
