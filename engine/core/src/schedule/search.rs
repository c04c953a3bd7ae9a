//! The next minute of a clock on the wall that a rule names: month by month, each as a word of bits. Never knows zones.
//!
//! Own search, because what the `cron` crate does differs where it matters: it joins the two day fields with *and*, ends
//! in 2100, and brings a clock along. Here a month costs a few nanoseconds, whatever the rule, and [`YEARS`] of them are
//! enough to know that a rule never fires.

use super::rule::{Days, Rule};
use crate::calendar::{DAY_MINUTES, Date, days_in_month, weekday};

/// Within so many years after any year, a year of each kind comes (leap or not, by the weekday on which it begins): 28 as
/// a rule, 40 where a century without a leap year lies between. What has not come by then never comes.
pub(super) const YEARS: i64 = 41;

impl Rule {
    /// The first minute at or after `from` that the rule names, in minutes since 1970-01-01T00:00 of the clock on the
    /// wall, and not after the year `last`.
    pub(super) fn first_from(&self, from: i64, last: i64) -> Option<i64> {
        let (day, minute) = (from.div_euclid(DAY_MINUTES), from.rem_euclid(DAY_MINUTES));
        let date = Date::of(day);
        if date.year > last {
            return None;
        }
        let first_of_month = day - i64::from(date.day) + 1;
        if self.days_of(date.year, date.month, weekday(first_of_month)) & (1 << date.day) != 0
            && let Some(minute) = self.minute_from(minute)
        {
            return Some(day * DAY_MINUTES + minute);
        }
        let day = self.day_after(date, first_of_month, last)?;
        Some(day * DAY_MINUTES + self.minute_from(0)?)
    }

    /// The first day after `date` that the rule names.
    fn day_after(&self, date: Date, first_of_month: i64, last: i64) -> Option<i64> {
        let (mut year, mut month, mut first) = (date.year, date.month, first_of_month);
        let mut wanted = (u32::MAX << date.day) << 1;
        while year <= last {
            let days = self.days_of(year, month, weekday(first)) & wanted;
            if days != 0 {
                return Some(first + i64::from(days.trailing_zeros()) - 1);
            }
            first += i64::from(days_in_month(year, month));
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            wanted = u32::MAX;
        }
        None
    }

    /// The days of a month that the rule names, as bits 1 to 31; `begins` is the weekday of the first.
    fn days_of(&self, year: i64, month: u32, begins: u32) -> u32 {
        if self.months & (1 << month) == 0 {
            return 0;
        }
        let all = (u32::MAX >> (31 - days_in_month(year, month))) & !1;
        // The week from the weekday of the first on, five times over, from bit 1 on.
        let week = u64::from(self.weekdays) | u64::from(self.weekdays) << 7;
        let week = (week >> begins) & 0x7f;
        let by_week = ((week * 0x1020_4081) << 1) as u32;
        all & match self.joined {
            Days::Both => self.days & by_week,
            Days::Either => self.days | by_week,
        }
    }

    /// The first minute of a day at or after `minute` of it.
    fn minute_from(&self, minute: i64) -> Option<i64> {
        let (hour, minute) = ((minute / 60) as u32, (minute % 60) as u32);
        let minutes = self.minutes & (u64::MAX << minute);
        if self.hours & (1 << hour) != 0 && minutes != 0 {
            return Some(i64::from(hour * 60 + minutes.trailing_zeros()));
        }
        let hours = self.hours & ((u32::MAX << hour) << 1);
        (hours != 0).then(|| i64::from(hours.trailing_zeros() * 60 + self.minutes.trailing_zeros()))
    }

    /// Whether no year has a day that the rule names, as the 31st of February.
    pub fn never(&self) -> bool {
        self.first_from(0, 1970 + YEARS).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_year_comes_within_the_years_that_are_searched() {
        let kind = |year: i64| (days_in_month(year, 2), weekday(Date { year, month: 1, day: 1 }.days()));
        let longest = (2000..2400).map(|year| (1..).find(|ahead| kind(year + ahead) == kind(year)).unwrap()).max();
        assert_eq!(longest, Some(40));
    }

    #[test]
    fn the_rarest_day_is_found_and_a_day_that_never_comes_ends_the_search() {
        let rule = |text: &str| text.parse::<Rule>().unwrap();
        let from = Date { year: 2072, month: 3, day: 1 }.days() * DAY_MINUTES;
        // 29 February on a Sunday: 2088 has one, and then, over 2100, only 2128.
        let found = rule("0 0 29 2 */7").first_from(from, 3000).unwrap();
        assert_eq!(Date::of(found / DAY_MINUTES), Date { year: 2088, month: 2, day: 29 });
        let found = rule("0 0 29 2 */7").first_from(found + 1, 3000).unwrap();
        assert_eq!(Date::of(found / DAY_MINUTES), Date { year: 2128, month: 2, day: 29 });
        assert!(rule("0 0 31 2 *").never() && rule("0 0 30,31 2 *").never() && rule("0 0 31 4,6,9,11 *").never());
        assert!(!rule("0 0 29 2 *").never() && !rule("0 0 31 2 1").never());
    }
}
