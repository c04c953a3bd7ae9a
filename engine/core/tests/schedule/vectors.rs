//! The table of rules and their slots in `vectors.txt`, read and held to.

use runbook_core::schedule::{Dst, Rule, Timetable, Zone};
use runbook_core::time::Timestamp;

/// A line of the table.
pub struct Vector {
    pub line: &'static str,
    pub timetable: Timetable,
    pub after: Timestamp,
    pub slots: Vec<Timestamp>,
    marks: Vec<(&'static str, &'static str)>,
}

impl Vector {
    /// The reason why another program answers something else, if it does.
    pub fn mark(&self, program: &str) -> Option<&'static str> {
        self.marks.iter().find(|(name, _)| *name == program).map(|(_, reason)| *reason)
    }
}

/// Every line of the table.
pub fn vectors() -> Vec<Vector> {
    let lines = include_str!("vectors.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(vector).collect()
}

fn vector(line: &'static str) -> Vector {
    let mut parts = line.split(" | ");
    let mut next = || parts.next().unwrap_or_else(|| panic!("five parts: {line}"));
    let (rule, zone, after, dst, slots) = (next(), next(), next(), next(), next());
    let dst = Dst::WORDS.iter().find(|(word, _)| *word == dst).unwrap_or_else(|| panic!("{line}")).1;
    let rule: Rule = rule.parse().unwrap_or_else(|fault| panic!("{line}: {fault}"));
    let instants = slots.split(' ').filter(|slot| *slot != "never").map(|slot| slot.parse().unwrap());
    Vector {
        line,
        timetable: Timetable::new(rule, Zone::named(zone).unwrap(), dst),
        after: after.parse().unwrap(),
        slots: instants.collect(),
        marks: parts.flat_map(|marks| marks.split(' ')).map(|mark| mark.split_once('=').unwrap()).collect(),
    }
}

#[test]
fn every_rule_of_the_table_is_due_when_the_table_says() {
    let all = vectors();
    assert!(all.len() >= 300, "only {} lines", all.len());
    let mut wrong = Vec::new();
    for vector in &all {
        let Vector { timetable, after, slots, line, .. } = vector;
        let count = slots.len().max(1);
        let found: Vec<Timestamp> = timetable.slots_after(*after).take(count).map(|slot| slot.at).collect();
        if found != *slots || timetable.next_after(*after) != slots.first().copied() {
            wrong.push(format!("{line}\n    found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn slots_tell_what_the_clock_shows_and_what_is_special() {
    let told = |rule: &str, zone: &str, dst: Dst, after: &str| {
        let timetable = Timetable::new(rule.parse().unwrap(), Zone::named(zone).unwrap(), dst);
        let slot = timetable.slots_after(after.parse().unwrap()).next().unwrap();
        let remark = slot.remark.map(|remark| format!(", {remark}")).unwrap_or_default();
        format!("{} {} {}{remark}", slot.wall.weekday(), slot.wall, slot.offset)
    };
    let amsterdam = "Europe/Amsterdam";
    let gap = ", moved out of the DST gap: the clocks skip";
    for (rule, zone, dst, after, expected) in [
        ("30 2 * * *", amsterdam, Dst::Cron, "2026-03-27T12:00:00Z", "Sat 2026-03-28 02:30 1h".to_owned()),
        (
            "30 2 * * *",
            amsterdam,
            Dst::Cron,
            "2026-03-28T12:00:00Z",
            format!("Sun 2026-03-29 03:00 2h{gap} 2026-03-29 02:30"),
        ),
        ("0 3 * * *", amsterdam, Dst::Cron, "2026-03-28T12:00:00Z", "Sun 2026-03-29 03:00 2h".to_owned()),
        (
            "0 0 30 12 *",
            "Pacific/Apia",
            Dst::Cron,
            "2011-12-01T00:00:00Z",
            format!("Sat 2011-12-31 00:00 14h{gap} 2011-12-30 00:00"),
        ),
        (
            "30 2 * * *",
            amsterdam,
            Dst::Cron,
            "2026-10-24T12:00:00Z",
            "Sun 2026-10-25 02:30 2h, the first of two: the clocks show this time twice".to_owned(),
        ),
        (
            "30 2 * * *",
            amsterdam,
            Dst::Twice,
            "2026-10-25T00:30:00Z",
            "Sun 2026-10-25 02:30 1h, the second of two: the clocks show this time twice".to_owned(),
        ),
        ("0 3 * * *", amsterdam, Dst::Cron, "2026-10-24T12:00:00Z", "Sun 2026-10-25 03:00 1h".to_owned()),
        ("0 9 * * *", "America/St_Johns", Dst::Cron, "2026-01-01T00:00:00Z", "Thu 2026-01-01 09:00 -3h30m".to_owned()),
    ] {
        assert_eq!(told(rule, zone, dst, after), expected, "{rule} {zone} {after}");
    }
}

#[test]
fn any_instant_is_answered() {
    for zone in ["UTC", "America/New_York", "Pacific/Apia"] {
        for rule in ["* * * * *", "0 2 * * *", "0 0 29 2 */7", "0 0 31 2 *"] {
            for (_, dst) in Dst::WORDS {
                let timetable = Timetable::new(rule.parse().unwrap(), Zone::named(zone).unwrap(), dst);
                for after in [i64::MIN, -62_135_596_800_000_001, 0, 253_402_300_799_000_000, i64::MAX] {
                    let next = timetable.next_after(Timestamp(after));
                    assert!(next.is_none_or(|next| next > Timestamp(after)), "{rule} {zone} {after}: {next:?}");
                    assert_eq!(
                        next.is_none(),
                        rule == "0 0 31 2 *" || after > 253_000_000_000_000_000,
                        "{rule} {after}"
                    );
                }
            }
        }
    }
}
