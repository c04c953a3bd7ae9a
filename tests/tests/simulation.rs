//! The core in deterministic simulation: fixed seeds, fresh ones, and proof that the checkers object.
//!
//! The fault model stands at the head of `tests/src/sim/mod.rs`; `docs/simulation.md` says how to use it.
//!
//! - `RUNBOOK_SIM_SEED=7 cargo test -p runbook-tests --test simulation replay -- --nocapture` shows a world again;
//! - `RUNBOOK_SIM_SEEDS=5000` or `RUNBOOK_SIM_SECONDS=600` with the test `fresh_seeds` looks at so many new ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runbook_core::run::LEGAL_STEP_EVENTS;
use runbook_tests::sim::{Failure, Limits, Sabotage, Seen, check_language, command, shrink, simulate};

/// Worlds that are the same on every day.
const FIXED: u64 = 2_000;
/// Worlds that nobody has seen before, where nothing else is said.
const FRESH: u64 = 50;
/// So many worlds are lived through at the same time.
const THREADS: u64 = 2;
/// A sabotage must be noticed within so many worlds.
const SABOTAGED: u64 = 150;

/// Lives through worlds; gives what they reached, or the first failure.
fn worlds(seeds: Range<u64>, until: Option<Instant>) -> Result<(Seen, u64), Box<Failure>> {
    let lives = |first: u64| -> Result<(Seen, u64), Box<Failure>> {
        let (mut seen, mut count) = (Seen::default(), 0);
        for seed in seeds.clone().skip(first as usize).step_by(THREADS as usize) {
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            seen.add(&simulate(seed, Limits::NONE, None)?);
            count += 1;
        }
        Ok((seen, count))
    };
    std::thread::scope(|scope| {
        let lives = &lives;
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || lives(first))).collect();
        let mut all = (Seen::default(), 0);
        for thread in threads {
            let (seen, count) = thread.join().expect("no world panics")?;
            all.0.add(&seen);
            all.1 += count;
        }
        Ok(all)
    })
}

fn complain(failure: Box<Failure>) -> ! {
    let seed = failure.seed;
    let small = shrink(failure, None);
    panic!("{small}\nthe whole world: {}", command(seed, Limits::NONE));
}

