//! Random runbooks: graphs of many shapes with settings of every kind. Never knows what a run makes of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{
    Approval, Attention, Backoff, Command, Concurrency, DryRun, Effect, InputDecl, Jitter, OnFailure, OnTimeout,
    OutputDecl, Overlap, Part, Priority, Probe, Program, Retry, Rollback, RollbackOf, RollbackPolicy, Runbook,
    Settlement, Step, Stop, ValueType, Wait, WhenSkipped, Work,
};
use runbook_core::destruction::approved;
use runbook_core::id::{Digest, StepNo};
use runbook_core::limits;
use runbook_core::time::{Span, Timestamp};
use serde_json::Value;

use super::condition::{Codes, Cond, NUMBER};
use super::design::{CallDesign, Design, FIELD, Name, OUTPUT_TYPES, ROLES, SLOT, SLOTS, SlotGiven, StepCodes, VALUES};
use super::faults::Settings;
use super::inner;
use super::random::Random;
use super::world::EPOCH;

/// How many steps the worlds with large runbooks may have.
pub(crate) const LARGE_STEPS: usize = 300;
/// How many steps other runbooks may have.
pub(crate) const STEPS: usize = 40;
const FINALLY_STEPS: usize = 4;
/// What destructive steps destroy.
const TARGETS: [&str; 3] = ["the-world", "the-moon", "moon-${{ inputs.slot }}"];
/// How many steps of a runbook may start others.
const CALLS: usize = 3;

/// How rich the runbooks of a world are, in percent of the steps that have a thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Richness {
    conditions: u32,
    retries: u32,
    repeatable: u32,
    verifies: u32,
    on_cancels: u32,
    outputs: u32,
    allow_failure: u32,
    codes: u32,
    go_on: u32,
    undoes: u32,
    waits: u32,
    rollbacks: u32,
    no_returns: u32,
    calls: u32,
    pub(super) blocks: u32,
    locks: u32,
    pools: u32,
    pub(super) items: u32,
    pub(super) repeats: u32,
    values: u32,
}

impl Richness {
    pub(crate) fn draw(random: &mut Random) -> Self {
        // Other draws stay as they are.
        let locks = random.fork("locks", 0).pick([0, 5, 15, 30]);
        let repeats = random.fork("repeats", 0).pick([0, 5, 15, 30]);
        let pools = random.fork("pools", 0).pick([0, 0, 20, 60]);
        let values = random.fork("values", 0).pick([0, 0, 0, 15, 40]);
        let mut draw = || random.pick([0, 10, 30, 60]);
        Self {
            locks,
            pools,
            repeats,
            values,
            conditions: draw(),
            retries: draw(),
            repeatable: draw(),
            verifies: draw(),
            on_cancels: draw(),
            outputs: draw(),
            allow_failure: draw(),
            codes: draw(),
            go_on: draw(),
            undoes: draw(),
            waits: draw() / 2,
            rollbacks: draw(),
            no_returns: draw() / 4,
            calls: draw() / 2,
            blocks: draw() / 3,
            items: draw() / 3,
        }
    }
}

impl Richness {
    /// Whether runbooks have inputs whose values are kept nowhere.
    pub(crate) const fn has_values(self) -> bool {
        self.values > 0
    }
}

/// Lets a command be told values that are kept nowhere.
fn tell(random: &mut Random, rich: Richness, command: &mut Command) {
    for name in VALUES {
        if random.percent(rich.values) {
            command.env.insert(name.to_uppercase(), format!("${{{{ default(inputs.{name}, 'none') }}}}"));
        }
    }
}

/// The pools that steps need places of.
pub(crate) const POOLS: [&str; 2] = ["p", "q"];

/// The runbooks of a world. Each may start those behind it.
pub(crate) fn designs(root: &Random, settings: &Settings) -> Vec<Arc<Design>> {
    let mut designs: VecDeque<Arc<Design>> = VecDeque::new();
    let crosses = settings.runbooks >= 3 && root.fork("crosses", 0).percent(15);
    for index in (0..settings.runbooks).rev() {
        let mut random = root.fork("design", index as u64);
        let mut design = design(&mut random, index, settings.steps, settings.rich, ['s', 'f']);
        let crossing = crosses.then(|| cross(&mut design, index, settings.runbooks)).flatten();
        let others = designs.make_contiguous();
        calls(&mut root.fork("calls", index as u64), settings.rich, crossing, &mut design, others);
        let alone = index == 0 && design.locks.is_empty() && design.group.is_none();
        step_locks(&mut root.fork("step locks", index as u64), settings.rich, crossing, alone, &mut design);
        pools(&mut root.fork("pools", index as u64), settings.rich, &mut design);
        inner::blocks(&mut root.fork("blocks", index as u64), settings.rich, &mut design, others, 0);
        inner::items(&mut root.fork("items", index as u64), settings.rich, &mut design);
        inner::repeats(&mut root.fork("repeats", index as u64), settings.rich, &mut design);
        designs.push_front(Arc::new(design));
    }
    designs.into()
}

