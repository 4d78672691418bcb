//! The readable output of a run, kept where the agent cannot write it: one JSON document per line, in the order it
//! was read, with times.
//!
//! The last line of each batch tells how far the agent's own files were read, so that a controller that comes after a
//! killed one goes on exactly there: what comes after the last such mark is cut off and read again.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::agents::adapters::Item;
use crate::model::{OutputKind, Time};

/// Most bytes of one run's journal.
const LONGEST: u64 = 64 << 20;

/// How far the files of an iteration were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) iteration: u32,
    pub(super) stdout: u64,
    pub(super) stderr: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) time: Time,
    pub(super) kind: OutputKind,
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<Mark>,
}

/// Where a run's journal is written.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    length: u64,
    mark: Mark,
}

impl Journal {
    /// Opens a journal, made with mode 0600, and cuts off what is not whole.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let (mut whole, mut at, mut mark) = (0, 0, Mark::default());
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            at += line.len() as u64;
            let entry = line.ends_with(b"\n").then(|| serde_json::from_slice::<Entry>(&line).ok()).flatten();
            if let Some(found) = entry.and_then(|entry| entry.mark) {
                (whole, mark) = (at, found);
            }
            line.clear();
        }
        file.set_len(whole)?;
        (&file).seek(SeekFrom::End(0))?;
        Ok(Self { file, length: whole, mark })
    }

    /// How far the agent's files were read.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Adds lines that were read up to `mark`, in one step.
    pub(super) fn add(&mut self, time: Time, items: Vec<Item>, mark: Mark) -> io::Result<()> {
        if items.is_empty() || self.length > LONGEST {
            return Ok(());
        }
        let mut batch = Vec::new();
        let last = items.len() - 1;
        for (at, Item { kind, text }) in items.into_iter().enumerate() {
            put(&mut batch, &Entry { time, kind, text, mark: (at == last).then_some(mark) })?;
        }
        if self.length + batch.len() as u64 > LONGEST {
            batch.clear();
            let text = "there is more than is kept; `--raw` shows all of it".to_owned();
            put(&mut batch, &Entry { time, kind: OutputKind::Note, text, mark: Some(mark) })?;
            self.length = LONGEST;
        }
        self.file.write_all(&batch)?;
        self.length += batch.len() as u64;
        self.mark = mark;
        Ok(())
    }
}

fn put(batch: &mut Vec<u8>, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *batch, entry)?;
    batch.push(b'\n');
    Ok(())
}

/// Reads whole lines from an offset on; what has no end yet is left for later. At most about `most` bytes at once.
pub(super) fn read(path: &Path, offset: &mut u64, most: u64) -> io::Result<Vec<Entry>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if *offset > length {
        // A controller that was killed left half a batch, which its successor cut off and writes again.
        *offset = length;
    }
    file.seek(SeekFrom::Start(*offset))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
    *offset += end as u64 + 1;
    Ok(bytes[..end]
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Where the last `count` lines begin.
pub(super) fn tail(path: &Path, count: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 << 10;
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut start = file.metadata()?.len();
    let mut found = 0;
    let mut block = vec![0; BLOCK as usize];
    while start > 0 {
        let from = start.saturating_sub(BLOCK);
        let part = &mut block[..(start - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        for (at, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The end of a line before the wanted ones: they begin after it.
            if found == count {
                return Ok(from + at as u64 + 1);
            }
            found += 1;
        }
        start = from;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        Item { kind: OutputKind::Text, text: text.to_owned() }
    }

    fn texts(path: &Path, from: u64) -> Vec<String> {
        let mut offset = from;
        read(path, &mut offset, 1 << 20).unwrap().into_iter().map(|entry| entry.text).collect()
    }

    #[test]
    fn a_journal_goes_on_after_its_last_whole_batch() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output/a-1.jsonl");
        let mark = |stdout| Mark { iteration: 1, stdout, stderr: 0 };
        let mut journal = Journal::open(&path).unwrap();
        journal.add(Time(1), vec![item("one"), item("two")], mark(10)).unwrap();
        drop(journal);
        // The next batch has two lines; the process was killed in the second.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"time\":2,\"kind\":\"text\",\"text\":\"three\"}\n{\"time\":2,\"ki").unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.mark(), mark(10));
        journal.add(Time(3), vec![item("three"), item("four")], mark(20)).unwrap();
        assert_eq!(texts(&path, 0), ["one", "two", "three", "four"]);
        assert_eq!(texts(&path, tail(&path, 3).unwrap()), ["two", "three", "four"]);
        assert_eq!(texts(&path, tail(&path, 9).unwrap()).len(), 4);
        assert_eq!(texts(&path, tail(&path, 0).unwrap()).len(), 0);
    }

    #[test]
    fn reading_stops_before_a_line_that_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut journal = Journal::open(&path).unwrap();
        journal.add(Time(1), vec![item("one")], Mark::default()).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"ti").unwrap();
        let mut offset = 0;
        assert_eq!(read(&path, &mut offset, 1 << 20).unwrap().len(), 1);
        assert_eq!(offset, whole);
        assert_eq!(read(&path, &mut offset, 1 << 20).unwrap(), []);
    }
}
