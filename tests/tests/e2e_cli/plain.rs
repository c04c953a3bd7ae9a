//! What `exec` and `watch` say where nothing is redrawn: a line per event.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use runbook_tests::e2e::command::{Started, command, runbook};
use runbook_tests::e2e::{Daemon, golden, masked, wait_for};

use crate::project::{project, release, wait_held};
use crate::start::alone;

#[test]
fn a_run_is_told_line_by_line() {
    let project = project();
    let daemon = Daemon::start(&project);
    for name in ["ok", "bad", "stuck"] {
        let said = runbook(&project, &["exec", name, "--reason", "for the test"]);
        assert_eq!(said.err, "", "{}", daemon.log());
        golden(&format!("cli/exec-{name}.txt"), &masked(&project, &said.out));
    }
    let quiet = runbook(&project, &["exec", "bad", "--quiet"]);
    assert_eq!(
        masked(&project, &quiet.out),
        "run 4 bad: failed after SPAN: step copy failed\n✗ step copy: failed (attempt 2): exited with 3\n"
    );
    assert_eq!((quiet.code, quiet.err.as_str()), (1, ""));
}

#[test]
fn a_run_that_was_left_is_watched_again_from_where_it_is() {
    let project = project();
    let daemon = Daemon::start(&project);
    let started = runbook(&project, &["exec", "hold", "--detach"]);
    assert_eq!((started.code, started.out.as_str()), (0, "run 1 hold: started\n"), "{}", daemon.log());
    assert_eq!(started.err, "`runbook watch 1` shows it\n");
    wait_held(&project);
    let watching = std::thread::scope(|scope| {
        let watch = scope.spawn(|| runbook(&project, &["watch", "last"]));
        release(&project);
        watch.join().expect("watch")
    });
    assert_eq!(watching.code, 0);
    assert!(watching.out.contains("run 1 hold: succeeded after"), "{}", watching.out);
    // It is over: the end is told, and nothing is waited for.
    let over = runbook(&project, &["watch", "1"]);
    assert_eq!(masked(&project, &over.out), "run 1 hold: succeeded after SPAN\n  2 steps: 2 succeeded\n");
    let again = runbook(&project, &["watch", "1", "--after", "0"]);
    assert!(again.out.contains(" step wait: started\n"), "{}", again.out);
}

/// A command that goes on, and the lines that it writes to standard output.
fn going_on(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("it starts");
    let out = child.stdout.take().expect("its output");
    (child, BufReader::new(out).lines())
}

/// Reads on until a line ends like this; returns what was read.
fn read_until(lines: &mut Lines<BufReader<ChildStdout>>, end: &str) -> String {
    let mut read = String::new();
    for line in lines {
        let line = line.expect("a line");
        read += &line;
        read.push('\n');
        if line.ends_with(end) {
            return read;
        }
    }
    panic!("no line ends with {end:?}:\n{read}");
}

#[test]
fn neither_a_killed_nor_a_restarted_daemon_ends_the_watching() {
    let project = project();
    let started = Started(&project);
    let (mut child, mut lines) = going_on(command(&project, &["exec", "hold"]));
    let mut told = read_until(&mut lines, "step wait: started");
    started.kill();
    told += &read_until(&mut lines, "the connection to the daemon broke; going on where it stopped");
    // The watching command starts the next one.
    wait_for("another daemon", || started.pid());
    let restarted = runbook(&project, &["daemon", "restart"]);
    assert_eq!(restarted.code, 0, "{restarted:?}");
    release(&project);
    told += &read_until(&mut lines, "2 steps: 2 succeeded");
    assert!(child.wait().expect("it ends").success());
    for line in
        ["created by", "step wait: started", "step wait: succeeded", "step after: succeeded", "run 1: succeeded"]
    {
        assert_eq!(told.matches(line).count(), 1, "{line}:\n{told}");
    }
    assert_eq!(project.lines("starts").len(), 1, "it ran once");
}

#[test]
fn where_no_daemon_comes_back_the_watcher_is_told_why() {
    let project = project();
    let daemon = Daemon::start(&project);
    let own = alone(&project, Some("#!/bin/sh\necho 'the disk is broken' >&2\nexit 1\n"), &["exec", "hold"]);
    let (child, mut lines) = going_on(own);
    read_until(&mut lines, "step wait: started");
    daemon.kill();
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(5));
    let err = masked(&project, &String::from_utf8_lossy(&ended.stderr));
    assert_eq!(
        err,
        "error: run 1 is no longer watched: the daemon did not start\n  \
         why: it ended with exit status: 1; the end of its log:\n    the disk is broken\n  \
         next: steps that run go on without the daemon; `runbook watch 1` comes back to the run\n"
    );
    release(&project);
}
