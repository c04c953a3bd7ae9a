//! Points in time and spans as people and programs read them. The only file that asks for the local time zone.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MILLI: i64 = 1_000;
const NANOS_PER_MICRO: i32 = 1_000;

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
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

/// The moment of an optional timestamp.
pub fn moment(at: Option<&Timestamp>) -> Option<Moment> {
    at.map(Moment::from)
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
