//! Runs end to end: the main path, and a daemon that is killed in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

#[test]
fn values_flow_from_step_to_step() {
    let project = Project::with(
        "hello",
        r#"
inputs:
  who: {type: string, default: world}
steps:
  make:
    effect: idempotent
    run: |
      echo "making"
      echo "n=3" >> "$RUNBOOK_OUTPUT"
    outputs: {n: integer}
  use:
    needs: [make]
    effect: read
    if: steps.make.outputs.n > 2
    argv: [echo, "n is ${{ steps.make.outputs.n }}, ${{ inputs.who }}"]
  not:
    needs: [make]
    effect: read
    if: steps.make.outputs.n > 3
    argv: [echo, never]
finally:
  end:
    argv: [echo, "it is ${{ run.outcome }}"]
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("hello", &[("who", "you")]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(daemon.logs(&run.name, "use"), ["n is 3, you"]);
    assert_eq!(daemon.logs(&run.name, "end"), ["it is succeeded"]);
    assert_eq!(step(&run, "not").status(), StepStatus::Skipped);
}

#[test]
fn joins_go_on_over_what_was_passed_over_and_not_over_what_failed() {
    let project = Project::with(
        "join",
        r#"
inputs:
  seed: {type: boolean, default: false}
on_failure: continue
steps:
  fast: {effect: read, run: "exit 1", allow_failure: true}
  slow: {needs: [fast], if: steps.fast.status == 'failed', effect: read, run: "exit 1", allow_failure: true}
  seed:
    effect: read
    if: inputs.seed
    when_skipped: go_on
    run: echo n=1 >> "$RUNBOOK_OUTPUT"
    outputs: {n: integer}
  serve: {needs: [seed], effect: read, argv: [echo, "seeded ${{ default(steps.seed.outputs.n, 0) }}"]}
  warm: {needs: [slow], if: inputs.seed, when_skipped: go_on, effect: read, run: "true"}
  never: {needs: [warm], effect: read, run: "true"}
  report:
    needs: [fast, slow]
    if: steps.fast.status == 'succeeded' || steps.slow.status == 'failed'
    effect: read
    argv: [echo, "slow ${{ steps.slow.status }}"]
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("join", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(daemon.logs(&run.name, "serve"), ["seeded 0"]);
    assert_eq!(daemon.logs(&run.name, "report"), ["slow failed"]);
    for skipped in ["seed", "warm", "never"] {
        assert_eq!(step(&run, skipped).status(), StepStatus::Skipped, "{skipped}");
    }
}

#[test]
fn an_edited_runbook_runs_as_it_was_written_last() {
    let project = Project::with("e", "steps:\n  a: {effect: idempotent, run: \"echo one >> log\"}\n");
    let daemon = Daemon::start(&project);
    let first = daemon.exec("e", &[]);
    project.runbook("e", "steps:\n  a: {effect: idempotent, run: \"echo two >> log\"}\n");
    let second = daemon.exec("e", &[]);
    project.runbook("new", "steps:\n  a: {effect: idempotent, run: \"echo three >> log\"}\n");
    let third = daemon.exec("new", &[]);
    for run in [first, second, third] {
        daemon.wait_over(&run.name);
    }
    let mut log = project.lines("log");
    log.sort();
    assert_eq!(log, ["one", "three", "two"]);
}

#[test]
fn a_backup_is_made_and_proved() {
    let project = Project::with_library();
    let daemon = Daemon::start(&project);
    let run = daemon.exec("backup", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let backups = std::fs::read_dir(project.path(".runbook/backups")).expect("the repository");
    let proved = backups.filter_map(Result::ok).filter(|entry| entry.path().join("PROVED").exists()).count();
    assert_eq!(proved, 1);
}

#[test]
fn a_step_outlives_a_daemon_that_is_killed() {
    let project = Project::with(
        "long",
        r#"
steps:
  wait:
    run: |
      echo $$ > pid
      echo started >> starts
      while ! test -e go; do sleep 0.05; done
      echo done
  after:
    needs: [wait]
    run: echo after >> starts
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("long", &[]);
    let pid: u32 = wait_for("the step's pid", || project.read("pid")?.trim().parse().ok());
    daemon.kill();
    assert!(is_alive(pid), "the step went with the daemon");

    let daemon = Daemon::start(&project);
    let adopted = daemon.get(&run.name);
    assert_eq!(step(&adopted, "wait").status(), StepStatus::Running);
    assert!(is_alive(pid));
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(step(&run, "wait").attempts, 1);
    assert_eq!(project.lines("starts"), ["started", "after"]);
}

#[test]
fn a_run_tells_the_commit_of_the_project() {
    let project = Project::with("hello", "steps:\n  a: {effect: read, argv: [\"true\"]}\n");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .arg("-C")
            .arg(project.root())
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org"])
            .args(arguments);
        let done = command.output().expect("git");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let daemon = Daemon::start(&project);
    assert_eq!(daemon.exec("hello", &[]).commit, "", "there is no repository");
    git(&["init", "--quiet"]);
    git(&["add", "runbooks"]);
    git(&["commit", "--quiet", "-m", "one"]);
    let run = daemon.exec("hello", &[]);
    assert_eq!(run.commit, git(&["rev-parse", "HEAD"]));
    git(&["pack-refs", "--all"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "two"]);
    git(&["pack-refs", "--all"]);
    assert_eq!(daemon.exec("hello", &[]).commit, git(&["rev-parse", "HEAD"]));
    // It stays what it was.
    assert_ne!(daemon.wait_over(&run.name).commit, git(&["rev-parse", "HEAD"]));
}
