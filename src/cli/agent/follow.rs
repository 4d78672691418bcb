//! Following one run to its end, over ends of the controller.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::cli::context::Project;
use crate::cli::render::render_line;
use crate::cli::session::Session;
use crate::cli::{CliError, Context, Output, Result, terminal};
use crate::model::{LogQuery, OutputLine, RunRecord, Snapshot};

/// How long the last lines of a run that is over may take, each.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How following a run ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is over.
    Over(Box<RunRecord>),
    /// Its agent was removed, and the run with it.
    Removed,
    /// The person wants no more of it.
    Detached,
    /// Nobody reads the output.
    Unheard,
}

/// Shows a run's output until it ends, or until Ctrl-C.
pub(super) async fn follow(
    context: &Context,
    project: &Project,
    mut session: Session,
    agent: &str,
    id: &str,
    out: &Output,
) -> Result<Ended> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut shown = 0;
    loop {
        let mut viewer = Viewer { agent, id, out, shown: &mut shown };
        let ended = tokio::select! {
            biased;
            heard = &mut interrupt => {
                heard.map_err(|error| CliError::failed("cannot listen to signals").because(&error))?;
                Some(Ended::Detached)
            }
            () = terminal::nobody_reads() => Some(Ended::Unheard),
            ended = viewer.watch(&session) => ended?,
        };
        session.finish().await;
        if let Some(ended) = ended {
            return Ok(ended);
        }
        // The run is not the controller's: the next one goes on with it.
        session = context.controller(project).await?;
    }
}

struct Viewer<'a> {
    agent: &'a str,
    id: &'a str,
    out: &'a Output,
    /// Lines shown so far. The same lines come again from another controller.
    shown: &'a mut usize,
}

impl Viewer<'_> {
    /// Shows what one controller tells; nothing when it goes away.
    async fn watch(&mut self, session: &Session) -> Result<Option<Ended>> {
        let query = LogQuery {
            agents: vec![self.agent.to_owned()],
            run: Some(self.id.to_owned()),
            follow: true,
            ..LogQuery::default()
        };
        let mut lines = session.logs(query);
        let mut snapshots = session.snapshots();
        let mut to_skip = *self.shown;
        let mut open = true;
        let mut seen = false;
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            seen |= snapshot.agents.contains_key(self.agent);
            if let Some(ended) = self.ended(&snapshot, seen) {
                if open {
                    self.rest(&mut lines, to_skip).await?;
                }
                return Ok(Some(ended));
            }
            tokio::select! {
                biased;
                changed = snapshots.changed() => if changed.is_err() {
                    return Ok(None);
                },
                line = lines.recv(), if open => match line {
                    Some(_) if to_skip > 0 => to_skip -= 1,
                    Some(line) => self.show(&line)?,
                    None => open = false,
                },
            }
        }
    }

    /// Shows what is left of a run that is over.
    async fn rest(&mut self, lines: &mut mpsc::Receiver<OutputLine>, mut to_skip: usize) -> Result<()> {
        loop {
            let patience = sleep_until(Instant::now() + LAST_LINES);
            tokio::select! {
                biased;
                line = lines.recv() => match line {
                    Some(_) if to_skip > 0 => to_skip -= 1,
                    Some(line) => self.show(&line)?,
                    None => return Ok(()),
                },
                () = patience => return Ok(()),
            }
        }
    }

    fn show(&mut self, line: &OutputLine) -> Result<()> {
        *self.shown += 1;
        let (tone, line) = render_line(line, None);
        self.out.line(&self.out.paint(tone, &line))
    }

    /// How the run ended, if it did. `seen`: this controller has told of the agent.
    fn ended(&self, snapshot: &Snapshot, seen: bool) -> Option<Ended> {
        let Some(agent) = snapshot.agents.get(self.agent) else {
            return seen.then_some(Ended::Removed);
        };
        [&agent.run, &agent.last_run]
            .into_iter()
            .flatten()
            .find(|record| record.id == self.id && record.state.is_over())
            .map(|record| Ended::Over(Box::new(record.clone())))
    }
}
