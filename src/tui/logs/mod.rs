//! Output of agents and services: what was taken in of each, and where its reader is.
//!
//! The streams of the sources looked at last stay open, so that their output is there at once when one comes back to
//! them; the others go on where they were left when they are looked at again. All together stay within a bound; the
//! source looked at longest ago goes first.

mod buffer;
mod view;

use std::collections::BTreeMap;

pub(in crate::tui) use buffer::{Buffer, Line};
pub(in crate::tui) use view::{STAMP, Shape, View};

use crate::model::{LogQuery, OutputLine, Time};

/// Most sources whose streams are open.
const OPEN: usize = 8;

/// Most sources whose output and place are kept.
const KEPT: usize = 256;

/// Most bytes of all sources together.
const BYTES: usize = 24 << 20;

/// Lines of what is there already.
const TAIL: u32 = 2000;

/// Whose output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum Source {
    /// An agent's.
    Agent(String),
    /// A service's.
    Service(String),
}

impl Source {
    /// The name alone.
    pub(in crate::tui) fn name(&self) -> &str {
        match self {
            Self::Agent(name) | Self::Service(name) => name,
        }
    }

    fn query(&self, since: Option<Time>) -> LogQuery {
        let mut query = LogQuery { follow: true, since, ..LogQuery::default() };
        if since.is_none() {
            query.tail = Some(TAIL);
        }
        match self {
            Self::Agent(name) => query.agents = vec![name.clone()],
            Self::Service(name) => query.service = Some(name.clone()),
        }
        query
    }
}

/// What was taken in of one source.
#[derive(Debug, Default)]
pub(in crate::tui) struct Log {
    /// Its lines.
    pub(in crate::tui) buffer: Buffer,
    /// Where its reader is.
    pub(in crate::tui) view: View,
    stream: Option<u64>,
    /// What it was opened for; another one is reason to open it again after it ended.
    epoch: Option<String>,
    used: u64,
    /// Time of the last line, and how many lines had it.
    last: Option<(Time, usize)>,
    /// Lines of that time that come again.
    skip: Option<(Time, usize)>,
}

impl Log {
    /// Whether more may come.
    pub(in crate::tui) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Takes in lines, without those that it has from before its stream was opened again.
    fn take(&mut self, lines: &[OutputLine]) {
        for line in lines {
            if let (Some(time), Some((last, left))) = (line.time, &mut self.skip) {
                if time < *last {
                    continue;
                }
                if time == *last && *left > 0 {
                    *left -= 1;
                    continue;
                }
                self.skip = None;
            }
            if let Some(time) = line.time {
                self.last = match self.last {
                    Some((last, count)) if last == time => Some((time, count + 1)),
                    _ => Some((time, 1)),
                };
            }
            self.buffer.push(line);
        }
    }
}

/// A stream to open or to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Open one.
    Open {
        /// Its number.
        stream: u64,
        /// What it carries.
        query: LogQuery,
    },
    /// Close one.
    Close {
        /// Its number.
        stream: u64,
    },
}

/// All sources, and the one that is shown.
#[derive(Debug, Default)]
pub(in crate::tui) struct Logs {
    /// The one that is shown.
    pub(in crate::tui) shown: Option<Source>,
    logs: BTreeMap<Source, Log>,
    streams: u64,
    uses: u64,
}

impl Logs {
    /// What is shown.
    pub(in crate::tui) fn current(&self) -> Option<&Log> {
        self.logs.get(self.shown.as_ref()?)
    }

    /// What is shown, to change.
    pub(in crate::tui) fn current_mut(&mut self) -> Option<&mut Log> {
        self.logs.get_mut(self.shown.as_ref()?)
    }

    /// Shows a source. `epoch` says what it is now: when that changed, an ended stream is opened again.
    pub(in crate::tui) fn show(&mut self, source: &Source, epoch: &str) -> Vec<Change> {
        self.shown = Some(source.clone());
        self.uses += 1;
        let log = self.logs.entry(source.clone()).or_default();
        log.used = self.uses;
        let mut changes = Vec::new();
        if log.stream.is_none() && log.epoch.as_deref() != Some(epoch) {
            changes.push(open(&mut self.streams, source, log, epoch));
        }
        changes.extend(self.evict());
        changes
    }

    /// Opens the streams that were open again, after they were cut off; the others when they are looked at.
    pub(in crate::tui) fn reopen(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (source, log) in &mut self.logs {
            let Some(stream) = log.stream.take() else {
                log.epoch = None;
                continue;
            };
            changes.push(Change::Close { stream });
            let epoch = log.epoch.clone().unwrap_or_default();
            changes.push(open(&mut self.streams, source, log, &epoch));
        }
        changes
    }

    /// Takes in lines of a stream; whether they are of the source that is shown.
    pub(in crate::tui) fn take(&mut self, stream: u64, lines: &[OutputLine]) -> bool {
        let Some((source, log)) = self.logs.iter_mut().find(|(_, log)| log.stream == Some(stream)) else {
            return false;
        };
        log.take(lines);
        self.shown.as_ref() == Some(source)
    }

