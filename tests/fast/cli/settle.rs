//! Waiting for services: what counts as an answer, and when it is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tanuki::cli::service::settle::{Goal, Interrupted, Outcome, Progress, Verdict, judge, settle};
use tanuki::model::{ServiceState, ServiceStatus, Snapshot, Time};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{NOW, crashing, engine_away, healthy, snapshot, stopped};

#[test]
fn an_older_answer_is_no_answer() {
    let status = ServiceStatus { observed_generation: 4, ..healthy("a", 1) };
    assert_eq!(judge(&status, 4, Goal::Ready, NOW), Verdict::Done);
    assert_eq!(judge(&status, 5, Goal::Ready, NOW), Verdict::Waiting);
    let failed = ServiceStatus { state: ServiceState::Failed, ..status };
    assert_eq!(judge(&failed, 5, Goal::Ready, NOW), Verdict::Waiting);
    assert_eq!(judge(&failed, 4, Goal::Ready, NOW), Verdict::Failed);
}

#[test]
fn three_crashes_in_a_row_are_a_failure() {
    let crashed = |restarts| ServiceStatus { restarts, ..crashing("a") };
    assert_eq!(judge(&crashed(2), 1, Goal::Ready, NOW), Verdict::Waiting);
    assert_eq!(judge(&crashed(3), 1, Goal::Ready, NOW), Verdict::Failed);
}

#[test]
fn stopped_is_stopped_and_nothing_else() {
    assert_eq!(judge(&stopped("a"), 1, Goal::Stopped, NOW), Verdict::Done);
    assert_eq!(judge(&stopped("a"), 1, Goal::Ready, NOW), Verdict::Waiting);
    assert_eq!(judge(&healthy("a", 1), 1, Goal::Stopped, NOW), Verdict::Waiting);
    let external = ServiceStatus { state: ServiceState::External, ..healthy("a", 1) };
    assert_eq!(judge(&external, 1, Goal::Stopped, NOW), Verdict::Done);
}

#[test]
fn a_service_without_a_probe_is_believed_after_a_second() {
    let started =
        |ago: u64| ServiceStatus { last_probe: None, started_at: Some(Time(NOW.0 - ago)), ..healthy("a", 1) };
    assert_eq!(judge(&started(999), 1, Goal::Ready, NOW), Verdict::Waiting);
    assert_eq!(judge(&started(1000), 1, Goal::Ready, NOW), Verdict::Done);
}

/// Waits for `names`, all of generation 1, and tells how each ended.
async fn wait(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    names: &[&str],
    patience: Duration,
) -> (Vec<(String, Verdict)>, Result<(), Interrupted>) {
    let wanted: BTreeMap<String, u64> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    let began = Instant::now();
    let now = move || NOW + began.elapsed();
    let mut ended = Vec::new();
    let report = |progress: Progress<'_>| {
        if let Progress::Settled(Outcome { name, verdict, .. }) = progress {
            ended.push((name.clone(), *verdict));
        }
    };
    let result = settle(&mut snapshots, &wanted, Goal::Ready, began + patience, now, report).await;
    (ended, result)
}

fn channel(first: Snapshot) -> (watch::Sender<Arc<Snapshot>>, watch::Receiver<Arc<Snapshot>>) {
    watch::channel(Arc::new(first))
}

#[tokio::test(start_paused = true)]
async fn each_service_is_reported_once_when_it_is_ready() {
    let (sender, receiver) = channel(snapshot([stopped("a"), stopped("b")]));
    let world = tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        sender.send_replace(Arc::new(snapshot([stopped("a"), healthy("b", 2)])));
        sleep(Duration::from_secs(1)).await;
        sender.send_replace(Arc::new(snapshot([healthy("a", 1), healthy("b", 2)])));
        sender.closed().await;
    });
    let (ended, result) = wait(receiver, &["a", "b"], Duration::from_secs(60)).await;
    assert_eq!(ended, [("b".to_owned(), Verdict::Done), ("a".to_owned(), Verdict::Done)]);
    assert_eq!(result, Ok(()));
    world.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_reported_as_waiting() {
    let (_sender, receiver) = channel(snapshot([stopped("a"), healthy("b", 2)]));
    let began = Instant::now();
    let (ended, result) = wait(receiver, &["a", "b"], Duration::from_secs(5)).await;
    assert_eq!(ended, [("b".to_owned(), Verdict::Done), ("a".to_owned(), Verdict::Waiting)]);
    assert_eq!((result, began.elapsed()), (Ok(()), Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_ends_the_wait_within_two_seconds() {
    let mut away = snapshot([stopped("a")]);
    away.conditions.push(engine_away("connection refused"));
    let (_sender, receiver) = channel(away);
    let began = Instant::now();
    let (ended, result) = wait(receiver, &["a"], Duration::from_secs(60)).await;
    assert_eq!(ended, []);
    assert_eq!(result, Err(Interrupted::EngineUnavailable("connection refused".to_owned())));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_at_once_does_not() {
    let mut away = snapshot([stopped("a")]);
    away.conditions.push(engine_away("connection refused"));
    let (sender, receiver) = channel(away);
    let world = tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        sender.send_replace(Arc::new(snapshot([stopped("a")])));
        sleep(Duration::from_secs(3)).await;
        sender.send_replace(Arc::new(snapshot([healthy("a", 1)])));
        sender.closed().await;
    });
    let (ended, result) = wait(receiver, &["a"], Duration::from_secs(60)).await;
    assert_eq!((ended, result), (vec![("a".to_owned(), Verdict::Done)], Ok(())));
    world.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_goes_away_is_no_answer() {
    let (sender, receiver) = channel(snapshot([stopped("a")]));
    drop(sender);
    let (_, result) = wait(receiver, &["a"], Duration::from_secs(60)).await;
    assert_eq!(result, Err(Interrupted::ControllerGone));
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_within_its_first_second_was_never_up() {
    let young = ServiceStatus { last_probe: None, started_at: Some(NOW), ..healthy("a", 1) };
    let (sender, receiver) = channel(snapshot([young]));
    let world = tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        sender.send_replace(Arc::new(snapshot([crashing("a")])));
        sender.closed().await;
    });
    let (ended, _) = wait(receiver, &["a"], Duration::from_secs(60)).await;
    assert_eq!(ended, [("a".to_owned(), Verdict::Failed)]);
    world.await.unwrap();
}
