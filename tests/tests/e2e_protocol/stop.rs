//! Stops that race: with a start, with an end, with a daemon that is gone, with a shim that does not answer.

use std::io::Write as _;

use runbook_proto::v1::{EventType, RunStatus, StepStatus};
use runbook_shim::lock;
use runbook_tests::e2e::injection::tell;
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use super::{assert_settled, attempt_directory, cancel, pid_in};

/// Runs that are canceled right after their start.
const RACES: usize = 50;

#[test]
fn a_cancel_races_with_the_start() {
    let project = Project::with(
        "race",
        r#"
inputs: {n: {type: string, required: true}}
steps:
  a:
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    run: |
      echo "$$" >> "starts-$N"
      exec sleep 1000
"#,
    );
    let daemon = Daemon::start(&project);
    let (mut before, mut after) = (0, 0);
    for n in 0..RACES {
        let n = n.to_string();
        let run = daemon.exec("race", &[("n", &n)]);
        cancel(&daemon, &run.name, n.ends_with('7')).expect("cancel");
        let run = daemon.wait_over(&run.name);
        assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
        assert_eq!(step(&run, "a").status(), StepStatus::Canceled, "{run:#?}");
        assert_settled(&project, &daemon, &run, &n);
        let starts = project.lines(&format!("starts-{n}"));
        assert!(starts.len() <= 1, "{starts:?}");
        let events = daemon.events(&run.name);
        let ended = events.iter().find(|event| event.r#type() == EventType::AttemptEnded);
        // Not started means that it never will.
        match ended {
            Some(ended) if ended.how.contains("before it started") => {
                before += 1;
                assert!(starts.is_empty(), "said not to have started: {starts:?}");
            }
            Some(_) => after += 1,
            None => assert!(starts.is_empty(), "never an attempt: {starts:?}"),
        }
    }
    tell(&format!("of {RACES} cancels {before} came before the claim, {after} after it"));
}

/// Steps that end when they are canceled.
const ENDS: usize = 30;

#[test]
fn a_cancel_races_with_the_end() {
    let project = Project::with(
        "race",
        r#"
inputs: {n: {type: string, required: true}}
steps:
  a:
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    run: |
      trap 'exit 7' TERM
      echo "$$" >> "starts-$N"
      read x < "go-$N"
      echo "$$" >> "ends-$N"
"#,
    );
    let daemon = Daemon::start(&project);
    let mut exited = 0;
    for n in 0..ENDS {
        let (go, n) = (project.path(&format!("go-{n}")), n.to_string());
        let made = std::process::Command::new("mkfifo").arg(&go).status().expect("mkfifo runs");
        assert!(made.success());
        let run = daemon.exec("race", &[("n", &n)]);
        pid_in(&project, &format!("starts-{n}"));
        // Open for both, so that nobody waits where the step is gone already.
        let mut gate = std::fs::OpenOptions::new().read(true).write(true).open(&go).expect("the gate");
        std::thread::scope(|scope| {
            scope.spawn(|| gate.write_all(b"x\n").expect("go"));
            // Refused where the end was faster.
            let _ = cancel(&daemon, &run.name, false);
        });
        let run = daemon.wait_over(&run.name);
        assert_settled(&project, &daemon, &run, &n);
        let ends = project.lines(&format!("ends-{n}")).len();
        let status = step(&run, "a").status();
        let how = daemon.events(&run.name).into_iter().find(|event| event.r#type() == EventType::AttemptEnded);
        let how = how.expect("an end").how;
        match (run.status(), status) {
            // An end by itself is not called a stop.
            (RunStatus::Succeeded | RunStatus::Canceled, StepStatus::Succeeded) => {
                exited += 1;
                assert_eq!(ends, 1, "{how}");
            }
            (RunStatus::Canceled, StepStatus::Canceled | StepStatus::Failed) => assert!(ends <= 1, "{how}"),
            other => panic!("{other:?}: {run:#?}"),
        }
    }
    tell(&format!("of {ENDS} steps that ended when they were canceled, {exited} had succeeded"));
}

const DEAF: &str = r#"
steps:
  deaf:
    effect: idempotent
    stop: {grace: 300ms}
    run: |
      trap 'echo term >> log' TERM
      echo $$ >> starts
      setsid sh -c 'trap "" TERM; echo $$ >> grandchild; while :; do sleep 0.05; done' &
      while :; do sleep 0.02; done
    on_cancel: {run: echo tidied >> log}
"#;

#[test]
fn a_stuck_process_is_killed_after_the_grace_without_a_daemon() {
    let project = Project::with("work", DEAF);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("work", &[]);
    let (pid, grandchild) = (pid_in(&project, "starts"), pid_in(&project, "grandchild"));
    cancel(&daemon, &run.name, false).expect("cancel");
    wait_for("the signal", || (!project.lines("log").is_empty()).then_some(()));
    daemon.kill();
    wait_for("the end of both", || (!is_alive(pid) && !is_alive(grandchild)).then_some(()));
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    assert_eq!(project.lines("log"), ["term", "tidied"]);
    assert_settled(&project, &daemon, &run, "a stuck process");
}

/// Takes as long as the protocol gives a shim: 40 seconds after the grace.
#[test]
fn a_shim_that_does_not_answer_is_killed_in_the_end() {
    let project = Project::with("work", DEAF);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("work", &[]);
    let (pid, grandchild) = (pid_in(&project, "starts"), pid_in(&project, "grandchild"));
    let shim = lock::holder(&attempt_directory(&project, &run, 0, 1)).expect("the lock").expect("its holder").pid;
    let shim_pid = i32::try_from(shim).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(shim_pid, Signal::STOP).expect("STOP");
    cancel(&daemon, &run.name, false).expect("cancel");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    assert!(!is_alive(pid) && !is_alive(grandchild) && !is_alive(shim));
    let events = daemon.events(&run.name);
    let ended = events.iter().find(|event| event.r#type() == EventType::AttemptEnded).expect("an end");
    assert!(ended.how.contains("lost"), "{ended:?}");
    assert_settled(&project, &daemon, &run, "a shim that does not answer");
}
