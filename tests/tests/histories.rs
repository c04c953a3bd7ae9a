//! Histories that once went wrong, each as short as it can be told. The simulation found them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::Priority;
use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::language::check;
use runbook_core::machine::{Batch, Machine, MachineInput, Settings};
use runbook_core::run::{
    ArtifactPaths, AttemptEnd, EndingCause, Event, Fact, How, Input, Origin, Outcome, Phase, Pinned, Principal,
    Progress, Provision, Rejection, Start, Terms, Then,
};
use runbook_core::time::{Span, Timestamp};

const BEGIN: Timestamp = Timestamp(1_800_000_000_000_000);

fn after(seconds: i64) -> Timestamp {
    BEGIN + Span::seconds(seconds)
}

fn uid(number: u128) -> RunUid {
    RunUid::from_bits(number)
}

/// The machine, and all that it made durable.
struct History {
    machine: Machine,
    pinned: Arc<Pinned>,
    events: Vec<(RunUid, Event)>,
}

impl History {
    fn new(places: usize, yaml: &str) -> Self {
        let text = format!("name: a\nlanguage: 1\n{yaml}");
        let checked = check(text.as_bytes(), "a.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:#?}", checked.findings));
        let pinned = Arc::new(Pinned::new(runbook, Digest::of(text.as_bytes()), []));
        Self { machine: machine(places), pinned, events: Vec::new() }
    }

    fn turn(&mut self, at: Timestamp, inputs: Vec<MachineInput>) -> Batch {
        let batch = self.machine.turn(at, inputs);
        self.events.extend(batch.events.iter().cloned());
        self.machine.committed(&batch);
        self.machine.audit(at).unwrap();
        batch
    }

    fn start(&self, number: u128) -> MachineInput {
        let start = Start {
            number: 0,
            pinned: Arc::clone(&self.pinned),
            inputs: IndexMap::new(),
            sealed_inputs: Vec::new(),
            origin: Origin::Person,
            by: ann(),
            roles: Vec::new(),
            reason: String::new(),
            request_id: String::new(),
            request_digest: Digest::of(b""),
            commit: None,
            terms: Terms::default(),
            parent: None,
            items: Vec::new(),
        };
        MachineInput::Start { token: 0, uid: uid(number), start: Box::new(start) }
    }

    fn load(&mut self, number: u128, at: Timestamp) {
        let events: Vec<Event> =
            self.events.iter().filter(|(run, _)| *run == uid(number)).map(|(_, event)| event.clone()).collect();
        assert_eq!(self.machine.load(uid(number), Arc::clone(&self.pinned), &[], &events, at), Ok(None));
    }

    /// Takes the first run into memory again, with the child run that it has.
    fn load_with_child(&mut self, at: Timestamp) {
        self.load(1, at);
        let child = self.events.iter().map(|(run, _)| *run).find(|run| *run != uid(1)).unwrap();
        let events = self.events.iter().filter(|(run, _)| *run == child).map(|(_, event)| event.clone());
        let events: Vec<Event> = events.collect();
        assert_eq!(self.machine.load_child(child, &events, at), Ok(None));
    }
}

fn machine(places: usize) -> Machine {
    machine_with(places, 1)
}

/// `pooled` is how many places the pool `p` has.
fn machine_with(places: usize, pooled: usize) -> Machine {
    Machine::new(
        Settings {
            places,
            pools: Some([("p".to_owned(), pooled)].into()),
            boot: "boot".to_owned(),
            artifacts: ArtifactPaths::new(|_, _, _, name| name.to_owned()),
        },
        1,
    )
}

fn ann() -> Principal {
    Principal { name: "ann".to_owned(), uid: Some(1_000) }
}

fn ended(number: u128, step: u32, attempt: u32, how: How) -> MachineInput {
    let end = Box::new(AttemptEnd::bare(how));
    let input = Input::Verdict { step: StepNo(step), attempt: AttemptNo(attempt), end, chance: u32::MAX };
    MachineInput::Run { token: None, run: uid(number), input }
}

