//! Rollback with real processes: by hand and by itself, over a daemon that is killed, stuck and settled, refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{
    CancelRunRequest, EventType, ResolveStepRequest, ResumeRunRequest, RollBackRunRequest, Run, RunStatus, Settlement,
    StepStatus,
};
use runbook_tests::e2e::command::{Said, runbook};
use runbook_tests::e2e::{Daemon, Project, step, wait_for};

fn roll_back(daemon: &Daemon, name: &str, past: &[&str]) -> Result<Run, tonic::Status> {
    let past = past.iter().map(ToString::to_string).collect();
    let request = RollBackRunRequest { name: name.to_owned(), reason: "bad".into(), past, ..Default::default() };
    let response = daemon.runs(|mut client| async move { client.roll_back_run(request).await })?;
    Ok(response.run.expect("a run"))
}

fn settle(daemon: &Daemon, name: &str, step: &str, settlement: Settlement) -> Result<(), tonic::Status> {
    let request = ResolveStepRequest {
        name: name.to_owned(),
        step: step.to_owned(),
        settlement: settlement.into(),
        reason: "seen by hand".into(),
        ..Default::default()
    };
    daemon.runs(|mut client| async move { client.resolve_step(request).await }).map(drop)
}

fn resume(daemon: &Daemon, name: &str) -> Result<(), tonic::Status> {
    let request = ResumeRunRequest { name: name.to_owned(), reason: String::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).map(drop)
}

const THREE: &str = r#"
steps:
  network: {run: "echo +network >> log", rollback: {run: "echo -network >> log"}}
  disk:
    needs: [network]
    run: |
      echo +disk >> log
      echo id=d7 >> "$RUNBOOK_OUTPUT"
    outputs: {id: string}
    rollback: {argv: [sh, -c, "echo -disk $1 >> log", sh, "${{ default(attempt.outputs.id, 'none') }}"]}
  machine: {needs: [disk], run: "echo +machine >> log; exit 3", rollback: {run: "echo -machine >> log"}}
finally:
  tell: {argv: [sh, -c, "echo end $1 >> log", sh, "${{ run.outcome }}"]}
"#;

