//! How runs end, with real processes: cancels, unknown steps and their resolution, resumes, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use runbook_proto::v1::{
    CancelRunRequest, EventType, ResolveStepRequest, ResumeRunRequest, RunStatus, Settlement, StartRunRequest,
    StepStatus,
};
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

fn cancel(daemon: &Daemon, name: &str, now: bool) {
    let request = CancelRunRequest { name: name.to_owned(), now, reason: "test".into(), past: Vec::new() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).expect("cancel");
}

fn resolve(daemon: &Daemon, name: &str, step: &str, settlement: Settlement) -> Result<(), tonic::Status> {
    let request = ResolveStepRequest {
        name: name.to_owned(),
        step: step.to_owned(),
        settlement: settlement.into(),
        reason: "seen by hand".into(),
        output_texts: HashMap::new(),
    };
    daemon.runs(|mut client| async move { client.resolve_step(request).await }).map(drop)
}

fn resume(daemon: &Daemon, name: &str) {
    let request = ResumeRunRequest { name: name.to_owned(), reason: String::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
}

#[test]
fn a_cancel_stops_tidies_up_and_holds() {
    let project = Project::with(
        "c",
        r#"
steps:
  long:
    effect: idempotent
    run: |
      trap 'echo got-term >> log; exit 7' TERM
      echo $$ > pid
      while :; do sleep 0.05; done
    on_cancel: {run: echo tidied >> log}
  deaf:
    effect: idempotent
    stop: {grace: 100ms}
    run: |
      trap '' TERM
      echo $$ > deaf
      while :; do sleep 0.05; done
    on_cancel: {run: echo deaf-tidied >> log}
  next: {needs: [long], run: "echo never >> log"}
finally:
  end: {run: "echo finally >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("c", &[]);
    let pid = |file: &str| wait_for("a pid", || project.read(file)?.trim().parse::<u32>().ok());
    let (long, deaf) = (pid("pid"), pid("deaf"));
    cancel(&daemon, &run.name, false);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    assert!(!is_alive(long) && !is_alive(deaf));
    // `long` heard the signal and went; `deaf` had to be killed: both were cut off.
    let mut log = project.lines("log");
    log[1..3].sort();
    assert_eq!(log, ["got-term", "deaf-tidied", "tidied", "finally"]);
    assert_eq!(step(&run, "next").status(), StepStatus::Canceled);
    let again = CancelRunRequest { name: run.name.clone(), now: true, ..Default::default() };
    let refused = daemon.runs(|mut client| async move { client.cancel_run(again).await }).expect_err("terminal");
    assert_eq!(refused.message(), "the run is canceled already");
}

#[test]
fn an_unknown_step_waits_for_a_person_and_then_goes_on() {
    let project = Project::with(
        "u",
        r#"
steps:
  change:
    timeout: 1s
    stop: {grace: 100ms}
    run: |
      echo ran >> log
      sleep 1000
  after: {needs: [change], run: "echo after >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("u", &[]);
    let waiting = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(step(&waiting, "change").status(), StepStatus::Unknown);
    assert!(waiting.message.contains("runbook resolve"), "{}", waiting.message);
    let refused = resolve(&daemon, &run.name, "chnge", Settlement::Succeeded).expect_err("no such step");
    assert_eq!(refused.message(), "the run has no step \"chnge\"; did you mean \"change\"?");
    // A restart in between changes nothing.
    daemon.kill();
    let daemon = Daemon::start(&project);
    resolve(&daemon, &run.name, "change", Settlement::Succeeded).expect("resolve");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["ran", "after"]);
}

#[test]
fn verify_settles_what_was_cut_off() {
    let project = Project::with(
        "v",
        r#"
steps:
  change:
    timeout: 1s
    stop: {grace: 100ms}
    retry: {attempts: 3, backoff: {initial: 1ms, factor: 1, max: 1ms, jitter: none}}
    run: |
      echo try >> log
      n=$(wc -l < log)
      if [ "$n" -ge 2 ]; then echo done > done; fi
      sleep 1000
    verify:
      run: |
        if test -e done; then echo happened=yes >> "$RUNBOOK_OUTPUT"; else echo happened=no >> "$RUNBOOK_OUTPUT"; fi
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("v", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(project.lines("log"), ["try", "try"]);
    assert_eq!(step(&run, "change").attempts, 4);
}

#[test]
fn a_failed_run_is_resumed_where_it_failed() {
    let project = Project::with(
        "r",
        r#"
steps:
  first: {effect: idempotent, run: "echo first >> log; echo k=1 >> \"$RUNBOOK_OUTPUT\"", outputs: {k: integer}}
  second:
    needs: [first]
    effect: idempotent
    env: {K: "${{ steps.first.outputs.k }}"}
    run: |
      echo "second $K" >> log
      test -e mended
  third: {needs: [second], effect: idempotent, run: "echo third >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert_eq!(run.message, "step second failed");
    assert_eq!(step(&run, "third").status(), StepStatus::Skipped);
    project.file("mended", "");
    resume(&daemon, &run.name);
    let run = daemon.wait(&run.name, "the second end", |run| run.epoch == 2 && run.finished_at.is_some());
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["first", "second 1", "second 1", "third"]);
    let types: Vec<EventType> = daemon.events(&run.name).iter().map(|event| event.r#type()).collect();
    assert!(types.contains(&EventType::Resumed));
}

#[test]
fn what_finally_undid_is_done_again_by_a_resume() {
    let project = Project::with(
        "n",
        r#"
steps:
  drain: {effect: idempotent, run: "echo drain >> log"}
  upgrade: {needs: [drain], effect: idempotent, run: "echo upgrade >> log"}
  check:
    needs: [upgrade]
    effect: read
    run: |
      echo check >> log
      test -e mended
  spare: {needs: [check], effect: idempotent, run: "echo spare >> log"}
finally:
  uncordon: {undoes: [drain], run: "echo uncordon >> log"}
  return: {undoes: [spare], run: "echo return >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("n", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{run:#?}");
    assert_eq!(step(&run, "return").status(), StepStatus::Skipped);
    project.file("mended", "");
    resume(&daemon, &run.name);
    let run = daemon.wait(&run.name, "the second end", |run| run.epoch == 2 && run.finished_at.is_some());
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(step(&run, "upgrade").attempts, 1);
    let log = project.lines("log");
    assert_eq!(log[..4], ["drain", "upgrade", "check", "uncordon"]);
    assert_eq!(log[4..7], ["drain", "check", "spare"]);
    let mut undone = log[7..].to_vec();
    undone.sort();
    assert_eq!(undone, ["return", "uncordon"]);
}

#[test]
fn a_repeated_request_starts_one_run() {
    let project = Project::with("once", "steps:\n  a: {effect: idempotent, run: \"echo a >> log\"}\n");
    let daemon = Daemon::start(&project);
    let request = StartRunRequest { runbook: "once".into(), request_id: "r-1".into(), ..Default::default() };
    let start = |request: StartRunRequest, daemon: &Daemon| {
        daemon.runs(|mut client| async move { client.start_run(request).await })
    };
    let first = start(request.clone(), &daemon).expect("start");
    let second = start(request.clone(), &daemon).expect("start again");
    assert_eq!(first.run.as_ref().map(|r| &r.uid), second.run.as_ref().map(|r| &r.uid));
    let name = first.run.expect("a run").name;
    daemon.wait_over(&name);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let third = start(request, &daemon).expect("start once more");
    assert!(third.repeated_request);
    assert_eq!(third.run.expect("a run").name, name);
    assert_eq!(project.lines("log"), ["a"]);
    project.runbook("other", "steps:\n  a: {effect: idempotent, run: \"true\"}\n");
    let other = StartRunRequest { runbook: "other".into(), request_id: "r-1".into(), ..Default::default() };
    let refused = wait_for("the new runbook", || {
        let refused = start(other.clone(), &daemon).expect_err("another content");
        (refused.code() != tonic::Code::NotFound).then_some(refused)
    });
    assert_eq!(refused.code(), tonic::Code::AlreadyExists, "{refused:?}");
}

#[test]
fn two_runs_under_one_lock_go_one_after_the_other() {
    let project = Project::with(
        "l",
        r#"
locks: [one]
inputs: {n: {type: string, required: true}}
steps:
  a:
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    run: |
      echo "begin $N" >> log
      while ! test -e "go-$N"; do sleep 0.02; done
      echo "end $N" >> log
"#,
    );
    let daemon = Daemon::start(&project);
    let first = daemon.exec("l", &[("n", "1")]);
    wait_for("the first step", || (project.lines("log").len() == 1).then_some(()));
    let second = daemon.exec("l", &[("n", "2")]);
    let queued = daemon.get(&second.name);
    assert_eq!(queued.status(), RunStatus::Queued);
    assert_eq!(queued.waits_for, [format!("lock one (run {})", first.number)]);
    project.file("go-2", "");
    project.file("go-1", "");
    daemon.wait_over(&first.name);
    daemon.wait_over(&second.name);
    assert_eq!(project.lines("log"), ["begin 1", "end 1", "begin 2", "end 2"]);
}

#[test]
fn inputs_are_refused_all_at_once() {
    let project = Project::with(
        "i",
        r#"
inputs:
  count: {type: integer, required: true}
  mode: {type: string, default: fast, enum: [fast, slow]}
  place: {type: string, required: true}
steps:
  a: {effect: idempotent, env: {A: "${{ inputs.count }}${{ inputs.mode }}${{ inputs.place }}"}, run: "true"}
"#,
    );
    let daemon = Daemon::start(&project);
    let refused = daemon.try_exec("i", &[("count", "many"), ("mode", "medium"), ("plcae", "x")]).expect_err("inputs");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    for part in ["count", "mode", "place", "plcae"] {
        assert!(refused.message().contains(part), "{part}: {}", refused.message());
    }
    let refused = daemon.try_exec("j", &[]).expect_err("no such runbook");
    assert_eq!(refused.code(), tonic::Code::NotFound);
}

#[test]
fn a_secret_reaches_the_step_and_nothing_else() {
    let project = Project::with(
        "s",
        r#"
requires: {secrets: [token]}
inputs: {pin: {type: string, secret: true, required: true}}
steps:
  a:
    effect: idempotent
    env: {TOKEN: "${{ secrets.token }}", PIN: "${{ inputs.pin }}"}
    run: |
      test "${#TOKEN}" = 15 && test "${#PIN}" = 12
      echo "it is $TOKEN and $PIN"
"#,
    );
    project.file("runbookd.yaml", "secrets:\n  token: {env: MY_TOKEN}\n");
    let daemon = Daemon::start_with(&project, |command| {
        command.env("MY_TOKEN", "hunter2-is-long");
    });
    let run = daemon.exec("s", &[("pin", "4711-is-long")]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?} {}", daemon.log());
    let logs = daemon.logs(&run.name, "a");
    assert_eq!(logs.len(), 1);
    daemon.stop();
    let found = std::process::Command::new("grep")
        .args(["-rlE", "hunter2-is-long|4711-is-long"])
        .arg(project.path(".runbook"))
        .arg(project.path("runbookd.log"))
        .output()
        .expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a secret was written");
}
