//! Instants and spans as the core counts them. Never reads a clock.

use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::calendar::{DAY_SECONDS, Date};

/// How much of a text that is no instant a message repeats, in characters.
const TIMESTAMP_SHOWN: usize = 60;

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds, never negative in a definition; between instants it may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole milliseconds.
    pub const fn millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// A span of whole minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// The whole milliseconds in it, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000
    }
}

impl std::fmt::Display for Span {
    /// As the language writes it, in its two largest units that are not zero: `1h30m`, `2s`, `250ms`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(&str, i64); 6] = [
            ("d", 86_400_000_000),
            ("h", 3_600_000_000),
            ("m", 60_000_000),
            ("s", 1_000_000),
            ("ms", 1_000),
            ("us", 1),
        ];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.saturating_abs();
        let mut written = 0;
        for (unit, size) in UNITS {
            if rest >= size && written < 2 {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
                written += 1;
            } else if written == 1 {
                break;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with microseconds where there are any.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        let Date { year, month, day } = Date::of(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if micros > 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

/// Why a text is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no instant: write RFC 3339 with its offset, as 2026-03-29T00:00:00Z or 2026-03-29T01:00:00+01:00")]
pub struct TimestampFault(String);

impl FromStr for Timestamp {
    type Err = TimestampFault;

    /// Reads RFC 3339. What is finer than a microsecond is dropped.
    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        let read = chrono::DateTime::parse_from_rfc3339(text);
        read.map(|instant| Self(instant.timestamp_micros()))
            .map_err(|_| TimestampFault(text.chars().take(TIMESTAMP_SHOWN).collect()))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;

    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_as_rfc_3339() {
        for (instant, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_795_231_439_123_456, "2026-11-21T03:23:59.123456Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp(instant).to_string(), text);
        }
    }

    #[test]
    fn instants_read_as_rfc_3339() {
        for (text, instant) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T01:00:00+01:00", 951_782_400_000_000),
            ("2026-11-21T03:23:59.1234569Z", 1_795_231_439_123_456),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(instant)), "{text}");
        }
        for text in ["", "now", "2026-03-29", "2026-03-29T00:00:00", "2026-02-30T00:00:00Z", "1795231439"] {
            let told = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(told.starts_with(&format!("{text:?} is no instant: write RFC 3339")), "{told}");
        }
    }

    #[test]
    fn spans_are_shown_as_the_language_writes_them() {
        for (span, text) in [
            (Span::ZERO, "0s"),
            (Span::millis(250), "250ms"),
            (Span::seconds(90), "1m30s"),
            (Span::minutes(60), "1h"),
            (Span::seconds(86_400 + 60), "1d"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }
}
