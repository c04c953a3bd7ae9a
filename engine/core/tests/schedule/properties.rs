//! Random rules in random zones, from 1995 to 2200, against the naive walk.

use proptest::prelude::*;
use runbook_core::schedule::{Dst, Rule, Timetable, Zone};
use runbook_core::time::Timestamp;

use crate::naive::{NaiveRule, NaiveZone, ZONES, walk, wall};

const DAY: i64 = 86_400;
/// 1995-01-01T00:00:00Z and 2200-01-01T00:00:00Z.
const YEARS: std::ops::Range<i64> = 788_918_400..7_258_118_400;

/// A field: mostly one number, and everything else that crontab(5) has.
fn field(low: u32, high: u32) -> BoxedStrategy<String> {
    let number = low..=high;
    let range = (low..=high).prop_flat_map(move |from| (Just(from), from..=high));
    let item = prop_oneof![
        3 => number.prop_map(|number| number.to_string()),
        2 => range.clone().prop_map(|(from, to)| format!("{from}-{to}")),
        1 => (range, 1..=high).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
    ];
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (1..=high).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
    .boxed()
}

fn rule() -> impl Strategy<Value = String> {
    let every = Just("*".to_owned());
    let rare = |field: BoxedStrategy<String>| prop_oneof![2 => every.clone(), 1 => field];
    (field(0, 59), field(0, 23), rare(field(1, 31)), rare(field(1, 12)), rare(field(0, 7)))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

fn dst() -> impl Strategy<Value = Dst> {
    prop::sample::select(Dst::WORDS.map(|(_, dst)| dst).to_vec())
}

/// The next change of the clocks within a year, to the day.
fn day_of_change(zone: &NaiveZone, from: i64) -> i64 {
    let changes = |day: &i64| zone.offset(*day) != zone.offset(day + DAY);
    (from..from + 366 * DAY).step_by(DAY as usize).find(changes).unwrap_or(from)
}

fn timetable(rule: &str, zone: &NaiveZone, dst: Dst) -> Timetable {
    Timetable::new(rule.parse::<Rule>().unwrap(), Zone::named(zone.name).unwrap(), dst)
}

fn found(timetable: &Timetable, after: i64, end: i64) -> Vec<i64> {
    let slots = timetable.slots_after(Timestamp(after * 1_000_000)).map(|slot| slot.at.0 / 1_000_000);
    slots.take_while(|at| *at <= end).collect()
}

/// Failures are printed with their smallest input, and not kept in files.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn slots_are_those_of_a_walk_minute_by_minute(
        rule in rule(), zone in 0..ZONES.len(), dst in dst(), at in YEARS, at_change in prop::bool::weighted(0.8),
        before in 0..2 * DAY,
    ) {
        let zone = &ZONES[zone];
        let after = if at_change { day_of_change(zone, at) + DAY - before } else { at };
        let end = after + 2 * DAY;
        let walked = walk(&NaiveRule::of(&rule), zone, dst, after, end);
let found = found(&timetable(&rule, zone, dst), after, end);
        let differs = (0..).zip(found.iter().zip(&walked)).find(|(_, (ours, theirs))| ours != theirs);
        prop_assert!(found == walked, "{rule} {} {dst:?} after {after}: {differs:?}, {} and {}", zone.name, found.len(), walked.len());
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn rare_days_are_those_of_a_walk_day_by_day(rule in rule(), at in YEARS) {
        let naive = NaiveRule::of(&rule);
        let begin = at.div_euclid(DAY) * DAY;
        let days = (begin..begin + 50 * 366 * DAY).step_by(DAY as usize).filter(|day| naive.names_day(wall(*day)));
        let mut walked = days.flat_map(|day| naive.times().map(move |time| day + time * 60)).filter(|slot| *slot > at);
        let next = timetable(&rule, &ZONES[8], Dst::Cron).next_after(Timestamp(at * 1_000_000));
        prop_assert_eq!(next.map(|next| next.0 / 1_000_000), walked.next(), "{}", rule);
    }

    #[test]
    fn a_sequence_increases_and_leaves_nothing_out(
        rule in rule(), zone in 0..ZONES.len(), dst in dst(), at in YEARS, ahead in 0i64..40 * DAY,
    ) {
        // Asked from any instant between, the answer is the same slot; each is strictly later than what was asked.
        let timetable = timetable(&rule, &ZONES[zone], dst);
        let slots: Vec<Timestamp> = timetable.slots_after(Timestamp(at * 1_000_000)).take(40).map(|slot| slot.at).collect();
        prop_assert!(slots.windows(2).all(|pair| pair[0] < pair[1]) && slots.iter().all(|slot| slot.0 > at * 1_000_000));
        let between = Timestamp((at + ahead) * 1_000_000 + 1);
        if slots.last().is_some_and(|last| *last > between) {
            let expected = slots.iter().find(|slot| **slot > between).copied();
            prop_assert_eq!(timetable.next_after(between), expected, "{} {:?} {}", rule, dst, between);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_at_its_place(text in "[-*/,0-9a-zA-Z#?@ \\tü]{0,40}") {
        match text.parse::<Rule>() {
            Ok(rule) => prop_assert_eq!(rule.to_string(), text.trim_end()),
            Err(fault) => {
                prop_assert!(text.get(fault.at..fault.at + fault.length).is_some(), "{:?}", fault);
                prop_assert!(!fault.message.is_empty() && !fault.help.is_empty());
            }
        }
    }

    #[test]
    fn a_rule_reads_as_the_sets_that_it_names(rule in rule()) {
        let naive = NaiveRule::of(&rule);
        let day = (0..40 * 366).map(|day| day * DAY).find(|day| naive.names_day(wall(*day)));
        let read = rule.parse::<Rule>().unwrap();
        prop_assert_eq!(read.never(), day.is_none(), "{}", rule);
    }
}
