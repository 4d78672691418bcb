//! `events` and `up`.

use jiff::tz::TimeZone;

use crate::cli::text;
use crate::model::{EventRecord, EventType, Time};

/// One event on one line. Widths are fixed, because lines come one by one.
pub fn render_event(event: &EventRecord, zone: &TimeZone) -> String {
    let kind = match event.kind {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    let count = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
    let line = format!(
        "{}  {kind:<7}  {:<20}  {:<18}  {}{count}",
        local(event.time, zone),
        event.object,
        event.reason,
        event.message,
    );
    text::one_line(&line)
}

/// A moment as people write it where they are.
pub(super) fn local(time: Time, zone: &TimeZone) -> String {
    let Some(timestamp) =
        i64::try_from(time.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
    else {
        return "-".to_owned();
    };
    timestamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
