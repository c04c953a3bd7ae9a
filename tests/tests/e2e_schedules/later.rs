//! Runs that a person starts for later: with `exec --at` and `--in`, over restarts and clocks that are set.

use runbook_proto::v1::{RunStatus, StartRunRequest};
use runbook_tests::e2e::command::{Started, runbook};
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, HOUR, MINUTE};

const NOON: i64 = 1_800_014_400;

const ONE: &str = "concurrency: {group: one, overlap: skip}\nsteps: {a: {effect: read, run: echo x >> log}}\n";

fn start(daemon: &Daemon, request_id: &str, at: Option<i64>, after: Option<i64>) -> String {
    let request = StartRunRequest {
        runbook: "one".to_owned(),
        request_id: request_id.to_owned(),
        begin_at: at.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
        begin_in: after.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let answer = daemon.runs(|mut client| async move { client.start_run(request).await }).unwrap();
    answer.run.unwrap().name
}

fn status(daemon: &Daemon, run: &str) -> RunStatus {
    daemon.get(run).status()
}

#[test]
fn a_run_begins_when_it_was_told_to_over_restarts_and_holds_nothing_before() {
    let project = Project::with("one", ONE);
    let clock = Clock::of(&project);
    clock.set_before(NOON, 0.0);
    // It fires no schedules: a person asked for these runs.
    let go = |command: &mut std::process::Command| _ = command.env("RUNBOOK_TEST_CLOCK", clock.file());
    let daemon = Daemon::start_with(&project, go);
    let night = start(&daemon, "night", Some(NOON + 14 * HOUR), None);
    let later = start(&daemon, "later", None, Some(2 * HOUR));
    // The same request again ends later by then, and is the same all the same.
    assert_eq!(start(&daemon, "later", None, Some(2 * HOUR)), later);
    for run in [&night, &later] {
        assert_eq!(status(&daemon, run), RunStatus::Waiting);
        assert!(daemon.get(run).begins_at.is_some());
    }
    // The group is free, although `overlap: skip` would refuse a second run of it.
    let now = start(&daemon, "now", None, None);
    assert_eq!(daemon.wait_over(&now).status(), RunStatus::Succeeded);
    daemon.kill();

    clock.set_before(NOON + 2 * HOUR, 1.0);
    let daemon = Daemon::start_with(&project, go);
    assert_eq!(status(&daemon, &night), RunStatus::Waiting);
    assert_eq!(daemon.wait_over(&later).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["x", "x"]);
    daemon.kill();

    // Nobody was there at its time: it begins with the daemon.
    clock.set_before(NOON + 20 * HOUR, 0.0);
    let daemon = Daemon::start_with(&project, go);
    assert_eq!(daemon.wait_over(&night).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["x", "x", "x"]);
}

#[test]
fn a_clock_that_is_set_moves_spans_and_no_times() {
    let project = Project::with("one", ONE);
    let clock = Clock::of(&project);
    clock.set_before(NOON, 0.0);
    let daemon = clock.start(&project);
    let time = start(&daemon, "time", Some(NOON + HOUR), None);
    let span = start(&daemon, "span", None, Some(HOUR));
    clock.set_before(NOON + 2 * HOUR, 0.0);
    assert_eq!(daemon.wait_over(&time).status(), RunStatus::Succeeded);
    let begins = || daemon.get(&span).begins_at.map(|at| at.seconds);
    wait_for("the span to move", || begins().filter(|at| (*at - (NOON + 3 * HOUR)).abs() < MINUTE));
    assert_eq!(status(&daemon, &span), RunStatus::Waiting);
}

#[test]
fn people_type_it_list_it_and_call_it_off() {
    let project = Project::with("one", ONE);
    let _started = Started(&project);
    let night = runbook(&project, &["exec", "one", "--in", "2h"]);
    assert!(night.code == 0 && night.out.contains("run 1 one: begins "), "{}{}", night.out, night.err);
    assert!(night.err.contains("`runbook cancel 1` calls it off"), "{}", night.err);
    let clock = runbook(&project, &["exec", "one", "--at", "2033-01-01T00:00:00Z", "--output", "json"]);
    assert!(clock.code == 0 && clock.out.contains("\"begins_at\":\"2033-01-01T00:00:00.000000Z\""), "{}", clock.out);
    let runs = runbook(&project, &["runs", "--status", "waiting"]);
    assert_eq!(runs.out.matches("begins 20").count(), 2, "{}", runs.out);
    let one = runbook(&project, &["status", "1"]);
    assert!(one.out.contains("begins: ") && one.out.contains("waiting"), "{}", one.out);
    let off = runbook(&project, &["cancel", "1", "--reason", "not needed"]);
    assert_eq!(off.code, 0, "{}", off.err);
    assert!(runbook(&project, &["runs"]).out.contains("canceled"));

    let past = runbook(&project, &["exec", "one", "--at", "2020-01-01T00:00:00Z"]);
    assert!(past.code != 0 && past.err.contains("is past; leave it out to begin at once"), "{}", past.err);
    let far = runbook(&project, &["exec", "one", "--in", "4000d"]);
    assert!(far.code != 0 && far.err.contains("3650 days"), "{}", far.err);
    for wrong in [["--in", "soon"], ["--at", "tomorrow"], ["--in", "0s"]] {
        let refused = runbook(&project, &["exec", "one", wrong[0], wrong[1]]);
        assert!(refused.code == 2 && refused.err.contains("write it as"), "{wrong:?}: {}", refused.err);
    }
    let both = runbook(&project, &["exec", "one", "--in", "1h", "--at", "23:59"]);
    assert_eq!(both.code, 2, "{}", both.err);
    assert!(project.lines("log").is_empty());
}
