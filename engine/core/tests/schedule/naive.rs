//! Rules and zones once more, as simply as can be and by other means: sets of numbers, a walk through time minute by
//! minute, and after 2099 the laws themselves. Only the zones' data are the same.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, NaiveDateTime, Offset as _, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use runbook_core::schedule::Dst;

/// A rule as the sets that its fields name.
#[derive(Debug, Clone)]
pub struct NaiveRule {
    sets: [BTreeSet<u32>; 5],
    both: bool,
    real_time: bool,
}

impl NaiveRule {
    /// Reads a rule that is known to be good, without names.
    pub fn of(text: &str) -> Self {
        let fields: Vec<&str> = text.split(' ').collect();
        let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let star = |index: usize| fields[index].starts_with('*');
        let sets = std::array::from_fn(|index| {
            let (low, high) = bounds[index];
            let mut set = BTreeSet::new();
            for item in fields[index].split(',') {
                let (range, step) = item.split_once('/').unwrap_or((item, "1"));
                let (from, to) = match range.split_once('-') {
                    _ if range == "*" => (low, high),
                    Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                    None => (range.parse().unwrap(), range.parse().unwrap()),
                };
                set.extend((from..=to).step_by(step.parse().unwrap()).map(|it| if index == 4 { it % 7 } else { it }));
            }
            set
        });
        Self { sets, both: star(2) || star(4), real_time: star(0) || star(1) }
    }

    /// Whether it names this day.
    pub fn names_day(&self, day: NaiveDateTime) -> bool {
        let [_, _, days, months, weekdays] = &self.sets;
        let in_month = days.contains(&day.day());
        let in_week = weekdays.contains(&day.weekday().num_days_from_sunday());
        months.contains(&day.month()) && if self.both { in_month && in_week } else { in_month || in_week }
    }

    /// Whether it names this minute of the wall.
    pub fn names(&self, wall: NaiveDateTime) -> bool {
        self.sets[0].contains(&wall.minute()) && self.sets[1].contains(&wall.hour()) && self.names_day(wall)
    }

    /// The times of a day that it names, in minutes.
    pub fn times(&self) -> impl Iterator<Item = i64> + '_ {
        self.sets[1].iter().flat_map(|hour| self.sets[0].iter().map(move |minute| i64::from(hour * 60 + minute)))
    }
}

/// The date and time of a wall's second.
pub fn wall(second: i64) -> NaiveDateTime {
    DateTime::from_timestamp(second, 0).unwrap().naive_utc()
}

/// A zone with its law for the years after the data: the offset in winter, the offset in summer, the first instant of the
/// one and of the other in a year, in seconds since 1970. The order of the two tells the hemisphere.
pub struct NaiveZone {
    pub name: &'static str,
    law: Option<Law>,
}

struct Law {
    /// Minutes east of UTC without and with summer time.
    offsets: [i64; 2],
    /// Begin and end of summer time.
    changes: [Change; 2],
}

/// The n-th weekday (0 is Sunday) of a month from a day on, and the minute of that day in UTC; minutes of the day before
/// are negative.
struct Change {
    month: u32,
    from_day: u32,
    weekday: u32,
    minute: i64,
}

const fn change(month: u32, from_day: u32, weekday: u32, minute: i64) -> Change {
    Change { month, from_day, weekday, minute }
}

const fn zone(name: &'static str, offsets: [i64; 2], changes: [Change; 2]) -> NaiveZone {
    NaiveZone { name, law: Some(Law { offsets, changes }) }
}

/// Zones to draw from; after 2099 those without a law have the offset of 2099.
pub const ZONES: [NaiveZone; 14] = [
    zone("Europe/Amsterdam", [60, 120], [change(3, 25, 0, 60), change(10, 25, 0, 60)]),
    zone("Europe/London", [0, 60], [change(3, 25, 0, 60), change(10, 25, 0, 60)]),
    zone("America/New_York", [-300, -240], [change(3, 8, 0, 420), change(11, 1, 0, 360)]),
    zone("America/St_Johns", [-210, -150], [change(3, 8, 0, 330), change(11, 1, 0, 270)]),
    zone("America/Santiago", [-240, -180], [change(9, 2, 0, 240), change(4, 2, 0, 180)]),
    zone("Australia/Lord_Howe", [630, 660], [change(10, 1, 0, -510), change(4, 1, 0, -540)]),
    zone("Pacific/Auckland", [720, 780], [change(9, 24, 0, -600), change(4, 1, 0, -600)]),
    zone("Africa/Cairo", [120, 180], [change(4, 24, 5, -120), change(10, 25, 4, 1_260)]),
    NaiveZone { name: "UTC", law: None },
    NaiveZone { name: "Asia/Kolkata", law: None },
    NaiveZone { name: "Asia/Kathmandu", law: None },
    NaiveZone { name: "Pacific/Apia", law: None },
    NaiveZone { name: "Africa/Casablanca", law: None },
    NaiveZone { name: "Antarctica/Casey", law: None },
];

impl NaiveZone {
    /// Seconds east of UTC.
    pub fn offset(&self, second: i64) -> i64 {
        let utc = wall(second);
        if utc.year() < 2100 {
            let zone: Tz = self.name.parse().unwrap();
            return i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc());
        }
        let Some(Law { offsets, changes }) = &self.law else {
            return self.offset(4_102_444_799);
        };
        let [begin, end] = changes.each_ref().map(|Change { month, from_day, weekday, minute }| {
            let mut day = chrono::NaiveDate::from_ymd_opt(utc.year(), *month, *from_day).unwrap();
            while day.weekday().num_days_from_sunday() != *weekday {
                day = day.succ_opt().unwrap();
            }
            day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() + minute * 60
        });
        let summer = if begin < end { (begin..end).contains(&second) } else { second >= begin || second < end };
        offsets[usize::from(summer)] * 60
    }
}

/// Walks through time minute by minute: the minutes strictly after `after` and not after `end` at which a rule is due.
pub fn walk(rule: &NaiveRule, zone: &NaiveZone, dst: Dst, after: i64, end: i64) -> Vec<i64> {
    let (moved, repeated) = match dst {
        Dst::Cron if rule.real_time => (false, true),
        Dst::Cron | Dst::Once => (true, false),
        Dst::RealTime => (false, true),
        Dst::Skip => (false, false),
        Dst::Twice => (true, true),
    };
    let mut found = Vec::new();
    // What the clock has shown at most: two days are enough to know it.
    let begin = (after - 2 * 86_400).div_euclid(60) * 60;
    let mut highest = begin - 60 + zone.offset(begin - 60);
    for second in (begin..=end).step_by(60) {
        let shown = second + zone.offset(second);
        let skipped = || (highest + 60..shown).step_by(60).any(|second| rule.names(wall(second)));
        let named = rule.names(wall(shown)) && (repeated || shown > highest);
        if second > after && (named || (moved && skipped())) {
            found.push(second);
        }
        highest = highest.max(shown);
    }
    found
}