/// The first two runbooks hold what the last one wants when the other of the two starts it: then their trees wait for each
/// other. Gives what a design lets the last one be given.
fn cross(design: &mut Design, index: usize, runbooks: usize) -> Option<&'static str> {
    let (lock, given) = match index {
        0 => ("cross/b", Some("a")),
        1 => ("cross/a", Some("b")),
        last if last + 1 == runbooks => ("cross", None),
        _ => return None,
    };
    design.locks = vec![Name { text: lock.to_owned(), by_slot: given.is_none() }];
    design.group = None;
    design.runbook.locks = design.locks.iter().map(Name::template).collect();
    design.runbook.concurrency = None;
    given
}

/// Makes a step one that starts a run. `one_way`: what it starts may leave no way back.
pub(super) fn starts_run(step: &mut Step, work: Work, outputs: IndexMap<String, ValueType>, one_way: bool) {
    *step = Step {
        work,
        outputs,
        artifacts: Vec::new(),
        success: None,
        unknown_if: None,
        retry: None,
        effect: Effect::Mutating,
        target: None,
        verify: None,
        on_cancel: None,
        pool: None,
        no_return: step.no_return || (one_way && step.rollback.is_none()),
        ..step.clone()
    };
}

/// Lets what undoes something undo what a step stands on that starts another runbook, too: that may be skipped the next time,
/// and has run.
fn undo_what_calls_stand_on(random: &mut Random, design: &mut Design) {
    let calls = (0..design.runbook.steps.len()).filter(|no| design.is_main(*no) && design.calls[*no].is_some());
    let stood_on: Vec<StepNo> = calls.flat_map(|no| design.runbook.steps[no].needs.clone()).collect();
    for step in design.runbook.steps.iter_mut().filter(|step| !step.undoes.is_empty()) {
        if !stood_on.is_empty() && random.percent(60) {
            let undone = stood_on[random.below(stood_on.len())];
            if !step.undoes.contains(&undone) {
                step.undoes.push(undone);
            }
        }
    }
}

/// Lets some steps of a design start other runbooks, and gives it an output. `crossing` is what its first such step lets
/// the last runbook be given.
pub(super) fn calls(
    random: &mut Random,
    rich: Richness,
    crossing: Option<&'static str>,
    design: &mut Design,
    others: &[Arc<Design>],
) {
    for no in 0..design.runbook.steps.len() {
        let calls = design.calls.iter().flatten().count();
        // After something else: both have to hold their own before.
        let crossing = crossing.filter(|_| calls == 0 && !design.runbook.steps[no].needs.is_empty());
        if others.is_empty() || calls >= CALLS || !(random.percent(rich.calls) || crossing.is_some()) {
            continue;
        }
        let other = if crossing.is_some() { others.len() - 1 } else { random.below(others.len()) };
        let other = &others[other];
        let command = matches!(design.runbook.steps[no].work, Work::Command(_));
        // What it destroys has to be asked about before.
        let unasked = destroys(&other.runbook) && !approved(&design.runbook, &BTreeSet::new())[no];
        // `finally` waits for nobody, at whatever distance.
        if !command || unasked || (!design.is_main(no) && other.asks()) {
            continue;
        }
        let slot = match random.below(12) {
            0..=4 => SlotGiven::Same,
            5..=7 => SlotGiven::Fixed("a"),
            8..=10 => SlotGiven::Fixed("b"),
            _ => SlotGiven::Refused,
        };
        let slot = crossing.map_or(slot, SlotGiven::Fixed);
        let call = CallDesign { runbook: other.runbook.name.clone(), slot };
        let (main, one_way) = (design.is_main(no), other.has_no_return());
        let Some(step) = design.runbook.steps.get_mut(no) else { continue };
        let outputs = other.runbook.outputs.iter().map(|(name, decl)| (name.clone(), decl.value_type));
        // Who reads the number that the step had before goes without it.
        let had = step.outputs.contains_key(NUMBER);
        let outputs: IndexMap<String, ValueType> = outputs.collect();
        if had && !outputs.contains_key(NUMBER) {
            continue;
        }
        starts_run(step, Work::Runbook(Box::new(call.call())), outputs, one_way && main);
        design.codes[no] = StepCodes::default();
        design.calls[no] = Some(call);
        design.know(other);
    }
    undo_what_calls_stand_on(&mut random.fork("undo", 0), design);
    let numbers: Vec<usize> = (0..design.runbook.steps.len())
        .filter(|no| design.is_main(*no) && design.runbook.steps[*no].outputs.contains_key(NUMBER))
        .collect();
    if numbers.is_empty() || random.percent(30) {
        return;
    }
    let step = numbers[random.below(numbers.len())];
    let default = (!is_sure(&design.runbook.steps, step) || random.percent(50)).then(|| random.between(0, 6));
    let reference = format!("steps.{}.outputs.{NUMBER}", design.runbook.steps[step].id);
    let value = match default {
        Some(default) => format!("default({reference}, {default})"),
        None => reference,
    };
    design.output = Some((step, default));
    let value_type = ValueType::Integer;
    design.runbook.outputs = IndexMap::from([(NUMBER.to_owned(), OutputDecl { value_type, value })]);
}

