//! `tanuki controller`: the project's controller as a process of its own. Commands start it; nobody types it.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::daemon::Controller;
use super::{CliError, Context, Exit, Result};
use crate::api::{LOCKED, READY, announce};

/// Arguments of `tanuki controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {}

pub(super) async fn run(context: &Context, _args: &ControllerArgs) -> Result {
    // Ctrl-C in the terminal of the command that started it is not meant for it. Fails only where it leads its
    // session already.
    _ = rustix::process::setsid();
    let started = start(context).await;
    let said = match &started {
        Ok(Some(_)) => READY.to_owned(),
        Ok(None) => LOCKED.to_owned(),
        // On one line, for the command to tell in its own words.
        Err(error) => serde_json::to_string(error).unwrap_or_else(|_unreadable| error.message.clone()),
    };
    // Whoever started it may be gone already; what is wanted is written down all the same.
    drop(announce(&said).await);
    let Some(controller) = started? else { return Ok(Exit::DONE) };
    let told = until_told()?;
    tokio::select! {
        biased;
        () = controller.shutdown_requested() => tracing::info!("asked to end"),
        () = told => tracing::info!("a signal ends it"),
        () = controller.idle() => tracing::info!("nothing to do"),
    }
    controller.stop().await;
    Ok(Exit::DONE)
}

async fn start(context: &Context) -> Result<Option<Controller>> {
    let project = context.project()?;
    // No mount is held busy by a process that nobody sees.
    _ = rustix::process::chdir("/");
    context.start_controller(project).await
}

/// Ends with the first signal that asks a process to. To be called on a runtime, which hears the signals.
pub(super) fn until_told() -> Result<impl Future<Output = ()>> {
    let listen =
        |kind| signal(kind).map_err(|error| CliError::failed("cannot listen to signals").because(&error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