fn asked(number: u128, input: Input) -> MachineInput {
    MachineInput::Run { token: Some(1), run: uid(number), input }
}

fn kinds(batch: &Batch) -> Vec<&'static str> {
    batch.events.iter().map(|(_, event)| event.fact.kind()).collect()
}

const RETRY: &str = "retry: {attempts: 2, backoff: {initial: 10s, factor: 1, jitter: none}}";

#[test]
fn a_timeout_that_strikes_while_the_daemon_is_away_is_not_forgotten() {
    let mut history = History::new(1, "timeout: 60s\nsteps: {s: {run: work}}\n");
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    history.machine = machine(1);
    history.load(1, after(100));
    let batch = history.turn(after(100), Vec::new());
    assert!(matches!(&batch.events[0].1.fact, Fact::Ending { cause: EndingCause::Timeout }), "{batch:?}");
    assert_eq!(batch.stops.len(), 1);
}

#[test]
fn patience_that_ends_while_the_daemon_is_away_is_not_forgotten() {
    let mut history = History::new(1, "attention: {after: 60s, as: failed}\nsteps: {s: {run: work}}\n");
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    history.turn(BEGIN, vec![ended(1, 0, 1, How::Lost { processes_left: false })]);
    history.machine = machine(1);
    history.load(1, after(100));
    assert_eq!(kinds(&history.turn(after(100), Vec::new())), ["resolved", "ending", "finishing", "finished"]);
}

#[test]
fn a_clock_that_is_set_forwards_makes_nothing_due() {
    for first in [true, false] {
        let mut history = History::new(
            1,
            "timeout: 60s\nsteps: {s: {run: work, effect: read, RETRY}}\n".replace("RETRY", RETRY).as_str(),
        );
        let start = history.start(1);
        history.turn(BEGIN, vec![start]);
        // An hour more on the clock, and one second of life.
        let mut inputs = vec![ended(1, 0, 1, How::Exited(1))];
        inputs.insert(usize::from(!first), MachineInput::ClockSet(Span::seconds(3_600)));
        let batch = history.turn(after(3_601), inputs);
        assert_eq!(kinds(&batch), ["deadlines_shifted", "attempt_ended"]);
        assert_eq!(batch.wake, Some(after(3_611)), "ten seconds after the failure");
    }
}

#[test]
fn a_clock_that_goes_back_a_little_loses_no_retry() {
    let mut history = History::new(1, &format!("steps: {{s: {{run: work, effect: read, {RETRY}}}}}\n"));
    let (first, second) = (history.start(1), history.start(2));
    history.turn(BEGIN, vec![first]);
    history.turn(after(1), vec![ended(1, 0, 1, How::Exited(1)), second]);
    // The other run has the only place when the retry falls due.
    assert_eq!(kinds(&history.turn(after(11), Vec::new())), [""; 0]);
    let batch = history.turn(BEGIN + Span::millis(10_500), vec![ended(2, 0, 1, How::Exited(0))]);
    assert!(batch.starts.iter().any(|(attempt, _)| attempt.run == uid(1)), "{batch:?}");
}

#[test]
fn an_attempt_whose_processes_are_left_counts_once() {
    let mut history = History::new(1, &format!("steps: {{s: {{run: work, effect: read, {RETRY}}}}}\n"));
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    history.turn(after(1), vec![ended(1, 0, 1, How::Lost { processes_left: true })]);
    let batch = history.turn(after(2), vec![ended(1, 0, 1, How::Exited(1))]);
    let Fact::AttemptEnded { then, .. } = &batch.events[0].1.fact else { panic!("{batch:?}") };
    assert_eq!(*then, Then::RetryAt(after(12)));
}

