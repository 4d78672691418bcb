//! Changes of task files, and news of agents, wake the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::kind::Tasks;
use crate::controller::Wake;
use crate::model::Snapshot;

/// Editors write a file in several steps; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(50);
/// How often a directory that is not there yet is looked for, and whether it is another one now.
const RETRY: Duration = Duration::from_secs(5);

/// Wakes the tasks' loop until `shutdown`.
pub async fn follow(tasks: Arc<Tasks>, shutdown: CancellationToken) {
    let files = Arc::new(Notify::new());
    let mut snapshots = tasks.deps.publisher.subscribe();
    let mut seen = String::new();
    let mut watched: Option<(PathBuf, Box<dyn Watcher + Send>)> = None;
    loop {
        let directory = tasks.deps.root.join(&tasks.deps.workers.settings().tasks_dir);
        if watched.as_ref().is_none_or(|(path, _)| *path != directory || !path.is_dir()) {
            watched = watcher(&directory, Arc::clone(&files)).map(|watcher| (directory, watcher));
            tasks.deps.waker.wake(Wake::All);
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = files.notified() => {
                tokio::time::sleep(SETTLE).await;
                tasks.deps.waker.wake(Wake::All);
            }
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = agents(&snapshots.borrow_and_update());
                if now != seen {
                    seen = now;
                    tasks.deps.waker.wake(Wake::All);
                }
            }
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// What tasks depend on of everything else that is published.
fn agents(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for agent in snapshot.agents.values() {
        let run = |run: &Option<crate::model::RunRecord>| {
            run.as_ref().map(|run| format!("{} {}", run.id, run.state))
        };
        text.push_str(&format!(
            "{} {} {:?} {:?} {:?} {:?} {:?}\n",
            agent.name,
            agent.state,
            run(&agent.run),
            run(&agent.last_run),
            agent.head,
            agent.ahead,
            agent.dirty
        ));
    }
    for service in snapshot.services.values() {
        text.push_str(&format!(
            "{} {} {} {:?}\n",
            service.name, service.state, service.health, service.desired
        ));
    }
    text
}

fn watcher(directory: &Path, changed: Arc<Notify>) -> Option<Box<dyn Watcher + Send>> {
    if !directory.is_dir() {
        return None;
    }
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // The watcher lost track: look.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        changed.notify_one();
    });
    let mut watcher = match made {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "changes of task files are noticed late");
            return None;
        }
    };
    if let Err(error) = watcher.watch(directory, RecursiveMode::Recursive) {
        tracing::warn!(%error, "changes of task files are noticed late");
        return None;
    }
    Some(Box::new(watcher))
}
