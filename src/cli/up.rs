//! `tanuki up`: all enabled services, and the controller in the foreground.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::args::Format;
use super::context::Project;
use super::controller::until_told;
use super::daemon::Controller;
use super::events::Printer;
use super::output::Tone;
use super::{CliError, Context, Exit, Output, Result};
use crate::api::{Client, ClientError, LaunchError};
use crate::model::Request;

/// How often, and how long apart, the lock of a controller that was asked to end is tried.
const HANDOVER: (u32, Duration) = (100, Duration::from_millis(100));

/// Arguments of `tanuki up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Runs the controller in the background and returns at once.
    #[arg(short, long)]
    pub detach: bool,
}

pub(super) async fn run(context: &Context, args: &UpArgs, out: &Output) -> Result {
    let project = context.project()?;
    Context::warn(&project, out);
    let start = Request::ServiceStart { names: Vec::new() };
    if args.detach {
        let (session, _accepted) = context.ask(&project, &start).await?;
        let pid = session.snapshots().borrow().controller.pid;
        out.line(&format!("Controller runs in the background (pid {pid})."))?;
        out.remark(
            Tone::Plain,
            "`tanuki service status` shows how services are, `tanuki down` stops everything",
        );
        session.finish().await;
        return Ok(Exit::DONE);
    }
    let told = until_told()?;
    let controller = take_over(context, project, out).await?;
    let mut printer = Printer::new(out, Format::Table);
    let mut snapshots = controller.handle.snapshots();
    // The past has a command of its own.
    printer.skip(&snapshots.borrow_and_update().events.clone());
    controller.handle.request(start).await?;
    out.remark(Tone::Faint, "the controller runs in the foreground; Ctrl-C ends it");
    let result = tokio::select! {
        biased;
        () = controller.shutdown_requested() => Ok("another command took over"),
        () = told => Ok("services keep running; `tanuki down` stops them"),
        result = printer.follow(&mut snapshots) => result.map(|()| "the controller ended"),
    };
    controller.stop().await;
    out.remark(Tone::Plain, result?);
    Ok(Exit::DONE)
}

/// The controller in this process; one in the background is asked to end first. Services are not touched by that.
async fn take_over(context: &Context, project: Project, out: &Output) -> Result<Controller> {
    let client = Client::new(&context.socket(&project.paths));
    let paths = project.paths.clone();
    let mut project = Some(project);
    for attempt in 0..HANDOVER.0 {
        let project = match project.take() {
            Some(project) => project,
            None => context.load(paths.clone())?,
        };
        if let Some(controller) = context.start_controller(project).await? {
            return Ok(controller);
        }
        if attempt == 0 {
            out.remark(Tone::Faint, "taking over from the controller in the background");
            match client.request(&Request::Shutdown {}).await {
                Ok(_) | Err(ClientError::NotRunning) => {}
                Err(error) => return Err(LaunchError::from(error).into()),
            }
        }
        sleep(HANDOVER.1).await;
    }
    Err(CliError::failed("another controller of this project does not end")
        .hint("its pid is in .tanuki/state/controller.lock"))
}
