//! Following the work on tasks to its end, over ends of the controller.

use std::sync::Arc;

use tokio::sync::watch;

use crate::cli::args::Format;
use crate::cli::context::Project;
use crate::cli::events::Printer;
use crate::cli::session::Session;
use crate::cli::{CliError, Context, Output, Result, terminal};
use crate::model::{EventRecord, ProjectPhase, Snapshot};

/// How following ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nothing is left to be done.
    Finished(Arc<Snapshot>),
    /// Somebody stopped it.
    Stopped,
    /// The person wants no more of it.
    Detached,
    /// Nobody reads the output.
    Unheard,
}

/// Shows what happens with tasks until nothing is left to be done.
pub(super) async fn follow(
    context: &Context,
    project: &Project,
    mut session: Session,
    out: &Output,
) -> Result<Ended> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut printer = Printer::new(out, Format::Table);
    printer.skip(&session.before.events);
    loop {
        let mut snapshots = session.snapshots();
        let ended = tokio::select! {
            biased;
            heard = &mut interrupt => {
                heard.map_err(|error| CliError::failed("cannot listen to signals").because(&error))?;
                Some(Ended::Detached)
            }
            () = terminal::nobody_reads() => Some(Ended::Unheard),
            ended = watch(&mut snapshots, &mut printer) => ended?,
        };
        session.finish().await;
        if let Some(ended) = ended {
            return Ok(ended);
        }
        // What was asked for is written down: the next controller goes on with it.
        session = context.controller(project).await?;
    }
}

async fn watch(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    printer: &mut Printer<'_>,
) -> Result<Option<Ended>> {
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let about = |event: &&EventRecord| event.object.starts_with("task/") || event.object == "project";
        let events: Vec<EventRecord> = snapshot.events.iter().filter(about).cloned().collect();
        printer.print(&events)?;
        match snapshot.work.phase {
            ProjectPhase::Finished => return Ok(Some(Ended::Finished(snapshot))),
            ProjectPhase::Stopped => return Ok(Some(Ended::Stopped)),
            // A controller that has only just begun has not looked yet.
            ProjectPhase::Idle | ProjectPhase::Preparing | ProjectPhase::Running | ProjectPhase::Stopping => {
            }
        }
        if snapshots.changed().await.is_err() {
            return Ok(None);
        }
    }
}