    /// A stream ended; whether it is of the source that is shown.
    pub(in crate::tui) fn end(&mut self, stream: u64) -> bool {
        let Some((source, log)) = self.logs.iter_mut().find(|(_, log)| log.stream == Some(stream)) else {
            return false;
        };
        log.stream = None;
        self.shown.as_ref() == Some(source)
    }

    /// Closes the streams of the sources that were looked at longest ago, and lets them go, as far as there are too many.
    pub(in crate::tui) fn evict(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        while self.logs.values().filter(|log| log.stream.is_some()).count() > OPEN {
            let open = self.logs.values_mut().filter(|log| log.stream.is_some());
            let Some(oldest) = open.min_by_key(|log| log.used) else { break };
            // Opened again as soon as it is looked at.
            oldest.epoch = None;
            changes.extend(oldest.stream.take().map(|stream| Change::Close { stream }));
        }
        let mut bytes: usize = self.logs.values().map(|log| log.buffer.bytes()).sum();
        while self.logs.len() > 1 && (self.logs.len() > KEPT || bytes > BYTES) {
            let oldest = self.logs.iter().min_by_key(|(_, log)| log.used).map(|(source, _)| source.clone());
            let Some(log) = oldest.and_then(|source| self.logs.remove(&source)) else { break };
            bytes -= log.buffer.bytes();
            changes.extend(log.stream.map(|stream| Change::Close { stream }));
        }
        changes
    }
}

/// Opens a source's stream where it was left.
fn open(streams: &mut u64, source: &Source, log: &mut Log, epoch: &str) -> Change {
    *streams += 1;
    log.stream = Some(*streams);
    log.epoch = Some(epoch.to_owned());
    log.skip = log.last;
    if log.last.is_none() {
        // Nothing tells which of the lines were seen.
        log.buffer.clear();
    }
    Change::Open { stream: *streams, query: source.query(log.last.map(|(time, _)| time)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OutputKind;

    fn line(time: u64, text: &str) -> OutputLine {
        OutputLine {
            source: "a".into(),
            run: None,
            time: Some(Time(time)),
            kind: OutputKind::Text,
            text: text.into(),
        }
    }

    fn opened(changes: &[Change]) -> (u64, Option<Time>) {
        let [Change::Open { stream, query }] = changes else { panic!("{changes:?}") };
        (*stream, query.since)
    }

    #[test]
    fn a_stream_that_is_opened_again_doubles_and_loses_nothing() {
        let mut logs = Logs::default();
        let source = Source::Agent("a".into());
        let (stream, since) = opened(&logs.show(&source, "1"));
        assert_eq!(since, None);
        assert!(logs.take(stream, &[line(1, "a"), line(2, "b"), line(2, "c")]));
        assert!(logs.end(stream));
        assert_eq!(logs.show(&source, "1"), []);
        let (stream, since) = opened(&logs.show(&source, "2"));
        assert_eq!(since, Some(Time(2)));
        logs.take(stream, &[line(2, "b"), line(2, "c"), line(2, "d"), line(3, "e")]);
        let texts: Vec<_> = logs.current().unwrap().buffer.lines().map(|line| &*line.text).collect();
        assert_eq!(texts, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn every_source_keeps_its_place_and_goes_on_where_it_was_left() {
        let mut logs = Logs::default();
        let sources: Vec<_> = (0..30).map(|number| Source::Agent(format!("a{number:02}"))).collect();
        for source in &sources {
            let changes = logs.show(source, "");
            let opened = changes.iter().find_map(|change| match change {
                Change::Open { stream, .. } => Some(*stream),
                Change::Close { .. } => None,
            });
            logs.take(opened.unwrap(), &[line(1, "a"), line(2, "b"), line(3, "c")]);
            let log = logs.current_mut().unwrap();
            log.view.start(&log.buffer);
        }
        assert_eq!(logs.logs.values().filter(|log| log.is_open()).count(), OPEN);
        let changes = logs.show(&sources[0], "");
        let [Change::Open { stream, query }, Change::Close { .. }] = changes.as_slice() else {
            panic!("{changes:?}")
        };
        assert_eq!(query.since, Some(Time(3)));
        logs.take(*stream, &[line(3, "c"), line(4, "d")]);
        let log = logs.current().unwrap();
        assert_eq!((log.buffer.end(), log.view.follows()), (4, false));
    }

    #[test]
    fn the_source_looked_at_longest_ago_goes_first() {
        let mut logs = Logs::default();
        let sources: Vec<_> = (0..=OPEN).map(|number| Source::Agent(format!("a{number}"))).collect();
        for source in sources.get(..OPEN).unwrap() {
            opened(&logs.show(source, ""));
        }
        assert_eq!(logs.show(&sources[0], ""), []);
        let changes = logs.show(&sources[OPEN], "");
        assert!(changes.contains(&Change::Close { stream: 2 }), "{changes:?}");
    }
}
