//! The runbooks that these tests run: one for each way in which a run can go.

use runbook_tests::e2e::{Project, wait_for};

/// Succeeds, with outputs, a skipped step and a `finally`.
const OK: &str = r#"
description: Makes a number and uses it.
labels: {area: tests}
inputs:
  who: {type: string, default: world, description: Who is greeted.}
steps:
  make:
    description: Makes the number.
    effect: idempotent
    run: |
      echo "making"
      echo "n=3" >> "$RUNBOOK_OUTPUT"
    outputs: {n: integer}
  use: {needs: [make], effect: read, argv: [echo, "n is ${{ steps.make.outputs.n }}, ${{ inputs.who }}"]}
  not: {needs: [make], if: "steps.make.outputs.n > 3", effect: read, argv: ["true"]}
finally:
  tidy: {run: "echo tidied"}
"#;

/// Fails in its second attempt, with a log.
const BAD: &str = r#"
steps:
  prepare: {effect: idempotent, run: "echo preparing"}
  copy:
    description: Copies the data to the other side.
    needs: [prepare]
    effect: idempotent
    retry: {attempts: 2, backoff: {initial: 1ms, factor: 1, max: 1ms, jitter: none}}
    run: |
      for i in $(seq 1 30); do echo "copying part $i" >&2; done
      echo "no space left on the other side, which is a line that is far too long for a terminal of 80 columns" >&2
      test -e mended || exit 3
  switch: {needs: [copy], effect: idempotent, run: "echo switched"}
finally:
  tidy: {run: "echo tidied"}
"#;

/// Needs a person.
const STUCK: &str = r#"
steps:
  prepare: {effect: idempotent, run: "echo preparing"}
  switch:
    description: Points the load balancer at the other side.
    needs: [prepare]
    timeout: 1s
    stop: {grace: 50ms}
    run: |
      echo "asking the load balancer"
      while test -d runbooks; do sleep 0.02; done
  after: {needs: [switch], effect: idempotent, run: "echo after"}
"#;

/// Goes on while there is a file `hold`, and fails where there is a file `fail`.
const HOLD: &str = r#"
steps:
  wait:
    description: Waits for somebody.
    effect: idempotent
    run: |
      echo $$ >> starts
      echo "a line that is far too long for a terminal, even for one that is wide: $(seq -s ' ' 1 100)"
      while test -e hold; do sleep 0.02; done
      ! test -e fail
  after: {needs: [wait], effect: idempotent, run: "echo after"}
"#;

/// A project with all of them.
pub fn project() -> Project {
    let project = Project::new();
    for (name, body) in [("ok", OK), ("bad", BAD), ("stuck", STUCK), ("hold", HOLD)] {
        project.runbook(name, body);
    }
    project.file("hold", "");
    project
}

/// Waits until the step of `hold` runs.
pub fn wait_held(project: &Project) {
    wait_for("the step that waits", || project.lines("starts").pop());
}

/// Lets the step of `hold` end.
pub fn release(project: &Project) {
    std::fs::remove_file(project.path("hold")).expect("the file");
}