#[test]
fn a_verify_whose_processes_are_left_is_one_try() {
    let mut history = History::new(1, "steps: {s: {run: work, verify: {run: ask}}}\n");
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    history.turn(BEGIN, vec![ended(1, 0, 1, How::Lost { processes_left: false })]);
    history.turn(after(1), vec![ended(1, 0, 2, How::Exited(1))]);
    history.turn(after(2), Vec::new());
    history.turn(after(3), vec![ended(1, 0, 3, How::Lost { processes_left: true })]);
    let batch = history.turn(after(4), vec![ended(1, 0, 3, How::Exited(1))]);
    let Fact::AttemptEnded { then, .. } = &batch.events[0].1.fact else { panic!("{batch:?}") };
    assert_eq!(*then, Then::VerifyAt(after(9)), "the second of three tries was in vain");
}

#[test]
fn a_run_that_was_canceled_and_resumed_has_one_turn_among_others() {
    let mut history = History::new(1, "steps: {a: {run: work}, b: {run: work}, c: {run: work}}\n");
    let starts = vec![history.start(1), history.start(2), history.start(3)];
    history.turn(BEGIN, starts);
    // Twice on its way to a place, each time from the back.
    for second in [1, 2] {
        let cancel = Input::Cancel { now: false, by: ann(), reason: String::new(), past: Vec::new() };
        let batch = history.turn(after(second), vec![asked(2, cancel)]);
        assert!(matches!(batch.events.last().unwrap().1.fact, Fact::Finished { outcome: Outcome::Canceled }));
        history.load(2, after(second));
        history.turn(
            after(second),
            vec![asked(2, Input::Resume { by: ann(), reason: String::new(), confirmed: Vec::new(), edited: None })],
        );
    }
    let mut order = Vec::new();
    let mut live = (1, 0, 1);
    for second in 3..9 {
        let (run, step, attempt) = live;
        let batch = history.turn(after(second), vec![ended(run, step, attempt, How::Exited(0))]);
        let (next, _) = batch.starts[0];
        live = (next.run.bits(), next.step.0, next.attempt.0);
        order.push(next.run.bits());
    }
    assert_eq!(order, [3, 1, 2, 3, 1, 2], "in turn");
}

#[test]
fn a_clock_that_goes_back_while_a_run_is_over_takes_nothing_of_its_next_timeout() {
    let mut history = History::new(1, "timeout: 60s\nsteps: {s: {run: work}}\n");
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    history.turn(after(30), vec![ended(1, 0, 1, How::Exited(1))]);
    // A run that is over has no deadlines that move: its next event is no earlier than its last.
    history.turn(after(-3_600), vec![MachineInput::ClockSet(Span::seconds(-3_630))]);
    history.load(1, after(-3_600));
    let again = Input::Resume { by: ann(), reason: String::new(), confirmed: Vec::new(), edited: None };
    let batch = history.turn(after(-3_600), vec![asked(1, again)]);
    let deadline = batch.events.iter().find_map(|(_, event)| match event.fact {
        Fact::Admitted { deadline } => Some(deadline),
        _ => None,
    });
    assert_eq!(deadline, Some(Some(after(90))));
}

#[test]
fn what_waits_for_a_place_is_not_compensated_once_the_rollback_is_given_up() {
    let step = |id: &str| format!("  {id}: {{run: work, rollback: {{run: undo}}}}\n");
    let steps: String = ["a", "b", "c"].map(step).concat();
    let mut history =
        History::new(2, &format!("rollback: automatic\nsteps:\n{steps}  d: {{needs: [a, b, c], run: work}}\n"));
    let start = history.start(1);
    history.turn(BEGIN, vec![start]);
    for step in 0..3 {
        history.turn(after(1 + i64::from(step)), vec![ended(1, step, 1, How::Exited(0))]);
    }
    let batch = history.turn(after(4), vec![ended(1, 3, 1, How::Exited(1))]);
    assert_eq!(kinds(&batch)[2..], ["rolling_back", "attempt_starting", "attempt_starting"]);
    let abandon = Input::AbandonRollback { by: ann(), reason: "by hand".to_owned() };
    assert_eq!(kinds(&history.turn(after(5), vec![asked(1, abandon)])), ["rollback_abandoned"]);
    // There is a place for the third now.
    assert_eq!(kinds(&history.turn(after(6), vec![ended(1, 2, 2, How::Exited(0))])), ["attempt_ended"]);
    let batch = history.turn(after(7), vec![ended(1, 1, 2, How::Exited(0))]);
    assert_eq!(kinds(&batch), ["attempt_ended", "finishing", "finished"]);
    assert!(matches!(batch.events.last().unwrap().1.fact, Fact::Finished { outcome: Outcome::Failed }), "a stays");
}

