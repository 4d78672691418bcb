//! Docker's multiplexed output: frames of a stream number, a length and so many bytes.

use crate::StreamKind;

/// A piece of a frame's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: StreamKind,
    /// Whether a frame begins here.
    pub(super) first: bool,
    pub(super) bytes: Vec<u8>,
}

/// Takes the byte stream apart, however it was cut into chunks; holds at most one header back.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: Vec<u8>,
    current: Option<(StreamKind, usize, bool)>,
}

impl Frames {
    /// The pieces in these bytes; an error names the stream number that does not exist.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Piece>, u8> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            if let Some((stream, left, first)) = self.current {
                let take = left.min(bytes.len());
                pieces.push(Piece { stream, first, bytes: bytes[..take].to_vec() });
                bytes = &bytes[take..];
                self.current = (take < left).then_some((stream, left - take, false));
                continue;
            }
            let take = (8 - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if let [number, _, _, _, a, b, c, d] = self.header[..] {
                self.header.clear();
                // 0 is standard input echoed, which engines count as output.
                let stream = match number {
                    0 | 1 => StreamKind::Stdout,
                    2 => StreamKind::Stderr,
                    other => return Err(other),
                };
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                self.current = (length > 0).then_some((stream, length, true));
            }
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_bytes() {
        let mut wire = Vec::new();
        for (stream, text) in [(1_u8, "hello\n"), (2, "oops"), (1, ""), (1, "\u{1}bye")] {
            wire.extend_from_slice(&[stream, 0, 0, 0]);
            wire.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            wire.extend_from_slice(text.as_bytes());
        }
        for size in 1..wire.len() {
            let mut frames = Frames::default();
            let (mut out, mut err, mut starts) = (Vec::new(), Vec::new(), 0);
            for chunk in wire.chunks(size) {
                for piece in frames.push(chunk).unwrap() {
                    starts += usize::from(piece.first);
                    match piece.stream {
                        StreamKind::Stdout => out.extend(piece.bytes),
                        StreamKind::Stderr => err.extend(piece.bytes),
                    }
                }
            }
            assert_eq!((out.as_slice(), err.as_slice(), starts), (&b"hello\n\x01bye"[..], &b"oops"[..], 3));
        }
    }

    #[test]
    fn an_unknown_stream_is_refused() {
        assert_eq!(Frames::default().push(&[9, 0, 0, 0, 0, 0, 0, 1]), Err(9));
    }
}
