//! Rules and slots in words, for people. Never decides anything.

use std::fmt;

use super::rule::{Days, Rule};
use super::timetable::{Dst, Remark, Wall};
use crate::calendar::{DAY_SECONDS, Date, weekday};

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ALL_MINUTES: u64 = (1 << 60) - 1;
const ALL_HOURS: u64 = (1 << 24) - 1;
const ALL_DAYS: u64 = (1 << 32) - 2;
const ALL_MONTHS: u64 = (1 << 13) - 2;
const ALL_WEEKDAYS: u64 = (1 << 7) - 1;
/// So many times of a day are named one by one.
const TIMES_NAMED: u32 = 6;

impl Rule {
    /// What it says, in words: `at 02:00, on Monday to Friday in January`.
    pub fn explained(&self) -> String {
        let (time, days, months) = (self.time(), self.day(), u64::from(self.months));
        let months = match months {
            ALL_MONTHS => String::new(),
            _ => format!(" in {}", list(months, |month| MONTHS[month as usize - 1].to_owned())),
        };
        let never = if self.never() { "; no year has such a day, so it is never due" } else { "" };
        format!("{time}, {days}{months}{never}")
    }

    fn time(&self) -> String {
        let (minutes, hours) = (self.minutes, u64::from(self.hours));
        let hours_listed = list(hours, |hour| hour.to_string());
        let of_hours = match hours {
            ALL_HOURS => String::new(),
            _ if hours.count_ones() == 1 => format!(" of hour {hours_listed}"),
            _ => format!(" of hours {hours_listed}"),
        };
        if minutes == ALL_MINUTES {
            return format!("every minute{of_hours}");
        }
        if minutes.count_ones() * hours.count_ones() <= TIMES_NAMED {
            let times = ones(hours).flat_map(|hour| ones(minutes).map(move |minute| format!("{hour:02}:{minute:02}")));
            return format!("at {}", joined(&times.collect::<Vec<_>>()));
        }
        if let Some(step) = step(minutes, 60) {
            return format!("every {step} minutes{of_hours}");
        }
        let plural = if minutes.count_ones() == 1 { "" } else { "s" };
        let at = format!("at minute{plural} {}", list(minutes, |minute| minute.to_string()));
        match (hours, step(hours, 24)) {
            (ALL_HOURS, _) => format!("{at} of every hour"),
            (_, Some(step)) => format!("{at} of every {} hour, from hour 0 on", ordinal(step)),
            (_, None) => format!("{at}{of_hours}"),
        }
    }

    fn day(&self) -> String {
        let (days, weekdays) = (u64::from(self.days), u64::from(self.weekdays));
        let plural = if days.count_ones() == 1 { "" } else { "s" };
        let of_month = format!("day{plural} {} of the month", list(days, |day| day.to_string()));
        let of_week = list(weekdays, |day| WEEKDAYS[day as usize].to_owned());
        match (self.joined, days == ALL_DAYS, weekdays == ALL_WEEKDAYS) {
            (_, true, true) => "every day".to_owned(),
            (Days::Either, true, _) | (Days::Either, _, true) => {
                "every day, since one of the two fields of days is enough".to_owned()
            }
            (Days::Both, true, false) => format!("on {of_week}"),
            (Days::Both, false, true) => format!("on {of_month}"),
            (Days::Both, false, false) => format!("on {of_month} where that is a {of_week}"),
            (Days::Either, false, false) => format!("on {of_month} and also on every {of_week}"),
        }
    }

    /// What becomes of it where clocks are changed, in words.
    pub fn at_changes(&self, dst: Dst) -> &'static str {
        match dst.of(self) {
            Dst::RealTime => {
                "follows real time: not due at times that are skipped, due in both passes of repeated ones"
            }
            Dst::Skip => "not due at times that are skipped, due in the first pass alone of repeated ones",
            Dst::Twice => "due once right after a gap for all that it skipped, due in both passes of repeated times",
            Dst::Once | Dst::Cron => {
                "due once right after a gap for all that it skipped, due in the first pass alone of repeated times"
            }
        }
    }
}

