//! By when a schedule has to have succeeded: absence is an alarm, too. Pure; never knows whether a run of it is on.

use super::due::Plan;
use super::ledger::Record;
use crate::time::Timestamp;

/// By when a run of a schedule is expected to succeed; never while it is paused or in no runbook.
///
/// Where the author says how often, that long after the latest success, or after its beginning. Otherwise the first slot
/// after that has until the one after it to succeed, and as long as that may be late.
pub fn expected_by(record: &Record, plan: &Plan) -> Option<Timestamp> {
    if record.written.is_none() || record.pause.is_some() {
        return None;
    }
    let base = record.succeeded.map_or(record.since, |(at, _)| at.max(record.since));
    if let Some(every) = plan.expect {
        return Some(base + every);
    }
    let slot = plan.timetable.next_after(base)?;
    Some(plan.timetable.next_after(slot)? + plan.delay + plan.start_deadline)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;
    use std::sync::Arc;

    use super::*;
    use crate::definition::{Missed, ScheduleOverlap};
    use crate::id::RunUid;
    use crate::run::Principal;
    use crate::schedule::{Dst, Note, NoteFact, Pause, Written};
    use crate::time::Span;

    const HOUR: i64 = 3_600_000_000;

    fn plan(expect: Option<Span>) -> Plan {
        let timetable = Arc::clone(Written::new("0 2 * * *", "UTC", Dst::Cron).timetable().unwrap());
        let (delay, start_deadline) = (Span::minutes(1), Span::minutes(5));
        let (missed, overlap) = (Missed::default(), ScheduleOverlap::default());
        Plan { timetable, missed, overlap, delay, start_deadline, expect }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_str(text).unwrap()
    }

    #[test]
    fn it_is_due_by_its_rule_or_by_what_its_author_said() {
        let (by_rule, by_word) = (plan(None), plan(Some(Span(25 * HOUR))));
        let mut record = Record::default();
        assert_eq!(expected_by(&record, &by_rule), None);
        let mut take = |at: Timestamp, fact: NoteFact| {
            let number = record.last + 1;
            record.apply(&Note { number, at, fact }).unwrap();
            (expected_by(&record, &by_rule), expected_by(&record, &by_word))
        };
        let begun = at("2026-03-01T12:00:00Z");
        // The slot of the 2nd has until that of the 3rd.
        let expected = (Some(at("2026-03-03T02:06:00Z")), Some(begun + Span(25 * HOUR)));
        assert_eq!(take(begun, NoteFact::Planned(by_rule.written())), expected);
        // An edit of the rule makes nobody wait longer.
        assert_eq!(take(begun + Span(HOUR), NoteFact::Planned(by_rule.written())), expected);
        let (good, run) = (at("2026-03-02T02:30:00Z"), RunUid::from_bits(1));
        let expected = (Some(at("2026-03-04T02:06:00Z")), Some(good + Span(25 * HOUR)));
        assert_eq!(take(good, NoteFact::Succeeded { run, number: 1 }), expected);
        let (by, reason) = (Principal::engine(), String::new());
        let pause = Pause { by: by.clone(), reason: reason.clone() };
        assert_eq!(take(good + Span(HOUR), NoteFact::Paused(pause)), (None, None));
        let resumed = at("2026-04-01T00:00:00Z");
        let expected = (Some(at("2026-04-02T02:06:00Z")), Some(resumed + Span(25 * HOUR)));
        assert_eq!(take(resumed, NoteFact::Resumed { by, reason }), expected);
        assert_eq!(take(resumed, NoteFact::Removed), (None, None));
    }
}
