//! Whatever a command does with processes: when the verdict is there, none of them is.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{Place, Shim, exited, has_program, is_root, skip, until};
use runbook_shim::files::{self, Ending, StopRequest};
use runbook_shim::lock;
use runbook_shim::log::Stream;
use runbook_shim::process::{self, Process};
use rustix::process::Signal;

#[test]
fn what_daemonizes_is_killed_after_the_drain() {
    let mut place =
        Place::script("setsid sh -c 'echo here; echo up > \"$T/up\"; exec sleep 1000' & read x < \"$T/up\"; exit 0");
    let _up = place.fifo("up");
    place.spec.drain_ms = 100;
    let verdict = place.run();
    assert_eq!((verdict.ending, verdict.leftover), (exited(0), 1));
    assert_eq!(place.lines(Stream::Out), ["here"]);
    assert!(place.processes().is_empty());
}

#[test]
fn what_daemonizes_without_our_pipes_is_killed_at_once() {
    let mut place = Place::script(
        "setsid sh -c 'echo up > \"$T/up\"; exec sleep 1000' > /dev/null 2>&1 & read x < \"$T/up\"; exit 0",
    );
    let _up = place.fifo("up");
    place.spec.drain_ms = 600_000;
    let verdict = place.run();
    assert_eq!((verdict.ending, verdict.leftover), (exited(0), 1));
    assert!(place.processes().is_empty());
}

#[test]
fn output_after_the_end_is_kept_while_it_drains() {
    let mut place = Place::script("(read x < \"$T/go\"; echo late) & echo up > \"$T/up\"; exit 0");
    place.spec.drain_ms = 600_000;
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let child = place.child();
    until("the command ended", || Process::read(child.pgid).is_ok_and(|p| p.ended));
    go.go();
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (exited(0), 0));
    assert_eq!(place.lines(Stream::Out), ["late"]);
}

#[test]
fn a_command_that_closes_its_output_is_waited_for() {
    let place = Place::script("exec > /dev/null 2>&1; echo up > \"$T/up\"; read x < \"$T/go\"; exit 9");
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    go.go();
    assert_eq!(place.finish(shim).ending, exited(9));
}

#[test]
fn orphans_are_reaped_while_the_command_runs() {
    // Each subshell leaves a child behind that ends later.
    let place = Place::script("for i in 1 2 3 4 5; do (true & ) ; done; echo up > \"$T/up\"; read x < \"$T/go\"");
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let own = shim.child.id();
    until("no orphan is left", || process::all().unwrap().iter().filter(|p| p.parent == own).count() == 1);
    go.go();
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (exited(0), 0));
}

#[test]
fn a_tree_of_groups_and_sessions_is_killed_whole() {
    let place = Place::script(
        "setsid sh -c 'setsid sh -c \"trap \\\"\\\" TERM INT HUP; echo up > $T/up; sleep 1000; sleep 1000\" & sleep 1000; sleep 1000' &
         sh -c 'sleep 1000 & sleep 1000; sleep 1000' & read x < \"$T/go\"",
    );
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    until("all of them run", || place.processes().len() >= 8);
    place.stop(&shim, "canceled", true);
    go.go();
    let verdict = place.finish(shim);
    assert!(verdict.leftover >= 7, "{verdict:?}");
    assert!(place.processes().is_empty());
}

const BOMB_USER: u32 = 54_321;
const BOMB_LIMIT: usize = 60;

fn of_bomb_user(user: u32) -> usize {
    process::all()
        .unwrap()
        .iter()
        .filter(|p| !p.ended && fs::metadata(format!("/proc/{}/stat", p.pid)).is_ok_and(|m| m.uid() == user))
        .count()
}

