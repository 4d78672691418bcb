//! `tanuki down`: nothing of this project on the engine but its volumes, or not even those.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout_at};

use super::confirm::Question;
use super::context::Project;
use super::output::Tone;
use super::service::settle::{Interrupted, engine_trouble};
use super::session::Session;
use super::{CliError, Context, Exit, Output, Result, text};
use crate::model::{ConditionStatus, Request, ServiceState, Snapshot, VolumeSource};

/// Arguments of `tanuki down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Removes the volumes too, with all their data; asks first.
    #[arg(long)]
    pub volumes: bool,
    /// Gives up waiting after this long, with exit code 4.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    wait_timeout: Duration,
}

pub(super) async fn run(context: &Context, args: &DownArgs, out: &Output) -> Result {
    let project = context.project()?;
    if args.volumes {
        confirm(context, &project, out)?;
    }
    let deadline = Instant::now() + args.wait_timeout;
    let (session, accepted) = context.ask(&project, &Request::Down { volumes: args.volumes }).await?;
    if let Some(title) = title(&session.before) {
        out.line(title)?;
    }
    let generation = accepted.project.unwrap_or_default();
    let last = watch(&session, generation, deadline, out).await;
    if last.is_ok() {
        // It has nothing left to keep; without this it would end by itself a minute later.
        drop(session.request(Request::Shutdown {}).await);
    }
    session.finish().await;
    last?;
    out.line(if args.volumes {
        "Removed containers, network and volumes."
    } else {
        "Removed containers and network; data volumes are kept."
    })?;
    Ok(Exit::DONE)
}

/// What is about to be stopped.
fn title(before: &Snapshot) -> Option<&'static str> {
    let services = before.services.values().any(|service| service.container_id.is_some());
    let agents = before.agents.values().any(|agent| agent.container_id.is_some());
    match (agents, services) {
        // A controller that has just started has not looked yet.
        (false, false) => before.observed_at.is_none().then_some("Stopping containers..."),
        (false, true) => Some("Stopping services..."),
        (true, false) => Some("Stopping agents..."),
        (true, true) => Some("Stopping agents and services..."),
    }
}

/// Watches until nothing is left, telling of each service that is gone.
async fn watch(session: &Session, generation: u64, deadline: Instant, out: &Output) -> Result<()> {
    let mut snapshots = session.snapshots();
    // Services that have something to remove, as far as it was seen.
    let mut there: Vec<String> = Vec::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let done = is_down(&snapshot, generation);
        for (name, status) in &snapshot.services {
            let gone = done || (status.state == ServiceState::Stopped && status.container_id.is_none());
            if !gone && status.container_id.is_some() && !there.contains(name) {
                there.push(name.clone());
            } else if gone && there.contains(name) {
                out.line(&format!("  {} {} removed", out.paint(Tone::Good, "✓"), text::one_line(name)))?;
                there.retain(|other| other != name);
            }
        }
        if done {
            return Ok(());
        }
        match timeout_at(deadline, snapshots.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => {
                return Err(super::service::interrupted_error(Interrupted::ControllerGone));
            }
            Err(_elapsed) => return Err(late(&snapshot)),
        }
    }
}

fn is_down(snapshot: &Snapshot, generation: u64) -> bool {
    snapshot.conditions.iter().any(|condition| {
        condition.kind == "Down"
            && condition.status == ConditionStatus::True
            && condition.observed_generation >= generation
    })
}

fn late(snapshot: &Snapshot) -> CliError {
    if let Some(why) = engine_trouble(snapshot) {
        return super::service::interrupted_error(Interrupted::EngineUnavailable(why));
    }
    let mut error = CliError::timed_out("not everything is down yet");
    for status in snapshot.services.values() {
        if !matches!(status.state, ServiceState::Stopped | ServiceState::External) {
            error = error.cause(format!("{}: {} {}", status.name, status.state, status.message));
        }
    }
    error.hint("the controller goes on; `tanuki service status` shows how it is")
}

/// Asks whether data may go. Without somebody to ask, `--yes` has to say so.
fn confirm(context: &Context, project: &Project, out: &Output) -> Result<()> {
    let volumes: Vec<&str> = project
        .config
        .services
        .values()
        .flat_map(|spec| &spec.volumes)
        .filter_map(|mount| match &mount.source {
            VolumeSource::Named(name) => Some(name.as_str()),
            VolumeSource::Bind(_) => None,
        })
        .collect();
    let what = if volumes.is_empty() { "this project's volumes".to_owned() } else { volumes.join(", ") };
    Question {
        text: format!("Remove {what} with all data? This cannot be undone."),
        unattended: "--volumes would delete data, and there is nobody to ask".to_owned(),
        because: format!("it removes {what} with everything in them"),
        refused: "nothing was removed",
    }
    .ask(context, out)
}
