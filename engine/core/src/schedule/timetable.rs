//! A rule in a zone: the instants at which it is due, and what becomes of times that a change of the clocks skips or
//! repeats. The promises are in `docs/schedules.md`. Never reads a clock.
//!
//! A minute of the clock on the wall is found by the rule's own search, as if there were no zones; only then is it placed
//! among the instants, by the zone's offsets around it. So no answer depends on walking through time, each is strictly
//! later than what it was asked for, and the search ends.

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::search::YEARS;
use super::zone::{Change, DATA_BEGIN, Zone};
use crate::calendar::{DAY_SECONDS, Date};
use crate::limits;
use crate::time::{Span, Timestamp};

const HOUR: i64 = 3_600;
/// How far around a second of the wall, taken for UTC, the instants are that could show it: zones reach from 12 hours
/// behind UTC to 14 ahead, and one hour more leaves room for the change itself.
const BEHIND: i64 = 15 * HOUR;
const AHEAD: i64 = 13 * HOUR;
/// Clocks have never been set back by more than this.
const SET_BACK: i64 = 26 * HOUR;
/// The year from which on the zones' offsets follow the calendar alone.
const REGULAR: i64 = 2_100;

/// What becomes of times that a change of the clocks skips or repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dst {
    /// As cron does: a rule with fixed times as [`Dst::Once`], one that follows real time as [`Dst::RealTime`].
    #[default]
    Cron,
    /// Skipped times are due together at the first instant after the gap; repeated ones in the first pass alone.
    Once,
    /// Skipped times are not due; repeated ones are due in both passes.
    RealTime,
    /// Skipped times are not due; repeated ones are due in the first pass alone.
    Skip,
    /// Skipped times are due together at the first instant after the gap; repeated ones are due in both passes.
    Twice,
}

impl Dst {
    /// The words of the language, each with its meaning.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("cron", Self::Cron),
        ("once", Self::Once),
        ("real_time", Self::RealTime),
        ("skip", Self::Skip),
        ("twice", Self::Twice),
    ];

    /// Its word.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Once => "once",
            Self::RealTime => "real_time",
            Self::Skip => "skip",
            Self::Twice => "twice",
        }
    }

    /// What it comes to for a rule: never [`Dst::Cron`].
    #[must_use]
    pub const fn of(self, rule: &Rule) -> Self {
        match self {
            Self::Cron if rule.follows_real_time() => Self::RealTime,
            Self::Cron => Self::Once,
            other => other,
        }
    }

    const fn keeps_skipped(self) -> bool {
        matches!(self, Self::Once | Self::Twice)
    }

    const fn repeats(self) -> bool {
        matches!(self, Self::RealTime | Self::Twice)
    }
}

/// When something is due: a rule, read in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Timetable {
    rule: Rule,
    zone: Zone,
    dst: Dst,
}

/// A time at which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When.
    pub at: Timestamp,
    /// What the clock on the wall shows then.
    pub wall: Wall,
    /// How far that clock is ahead of UTC.
    pub offset: Span,
    /// What is special about it.
    pub remark: Option<Remark>,
}

/// What is special about a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The rule names a time that the change of the clocks skipped: this one, and perhaps more.
    Moved(Wall),
    /// The clock shows this time twice, and this is the first.
    FirstPass,
    /// The clock shows this time twice, and this is the second.
    SecondPass,
}

/// What a clock on the wall shows: date and time without a zone, in seconds since 1970-01-01T00:00:00 of that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub i64);

/// Where a minute of the wall lies among the instants, in seconds.
enum Placed {
    At(i64),
    /// Nowhere: this change skipped it.
    Skipped(Change),
}

impl Timetable {
    /// A rule in a zone.
    pub const fn new(rule: Rule, zone: Zone, dst: Dst) -> Self {
        Self { rule, zone, dst }
    }

    /// Its rule.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Its zone.
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// What becomes of times that are skipped or repeated.
    pub const fn dst(&self) -> Dst {
        self.dst
    }