/// What the fixed worlds reach; lived through once for all tests.
fn fixed() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| match worlds(0..FIXED, None) {
        Ok((seen, _)) => seen,
        Err(failure) => complain(failure),
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn fixed_seeds_hold() {
    fixed();
}

#[test]
fn fresh_seeds_hold() {
    let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 >> 8;
    let seconds = number("RUNBOOK_SIM_SECONDS");
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let count = match number("RUNBOOK_SIM_SEEDS") {
        Some(count) => count,
        None if until.is_some() => u64::MAX - base,
        None => FRESH,
    };
    match worlds(base..base + count, until) {
        Ok((_, count)) => println!("{count} worlds from seed {base} on hold"),
        Err(failure) => complain(failure),
    }
}

#[test]
fn replay() {
    let Some(seed) = number("RUNBOOK_SIM_SEED") else { return };
    let limits = Limits::parse(&std::env::var("RUNBOOK_SIM_LIMITS").unwrap_or_default()).unwrap();
    match simulate(seed, limits, None) {
        Ok(seen) => println!("seed {seed} holds: {seen:#?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn one_seed_is_one_world() {
    for seed in 0..20 {
        let history = || simulate(seed, Limits::NONE, None).unwrap().history;
        assert_eq!(history(), history(), "seed {seed}");
    }
}

#[test]
fn every_transition_is_reached_and_no_other() {
    // These have histories of their own: fixed worlds come to them rarely, or not at all.
    let elsewhere = [("skipped", "child_rolling_back"), ("rollback_failed", "child_rolling_back")];
    let legal: BTreeSet<_> = LEGAL_STEP_EVENTS.iter().copied().collect();
    let seen = &fixed().step_events;
    let missing: Vec<_> = legal.difference(seen).filter(|pair| !elsewhere.contains(pair)).collect();
    let extra: Vec<_> = seen.difference(&legal).collect();
    assert!(missing.is_empty() && extra.is_empty(), "never reached: {missing:?}; reached, but not legal: {extra:?}");
}

#[test]
fn every_fact_and_every_consequence_is_reached() {
    let facts = [
        "created",
        "due",
        "admitted",
        "step_ready",
        "step_skipped",
        "step_failed",
        "wait_began",
        "wait_ended",
        "approval_asked",
        "approval_given",
        "approval_timed_out",
        "start_decided",
        "attempt_starting",
        "attempt_ended",
        "child_starting",
        "child_ended",
        "child_waits",
        "child_rolling_back",
        "ending",
        "finishing",
        "finished",
        "resumed",
        "repeat_ended",
        "resolved",
        "deadlines_shifted",
        "rolling_back",
        "rollback_asked",
        "rollback_abandoned",
        "paused",
        "continued",
        "locks_released",
        "withheld",
        "provided",
    ];
    assert_eq!(fixed().facts, BTreeSet::from(facts));
    assert_eq!(fixed().thens, BTreeSet::from(Seen::THENS));
}

#[test]
fn every_fault_is_reached() {
    let marks = [
        "adopted",
        "block opened again",
        "block rolled back",
        "block started",
        "block took a result along",
        "block took an item along",
        "items opened again",
        "items rolled back",
        "items started",
        "given at last",
        "iterations in vain",
        "iterations opened again",
        "iterations rolled back",
        "iterations started",
        "child run opened again",
        "child run rolled back",
        "circle broken",
        "client repeats after a crash",
        "compensation settled at last",
        "clock set",
        "clock set a little",
        "clock set right",
        "crash between turns",
        "death after acting",
        "death after the append",
        "death before the append",
        "death in the middle of acting",
        "decided at last",
        "edited",
        "edited: makes a new child run",
        "edited: opens a child run again",
        "edited: runs again",
        "fenced",
        "folder is broken in part",
        "let go on at last",
        "lock released by hand",
        "lost with an earlier boot",
        "pools have other places",
        "power cut",
        "repeated request of a run that is over",
        "report doubled",
        "report late",
        "report lost",
        "resumed at last",
        "rollback below given up",
        "rolled back at last",
        "run begins later",
        "schedule comes back",
        "schedule is edited",
        "schedule paused",
        "schedule planned",
        "schedule removed",
        "schedule resumed",
        "schedule succeeded",
        "settled at last",
        "slot caught up",
        "slot failed",
        "slot merged",
        "slot merged with a run that waits",
        "slot missed: late",
        "slot missed: removed",
        "slot missed: too many",
        "slot missed: window",
        "slot ran",
        "slot skipped: a child run or a rollback needs a person",
        "slot skipped: overlap",
        "slot skipped: frozen",
        "slot skipped: hours",
        "slot skipped: paused",
        "spawned after a start",
        "start",
        "until held",
        "withheld",
        "withheld for what came meanwhile",
        "verdict found",
        "verdict of left processes found",
    ];
    let missing: Vec<_> = marks.into_iter().filter(|mark| fixed().count(mark) == 0).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    let unknown: Vec<_> = fixed().marks.keys().filter(|mark| !marks.contains(mark)).collect();
    assert!(unknown.is_empty(), "reached, and in no list: {unknown:?}");
}

#[test]
fn designs_mean_the_same_in_the_language() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..200 {
        match check_language(seed) {
            Ok((t, r)) => (taken, refused) = (taken + t, refused + r),
            Err(what) => panic!("{what}"),
        }
    }
    assert!(taken > 5 * refused, "the language takes {taken} designs and refuses {refused}");
}

/// A sabotage is noticed, and for what it is. It may be noticed first by what comes of it in some worlds.
fn noticed(sabotage: Sabotage, expected: &[&str]) {
    for seed in 0..SABOTAGED {
        if let Err(failure) = simulate(seed, Limits::NONE, Some(sabotage))
            && expected.iter().any(|part| failure.what.contains(part))
        {
            println!("{sabotage:?}: seed {seed}: {:.300}", failure.what);
            return;
        }
    }
    panic!("{sabotage:?} goes unnoticed in {SABOTAGED} worlds");
}

#[test]
fn the_checkers_notice_an_ignored_need() {
    noticed(Sabotage::NeedIgnored, &["may not start", "is not to be judged now"]);
}

#[test]
fn the_checkers_notice_a_lost_retry() {
    noticed(Sabotage::RetryLost, &["liveness"]);
}

#[test]
fn the_checkers_notice_a_double_start() {
    noticed(Sabotage::DoubleStart, &["is started a second time"]);
}

#[test]
fn the_checkers_notice_an_act_before_the_flush() {
    noticed(Sabotage::ActBeforeFlush, &["no durable fact starts", "there is no run"]);
}

#[test]
fn the_checkers_notice_a_lost_stop() {
    noticed(Sabotage::StopLost, &["due but not told"]);
}

#[test]
fn the_checkers_notice_a_cancel_that_does_not_hold() {
    noticed(Sabotage::CancelForgotten, &["replayed", "the state is"]);
}

#[test]
fn the_checkers_notice_a_kept_lock() {
    noticed(Sabotage::LockKept, &["is not admitted, and nothing holds it"]);
}

#[test]
fn the_checkers_notice_an_altered_history() {
    noticed(Sabotage::HistoryAltered, &["replayed"]);
}

#[test]
fn the_checkers_notice_a_start_without_a_value() {
    noticed(Sabotage::ValueAssumed, &["starts without the value"]);
}

#[test]
fn the_checkers_notice_a_forgotten_provision() {
    noticed(Sabotage::ProvisionForgotten, &["replayed", "the state is"]);
}
