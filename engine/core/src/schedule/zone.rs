//! Time zones by their IANA names: how far a clock on the wall is from UTC at an instant, and when it is changed.
//!
//! The data are compiled in (chrono-tz), so that two machines with one version of the program agree, whatever their
//! systems have installed. They end with the year 2099; what holds then is continued for ever, see [`in_known_years`].
//! Never knows rules.

use std::str::FromStr as _;

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::calendar::{DAY_SECONDS, Date, weekday};
use crate::expression::did_you_mean;
use crate::time::Timestamp;

/// The first second that the data do not cover: 2100-01-01T00:00:00Z.
const DATA_END: i64 = Date { year: 2100, month: 1, day: 1 }.days() * DAY_SECONDS;
/// 0001-01-01T00:00:00Z. What is earlier is taken for this.
pub(super) const DATA_BEGIN: i64 = Date { year: 1, month: 1, day: 1 }.days() * DAY_SECONDS;
/// By the weekday of their 1 March, Sunday first: years that begin there and end before the data do. They lie after 2087,
/// the last year for which the data hold changes that follow the moon and not the calendar.
const MARCHES: [i64; 7] = [march(2093), march(2094), march(2095), march(2090), march(2096), march(2097), march(2098)];

const fn march(year: i64) -> i64 {
    Date { year, month: 3, day: 1 }.days()
}

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// A name that no zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {name:?} in the IANA database of {}", chrono_tz::IANA_TZDB_VERSION)]
pub struct ZoneFault {
    /// The name, cut where it is long.
    pub name: String,
    /// What to do next.
    pub help: String,
}

/// A change of a zone's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The first second that has the new offset, since 1970 in UTC.
    pub(super) at: i64,
    /// Seconds east of UTC before it.
    pub(super) before: i64,
    /// Seconds east of UTC from it on.
    pub(super) after: i64,
}

impl Change {
    /// Where clocks on the wall are when it comes: the first second that they do not show before it.
    pub(super) const fn wall_before(self) -> i64 {
        self.at + self.before
    }

