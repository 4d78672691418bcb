//! Following one run to its end, over ends of the controller.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::cli::context::Project;
use crate::cli::render::render_line;
use crate::cli::session::Session;
use crate::cli::{CliError, Context, Output, Result, terminal};
use crate::controller::Handle;
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
    /// It is over, and a later one is all that is told of.
    Superseded,
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
    let mut viewer = Viewer { agent, id, shown: 0 };
    let mut show = |line: &OutputLine| {
        let (tone, line) = render_line(line, None);
        out.line(&out.paint(tone, &line))
    };
    loop {
        let ended = tokio::select! {
            biased;
            heard = &mut interrupt => {
                heard.map_err(|error| CliError::failed("cannot listen to signals").because(&error))?;
                Some(Ended::Detached)
            }
            () = terminal::nobody_reads() => Some(Ended::Unheard),
            ended = viewer.watch(session.handle(), &mut show) => ended?,
        };
        session.finish().await;
        match ended {
            Some(Ended::Superseded) => {
                let store = project.existing_store()?;
                let record = store.and_then(|store| store.run(id).ok().flatten());
                return Ok(record.map_or(Ended::Superseded, |record| Ended::Over(Box::new(record))));
            }
            Some(ended) => return Ok(ended),
            None => {}
        }
        // The run is not the controller's: the next one goes on with it.
        session = context.controller(project).await?;
    }
}

struct Viewer<'a> {
    agent: &'a str,
    id: &'a str,
    /// Lines shown so far. The same lines come again from another controller.
    shown: usize,
}

impl Viewer<'_> {
    /// Shows what one controller tells; nothing when it goes away.
    async fn watch(
        &mut self,
        handle: &Handle,
        show: &mut impl FnMut(&OutputLine) -> Result<()>,
    ) -> Result<Option<Ended>> {
        let query = LogQuery {
            agents: vec![self.agent.to_owned()],
            run: Some(self.id.to_owned()),
            follow: true,
            ..LogQuery::default()
        };
        let mut lines = handle.logs(query);
        let mut snapshots = handle.snapshots();
        let mut to_skip = self.shown;
        let mut open = true;
        let mut seen = false;
        // Once the run is over only the last lines are waited for.
        let mut ended = None;
        loop {
            if ended.is_none() {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                seen |= snapshot.agents.contains_key(self.agent);
                ended = self.ended(&snapshot, seen);
            }
            if !open && ended.is_some() {
                return Ok(ended);
            }
            let patience = Instant::now() + LAST_LINES;
            tokio::select! {
                biased;
                line = lines.recv(), if open => match line {
                    Some(_) if to_skip > 0 => to_skip -= 1,
                    Some(line) => {
                        self.shown += 1;
                        show(&line)?;
                    }
                    None => open = false,
                },
                () = sleep_until(patience), if ended.is_some() => return Ok(ended),
                changed = snapshots.changed(), if ended.is_none() => if changed.is_err() {
                    return Ok(None);
                },
            }
        }
    }

    /// How the run ended, if it did. `seen`: this controller has told of the agent.
    fn ended(&self, snapshot: &Snapshot, seen: bool) -> Option<Ended> {
        let Some(agent) = snapshot.agents.get(self.agent) else {
            return seen.then_some(Ended::Removed);
        };
        let told = [&agent.run, &agent.last_run].into_iter().flatten();
        let record = told.clone().find(|record| record.id == self.id);
        match record {
            Some(record) => record.state.is_over().then(|| Ended::Over(Box::new(record.clone()))),
            None => {
                told.clone().any(|record| number(&record.id) > number(self.id)).then_some(Ended::Superseded)
            }
        }
    }
}

