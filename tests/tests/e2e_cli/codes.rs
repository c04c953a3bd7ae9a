//! Every exit code, from a real situation.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use runbook_tests::e2e::Daemon;
use runbook_tests::e2e::command::{command, runbook, said};
use rustix::process::{Pid, Signal, kill_process};

use crate::project::{project, release, wait_held};

#[test]
fn every_way_to_end_has_its_code() {
    let project = project();
    let daemon = Daemon::start(&project);
    for (code, arguments) in [
        (0, &["exec", "ok"][..]),
        (1, &["exec", "bad"]),
        (4, &["exec", "stuck"]),
        // Nothing of this name; not understood; no such input; a run that is not there.
        (2, &["exec", "okay"]),
        (2, &["exec"]),
        (2, &["exec", "ok", "-i", "whom=x"]),
        (2, &["status", "999"]),
        (5, &["list", "--endpoint", "unix:///nowhere/runbookd.sock"]),
        // It is over, and succeeded.
        (6, &["resume", "1"]),
        (6, &["cancel", "1"]),
    ] {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}{}", said.out, said.err, daemon.log());
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
}

#[test]
fn a_canceled_run_has_its_code() {
    let project = project();
    let daemon = Daemon::start(&project);
    let watching = command(&project, &["exec", "hold"]).stdout(Stdio::piped()).spawn().expect("exec");
    wait_held(&project);
    let canceled = runbook(&project, &["cancel", "last", "--now", "--wait", "--reason", "by hand"]);
    // Who asked for it got what was asked for; who watched sees a run that did not do its work.
    assert_eq!(canceled.code, 0, "{canceled:?}");
    let watched = watching.wait_with_output().expect("exec ends");
    assert_eq!(watched.status.code(), Some(3), "{}", daemon.log());
    let out = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(out.contains("run 1 hold: canceled") && out.contains("by hand"), "{out}");
}

#[test]
fn an_interrupt_without_a_person_detaches() {
    let project = project();
    let daemon = Daemon::start(&project);
    let mut exec = command(&project, &["exec", "hold"]);
    let mut watching = exec.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("exec");
    let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.expect("a line").ends_with("step wait: started")));
    let pid = i32::try_from(watching.id()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::INT).expect("INT");
    let left = watching.wait_with_output().expect("exec ends");
    assert_eq!(left.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&left.stderr), "run 1 goes on; `runbook watch 1` comes back to it\n");
    release(&project);
    assert_eq!(runbook(&project, &["watch", "1"]).code, 0, "{}", daemon.log());
}

#[test]
fn a_reader_that_goes_away_is_no_failure_of_the_program() {
    let project = project();
    let _daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "ok"]).code, 0);
    let verbs: [&[&str]; 10] = [
        &["exec", "ok"],
        &["list"],
        &["show", "ok"],
        &["runs"],
        &["status", "1"],
        &["events", "1"],
        &["logs", "1"],
        &["version"],
        &["completions", "bash"],
        &["watch", "1", "--after", "0", "--output", "json"],
    ];
    for arguments in verbs {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command(&project, arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let ended = command.spawn().expect("it starts").wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(141), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{arguments:?}");
    }
    // The help is nobody's data: that it was not read is no reason to fail.
    let mut shell = std::process::Command::new("sh");
    let script = "\"$0\" events 1 | head -n 1; \"$0\" --help | head -n 1";
    shell.args(["-c", script]).arg(runbook_tests::e2e::cli()).current_dir(project.root());
    let head = said(shell);
    assert_eq!((head.code, head.err.as_str(), head.out.lines().count()), (0, "", 2), "{}", head.out);
}

#[test]
fn an_output_that_cannot_be_written_is_told() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let mut list = command(&project, &["list"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let ended = list.stdout(full).stderr(Stdio::piped()).spawn().expect("list").wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(7));
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(err, "error: cannot write the output\n  why: No space left on device (os error 28)\n");
}
