//! What checking, planning, rehearsing and a turn of the state machine cost: `cargo bench --workspace --bench core`.
//!
//! Each figure has a bound, and the program fails where one is broken. Costs are measured at two sizes: the larger may cost
//! per event or per step only a little more than the smaller, or something grows with the square.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "it prints figures, and a panic is how it fails"
)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures; the core that it measures does not"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use runbook_core::id::{Digest, RunUid};
use runbook_core::language;
use runbook_core::machine::{Batch, Machine, MachineInput, Settings};
use runbook_core::plan::{Known, plan};
use runbook_core::rehearsal::{Script, Setting, rehearse};
use runbook_core::run::{ArtifactPaths, AttemptEnd, How, Input, Origin, Pinned, Principal, Start, Terms};
use runbook_core::time::{Span, Timestamp};
use serde_json::Map;

const CHECK_10_000: Duration = Duration::from_millis(300);
const PLAN_100: Duration = Duration::from_millis(100);
const REHEARSE_100: Duration = Duration::from_millis(50);
/// An event at 1,000 active runs of 100 steps.
const EVENT: Duration = Duration::from_micros(5);
/// A step that waits, in bytes of resident memory.
const WAITING_STEP: f64 = 2048.0;
/// An item whose block waits, in bytes: a run of its own.
const WAITING_ITEM: f64 = 16_384.0;
/// A tenfold size may cost so many times as much per event or step.
const SLOPE: f64 = 2.0;

/// The places among attempts: as many as ends come in one turn here.
const PLACES: usize = 64;
const ROUNDS: usize = 5;

/// Ten steps side by side, each needing three of those before.
fn layered(steps: usize, what: &str) -> String {
    let mut text = "name: layered\nlanguage: 1\nsteps:\n".to_owned();
    for step in 0..steps {
        let needs: Vec<String> = if step < 10 {
            Vec::new()
        } else {
            (0..3).map(|need| format!("s{}", (step / 10 - 1) * 10 + (step + need * 3) % 10)).collect()
        };
        writeln!(text, "  s{step}: {{needs: [{}], {what}}}", needs.join(", ")).unwrap();
    }
    text
}

const COMMAND: &str = "effect: read, argv: [\"true\"]";

