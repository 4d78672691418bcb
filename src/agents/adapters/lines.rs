//! Lines out of bytes, in bounded memory: a line too long is cut off and the rest of it counted.

/// Longest line kept.
pub(in crate::agents) const LONGEST: usize = 1 << 20;

/// Splits a stream into lines.
#[derive(Debug, Default)]
pub(in crate::agents) struct Lines {
    kept: Vec<u8>,
    skipped: u64,
}

/// A line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::agents) struct Line {
    /// Its text; what is not UTF-8 is replaced.
    pub(in crate::agents) text: String,
    /// Bytes left out at its end.
    pub(in crate::agents) skipped: u64,
}

impl Lines {
    /// Takes bytes and hands out the lines that end in them.
    pub(in crate::agents) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Line)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            take(self.line());
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The line that has no end, if there is one.
    pub(in crate::agents) fn rest(&mut self) -> Option<Line> {
        (!self.kept.is_empty()).then(|| self.line())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST - self.kept.len();
        let (kept, over) = bytes.split_at(bytes.len().min(room));
        self.kept.extend_from_slice(kept);
        self.skipped += over.len() as u64;
    }

    fn line(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.kept);
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
        Line { text, skipped: std::mem::take(&mut self.skipped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, |line| out.push((line.text, line.skipped)));
        }
        out.extend(lines.rest().map(|line| (line.text, line.skipped)));
        out
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let whole = [("one".to_owned(), 0), (String::new(), 0), ("two".to_owned(), 0), ("thr".to_owned(), 0)];
        assert_eq!(lines(&[b"one\n\ntwo\r\nthr"]), whole);
        assert_eq!(lines(&[b"on", b"e", b"\n\ntw", b"o\r", b"\nthr", b""]), whole);
        assert_eq!(lines(&[b"\xff\xfe ok\n"]), [("\u{fffd}\u{fffd} ok".to_owned(), 0)]);
    }

    #[test]
    fn a_huge_line_is_cut_and_the_next_one_is_whole() {
        let huge = vec![b'x'; LONGEST / 2 + 7];
        let found = lines(&[&huge, &huge, &huge, b"\nnext\n"]);
        assert_eq!(found[0].0.len(), LONGEST);
        assert_eq!(found[0].1, (3 * (LONGEST / 2 + 7) - LONGEST) as u64);
        assert_eq!(found[1], ("next".to_owned(), 0));
    }
}
