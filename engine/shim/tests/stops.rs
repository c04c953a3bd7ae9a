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

#[test]
fn a_stop_asks_and_the_answer_is_told() {
    let place =
        Place::script("trap 'echo asked; exit 7' TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done");
    let (mut up, _never) = (place.fifo("up"), place.fifo("never"));
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

/// A leader that waits for its child; both tell when they are asked.
const TWO: &str = "trap 'echo leader' TERM
sh -c 'trap \"echo child; exit 0\" TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done' &
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
    let (mut up, _never, mut done, mut go) =
        (place.fifo("up"), place.fifo("never"), place.fifo("done"), place.fifo("go"));
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
        "sh -c 'trap \"read x < $T/go; echo in order; exit 0\" TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done' & wait",
    );
    place.spec.drain_ms = 0;
    let (mut up, _never, mut go) = (place.fifo("up"), place.fifo("never"), place.fifo("go"));
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
    let place = Place::script("trap 'exit 5' TERM; echo up > \"$T/up\"; while :; do read x < \"$T/never\"; done");
    let (mut up, _never) = (place.fifo("up"), place.fifo("never"));
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
    let mut place = Place::script("trap 'exit 6' TERM; while :; do read x < \"$T/never\"; done");
    let _never = place.fifo("never");
    place.spec.timeout_ms = Some(200);
    let verdict = place.run();
    assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Code(6), killed: false });
    assert!(verdict.duration_micros >= 200_000 && verdict.stop.is_none());

    let mut place = Place::script("trap '' TERM; while :; do read x < \"$T/never\"; done");
    let _never = place.fifo("never");
    (place.spec.timeout_ms, place.spec.stop.grace_ms) = (Some(200), 50);
    let verdict = place.run();
    assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Signal(9), killed: true });
    assert!(verdict.duration_micros >= 250_000);
}

#[test]
fn a_timeout_stays_one_when_a_stop_comes_as_well() {
    let mut place = Place::script("trap 'echo asked > \"$T/asked\"' TERM; while :; do read x < \"$T/never\"; done");
    let (mut asked, _never) = (place.fifo("asked"), place.fifo("never"));
    place.spec.timeout_ms = Some(200);
    let shim = place.start();
    asked.line();
    place.stop(&shim, "canceled", true);
    let verdict = place.finish(shim);
    assert_eq!(verdict.ending, Ending::TimedOut { exit: Exit::Signal(9), killed: true });
    assert_eq!(verdict.stop.unwrap().reason, "canceled");
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
    let mut place = Place::script("echo up > \"$T/up\"; read x < \"$T/go\"; exit 3");
    place.spec.timeout_ms = Some(500);
    let (mut up, mut go) = (place.fifo("up"), place.fifo("go"));
    let shim = place.start();
    up.line();
    let started = Instant::now();
    let child = place.child();
    shim.signal(Signal::STOP);
    go.go();
    until("the command ended", || Process::read(child.pgid).is_ok_and(|p| p.ended));
    until("the timeout has passed while the shim is paused", || started.elapsed() > Duration::from_millis(600));
    shim.signal(Signal::CONT);
    assert_eq!(place.finish(shim).ending, exited(3));
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
