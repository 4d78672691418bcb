//! A terminal's screen, as far as the measured programs use one.

/// What is on the screen.
pub(crate) struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// Bytes of a sequence that has not ended.
    pending: Vec<u8>,
    /// Bytes that came.
    pub(crate) bytes: u64,
    /// Drawings that ended: each ends with the cursor hidden or shown.
    pub(crate) frames: u64,
}

impl Screen {
    /// An empty one.
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        let rows = vec![vec![' '; columns]; rows];
        Self { columns, rows, at: (0, 0), pending: Vec::new(), bytes: 0, frames: 0 }
    }

    /// One of its lines, without blanks at its end; counted from the bottom.
    pub(crate) fn last_but(&self, row: usize) -> String {
        let row = self.rows.iter().rev().nth(row);
        row.map(|row| row.iter().collect::<String>().trim_end().to_owned()).unwrap_or_default()
    }

    /// Whether a text is on it, on one line.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.rows.iter().any(|row| row.iter().collect::<String>().contains(text))
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    /// Takes in what a program wrote.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let mut rest = all.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let length = match first {
                0x1b => self.escape(rest),
                b'\r' => {
                    self.at.0 = 0;
                    Some(1)
                }
                b'\n' => {
                    self.line_feed();
                    Some(1)
                }
                8 => {
                    self.at.0 = self.at.0.saturating_sub(1);
                    Some(1)
                }
                0..32 => Some(1),
                _ => self.character(rest),
            };
            match length {
                Some(length) => rest = rest.get(length..).unwrap_or_default(),
                // The rest of it comes later, unless it is no sequence at all.
                None if rest.len() < 256 => {
                    self.pending = rest.to_vec();
                    return;
                }
                None => rest = after,
            }
        }
    }

    fn character(&mut self, rest: &[u8]) -> Option<usize> {
        let length = match rest.first()? {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let character = std::str::from_utf8(rest.get(..length)?).ok().and_then(|text| text.chars().next());
        if self.at.0 >= self.columns {
            self.at.0 = 0;
            self.line_feed();
        }
        let (column, row) = self.at;
        if let Some(cell) = self.rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = character.unwrap_or('?');
        }
        self.at.0 += 1;
        Some(length)
    }

    fn line_feed(&mut self) {
        if self.at.1 + 1 < self.rows.len() {
            self.at.1 += 1;
        } else {
            self.rows.remove(0);
            self.rows.push(vec![' '; self.columns]);
        }
    }

    /// The length of an escape sequence at the beginning, once it is whole.
    fn escape(&mut self, rest: &[u8]) -> Option<usize> {
        match rest.get(1)? {
            b'[' => {
                let end = rest.iter().skip(2).position(|byte| (0x40..0x7f).contains(byte))? + 2;
                let parameters = std::str::from_utf8(rest.get(2..end)?).unwrap_or_default();
                self.control(parameters, *rest.get(end)?);
                Some(end + 1)
            }
            b']' => {
                let bell = rest.iter().position(|byte| *byte == 7).map(|at| at + 1);
                let end = rest.windows(2).position(|pair| pair == b"\x1b\\").map(|at| at + 2);
                bell.into_iter().chain(end).min()
            }
            b'(' | b')' => Some(3),
            _ => Some(2),
        }
    }

    fn control(&mut self, parameters: &str, last: u8) {
        let mut numbers = parameters.split(';').map(|number| number.parse::<usize>().unwrap_or(0));
        let first = numbers.next().unwrap_or(0);
        match last {
            b'H' => {
                let column = numbers.next().unwrap_or(0);
                self.at = (column.saturating_sub(1), first.saturating_sub(1).min(self.rows.len() - 1));
            }
            b'A' => self.at.1 = self.at.1.saturating_sub(first.max(1)),
            b'B' => self.at.1 = (self.at.1 + first.max(1)).min(self.rows.len() - 1),
            b'C' => self.at.0 = (self.at.0 + first.max(1)).min(self.columns - 1),
            b'D' => self.at.0 = self.at.0.saturating_sub(first.max(1)),
            b'J' => {
                let from = if first == 0 { self.at.1 } else { 0 };
                for row in self.rows.iter_mut().skip(from) {
                    row.fill(' ');
                }
            }
            b'K' => {
                let column = self.at.0;
                if let Some(row) = self.rows.get_mut(self.at.1) {
                    row.iter_mut().skip(column).for_each(|cell| *cell = ' ');
                }
            }
            b'h' | b'l' if parameters == "?25" => self.frames += 1,
            _ => {}
        }
    }
}
