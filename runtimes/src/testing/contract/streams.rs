//! Logs and events, as far as every engine has them.

use std::time::Duration;

use futures_util::StreamExt;

use super::lab::{Lab, SOON, collect, next, texts};
use super::{Outcome, holds};
use crate::{EventAction, EventFilter, LogOptions, ObjectKind, StreamKind};

pub(super) async fn a_log_has_its_lines(lab: &Lab) -> Outcome {
    let id = lab.start(&lab.spec_running(&["echo", "hello"])).await?;
    lab.ended(&id).await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    holds!(texts(&lines) == ["hello"], "{lines:?}");
    holds!(lines[0].stream == StreamKind::Stdout && lines[0].time.is_some(), "{lines:?}");
    Ok(())
}

pub(super) async fn a_log_keeps_what_was_written_before(lab: &Lab) -> Outcome {
    let id = lab.start(&lab.spec_running(&["echo", "again"])).await?;
    lab.ended(&id).await?;
    lab.runtime.start(&id).await?;
    lab.ended(&id).await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let lines = lab.log(&id, &options).await?;
    holds!(texts(&lines) == ["again", "again"], "{lines:?}");
    Ok(())
}

pub(super) async fn a_followed_log_ends_with_the_container(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    // Where the engine has nothing to tell it may not even answer before the end.
    let follow = async {
        let lines = lab.runtime.logs(&id, &options).await?;
        collect(lines, SOON).await
    };
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        lab.runtime.stop(&id, Duration::ZERO).await.map_err(super::Broken::from)
    };
    let (lines, ()) = tokio::try_join!(follow, stop)?;
    holds!(lines.iter().all(Result::is_ok), "{lines:?}");
    Ok(())
}

pub(super) async fn events_tell_a_life(lab: &Lab) -> Outcome {
    let filter = EventFilter { labels: lab.labels(), since: None };
    let mut events = lab.runtime.events(&filter).await?;
    let spec = lab.spec();
    let id = lab.start(&spec).await?;
    lab.runtime.kill(&id, "KILL").await?;
    lab.ended(&id).await?;
    lab.runtime.remove(&id).await?;
    let wanted = [EventAction::Created, EventAction::Started, EventAction::Died, EventAction::Removed];
    let mut told = Vec::new();
    while told.len() < wanted.len() {
        let event = next(&mut events).await?;
        let event = event?;
        if event.object != ObjectKind::Container || event.action == EventAction::Other {
            continue;
        }
        holds!(event.id == id, "an event of {}", event.id);
        holds!(event.name.as_ref().is_none_or(|name| *name == spec.name), "it is called {:?}", event.name);
        // Events may be doubled.
        if told.last() != Some(&event.action) {
            told.push(event.action);
        }
    }
    holds!(told == wanted, "told were {told:?}");
    Ok(())
}

pub(super) async fn events_of_others_are_not_told(lab: &Lab) -> Outcome {
    let filter = EventFilter { labels: lab.labels(), since: None };
    let events = lab.runtime.events(&filter).await?;
    let mut theirs = lab.spec();
    theirs.labels = lab.foreign_labels();
    let theirs = lab.runtime.create(&theirs).await?;
    let mine = lab.runtime.create(&lab.spec()).await?;
    lab.runtime.remove(&mine).await?;
    let mut seen = Vec::new();
    let mut containers = events.filter(|event| {
        std::future::ready(!matches!(event, Ok(event) if event.object != ObjectKind::Container))
    });
    loop {
        let event = next(&mut containers).await?;
        let event = event?;
        holds!(event.id != theirs, "an event of another project's container: {event:?}");
        seen.push(event.action);
        if event.action == EventAction::Removed {
            return Ok(());
        }
    }
}

pub(super) async fn events_since_then_are_told_again(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let started = lab.runtime.inspect(&id).await?.started_at;
    // Some engines count in seconds.
    let since = started.and_then(|time| time.checked_sub(Duration::from_secs(2)));
    holds!(since.is_some(), "it is not told when it started");
    let mut events = lab.runtime.events(&EventFilter { labels: lab.labels(), since }).await?;
    lab.runtime.kill(&id, "KILL").await?;
    let mut told = Vec::new();
    while told.last() != Some(&EventAction::Died) {
        let event = next(&mut events).await?;
        let event = event?;
        if event.object == ObjectKind::Container && event.id == id {
            told.push(event.action);
        }
    }
    holds!(told.contains(&EventAction::Started), "told were {told:?}");
    Ok(())
}
