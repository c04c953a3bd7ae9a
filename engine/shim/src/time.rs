//! Wall-clock time as microseconds since 1970 UTC, and its RFC 3339 text. It never knows zones or monotonic time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of the text that [`rfc3339`] writes for the years 0 to 9999: `2026-11-21T03:23:59.123456Z`.
pub const RFC3339_LEN: usize = 27;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The wall clock's microseconds since 1970 UTC; negative before it.
pub fn now_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

/// `micros` as RFC 3339 in UTC with six digits of the second, always [`RFC3339_LEN`] bytes; times outside of the years
/// 0 to 9999 are shown as the nearest of these.
pub fn rfc3339(micros: i64) -> String {
    let (first, last) = (-719_528 * SECONDS_PER_DAY, 2_932_897 * SECONDS_PER_DAY - 1);
    let seconds = micros.div_euclid(MICROS_PER_SECOND).clamp(first, last);
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// The microseconds of a text as [`rfc3339`] writes it; `None` for any other text.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != RFC3339_LEN {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        bytes[from..to].iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = number(20, 26)?;
    let micros = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let micros = micros * MICROS_PER_SECOND + fraction;
    // Writing it again refuses what is no date, such as the 31st of April or the hour 24.
    (rfc3339(micros) == text).then_some(micros)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_and_read_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_795_231_439_123_456, "2026-11-21T03:23:59.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(micros), text);
            assert_eq!(parse_rfc3339(text), Some(micros));
        }
    }

    #[test]
    fn extreme_times_keep_the_length() {
        for micros in [i64::MIN, i64::MAX] {
            assert_eq!(rfc3339(micros).len(), RFC3339_LEN);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-21T03:23:59Z",
            "2026-04-31T00:00:00.000000Z",
            "2026-11-21T24:00:00.000000Z",
            "2026-11-21T03:23:59.12345éZ",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