#[test]
fn whoever_may_have_a_lock_since_the_run_before_is_full_goes_before_the_schedules() {
    let mut history = History::new(
        10,
        r#"max_parallel: 1
inputs: {site: {type: string, required: true}}
steps:
  a: {run: work, locks: ["a/${{ inputs.site }}"]}
  b: {run: work, locks: ["b/${{ inputs.site }}"]}
"#,
    );
    let starts = [(1, "north", Origin::Api), (2, "north", Origin::Api), (3, "south", Origin::Schedule)];
    let inputs = starts.map(|(number, site, origin)| {
        let mut input = history.start(number);
        let MachineInput::Start { start, .. } = &mut input else { panic!("{input:?}") };
        start.inputs.insert("site".to_owned(), site.into());
        start.origin = origin;
        start.request_id = number.to_string();
        input
    });
    let batch = history.turn(BEGIN, inputs.into());
    // The first run wants both locks, but has room for one step; so the second is kept from `b` no longer.
    let begun: Vec<(RunUid, u32)> = batch.starts.iter().map(|(attempt, _)| (attempt.run, attempt.step.0)).collect();
    assert_eq!(begun, [(uid(1), 0), (uid(2), 1), (uid(3), 0)]);
}

/// The end of the attempt that a batch starts.
fn end_of(batch: &Batch, how: How) -> MachineInput {
    let [(attempt, _)] = batch.starts[..] else { panic!("{batch:?}") };
    let end = Box::new(AttemptEnd::bare(how));
    let input = Input::Verdict { step: attempt.step, attempt: attempt.attempt, end, chance: u32::MAX };
    MachineInput::Run { token: None, run: attempt.run, input }
}

#[test]
fn what_a_step_started_is_rolled_back_although_it_is_skipped_the_next_time() {
    let mut history = History::new(
        2,
        r#"steps:
  a: {run: work}
  b: {needs: [a], steps: {c: {run: work, rollback: {run: undo}}, d: {needs: [c], run: work}}}
finally:
  u: {undoes: [a], run: work}
"#,
    );
    let start = history.start(1);
    let mut batch = history.turn(BEGIN, vec![start]);
    // a, c, d, and u, which undoes a.
    for (second, code) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
        let end = end_of(&batch, How::Exited(code));
        batch = history.turn(after(second), vec![end]);
    }
    assert_eq!(*kinds(&batch).last().unwrap(), "finished");
    history.load_with_child(after(5));
    let again = Input::Resume { by: ann(), reason: String::new(), confirmed: Vec::new(), edited: None };
    batch = history.turn(after(5), vec![asked(1, again)]);
    for (second, code) in [(6, 1), (7, 0)] {
        let end = end_of(&batch, How::Exited(code));
        batch = history.turn(after(second), vec![end]);
    }
    assert_eq!(*kinds(&batch).last().unwrap(), "finished");
    history.load_with_child(after(8));
    let undo = Input::RollBack { by: ann(), reason: String::new(), past: Vec::new() };
    batch = history.turn(after(8), vec![asked(1, undo)]);
    let wanted = ["rollback_asked", "admitted", "rolling_back", "child_rolling_back", "rollback_asked"];
    assert_eq!(kinds(&batch)[..5], wanted, "{batch:?}");
    let skipped = history.machine.run(uid(1)).unwrap().step(StepNo(1)).unwrap();
    assert_eq!(skipped.progress.name(), "child_rollback");
}

