//! Reads `restart`: our timing, or a policy of Compose.

use super::reader::{At, Reader, clipped};
use super::yaml::Value;
use crate::model::Restart;

/// Reads restart timing. Every policy but `no` means what we do anyway; `on-failure:N` says when to give up.
pub(super) fn restart(reader: &mut Reader, at: &At<'_>) -> Restart {
    let mut restart = Restart::default();
    if let Value::Map(_) = at.node.value {
        if let Some(at) = at.get("initial") {
            restart.initial = reader.positive_duration(&at).unwrap_or(restart.initial);
        }
        if let Some(at) = at.get("max") {
            restart.max = reader.positive_duration(&at).unwrap_or(restart.max);
        }
        if let Some(at) = at.get("reset_after") {
            restart.reset_after = reader.positive_duration(&at).unwrap_or(restart.reset_after);
        }
        if let Some(at) = at.get("max_retries") {
            let retries = reader.whole(&at, 0, 1_000_000).and_then(|retries| u32::try_from(retries).ok());
            restart.max_retries = retries.unwrap_or(restart.max_retries);
        }
        if restart.initial > restart.max {
            reader.error(at, "`initial` is longer than `max`", "the wait grows from `initial` to `max`");
        }
        return restart;
    }
    let Some(policy) = reader.scalar(at) else { return restart };
    let (word, limit) = policy.split_once(':').map_or((policy.as_str(), None), |(word, n)| (word, Some(n)));
    match (word, limit.map(str::parse::<u32>)) {
        ("always" | "unless-stopped" | "on-failure", None) => {}
        ("on-failure", Some(Ok(limit))) => restart.max_retries = limit,
        ("no" | "never" | "false", None) => reader.error(
            at,
            "a service that is never restarted cannot be kept running",
            "write `restart: { max_retries: 1 }` to give up after one try",
        ),
        _ => reader.error(
            at,
            format!("`{}` is not a restart policy", clipped(&policy)),
            "write `always`, `on-failure`, `on-failure:3`, `unless-stopped`, or `{ initial: 1s, max: 60s }`",
        ),
    }
    reader.note(&format!("{}.max_retries", at.path), at);
    restart
}
