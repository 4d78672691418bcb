//! Agents that wait for a person, told by what runs inside and never guessed from a screen.
//!
//! A process that may wait for a person has the variable `TANUKI_WAITING`, the path of a file among the agent's runs.
//! While that file is there, the process waits; what is in it says what for: a line of text, or what a hook of an agent
//! CLI was given. The hooks that write and remove it are the adapters' matter.
//!
//! # Guarantees
//!
//! * The directory is watched, not polled. Only fixed names are looked at, however many files an agent makes.
//! * What is in a file is read as hostile: regular files only, no links, bounded, shown as one line without control
//!   characters.
//! * A file counts as long as its process can: not longer than the container runs, nor than the run goes on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::adapters;
use super::kind::Agents;
use super::layout::RUNS;
use super::runs::dir::Dir;
use crate::model::{AgentState, AgentStatus, Condition, ConditionStatus, EventType, RunState, Time};

/// Names the file, for what runs inside.
pub(super) const VARIABLE: &str = "TANUKI_WAITING";
/// How the files' names begin.
const PREFIX: &str = "waiting.";
/// The file of the agent's run.
const OF_RUN: &str = "waiting.run";
/// Processes of persons that are told apart; more of them share files.
const PERSONS: u32 = 8;
/// Longest file that is read; hooks write no more.
const LONGEST: u64 = 64 << 10;
/// Least time between two looks, whatever agents write.
const SETTLE: Duration = Duration::from_millis(300);
/// The condition.
const CONDITION: &str = "WaitingForPerson";

/// Counts processes that persons opened.
static OPENED: AtomicU32 = AtomicU32::new(0);

/// The file of an agent's run, as the run sees it.
pub(super) fn of_run() -> String {
    format!("{RUNS}/{OF_RUN}")
}

/// The file of a process that a person opens, as it sees it; one of an earlier process is removed.
pub(super) fn of_person(runs: &Path) -> String {
    let name = format!("{PREFIX}{}", OPENED.fetch_add(1, Ordering::Relaxed) % PERSONS);
    forget(runs, &name);
    format!("{RUNS}/{name}")
}

/// Whatever the agent's run waited for, it is over.
pub(super) fn run_is_over(runs: &Path) {
    forget(runs, OF_RUN);
}

fn forget(runs: &Path, name: &str) {
    // Where it cannot be removed, it is nothing that would be read either.
    if let Err(error) = Dir::open(runs).and_then(|dir| dir.remove(name)) {
        tracing::debug!(%error, name, "cannot remove what an agent waited for");
    }
}

/// What a process of the agent waits for; the run's files count where it has a `run`, and older ones than `since` are a
/// container's that is gone.
fn read(runs: &Path, since: Time, run: bool) -> Option<String> {
    let dir = Dir::open(runs).ok()?;
    let persons = (0..PERSONS).map(|number| format!("{PREFIX}{number}"));
    let mut names = run.then(|| OF_RUN.to_owned()).into_iter().chain(persons);
    names.find_map(|name| {
        let file = dir.file(&name).ok()??;
        if Time::from(file.metadata().ok()?.modified().ok()?) < since {
            return None;
        }
        // One that is too long to be a hook's still says that it waits.
        let bytes = dir.small(&name, LONGEST).unwrap_or_else(|_| Some(Vec::new()))?;
        Some(adapters::asked(&bytes))
    })
}

/// What an agent waits for, going by its status.
pub(super) fn of(runs: &Path, status: &AgentStatus) -> Option<String> {
    if !matches!(status.state, AgentState::Idle | AgentState::Working) {
        return None;
    }
    let run = status.run.as_ref().is_some_and(|run| run.state == RunState::Running);
    read(runs, status.started_at?, run)
}

/// Puts what an agent waits for into its status.
fn set(status: &mut AgentStatus, waiting: Option<String>, now: Time) {
    status.conditions.retain(|old| old.kind != CONDITION);
    let condition = condition(waiting.as_deref(), status.generation, now, None);
    status.conditions.push(condition);
    status.waiting = waiting;
}

