//! Small pure helpers for what people read: cleaning, durations, names, tables.

use std::io::Write as _;
use std::time::Duration;

/// Whether a character could move the cursor, change the terminal or reorder the line it stands in.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text that came from elsewhere, safe to show on a terminal: escape sequences are dropped, line breaks and tabs
/// become blanks, what else is unsafe is shown as an escape.
pub fn one_line(text: &str) -> String {
    clean(text, |character| matches!(character, '\n' | '\r' | '\t').then_some(" "))
}

/// Like [`one_line`], but tabs stay: a line of a program's output.
pub fn log_line(text: &str) -> String {
    clean(text, |character| match character {
        '\t' => Some("\t"),
        // Programs that think they write to a terminal end lines with it.
        '\r' => Some(""),
        _ => None,
    })
}

/// Like [`one_line`], but line breaks stay and tabs become blanks.
pub fn block(text: &str) -> String {
    clean(text, |character| match character {
        '\n' => Some("\n"),
        '\t' => Some("    "),
        '\r' => Some(""),
        _ => None,
    })
}

fn clean(text: &str, known: impl Fn(char) -> Option<&'static str>) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for piece in anstream::adapter::strip_str(text) {
        for character in piece.chars() {
            match known(character) {
                Some(replacement) => cleaned.push_str(replacement),
                None if is_unsafe(character) => cleaned.extend(character.escape_unicode()),
                None => cleaned.push(character),
            }
        }
    }
    cleaned
}

/// At most `limit` characters, with `…` where something is missing.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// How long something is up or takes, in the two largest units: `45s`, `2m`, `3h12m`, `2d4h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// The known name that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names have at most 63 characters; comparing something absurdly long would only take time.
    if name.chars().count() > 80 {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// A table with aligned columns, no trailing blanks, a newline after each row. Cells are cleaned.
pub fn table<R, C>(rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut writer = tabwriter::TabWriter::new(Vec::new()).padding(3);
    for row in rows {
        let cells: Vec<String> = row.into_iter().map(|cell| one_line(&cell)).collect();
        // Writing to memory cannot fail.
        drop(writeln!(writer, "{}", cells.join("\t")));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
