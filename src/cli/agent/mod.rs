//! Commands for agents: each asks the controller for one thing and prints what came of it.

mod attach;
mod diff;
mod follow;
mod lifecycle;
mod list;
mod logs;
mod merge;
mod pull_request;
mod remove;
mod run;
mod runs;
mod spawn;
mod status;
mod undo;

pub use attach::AttachArgs;
pub use diff::DiffArgs;
pub use lifecycle::{RestartArgs, StartArgs, StopArgs};
pub use list::ListArgs;
pub use logs::LogsArgs;
pub use merge::MergeArgs;
pub use remove::RemoveArgs;
pub use run::{RunArgs, RunCommand, failure as run_failure};
pub use runs::RunsArgs;
pub use spawn::SpawnArgs;
pub use status::StatusArgs;
pub use undo::UndoArgs;

pub(super) use attach::run as attach;
pub(super) use diff::run as diff;
pub(super) use lifecycle::{restart, start, stop};
pub(super) use list::run as list;
pub(super) use logs::run as logs;
pub(super) use merge::run as merge;
pub(super) use remove::run as remove;
pub(super) use run::run;
pub(super) use runs::run as runs;
pub(super) use spawn::run as spawn;
pub(super) use status::run as status;
pub(super) use undo::run as undo;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::context::Project;
use super::live::Live;
use super::session::Session;
use super::{Context, Output, Result, text};
use crate::model::{Accepted, AgentState, AgentStatus, Desired, Request, Snapshot};

/// How long a snapshot that tells of what was just done may take to arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// The agents a command is about.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Agents it is about.
    #[arg(value_name = "AGENT")]
    pub agents: Vec<String>,
    /// All agents of the project.
    #[arg(long)]
    pub all: bool,
}

/// Asks for something that takes its time, shows what goes on meanwhile, and warns of what the answer warns of.
async fn ask(
    context: &Context,
    project: &Project,
    request: &Request,
    doing: &str,
    out: &Output,
) -> Result<(Session, Accepted)> {
    let mut live = Live::new(out);
    let title = format!("… {doing}");
    live.update(std::slice::from_ref(&title))?;
    let watch = |snapshot: &Snapshot| {
        let moving = snapshot.agents.values().filter_map(going_on);
        live.update(&std::iter::once(title.clone()).chain(moving).collect::<Vec<_>>())
    };
    let answer = context.ask_watching(project, request, watch).await;
    live.clear()?;
    drop(live);
    let (session, accepted) = answer?;
    for warning in &accepted.warnings {
        out.warning(warning);
    }
    Ok((session, accepted))
}

/// What goes on with an agent that is not where it is wanted.
fn going_on(agent: &AgentStatus) -> Option<String> {
    let moves = match agent.state {
        AgentState::Creating | AgentState::Removing => true,
        AgentState::Stopped => agent.desired == Desired::Running,
        AgentState::Idle | AgentState::Working => agent.desired == Desired::Stopped,
        AgentState::Error | AgentState::Lost | AgentState::Unknown => false,
    };
    let message = if agent.message.is_empty() { String::new() } else { format!(", {}", agent.message) };
    moves.then(|| format!("  … {}: {}{message}", agent.name, agent.state))
}

/// Asks for something and prints the answer's text.
async fn ask_and_tell(context: &Context, request: &Request, doing: &str, out: &Output) -> Result<Accepted> {
    let project = context.project()?;
    let (session, accepted) = ask(context, &project, request, doing, out).await?;
    session.finish().await;
    tell(&accepted, out)?;
    Ok(accepted)
}

/// Prints the answer's text, where it has one.
fn tell(accepted: &Accepted, out: &Output) -> Result<()> {
    let text = text::block(&accepted.text);
    match text.trim_end() {
        "" => Ok(()),
        text => out.line(text),
    }
}

/// The snapshot in which `holds` is so; the newest one where that takes too long.
async fn snapshot_where(session: &Session, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let mut snapshots = session.snapshots();
    let found = timeout(PATIENCE, snapshots.wait_for(|snapshot| holds(snapshot))).await;
    let found = found.ok().and_then(|found| found.ok().map(|snapshot| Arc::clone(&snapshot)));
    match found {
        Some(snapshot) => snapshot,
        None => Arc::clone(&session.snapshots().borrow()),
    }
}

/// `api`, or `api and 2 others`.
fn names(names: &[String]) -> String {
    match names {
        [] => "all agents".to_owned(),
        [name] => name.clone(),
        [one, other] => format!("{one} and {other}"),
        [first, others @ ..] => format!("{first} and {} others", others.len()),
    }
}