fn condition(waiting: Option<&str>, generation: u64, now: Time, before: Option<&Condition>) -> Condition {
    let (status, reason) = match waiting {
        Some(_) => (ConditionStatus::True, "Asked"),
        None => (ConditionStatus::False, "NotAsked"),
    };
    Condition {
        kind: CONDITION.to_owned(),
        status,
        reason: reason.to_owned(),
        message: waiting.unwrap_or_default().to_owned(),
        last_transition: before.filter(|old| old.status == status).map_or(now, |old| old.last_transition),
        observed_generation: generation,
    }
}

/// Who is told of the agents' files.
#[derive(Debug, Default)]
pub(super) struct Waits {
    news: Arc<News>,
    watcher: Mutex<Watched>,
    /// Held from the look at the files to the publishing of what was seen, so that an older look never replaces a newer
    /// one.
    order: Mutex<()>,
}

#[derive(Default)]
struct Watched {
    watcher: Option<RecommendedWatcher>,
    agents: BTreeSet<String>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("agents", &self.agents).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct News {
    agents: Mutex<BTreeSet<String>>,
    told: Notify,
}

impl News {
    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.agents))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here is half changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The agent whose file this is, by the host's path of it: `…/<agent>/runs/waiting.…`.
fn whose(path: &Path) -> Option<&str> {
    let is_ours = path.file_name()?.to_str()?.starts_with(PREFIX);
    is_ours.then(|| path.parent()?.parent()?.file_name()?.to_str()).flatten()
}

impl Waits {
    /// Keeps what is seen and what is published in one order.
    pub(super) fn order(&self) -> MutexGuard<'_, ()> {
        lock(&self.order)
    }

    /// Sees to it that news of the files in an agent's directory come. What was there before is no news.
    pub(super) fn watch(&self, agent: &str, runs: &Path) {
        let mut watched = lock(&self.watcher);
        if watched.agents.contains(agent) || !runs.is_dir() {
            return;
        }
        let made = match &mut watched.watcher {
            Some(watcher) => watcher.watch(runs, RecursiveMode::NonRecursive),
            none => watcher(Arc::clone(&self.news))
                .and_then(|watcher| none.insert(watcher).watch(runs, RecursiveMode::NonRecursive)),
        };
        if let Err(error) = made {
            tracing::warn!(%error, agent, "that it waits for a person is noticed late");
        }
        // Not tried again at each pass; a look comes with each of them.
        watched.agents.insert(agent.to_owned());
    }

    /// The agent and its directory are gone.
    pub(super) fn forget(&self, agent: &str, runs: &Path) {
        let mut watched = lock(&self.watcher);
        if watched.agents.remove(agent)
            && let Some(watcher) = &mut watched.watcher
        {
            // It ended by itself where the directory is gone.
            drop(watcher.unwatch(runs));
        }
    }
}

fn watcher(news: Arc<News>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        let mut agents = lock(&news.agents);
        agents.extend(event.paths.iter().filter_map(|path| whose(path)).map(ToOwned::to_owned));
        if !agents.is_empty() {
            news.told.notify_one();
        }
    })
}

impl Agents {
    /// Looks whether an agent waits for a person, and tells of a change. Asks the engine nothing.
    fn look_at_waiting(&self, agent: &str) {
        let _order = self.waits.order();
        let current = self.deps.publisher.current();
        let Some(status) = current.agents.get(agent) else { return };
        let waiting = of(&self.deps.layout.runs(agent), status);
        if waiting == status.waiting {
            return;
        }
        self.record_waiting(agent, status.waiting.as_deref(), waiting.as_deref());
        let now = self.now();
        self.deps.publisher.update(|snapshot| {
            if let Some(status) = snapshot.agents.get_mut(agent) {
                set(status, waiting, now);
            }
        });
    }

