//! A service's output across runs: every line once.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tanuki::cli::service::follow::Cursor;

fn at(seconds: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// What a viewer sees of `stream`, which begins again at the cursor's time.
fn attach(cursor: &mut Cursor, container: &str, stream: &[(u64, usize)]) -> Vec<usize> {
    let since = cursor.since();
    cursor.attach(container);
    stream
        .iter()
        .filter(|(time, _)| since.is_none_or(|since| at(*time) >= Some(since)))
        .filter(|(time, _)| cursor.admit(at(*time)))
        .map(|(_, line)| *line)
        .collect()
}

#[test]
fn lines_of_one_moment_are_told_apart_by_their_number() {
    let stream = [(1, 0), (1, 1), (1, 2), (2, 3)];
    let mut cursor = Cursor::default();
    assert_eq!(attach(&mut cursor, "a", &stream[..2]), [0, 1]);
    assert_eq!(attach(&mut cursor, "a", &stream), [2, 3]);
    assert!(attach(&mut cursor, "a", &stream).is_empty());
}

#[test]
fn another_container_has_lines_of_its_own() {
    let mut cursor = Cursor::default();
    assert_eq!(attach(&mut cursor, "a", &[(1, 0), (1, 1)]), [0, 1]);
    assert_eq!(attach(&mut cursor, "b", &[(1, 2), (2, 3)]), [2, 3]);
}

#[test]
fn lines_without_a_time_are_always_shown() {
    let mut cursor = Cursor::default();
    cursor.attach("a");
    assert!(cursor.admit(None));
    assert!(cursor.admit(None));
}

proptest! {
    /// However often and wherever the stream breaks off, each line is shown once and in order.
    #[test]
    fn a_stream_that_breaks_off_loses_and_doubles_nothing(
        gaps in proptest::collection::vec(0u64..3, 1..40),
        cuts in proptest::collection::vec(0usize..40, 0..8),
    ) {
        let mut time = 10;
        let stream: Vec<(u64, usize)> = gaps
            .iter()
            .enumerate()
            .map(|(line, gap)| {
                time += gap;
                (time, line)
            })
            .collect();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        ends.sort_unstable();
        ends.push(stream.len());
        let mut cursor = Cursor::default();
        let mut seen = Vec::new();
        for end in ends {
            seen.extend(attach(&mut cursor, "a", &stream[..end]));
        }
        prop_assert_eq!(seen, (0..stream.len()).collect::<Vec<_>>());
    }
}