/// Gives some steps locks. `alone` says that nothing that its runs are part of has any. Those of a crossing design want what the other of the two has: then a step of each may wait for
/// the run of the other.
pub(super) fn step_locks(
    random: &mut Random,
    rich: Richness,
    crossing: Option<&'static str>,
    alone: bool,
    design: &mut Design,
) {
    design.step_locks = vec![Vec::new(); design.runbook.steps.len()];
    for (step, names) in design.runbook.steps.iter_mut().zip(&mut design.step_locks) {
        let starts = matches!(step.work, Work::Command(_) | Work::Runbook(_));
        // Compensations that wait for each other would wait for a person.
        let compensated = step.rollback.is_some() && !alone;
        let crosses = crossing.filter(|_| random.percent(30));
        if !starts || compensated || !(random.percent(rich.locks) || crosses.is_some()) {
            continue;
        }
        let mut name = || Name { text: format!("lock{}", random.below(3)), by_slot: random.percent(40) };
        *names = (0..2).map(|_| name()).collect();
        names.truncate(1 + random.below(2));
        names.extend(crosses.map(|slot| Name { text: format!("cross/{slot}"), by_slot: false }));
        step.locks = names.iter().map(Name::template).collect();
        let mut seen = BTreeSet::new();
        step.locks.retain(|lock| seen.insert(lock.clone()));
    }
}

/// Gives some steps a pool.
pub(super) fn pools(random: &mut Random, rich: Richness, design: &mut Design) {
    for step in &mut design.runbook.steps {
        if step.command().is_some() && random.percent(rich.pools) {
            step.pool = Some(random.pick(POOLS).to_owned());
        }
    }
}

/// Whether a step destroys something, and nobody is asked before.
fn destroys(runbook: &Runbook) -> bool {
    let asked = approved(runbook, &BTreeSet::new());
    runbook.steps.iter().zip(asked).any(|(step, asked)| step.effect == Effect::Destructive && !asked)
}

/// Whether a step has succeeded whenever its run does.
fn is_sure(steps: &[Step], no: usize) -> bool {
    let mut open = vec![no];
    while let Some(no) = open.pop() {
        let step = &steps[no];
        if step.condition.is_some() || step.allow_failure {
            return false;
        }
        open.extend(step.needs.iter().map(|need| need.index()));
    }
    true
}

