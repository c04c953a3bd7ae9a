//! The Gregorian calendar by arithmetic alone: days since 1970-01-01, their dates and weekdays, as far back and ahead as
//! anybody counts. Never knows zones, clocks or rules.
//!
//! After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// Minutes of a day.
pub const DAY_MINUTES: i64 = 1_440;
/// Seconds of a day.
pub const DAY_SECONDS: i64 = 86_400;

/// A date of the Gregorian calendar, also before it was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year; 0 is the one before year 1.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

impl Date {
    /// The date of a day, counted from 1970-01-01.
    pub const fn of(days: i64) -> Self {
        let z = days.saturating_add(719_468);
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month: month as u32, day: day as u32 }
    }

    /// Its day, counted from 1970-01-01.
    pub const fn days(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (self.month as i64 + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day as i64 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

/// The days of a month (1 to 12).
pub const fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The weekday of a day counted from 1970-01-01: 0 is Sunday, 6 is Saturday.
pub const fn weekday(days: i64) -> u32 {
    (days.rem_euclid(7) as u32 + 4) % 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_is_the_day_after_the_one_before() {
        let mut date = Date { year: 1899, month: 12, day: 31 };
        let mut weekday = weekday(date.days());
        assert_eq!(weekday, 0, "31 December 1899 was a Sunday");
        for days in date.days() + 1..=date.days() + 146_097 {
            date = match date {
                Date { year, month: 12, day: 31 } => Date { year: year + 1, month: 1, day: 1 },
                Date { year, month, day } if day == days_in_month(year, month) => {
                    Date { year, month: month + 1, day: 1 }
                }
                Date { year, month, day } => Date { year, month, day: day + 1 },
            };
            weekday = (weekday + 1) % 7;
            assert_eq!((Date::of(days), date.days(), super::weekday(days)), (date, days, weekday));
        }
        assert_eq!((date, weekday), (Date { year: 2299, month: 12, day: 31 }, 0), "the calendar repeats");
    }

    #[test]
    fn any_number_of_days_is_answered() {
        for days in [i64::MIN, i64::MIN / DAY_SECONDS, -719_528, i64::MAX / DAY_SECONDS, i64::MAX] {
            let date = Date::of(days);
            assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day), "{date:?}");
        }
        assert_eq!(Date::of(-719_528), Date { year: 0, month: 1, day: 1 });
    }
}
