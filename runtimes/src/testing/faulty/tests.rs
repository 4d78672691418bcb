use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep};

use super::{FaultPlan, Faulty};
use crate::testing::{FakeImage, FakeRuntime};
use crate::{ContainerRuntime, ContainerSpec, ErrorKind, EventFilter, ListFilter};

fn faulty(plan: FaultPlan) -> Faulty<FakeRuntime> {
    let engine = FakeRuntime::new();
    engine.add_image("db", FakeImage::default());
    Faulty::new(engine, plan)
}

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec { name: name.into(), image: "db".into(), ..ContainerSpec::default() }
}

fn exists(engine: &Faulty<FakeRuntime>, name: &str) -> bool {
    engine.engine().container(name).inspect().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_nothing_and_a_lost_reply_did_it() {
    let failing = faulty(FaultPlan { fails: 1.0, ..FaultPlan::none() });
    assert!(failing.create(&spec("a")).await.unwrap_err().is_retryable());
    assert!(!exists(&failing, "a"));
    failing.heal();
    failing.create(&spec("a")).await.unwrap();
    assert_eq!(failing.log().len(), 1);

    let losing = faulty(FaultPlan { loses_reply: 1.0, ..FaultPlan::none() });
    let error = losing.create(&spec("a")).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout));
    assert!(exists(&losing, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_lands_after_its_caller_gave_up() {
    let delay = Duration::from_secs(60);
    let slow = faulty(FaultPlan { slow: 1.0, delay, ..FaultPlan::none() });
    let before = Instant::now();
    slow.create(&spec("a")).await.unwrap();
    assert!(before.elapsed() <= delay + Duration::from_millis(10));
    assert!(tokio::time::timeout(Duration::from_micros(1), slow.create(&spec("b"))).await.is_err());
    assert_eq!((slow.under_way(), exists(&slow, "b")), (1, false));
    sleep(delay).await;
    assert_eq!((slow.under_way(), exists(&slow, "b")), (0, true));

    let late = faulty(FaultPlan { lands_late: 1.0, delay, ..FaultPlan::none() });
    assert_eq!(late.create(&spec("a")).await.unwrap_err().kind, ErrorKind::Timeout);
    assert!(!exists(&late, "a"));
    sleep(delay + Duration::from_secs(1)).await;
    assert!(exists(&late, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_severed_connection_is_silent_and_the_next_one_works() {
    let first = faulty(FaultPlan::none());
    first.sever();
    assert!(tokio::time::timeout(Duration::from_secs(9), first.create(&spec("a"))).await.is_err());
    assert!(!exists(&first, "a"));
    first.reconnected().create(&spec("a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_was_true_once() {
    let stale = faulty(FaultPlan { stale: 1.0, lag: 1, ..FaultPlan::none() });
    let all = ListFilter::default();
    assert!(stale.list(&all).await.unwrap().containers.is_empty());
    stale.create(&spec("a")).await.unwrap();
    assert!(stale.list(&all).await.unwrap().containers.is_empty());
    assert_eq!(stale.list(&all).await.unwrap().containers.len(), 1);
    stale.create(&spec("b")).await.unwrap();
    stale.heal();
    assert_eq!(stale.list(&all).await.unwrap().containers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn events_are_dropped_doubled_swapped_and_cut() {
    async fn names(plan: FaultPlan, creates: &[&str]) -> (Vec<String>, bool) {
        let engine = faulty(plan);
        let mut events = engine.events(&EventFilter::default()).await.unwrap();
        for name in creates {
            engine.create(&spec(name)).await.unwrap();
        }
        let mut names = Vec::new();
        loop {
            match events.next().now_or_never() {
                Some(Some(event)) => names.push(event.unwrap().name.unwrap()),
                Some(None) => return (names, true),
                None => return (names, false),
            }
        }
    }
    let open = |names: &[&str]| (names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), false);
    let none = FaultPlan::none();
    assert_eq!(names(none.clone(), &["a", "b"]).await, open(&["a", "b"]));
    assert_eq!(names(FaultPlan { drops: 1.0, ..none.clone() }, &["a", "b"]).await, open(&[]));
    assert_eq!(names(FaultPlan { doubles: 1.0, ..none.clone() }, &["a"]).await, open(&["a", "a"]));
    assert_eq!(names(FaultPlan { cuts: 1.0, ..none.clone() }, &["a"]).await, (Vec::new(), true));
    let mut swapped = 0;
    for seed in 0..20 {
        let plan = FaultPlan { seed, reorders: 0.5, ..none.clone() };
        swapped += u32::from(names(plan, &["a", "b"]).await == open(&["b", "a"]));
    }
    assert!(swapped > 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_fails_the_same_way() {
    async fn run(seed: u64) -> Vec<String> {
        let engine = faulty(FaultPlan::seeded(seed));
        for turn in 0..50 {
            let name = format!("c{}", turn % 5);
            let _created = engine.create(&spec(&name)).await;
            let _listed = engine.list(&ListFilter::default()).await;
            let _removed = engine.remove(&name).await;
        }
        engine.log().iter().map(ToString::to_string).collect()
    }
    for seed in 0..10 {
        assert_eq!(run(seed).await, run(seed).await);
    }
    assert_ne!(run(1).await, run(2).await);
}