/// A runbook. `most` bounds its main steps; their ids, and those of `finally`, begin with `letters`.
pub(super) fn design(random: &mut Random, index: usize, most: usize, rich: Richness, letters: [char; 2]) -> Design {
    let main = random.spread(1, most.max(1) as i64) as usize;
    let finally = if random.percent(60) { random.below(FINALLY_STEPS + 1) } else { 0 };
    let mut edges = graph(random, main);
    edges.extend(graph(random, finally).into_iter().map(|needs| needs.into_iter().map(|need| need + main).collect()));
    let hyphens = random.percent(20);
    let id = move |step: usize| {
        let letter = letters[usize::from(step >= main)];
        if hyphens { format!("{letter}-{step}") } else { format!("{letter}{step}") }
    };
    let mut design = Design {
        runbook: runbook(random, index, rich),
        digest: Digest::of(format!("definition {index}").as_bytes()),
        conditions: Vec::new(),
        codes: Vec::new(),
        locks: Vec::new(),
        step_locks: Vec::new(),
        group: None,
        calls: Vec::new(),
        blocks: Vec::new(),
        one: Vec::new(),
        lists: Vec::new(),
        items: None,
        repeat: None,
        output: None,
        called: Vec::new(),
    };
    names(random, &mut design);
    let waits: Vec<bool> = edges.iter().map(|_| random.percent(rich.waits)).collect();
    let outputs: Vec<IndexMap<String, ValueType>> =
        waits.iter().map(|waits| if *waits { IndexMap::new() } else { outputs(random, rich) }).collect();
    for (no, needs) in edges.iter().enumerate() {
        let part = if no < main { Part::Main } else { Part::Finally };
        let (mut step, codes) =
            if waits[no] { wait(random, rich, part, id(no)) } else { step(random, rich, part, id(no)) };
        step.needs = needs.iter().map(|need| StepNo(*need as u32)).collect();
        if part == Part::Finally && random.percent(rich.undoes) {
            // Often what a step stands on that can be rolled back: it may be skipped the next time, and has run.
            let stood_on = design.runbook.steps.iter().filter(|step| step.rollback.is_some()).flat_map(|s| &s.needs);
            let mut undone: Vec<usize> = stood_on.map(|need| need.index()).filter(|need| *need < main).collect();
            undone.sort_unstable();
            undone.dedup();
            if undone.is_empty() || random.percent(40) {
                undone = (0..main).collect();
            }
            step.undoes = some(random, &undone, 3).into_iter().map(|undone| StepNo(undone as u32)).collect();
        }
        if step.approval().is_none() {
            step.outputs.clone_from(&outputs[no]);
        }
        let condition = random.percent(rich.conditions).then(|| {
            let mut seen = upstream(random, &edges, no);
            if part == Part::Finally {
                seen.extend(0..main);
            }
            condition(random, &seen, &outputs, part, 0)
        });
        step.condition = condition.as_ref().map(|condition| condition.condition(&step.needs, &id));
        design.runbook.steps.push(step);
        design.conditions.push(condition);
        design.codes.push(codes);
        design.calls.push(None);
        design.blocks.push(None);
        design.one.push(None);
        design.lists.push(None);
    }
    design
}

/// The needs of a step, and sometimes what they come after.
fn upstream(random: &mut Random, edges: &[Vec<usize>], no: usize) -> Vec<usize> {
    let mut seen = edges[no].clone();
    if random.percent(25) {
        let mut next = 0;
        while next < seen.len() {
            for need in &edges[seen[next]] {
                if !seen.contains(need) {
                    seen.push(*need);
                }
            }
            next += 1;
        }
    }
    seen
}

/// An input whose value is kept nowhere.
fn value() -> InputDecl {
    InputDecl {
        value_type: ValueType::String,
        required: false,
        default: None,
        choices: Vec::new(),
        pattern: None,
        minimum: None,
        maximum: None,
        secret: true,
        ephemeral: true,
        description: String::new(),
    }
}

