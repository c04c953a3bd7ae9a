//! Points in time and spans as people and programs read them. The only file that asks for the local time zone.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MILLI: i64 = 1_000;
const NANOS_PER_MICRO: i32 = 1_000;
/// The units of spans, largest first, in microseconds.
const UNITS: [(char, i64); 4] = [
    ('d', 86_400 * MICROS_PER_SECOND),
    ('h', 3_600 * MICROS_PER_SECOND),
    ('m', 60 * MICROS_PER_SECOND),
    ('s', MICROS_PER_SECOND),
];

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
/// The times of a clock on the wall that are read, with a date and without one.
const WALL: [&[BorrowedFormatItem<'_>]; 4] = [
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"),
    format_description!("[year]-[month]-[day] [hour]:[minute]"),
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"),
    format_description!("[year]-[month]-[day]T[hour]:[minute]"),
];
const WALL_CLOCK: [&[BorrowedFormatItem<'_>]; 2] =
    [format_description!("[hour]:[minute]:[second]"), format_description!("[hour]:[minute]")];
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const DAY_MICROS: i64 = 86_400 * MICROS_PER_SECOND;
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");
const DATE_CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// A point in time: microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// Now, by the clock on the wall.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds from `earlier` to this moment; 0 when that lies later, as clocks of two readings may.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    /// As the API takes it.
    pub fn timestamp(self) -> Timestamp {
        let (seconds, micros) = (self.0.div_euclid(MICROS_PER_SECOND), self.0.rem_euclid(MICROS_PER_SECOND));
        Timestamp { seconds, nanos: i32::try_from(micros).unwrap_or(0) * NANOS_PER_MICRO }
    }

    /// The moment at which the local clock on the wall shows this. In a gap of the zone it is the time as counted from
    /// before, in an overlap either one.
    fn of_wall(wall: PrimitiveDateTime) -> Self {
        let micros = |offset: UtcOffset| {
            i64::try_from(wall.assume_offset(offset).unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
        };
        // The offset at about that time, and then at that time.
        let near = Self(micros(UtcOffset::UTC)).offset();
        Self(micros(Self(micros(near)).offset()))
    }

    fn utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).ok()
    }

    fn format(self, offset: UtcOffset, format: &[BorrowedFormatItem<'_>]) -> String {
        self.utc().and_then(|utc| utc.to_offset(offset).format(format).ok()).unwrap_or_else(|| format!("@{}us", self.0))
    }

    /// RFC 3339 in UTC, for programs.
    pub fn rfc3339(self) -> String {
        self.format(UtcOffset::UTC, RFC3339)
    }

    /// The time of day, in the local zone.
    pub fn clock(self) -> String {
        self.format(self.offset(), CLOCK)
    }

    /// The date and the time of day, in the local zone.
    pub fn date_clock(self) -> String {
        self.format(self.offset(), DATE_CLOCK)
    }

    /// The local zone's offset at this moment; asked of the system once per hour of time shown.
    fn offset(self) -> UtcOffset {
        thread_local!(static KNOWN: Cell<Option<(i64, UtcOffset)>> = const { Cell::new(None) });
        let hour = self.0.div_euclid(3_600 * MICROS_PER_SECOND);
        if let Some((known, offset)) = KNOWN.get()
            && known == hour
        {
            return offset;
        }
        let offset = self.utc().and_then(|utc| UtcOffset::local_offset_at(utc).ok()).unwrap_or(UtcOffset::UTC);
        KNOWN.set(Some((hour, offset)));
        offset
    }
}

impl From<&Timestamp> for Moment {
    fn from(at: &Timestamp) -> Self {
        Self(at.seconds.saturating_mul(MICROS_PER_SECOND).saturating_add(i64::from(at.nanos / NANOS_PER_MICRO)))
    }
}

/// The length of a time that the daemon tells.
pub fn micros(of: &prost_types::Duration) -> i64 {
    of.seconds.saturating_mul(MICROS_PER_SECOND).saturating_add(i64::from(of.nanos / NANOS_PER_MICRO))
}

/// The moment of an optional timestamp.
pub fn moment(at: Option<&Timestamp>) -> Option<Moment> {
    at.map(Moment::from)
}

/// Reads a time that has been: RFC 3339, or what the local clock on the wall showed then, yesterday where that is to come
/// today; a date alone is its beginning.
///
/// # Errors
/// In words: how it is written.
pub fn time_past(text: &str) -> Result<Moment, String> {
    if let Ok(date) = Date::parse(text.trim(), DATE) {
        return Ok(Moment::of_wall(PrimitiveDateTime::new(date, Time::MIDNIGHT)));
    }
    // The first time after this time yesterday at which the clock shows it is the last one that has been.
    read_time(text, Moment(Moment::now().0 - DAY_MICROS))
        .map_err(|wrong| format!("{wrong}; a date alone is its beginning"))
}

/// Reads a time that is to come: RFC 3339, or what the local clock on the wall shows then, tomorrow where that has been
/// today.
///
/// # Errors
/// In words: how it is written.
pub fn time_ahead(text: &str) -> Result<Moment, String> {
    read_time(text, Moment::now())
}

fn read_time(text: &str, now: Moment) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Moment(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)));
    }
    if let Some(wall) = WALL.iter().find_map(|format| PrimitiveDateTime::parse(text, format).ok()) {
        return Ok(Moment::of_wall(wall));
    }
    let clock = WALL_CLOCK.iter().find_map(|format| Time::parse(text, format).ok());
    let today = now.utc().map(|utc| utc.to_offset(now.offset()).date());
    let (Some(clock), Some(today)) = (clock, today) else {
        return Err("write it as 2026-03-29T02:30:00+01:00, as \"2026-03-29 02:30\", or as 02:30".to_owned());
    };
    let at = |date: Date| Moment::of_wall(PrimitiveDateTime::new(date, clock));
    Ok(if at(today) > now { at(today) } else { at(today.saturating_add(Duration::days(1))) })
}

