//! Podman's ways to write a moment, read into [`SystemTime`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads RFC 3339 (`2026-11-22T20:46:53.867808869Z`, or with an offset). Podman's "never", the year 1, and anything
/// before 1970 is `None`.
pub(super) fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let zone = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone)?;
    let offset = match zone {
        "Z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let seconds = days(year, month, day) * 86_400 + of_day(clock)? - offset;
    let nanos = format!("{fraction:0<9}").get(..9)?.parse::<u32>().ok()?;
    unix(seconds).map(|time| time + Duration::from_nanos(u64::from(nanos)))
}

/// Reads the `Date` header of HTTP (`Sun, 22 Nov 2026 20:50:13 GMT`) into seconds since 1970.
pub(super) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = (1_i64..).zip(MONTHS).find(|(_, month)| *month == name)?.0;
    let year = words.next()?.parse().ok()?;
    Some(days(year, month, day) * 86_400 + of_day(words.next()?)?)
}

/// Seconds since 1970, `None` for Podman's "never".
pub(super) fn unix(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Seconds since 1970 with nanoseconds, as Podman reads a `since`.
pub(super) fn since(time: SystemTime) -> String {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", elapsed.as_secs(), elapsed.subsec_nanos())
}

fn of_day(clock: &str) -> Option<i64> {
    let mut parts = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(hours * 3600 + minutes * 60 + seconds)
}

/// Days from 1970-01-01 in the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
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
        rfc3339(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_nanos())
    }

    #[test]
    fn moments() {
        assert_eq!(nanos("2026-11-22T20:51:42.599422221Z"), Some(1_795_380_702_599_422_221));
        assert_eq!(nanos("2026-11-22T22:51:42.5+02:00"), Some(1_795_380_702_500_000_000));
        assert_eq!(nanos("2026-11-22T19:21:42-01:30"), Some(1_795_380_702_000_000_000));
        assert_eq!(nanos("2024-02-29T00:00:00Z"), Some(1_709_164_800_000_000_000));
        assert_eq!(nanos("0001-01-01T00:00:00Z"), None);
        assert_eq!(nanos(""), None);
        assert_eq!(nanos("2026-11-22"), None);
    }

    #[test]
    fn dates_of_headers() {
        assert_eq!(http_date("Sun, 22 Nov 2026 20:51:42 GMT"), Some(1_795_380_702));
        assert_eq!(http_date("nonsense"), None);
    }

    #[test]
    fn never_is_none() {
        assert_eq!(unix(-62_135_596_800), None);
        assert!(unix(1_795_380_702).is_some());
    }
}