#[test]
fn what_a_step_started_is_rolled_back_once_more_after_that_was_given_up() {
    let mut history =
        History::new(2, "steps: {b: {steps: {c: {run: work, rollback: {run: undo}}, d: {needs: [c], run: work}}}}\n");
    let start = history.start(1);
    let mut batch = history.turn(BEGIN, vec![start]);
    for (second, code) in [(1, 0), (2, 1)] {
        let end = end_of(&batch, How::Exited(code));
        batch = history.turn(after(second), vec![end]);
    }
    assert_eq!(*kinds(&batch).last().unwrap(), "finished");
    let undo = || Input::RollBack { by: ann(), reason: String::new(), past: Vec::new() };
    history.load_with_child(after(3));
    batch = history.turn(after(3), vec![asked(1, undo())]);
    let end = end_of(&batch, How::Exited(1));
    batch = history.turn(after(4), vec![end]);
    assert!(!kinds(&batch).contains(&"finished"), "a person has to say what becomes of it: {batch:?}");
    let abandon = Input::AbandonRollback { by: ann(), reason: String::new() };
    batch = history.turn(after(5), vec![asked(1, abandon)]);
    assert_eq!(*kinds(&batch).last().unwrap(), "finished");
    history.load_with_child(after(6));
    assert_eq!(history.machine.run(uid(1)).unwrap().step(StepNo(0)).unwrap().progress.name(), "rollback_failed");
    batch = history.turn(after(6), vec![asked(1, undo())]);
    assert!(kinds(&batch).contains(&"child_rolling_back"), "{batch:?}");
    let end = end_of(&batch, How::Exited(0));
    batch = history.turn(after(7), vec![end]);
    let outcome = batch.events.iter().rev().find_map(|(run, event)| match event.fact {
        Fact::Finished { outcome } if *run == uid(1) => Some(outcome),
        _ => None,
    });
    assert_eq!(outcome, Some(Outcome::RolledBack));
}

/// Starts that differ in their priority and origin, in their order.
fn starts(history: &History, wanted: &[(u128, Option<Priority>, Origin)]) -> Vec<MachineInput> {
    let start = |(number, priority, origin): &(u128, Option<Priority>, Origin)| {
        let mut input = history.start(*number);
        let MachineInput::Start { start, .. } = &mut input else { panic!("{input:?}") };
        (start.terms.priority, start.origin) = (*priority, *origin);
        start.request_id = number.to_string();
        input
    };
    wanted.iter().map(start).collect()
}

fn begun(batch: &Batch) -> Vec<(RunUid, u32)> {
    batch.starts.iter().map(|(attempt, _)| (attempt.run, attempt.step.0)).collect()
}

#[test]
fn a_full_pool_holds_up_nobody_else_and_its_next_place_goes_by_priority() {
    let mut history = History::new(3, "priority: low\nsteps:\n  a: {run: work, pool: p}\n  b: {run: work}\n");
    let wanted = [(1, None, Origin::Person), (2, None, Origin::Person), (3, Some(Priority::High), Origin::Schedule)];
    let mut inputs = starts(&history, &wanted);
    let last = inputs.split_off(2);
    // The one place of the pool goes to the first run, and the others start what needs none.
    let mut first = begun(&history.turn(BEGIN, inputs));
    first.sort();
    assert_eq!(first, [(uid(1), 0), (uid(1), 1), (uid(2), 1)]);
    assert_eq!(begun(&history.turn(after(1), last)), []);
    let batch = history.turn(after(2), vec![ended(1, 1, 1, How::Exited(0)), ended(2, 1, 1, How::Exited(0))]);
    assert_eq!(begun(&batch), [(uid(3), 1)]);
    let batch = history.turn(after(3), vec![ended(1, 0, 1, How::Exited(0))]);
    assert_eq!(begun(&batch), [(uid(3), 0)]);
    let view = history.machine.pools();
    assert_eq!((view.len(), view[0].capacity, &view[0].holders), (1, 1, &vec![(uid(3), StepNo(0))]));
    assert_eq!(view[0].queue, [(uid(2), StepNo(0))]);
    assert_eq!(history.machine.waits_for_places(uid(2)), [(StepNo(0), "p".to_owned(), 1)]);
}