#[test]
fn a_failed_run_is_rolled_back_by_hand_and_its_finally_runs_again() {
    let project = Project::with("m", THREE);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("m", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert!(run.can_roll_back);
    let run = roll_back(&daemon, &run.name, &[]).expect("accepted");
    let run = daemon.wait(&run.name, "the rollback", |run| run.status() == RunStatus::RolledBack);
    assert_eq!(
        project.lines("log"),
        ["+network", "+disk", "+machine", "end failed", "-disk d7", "-network", "end rolled_back"]
    );
    for (id, status) in
        [("network", StepStatus::RolledBack), ("disk", StepStatus::RolledBack), ("machine", StepStatus::Failed)]
    {
        assert_eq!(step(&run, id).status(), status, "{id}");
    }
    let again = roll_back(&daemon, &run.name, &[]).expect_err("rolled back");
    assert_eq!(again.message(), "the run cannot be rolled back: it is rolled back already");
    // And all of it again.
    resume(&daemon, &run.name).expect("resume");
    let run = daemon.wait(&run.name, "the second end", |run| run.epoch == 2 && run.finished_at.is_some());
    assert_eq!(run.status(), RunStatus::Failed);
    assert_eq!(project.lines("log")[7..], ["+network", "+disk", "+machine", "end failed"]);
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_a_rollback_goes_on_with_it() {
    let body = THREE.replace("-network >> log", "-network >> log; while ! test -e go; do sleep 0.02; done");
    let project = Project::with("k", &format!("rollback: {{policy: automatic, of: started}}\n{body}"));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("k", &[]);
    let in_network = || project.lines("log").contains(&"-network".to_owned()).then_some(());
    wait_for("the last compensation", in_network);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let half = daemon.get(&run.name);
    assert_eq!(half.status(), RunStatus::RollingBack, "{half:#?}");
    assert_eq!(step(&half, "disk").status(), StepStatus::RolledBack);
    assert_eq!(step(&half, "network").status(), StepStatus::RollingBack);
    let cancel = CancelRunRequest { name: run.name.clone(), ..Default::default() };
    let refused = daemon.runs(|mut client| async move { client.cancel_run(cancel).await }).expect_err("no way");
    assert!(refused.message().contains("is being rolled back"), "{refused:?}");
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}\n{}", daemon.log());
    assert_eq!(
        project.lines("log"),
        ["+network", "+disk", "+machine", "-machine", "-disk d7", "-network", "end rolled_back"]
    );
    let types: Vec<EventType> = daemon.events(&run.name).iter().map(|event| event.r#type()).collect();
    assert_eq!(types.iter().filter(|kind| **kind == EventType::RollingBack).count(), 1);
}

#[test]
fn a_compensation_that_fails_waits_for_a_person() {
    let body = THREE.replace("echo -disk $1 >> log", "echo -disk >> log; test -e mended");
    let project = Project::with("f", &format!("rollback: automatic\n{body}"));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("f", &[]);
    let stuck = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(step(&stuck, "disk").status(), StepStatus::RollbackFailed);
    assert!(stuck.message.contains("disk could not be rolled back"), "{}", stuck.message);
    let refused = settle(&daemon, &run.name, "disk", Settlement::Failed).expect_err("it has failed");
    assert!(refused.message().contains("retry, succeeded or skipped"), "{refused:?}");
    project.file("mended", "");
    resume(&daemon, &run.name).expect("tries again");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}");
    let tries = project.lines("log").iter().filter(|line| *line == "-disk").count();
    assert_eq!(tries, 4);
}

#[test]
fn what_is_skipped_leaves_the_run_failed_and_what_did_nothing_is_not_rolled_back() {
    let body = THREE.replace("echo -disk $1 >> log", "exit 1");
    let project = Project::with("s", &format!("rollback: automatic\n{body}"));
    project.runbook("nothing", "steps:\n  a: {run: \"exit 1\", rollback: {run: \"true\"}}\n");
    project.runbook("never", "rollback: never\nsteps:\n  a: {run: \"true\", rollback: {run: \"true\"}}\n  b: {needs: [a], run: \"exit 1\"}\n");
    let daemon = Daemon::start(&project);
    let run = daemon.exec("s", &[]);
    daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    settle(&daemon, &run.name, "disk", Settlement::Skipped).expect("skipped");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{run:#?}");
    assert_eq!(project.lines("log")[3..], ["-network", "end failed"]);
    let refused = resume(&daemon, &run.name).expect_err("unclear");
    assert!(refused.message().contains("could not be rolled back"), "{refused:?}");
    for (name, why) in [
        (
            "nothing",
            "the run cannot be rolled back: no step that succeeded says how it is rolled back (`rollback:` of the step)",
        ),
        ("never", "the run cannot be rolled back: its runbook says rollback: never"),
    ] {
        let run = daemon.exec(name, &[]);
        let run = daemon.wait_over(&run.name);
        let events = daemon.events(&run.name).len();
        let refused = roll_back(&daemon, &run.name, &[]).expect_err("nothing to do");
        assert_eq!(refused.message(), why);
        assert_eq!(daemon.events(&run.name).len(), events, "the run is as it was");
    }
}

#[test]
fn there_is_no_way_back_from_some_steps() {
    let project = Project::with(
        "n",
        r#"
rollback: automatic
steps:
  build: {run: "echo +build >> log", rollback: {run: "echo -build >> log"}}
  switch: {needs: [build], no_return: true, run: "echo +switch >> log"}
  other: {run: "echo +other >> log", rollback: {run: "echo -other >> log"}}
  check: {needs: [switch, other], run: "while ! test -e go; do sleep 0.02; done; exit 1"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("n", &[]);
    daemon.wait(&run.name, "the check", |run| step(run, "check").status() == StepStatus::Running);
    let cancel = CancelRunRequest { name: run.name.clone(), ..Default::default() };
    let refused = daemon.runs(|mut client| async move { client.cancel_run(cancel).await }).expect_err("no way back");
    assert!(refused.message().contains("--past switch"), "{refused:?}");
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{run:#?}");
    assert_eq!(step(&run, "build").status(), StepStatus::Succeeded);
    assert_eq!(step(&run, "other").status(), StepStatus::RolledBack);
    let refused = roll_back(&daemon, &run.name, &[]).expect_err("no way back");
    assert!(refused.message().contains("--past switch"), "{refused:?}");
    roll_back(&daemon, &run.name, &["switch"]).expect("it was named");
    daemon.wait(&run.name, "the rollback", |run| run.status() == RunStatus::RolledBack);
    assert_eq!(project.lines("log")[3..], ["-other", "-build"]);
}

#[test]
fn a_person_is_told_what_can_be_rolled_back_and_what_came_of_it() {
    let body = THREE.replace("echo -disk $1 >> log", "test -e mended");
    let project = Project::with("p", &body);
    project.runbook("by-itself", &format!("rollback: automatic\n{THREE}"));
    let daemon = Daemon::start(&project);
    let said = |arguments: &[&str], code: i32, words: &[&str]| -> Said {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:#?}");
        for word in words {
            assert!(said.out.contains(word) || said.err.contains(word), "{arguments:?} without {word:?}: {said:#?}");
        }
        said
    };
    said(&["plan", "p"], 0, &["`runbook rollback` compensates what succeeded of network, disk, machine"]);
    said(
        &["plan", "by-itself"],
        0,
        &["if it does not succeed, what succeeded of network, disk, machine is rolled back"],
    );
    said(&["rehearse", "by-itself", "--fail", "machine"], 0, &["rolled back after", "rolled back: disk, network"]);
    said(&["rehearse", "by-itself", "--every-failure"], 0, &["ROLLED BACK"]);
    said(&["exec", "p"], 1, &["runbook rollback 1"]);
    said(
        &["rollback", "1", "--reason", "the release is bad"],
        4,
        &["the release is bad", "disk could not be rolled back", "runbook rollback 1 --abandon"],
    );
    said(&["cancel", "1"], 6, &["is being rolled back"]);
    said(&["rollback", "1", "--abandon"], 2, &["--reason"]);
    project.file("mended", "");
    said(&["resume", "1"], 0, &["step network: rolled back", "run 1: rolled back"]);
    said(&["status", "1"], 0, &["rolled back"]);
    said(&["rollback", "1"], 6, &["it is rolled back already"]);
    drop(daemon);
}
