//! Slots that were missed run after all: those alone, each once, whoever asks and whatever dies meanwhile.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use runbook_proto::v1::{CatchUpScheduleRequest, LedgerEntry, LedgerKind, RunStatus};
use runbook_tests::e2e::command::{command, runbook};
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, DAY, HOUR, MINUTE, scheduled, seconds, wait_accounted};

/// 2027-01-15T08:00:00Z.
const MORNING: i64 = 1_800_000_000;
const FROM: &str = "2027-01-15T08:00:00Z";

/// A project whose hourly schedule missed two days of slots, the daemon, and the last of the slots.
fn after_two_days(body: &str) -> (Project, Clock, Daemon) {
    let project = Project::with("tick", body);
    let clock = Clock::of(&project);
    clock.set((MORNING - 30 * MINUTE) * 1_000_000);
    let daemon = clock.start(&project);
    wait_for("the plan", || (!daemon.ledger("tick").is_empty()).then_some(()));
    daemon.kill();
    clock.set((MORNING + DAY + 30 * MINUTE) * 1_000_000);
    let daemon = clock.start(&project);
    wait_accounted(&daemon, "tick", MORNING + DAY);
    (project, clock, daemon)
}

fn caught_up(daemon: &Daemon) -> Vec<LedgerEntry> {
    let mut entries = daemon.ledger("tick");
    entries.retain(|entry| entry.kind() == LedgerKind::CaughtUp);
    entries
}

#[test]
fn what_was_missed_runs_once_after_a_yes() {
    let (project, _clock, daemon) = after_two_days(
        "concurrency: {group: g}\nschedules: {hourly: {cron: '0 * * * *', missed: skip, overlap: skip}}\nsteps: {a: {effect: read, run: 'echo $RUNBOOK_RUN_UID >> log'}}\n",
    );
    let to = "2027-01-15T12:30:00Z";
    let asked = runbook(&project, &["schedules", "catch-up", "tick", "--from", FROM, "--to", to]);
    assert_eq!(asked.code, 6, "{}{}", asked.out, asked.err);
    assert!(asked.err.contains("5 slots missed: ") && asked.err.contains("--yes"), "{}", asked.err);
    assert!(caught_up(&daemon).is_empty() && scheduled(&daemon).is_empty());

    let all = ["schedules", "catch-up", "tick", "--from", FROM, "--to", to, "--yes", "--reason", "the disk was full"];
    let started = runbook(&project, &all);
    assert_eq!((started.code, started.out.lines().count()), (0, 5), "{}{}", started.out, started.err);
    let entries = caught_up(&daemon);
    let slots: Vec<i64> = entries.iter().map(|entry| seconds(&entry.first_slot)).collect();
    assert_eq!(slots, (0..5).map(|hour| MORNING + hour * HOUR).collect::<Vec<_>>());
    for entry in &entries {
        let run = daemon.wait_over(&entry.run);
        assert_eq!((run.status(), &run.slot), (RunStatus::Succeeded, &entry.first_slot));
        assert!(run.reason.contains("missed slot") && run.reason.ends_with("the disk was full"), "{}", run.reason);
    }
    // In a group one waited for the other, in their order.
    let uids: Vec<&str> = entries.iter().filter_map(|entry| entry.run.strip_prefix("runs/")).collect();
    assert_eq!(project.lines("log"), uids);

    let again = runbook(&project, &all);
    assert_eq!((again.code, again.out.as_str()), (0, ""), "{}", again.err);
    assert!(again.err.contains("no slot was missed then"), "{}", again.err);
    // What is asked for with more around it is what is left.
    let rest =
        runbook(&project, &["--output", "json", "schedules", "catch-up", "tick", "--from", "2027-01-15", "--yes"]);
    let rest: serde_json::Value = serde_json::from_str(&rest.out).unwrap();
    assert_eq!(rest["slots"].as_array().unwrap().len(), 20, "{rest}");
    let ledger = runbook(&project, &["schedules", "ledger", "tick"]);
    assert!(ledger.out.contains("caught_up  run "), "{}", ledger.out);
}