#[test]
fn between_its_tries_a_step_has_no_place_in_its_pool() {
    let mut history = History::new(2, &format!("steps: {{a: {{run: work, pool: p, {RETRY}}}}}\n"));
    let both = starts(&history, &[(1, None, Origin::Person), (2, None, Origin::Person)]);
    assert_eq!(begun(&history.turn(BEGIN, both)), [(uid(1), 0)]);
    let batch = history.turn(after(1), vec![ended(1, 0, 1, How::Exited(1))]);
    assert_eq!(begun(&batch), [(uid(2), 0)], "the other one has the place while the first waits");
    assert_eq!(begun(&history.turn(after(20), Vec::new())), [], "and keeps it when that may try again");
    assert_eq!(begun(&history.turn(after(21), vec![ended(2, 0, 1, How::Exited(0))])), [(uid(1), 0)]);
}

#[test]
fn a_daemon_that_is_started_with_fewer_places_starts_no_more_before_one_is_free() {
    let mut history = History::new(4, "steps: {a: {run: work, pool: p}}\n");
    history.machine = machine_with(4, 2);
    let all: Vec<_> = (1..=3).map(|number| (number, None, Origin::Person)).collect();
    let inputs = starts(&history, &all);
    assert_eq!(begun(&history.turn(BEGIN, inputs)), [(uid(1), 0), (uid(2), 0)]);
    history.machine = machine_with(4, 1);
    (1..=3).for_each(|number| history.load(number, after(1)));
    assert_eq!(begun(&history.turn(after(1), Vec::new())), []);
    assert_eq!(begun(&history.turn(after(2), vec![ended(1, 0, 1, How::Exited(0))])), []);
    assert_eq!(begun(&history.turn(after(3), vec![ended(2, 0, 1, How::Exited(0))])), [(uid(3), 0)]);
}

#[test]
fn a_step_whose_locks_were_released_stands_in_the_queue_once_it_wants_them_again() {
    let mut history = History::new(4, &format!("steps: {{a: {{run: work, locks: [l], {RETRY}}}}}\n"));
    let one = |history: &History, number| starts(history, &[(number, None, Origin::Person)]);
    for number in 1..=3 {
        let inputs = one(&history, number);
        history.turn(BEGIN, inputs);
    }
    // The first one has the lock also while it waits for its second try, until somebody says otherwise.
    assert_eq!(begun(&history.turn(after(1), vec![ended(1, 0, 1, How::Exited(1))])), []);
    let (step, name) = (Some(StepNo(0)), "l".to_owned());
    let release = Input::ReleaseLocks { step, name, by: ann(), reason: "nothing writes there".to_owned() };
    assert_eq!(begun(&history.turn(after(2), vec![asked(1, release)])), [(uid(2), 0)]);
    // It is due, and its run is the earliest of those that want the lock.
    assert_eq!(begun(&history.turn(after(11), Vec::new())), []);
    for (at, number, attempt, next) in [(20, 2, 1, 1), (21, 1, 2, 3)] {
        let batch = history.turn(after(at), vec![ended(number, 0, attempt, How::Exited(0))]);
        assert_eq!(begun(&batch), [(uid(next), 0)]);
    }
}

