//! Durations, byte sizes and processor counts as people write them.

use std::time::Duration;

/// Longest duration that is taken: ten years.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Parses `1m30s`, `500ms`, `1.5h`, `2 days`. A bare `0` is zero; any other number needs a unit.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut total = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let after = after.trim_start();
        let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("`{}` has no unit", rest.trim()));
        }
        let seconds = unit_seconds(unit).ok_or_else(|| format!("`{unit}` is not a unit"))?;
        total += number * seconds;
        rest = after.trim_start();
    }
    if total > MAX_DURATION.as_secs_f64() {
        return Err("it is longer than ten years".to_owned());
    }
    // Whole nanoseconds, so that `0.2s` is 200 ms in spite of binary fractions.
    Ok(Duration::from_nanos((total * 1e9).round() as u64))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nsec" => 1e-9,
        "us" | "µs" | "usec" => 1e-6,
        "ms" | "msec" | "millis" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

fn split_number(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let value: f64 = number.parse().map_err(|_error| format!("`{text}` does not begin with a number"))?;
    Ok((value, rest))
}

/// Writes a duration so that [`duration`] reads it back.
pub(super) fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Parses `64m`, `1g`, `1.5gb`, `512KiB`, or a number of bytes. Units are powers of 1024, as in Compose.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let (number, unit) = split_number(text)?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return Err(format!("`{unit}` is not a unit")),
    };
    let total = number * (1_u64 << factor) as f64;
    // i64 is what engines take.
    if total >= i64::MAX as f64 {
        return Err("it is too large".to_owned());
    }
    Ok(total.round() as u64)
}

/// Writes a size so that [`bytes`] reads it back.
pub(super) fn format_bytes(bytes: u64) -> String {
    for (shift, unit) in [(30, "g"), (20, "m"), (10, "k")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Parses a number of processors, as `2` or `0.5`, into thousandths.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn milli_cpus(text: &str) -> Result<u64, String> {
    let (number, rest) = split_number(text.trim())?;
    if !rest.is_empty() {
        return Err(format!("`{rest}` is not part of a number"));
    }
    let milli = (number * 1000.0).round();
    if !(1.0..=1_000_000.0).contains(&milli) {
        return Err("it must be from 0.001 to 1000".to_owned());
    }
    Ok(milli as u64)
}

/// Writes thousandths of a processor so that [`milli_cpus`] reads them back.
pub(super) fn format_cpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_durations_as_compose_and_humantime_write_them() {
        let ok = [
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("2 days", 172_800_000),
            ("0", 0),
            ("0s", 0),
            ("0.2s", 200),
        ];
        for (text, millis) in ok {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-5s", "5s3", "1..5s", "999999w", "5 5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for millis in [0, 1, 999, 1_000, 90_061_001] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration(&format_duration(time)), Ok(time));
        }
    }

    #[test]
    fn config_sizes() {
        let ok = [
            ("64m", 64 << 20),
            ("1g", 1 << 30),
            ("1.5gb", 3 << 29),
            ("512KiB", 512 << 10),
            ("100", 100),
            ("0", 0),
        ];
        for (text, size) in ok {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "m", "1x", "-1m", "1 2", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for size in [0, 1, 1023, 1024, 3 << 29, 64 << 20] {
            assert_eq!(bytes(&format_bytes(size)), Ok(size));
        }
    }

    #[test]
    fn config_processors() {
        assert_eq!(milli_cpus("2"), Ok(2000));
        assert_eq!(milli_cpus("0.5"), Ok(500));
        assert!(milli_cpus("0").is_err());
        assert!(milli_cpus("2x").is_err());
        assert_eq!(format_cpus(1500), "1.5");
        assert_eq!(format_cpus(2000), "2");
    }
}