    /// What clocks on the wall show first after it.
    pub(super) const fn wall_after(self) -> i64 {
        self.at + self.after
    }
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of an IANA name, written as the database writes it.
    ///
    /// # Errors
    /// No zone has that name; with the nearest one that exists.
    pub fn named(name: &str) -> Result<Self, ZoneFault> {
        /// How much of a name a message repeats, in characters.
        const SHOWN: usize = 60;
        Tz::from_str(name).map(Self).map_err(|_| {
            let meant = did_you_mean(name, TZ_VARIANTS.iter().map(|zone| zone.name()));
            let city = |zone: &&Tz| zone.name().rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
            let meant = meant.or_else(|| TZ_VARIANTS.iter().find(city).map(|zone| zone.name().to_owned()));
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "zones have names such as Europe/Amsterdam, America/New_York or UTC".to_owned(),
            };
            ZoneFault { name: name.chars().take(SHOWN).collect(), help }
        })
    }

    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What a clock on the wall shows at an instant: the day of the week, Sunday as 0, and the minute of the day.
    pub fn wall(self, at: Timestamp) -> (u32, u32) {
        let second = at.0.div_euclid(1_000_000);
        let shown = second + self.offset_at(second);
        let minute = shown.rem_euclid(DAY_SECONDS) / 60;
        (weekday(shown.div_euclid(DAY_SECONDS)), u32::try_from(minute).unwrap_or(0))
    }

    /// Seconds east of UTC at a second since 1970.
    pub(super) fn offset_at(self, at: i64) -> i64 {
        let at = if at < DATA_END { at.max(DATA_BEGIN) } else { in_known_years(at) };
        // The default is never taken: the bounds above are well inside of what chrono knows.
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        i64::from(self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }

    /// The change between two seconds, `from` excluded and `to` included; `None` when both have the same offset.
    ///
    /// No zone has changed its clocks twice within six days since 1970 (a test looks), so that a span of at most that
    /// length holds one change or none.
    pub(super) fn change_between(self, from: i64, to: i64) -> Option<Change> {
        let (before, after) = (self.offset_at(from), self.offset_at(to));
        if before == after {
            return None;
        }
        let (mut low, mut high) = (from, to);
        while high - low > 1 {
            let mut middle = low.midpoint(high);
            // Nearly all changes come at full quarters of an hour.
            let quarter = middle - middle.rem_euclid(900);
            if quarter > low {
                middle = quarter;
            } else if quarter + 900 < high {
                middle = quarter + 900;
            } else if self.offset_at(high - 1) == before {
                break;
            }
            if self.offset_at(middle) == before {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(Change { at: high, before, after })
    }
}

/// An instant before 2100 at which every zone has the offset that it has at `at`, by the rules of the last known years.
///
/// Laws on summer time name days by month and weekday ("the last Sunday of March"). Which dates these are depends on the
/// weekday of 1 March alone, in the year from March to February; so each such year after the data is like one in them.
fn in_known_years(at: i64) -> i64 {
    let days = at.div_euclid(DAY_SECONDS);
    let date = Date::of(days);
    let begin = march(if date.month < 3 { date.year - 1 } else { date.year });
    // A leap day at the end of a year without one becomes 1 March: no zone changes its clocks there.
    let like = MARCHES[weekday(begin) as usize] + (days - begin);
    like * DAY_SECONDS + at.rem_euclid(DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones() -> impl Iterator<Item = Zone> {
        TZ_VARIANTS.iter().copied().map(Zone)
    }

    fn second(text: &str) -> i64 {
        text.parse::<crate::time::Timestamp>().unwrap().0 / 1_000_000
    }

    #[test]
    fn names_are_those_of_the_database() {
        assert_eq!(Zone::named("Europe/Amsterdam").map(Zone::name), Ok("Europe/Amsterdam"));
        assert_eq!(Zone::named("UTC"), Ok(Zone::UTC));
        for (name, help) in [
            ("Europe/Amsterdm", "did you mean `Europe/Amsterdam`?"),
            ("europe/amsterdam", "did you mean `Europe/Amsterdam`?"),
            ("Amsterdam", "did you mean `Europe/Amsterdam`?"),
            ("+02:00", "zones have names such as Europe/Amsterdam, America/New_York or UTC"),
            ("", "zones have names such as Europe/Amsterdam, America/New_York or UTC"),
        ] {
            assert_eq!(Zone::named(name).unwrap_err().help, help, "{name:?}");
        }
        assert_eq!(Zone::named(&"x".repeat(1 << 20)).unwrap_err().name.len(), 60);
    }

    #[test]
    fn the_years_that_stand_for_later_ones_begin_on_their_weekday() {
        for (day, begin) in MARCHES.into_iter().enumerate() {
            assert_eq!(weekday(begin) as usize, day);
            let Date { year, month, day } = Date::of(begin);
            assert!((month, day) == (3, 1) && (2088..2099).contains(&year), "{year}");
        }
    }

    #[test]
    fn no_zone_changes_its_clocks_twice_within_six_days() {
        // Half the span, so that two changes in one of them would be seen from the next.
        const STEP: i64 = 3 * DAY_SECONDS;
        let end = second("2101-01-01T00:00:00Z");
        for zone in zones() {
            let (mut last, mut offset) = (-6 * DAY_SECONDS, zone.offset_at(0));
            for to in (STEP..end).step_by(STEP as usize) {
                let next = zone.offset_at(to);
                if next != std::mem::replace(&mut offset, next) {
                    let change = zone.change_between(to - STEP, to).unwrap();
                    assert!(change.at - last > 6 * DAY_SECONDS, "{}: {}", zone.name(), change.at);
                    assert_eq!(zone.offset_at(change.at - 1), change.before);
                    assert_eq!(zone.offset_at(change.at), change.after);
                    last = change.at;
                }
            }
        }
    }

    #[test]
    fn no_zone_changes_its_clocks_where_the_known_years_are_joined() {
        // From the end of February to the first days of March, in every year that others are like.
        for zone in zones() {
            for begin in MARCHES {
                let year = Date::of(begin).year;
                for at in [begin, march(year + 1)].map(|days| days * DAY_SECONDS) {
                    let (from, to) = (at - 3 * DAY_SECONDS, at + 3 * DAY_SECONDS);
                    assert_eq!(zone.change_between(from, to), None, "{} {year}", zone.name());
                }
            }
        }
    }

    #[test]
    fn what_holds_in_the_last_known_years_holds_for_ever() {
        // By the laws themselves: the Sundays on which clocks change, and the hour in UTC.
        for (zone, year, changes) in [
            ("America/New_York", 2100, ["2100-03-14T07:00:00Z", "2100-11-07T06:00:00Z"]),
            ("America/New_York", 2124, ["2124-03-12T07:00:00Z", "2124-11-05T06:00:00Z"]),
            ("Europe/Berlin", 2101, ["2101-03-27T01:00:00Z", "2101-10-30T01:00:00Z"]),
            ("Europe/Berlin", 2104, ["2104-03-30T01:00:00Z", "2104-10-26T01:00:00Z"]),
            ("Australia/Lord_Howe", 2100, ["2100-04-03T15:00:00Z", "2100-10-02T15:30:00Z"]),
            ("America/Santiago", 2150, ["2150-04-05T03:00:00Z", "2150-09-06T04:00:00Z"]),
        ] {
            let zone = Zone::named(zone).unwrap();
            let begin = Date { year, month: 1, day: 1 }.days() * DAY_SECONDS;
            let steps = (0..122).filter_map(|step| {
                let from = begin + step * 3 * DAY_SECONDS;
                zone.change_between(from, from + 3 * DAY_SECONDS)
            });
            let found: Vec<i64> = steps.map(|change| change.at).collect();
            assert_eq!(found, changes.map(second), "{} {year}", zone.name());
        }
        // The data name Ramadans until 2087, and none after.
        let casablanca = Zone::named("Africa/Casablanca").unwrap();
        let from = second("2100-01-01T00:00:00Z");
        assert!((0..36_525).all(|day| casablanca.offset_at(from + day * DAY_SECONDS) == 3_600));
    }

    #[test]
    fn any_second_has_an_offset() {
        let zone = Zone::named("America/New_York").unwrap();
        for at in [i64::MIN, i64::MIN / 1_000_000, 0, i64::MAX / 1_000_000, i64::MAX] {
            assert!(zone.offset_at(at).abs() < DAY_SECONDS);
        }
    }
}
