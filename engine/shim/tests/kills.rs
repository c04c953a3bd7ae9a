//! A shim that is killed: nothing runs on unseen, and nothing runs twice.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{Place, Shim, exited, has_program, skip, until};
use runbook_shim::files::{self, Claim};
use runbook_shim::lock;
use runbook_shim::process::{self, kill_leftovers};

#[test]
fn what_a_killed_shim_leaves_is_found_and_killed() {
    let place = Place::script(
        "setsid sh -c 'echo up > \"$T/up\"; sleep 1000; sleep 1000' &
         sh -c 'unset RUNBOOK_ATTEMPT_ID; exec sh -c \"echo up > $T/up; sleep 1000; sleep 1000\"' &
         echo up > \"$T/up\"; sleep 1000; sleep 1000",
    );
    let mut up = place.fifo("up");
    let mut shim = place.start();
    for _ in 0..3 {
        up.line();
    }
    let holder = lock::holder(&place.dir).unwrap();
    let child = Some(place.child());
    let id = &place.spec.attempt_id;
    let refused = kill_leftovers(&place.dir, id, holder, child).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ResourceBusy, "a living shim's processes are its own");
    let session = holder.unwrap().pid;
    let unmarked = || process::all().unwrap().iter().filter(|p| !p.ended && p.session == session).count();
    shim.kill();
    assert!(!lock::is_held(&place.dir).unwrap() && place.verdict().is_none());
    assert!(place.processes().len() >= 2 && unmarked() >= 2);
    assert_eq!(kill_leftovers(&place.dir, id, holder, child).unwrap(), Vec::<u32>::new());
    assert_eq!((place.processes().len(), unmarked()), (0, 0));
}

#[test]
fn leftovers_are_found_by_each_mark_alone() {
    for mark in ["session", "group", "variable"] {
        let place = Place::script("echo up > \"$T/up\"; sleep 1000; sleep 1000");
        let mut up = place.fifo("up");
        let mut shim = place.start();
        up.line();
        let holder = lock::holder(&place.dir).unwrap().filter(|_| mark == "session");
        let child = Some(place.child()).filter(|_| mark == "group");
        let id = if mark == "variable" { &place.spec.attempt_id } else { "another" };
        shim.kill();
        assert!(!place.processes().is_empty());
        assert_eq!(kill_leftovers(&place.dir, id, holder, child).unwrap(), Vec::<u32>::new());
        assert!(place.processes().is_empty(), "{mark}");
    }
}

#[test]
fn a_number_that_was_used_again_is_not_ours() {
    let place = Place::script("echo up > \"$T/up\"; read x < \"$T/go\"; exit 1");
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    // Another attempt, whose shim and command had the same pids, but started earlier.
    let elsewhere = Place::new(&["true"]);
    let mut holder = lock::holder(&place.dir).unwrap().unwrap();
    let mut child = place.child();
    holder.start_time -= 1;
    child.start_time -= 1;
    assert_eq!(kill_leftovers(&elsewhere.dir, "another", Some(holder), Some(child)).unwrap(), Vec::<u32>::new());
    go.go();
    assert_eq!(place.finish(shim).ending, exited(1));
}

/// So many calls of a name are told apart.
const TIMES: usize = 10;

/// Calls that change nothing that anybody else could see: being killed at them is being killed at the next one.
const UNSEEN: [&str; 12] = [
    "arch_prctl",
    "brk",
    "fcntl",
    "fstat",
    "getrandom",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "prlimit64",
    "rseq",
    "statx",
];

/// A place for a command that leaves processes in its group, in a session of its own, and without our pipes.
fn leaving() -> Place {
    let mut place = Place::script("echo ran >> \"$T/ran\"; setsid sleep 1000 & sleep 1000 > /dev/null 2>&1 & exit 0");
    place.spec.drain_ms = 0;
    place.place();
    place
}

/// The shim's calls, each with how often it was called before, as strace(1) tells them.
fn calls() -> Vec<(String, usize)> {
    let place = leaving();
    let trace = place.beside("trace");
    let shim = Shim { child: place.command(&["strace", "-o", trace.to_str().unwrap()]).spawn().unwrap() };
    assert_eq!(place.finish(shim).ending, exited(0));
    let trace = fs::read_to_string(trace).unwrap();
    let mut calls: Vec<(String, usize)> = Vec::new();
    for name in trace.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name) {
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !UNSEEN.contains(&name) && name != "execve" {
            let before = calls.iter().filter(|(known, _)| known == name).count();
            // Looking through /proc for what is left makes the same calls again and again.
            if before < TIMES {
                calls.push((name.to_owned(), before + 1));
            }
        }
    }
    calls
}

#[test]
fn a_shim_killed_at_any_of_its_calls_leaves_what_can_be_judged() {
    if !has_program("strace") {
        return skip("killing at a chosen call needs strace");
    }
    let (mut unclaimed, mut lost, mut ended) = (0, 0, 0);
    for (name, time) in calls() {
        let place = leaving();
        let inject = format!("inject={name}:signal=KILL:when={time}");
        let words = ["strace", "-o", "/dev/null", "-e", &inject];
        Shim { child: place.command(&words).spawn().unwrap() }.wait();
        until("the shim is gone", || !lock::is_held(&place.dir).unwrap());
        let call = format!("killed at {name}, time {time}");
        let ran = || fs::read_to_string(place.beside("ran")).map_or(0, |text| text.lines().count());
        match (place.verdict(), Claim::load(&place.dir).unwrap()) {
            (Some(verdict), claim) => {
                ended += 1;
                assert_eq!((verdict.ending, claim, ran()), (exited(0), Some(Claim::Shim), 1), "{call}");
                assert!(place.processes().is_empty(), "{call}");
            }
            (None, Some(claim)) => {
                lost += 1;
                assert_eq!(claim, Claim::Shim, "{call}");
                let (holder, child) = (lock::holder(&place.dir).unwrap(), files::load(&place.dir).unwrap());
                let left = kill_leftovers(&place.dir, &place.spec.attempt_id, holder, child).unwrap();
                assert_eq!((left, place.processes()), (Vec::new(), Vec::new()), "{call}");
                assert!(ran() <= 1, "{call}");
            }
            (None, None) => {
                unclaimed += 1;
                assert_eq!((ran(), place.processes().len()), (0, 0), "{call}");
                assert_eq!((place.run().ending, ran()), (exited(0), 1), "{call}: the next shim runs it, once");
            }
        }
    }
    assert!(unclaimed > 10 && lost > 10 && ended > 0, "{unclaimed} {lost} {ended}");
}
