//! A run that a person holds.

use runbook_proto::v1::{PauseRunRequest, Run, RunStatus, RunStep, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step};
use serde_json::Value;
use tonic_types::StatusExt as _;

const CHAIN: &str = r#"
timeout: 1h
steps:
  first: {effect: idempotent, run: "echo first >> log; while test ! -e go; do sleep 0.02; done; echo end >> log"}
  second: {needs: [first], run: echo second >> log}
  third: {needs: [second], run: echo third >> log}
finally:
  last: {run: echo last >> log}
"#;

#[test]
fn a_paused_run_begins_nothing_until_it_is_resumed() {
    let project = Project::with("chain", CHAIN);
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "chain", "--detach"]).code, 0);
    daemon.wait("1", "its first step", |_| project.read("log").is_some());
    let paused = runbook(&project, &["pause", "1", "--reason", "the disk is nearly full"]);
    assert!(paused.code == 0 && paused.out.contains("is paused"), "{paused:?}");
    let run = daemon.get("1");
    assert_eq!((run.status(), step(&run, "first").status()), (RunStatus::Paused, StepStatus::Running));
    let again = runbook(&project, &["pause", "1"]);
    assert!(again.code == 6 && again.err.contains("the run is paused already"), "{again:?}");
    // What is on comes to its end, and that holds over a restart.
    project.file("go", "");
    daemon.wait("1", "the end of what is on", |run| step(run, "first").status() == StepStatus::Succeeded);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let run = daemon.get("1");
    assert_eq!((run.status(), step(&run, "second").attempts), (RunStatus::Paused, 0));
    let status = runbook(&project, &["status", "1"]).out;
    assert!(status.contains(": the disk is nearly full, since "), "{status}");
    assert!(status.contains("next: runbook resume 1"), "{status}");
    let json: Value = serde_json::from_str(&runbook(&project, &["status", "1", "--output", "json"]).out).expect("JSON");
    assert_eq!(json["pause"]["reason"], "the disk is nearly full");
    assert_eq!(runbook(&project, &["resume", "1", "--reason", "there is room"]).code, 0, "{}", daemon.log());
    assert_eq!(daemon.get("1").epoch, 1, "it is the same epoch");
    assert_eq!(project.lines("log"), ["first", "end", "second", "third", "last"]);
    let events = runbook(&project, &["events", "1"]).out;
    assert!(events.contains("paused by ") && events.contains("let go on by "), "{events}");
    let over = PauseRunRequest { name: "1".to_owned(), reason: String::new() };
    let refused = daemon.runs(|mut client| async move { client.pause_run(over).await }).expect_err("it is over");
    assert_eq!(refused.get_error_details().error_info().expect("a reason").reason, "RUN_TERMINAL");
}

