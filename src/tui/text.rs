//! Text from elsewhere, made fit for a screen: cleaned, cut and wrapped by what people see as one character.

use std::borrow::Cow;
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// Columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Whether a character could act on a terminal or reorder the line it stands in.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// One line of text that came from elsewhere: escape sequences are dropped, tabs go to their stops, only what was
/// written after the last carriage return counts, and what else a terminal would act on is shown as an escape.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    // Progress that was rewritten in place; a program that ends lines with it means nothing by it.
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut cleaned = String::with_capacity(text.len());
    // Columns of what is before `counted`.
    let (mut column, mut counted) = (0, 0);
    for piece in anstream::adapter::strip_str(text) {
        for character in piece.chars() {
            match character {
                '\t' => {
                    column += cleaned.get(counted..).map_or(0, width);
                    let blanks = TAB - column % TAB;
                    cleaned.extend(std::iter::repeat_n(' ', blanks));
                    column += blanks;
                    counted = cleaned.len();
                }
                '\n' => cleaned.push(' '),
                unsafe_one if is_unsafe(unsafe_one) => cleaned.extend(unsafe_one.escape_unicode()),
                character => cleaned.push(character),
            }
        }
    }
    Cow::Owned(cleaned)
}

/// At most so many columns of a clean text, with `…` where something is missing.
pub(super) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut fitted = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = width(grapheme);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        fitted.push_str(grapheme);
    }
    if columns > 0 {
        fitted.push('…');
    }
    Cow::Owned(fitted)
}

/// A cleaned text in exactly so many columns: cut or filled up with blanks.
pub(super) fn column(text: &str, columns: usize) -> String {
    let cleaned = clean(text);
    let fitted = fit(&cleaned, columns);
    let missing = columns.saturating_sub(width(&fitted));
    let mut column = fitted.into_owned();
    column.extend(std::iter::repeat_n(' ', missing));
    column
}

/// A text from elsewhere line by line, each cleaned.
pub(super) fn block(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(clean)
}

/// Byte ranges of the rows a clean line takes on a screen this wide; at least one. A row ends behind a blank where
/// there is one in its last third, else anywhere between two characters.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<std::ops::Range<usize>> {
    let columns = columns.max(1);
    if text.len() <= columns {
        return std::iter::once(0..text.len()).collect();
    }
    let mut rows = Vec::new();
    let (mut start, mut used, mut blank) = (0, 0, None);
    for (at, grapheme) in text.grapheme_indices(true) {
        let wide = width(grapheme);
        if used + wide > columns && at > start {
            let end = match blank {
                Some((end, column)) if column * 3 >= columns * 2 => end,
                _ => at,
            };
            rows.push(start..end);
            used = width(text.get(end..at).unwrap_or_default());
            start = end;
            blank = None;
        }
        used += wide;
        if grapheme == " " {
            blank = Some((at + 1, used));
        }
    }
    rows.push(start..text.len());
    rows
}

/// The part of a clean line that a view which is moved to the right by so many columns shows.
pub(super) fn from_column(text: &str, columns: usize) -> &str {
    let mut passed = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        if passed >= columns {
            return text.get(at..).unwrap_or_default();
        }
        passed += width(grapheme);
    }
    ""
}

/// How long something is up or takes, in words that change seldom: `45s`, `2m`, `3h12m`, `2d4h`.
pub(super) fn age(duration: Duration) -> String {
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

/// How long until [`age`] says something else.
pub(super) fn age_changes_in(duration: Duration) -> Duration {
    let unit = match duration.as_secs() {
        0..60 => 1000,
        60..86_400 => 60_000,
        _ => 3_600_000,
    };
    let passed = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) % unit;
    Duration::from_millis(unit - passed)
}

/// Where `needle` is in `text`, case aside where the needle has no capitals.
pub(super) fn find_all(text: &str, needle: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(range) = find(text, needle, from) {
        from = range.end;
        found.push(range);
    }
    found
}

/// Whether `needle` is in `text`, case aside where the needle has no capitals.
pub(super) fn contains(text: &str, needle: &str) -> bool {
    needle.is_empty() || find(text, needle, 0).is_some()
}

fn find(text: &str, needle: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let first = *needle.as_bytes().first()?;
    let exact = needle.chars().any(char::is_uppercase);
    let (bytes, wanted) = (text.as_bytes(), needle.as_bytes());
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += if exact {
            memchr::memchr(first, rest)?
        } else {
            memchr::memchr2(first.to_ascii_lowercase(), first.to_ascii_uppercase(), rest)?
        };
        let candidate = bytes.get(at..at + wanted.len())?;
        let same = if exact { candidate == wanted } else { candidate.eq_ignore_ascii_case(wanted) };
        // The first byte of a character never equals one in the middle of another, so this is always at a boundary.
        if same {
            return Some(at..at + wanted.len());
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_does_not_get_through() {
        let table = [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]52;c;aGk=\x07copied", "copied"),
            ("\x1b]0;title\x1b\\x", "x"),
            ("10%\r20%\rdone\r", "done"),
            ("a\tb", "a       b"),
            ("bell\x07", "bell"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
        ];
        for (raw, wanted) in table {
            assert_eq!(clean(raw), wanted, "{raw:?}");
        }
    }

    #[test]
    fn cutting_goes_by_what_is_seen() {
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(column("日本", 6), "日本  ");
    }

    #[test]
    fn rows_are_never_wider_than_the_screen() {
        let text = "a word and 日本語日本語日本語 and-a-very-long-word-without-a-blank 👩‍👩‍👧 end";
        for columns in 2..30 {
            let rows = wrap(text, columns);
            let joined: String = rows.iter().map(|row| &text[row.clone()]).collect();
            assert_eq!(joined, text);
            assert!(rows.iter().all(|row| width(text[row.clone()].trim_end()) <= columns), "{columns}");
        }
        assert_eq!(wrap("日", 1).len(), 1);
    }

    #[test]
    fn finding_is_smart_about_case() {
        assert_eq!(find_all("Error error ERROR", "error").len(), 3);
        assert_eq!(find_all("Error error ERROR", "Error").len(), 1);
        assert_eq!(find_all("aaa", "aa").len(), 1);
        assert!(contains("x", ""));
        assert!(!contains("x", "xy"));
    }

    #[test]
    fn an_age_is_the_same_until_it_changes() {
        for seconds in [0, 1, 59, 60, 61, 119, 3599, 3600, 7260, 86_399, 86_400, 90_001] {
            let age_now = Duration::from_secs(seconds);
            let until = age_changes_in(age_now);
            assert_eq!(age(age_now), age(age_now + until - Duration::from_millis(1)), "{seconds}");
            if seconds < 86_400 {
                assert_ne!(age(age_now), age(age_now + until), "{seconds}");
            }
        }
    }
}
