//! A service's output across runs: every line once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tanuki::model::LabelKey;
use tanuki::services::output::{Cursor, End, Wanted, read};
use tanuki_runtimes::testing::{Behaviour, FakeImage, FakeRuntime};
use tanuki_runtimes::{ContainerRuntime, ContainerSpec, Labels};
use tokio::sync::mpsc;
use tokio::time::sleep;

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

/// A fake engine with a service that prints three lines at each start.
async fn engine() -> (FakeRuntime, Labels) {
    let engine = FakeRuntime::new();
    let log_lines = vec!["one".to_owned(), "two".to_owned(), "two".to_owned()];
    engine.add_image("db:1", FakeImage::behaving(Behaviour { log_lines, ..Behaviour::default() }));
    let labels: Labels =
        [(LabelKey::MANAGED, "true"), (LabelKey::PROJECT, "p"), (LabelKey::NAME, "db")].into_iter().collect();
    create(&engine, &labels).await;
    (engine, labels)
}

async fn create(engine: &FakeRuntime, labels: &Labels) {
    let spec = ContainerSpec {
        name: "db".to_owned(),
        image: "db:1".to_owned(),
        labels: labels.clone(),
        ..ContainerSpec::default()
    };
    engine.create(&spec).await.unwrap();
    engine.start("db").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_shown_and_no_more_waited_for() {
    let (engine, labels) = engine().await;
    sleep(Duration::from_secs(1)).await;
    let engine: Arc<dyn ContainerRuntime> = Arc::new(engine);
    let wanted = Wanted { tail: Some(2), ..Wanted::default() };
    let (sender, mut lines) = mpsc::channel(8);
    assert_eq!(read(&engine, &labels, &wanted, &sender).await.unwrap(), End::Done);
    for _ in 0..2 {
        assert_eq!(lines.try_recv().unwrap().bytes, b"two");
    }
    assert!(lines.try_recv().is_err());
    let nobody: Labels = [(LabelKey::NAME, "nobody")].into_iter().collect();
    assert_eq!(read(&engine, &nobody, &wanted, &sender).await.unwrap(), End::NoContainer);
}

#[tokio::test(start_paused = true)]
async fn following_survives_crashes_replacements_and_engine_restarts() {
    let (fake, labels) = engine().await;
    let shared: Arc<dyn ContainerRuntime> = Arc::new(fake.clone());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, filter) = (Arc::clone(&seen), labels.clone());
    let (sender, mut lines) = mpsc::channel(8);
    let following = tokio::spawn(async move {
        let wanted = Wanted { follow: true, ..Wanted::default() };
        read(&shared, &filter, &wanted, &sender).await
    });
    let taking = tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            sink.lock().unwrap().push(String::from_utf8(line.bytes).unwrap());
        }
    });
    let expect = async |runs: usize, what: &str| {
        sleep(Duration::from_secs(10)).await;
        let lines = seen.lock().unwrap().clone();
        assert_eq!(lines, ["one", "two", "two"].repeat(runs), "after {what}");
    };
    expect(1, "the start").await;
    fake.container("db").crash(3);
    expect(1, "a crash").await;
    fake.start("db").await.unwrap();
    expect(2, "another start").await;
    // A run between two looks is not missed either.
    fake.container("db").crash(3);
    sleep(Duration::from_secs(10)).await;
    fake.start("db").await.unwrap();
    fake.container("db").crash(3);
    expect(3, "a short run").await;
    assert!(fake.user_removes("db"));
    expect(3, "its removal").await;
    create(&fake, &labels).await;
    expect(4, "its replacement").await;
    fake.engine_restart(Duration::from_secs(3));
    sleep(Duration::from_secs(5)).await;
    fake.start("db").await.unwrap();
    expect(5, "the engine's restart").await;
    assert!(!following.is_finished());
    // Nobody listens any more: it ends by itself.
    taking.abort();
    assert_eq!(following.await.unwrap().unwrap(), End::Done);
}
