//! Steps that do their work again and again, with real processes: until when, what is left, how iterations are named, and that
//! a resume goes on at the one that failed, after the daemon was killed in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{ResumeRunRequest, Run, RunStatus, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step, wait_for};

/// Moves three batches, the second of which has to be let; then asks after each of two rounds.
const MOVE: &str = r#"
steps:
  move:
    effect: idempotent
    repeat: {until: iteration.outputs.left == 0, max: 5}
    env: {NUMBER: "${{ iteration.number }}"}
    run: |
      echo "$RUNBOOK_STEP" >> done
      while [ -e "hold$NUMBER" ]; do sleep 0.02; done
      test ! -e "bad$NUMBER"
      echo "left=$((3 - NUMBER))" >> "$RUNBOOK_OUTPUT"
    outputs: {left: integer}
  settle:
    needs: [move]
    effect: read
    repeat: {until: "iteration.exit_code == 0", max: 3, every: 1s}
    env: {NUMBER: "${{ iteration.number }}"}
    run: echo "$NUMBER"; test "$NUMBER" -eq 2
  ask:
    needs: [settle]
    repeat: {until: iteration.outputs.round == 2, max: 3}
    steps:
      look: {effect: read, run: 'echo "round=$NUMBER" >> "$RUNBOOK_OUTPUT"', env: {NUMBER: "${{ iteration.number }}"}, outputs: {round: integer}}
      go: {needs: [look], uses: approval, with: {message: "round ${{ steps.look.outputs.round }}"}}
    outputs: {round: {type: integer, value: steps.look.outputs.round}}
  tell: {needs: [ask], effect: read, argv: [echo, "left ${{ steps.move.outputs.left }}"]}
"#;

/// The iterations of a step, and how each stands.
fn iterations(run: &Run, id: &str) -> Vec<(String, StepStatus)> {
    let below = step(run, id).child_run.clone().expect("a child run");
    below.steps.iter().map(|step| (step.id.clone(), step.status())).collect()
}

#[test]
fn work_is_done_until_it_is_done_and_goes_on_where_it_failed() {
    let project = Project::with("move", MOVE);
    for file in ["hold2", "bad2"] {
        project.file(file, "");
    }
    let daemon = Daemon::start(&project);
    let run = daemon.exec("move", &[]);
    wait_for("the second batch", || project.lines("done").contains(&"move[2]".to_owned()).then_some(()));
    daemon.kill();
    let daemon = Daemon::start(&project);
    std::fs::remove_file(project.path("hold2")).expect("it was there");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed, "{over:#?}\n{}", daemon.log());
    let one = |number: usize, status| (format!("[{number}]"), status);
    assert_eq!(iterations(&over, "move"), [one(1, StepStatus::Succeeded), one(2, StepStatus::Failed)]);

    std::fs::remove_file(project.path("bad2")).expect("it was there");
    let request = ResumeRunRequest { name: run.name.clone(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
    let number = run.number.to_string();
    for round in ["ask[1]/go", "ask[2]/go"] {
        let asks = |_: &Run| runbook(&project, &["approvals"]).out.contains(round);
        daemon.wait(&run.name, "somebody is asked", asks);
        let approved = runbook(&project, &["approve", &number, round]);
        assert_eq!(approved.code, 0, "{approved:?}");
    }
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}\n{}", daemon.log());
    assert_eq!(project.lines("done"), ["move[1]", "move[2]", "move[2]", "move[3]"], "what was done stays done");
    assert_eq!(iterations(&over, "move").len(), 3, "of five that there could have been");
    assert_eq!(iterations(&over, "settle"), [one(1, StepStatus::Failed), one(2, StepStatus::Succeeded)]);
    assert_eq!(daemon.logs(&run.name, "tell"), ["left 0"]);
    assert_eq!(daemon.logs(&run.name, "settle[2]"), ["2"]);
    let status = runbook(&project, &["status", &number]).out;
    for part in ["✓   [3]", "✗   [1]", "✓     look"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    assert!(!status.contains("[4]"), "{status}");
    let events = runbook(&project, &["events", &number, "--tree"]).out;
    assert!(events.contains("step settle[2]: the last one: `until` holds"), "{events}");
    let plan = runbook(&project, &["plan", "move"]).out;
    assert!(plan.contains("until iteration.exit_code == 0, 3 times at most, 1s apart"), "{plan}");
}

#[test]
fn work_that_is_never_done_fails_the_step_and_begins_anew() {
    let project = Project::with(
        "vain",
        r#"
steps:
  poll:
    effect: read
    repeat: {until: iteration.outputs.ready, max: 2}
    run: |
      echo "$RUNBOOK_STEP" >> done
      if [ -e ready ]; then echo ready=true; else echo ready=false; fi >> "$RUNBOOK_OUTPUT"
    outputs: {ready: boolean}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("vain", &[]);
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed, "{over:#?}");
    assert_eq!(step(&over, "poll").message, "`until` does not hold after 2 iterations");
    project.file("ready", "");
    let request = ResumeRunRequest { name: run.name.clone(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("done"), ["poll[1]", "poll[2]", "poll[1]"]);
}
