//! The multiplexed stream of logs and exec, taken apart: pieces of two streams, and log lines.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::error::Failure;
use super::time;
use crate::{LogLine, StreamKind};

/// Longest piece of a line that is handed out at once.
const LINE_LIMIT: usize = 64 << 10;
/// No timestamp is longer.
const STAMP_LIMIT: usize = 64;
const HEADER: usize = 8;

/// Takes frames apart: a header of the stream's number, three zeros and the length, then so many bytes.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    filled: usize,
    left: usize,
    first: bool,
}

/// A part of a frame.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) stream: StreamKind,
    pub(super) bytes: &'a [u8],
    /// The frame starts with it.
    pub(super) first: bool,
    /// The frame ends with it.
    pub(super) last: bool,
}

impl Frames {
    /// Takes the next piece off the front of `input`, `None` when more input is needed.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Piece<'a>, Failure>> {
        while self.filled < HEADER {
            let (byte, rest) = input.split_first()?;
            *input = rest;
            if let Some(place) = self.header.get_mut(self.filled) {
                *place = *byte;
            }
            self.filled += 1;
            if self.filled == HEADER {
                let [stream, zeros @ .., a, b, c, d] = self.header;
                if stream > 2 || zeros != [0; 3] {
                    return Some(Err(Failure::garbled("the output is not in frames")));
                }
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                self.first = true;
            }
        }
        if self.left > 0 && input.is_empty() {
            return None;
        }
        let (bytes, rest) = input.split_at(self.left.min(input.len()));
        *input = rest;
        self.left -= bytes.len();
        let piece = Piece {
            stream: if self.header.first() == Some(&2) { StreamKind::Stderr } else { StreamKind::Stdout },
            bytes,
            first: std::mem::take(&mut self.first),
            last: self.left == 0,
        };
        if piece.last {
            self.filled = 0;
        }
        Some(Ok(piece))
    }
}

/// Puts log lines together from frames that each start with a timestamp.
///
/// The engine sends a line per frame; a long line comes as several frames, each with its own timestamp, and only the
/// last ends with a newline.
#[derive(Debug, Default)]
pub(super) struct Lines {
    frames: Frames,
    /// What was read of the frame's timestamp; `None` when it is complete.
    stamp: Option<Vec<u8>>,
    time: Option<SystemTime>,
    open: [Open; 2],
    ready: VecDeque<LogLine>,
}

/// A line whose end has not come.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    time: Option<SystemTime>,
    /// There is a line, although it may be empty.
    begun: bool,
}

impl Lines {
    pub(super) fn push(&mut self, mut input: &[u8]) -> Result<(), Failure> {
        while let Some(piece) = self.frames.next(&mut input) {
            let piece = piece?;
            let mut bytes = piece.bytes;
            if piece.first {
                self.stamp = Some(Vec::new());
            }
            if let Some(stamp) = &mut self.stamp {
                let end = bytes.iter().position(|byte| *byte == b' ');
                let (head, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                stamp.extend_from_slice(head);
                if stamp.len() > STAMP_LIMIT || end.is_none() && piece.last {
                    return Err(Failure::garbled("a log line without its time"));
                }
                if end.is_none() {
                    continue;
                }
                self.time = std::str::from_utf8(stamp).ok().and_then(time::rfc3339);
                self.stamp = None;
                bytes = rest.get(1..).unwrap_or_default();
            }
            self.add(piece.stream, bytes);
        }
        Ok(())
    }

    fn add(&mut self, stream: StreamKind, bytes: &[u8]) {
        let [out, err] = &mut self.open;
        let open = if stream == StreamKind::Stderr { err } else { out };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = part.strip_suffix(b"\n").map_or((part, false), |part| (part, true));
            if !open.begun {
                open.begun = true;
                open.time = self.time;
            }
            let mut part = part;
            while open.bytes.len() + part.len() > LINE_LIMIT {
                let (head, rest) = part.split_at(LINE_LIMIT - open.bytes.len());
                open.bytes.extend_from_slice(head);
                self.ready.extend(open.close(stream));
                open.begun = true;
                open.time = self.time;
                part = rest;
            }
            open.bytes.extend_from_slice(part);
            if ends {
                self.ready.extend(open.close(stream));
            }
        }
    }

    /// Also hands out lines whose end will not come.
    pub(super) fn finish(&mut self) {
        let [out, err] = &mut self.open;
        self.ready.extend(out.close(StreamKind::Stdout));
        self.ready.extend(err.close(StreamKind::Stderr));
    }

    pub(super) fn pop(&mut self) -> Option<LogLine> {
        self.ready.pop_front()
    }
}

impl Open {
    fn close(&mut self, stream: StreamKind) -> Option<LogLine> {
        let Self { bytes, time, begun } = std::mem::take(self);
        begun.then_some(LogLine { stream, time, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend(text);
        frame
    }

    fn lines(input: &[u8], step: usize) -> Vec<(StreamKind, Vec<u8>, bool)> {
        let mut lines = Lines::default();
        for chunk in input.chunks(step) {
            lines.push(chunk).unwrap();
        }
        lines.finish();
        std::iter::from_fn(|| lines.pop())
            .map(|line| (line.stream, line.bytes, line.time.is_some()))
            .collect()
    }

    #[test]
    fn lines_in_any_slicing() {
        let input = [
            frame(1, b"2026-11-22T20:48:54Z one\n"),
            frame(2, b"2026-11-22T20:48:54+01:00 err\n"),
            frame(1, b"2026-11-22T20:48:54Z lo"),
            frame(1, b"2026-11-22T20:48:55Z ng\n"),
            frame(1, b"2026-11-22T20:48:55Z \n"),
            frame(1, b"2026-11-22T20:48:55Z cut"),
        ]
        .concat();
        let wanted = vec![
            (StreamKind::Stdout, b"one".to_vec(), true),
            (StreamKind::Stderr, b"err".to_vec(), true),
            (StreamKind::Stdout, b"long".to_vec(), true),
            (StreamKind::Stdout, b"".to_vec(), true),
            (StreamKind::Stdout, b"cut".to_vec(), true),
        ];
        for step in [1, 2, 7, 1000] {
            assert_eq!(lines(&input, step), wanted, "{step}");
        }
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let mut text = b"2026-11-22T20:48:54Z ".to_vec();
        text.extend(vec![b'x'; LINE_LIMIT + 10]);
        text.push(b'\n');
        let sizes: Vec<_> =
            lines(&frame(1, &text), 4096).into_iter().map(|(_, bytes, _)| bytes.len()).collect();
        assert_eq!(sizes, [LINE_LIMIT, 10]);
    }

    #[test]
    fn what_is_not_in_frames_is_refused() {
        assert!(Lines::default().push(b"plain text that is no frame").is_err());
        assert!(Lines::default().push(&frame(1, b"nospace")).is_err());
    }

    #[test]
    fn an_empty_frame_is_a_piece() {
        let mut frames = Frames::default();
        let bytes = [frame(2, b""), frame(1, b"a")].concat();
        let mut input = bytes.as_slice();
        let first = frames.next(&mut input).unwrap().unwrap();
        assert!(first.first && first.last && first.bytes.is_empty());
        assert_eq!(frames.next(&mut input).unwrap().unwrap().bytes, b"a");
        assert!(frames.next(&mut input).is_none());
    }
}
