//! Timeouts and stop requests, at every point of an attempt.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Place, exited, until};
use runbook_shim::files::{Ending, Exit, StopRequest, StopSignal, StopTarget};
use runbook_shim::log::Stream;
use runbook_shim::process::{self, Process};
use rustix::process::Signal;

fn stopped(exit: Exit, killed: bool) -> Ending {
    Ending::Stopped { reason: "canceled".to_owned(), exit, killed }
}

/// Runs a test that must do its part before a timeout, in milliseconds, with ever longer ones until it could.
fn in_time(test: impl Fn(u64) -> Option<()>) {
    let done = [200, 2_000, 20_000].into_iter().find_map(test);
    assert!(done.is_some(), "the command did not come so far, not in 20 s either");
}

#[test]
fn a_stop_asks_and_the_answer_is_told() {
    let place = Place::script("trap 'echo asked; exit 7' TERM; sleep 1000 & echo up > \"$T/up\"; wait");
    let mut up = place.fifo("up");
    let shim = place.start();
    up.line();
    place.stop(&shim, "canceled", false);
    let verdict = place.finish(shim);
    assert_eq!(verdict.ending, stopped(Exit::Code(7), false));
    assert_eq!(verdict.stop, Some(StopRequest { reason: "canceled".to_owned(), now: false }));
    assert_eq!(place.lines(Stream::Out), ["asked"]);
}

#[test]
fn the_signal_and_its_target_are_chosen() {
    for (signal, number) in [(StopSignal::Term, 15), (StopSignal::Int, 2)] {
        let mut place = Place::script("echo up > \"$T/up\"; exec sleep 1000");
        place.spec.stop.signal = signal;
        let mut up = place.fifo("up");
        let shim = place.start();
        up.line();
        place.stop(&shim, "canceled", false);
        assert_eq!(place.finish(shim).ending, stopped(Exit::Signal(number), false));
    }
}

/// A leader that waits for its child; both tell when they are asked. What the child started may not be `sleep` yet when the
/// signal comes, and then swallows it as a shell with a trap does: so it is killed.
const TWO: &str = "trap 'echo leader' TERM
sh -c 'trap \"echo child; kill -9 \\$!; wait; exit 0\" TERM; sleep 1000 & echo up > \"$T/up\"; wait' &
wait; wait; echo done > \"$T/done\"; read x < \"$T/go\"; exit 4";

#[test]
fn a_stop_for_the_leader_spares_its_children() {
    let mut place = Place::script(
        "trap 'echo leader; exit 0' TERM; (trap 'echo child' TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done) & wait",
    );
    place.spec.stop.to = StopTarget::Leader;
    place.spec.drain_ms = 0;
    let (mut up, _never) = (place.fifo("up"), place.fifo("never"));
    let shim = place.start();
    up.line();
    place.stop(&shim, "canceled", false);
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (stopped(Exit::Code(0), false), 1));
    assert_eq!(place.lines(Stream::Out), ["leader"]);
}

#[test]
fn a_stop_for_the_group_reaches_all_of_it() {
    let place = Place::script(TWO);
    let (mut up, mut done, mut go) = (place.fifo("up"), place.fifo("done"), place.fifo("go"));
    let shim = place.start();
    up.line();
    place.stop(&shim, "canceled", false);
    done.line();
    go.go();
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (stopped(Exit::Code(4), false), 0));
    let mut lines = place.lines(Stream::Out);
    lines.sort();
    assert_eq!(lines, ["child", "leader"]);
}

#[test]
fn the_rest_of_a_stopped_group_has_its_grace_when_the_leader_is_gone() {
    // The leader dies of the signal at once; its child needs longer than the drain to put its things in order.
    let mut place = Place::script(
        "sh -c 'trap \"read x < $T/go; echo in order; kill -9 \\$!; wait; exit 0\" TERM; sleep 1000 & echo up > \"$T/up\"; wait' & wait",
    );
    place.spec.drain_ms = 0;
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let child = place.child();
    place.stop(&shim, "canceled", false);
    until("the leader ends", || Process::read(child.pgid).is_ok_and(|p| p.ended));
    // Another request, which the shim reads only after it has seen the leader's end.
    place.stop(&shim, "canceled", false);
    go.go();
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (stopped(Exit::Signal(15), false), 0));
    assert_eq!(place.lines(Stream::Out), ["in order"]);
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace() {
    let mut place = Place::script(
        "trap '' TERM; echo up > \"$T/up\"; (while :; do read x < \"$T/never\"; done) & while :; do read x < \"$T/never\"; done",
    );
    place.spec.stop.grace_ms = 50;
    let (mut up, _never) = (place.fifo("up"), place.fifo("never"));
    let shim = place.start();
    up.line();
    place.stop(&shim, "canceled", false);
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (stopped(Exit::Signal(9), true), 1));
    assert!(verdict.duration_micros >= 50_000);
    assert!(place.processes().is_empty());
}

#[test]
fn now_kills_at_once_also_when_it_comes_later() {
    for first in [None, Some("canceled")] {
        let place = Place::script("trap '' TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done");
        let (mut up, _never) = (place.fifo("up"), place.fifo("never"));
        let shim = place.start();
        up.line();
        if let Some(reason) = first {
            place.stop(&shim, reason, false);
        }
        place.stop(&shim, "canceled", true);
        let verdict = place.finish(shim);
        assert_eq!(verdict.ending, stopped(Exit::Signal(9), true));
        assert!(verdict.stop.unwrap().now);
    }
}

