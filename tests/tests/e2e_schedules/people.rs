//! What people type about schedules, and what an edited or broken file does.

use runbook_proto::v1::{LedgerKind, RunStatus};
use runbook_tests::e2e::command::{Started, runbook};
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, MINUTE, fates, seconds, wait_accounted};

const NOON: i64 = 1_800_014_400;

const BACKUP: &str = "inputs: {keep: {type: integer, required: true}}\nschedules:\n  nightly: {cron: '30 2 * * *', timezone: Europe/Amsterdam, inputs: {keep: 7}, missed: run_once}\nsteps: {a: {effect: read, run: 'echo $KEEP >> log', timeout: 1m, env: {KEEP: '${{ inputs.keep }}'}}}\n";

#[test]
fn a_daemon_that_was_started_by_itself_fires_nothing_and_says_so() {
    let project = Project::with("backup", BACKUP);
    let _started = Started(&project);
    let list = runbook(&project, &["schedules", "list"]);
    assert_eq!(list.code, 0, "{}", list.err);
    assert!(list.out.contains("backup/nightly") && list.out.contains("not fired"), "{}", list.out);
    assert!(list.err.contains("this daemon starts none of them: `runbook daemon restart --schedules`"), "{}", list.err);
    let status = runbook(&project, &["daemon", "status"]);
    assert!(status.out.contains("schedules: 1, not fired"), "{}", status.out);
    let pause = runbook(&project, &["schedules", "pause", "backup", "--reason", "x"]);
    assert!(pause.code != 0 && pause.err.contains("that has been fired"), "{}", pause.err);

    let restart = runbook(&project, &["daemon", "restart", "--schedules"]);
    assert_eq!(restart.code, 0, "{}", restart.err);
    wait_for("the plan", || {
        let ledger = runbook(&project, &["schedules", "ledger", "backup"]);
        ledger.out.contains("planned").then_some(())
    });
    let again = runbook(&project, &["daemon", "restart"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(runbook(&project, &["daemon", "status"]).out.contains("schedules: 1, fired"));

    let show = runbook(&project, &["schedules", "show", "backup"]);
    for part in ["backup/nightly  active", "30 2 * * * in Europe/Amsterdam: ", "missed: run_once", "inputs: keep=7"] {
        assert!(show.out.contains(part), "{part}\n{}", show.out);
    }
    assert!(show.out.lines().all(|line| line.chars().count() <= 120), "{}", show.out);
    let next = runbook(&project, &["schedules", "next", "backup/nightly", "--count", "3", "--output", "json"]);
    let next: serde_json::Value = serde_json::from_str(&next.out).unwrap();
    assert_eq!(next["slots"].as_array().unwrap().len(), 3);
    assert!(next["slots"][0]["wall"].as_str().unwrap().ends_with("02:30"), "{next}");

    let paused = runbook(&project, &["schedules", "pause", "nightly", "--reason", "disk swap"]);
    assert!(paused.code == 0 && paused.out.contains("backup/nightly is paused"), "{}{}", paused.out, paused.err);
    let list = runbook(&project, &["schedules", "list"]);
    assert!(list.out.contains("paused"), "{}", list.out);
    let twice = runbook(&project, &["schedules", "pause", "backup", "--reason", "y"]);
    assert!(twice.code != 0 && twice.err.contains("paused already"), "{}", twice.err);
    let resumed = runbook(&project, &["schedules", "resume", "backup", "--reason", "done"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let ledger = runbook(&project, &["schedules", "ledger", "backup"]);
    assert!(ledger.out.contains("paused  by ") && ledger.out.contains("disk swap"), "{}", ledger.out);

    let run = runbook(&project, &["schedules", "run-now", "backup", "--reason", "before the upgrade"]);
    assert!(run.code == 0 && run.out.contains("run 1 backup: started"), "{}{}", run.out, run.err);
    let watched = runbook(&project, &["watch", "1"]);
    assert_eq!(watched.code, 0, "{}", watched.err);
    assert_eq!(project.lines("log"), ["7"]);
    let nowhere = runbook(&project, &["schedules", "show", "backup/nightli"]);
    assert!(nowhere.err.contains("did you mean \"backup/nightly\"?"), "{}", nowhere.err);
}

fn pause(daemon: &Daemon, name: &str) {
    let request = runbook_proto::v1::PauseScheduleRequest { name: name.to_owned(), reason: "disk swap".to_owned() };
    daemon.schedules(|mut client| async move { client.pause_schedule(request).await }).unwrap();
}

#[test]
fn a_pause_a_broken_file_and_an_edit_keep_the_ledger_whole() {
    let project = Project::with(
        "tick",
        "schedules: {m: {cron: '* * * * *'}}\nsteps: {a: {effect: read, run: echo one >> log}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(NOON, 30.0);
    let daemon = clock.start(&project);
    wait_for("the plan", || (!daemon.ledger("tick").is_empty()).then_some(()));
    pause(&daemon, "tick");
    daemon.kill();
    clock.set_before(NOON + 5 * MINUTE, 2.0);
    let daemon = clock.start(&project);
    wait_accounted(&daemon, "tick", NOON + 5 * MINUTE);
    let request = runbook_proto::v1::ResumeScheduleRequest { name: "tick".to_owned(), reason: String::new() };
    daemon.schedules(|mut client| async move { client.resume_schedule(request).await }).unwrap();
    // While the file is broken, what was good last runs.
    project.runbook("tick", "steps: [");
    daemon.kill();
    project.runbook("tick", "schedules: {m: {cron: '* * * * *'}}\nsteps: {a: {effect: read, run: echo two >> log}}\n");
    clock.set_before(NOON + 6 * MINUTE, 2.5);
    let daemon = clock.start(&project);
    wait_for("the folder", || {
        let request = runbook_proto::v1::GetScheduleRequest { name: "tick".to_owned() };
        let told = daemon.schedules(|mut client| async move { client.get_schedule(request).await }).unwrap();
        (told.schedule?.state() == runbook_proto::v1::ScheduleState::Active).then_some(())
    });
    project.runbook("tick", "steps: [");
    let ledger = wait_accounted(&daemon, "tick", NOON + 6 * MINUTE);
    let fates = fates(&ledger, MINUTE);
    assert_eq!(fates.len(), 7, "{ledger:#?}");
    assert!(fates.iter().all(|(slot, kind)| match *slot {
        slot if slot <= NOON + 5 * MINUTE => *kind == LedgerKind::Skipped,
        _ => *kind == LedgerKind::Ran,
    }));
    let ran = ledger.iter().find(|entry| entry.kind() == LedgerKind::Ran).unwrap();
    assert_eq!(seconds(&ran.first_slot), NOON + 6 * MINUTE);
    assert_eq!(daemon.wait_over(&ran.run).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["two"]);
    // An edit holds from when it is seen.
    project
        .runbook("tick", "schedules: {m: {cron: '0 0 1 1 *'}}\nsteps: {a: {effect: read, run: echo three >> log}}\n");
    wait_for("the edit", || {
        let planned = daemon.ledger("tick");
        planned.iter().any(|entry| entry.reason.contains("0 0 1 1 *")).then_some(())
    });
    project.runbook("tick", "steps: {a: {effect: read, run: echo four >> log}}\n");
    wait_for("the removal", || {
        daemon.ledger("tick/m").iter().any(|entry| entry.kind() == LedgerKind::Removed).then_some(())
    });
}

#[test]
fn a_slot_that_cannot_start_says_why() {
    let project = Project::with(
        "tick",
        "requires: {tools: [no-such-tool]}\nschedules: {m: {cron: '* * * * *'}}\nsteps: {a: {effect: read, argv: [true]}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(NOON, 2.5);
    let daemon = clock.start(&project);
    let ledger = wait_accounted(&daemon, "tick", NOON);
    let last = ledger.last().unwrap();
    assert_eq!(last.kind(), LedgerKind::Failed);
    assert!(last.reason.contains("no-such-tool"), "{last:?}");
}

#[test]
fn a_slot_needs_what_its_own_inputs_need() {
    let project = Project::with(
        "tick",
        "inputs: {cluster: {type: boolean, default: false}}
schedules: {all: {cron: '* * * * *', inputs: {cluster: true}}, part: {cron: '* * * * *'}}
steps: {a: {effect: read, argv: ['true']}, b: {if: inputs.cluster, argv: [no-such-tool]}}
",
    );
    let clock = Clock::of(&project);
    clock.set_before(NOON, 2.5);
    let daemon = clock.start(&project);
    let all = wait_accounted(&daemon, "tick/all", NOON).pop().unwrap();
    assert_eq!(all.kind(), LedgerKind::Failed);
    assert!(all.reason.contains("no-such-tool"), "{all:?}");
    let part = wait_accounted(&daemon, "tick/part", NOON).pop().unwrap();
    assert_eq!(part.kind(), LedgerKind::Ran, "{part:?}");
    assert_eq!(daemon.wait_over(&part.run).status(), RunStatus::Succeeded);
}