/// Two values that are kept nowhere, and a step that is told both.
const VALUES: &str = "inputs: {key: {type: string, secret: true, ephemeral: true}, pin: {type: string, secret: true, ephemeral: true}, keep: {type: string, secret: true}}\n";
const TOLD: &str = "env: {K: \"${{ default(inputs.key, '') }}\", P: \"${{ default(inputs.pin, '') }}\"}";

fn withheld(step: u32, attempt: u32, inputs: &[&str]) -> MachineInput {
    let inputs = inputs.iter().map(ToString::to_string).collect();
    let input = Input::Withheld { step: StepNo(step), attempt: AttemptNo(attempt), inputs };
    MachineInput::Run { token: None, run: uid(1), input }
}

fn provide(inputs: &[&str]) -> MachineInput {
    let inputs = inputs.iter().map(ToString::to_string).collect();
    let provision = Provision { inputs, by: ann(), roles: Vec::new(), reason: String::new() };
    asked(1, Input::Provide(Box::new(provision)))
}

impl History {
    /// The start of a run with values.
    fn start_with_values(&self) -> MachineInput {
        let mut input = self.start(1);
        if let MachineInput::Start { start, .. } = &mut input {
            start.sealed_inputs = vec!["key".to_owned(), "pin".to_owned(), "keep".to_owned()];
        }
        input
    }

    fn progress(&self, step: u32) -> Progress {
        self.machine.run(uid(1)).unwrap().step(StepNo(step)).unwrap().progress
    }
}

#[test]
fn a_step_that_lacks_two_values_waits_for_both_and_no_try_of_it_counts() {
    let mut history = History::new(1, &format!("{VALUES}timeout: 60s\nsteps: {{s: {{run: work, {RETRY}, {TOLD}}}}}\n"));
    let start = history.start_with_values();
    history.turn(BEGIN, vec![start]);
    let batch = history.turn(BEGIN, vec![withheld(0, 1, &["key", "pin"])]);
    assert_eq!(kinds(&batch), ["withheld"]);
    // It waits for ever: the run's timeout does not count.
    assert_eq!((batch.wake, batch.ended.len(), history.machine.live_attempts()), (None, 1, 0));
    // Told twice, and of an attempt that is not live.
    assert_eq!(kinds(&history.turn(after(1), vec![withheld(0, 1, &["key"]), withheld(0, 2, &["key"])])), [""; 0]);
    assert_eq!(kinds(&history.turn(after(100), vec![provide(&["pin"])])), ["provided"]);
    let batch = history.turn(after(200), vec![provide(&["key"])]);
    assert_eq!(kinds(&batch), ["provided", "attempt_starting"]);
    // What came meanwhile is not the one that is there by now: a value can be given and lost again.
    assert_eq!(kinds(&history.turn(after(200), vec![withheld(0, 2, &["pin"])])), ["withheld"]);
    history.turn(after(201), vec![provide(&["pin"])]);
    // Two tries are allowed, and these are the first two that started.
    let batch = history.turn(after(202), vec![ended(1, 0, 3, How::Exited(1))]);
    assert!(matches!(&batch.events[0].1.fact, Fact::AttemptEnded { then: Then::RetryAt(_), .. }), "{batch:?}");
    history.turn(after(212), Vec::new());
    let batch = history.turn(after(213), vec![ended(1, 0, 4, How::Exited(1))]);
    assert!(matches!(&batch.events[0].1.fact, Fact::AttemptEnded { then: Then::Failed, .. }), "{batch:?}");
    assert_eq!(batch.finished, [uid(1)], "200 s of waiting are no 60 s");
}

