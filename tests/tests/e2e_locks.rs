//! Locks and groups with the real programs: who waits for whom, and who replaces whom.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{Event, EventType, RunStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step, wait_for};
use serde_json::Value;

/// Replaces what is on in its group; what it did is rolled back by itself.
const REPLACES: &str = r#"
inputs: {n: {type: string, required: true}}
concurrency: {group: one, overlap: replace}
rollback: {policy: automatic, of: started}
steps:
  a:
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    run: |
      echo "begin $N" >> log
      while ! test -e "go-$N"; do sleep 0.02; done
      echo "end $N" >> log
    rollback:
      env: {N: "${{ inputs.n }}"}
      run: |
        echo "undo $N" >> log
        while ! test -e "undo-$N"; do sleep 0.02; done
"#;

fn ending(daemon: &Daemon, name: &str) -> Event {
    let events = daemon.events(name);
    events.into_iter().find(|event| event.r#type() == EventType::Ending).expect("an ending")
}

#[test]
fn the_newest_start_replaces_what_is_on_and_waits_for_its_end() {
    let project = Project::with("r", REPLACES);
    let daemon = Daemon::start(&project);
    let first = daemon.exec("r", &[("n", "1")]);
    wait_for("the first step", || (project.lines("log") == ["begin 1"]).then_some(()));
    let second = daemon.exec("r", &[("n", "2")]);
    let third = daemon.exec("r", &[("n", "3")]);
    // One that is rolled back is waited for, also over a death of the daemon.
    wait_for("the compensation", || (project.lines("log") == ["begin 1", "undo 1"]).then_some(()));
    daemon.kill();
    let daemon = Daemon::start(&project);
    let waiting = daemon.get(&third.name);
    assert_eq!(waiting.status(), RunStatus::Queued, "{waiting:#?}");
    assert_eq!(waiting.waits_for, [format!("group one (run {})", first.number)]);
    assert_eq!(daemon.get(&second.name).status(), RunStatus::Canceled);
    let fourth = daemon.exec("r", &[("n", "4")]);
    assert_eq!(daemon.get(&first.name).status(), RunStatus::RollingBack);
    assert_eq!(daemon.get(&third.name).status(), RunStatus::Canceled);
    project.file("undo-1", "");
    project.file("go-4", "");
    assert_eq!(daemon.wait_over(&fourth.name).status(), RunStatus::Succeeded);
    assert_eq!(daemon.wait_over(&first.name).status(), RunStatus::RolledBack);
    assert_eq!(project.lines("log"), ["begin 1", "undo 1", "begin 4", "end 4"]);
    for (replaced, by) in [(&first, &second), (&second, &third), (&third, &fourth)] {
        let event = ending(&daemon, &replaced.name);
        let told = format!("replaced by run {} (overlap: replace)", by.number);
        assert_eq!((&event.by, &event.reason), (&by.started_by, &told), "{event:?}");
    }
}

/// A step that changes a database alone, beside one that needs nobody.
const STEPS: &str = r#"
inputs: {n: {type: string, required: true}, db: {type: string, default: orders}}
steps:
  free: {effect: idempotent, env: {N: "${{ inputs.n }}"}, run: 'echo "free $N" >> log'}
  change:
    needs: [free]
    locks: ["db/${{ inputs.db }}", other]
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    retry: {attempts: 2, backoff: {initial: 300ms}}
    run: |
      echo "begin $N" >> log
      while ! test -e "go-$N"; do sleep 0.02; done
      echo "end $N" >> log
      test -e "once-$N" || { touch "once-$N"; exit 1; }
"#;

#[test]
fn a_step_has_its_locks_over_retries_and_over_a_death_of_the_daemon() {
    let project = Project::with("s", STEPS);
    let daemon = Daemon::start(&project);
    let first = daemon.exec("s", &[("n", "1")]);
    wait_for("the first step", || (project.lines("log") == ["free 1", "begin 1"]).then_some(()));
    let second = daemon.exec("s", &[("n", "2")]);
    wait_for("the step beside it", || (project.lines("log").len() == 3).then_some(()));
    let told = |daemon: &Daemon| {
        let run = daemon.wait(&second.name, "the wait", |run| !step(run, "change").waits_for.is_empty());
        step(&run, "change").waits_for.clone()
    };
    let by = format!("(step change of run {})", first.number);
    let expected = [format!("lock db/orders {by}"), format!("lock other {by}")];
    assert_eq!(told(&daemon), expected);
    assert_eq!(step(&daemon.get(&first.name), "change").locks, ["db/orders", "other"]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(told(&daemon), expected);
    // Another database is another lock, and the other lock is the same.
    let third = daemon.exec("s", &[("n", "3"), ("db", "users")]);
    let third = daemon.wait(&third.name, "the wait", |run| !step(run, "change").waits_for.is_empty());
    assert_eq!(step(&third, "change").waits_for, [format!("lock other {by}")]);
    let plan = runbook(&project, &["plan", "s", "-i", "n=4", "-i", "db=users"]).out;
    for part in ["takes lock db/users (1 in the queue)", "takes lock other (run 1 has it, 2 in the queue)"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let said = runbook(&project, &["locks"]);
    let row = said.out.lines().find(|line| line.starts_with("other ")).expect("the lock");
    assert!(row.contains("run 1 change") && row.ends_with("run 2 change, run 3 change"), "{said:?}");
    let json: Value =
        serde_json::from_str(&runbook(&project, &["locks", "other", "--output", "json"]).out).expect("JSON");
    let lock = &json["locks"][0];
    let holder = &lock["holders"][0];
    assert_eq!((&holder["step"], &holder["run_number"]), (&"change".into(), &first.number.into()), "{json}");
    assert!(holder["since"].is_string() && holder["started_by"]["name"].is_string(), "{json}");
    assert_eq!((&lock["waiting"], &lock["queue"][1]["run_number"]), (&2.into(), &third.number.into()), "{json}");
    for n in 1..=3 {
        project.file(&format!("go-{n}"), "");
    }
    for run in [&first, &second, &third] {
        assert_eq!(daemon.wait_over(&run.name).status(), RunStatus::Succeeded);
    }
    assert_eq!(runbook(&project, &["locks", "--quiet"]).out, "");
    let log = project.lines("log");
    let log: Vec<&str> = log.iter().map(String::as_str).filter(|line| !line.starts_with("free")).collect();
    let each = |n: &str| [format!("begin {n}"), format!("end {n}"), format!("begin {n}"), format!("end {n}")];
    assert_eq!(log, ["1", "2", "3"].map(each).concat());
}

/// Holds one lock as a run, and wants another for a step.
const CROSS: &str = r#"
inputs: {own: {type: string, required: true}, other: {type: string, required: true}}
locks: ["${{ inputs.own }}"]
steps:
  first:
    effect: idempotent
    env: {OWN: "${{ inputs.own }}"}
    run: 'while ! test -e "go-$OWN"; do sleep 0.02; done'
  cross: {needs: [first], locks: ["${{ inputs.other }}"], effect: idempotent, run: echo cross >> log}
"#;

#[test]
fn a_wait_that_closes_a_circle_fails_at_once_and_names_it() {
    let project = Project::with("c", CROSS);
    let daemon = Daemon::start(&project);
    let first = daemon.exec("c", &[("own", "a"), ("other", "b")]);
    let second = daemon.exec("c", &[("own", "b"), ("other", "a")]);
    project.file("go-a", "");
    daemon.wait(&first.name, "the wait", |run| !step(run, "cross").waits_for.is_empty());
    project.file("go-b", "");
    let second = daemon.wait_over(&second.name);
    assert_eq!(second.status(), RunStatus::Failed);
    let message = format!(
        "it would wait for ever: for lock a, which run {} has; that waits for lock b, which run {} has",
        first.number, second.number
    );
    assert_eq!(step(&second, "cross").message, message);
    assert_eq!(daemon.wait_over(&first.name).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["cross"]);
}

/// A step that does not know what it did, the first time that it runs.
const UNKNOWN: &str = r#"
inputs: {n: {type: string, required: true}}
steps:
  change:
    locks: [orders, disk]
    unknown_if: exit_code == 9
    env: {N: "${{ inputs.n }}"}
    run: |
      echo "begin $N" >> log
      while ! test -e "go-$N"; do sleep 0.02; done
      test -e "once-$N" || { touch "once-$N"; exit 9; }
"#;

#[test]
fn a_lock_is_released_by_hand_and_taken_again_before_anything_more_starts() {
    let project = Project::with("u", UNKNOWN);
    for file in ["go-1", "once-2"] {
        project.file(file, "");
    }
    let daemon = Daemon::start(&project);
    let first = daemon.exec("u", &[("n", "1")]);
    daemon.wait(&first.name, "the doubt", |run| run.status() == RunStatus::Attention);
    let second = daemon.exec("u", &[("n", "2")]);
    daemon.wait(&second.name, "the wait", |run| !step(run, "change").waits_for.is_empty());
    let refused = runbook(&project, &["locks", "release", "orders", "--reason", " "]);
    assert!(refused.err.contains("say why"), "{refused:?}");
    let said = runbook(&project, &["locks", "release", "orders", "--reason", "nothing writes there"]);
    assert!(said.err.contains("run 1 change gave up disk, orders"), "{said:?}");
    assert!(said.err.contains("orders is had by run 2 change now"), "{said:?}");
    wait_for("the other run", || (project.lines("log") == ["begin 1", "begin 2"]).then_some(()));
    // Whoever works under it keeps it.
    let refused = runbook(&project, &["locks", "release", "orders", "--reason", "impatience"]);
    assert!(
        refused.err.contains("step change of run 2 has \"orders\"") && refused.err.contains("at work"),
        "{refused:?}"
    );
    let nobody = runbook(&project, &["locks", "release", "users", "--reason", "a guess"]);
    assert!(nobody.err.contains("nobody has the lock \"users\""), "{nobody:?}");
    daemon.kill();
    let daemon = Daemon::start(&project);
    let event = daemon.events(&first.name).into_iter().find(|event| event.r#type() == EventType::LocksReleased);
    let event = event.expect("the release in the history");
    assert_eq!((event.step.as_str(), event.reason.as_str()), ("change", "nothing writes there"));
    assert!(event.by.is_some_and(|by| by.uid.is_some()));
    let told = runbook(&project, &["events", "1"]).out;
    assert!(told.contains("gave its locks up") && told.contains("nothing writes there"), "{told}");
    let settled = runbook(&project, &["resolve", "1", "change", "--as", "retry", "--reason", "it has nothing"]);
    assert_eq!(settled.code, 0, "{settled:?}");
    let waits = daemon.wait(&first.name, "the wait", |run| !step(run, "change").waits_for.is_empty());
    let by = "(step change of run 2)";
    assert_eq!(step(&waits, "change").waits_for, [format!("lock disk {by}"), format!("lock orders {by}")]);
    project.file("go-2", "");
    for run in [&first, &second] {
        assert_eq!(daemon.wait_over(&run.name).status(), RunStatus::Succeeded);
    }
    assert_eq!(project.lines("log"), ["begin 1", "begin 2", "begin 1"]);
}