#[test]
fn who_is_paused_can_be_stopped_too() {
    let place = Place::script("trap 'exit 5' TERM; sleep 1000 & echo up > \"$T/up\"; wait");
    let mut up = place.fifo("up");
    let shim = place.start();
    up.line();
    let child = place.child();
    assert!(process::signal(&Process::read(child.pgid).unwrap(), Signal::STOP));
    until("the command is paused", || Process::read(child.pgid).unwrap().stopped);
    place.stop(&shim, "canceled", false);
    assert_eq!(place.finish(shim).ending, stopped(Exit::Code(5), false));
}

#[test]
fn a_timeout_asks_and_then_kills() {
    in_time(|timeout_ms| {
        let mut place = Place::script("trap 'exit 6' TERM; sleep 1000 & : > \"$T/set\"; wait");
        // The signal may come before there is a `sleep` to hear it.
        (place.spec.timeout_ms, place.spec.stop.grace_ms) = (Some(timeout_ms), 1_000);
        let verdict = place.run();
        place.beside("set").exists().then(|| {
            assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Code(6), killed: false });
            assert!(verdict.duration_micros >= timeout_ms * 1_000 && verdict.stop.is_none());
        })
    });
    in_time(|timeout_ms| {
        let mut place = Place::script("trap '' TERM; : > \"$T/set\"; while :; do read x < \"$T/never\"; done");
        let _never = place.fifo("never");
        (place.spec.timeout_ms, place.spec.stop.grace_ms) = (Some(timeout_ms), 50);
        let verdict = place.run();
        place.beside("set").exists().then(|| {
            assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Signal(9), killed: true });
            assert!(verdict.duration_micros >= (timeout_ms + 50) * 1_000);
        })
    });
}

#[test]
fn a_timeout_stays_one_when_a_stop_comes_as_well() {
    in_time(|timeout_ms| {
        let mut place = Place::script(
            "trap ': > \"$T/asked\"' TERM; sleep 1000 & : > \"$T/set\"; wait; while :; do read x < \"$T/never\"; done",
        );
        let _never = place.fifo("never");
        place.spec.timeout_ms = Some(timeout_ms);
        let mut shim = place.start();
        until("the command was asked or is gone", || {
            place.beside("asked").exists() || shim.child.try_wait().unwrap().is_some()
        });
        place.beside("set").exists().then(|| {
            place.stop(&shim, "canceled", true);
            let verdict = place.finish(shim);
            assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Signal(9), killed: true });
            assert_eq!(verdict.stop.unwrap().reason, "canceled");
        })
    });
}

#[test]
fn timeouts_that_never_come_do_no_harm() {
    let mut place = Place::new(&["true"]);
    (place.spec.timeout_ms, place.spec.stop.grace_ms, place.spec.drain_ms) = (Some(u64::MAX), u64::MAX, u64::MAX);
    assert_eq!(place.run().ending, exited(0));
}

#[test]
fn signals_without_a_request_change_nothing() {
    let place = Place::script("echo up > \"$T/up\"; read x < \"$T/go\"; exit 2");
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    for signal in
        [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::ALARM, Signal::PIPE, Signal::TSTP]
    {
        shim.signal(signal);
    }
    go.go();
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.stop), (exited(2), None));
}

#[test]
fn an_end_in_the_same_moment_as_the_stop_is_told_as_it_was() {
    // The shim is paused while the command ends and the request comes, so that it sees both at once.
    let place = Place::script("echo up > \"$T/up\"; read x < \"$T/go\"; exit 3");
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let child = place.child();
    shim.signal(Signal::STOP);
    go.go();
    until("the command ended", || Process::read(child.pgid).is_ok_and(|p| p.ended));
    place.stop(&shim, "canceled", true);
    shim.signal(Signal::CONT);
    let verdict = place.finish(shim);
    assert_eq!(verdict.ending, exited(3));
    assert!(verdict.stop.is_some(), "the request is told all the same");
}

#[test]
fn a_timeout_in_the_same_moment_as_the_end_is_none() {
    in_time(|timeout_ms| {
        // Started before the shim, so that the shim's own time is never ahead.
        let started = Instant::now();
        let timeout = Duration::from_millis(timeout_ms);
        let mut place = Place::script("trap '' TERM; echo up > \"$T/up\"; read x < \"$T/go\"; exit 3");
        place.spec.timeout_ms = Some(timeout_ms);
        let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
        let shim = place.start();
        up.line();
        let child = place.child();
        shim.signal(Signal::STOP);
        until("the shim is paused", || Process::read(shim.child.id()).unwrap().stopped);
        let paused_in_time = started.elapsed() < timeout;
        let begun = Instant::now();
        go.go();
        until("the command ended", || Process::read(child.pgid).is_ok_and(|p| p.ended));
        until("the timeout has passed while the shim is paused", || begun.elapsed() > timeout);
        shim.signal(Signal::CONT);
        let verdict = place.finish(shim);
        paused_in_time.then(|| assert_eq!(verdict.ending, exited(3)))
    });
}

#[test]
fn a_stop_while_the_output_drains_is_not_the_end_s_cause() {
    let mut place = Place::script("(echo up > \"$T/up\"; exec sleep 1000) & read x < \"$T/go\"; exit 0");
    place.spec.drain_ms = 600_000;
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let child = place.child();
    go.go();
    until("the command ended", || Process::read(child.pgid).is_ok_and(|p| p.ended));
    place.stop(&shim, "canceled", true);
    let verdict = place.finish(shim);
    assert_eq!((verdict.ending, verdict.leftover), (exited(0), 1));
}