fn runbook(random: &mut Random, index: usize, rich: Richness) -> Runbook {
    let values = VALUES.iter().filter(|_| rich.has_values()).map(|name| ((*name).to_owned(), value()));
    Runbook {
        name: format!("book{index}"),
        description: String::new(),
        labels: IndexMap::new(),
        inputs: std::iter::once((
            SLOT.to_owned(),
            InputDecl {
                value_type: ValueType::String,
                required: false,
                default: Some(Value::from("a")),
                choices: Vec::new(),
                pattern: Some(SLOTS.to_owned()),
                minimum: None,
                maximum: None,
                secret: false,
                ephemeral: false,
                description: String::new(),
            },
        ))
        .chain(values)
        .collect(),
        requires: Default::default(),
        timeout: random.percent(25).then(|| Span::seconds(random.spread(1, 7_200))),
        max_parallel: random.percent(30).then(|| random.between(1, 6) as u32),
        priority: random.fork("priority", 0).pick([None, None, Some(Priority::High), Some(Priority::Low)]),
        on_failure: random.pick([OnFailure::Stop, OnFailure::Stop, OnFailure::Continue, OnFailure::Cancel]),
        rollback: Rollback {
            policy: random.pick([
                RollbackPolicy::Manual,
                RollbackPolicy::Manual,
                RollbackPolicy::Automatic,
                RollbackPolicy::Automatic,
                RollbackPolicy::Never,
            ]),
            of: random.pick([RollbackOf::Succeeded, RollbackOf::Started]),
        },
        locks: Vec::new(),
        concurrency: None,
        objective: None,
        attention: random.percent(30).then(|| Attention {
            after: Span::seconds(random.spread(1, 3_600)),
            settle_as: random.pick([Settlement::Failed, Settlement::Failed, Settlement::Succeeded, Settlement::Retry]),
        }),
        env: IndexMap::new(),
        files: Vec::new(),
        outputs: IndexMap::new(),
        pins: IndexMap::new(),
        environments: Vec::new(),
        needs_environment: false,
        environment: None,
        schedules: Default::default(),
        expect: None,
        preflight: None,
        steps: Vec::new(),
    }
}

fn names(random: &mut Random, design: &mut Design) {
    let mut name = |kind: &str| Name { text: format!("{kind}{}", random.below(3)), by_slot: random.percent(40) };
    let group = name("group");
    let locks = [name("lock"), name("lock"), name("lock")];
    let count = random.pick([0, 0, 0, 1, 1, 2, 3]);
    design.locks = locks.into_iter().take(count).collect();
    if random.percent(70) {
        design.locks.dedup();
    }
    design.group = random.percent(30).then_some(group);
    design.runbook.locks = design.locks.iter().map(Name::template).collect();
    let overlap = random.pick([Overlap::Queue, Overlap::Queue, Overlap::Skip, Overlap::Replace]);
    design.runbook.concurrency = design.group.as_ref().map(|name| Concurrency { group: name.template(), overlap });
}

/// The needs of each of so many steps. Needs may have higher numbers than the steps that have them.
fn graph(random: &mut Random, count: usize) -> Vec<Vec<usize>> {
    let width = 1 + random.below(5);
    let shape = random.below(8);
    let mut edges: Vec<Vec<usize>> = (0..count)
        .map(|step| match shape {
            // A chain.
            0 => step.checked_sub(1).into_iter().collect(),
            // Unconnected.
            1 => Vec::new(),
            // Fan-out, and in again.
            2 if step == 0 => Vec::new(),
            2 if step + 1 == count => (1..step).collect(),
            2 => vec![0],
            // Diamonds in a row.
            3 => match step % 4 {
                0 => step.checked_sub(1).into_iter().collect(),
                3 => vec![step - 2, step - 1],
                corner => vec![step - corner],
            },
            // Layers, each step with some needs in the layer before.
            4 | 5 => {
                let layer = step / width * width;
                let before: Vec<usize> = (layer.saturating_sub(width)..layer).collect();
                some(random, &before, 3)
            }
            // Chains side by side.
            6 => step.checked_sub(width).into_iter().collect(),
            // Anything.
            _ => some(random, &(0..step).collect::<Vec<_>>(), 4),
        })
        .collect();
    if random.percent(50) {
        let mut places: Vec<usize> = (0..count).collect();
        random.shuffle(&mut places);
        let mut moved = vec![Vec::new(); count];
        for (step, needs) in edges.into_iter().enumerate() {
            moved[places[step]] = needs.into_iter().map(|need| places[need]).collect();
        }
        edges = moved;
    }
    edges
}

fn some(random: &mut Random, of: &[usize], most: usize) -> Vec<usize> {
    let mut taken = of.to_vec();
    random.shuffle(&mut taken);
    taken.truncate(random.below(most + 1));
    taken
}