/// Reads a span as people write them, in microseconds.
///
/// # Errors
/// In words: how it is written.
pub fn read_span(text: &str) -> Result<i64, String> {
    let wrong = || "write it as 90s, 2h or 1d12h: whole numbers with d, h, m, s, the largest first".to_owned();
    let (mut rest, mut total, mut units) = (text, 0_i64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let unit = behind.chars().next().ok_or_else(wrong)?;
        let (_, micros) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(*micros).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = behind.get(unit.len_utf8()..).unwrap_or_default();
    }
    if total > 0 { Ok(total) } else { Err(wrong()) }
}

/// A span as the API takes it.
pub fn duration(micros: i64) -> prost_types::Duration {
    let nanos = i32::try_from(micros % MICROS_PER_SECOND).unwrap_or(0) * NANOS_PER_MICRO;
    prost_types::Duration { seconds: micros / MICROS_PER_SECOND, nanos }
}

/// A span for people: `340 ms`, `1.2 s`, `12 s`, `2 min 05 s`, `1 h 02 min`, `3 d 04 h`.
pub fn span(micros: i64) -> String {
    let micros = micros.max(0);
    let seconds = micros / MICROS_PER_SECOND;
    match seconds {
        0 => format!("{} ms", micros / MICROS_PER_MILLI),
        1..=9 => {
            let tenths = micros / (MICROS_PER_SECOND / 10);
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        10..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A span that still grows: whole seconds only, so that a live view does not flicker.
pub fn running_span(micros: i64) -> String {
    let seconds = micros.max(0) / MICROS_PER_SECOND;
    if seconds < 10 { format!("{seconds} s") } else { span(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (micros, expected) in [
            (-5, "0 ms"),
            (340_000, "340 ms"),
            (9_999_999, "9.9 s"),
            (12_400_000, "12 s"),
            (125_000_000, "2 min 05 s"),
            (3_725_000_000, "1 h 02 min"),
            (277_200_000_000, "3 d 05 h"),
        ] {
            assert_eq!(span(micros), expected);
        }
        assert_eq!(running_span(1_900_000), "1 s");
    }

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("90s", 90), ("2h", 7_200), ("1d12h", 129_600), ("1h30m5s", 5_405)] {
            assert_eq!(read_span(text), Ok(seconds * MICROS_PER_SECOND), "{text}");
        }
        for wrong in ["", "2", "h", "2x", "30m1h", "1h1h", "-2h", "0s", "2 h", "99999999999999d", "1.5h"] {
            assert!(read_span(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_read() {
        let now = Moment(1_770_000_000 * MICROS_PER_SECOND);
        let at = read_time("2026-03-29T02:30:00+01:00", now).unwrap();
        assert_eq!(at.rfc3339(), "2026-03-29T01:30:00.000000Z");
        assert_eq!(Moment::from(&at.timestamp()), at);
        // Whatever the local zone is, the clock on the wall then shows what was written.
        let wall = read_time("2026-06-01 12:30", now).unwrap();
        assert_eq!(wall.date_clock(), "2026-06-01 12:30:00");
        assert_eq!(read_time("2026-06-01T12:30:00", now), Ok(wall));
        for clock in ["00:00", "12:30:15", "23:59"] {
            let ahead = read_time(clock, now).unwrap();
            assert!(ahead > now && ahead.since(now) <= 25 * 3_600 * MICROS_PER_SECOND, "{clock}");
            assert!(ahead.clock().starts_with(clock), "{clock}: {}", ahead.clock());
        }
        for wrong in ["", "tomorrow", "24:00", "2:3", "2026-13-01 10:00", "12:30Z"] {
            assert!(read_time(wrong, now).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_that_have_been_are_read() {
        assert_eq!(time_past("2026-06-01").unwrap().date_clock(), "2026-06-01 00:00:00");
        assert_eq!(time_past("2026-06-01 12:30"), time_ahead("2026-06-01 12:30"));
        let (now, at) = (Moment::now(), time_past("12:30").unwrap());
        assert!(at <= now && now.since(at) <= 25 * 3_600 * MICROS_PER_SECOND && at.clock() == "12:30:00", "{at:?}");
        assert!(time_past("yesterday").is_err());
    }

    #[test]
    fn programs_get_rfc_3339() {
        let at = Moment::from(&Timestamp { seconds: 1_770_000_000, nanos: 123_456_789 });
        assert_eq!(at.rfc3339(), "2026-02-02T02:40:00.123456Z");
        assert_eq!(Moment(i64::MAX).rfc3339(), format!("@{}us", i64::MAX));
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_span() {
        assert_eq!(Moment(5).since(Moment(9)), 0);
        assert_eq!(Moment(9).since(Moment(5)), 4);
    }
}
