//! Blocks with real processes: what they take along and leave, their `finally`, a daemon that is killed in the middle, a
//! resume that repeats what failed inside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt as _;

use runbook_proto::v1::{ResumeRunRequest, RunStatus, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step, wait_for};

/// A block that takes values and a secret along, fails once, and tidies up.
const MOVE: &str = r#"
inputs:
  host: {type: string, required: true}
  token: {type: string, required: true, secret: true}
env: {BASE: "/srv/${{ inputs.host }}"}
files: [scripts/copy.sh]
steps:
  look:
    effect: read
    run: |
      echo free=7 >> "$RUNBOOK_OUTPUT"
      echo seen > "$RUNBOOK_ARTIFACTS/list"
    outputs: {free: integer}
    artifacts: [list]
  move:
    needs: [look]
    steps:
      drain: {effect: idempotent, run: 'echo "$RUNBOOK_RUN_UID" >> drained'}
      copy:
        needs: [drain]
        effect: idempotent
        argv: [scripts/copy.sh, "${{ steps.look.outputs.free }}", "${{ steps.look.artifacts['list'] }}", "${{ run.uid }}"]
        env: {TOKEN: "${{ inputs.token }}"}
        outputs: {bytes: integer}
    finally:
      tell: {argv: [echo, "${{ run.outcome }}", "${{ default(steps.copy.outputs.bytes, 0) }}", "${{ env.BASE }}"]}
    outputs: {bytes: {type: integer, value: steps.copy.outputs.bytes + 1}}
  after:
    needs: [move]
    effect: read
    argv: [echo, "${{ steps.move.outputs.bytes }}"]
"#;

const COPY: &str = r#"#!/bin/sh -eu
echo "copy $1 $(cat "$2") $3 token $TOKEN"
while [ -e hold ]; do sleep 0.02; done
test -e "good" || exit 3
echo "bytes=$1" >> "$RUNBOOK_OUTPUT"
"#;

fn project() -> Project {
    let project = Project::with("move", MOVE);
    let script = project.file("scripts/copy.sh", COPY);
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).expect("a script");
    project
}

const INPUTS: &[(&str, &str)] = &[("host", "web1"), ("token", "hush")];

#[test]
fn a_block_takes_along_and_leaves_and_tidies_up() {
    let project = project();
    project.file("good", "");
    let daemon = Daemon::start(&project);
    let run = daemon.exec("move", INPUTS);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(daemon.logs(&run.name, "after"), ["8"]);
    assert_eq!(daemon.logs(&run.name, "move/copy"), [format!("copy 7 seen {} token ***", run.uid)]);
    assert_eq!(daemon.logs(&run.name, "move/tell"), ["succeeded 7 /srv/web1"]);
    let status = runbook(&project, &["status", &run.number.to_string()]).out;
    for line in ["✓ move", "✓   drain", "✓   copy", "✓   tell"] {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    assert!(!status.contains("hush"), "{status}");
}

#[test]
fn a_killed_daemon_and_a_resume_repeat_only_what_failed_inside() {
    let project = project();
    project.file("hold", "");
    let daemon = Daemon::start(&project);
    let run = daemon.exec("move", INPUTS);
    wait_for("the copy", || {
        let run = daemon.get(&run.name);
        let block = step(&run, "move").child_run.clone()?;
        (step(&block, "copy").status() == StepStatus::Running).then_some(())
    });
    daemon.kill();
    let daemon = Daemon::start(&project);
    std::fs::remove_file(project.path("hold")).expect("it was there");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed, "{over:#?}");
    assert_eq!(daemon.logs(&run.name, "move/tell"), ["failed 0 /srv/web1"]);
    assert!(step(&over, "move").message.contains("its step copy failed"), "{over:#?}");

    project.file("good", "");
    let request =
        ResumeRunRequest { name: run.name.clone(), reason: String::new(), confirm: Vec::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("drained").len(), 1, "what succeeded inside is kept");
    let block = step(&over, "move").child_run.clone().expect("its run");
    assert_eq!((block.epoch, step(&block, "copy").attempts), (2, 2), "{block:#?}");
}