fn pinned(source: &str) -> Arc<Pinned> {
    let checked = language::check(source.as_bytes(), "layered.yaml");
    let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Arc::new(Pinned::new(runbook, Digest::of(source.as_bytes()), []))
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn start(pinned: &Arc<Pinned>, uid: u128) -> MachineInput {
    let start = Start {
        number: 0,
        pinned: Arc::clone(pinned),
        inputs: IndexMap::new(),
        sealed_inputs: Vec::new(),
        origin: Origin::Person,
        by: Principal::engine(),
        roles: Vec::new(),
        reason: String::new(),
        request_id: String::new(),
        request_digest: Digest::of(b""),
        commit: None,
        terms: Terms::default(),
        parent: None,
        items: Vec::new(),
    };
    MachineInput::Start { token: 0, uid: RunUid::from_bits(uid), start: Box::new(start) }
}

fn machine() -> Machine {
    let artifacts = ArtifactPaths::new(|_, _, _, name| name.to_owned());
    Machine::new(Settings { places: PLACES, pools: None, boot: "bench".to_owned(), artifacts }, 1)
}

/// The ends of all attempts that a batch starts.
fn ends(batch: &Batch) -> Vec<MachineInput> {
    let end = |(attempt, _): &(runbook_core::machine::AttemptRef, _)| MachineInput::Run {
        token: None,
        run: attempt.run,
        input: Input::Verdict {
            step: attempt.step,
            attempt: attempt.attempt,
            end: Box::new(AttemptEnd::bare(How::Exited(0))),
            chance: 0,
        },
    };
    batch.starts.iter().map(end).collect()
}

/// What an event costs while so many runs of so many steps are active, from their first step to their last.
fn per_event(runs: u128, steps: usize) -> Duration {
    per_event_of(&pinned(&layered(steps, COMMAND)), runs)
}

/// The same of a step that does its work for so many items.
fn per_item_event(items: usize, work: &str) -> Duration {
    let list: Vec<String> = (0..items).map(|item| format!("item-{item}")).collect();
    let list = list.join(", ");
    per_event_of(&pinned(&format!("name: items\nlanguage: 1\nsteps: {{a: {{for_each: [{list}], {work}}}}}\n")), 1)
}

fn per_event_of(pinned: &Arc<Pinned>, runs: u128) -> Duration {
    let mut machine = machine();
    let mut now = Timestamp(0);
    let mut batch = machine.turn(now, (0..runs).map(|uid| start(pinned, uid)).collect());
    machine.committed(&batch);
    let (mut took, mut events) = (Duration::ZERO, 0_usize);
    loop {
        let inputs = ends(&batch);
        if inputs.is_empty() {
            break;
        }
        now = now + Span::millis(1);
        let begin = Instant::now();
        batch = machine.turn(now, inputs);
        machine.committed(&batch);
        took += begin.elapsed();
        events += batch.events.len();
    }
    assert_eq!(machine.runs().count(), 0, "all runs end");
    took / u32::try_from(events).unwrap()
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// What a step that waits for an hour takes of memory, with all of its run.
fn per_waiting_step(runs: u128, steps: usize) -> f64 {
    let mut source = "name: waits\nlanguage: 1\nsteps:\n".to_owned();
    for step in 0..steps {
        writeln!(source, "  s{step}: {{uses: wait, with: {{for: 1h}}}}").unwrap();
    }
    let pinned = pinned(&source);
    let mut machine = machine();
    let before = resident();
    for uid in 0..runs {
        let batch = machine.turn(Timestamp(0), vec![start(&pinned, uid)]);
        machine.committed(&batch);
    }
    let used = resident() - before;
    assert_eq!(machine.runs().count() as u128, runs, "all of them wait");
    used / (runs as f64 * steps as f64)
}

/// The memory in use while the blocks of 10,000 items wait for an hour.
fn waiting_items() -> f64 {
    let list: Vec<String> = (0..10_000).map(|item| format!("item-{item}")).collect();
    let work = "steps: {b: {uses: wait, with: {for: 1h}}}";
    let source = format!("name: waits\nlanguage: 1\nsteps: {{a: {{for_each: [{}], {work}}}}}\n", list.join(", "));
    let pinned = pinned(&source);
    let mut machine = machine();
    let batch = machine.turn(Timestamp(0), vec![start(&pinned, 0)]);
    machine.committed(&batch);
    assert_eq!(machine.runs().count(), 10_002, "all of them wait");
    resident()
}

struct Judge {
    broken: usize,
}

impl Judge {
    fn judge(&mut self, what: &str, value: f64, unit: &str, bound: f64) {
        let kept = value <= bound;
        self.broken += usize::from(!kept);
        let verdict = if kept { "kept" } else { "BROKEN" };
        println!("{what:<60} {value:>10.2} {unit:<6} at most {bound:>8.2}: {verdict}");
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut judge = Judge { broken: 0 };

    // Memory first, while nothing was freed that could be used again.
    judge.judge("a step that waits, of 100,000", per_waiting_step(1_000, 100), "bytes", WAITING_STEP);
    let before = resident();
    let (used, items) = (waiting_items(), 10_000.0);
    judge.judge("an item that waits in a block, of 10,000", (used - before) / items, "bytes", WAITING_ITEM);

    let check = |steps: usize| {
        let source = layered(steps, COMMAND);
        median(|| drop(black_box(language::check(black_box(source.as_bytes()), "layered.yaml"))))
    };
    let (small, large) = (check(1_000), check(10_000));
    judge.judge("checking 10,000 steps", ms(large), "ms", ms(CHECK_10_000));
    judge.judge(
        "  a step of them, beside one of 1,000",
        large.as_secs_f64() / small.as_secs_f64() / 10.0,
        "times",
        SLOPE,
    );

    let hundred = pinned(&layered(100, COMMAND));
    let planned = median(|| drop(black_box(plan(&hundred.runbook, &Known::default(), &BTreeMap::new()))));
    judge.judge("planning 100 steps", ms(planned), "ms", ms(PLAN_100));

    let lived = |steps: usize| {
        let pinned = pinned(&layered(steps, COMMAND));
        let setting = Setting::new(&pinned.runbook, Map::new(), PLACES);
        median(|| drop(black_box(rehearse(&pinned, &setting, &Script::default()).unwrap())))
    };
    let (small, large) = (lived(100), lived(1_000));
    judge.judge("rehearsing 100 steps", ms(small), "ms", ms(REHEARSE_100));
    judge.judge(
        "  a step of 1,000, beside one of them",
        large.as_secs_f64() / small.as_secs_f64() / 10.0,
        "times",
        SLOPE,
    );

    let (few, many) = (per_event(100, 100), per_event(1_000, 100));
    let long = per_event(100, 1_000);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    judge.judge("an event, 1,000 runs of 100 steps", micros(many), "µs", micros(EVENT));
    judge.judge("  beside 100 runs of 100 steps", many.as_secs_f64() / few.as_secs_f64(), "times", SLOPE);
    judge.judge("  100 runs of 1,000 steps, beside 100 of 100", long.as_secs_f64() / few.as_secs_f64(), "times", SLOPE);

    for (what, work) in
        [("a command", "argv: [x, \"${{ item }}\"]"), ("a block", "steps: {b: {argv: [x, \"${{ item }}\"]}}")]
    {
        let (few, many) = (per_item_event(1_000, work), per_item_event(10_000, work));
        judge.judge(&format!("an event, 10,000 items with {what}"), micros(many), "µs", micros(EVENT));
        judge.judge("  beside 1,000 items", many.as_secs_f64() / few.as_secs_f64(), "times", SLOPE);
    }
    assert!(judge.broken == 0, "{} bounds are broken", judge.broken);
}
