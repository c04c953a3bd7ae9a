//! Nights: slots on time, kills at the slot, a day of downtime, changes of clocks, a clock that jumps.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use runbook_proto::v1::LedgerKind;
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, DAY, HOUR, MINUTE, count, fates, scheduled, seconds, wait_accounted};

/// 2027-01-15T08:00:00Z.
const MORNING: i64 = 1_800_000_000;

#[test]
fn kills_at_the_slot_neither_lose_nor_double_one() {
    let project = Project::with(
        "tick",
        "schedules: {minutely: {cron: '* * * * *', overlap: allow}}\nsteps: {a: {effect: idempotent, run: 'echo $RUNBOOK_RUN_UID >> log'}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(MORNING, 30.0);
    drop(clock.start(&project));
    let mut daemons = 0;
    let rounds: i64 = std::env::var("RUNBOOK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    for round in 0..rounds {
        let slot = MORNING + round * MINUTE;
        clock.set_before(slot, 1.2);
        let begun = Instant::now();
        let daemon = clock.start(&project);
        daemons += 1;
        // From before the slot until after its run is over.
        let moment = Duration::from_millis(1_150 + 30 * round as u64);
        wait_for("the moment of the kill", || (begun.elapsed() >= moment).then_some(()));
        daemon.kill();
    }
    let last = MORNING + (rounds - 1) * MINUTE;
    let daemon = clock.start(&project);
    let ledger = wait_accounted(&daemon, "tick", last);
    let fates = fates(&ledger, MINUTE);
    assert_eq!(fates.keys().copied().collect::<Vec<_>>(), (MORNING..=last).step_by(60).collect::<Vec<_>>());
    let runs = scheduled(&daemon);
    let slots: BTreeSet<i64> = runs.iter().map(|run| seconds(&run.slot)).collect();
    assert_eq!(slots.len(), runs.len(), "two runs for one slot: {runs:#?}");
    assert_eq!(count(&fates, LedgerKind::Ran), runs.len());
    for run in &runs {
        daemon.wait_over(&run.name);
        assert_eq!(fates[&seconds(&run.slot)], LedgerKind::Ran);
    }
    println!("{} of {rounds} slots ran under {daemons} kills", runs.len());
    assert!(!runs.is_empty());
}

#[test]
fn a_day_of_downtime_starts_what_missed_says() {
    let project = Project::new();
    for (name, missed) in [("skip", "skip"), ("once", "run_once"), ("all", "{policy: run_all, max: 3}")] {
        project.runbook(
            name,
            &format!(
                "concurrency: {{group: {name}}}\nschedules: {{hourly: {{cron: '0 * * * *', missed: {missed}, overlap: queue}}}}\n\
                 steps: {{a: {{effect: read, run: echo {name} >> log}}}}\n"
            ),
        );
    }
    let clock = Clock::of(&project);
    clock.set(MORNING * 1_000_000 + 30 * 60_000_000);
    let daemon = clock.start(&project);
    for name in ["skip", "once", "all"] {
        wait_for("the plan", || (!daemon.ledger(name).is_empty()).then_some(()));
    }
    daemon.kill();
    let last = MORNING + DAY + HOUR;
    clock.set((last + 20 * MINUTE) * 1_000_000);
    let daemon = clock.start(&project);
    let of = |name: &str| fates(&wait_accounted(&daemon, name, last), HOUR);
    let (skip, once, all) = (of("skip"), of("once"), of("all"));
    for fates in [&skip, &once, &all] {
        assert_eq!(fates.len(), 25, "{fates:?}");
    }
    assert_eq!(count(&skip, LedgerKind::Missed), 25);
    // The first is older than the window of a day.
    assert_eq!((count(&once, LedgerKind::Missed), count(&once, LedgerKind::Merged)), (1, 23));
    assert_eq!(once[&last], LedgerKind::Ran);
    assert_eq!((count(&all, LedgerKind::Missed), count(&all, LedgerKind::Ran)), (22, 3));
    let runs = scheduled(&daemon);
    assert_eq!(runs.len(), 4, "{runs:#?}");
    for run in runs {
        daemon.wait_over(&run.name);
    }
}

#[test]
fn fixed_times_run_once_in_nights_with_changed_clocks() {
    // In Amsterdam the clocks skip 02:30 on 29 March 2026, and show it twice on 25 October.
    let (spring, autumn) = (1_774_746_000, 1_792_888_200);
    for slot in [spring, autumn] {
        let project = Project::with(
            "nightly",
            "schedules: {night: {cron: '30 2 * * *', timezone: Europe/Amsterdam}}\nsteps: {a: {effect: read, run: echo x >> log}}\n",
        );
        let clock = Clock::of(&project);
        clock.set_before(slot, 3.0);
        let daemon = clock.start(&project);
        let ledger = wait_accounted(&daemon, "nightly/night", slot);
        assert_eq!(seconds(&ledger.last().unwrap().first_slot), slot);
        daemon.wait_over(&ledger.last().unwrap().run);
        drop(daemon);
        // The next one is due on the next day, and not in the second pass.
        clock.set((slot + 2 * HOUR) * 1_000_000);
        let daemon = clock.start(&project);
        let schedule = get(&daemon, "nightly");
        let next = seconds(&schedule.next.unwrap().at);
        assert!((23 * HOUR..=25 * HOUR).contains(&(next - slot)), "{next}");
        assert_eq!(super::ledger(&daemon, "nightly").len(), 2);
        assert_eq!(project.lines("log"), ["x"]);
    }
}

#[test]
fn a_clock_that_jumps_causes_no_storm() {
    let project = Project::with(
        "tick",
        "schedules: {hourly: {cron: '0 * * * *', overlap: allow}}\nsteps: {a: {effect: read, run: echo x >> log}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(MORNING, 1_800.0);
    let daemon = clock.start(&project);
    wait_for("the plan", || (!daemon.ledger("tick").is_empty()).then_some(()));
    // The daemon is told nothing: it finds the clock three days later, and then a day back.
    clock.set((MORNING + 3 * DAY + 10) * 1_000_000);
    let ledger = wait_accounted(&daemon, "tick", MORNING + 3 * DAY);
    let fates = fates(&ledger, HOUR);
    assert_eq!(count(&fates, LedgerKind::Ran), 1, "{ledger:#?}");
    assert_eq!(count(&fates, LedgerKind::Missed), 3 * 24);
    clock.set((MORNING + 2 * DAY) * 1_000_000);
    drop(daemon);
    let daemon = clock.start(&project);
    let schedule = get(&daemon, "tick");
    assert!(seconds(&schedule.next.unwrap().at) > MORNING + 3 * DAY, "slots that have an entry are due again");
    assert_eq!(super::ledger(&daemon, "tick").len(), ledger.len());
}

#[test]
fn a_clock_that_was_years_ahead_silences_nothing() {
    let project = Project::with(
        "tick",
        "schedules: {minutely: {cron: '* * * * *'}}\nsteps: {a: {effect: read, run: echo x >> log}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(MORNING + 4 * 365 * DAY, 2.5);
    let daemon = clock.start(&project);
    wait_accounted(&daemon, "tick", MORNING + 4 * 365 * DAY);
    clock.set_before(MORNING, 2.5);
    // It finds that by itself, at the latest when it looks at the clock.
    let slot = |entry: &runbook_proto::v1::LedgerEntry| seconds(&entry.first_slot);
    wait_for("a slot of today", || {
        let ledger = super::ledger(&daemon, "tick");
        ledger
            .iter()
            .any(|it| it.kind() == LedgerKind::Ran && (MORNING..MORNING + DAY).contains(&slot(it)))
            .then_some(())
    });
}

fn get(daemon: &Daemon, name: &str) -> runbook_proto::v1::Schedule {
    let request = runbook_proto::v1::GetScheduleRequest { name: name.to_owned() };
    daemon.schedules(|mut client| async move { client.get_schedule(request).await }).unwrap().schedule.unwrap()
}
