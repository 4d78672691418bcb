//! Follows the files of one iteration until its program has ended.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Runs;
use super::dir::Dir;
use super::iteration::Place;
use super::journal::{Journal, Mark};
use crate::agents::adapters::{Item, Outcome, Reader};
use crate::model::Time;

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// How soon the files are looked at again where nobody tells of changes.
const TICK: Duration = Duration::from_secs(2);
/// How soon the container is looked at again.
const CHECK: Duration = Duration::from_secs(30);
/// Most bytes read after the program has ended: others may still write.
const REST: u64 = 64 << 20;

/// How following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// The program ended; without an exit code it was killed together with its supervisor.
    Ended(Option<i64>),
    /// The container ended, or was replaced.
    ContainerEnded,
    /// A person asked for its end.
    Stopped,
    /// The time is over.
    TimedOut,
    /// The program goes on although its turns are used.
    OutOfTurns,
}

/// Reads the files of an iteration.
#[derive(Debug)]
pub(super) struct Follower {
    dir: Dir,
    reader: Reader,
    at: Mark,
    /// What an earlier controller read already.
    read: Mark,
    piece: Vec<u8>,
}

impl Follower {
    pub(super) fn new(runs: &Path, id: &str, iteration: u32, reader: Reader, mark: Mark) -> io::Result<Self> {
        let dir = Dir::open(runs)?.child(id)?.child(&iteration.to_string())?;
        let none = Mark { iteration, ..Mark::default() };
        let read = if mark.iteration == iteration { mark } else { none };
        Ok(Self { dir, reader, at: none, read, piece: vec![0; PIECE] })
    }

    /// Reads a piece of each file. False when there is no more for now.
    fn step(&mut self, items: &mut Vec<Item>) -> io::Result<bool> {
        let Self { dir, reader, at, read, piece } = self;
        let mut more = false;
        let mut known = Vec::new();
        // Up to where it was read before it is read again, for the reader to know what came, and shown to nobody.
        let room =
            |at: u64, read: u64| if at < read { (read - at).min(PIECE as u64) as usize } else { PIECE };
        let out = dir.read_at("stdout", at.stdout, &mut piece[..room(at.stdout, read.stdout)])?;
        reader.stdout(&piece[..out], if at.stdout < read.stdout { &mut known } else { &mut *items });
        at.stdout += out as u64;
        more |= out > 0;
        let err = dir.read_at("stderr", at.stderr, &mut piece[..room(at.stderr, read.stderr)])?;
        reader.stderr(&piece[..err], if at.stderr < read.stderr { &mut known } else { &mut *items });
        at.stderr += err as u64;
        Ok(more || err > 0)
    }

    /// How the program ended; the outer `None` while it has not.
    fn exit(&self) -> Option<Option<i64>> {
        match self.dir.small("exit", 64) {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(String::from_utf8_lossy(&bytes).trim().parse().ok()),
            // Not what the supervisor writes.
            Err(_) => Some(None),
        }
    }

    pub(super) fn finish(self, exit: Option<i64>, items: &mut Vec<Item>) -> (Outcome, Mark) {
        (self.reader.finish(exit, items), self.at)
    }
}

impl Runs {
    /// Puts what is there into the journal. False when there is no more for now.
    pub(super) fn copy(&self, follower: &mut Follower, journal: &mut Journal) -> bool {
        let mut items = Vec::new();
        let more = follower.step(&mut items).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read a run's output");
            false
        });
        if !items.is_empty() {
            if let Err(error) = journal.add(self.deps.clock.now(), items, follower.at) {
                tracing::warn!(%error, "cannot keep a run's output");
            }
            self.changed.send_modify(|count| *count += 1);
        }
        more
    }

    /// Puts all that is there into the journal.
    pub(super) async fn copy_rest(&self, follower: &mut Follower, journal: &mut Journal) {
        let limit =
            (follower.at.stdout + follower.at.stderr).max(follower.read.stdout + follower.read.stderr) + REST;
        while follower.at.stdout + follower.at.stderr < limit && self.copy(follower, journal) {
            tokio::task::yield_now().await;
        }
    }

    /// Follows until the program has ended or is to end.
    pub(super) async fn follow(
        &self,
        (agent, id): (&str, &str),
        place: &Place,
        follower: &mut Follower,
        journal: &mut Journal,
        deadline: Option<Time>,
        (stop, look): (&CancellationToken, &Notify),
    ) -> Followed {
        let told = Arc::new(Notify::new());
        let directory = self.deps.ground.runs_dir(agent).join(id).join(follower.at.iteration.to_string());
        let _watcher = watch(&directory, Arc::clone(&told)).inspect_err(
            |error| tracing::debug!(%error, "no news of a run's output; it is looked at in turn"),
        );
        // Looked at first: a controller that was there before may have left it long ago.
        look.notify_one();
        let (mut since_check, mut quiet) = (Duration::ZERO, Duration::ZERO);
        loop {
            if stop.is_cancelled() {
                return Followed::Stopped;
            }
            let left = deadline.map(|deadline| deadline.since(self.deps.clock.now()));
            if left == Some(Duration::ZERO) {
                return Followed::TimedOut;
            }
            if self.copy(follower, journal) {
                quiet = Duration::ZERO;
                tokio::task::yield_now().await;
                continue;
            }
            if follower.reader.is_out_of_turns() && follower.exit().is_none() {
                return Followed::OutOfTurns;
            }
            if let Some(exit) = follower.exit() {
                self.copy_rest(follower, journal).await;
                return Followed::Ended(exit);
            }
            let check = tokio::select! {
                biased;
                () = stop.cancelled() => continue,
                () = look.notified() => true,
                () = told.notified() => false,
                () = tokio::time::sleep(left.map_or(TICK, |left| left.min(TICK))) => {
                    since_check += TICK;
                    quiet += TICK;
                    since_check >= CHECK
                }
            };
            if check {
                let first = since_check.is_zero();
                since_check = Duration::ZERO;
                if self.stands(place).await == Some(false) {
                    return self.gone(follower, journal, Followed::ContainerEnded).await;
                }
                if (first || quiet >= CHECK) && self.alive(place, id).await == Some(false) {
                    return self.gone(follower, journal, Followed::Ended(None)).await;
                }
            }
        }
    }

    /// The processes are gone; what they left may still tell how.
    async fn gone(&self, follower: &mut Follower, journal: &mut Journal, otherwise: Followed) -> Followed {
        self.copy_rest(follower, journal).await;
        follower.exit().map_or(otherwise, Followed::Ended)
    }
}

fn watch(directory: &Path, told: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| !event.kind.is_access()) {
            told.notify_one();
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