#[test]
fn a_run_is_paused_before_a_step() {
    let project = Project::with("chain", CHAIN);
    project.file("go", "");
    let daemon = Daemon::start(&project);
    let exec = ["exec", "chain", "--detach", "--pause-before", "third", "--pause-before", "second"];
    assert_eq!(runbook(&project, &exec).code, 0, "{}", daemon.log());
    for (before, left) in [("second", &["third"][..]), ("third", &[])] {
        let run = daemon.wait("1", "a pause", |run| run.pause.as_ref().is_some_and(|pause| pause.before == before));
        assert_eq!((run.status(), step(&run, before).attempts), (RunStatus::Paused, 0));
        assert_eq!(run.pause_before, left);
        let status = runbook(&project, &["status", "1"]).out;
        assert!(status.contains(&format!("paused: before {before}, since ")), "{status}");
        assert_eq!(runbook(&project, &["resume", "1", "--detach"]).code, 0);
    }
    assert_eq!(daemon.wait_over("1").status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["first", "end", "second", "third", "last"]);
    for (step, why) in [
        ("thrid", r#"there is no step "thrid"; did you mean "third"?"#),
        ("last", r#""last" is a step of `finally`, which is not held up"#),
    ] {
        let said = runbook(&project, &["exec", "chain", "--pause-before", step]);
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }
}

#[test]
fn a_cancel_does_not_wait_for_a_paused_run() {
    let project = Project::with("chain", CHAIN);
    let daemon = Daemon::start(&project);
    let exec = ["exec", "chain", "--detach", "--pause-before", "first"];
    assert_eq!(runbook(&project, &exec).code, 0);
    daemon.wait("1", "the pause", |run| run.status() == RunStatus::Paused);
    assert_eq!(runbook(&project, &["cancel", "1", "--wait"]).code, 0, "{}", daemon.log());
    assert_eq!(daemon.get("1").status(), RunStatus::Canceled);
    assert_eq!(project.lines("log"), ["last"]);
    // What is over is opened again by a resume, and not held where it was.
    project.file("go", "");
    assert_eq!(runbook(&project, &["resume", "1"]).code, 0);
    assert_eq!(project.lines("log"), ["last", "first", "end", "second", "third", "last"]);
}

const DEEP: &str = r#"
timeout: 1h
steps:
  block:
    steps:
      a: {effect: idempotent, run: "echo a >> log; while test ! -e go; do sleep 0.02; done"}
      b: {needs: [a], run: echo b >> log}
  each:
    for_each: [1, 2]
    max_parallel: 1
    steps:
      item:
        effect: idempotent
        argv: [sh, -c, 'echo item-$0 >> log; while test ! -e go; do sleep 0.02; done', "${{ item }}"]
  again:
    repeat: {max: 2, until: iteration.number == 2}
    effect: idempotent
    argv: [sh, -c, 'echo turn-$0 >> log; while test ! -e go; do sleep 0.02; done', "${{ iteration.number }}"]
  child: {uses: runbook, with: {name: below}}
"#;

const BELOW: &str = r#"
timeout: 1h
steps:
  c: {effect: idempotent, run: "echo c >> log; while test ! -e go; do sleep 0.02; done"}
  d:
    needs: [c]
    steps:
      e: {run: echo e >> log}
"#;

/// How many steps with a command of their own are on, in a run and below it.
fn on(run: &Run) -> usize {
    let of = |step: &RunStep| match &step.child_run {
        Some(below) => on(below),
        None => usize::from(step.status() == StepStatus::Running),
    };
    run.steps.iter().map(of).sum()
}

#[test]
fn a_pause_holds_all_that_is_below() {
    let project = Project::with("deep", DEEP);
    project.runbook("below", BELOW);
    let log = || {
        let mut lines = project.read("log").map_or_else(Vec::new, |log| log.lines().map(str::to_owned).collect());
        lines.sort();
        lines
    };
    let daemon = Daemon::start(&project);
    let started = runbook(&project, &["exec", "deep", "--detach"]);
    assert_eq!(started.code, 0, "{started:?} {}", daemon.log());
    let inside = runbook(&project, &["exec", "deep", "--pause-before", "each[2]/item"]);
    assert!(inside.code == 2 && inside.err.contains(r#""each[2]/item" is inside each: a run is paused"#), "{inside:?}");
    let first = ["a", "c", "item-1", "turn-1"];
    daemon.wait("1", "what begins first", |_| log() == first);
    assert_eq!(runbook(&project, &["pause", "1", "--reason", "look at it"]).code, 0, "{}", daemon.log());
    // What is on comes to its end and nothing follows, and that holds over a restart.
    project.file("go", "");
    daemon.wait("1", "the end of what is on", |run| on(run) == 0);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let run = daemon.get("1");
    assert_eq!((run.status(), on(&run)), (RunStatus::Paused, 0));
    for id in ["block", "each", "again", "child"] {
        let below = step(&run, id).child_run.as_ref().expect("a child run");
        assert_eq!(below.status(), RunStatus::Paused, "{id}");
    }
    assert_eq!(log(), first);
    let went_on = runbook(&project, &["resume", "1"]);
    assert_eq!(went_on.code, 0, "{went_on:?} {}", daemon.log());
    assert_eq!(log(), ["a", "b", "c", "e", "item-1", "item-2", "turn-1", "turn-2"]);
}