/// The number of a run, which only goes up.
fn number(id: &str) -> Option<u64> {
    id.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::controller::Envelope;
    use crate::model::{OutputKind, RunState};

    /// A controller whose only agent has a run in this state; none at all without one.
    fn told(run: Option<(&str, &str, RunState)>) -> Arc<Snapshot> {
        let (status, engine) =
            ("idle", json!({"kind": "", "version": "", "endpoint": "", "rootless": false}));
        let record = |(id, state): (&str, RunState)| {
            json!({
                "id": id, "agent": "api", "adapter": "a", "title": "", "state": state, "message": "",
                "created_at": 0, "iteration": 1, "max_iterations": 1, "usage": {},
            })
        };
        let agents: BTreeMap<&str, serde_json::Value> = run
            .map(|(field, id, state)| {
                let mut agent = json!({
                    "name": "api", "state": status, "desired": "running", "adapter": "a", "image": "i",
                    "branch": "b", "base": "m", "base_commit": "c", "container": "c", "workspace": "w",
                    "stale_environment": false, "out_of_date": [], "missing_services": [], "reason": "",
                    "message": "", "generation": 1, "conditions": [],
                });
                agent[field] = record((id, state));
                ("api", agent)
            })
            .into_iter()
            .collect();
        let snapshot = json!({
            "project": "p", "path": "/p", "engine": engine, "services": {}, "agents": agents, "conditions": [],
            "events": [], "controller": {"version": "", "pid": 1, "started_at": 0},
        });
        Arc::new(serde_json::from_value(snapshot).unwrap())
    }

    fn line(text: &str) -> OutputLine {
        OutputLine {
            source: "api".to_owned(),
            run: Some("api-2".to_owned()),
            time: None,
            kind: OutputKind::Text,
            text: text.to_owned(),
        }
    }

    /// Where a controller takes what it is asked for output.
    async fn asked(inbox: &mut mpsc::Receiver<Envelope>) -> mpsc::Sender<OutputLine> {
        match inbox.recv().await {
            Some(Envelope::Logs { query, lines }) => {
                assert_eq!((query.run.as_deref(), query.follow), (Some("api-2"), true));
                lines
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_line_is_shown_once_over_controllers_that_come_and_go() {
        let mut viewer = Viewer { agent: "api", id: "api-2", shown: 0 };
        let mut seen = Vec::new();
        let mut show = |line: &OutputLine| {
            seen.push(line.text.clone());
            Ok(())
        };
        let (sender, snapshots) = watch::channel(told(Some(("run", "api-2", RunState::Running))));
        let (handle, mut inbox) = Handle::new(snapshots);
        let first = async {
            let lines = asked(&mut inbox).await;
            lines.send(line("one")).await.unwrap();
            lines.send(line("two")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(sender);
        };
        let (ended, ()) = tokio::join!(viewer.watch(&handle, &mut show), first);
        assert!(ended.unwrap().is_none());

        // The next one has not seen the agent yet, and an older run's end is not this one's.
        let (sender, snapshots) = watch::channel(told(None));
        let (handle, mut inbox) = Handle::new(snapshots);
        let second = async {
            sender.send_replace(told(Some(("last_run", "api-1", RunState::Failed))));
            let lines = asked(&mut inbox).await;
            for text in ["one", "two", "three"] {
                lines.send(line(text)).await.unwrap();
            }
            sender.send_replace(told(Some(("last_run", "api-2", RunState::Succeeded))));
            // The end of the run is told before its last line.
            tokio::time::sleep(Duration::from_millis(500)).await;
            lines.send(line("four")).await.unwrap();
        };
        let (ended, ()) = tokio::join!(viewer.watch(&handle, &mut show), second);
        assert!(matches!(ended.unwrap(), Some(Ended::Over(record)) if record.state == RunState::Succeeded));
        assert_eq!(seen, ["one", "two", "three", "four"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_removed_ends_its_run() {
        let mut viewer = Viewer { agent: "api", id: "api-2", shown: 0 };
        let (sender, snapshots) = watch::channel(told(Some(("run", "api-2", RunState::Running))));
        let (handle, mut inbox) = Handle::new(snapshots);
        let removed = async {
            let _lines = asked(&mut inbox).await;
            sender.send_replace(told(None));
            tokio::time::sleep(Duration::from_secs(5)).await;
        };
        let mut show = |_: &OutputLine| Ok(());
        let (ended, ()) = tokio::join!(viewer.watch(&handle, &mut show), removed);
        assert!(matches!(ended.unwrap(), Some(Ended::Removed)));
    }
}