fn step(random: &mut Random, rich: Richness, part: Part, id: String) -> (Step, StepCodes) {
    let effect = match random.percent(rich.repeatable) {
        true => random.pick([Effect::Read, Effect::Idempotent]),
        false => random.pick([Effect::Mutating, Effect::Mutating, Effect::Destructive]),
    };
    let main = part == Part::Main;
    let codes = StepCodes {
        success: random.percent(rich.codes / 3).then(|| codes(random, &[0, 2])),
        unknown_if: random.percent(rich.codes / 2).then(|| Codes { negated: false, codes: vec![255] }),
        retry_if: random.percent(rich.codes).then(|| codes(random, &[3, 1])),
        ..StepCodes::default()
    };
    let cleanup = Some(Span::seconds(limits::CLEANUP_TIMEOUT_SECONDS));
    let retry = random.percent(rich.retries).then(|| retry(random, codes.retry_if.as_ref()));
    let verify = main && !effect.repeatable() && random.percent(rich.verifies);
    let on_cancel = main && random.percent(rich.on_cancels);
    let rollback = main && random.percent(rich.rollbacks);
    let no_return = main && !rollback && random.percent(rich.no_returns);
    let mut step = Step {
        id,
        part,
        description: String::new(),
        needs: Vec::new(),
        condition: None,
        undoes: Vec::new(),
        when_skipped: if random.percent(rich.go_on) { WhenSkipped::GoOn } else { WhenSkipped::Skip },
        work: Work::Command(Box::new(command("work", if main { None } else { cleanup }))),
        many: None,
        outputs: IndexMap::new(),
        artifacts: if random.percent(rich.outputs / 3) { vec!["left.txt".to_owned()] } else { Vec::new() },
        success: codes.success.as_ref().map(Codes::text),
        unknown_if: codes.unknown_if.as_ref().map(Codes::text),
        retry,
        effect,
        dry_run: match effect {
            Effect::Read => random.pick([DryRun::Run, DryRun::Skip]),
            _ => DryRun::Run,
        },
        target: (effect == Effect::Destructive).then(|| random.pick(TARGETS).to_owned()),
        verify: verify.then(|| command("ask", cleanup)),
        on_cancel: on_cancel.then(|| command("tidy", cleanup)),
        rollback: rollback.then(|| command("undo", cleanup)),
        no_return,
        allow_failure: random.percent(rich.allow_failure),
        locks: Vec::new(),
        pool: None,
    };
    let mut random = random.fork("values", 0);
    if let Work::Command(work) = &mut step.work {
        tell(&mut random, rich, work);
        for command in [&mut step.verify, &mut step.on_cancel, &mut step.rollback].into_iter().flatten() {
            // They begin with what the step has.
            command.env.clone_from(&work.env);
            tell(&mut random, rich, command);
        }
    }
    (step, codes)
}

/// A step that waits, or fails by itself.
fn wait(random: &mut Random, rich: Richness, part: Part, id: String) -> (Step, StepCodes) {
    let mut codes = StepCodes::default();
    let work = match random.below(10) {
        0 => Work::Fail("as-it-should".to_owned()),
        1..=3 if part == Part::Main => Work::Approval(Box::new(approval(random))),
        1..=3 => Work::Wait(Box::new(Wait::For(Span::millis(random.spread(1, 7_200_000))))),
        4 => Work::Wait(Box::new(Wait::For(Span::millis(random.spread(1, 7_200_000))))),
        5 => {
            let time = Timestamp(EPOCH + random.between(0, 4 * 3_600) * 1_000_000);
            Work::Wait(Box::new(Wait::Until(time.to_string())))
        }
        _ => {
            codes.until = random.percent(50).then(|| self::codes(random, &[0, 2]));
            codes.fail_if = random.percent(rich.codes).then(|| Codes { negated: false, codes: vec![3, 255] });
            let every = Span::millis(random.spread(1_000, 60_000));
            let mut probe = command("look", Some(Span::seconds(limits::PROBE_TIMEOUT_SECONDS)));
            tell(&mut random.fork("values", 0), rich, &mut probe);
            Work::Wait(Box::new(Wait::Probe(Box::new(Probe {
                command: probe,
                until: codes.until.as_ref().map(Codes::text),
                fail_if: codes.fail_if.as_ref().map(Codes::text),
                every,
                within: Span::millis(random.spread(1, every.as_millis() * 12)),
            }))))
        }
    };
    let (mut step, _) = step(random, rich, part, id);
    step = Step {
        work,
        artifacts: Vec::new(),
        success: None,
        unknown_if: None,
        retry: None,
        effect: Effect::Read,
        dry_run: DryRun::Run,
        target: None,
        verify: None,
        on_cancel: None,
        rollback: None,
        no_return: false,
        ..step
    };
    if let Some(approval) = step.approval() {
        let own = [("decision".to_owned(), ValueType::String), ("approvers".to_owned(), ValueType::List)];
        let fields = approval.fields.iter().map(|(name, field)| (name.clone(), field.value_type));
        step.outputs = own.into_iter().chain(fields).collect();
    }
    (step, codes)
}

