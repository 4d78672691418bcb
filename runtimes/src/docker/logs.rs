//! A container's output, put together into lines.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, BoxStream, StreamExt};
use hyper::body::Bytes;

use super::errors::Failure;
use super::frames::{Frames, Piece};
use super::{Docker, http, time};
use crate::{LogLine, LogOptions, Result, StreamKind};

const LOGS: &str = "read the logs of";

/// Longest line piece: a longer line comes in several.
const MAX_LINE: usize = 64 << 10;

/// Longest timestamp in front of a record.
const MAX_STAMP: usize = 40;

pub(super) async fn logs(
    docker: &Docker,
    id: &str,
    options: &LogOptions,
) -> Result<BoxStream<'static, Result<LogLine>>> {
    let fail = |failure: Failure| failure.into_error(LOGS, id);
    // Only the container knows whether its output is framed: old engines do not say it in the headers.
    let tty = docker.inspect_raw(LOGS, id).await?.config.and_then(|config| config.tty).unwrap_or(false);

    let mut query = vec![
        ("stdout", "1".to_owned()),
        ("stderr", "1".to_owned()),
        ("timestamps", "1".to_owned()),
        ("follow", if options.follow { "1" } else { "0" }.to_owned()),
    ];
    // The engine counts records here: each 16 KiB of a longer line is one.
    query.push(("tail", options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string())));
    if let Some(since) = options.since {
        query.push(("since", time::unix(since)));
    }
    // A followed log may be silent for as long as it likes, headers included.
    let limit = (!options.follow).then_some(Duration::from_secs(30));
    let path = format!("/containers/{id}/logs");
    let response = http::send(&docker.target, http::Call::get(&path, &query, limit)).await.map_err(fail)?;

    let reader = Reader {
        chunks: http::chunks(response),
        frames: (!tty).then(Frames::default),
        stdout: Assembler::new(StreamKind::Stdout),
        stderr: Assembler::new(StreamKind::Stderr),
        ready: VecDeque::new(),
        done: false,
    };
    let id = id.to_owned();
    Ok(stream::unfold(reader, move |mut reader| {
        let id = id.clone();
        async move {
            let line = reader.next().await?;
            Some((line.map_err(|failure| failure.into_error(LOGS, &id)), reader))
        }
    })
    .boxed())
}

struct Reader {
    chunks: BoxStream<'static, Result<Bytes, Failure>>,
    /// `None` for a terminal, whose output is not framed.
    frames: Option<Frames>,
    stdout: Assembler,
    stderr: Assembler,
    ready: VecDeque<LogLine>,
    done: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogLine, Failure>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.done {
                return None;
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => {
                    let pieces = match &mut self.frames {
                        None => Ok(vec![Piece {
                            stream: StreamKind::Stdout,
                            first: false,
                            bytes: chunk.to_vec(),
                        }]),
                        Some(frames) => frames.push(&chunk),
                    };
                    let pieces = match pieces {
                        Ok(pieces) => pieces,
                        Err(number) => {
                            self.done = true;
                            return Some(Err(Failure::other(format!(
                                "output of an unknown stream {number}"
                            ))));
                        }
                    };
                    for piece in pieces {
                        let assembler = match piece.stream {
                            StreamKind::Stdout => &mut self.stdout,
                            StreamKind::Stderr => &mut self.stderr,
                        };
                        assembler.push(piece.first, &piece.bytes, &mut self.ready);
                    }
                }
                Some(Err(failure)) => {
                    self.done = true;
                    return Some(Err(failure));
                }
                None => {
                    self.done = true;
                    self.stdout.end(&mut self.ready);
                    self.stderr.end(&mut self.ready);
                }
            }
        }
    }
}

/// Puts one stream's records together into lines.
///
/// The engine cuts a line of more than 16 KiB into records and puts a timestamp in front of each, so a timestamp is
/// expected wherever a frame or a line begins.
#[derive(Debug)]
struct Assembler {
    stream: StreamKind,
    stamp: Option<Vec<u8>>,
    time: Option<SystemTime>,
    line: Vec<u8>,
    begun: bool,
}

impl Assembler {
    fn new(stream: StreamKind) -> Self {
        Self { stream, stamp: Some(Vec::new()), time: None, line: Vec::new(), begun: false }
    }

    fn push(&mut self, first: bool, bytes: &[u8], ready: &mut VecDeque<LogLine>) {
        if first {
            self.stamp = Some(Vec::new());
        }
        for byte in bytes {
            if let Some(stamp) = &mut self.stamp {
                if *byte != b' ' && *byte != b'\n' && stamp.len() < MAX_STAMP {
                    stamp.push(*byte);
                    continue;
                }
                let stamp = self.stamp.take().unwrap_or_default();
                let parsed = std::str::from_utf8(&stamp).ok().and_then(time::parse);
                if !self.begun {
                    self.time = parsed;
                    self.begun = true;
                }
                if parsed.is_some() && *byte == b' ' {
                    continue;
                }
                if parsed.is_none() {
                    // Not a timestamp after all: it is output.
                    self.line.extend_from_slice(&stamp);
                }
            }
            if *byte == b'\n' {
                self.emit(ready);
                self.begun = false;
                self.stamp = Some(Vec::new());
            } else {
                self.line.push(*byte);
                if self.line.len() >= MAX_LINE {
                    self.emit(ready);
                }
            }
        }
    }

    fn emit(&mut self, ready: &mut VecDeque<LogLine>) {
        let bytes = std::mem::take(&mut self.line);
        ready.push_back(LogLine { stream: self.stream, time: self.time, bytes });
    }

    fn end(&mut self, ready: &mut VecDeque<LogLine>) {
        if let Some(stamp) = self.stamp.take()
            && !stamp.is_empty()
        {
            self.line.extend_from_slice(&stamp);
        }
        if !self.line.is_empty() {
            self.emit(ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "2026-11-22T20:45:04.000000001Z ";

    fn lines(records: &[&[u8]]) -> Vec<LogLine> {
        let mut assembler = Assembler::new(StreamKind::Stdout);
        let mut ready = VecDeque::new();
        for record in records {
            // Byte by byte is the worst cut.
            for (index, byte) in record.iter().enumerate() {
                assembler.push(index == 0, &[*byte], &mut ready);
            }
        }
        assembler.end(&mut ready);
        ready.into()
    }

    fn record(text: &[u8]) -> Vec<u8> {
        [STAMP.as_bytes(), text].concat()
    }

    #[test]
    fn records_become_lines() {
        let found = lines(&[&record(b"one\n"), &record(b"\n"), &record(b"par"), &record(b"tial")]);
        let texts: Vec<_> = found.iter().map(|line| line.bytes.as_slice()).collect();
        assert_eq!(texts, [&b"one"[..], b"", b"partial"]);
        assert!(found.iter().all(|line| line.time == time::parse(STAMP.trim())));
    }

    #[test]
    fn a_line_of_many_records_is_cut_at_the_limit_only() {
        let record = record(&[b'x'; 16 << 10]);
        let found = lines(&[&record, &record, &record, &record, &record]);
        let sizes: Vec<_> = found.iter().map(|line| line.bytes.len()).collect();
        assert_eq!(sizes, [MAX_LINE, 16 << 10]);
    }

    #[test]
    fn output_without_a_timestamp_is_kept() {
        assert_eq!(lines(&[b"no stamp\n"])[0].bytes, b"no stamp");
        assert_eq!(lines(&[b"end"])[0].bytes, b"end");
    }
}