impl fmt::Display for Wall {
    /// Date and time, with seconds where there are any: `2026-03-29 02:30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(DAY_SECONDS), self.0.rem_euclid(DAY_SECONDS));
        let Date { year, month, day } = Date::of(days);
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3_600, second / 60 % 60)?;
        match second % 60 {
            0 => Ok(()),
            second => write!(f, ":{second:02}"),
        }
    }
}

impl Wall {
    /// The day of the week, in three letters.
    pub fn weekday(self) -> &'static str {
        &WEEKDAYS[weekday(self.0.div_euclid(DAY_SECONDS)) as usize][..3]
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(named) => write!(f, "moved out of the DST gap: the clocks skip {named}"),
            Self::FirstPass => f.write_str("the first of two: the clocks show this time twice"),
            Self::SecondPass => f.write_str("the second of two: the clocks show this time twice"),
        }
    }
}

/// The numbers whose bits are set.
fn ones(bits: u64) -> impl Iterator<Item = u32> + Clone {
    (0..64).filter(move |bit| bits & (1 << bit) != 0)
}

/// The step that leads from 0 through exactly these numbers and evenly over into the next hour or day.
fn step(bits: u64, end: u32) -> Option<u32> {
    let step = ones(bits).nth(1).filter(|step| bits & 1 != 0 && end.is_multiple_of(*step))?;
    let stepped = (0..end).step_by(step as usize).fold(0, |bits, bit| bits | 1 << bit);
    (step > 1 && bits == stepped).then_some(step)
}

/// Numbers in words, three and more in a row as a range: `1, 5 to 7 and 9`.
fn list(bits: u64, word: impl Fn(u32) -> String) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut numbers = ones(bits).peekable();
    while let Some(low) = numbers.next() {
        let mut high = low;
        while let Some(next) = numbers.next_if_eq(&(high + 1)) {
            high = next;
        }
        match high - low {
            0 => words.push(word(low)),
            1 => words.extend([word(low), word(high)]),
            _ => words.push(format!("{} to {}", word(low), word(high))),
        }
    }
    joined(&words)
}

fn joined(words: &[String]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        words => words.concat(),
    }
}

fn ordinal(number: u32) -> String {
    match number {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        number => format!("{number}th"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_in_words() {
        for (rule, words) in [
            ("* * * * *", "every minute, every day"),
            ("*/15 * * * *", "every 15 minutes, every day"),
            ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour, every day"),
            ("*/90 * * * *", "at minute 0 of every hour, every day"),
            ("@hourly", "at minute 0 of every hour, every day"),
            ("5 */2 * * *", "at minute 5 of every second hour, from hour 0 on, every day"),
            ("* 2-4 * * *", "every minute of hours 2 to 4, every day"),
            ("*/30 9 * * *", "at 09:00 and 09:30, every day"),
            ("*/30 9-17 * * *", "every 30 minutes of hours 9 to 17, every day"),
            ("0 2 * * mon-fri", "at 02:00, on Monday to Friday"),
            ("0,30 2,14 1 jan,jul *", "at 02:00, 02:30, 14:00 and 14:30, on day 1 of the month in January and July"),
            ("0 0 13 * 5", "at 00:00, on day 13 of the month and also on every Friday"),
            ("0 0 8-14 * */7", "at 00:00, on days 8 to 14 of the month where that is a Sunday"),
            ("0 0 1-31 * 1", "at 00:00, every day, since one of the two fields of days is enough"),
            (
                "0 0 30,31 2 *",
                "at 00:00, on days 30 and 31 of the month in February; no year has such a day, so it is never due",
            ),
        ] {
            assert_eq!(rule.parse::<Rule>().unwrap().explained(), words, "{rule}");
        }
    }
}
