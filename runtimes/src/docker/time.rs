//! Docker's timestamps: RFC 3339 in UTC or with an offset, up to nanoseconds.

use std::time::{Duration, SystemTime};

/// Parses a timestamp; `None` for what is malformed, before 1970, or the zero time that stands for "never".
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.split('-');
    let year: i64 = number(date.next()?)?;
    let month: i64 = number(date.next()?)?;
    let day: i64 = number(date.next()?)?;
    let zone = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.split(':');
    let hours: i64 = number(clock.next()?)?;
    let minutes: i64 = number(clock.next()?)?;
    let seconds: i64 = number(clock.next()?)?;
    if date.next().is_some()
        || clock.next().is_some()
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let nanos: u32 = match fraction.len() {
        0 => 0,
        digits @ 1..=9 => {
            let value: u32 = number(fraction)?.try_into().ok()?;
            value * 10_u32.pow(u32::try_from(9 - digits).ok()?)
        }
        _ => return None,
    };
    let total =
        days_since_1970(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds - offset(zone)?;
    let total = u64::try_from(total).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(total, nanos))
}

/// As the engine takes it in a query: `seconds.nanoseconds` since 1970.
pub(super) fn unix(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// Days of the proleptic Gregorian calendar; years count from March so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Option<u128> {
        parse(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos())
    }

    #[test]
    fn timestamps() {
        assert_eq!(nanos("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanos("2000-02-29T12:00:00.5Z"), Some(951_825_600_500_000_000));
        assert_eq!(nanos("2026-11-22T20:45:04.123456789Z"), Some(1_795_380_304_123_456_789));
        assert_eq!(nanos("2026-11-22T22:45:04.123456789+02:00"), Some(1_795_380_304_123_456_789));
        assert_eq!(nanos("2026-11-22T18:15:04-02:30"), Some(1_795_380_304_000_000_000));
        assert_eq!(nanos("0001-01-01T00:00:00Z"), None);
        assert_eq!(nanos("yesterday"), None);
        assert_eq!(nanos("2026-11-22T20:45:04"), None);
    }

    #[test]
    fn queries() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(5, 7);
        assert_eq!(unix(time), "5.000000007");
    }
}