    /// The same within a pass, for a status that is about to be published. Called in [`Waits::order`].
    pub(super) fn with_waiting(&self, status: &mut AgentStatus, before: Option<&AgentStatus>) {
        let waiting = of(&self.deps.layout.runs(&status.name), status);
        let old = before.and_then(|before| before.conditions.iter().find(|old| old.kind == CONDITION));
        let condition = condition(waiting.as_deref(), status.generation, self.now(), old);
        let before = before.and_then(|before| before.waiting.as_deref());
        self.record_waiting(&status.name, before, waiting.as_deref());
        status.conditions.push(condition);
        status.waiting = waiting;
    }

    fn record_waiting(&self, agent: &str, before: Option<&str>, now: Option<&str>) {
        let object = format!("agent/{agent}");
        match (before, now) {
            (old, Some(new)) if old != Some(new) => {
                self.record(EventType::Warning, &object, "WaitsForPerson", new);
            }
            (Some(_), None) => self.record(EventType::Normal, &object, "GoesOn", "waits for nobody any more"),
            _ => {}
        }
    }
}

/// Follows the agents' files until `shutdown`.
pub async fn follow_waiting(agents: Arc<Agents>, shutdown: CancellationToken) {
    let work = async {
        loop {
            agents.waits.news.told.notified().await;
            for agent in agents.waits.news.take() {
                agents.look_at_waiting(&agent);
            }
            tokio::time::sleep(SETTLE).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    const BEGINNING: Time = Time(1);
    const END_OF_TIME: Time = Time(u64::MAX);

    fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let path = directory.path().to_owned();
        (directory, path)
    }

    #[test]
    fn a_file_counts_while_its_process_can_be_there() {
        let (_kept, runs) = directory(&[("waiting.run", "a run\n")]);
        assert_eq!(read(&runs, BEGINNING, true).as_deref(), Some("a run"));
        assert_eq!(read(&runs, BEGINNING, false), None);
        assert_eq!(read(&runs, END_OF_TIME, true), None);
        std::fs::write(runs.join("waiting.3"), "a person\n").unwrap();
        assert_eq!(read(&runs, BEGINNING, false).as_deref(), Some("a person"));
        for other in ["waiting.3.new", "waiting.99", "waiting."] {
            std::fs::write(runs.join(other), "x").unwrap();
        }
        std::fs::remove_file(runs.join("waiting.3")).unwrap();
        assert_eq!(read(&runs, BEGINNING, false), None);
        run_is_over(&runs);
        assert_eq!(read(&runs, BEGINNING, true), None);
    }

    #[test]
    fn what_an_agent_puts_there_leads_nowhere() {
        let (_outside, outside) = directory(&[("secret", "secret")]);
        let (_kept, runs) = directory(&[]);
        symlink(outside.join("secret"), runs.join("waiting.0")).unwrap();
        std::fs::create_dir(runs.join("waiting.1")).unwrap();
        assert_eq!(read(&runs, BEGINNING, true), None);
        std::fs::write(runs.join("waiting.2"), vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(read(&runs, BEGINNING, true).as_deref(), Some(adapters::asked(b"").as_str()));
        symlink(outside.join("secret"), runs.join("waiting.run")).unwrap();
        run_is_over(&runs);
        assert!(!runs.join("waiting.run").exists() && outside.join("secret").exists());
        assert_eq!(read(&outside.join("none"), BEGINNING, true), None);
    }

    #[test]
    fn news_are_of_an_agents_own_files_only() {
        let whose = |path: &str| whose(Path::new(path)).map(ToOwned::to_owned);
        assert_eq!(whose("/p/.tanuki/state/agents/api/runs/waiting.run").as_deref(), Some("api"));
        assert_eq!(whose("/p/.tanuki/state/agents/api/runs/api-1"), None);
        assert_eq!(whose("waiting.run"), None);
    }
}