fn approval(random: &mut Random) -> Approval {
    let timeout = random.percent(50).then(|| Span::millis(random.spread(1, 7_200_000)));
    let secret = random.fork("secret field", 0).percent(30);
    let mut field = random.percent(40).then(|| InputDecl {
        value_type: ValueType::String,
        required: random.percent(50),
        default: None,
        choices: Vec::new(),
        pattern: None,
        minimum: None,
        maximum: None,
        secret,
        ephemeral: false,
        description: String::new(),
    });
    let roles = if random.percent(50) { random.below(ROLES.len() + 1) } else { 0 };
    let approvals = random.pick([1, 1, 2, 3]);
    let not_requester = random.percent(50);
    let on_timeout = match timeout {
        Some(_) => random.pick([OnTimeout::Reject, OnTimeout::Approve, OnTimeout::Fail]),
        None => OnTimeout::default(),
    };
    if let (OnTimeout::Approve, Some(field)) = (on_timeout, &mut field) {
        field.required = false;
    }
    Approval {
        message: "please".to_owned(),
        roles: ROLES.iter().take(roles).map(ToString::to_string).collect(),
        approvals,
        not_requester,
        timeout,
        on_timeout,
        fields: field.map(|field| (FIELD.to_owned(), field)).into_iter().collect(),
    }
}

fn command(program: &str, timeout: Option<Span>) -> Command {
    Command {
        program: Program::Argv(vec![program.to_owned()]),
        stdin: None,
        env: IndexMap::new(),
        env_file: None,
        pass_env: Vec::new(),
        working_dir: None,
        files: IndexMap::new(),
        timeout,
        stop: Stop::default(),
        tools: None,
    }
}

fn codes(random: &mut Random, usual: &[i32]) -> Codes {
    Codes { negated: random.percent(30), codes: usual.to_vec() }
}

fn retry(random: &mut Random, condition: Option<&Codes>) -> Retry {
    let initial = Span::millis(random.spread(1, 20_000));
    Retry {
        attempts: random.between(1, 5) as u32,
        backoff: Backoff {
            initial,
            factor_millis: random.pick([1_000, 1_500, 2_000, 10_000]),
            max: Span(initial.0 * random.pick([1, 3, 60])),
            jitter: random.pick([Jitter::None, Jitter::Full]),
        },
        condition: condition.map(Codes::text),
    }
}

fn outputs(random: &mut Random, rich: Richness) -> IndexMap<String, ValueType> {
    let mut outputs = IndexMap::new();
    if random.percent(rich.outputs) {
        outputs.insert(NUMBER.to_owned(), ValueType::Integer);
        if random.percent(30) {
            outputs.insert("more".to_owned(), random.pick(OUTPUT_TYPES));
        }
    }
    outputs
}

/// A condition over the steps in `seen`.
fn condition(
    random: &mut Random,
    seen: &[usize],
    outputs: &[IndexMap<String, ValueType>],
    part: Part,
    depth: usize,
) -> Cond {
    let step = if seen.is_empty() { None } else { Some(seen[random.below(seen.len())]) };
    let with_number = step.filter(|step| outputs[*step].contains_key(NUMBER));
    if depth < 3 && random.percent(25) {
        let mut inner = || Box::new(condition(random, seen, outputs, part, depth + 1));
        let (left, right) = (inner(), inner());
        return match random.below(3) {
            0 => Cond::Not(left),
            1 => Cond::And(left, right),
            _ => Cond::Or(left, right),
        };
    }
    let words = ["succeeded", "failed", "skipped", "canceled"];
    match (random.below(11), step, with_number) {
        (0, _, _) => Cond::Constant(false),
        (1, _, _) => Cond::Constant(true),
        (10, _, _) => Cond::Slot(random.pick(["a", "b"])),
        (2 | 3, _, _) => Cond::Always,
        (4, _, _) => Cond::Failure,
        (5, _, Some(step)) => Cond::Ratio { step, than: random.between(0, 4) },
        (6 | 7, _, Some(step)) => Cond::Over { step, than: random.between(0, 6) },
        (_, Some(step), _) => Cond::Status { step, equal: random.percent(70), word: random.pick(words) },
        _ if part == Part::Finally => Cond::Outcome(random.pick(["succeeded", "failed", "canceled"])),
        _ => Cond::Always,
    }
}
