//! Output of runs for who asks: what is there, and more as it comes, from run to run.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::dir::Dir;
use super::journal;
use super::{Runs, failed};
use crate::agents::adapters::Lines;
use crate::model::{LogQuery, OutputKind, OutputLine, Rejected};

/// Bytes read at once.
const PIECE: u64 = 256 << 10;

/// The reader of a query went away.
struct Gone;

impl Runs {
    /// Sends what is asked for, line by line, until there is no more or nobody listens.
    ///
    /// # Errors
    ///
    /// There is no such agent or run.
    pub async fn logs(
        self: &Arc<Self>,
        query: LogQuery,
        lines: mpsc::Sender<OutputLine>,
    ) -> Result<(), Rejected> {
        let mut agents = query.agents.clone();
        if let Some(run) = &query.run {
            let record = self.deps.store.run(run).map_err(failed)?;
            let record = record.filter(|record| agents.is_empty() || agents.contains(&record.agent));
            let Some(record) = record else {
                let of = if agents.is_empty() {
                    String::new()
                } else {
                    format!(" of agent '{}'", agents.join("', '"))
                };
                return Err(Rejected::Invalid {
                    message: format!("there is no run '{run}'{of}"),
                    hint: "`tanuki runs` shows the runs there were".to_owned(),
                });
            };
            agents = vec![record.agent];
        } else {
            for agent in &agents {
                self.agent(agent)?;
            }
        }
        let mut tasks = tokio::task::JoinSet::new();
        for agent in agents.into_iter().collect::<BTreeSet<_>>() {
            let (runs, query, lines) = (Arc::clone(self), query.clone(), lines.clone());
            tasks.spawn(async move {
                let (Ok(()) | Err(Gone)) = runs.stream(&agent, &query, &lines).await;
            });
        }
        drop(lines);
        while tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn stream(
        &self,
        agent: &str,
        query: &LogQuery,
        lines: &mpsc::Sender<OutputLine>,
    ) -> Result<(), Gone> {
        // Subscribed first: what changes while this looks is not missed.
        let mut changed = self.changed.subscribe();
        let mut todo = self.first(agent, query);
        let mut seen = todo.last().map_or(0, |(run, _)| number(run));
        loop {
            for (run, from) in std::mem::take(&mut todo) {
                self.one(agent, &run, from, query, lines, &mut changed).await?;
                seen = seen.max(number(&run));
            }
            if !query.follow || query.run.is_some() {
                return Ok(());
            }
            changed.mark_unchanged();
            let newer = self.deps.store.runs(Some(agent), 20).unwrap_or_default();
            todo =
                newer.into_iter().rev().filter(|run| number(&run.id) > seen).map(|run| (run.id, 0)).collect();
            if todo.is_empty() {
                tokio::select! {
                    biased;
                    () = lines.closed() => return Err(Gone),
                    told = changed.changed() => if told.is_err() { return Ok(()) },
                }
            }
        }
    }

    /// The runs to begin with, oldest first, each with the lines of its end that are wanted; 0 for all.
    fn first(&self, agent: &str, query: &LogQuery) -> Vec<(String, u64)> {
        if let Some(run) = &query.run {
            return vec![(run.clone(), query.tail.map_or(0, u64::from))];
        }
        let last = self.deps.store.runs(Some(agent), 50).unwrap_or_default();
        if query.tail == Some(0) {
            return Vec::new();
        }
        let mut out = Vec::new();
        match (query.tail, query.since) {
            (Some(tail), None) if !query.raw => {
                let mut left = u64::from(tail);
                for run in last {
                    let has = self.lines_of(agent, &run.id);
                    out.push((run.id, if has > left { left } else { 0 }));
                    left = left.saturating_sub(has);
                    if left == 0 {
                        break;
                    }
                }
            }
            (tail, Some(since)) => {
                let over_before =
                    |run: &crate::model::RunRecord| run.ended_at.is_some_and(|ended| ended < since);
                let wanted = last.into_iter().take_while(|run| !over_before(run));
                out.extend(wanted.map(|run| (run.id, tail.map_or(0, u64::from))));
            }
            // The last lines of raw output are those of the last run.
            (Some(tail), None) => out.extend(last.into_iter().take(1).map(|run| (run.id, u64::from(tail)))),
            (None, None) => out.extend(last.into_iter().map(|run| (run.id, 0))),
        }
        out.reverse();
        out
    }

    fn lines_of(&self, agent: &str, run: &str) -> u64 {
        let (mut offset, mut count) = (0, 0);
        let path = self.journal_path(agent, run);
        while let Ok(entries) = journal::read(&path, &mut offset, PIECE)
            && !entries.is_empty()
        {
            count += entries.len() as u64;
        }
        count
    }

    /// One run, to its end where it is followed.
    async fn one(
        &self,
        agent: &str,
        run: &str,
        tail: u64,
        query: &LogQuery,
        lines: &mpsc::Sender<OutputLine>,
        changed: &mut tokio::sync::watch::Receiver<u64>,
    ) -> Result<(), Gone> {
        let mut source = if query.raw {
            Source::Raw(Raw::new(self.deps.ground.runs_dir(agent).join(run)))
        } else {
            let path = self.journal_path(agent, run);
            let offset = if tail == 0 { 0 } else { journal::tail(&path, tail).unwrap_or_default() };
            Source::Journal(path, offset)
        };
        // The last lines of raw output are known at its end only.
        let mut held: std::collections::VecDeque<OutputLine> = std::collections::VecDeque::new();
        let holds = query.raw && tail > 0;
        let mut caught_up = false;
        loop {
            changed.mark_unchanged();
            let live = self.live(agent).is_some_and(|record| record.id == run);
            loop {
                let some = source.read();
                if some.is_empty() {
                    break;
                }
                for (time, kind, text) in some {
                    if query.since.zip(time).is_some_and(|(since, time)| time < since) {
                        continue;
                    }
                    let line =
                        OutputLine { source: agent.to_owned(), run: Some(run.to_owned()), time, kind, text };
                    if holds && !caught_up {
                        held.push_back(line);
                        if held.len() as u64 > tail {
                            held.pop_front();
                        }
                    } else {
                        lines.send(line).await.map_err(|_closed| Gone)?;
                    }
                }
            }
            caught_up = true;
            for line in held.drain(..) {
                lines.send(line).await.map_err(|_closed| Gone)?;
            }
            if !live || !query.follow {
                if let Source::Raw(raw) = &mut source {
                    for (time, kind, text) in raw.rest() {
                        let line = OutputLine {
                            source: agent.to_owned(),
                            run: Some(run.to_owned()),
                            time,
                            kind,
                            text,
                        };
                        lines.send(line).await.map_err(|_closed| Gone)?;
                    }
                }
                return Ok(());
            }
            tokio::select! {
                biased;
                () = lines.closed() => return Err(Gone),
                told = changed.changed() => if told.is_err() { return Ok(()) },
                // Raw output may come without a readable line.
                () = tokio::time::sleep(std::time::Duration::from_secs(1)), if query.raw => {}
            }
        }
    }
}

fn number(run: &str) -> u64 {
    run.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

type Read = (Option<crate::model::Time>, OutputKind, String);

enum Source {
    Journal(std::path::PathBuf, u64),
    Raw(Raw),
}

impl Source {
    /// More of it; nothing when there is no more for now.
    fn read(&mut self) -> Vec<Read> {
        match self {
            Self::Journal(path, offset) => {
                let entries = journal::read(path, offset, PIECE).unwrap_or_default();
                entries.into_iter().map(|entry| (Some(entry.time), entry.kind, entry.text)).collect()
            }
            Self::Raw(raw) => raw.read(),
        }
    }
}

/// The agent CLI's own output, iteration by iteration.
struct Raw {
    directory: std::path::PathBuf,
    iteration: u32,
    at: [u64; 2],
    parts: [Lines; 2],
}

const FILES: [&str; 2] = ["stdout", "stderr"];

impl Raw {
    fn new(directory: std::path::PathBuf) -> Self {
        Self { directory, iteration: 1, at: [0, 0], parts: Default::default() }
    }

    fn read(&mut self) -> Vec<Read> {
        let mut out = Vec::new();
        let Ok(run) = Dir::open(&self.directory) else { return out };
        let mut piece = vec![0; 64 << 10];
        loop {
            let Ok(dir) = run.child(&self.iteration.to_string()) else { return out };
            let mut more = false;
            for (part, name) in FILES.iter().enumerate() {
                let read = dir.read_at(name, self.at[part], &mut piece).unwrap_or_default();
                self.at[part] += read as u64;
                more |= read > 0;
                self.parts[part].feed(&piece[..read], |line| out.push(raw_line(line.text, line.skipped)));
            }
            if !out.is_empty() {
                return out;
            }
            if !more {
                // Only a next one ends it: what comes late would be missed otherwise.
                if run.child(&(self.iteration + 1).to_string()).is_err() {
                    return out;
                }
                out.extend(self.rest());
                self.iteration += 1;
                self.at = [0, 0];
            }
        }
    }

    /// Lines without an end.
    fn rest(&mut self) -> Vec<Read> {
        let lines = self.parts.iter_mut().filter_map(Lines::rest);
        lines.map(|line| raw_line(line.text, line.skipped)).collect()
    }
}

fn raw_line(mut text: String, skipped: u64) -> Read {
    if skipped > 0 {
        text.push_str(&format!(" ({skipped} more bytes)"));
    }
    (None, OutputKind::Text, text)
}
