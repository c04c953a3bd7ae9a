//! What other programs make of the same rules. `croner` is asked about every line of the table; of `cron` is shown where it
//! differs from crontab(5), and that both agree where it does not.

use std::str::FromStr as _;

use chrono::{DateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use runbook_core::schedule::{Dst, Rule, Timetable, Zone};
use runbook_core::time::Timestamp;

use crate::vectors::{Vector, vectors};

/// What croner answers, as far as it does.
fn by_croner(vector: &Vector) -> Vec<Timestamp> {
    let zone: Tz = vector.timetable.zone().name().parse().unwrap();
    let Ok(cron) = croner::Cron::from_str(&vector.timetable.rule().to_string()) else { return Vec::new() };
    let mut at = DateTime::from_timestamp_micros(vector.after.0).unwrap().with_timezone(&zone);
    let mut found = Vec::new();
    for _ in 0..vector.slots.len().max(1) {
        match cron.find_next_occurrence(&at, false) {
            Ok(next) => at = next,
            Err(_) => break,
        }
        found.push(Timestamp(at.timestamp_micros()));
    }
    found
}

#[test]
fn croner_agrees_where_the_table_does_not_say_otherwise() {
    let mut wrong = Vec::new();
    for vector in vectors().iter().filter(|vector| vector.timetable.dst() == Dst::Cron) {
        let answer = by_croner(vector);
        if (answer == vector.slots) == vector.mark("croner").is_some() {
            wrong.push(format!(
                "{}\n    answers {}",
                vector.line,
                answer.iter().map(|at| at.to_string()).collect::<Vec<_>>().join(" ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} lines not as marked:\n{}", wrong.len(), wrong.join("\n"));
}

fn by_cron(rule: &str, after: &str) -> Option<DateTime<Utc>> {
    let after: DateTime<Utc> = after.parse().unwrap();
    cron::Schedule::from_str(rule).unwrap().after(&after).next()
}

#[test]
fn the_crate_cron_is_not_crontab() {
    assert!(cron::Schedule::from_str("0 2 * * *").is_err(), "it wants seconds");
    assert!(cron::Schedule::from_str("0 0 2 * * 0").is_err(), "it has no Sunday 0");
    assert!(cron::Schedule::from_str("@midnight").is_err() && cron::Schedule::from_str("@annually").is_err());
    let told = |rule, after| by_cron(rule, after).map(|it| it.to_rfc3339());
    // 1 is its Sunday: 4 January 2026 was one.
    assert_eq!(told("0 0 0 * * 1", "2026-01-01T00:00:00Z").as_deref(), Some("2026-01-04T00:00:00+00:00"));
    // The two fields of days are joined with and: the first Friday (its 6) that is a 13th.
    assert_eq!(told("0 0 0 13 * 6", "2026-01-01T00:00:00Z").as_deref(), Some("2026-02-13T00:00:00+00:00"));
    // It ends with 2100.
    assert_eq!(told("0 0 0 1 1 *", "2100-06-01T00:00:00Z"), None);
    // In the second pass of an overlap it goes back in time.
    let second_pass = Utc.with_ymd_and_hms(2026, 10, 25, 1, 10, 0).unwrap().with_timezone(&Tz::Europe__Amsterdam);
    let next = cron::Schedule::from_str("0 30 2 * * *").unwrap().after(&second_pass).next().unwrap();
    assert!(next < second_pass, "{next}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where one of the fields of days is `*`, both mean the same by their own numbers, as long as no clock is changed.
    #[test]
    fn both_agree_on_plain_rules(
        minute in 0u32..60, hour in 0u32..24, day in 1u32..32, weekday in 0u32..7, by_week: bool,
        at in 946_684_800i64..4_070_908_800,
    ) {
        let (days, weekdays, theirs) = match by_week {
            true => ("*".to_owned(), weekday.to_string(), (weekday + 1).to_string()),
            false => (day.to_string(), "*".to_owned(), "*".to_owned()),
        };
        let rule: Rule = format!("{minute} {hour} {days} * {weekdays}").parse().unwrap();
        let ours = Timetable::new(rule, Zone::UTC, Dst::Cron).next_after(Timestamp(at * 1_000_000));
        let after = DateTime::from_timestamp(at, 0).unwrap();
        let theirs = cron::Schedule::from_str(&format!("0 {minute} {hour} {days} * {theirs}")).unwrap().after(&after).next();
        prop_assert_eq!(ours.map(|at| at.0), theirs.map(|at| at.timestamp_micros()));
    }
}