/// Runs a script of bash (which tries again when it cannot fork, where other shells give up) that forks until its limit under another user, and ends it in one of two ways.
fn bomb(user: u32, script: &str, by_stop: bool) {
    if !is_root() || !["setpriv", "prlimit", "setsid", "bash"].into_iter().all(has_program) {
        return skip("a limit on processes needs root, setpriv, prlimit, setsid and bash");
    }
    let mut place = Place::script("bash \"$T/bomb\" > /dev/null 2>&1 & read x < \"$T/go\"; exit 0");
    let mut go = place.fifo("go");
    fs::write(place.beside("bomb"), script).unwrap();
    place.spec.stop.grace_ms = 0;
    place.place();
    for path in [&place.dir, &place.dir.join("lock"), &place.dir.join("spec"), &place.beside("bomb")] {
        std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    }
    // The shim must be found by a user who may not enter everywhere.
    let copy = place.beside("shim");
    fs::copy(env!("CARGO_BIN_EXE_runbook-shim"), &copy).unwrap();
    let id = user.to_string();
    let limit = format!("--nproc={BOMB_LIMIT}");
    let mut command = std::process::Command::new("setpriv");
    command
        .args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups", "prlimit", &limit])
        .arg(copy)
        .arg(&place.dir);
    command.stdin(std::process::Stdio::null());
    let shim = Shim { child: command.spawn().unwrap() };
    until("the limit is reached", || of_bomb_user(user) + 5 >= BOMB_LIMIT);
    match by_stop {
        true => {
            files::place(&place.dir, &StopRequest { reason: "canceled".to_owned(), now: true }).unwrap();
            std::os::unix::fs::chown(place.dir.join("stop"), Some(user), Some(user)).unwrap();
            shim.signal(Signal::TERM);
        }
        false => go.go(),
    }
    let verdict = place.finish(shim);
    match by_stop {
        true => assert!(matches!(verdict.ending, Ending::Stopped { killed: true, .. }), "{verdict:?}"),
        false => assert_eq!(verdict.ending, exited(0)),
    }
    assert!(verdict.leftover > 0);
    assert_eq!(of_bomb_user(user), 0);
}

#[test]
fn who_forks_until_the_limit_is_killed() {
    bomb(BOMB_USER, "b() { while :; do b & done; }; b", false);
    bomb(BOMB_USER, "b() { while :; do b & done; }; b", true);
}

#[test]
fn who_forks_into_new_sessions_until_the_limit_is_killed() {
    let script = "trap '' TERM; while :; do setsid bash \"$0\" & done";
    bomb(BOMB_USER + 1, script, false);
    bomb(BOMB_USER + 1, script, true);
}

#[test]
fn at_most_two_execs_and_nine_files_per_attempt() {
    if !has_program("strace") {
        return skip("counting calls needs strace");
    }
    let place = Place::script("echo out; echo a=b > \"$RUNBOOK_OUTPUT\"");
    place.place();
    let trace = place.beside("trace");
    let shim = Shim {
        child: place.command(&["strace", "-f", "-o", trace.to_str().unwrap(), "-e", "trace=%file"]).spawn().unwrap(),
    };
    assert_eq!(place.finish(shim).ending, exited(0));
    let trace = fs::read_to_string(trace).unwrap();
    let calls = |names: &[&str]| -> Vec<&str> {
        trace.lines().filter(|line| names.iter().any(|name| line.contains(&format!(" {name}(")))).collect()
    };
    assert_eq!(calls(&["execve", "execveat"]).len(), 2, "the shim and the command\n{trace}");
    let own = format!("{}", lock::holder(&place.dir).unwrap().unwrap().pid);
    let changing = [
        "open",
        "openat",
        "openat2",
        "creat",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "link",
        "linkat",
    ];
    let files: Vec<&str> = calls(&changing)
        .into_iter()
        .filter(|c| c.starts_with(&own) && !c.contains("\"/proc") && !c.contains("\"/dev") && !c.contains("\"/sys"))
        .collect();
    assert_eq!(files.len(), 9, "{files:#?}");
}