    /// When it is due next, strictly after an instant; `None` when it never is again, or not before the year 10,000.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.found_after(after).map(|(at, _)| Timestamp(at * 1_000_000))
    }

    /// The slots strictly after an instant, in their order.
    pub fn slots_after(&self, after: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        let mut last = after;
        std::iter::from_fn(move || {
            let (at, named) = self.found_after(last)?;
            last = Timestamp(at * 1_000_000);
            Some(self.slot(at, named))
        })
    }

    /// The last slot up to an instant, it included, where `first` is one that is not later. Halves the time between the
    /// two, so that it costs some dozens of searches however many slots lie between.
    pub fn last_until(&self, first: Timestamp, until: Timestamp) -> Timestamp {
        // Slots lie at full seconds.
        let (mut last, mut end) = (first.0.div_euclid(1_000_000), until.0.div_euclid(1_000_000));
        let mut look = last;
        while last < end {
            match self.found_after(Timestamp(look * 1_000_000)) {
                Some((slot, _)) if slot * 1_000_000 <= until.0 => last = slot,
                _ => end = look,
            }
            look = last + (end - last) / 2;
        }
        Timestamp(last * 1_000_000)
    }

    /// The next instant, and the second of the wall that the rule names.
    fn found_after(&self, after: Timestamp) -> Option<(i64, i64)> {
        // Slots lie at full seconds, so what is finer does not matter.
        let mut after = after.0.div_euclid(1_000_000).max(DATA_BEGIN);
        let last = Date::of(after.div_euclid(DAY_SECONDS)).year.max(REGULAR).saturating_add(YEARS);
        let last = last.min(limits::SLOT_YEAR);
        let dst = self.dst.of(&self.rule);
        let shown = after + self.zone.offset_at(after);
        let (mut from, mut set_back) = if dst.repeats() {
            // Clocks that are set back show minutes again that the search, which goes on from here, has behind it.
            let change = self.zone.change_between(after, after + SET_BACK);
            (shown + 1, change.filter(|change| change.after < change.before))
        } else {
            // And here what was shown before is not to come again.
            let change = self.zone.change_between(after - SET_BACK, after);
            let change = change.filter(|change| change.after < change.before);
            (change.map_or(shown + 1, |change| change.wall_before().max(shown + 1)), None)
        };
        loop {
            let named = self.rule.first_from(-(-from).div_euclid(60), last)? * 60;
            let at = match self.place(named, after) {
                Placed::At(at) => at,
                Placed::Skipped(change) if dst.keeps_skipped() => change.at,
                Placed::Skipped(change) => {
                    from = change.wall_after();
                    continue;
                }
            };
            match set_back.take() {
                Some(change) if at >= change.at => (from, after) = (change.wall_after(), change.at - 1),
                _ => return (Date::of(at.div_euclid(DAY_SECONDS)).year <= limits::SLOT_YEAR).then_some((at, named)),
            }
        }
    }

    /// The first instant after `after` at which the clock on the wall shows `wall`.
    fn place(&self, wall: i64, after: i64) -> Placed {
        let Some(change) = self.zone.change_between(wall - BEHIND, wall + AHEAD) else {
            return Placed::At(wall - self.zone.offset_at(wall - BEHIND));
        };
        let first = wall - change.before;
        if first < change.at && (first > after || wall < change.wall_after()) {
            Placed::At(first)
        } else if wall < change.wall_after() {
            Placed::Skipped(change)
        } else {
            Placed::At(wall - change.after)
        }
    }

    fn slot(&self, at: i64, named: i64) -> Slot {
        let offset = self.zone.offset_at(at);
        let wall = at + offset;
        let change = self.zone.change_between(wall - BEHIND, wall + AHEAD);
        let remark = match change {
            _ if named != wall => Some(Remark::Moved(Wall(named))),
            Some(change) if (change.wall_after()..change.wall_before()).contains(&wall) => {
                Some(if at < change.at { Remark::FirstPass } else { Remark::SecondPass })
            }
            _ => None,
        };
        Slot { at: Timestamp(at * 1_000_000), wall: Wall(wall), offset: Span::seconds(offset), remark }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_is_the_one_that_a_walk_finds() {
        for (cron, zone) in [
            ("*/7 * * * *", "UTC"),
            ("30 2 * * *", "Europe/Amsterdam"),
            ("0 0 29 2 *", "UTC"),
            ("*/30 0-3 * * sun", "America/Santiago"),
        ] {
            let table = Timetable::new(cron.parse().unwrap(), Zone::named(zone).unwrap(), Dst::Cron);
            let slots: Vec<Timestamp> =
                table.slots_after(Timestamp(-2_000_000_000_000_000)).take(120).map(|slot| slot.at).collect();
            for (from, first) in slots.iter().enumerate().step_by(7) {
                for last in slots.iter().skip(from).step_by(5) {
                    assert_eq!(table.last_until(*first, *last), *last, "{cron} in {zone}");
                    assert_eq!(table.last_until(*first, Timestamp(last.0 + 59_999_999)), *last, "{cron} in {zone}");
                    if last > first {
                        let before = slots.iter().rev().find(|slot| *slot < last).unwrap();
                        assert_eq!(table.last_until(*first, Timestamp(last.0 - 1)), *before, "{cron} in {zone}");
                    }
                }
            }
        }
    }
}