#[test]
fn a_value_that_is_given_before_the_daemon_says_that_it_lacks_is_noticed() {
    let mut history = History::new(1, &format!("{VALUES}steps: {{s: {{run: work, {TOLD}}}}}\n"));
    let start = history.start_with_values();
    history.turn(BEGIN, vec![start]);
    let batch = history.turn(BEGIN, vec![provide(&["key"]), withheld(0, 1, &["key"])]);
    assert_eq!(kinds(&batch), ["provided", "withheld"]);
    let by = Principal::engine();
    let inputs = ["key".to_owned(), "pin".to_owned()].into();
    let there = Provision { inputs, by, roles: Vec::new(), reason: String::new() };
    let there = || MachineInput::Run { token: None, run: uid(1), input: Input::Available(Box::new(there.clone())) };
    let batch = history.turn(BEGIN, vec![there()]);
    assert_eq!(kinds(&batch), ["provided", "attempt_starting"]);
    assert!(matches!(&batch.events[0].1.fact, Fact::Provided { inputs, .. } if *inputs == ["key"]), "{batch:?}");
    assert_eq!(kinds(&history.turn(BEGIN, vec![there()])), [""; 0], "nobody waits for it");
}

#[test]
fn what_cannot_be_provided_is_refused_for_what_it_is() {
    let mut history = History::new(
        1,
        &format!("{VALUES}steps: {{s: {{run: work, {TOLD}, stdin: \"${{{{ default(inputs.keep, '') }}}}\"}}}}\n"),
    );
    let start = history.start_with_values();
    history.turn(BEGIN, vec![start]);
    let refused = |history: &mut History, names: &[&str]| {
        let batch = history.turn(BEGIN, vec![provide(names)]);
        assert!(batch.events.is_empty(), "{batch:?}");
        batch.replies[0].1.clone().unwrap_err()
    };
    for (names, word) in
        [(&["keep"][..], "ephemeral: true"), (&["kex"], "did you mean"), (&["key", "none"], "has no such")]
    {
        let refusal = refused(&mut history, names);
        assert!(matches!(refusal, Rejection::NotToProvide { .. }) && refusal.to_string().contains(word), "{refusal}");
    }
    history.turn(BEGIN, vec![ended(1, 0, 1, How::Exited(0))]);
    let pinned = Arc::clone(&history.pinned);
    let events: Vec<Event> = history.events.iter().map(|(_, event)| event.clone()).collect();
    history.machine.load(uid(1), pinned, &[], &events, BEGIN).unwrap();
    assert!(matches!(refused(&mut history, &["key"]), Rejection::AlreadyTerminal { .. }));
}

#[test]
fn a_cancel_ends_what_is_withheld_and_what_comes_to_be_so() {
    let mut history = History::new(
        2,
        &format!(
            "{VALUES}steps: {{a: {{run: a, {TOLD}}}, b: {{run: b, {TOLD}}}}}\nfinally: {{f: {{run: f, {TOLD}}}}}\n"
        ),
    );
    let start = history.start_with_values();
    history.turn(BEGIN, vec![start]);
    history.turn(BEGIN, vec![withheld(0, 1, &["key"])]);
    assert_eq!(history.progress(0).name(), "withheld");
    let cancel = Input::Cancel { now: false, by: ann(), reason: String::new(), past: Vec::new() };
    history.turn(BEGIN, vec![asked(1, cancel)]);
    assert_eq!(history.progress(0), Progress::Canceled);
    // The stop was on its way when the other one came to be withheld.
    let batch = history.turn(BEGIN, vec![withheld(1, 1, &["key"])]);
    assert!(matches!(&batch.events[0].1.fact, Fact::AttemptEnded { then: Then::Canceled, .. }), "{batch:?}");
    // `finally` waits for its own.
    history.turn(BEGIN, vec![withheld(2, 1, &["pin"])]);
    let run = history.machine.run(uid(1)).unwrap();
    assert_eq!((run.phase(), run.status().name()), (Phase::Finishing(Outcome::Canceled), "attention"));
    history.turn(BEGIN, vec![provide(&["pin"])]);
    assert_eq!(history.turn(BEGIN, vec![ended(1, 2, 2, How::Exited(0))]).finished, [uid(1)]);
}
