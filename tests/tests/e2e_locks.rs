//! Locks and groups with the real programs: who waits for whom, and who replaces whom.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{Event, EventType, RunStatus};
use runbook_tests::e2e::{Daemon, Project, wait_for};

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