#[test]
fn kills_and_repeated_calls_start_no_slot_twice() {
    let (project, clock, mut daemon) = after_two_days(
        "schedules: {hourly: {cron: '0 * * * *', missed: skip, overlap: allow}}\nsteps: {a: {effect: idempotent, run: 'echo $RUNBOOK_RUN_UID >> log'}}\n",
    );
    // A command that is told where the daemon is starts none itself, which would go by another clock.
    let endpoint = format!("unix:{}", project.path(".runbook/runbookd.sock").display());
    let all = ["--endpoint", &endpoint, "schedules", "catch-up", "tick", "--from", FROM, "--yes"];
    let ask = || command(&project, &all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for round in 0..4 {
        let mut asking = [ask(), ask()];
        let (begun, moment) = (Instant::now(), Duration::from_millis(30 + 40 * round));
        wait_for("the moment of the kill", || (begun.elapsed() >= moment).then_some(()));
        daemon.kill();
        daemon = clock.start(&project);
        for asked in &mut asking {
            wait_for("the end of the command", || asked.try_wait().unwrap());
        }
    }
    let last = runbook(&project, &all);
    assert_eq!(last.code, 0, "{}{}", last.out, last.err);
    let entries = caught_up(&daemon);
    let slots: BTreeSet<i64> = entries.iter().map(|entry| seconds(&entry.first_slot)).collect();
    let runs: BTreeSet<&str> = entries.iter().map(|entry| entry.run.as_str()).collect();
    assert_eq!((entries.len(), slots.len(), runs.len()), (25, 25, 25), "{entries:#?}");
    let made = scheduled(&daemon);
    assert_eq!(made.iter().map(|run| run.name.as_str()).collect::<BTreeSet<_>>(), runs);
    for run in runs {
        assert_eq!(daemon.wait_over(run).status(), RunStatus::Succeeded);
    }
}

#[test]
fn without_a_group_one_runs_after_the_other() {
    let (project, _clock, daemon) = after_two_days(
        "schedules: {hourly: {cron: '0 * * * *', missed: skip, overlap: skip}}\nsteps: {a: {effect: read, run: 'mkdir on; sleep 0.2; rmdir on; echo x >> log'}}\n",
    );
    let to = "2027-01-15T10:30:00Z";
    let started = runbook(&project, &["schedules", "catch-up", "tick", "--from", FROM, "--to", to, "--yes"]);
    assert_eq!((started.code, started.out.lines().count()), (0, 3), "{}{}", started.out, started.err);
    assert!(started.err.contains("2 slots left; waiting until run 1 is over"), "{}", started.err);
    for entry in caught_up(&daemon) {
        assert_eq!(daemon.wait_over(&entry.run).status(), RunStatus::Succeeded);
    }
    assert_eq!(project.lines("log").len(), 3);
}

#[test]
fn what_is_asked_for_is_bounded_and_was() {
    let project = Project::with(
        "tick",
        "schedules: {m: {cron: '* * * * *', missed: skip}}\nsteps: {a: {effect: read, argv: ['true']}}\n",
    );
    let clock = Clock::of(&project);
    clock.set((MORNING - 30) * 1_000_000);
    let daemon = clock.start(&project);
    wait_for("the plan", || (!daemon.ledger("tick").is_empty()).then_some(()));
    daemon.kill();
    clock.set((MORNING + 10 * HOUR - 30) * 1_000_000);
    let daemon = clock.start(&project);
    wait_accounted(&daemon, "tick", MORNING + 10 * HOUR - MINUTE);
    let ask = |from: Option<i64>, to: Option<i64>| {
        let at = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
        let (from, to) = (from.map(at), to.map(at));
        let request =
            CatchUpScheduleRequest { name: "tick".into(), from, to, validate_only: true, ..Default::default() };
        daemon.schedules(|mut client| async move { client.catch_up_schedule(request).await })
    };
    let many = ask(Some(MORNING), None).unwrap_err();
    // The last of the 600 was on time.
    assert!(many.message().contains("599 slots of tick/m were missed then"), "{many:?}");
    assert_eq!(ask(Some(MORNING), Some(MORNING + 99 * MINUTE)).unwrap().slots.len(), 100);
    assert!(ask(None, None).unwrap_err().message().contains("from"));
    assert!(ask(Some(MORNING), Some(MORNING - 1)).unwrap_err().message().contains("before `from`"));
    // What is still to come was not missed.
    assert!(ask(Some(MORNING + 10 * HOUR), Some(MORNING + DAY)).unwrap().slots.is_empty());
}
