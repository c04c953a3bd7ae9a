//! Steps: `steps:` and `finally:`. Reads each by itself; what holds between them is checked elsewhere.

use std::collections::HashMap;
use std::ops::Range;

use super::action::{self, Role};
use super::block;
use super::call;
use super::code::Code;
use super::command::{self, Defaults, Inherited, Reader};
use super::draft::{Owner, StepDraft, Use};
use super::inputs;
use super::item::{Entry, Fields, Item};
use super::many;
use super::names;
use super::pool;
use super::relation;
use super::report::{Problem, Report};
use super::{show, top, work};
use super::{step_keys, step_relations};
use crate::action::{UNKNOWN_IF, find};
use crate::definition::{DryRun, Effect, Many, Part, Runbook, Step, ValueType, WhenSkipped, Work};
use crate::limits;
use crate::time::Span;

const EFFECTS: [(&str, Effect); 4] = [
    ("read", Effect::Read),
    ("idempotent", Effect::Idempotent),
    ("mutating", Effect::Mutating),
    ("destructive", Effect::Destructive),
];

const DRY_RUN: [(&str, DryRun); 2] = [("run", DryRun::Run), ("skip", DryRun::Skip)];

const WHEN_SKIPPED: [(&str, WhenSkipped); 2] = [("skip", WhenSkipped::Skip), ("go_on", WhenSkipped::GoOn)];

/// The steps of both parts.
#[derive(Default)]
pub(super) struct Steps<'t> {
    /// As they go into the definition.
    pub steps: Vec<Step>,
    /// One for each.
    pub drafts: Vec<StepDraft<'t>>,
}

/// How much a file has.
#[derive(Default)]
pub(super) struct Count {
    /// Its steps, those of blocks too.
    pub steps: usize,
    /// Its blocks.
    pub blocks: usize,
    /// Where the first block is.
    pub first_block: Range<usize>,
    /// Where the first step is that is one too many.
    over: Option<Range<usize>>,
}

/// Counts steps and blocks without looking at what they say.
fn count(root: Item<'_>) -> Count {
    let mut count = Count::default();
    let mut open = vec![root];
    while let Some(item) = open.pop() {
        for part in ["steps", "finally"].into_iter().filter_map(|name| item.peek(name)) {
            for entry in part.pairs() {
                count.steps += 1;
                if count.steps > limits::STEPS {
                    count.over.get_or_insert(entry.key.span());
                }
                if entry.value.peek("steps").is_some() {
                    if count.blocks == 0 {
                        count.first_block = entry.key.span();
                    }
                    count.blocks += 1;
                    open.push(entry.value);
                }
            }
        }
    }
    count
}

/// How much there is, unless that is too much to look at what it says. Asked as soon as the document is there: reading on
/// would cost the most where it is the least worth.
pub(super) fn few_enough(root: Item<'_>, report: &mut Report<'_>) -> Option<Count> {
    let count = count(root);
    let Some(over) = count.over else { return Some(count) };
    let message = format!("the runbook has {} steps; the limit is {}", count.steps, limits::STEPS);
    report.add(Problem::new(Code::OverLimit, over, message));
    None
}

/// Reads `steps:` and `finally:`; `None` when they are too large to go on.
pub(super) fn read<'t>(
    main: Option<Entry<'t>>,
    finally: Option<Entry<'t>>,
    defaults: &Defaults,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Steps<'t>> {
    let mut all = Vec::new();
    let whose = if reader.depth == 0 { "the runbook" } else { "the block" };
    for (entry, part) in [(main, Part::Main), (finally, Part::Finally)] {
        let Some(entry) = entry else { continue };
        let Some(entries) = entry.value.entries(reader.report) else { continue };
        if part == Part::Main && entries.len() == 0 {
            reader.report.add(
                Problem::new(Code::NoSteps, entry.key.span(), format!("{whose} has no steps"))
                    .help("add a step: `hello: {run: echo hello}`"),
            );
        }
        all.extend(entries.map(|entry| (entry, part)));
    }
    let added = defaults.bytes().saturating_mul(reader.steps);
    if added > limits::DEFAULTS_BYTES {
        let limit = limits::DEFAULTS_BYTES;
        let message = format!("`defaults` adds {added} bytes to all steps together; the limit is {limit}");
        reader.report.add(
            Problem::new(Code::OverLimit, defaults.at.clone(), message).help("move variables to `env` at the top"),
        );
        return None;
    }
    let mut steps = Steps::default();
    let mut ids: HashMap<&str, Range<usize>> = HashMap::with_capacity(all.len());
    for (entry, part) in all {
        let id = names::id(entry.key, reader.report);
        // Within one part, the same key again was already refused as such.
        if let Some(first) = ids.insert(id, entry.key.span())
            && part == Part::Finally
        {
            reader.report.add(
                Problem::new(Code::DuplicateStep, entry.key.span(), format!("`{}` is a step already", show(id)))
                    .related(first, "it is here first")
                    .help("give one of the two another id"),
            );
        }
        let index = steps.steps.len();
        let (step, draft) = step(entry, index, part, defaults, reader);
        steps.steps.push(step);
        steps.drafts.push(draft);
    }
    Some(steps)
}

fn step<'t>(
    entry: Entry<'t>,
    index: usize,
    part: Part,
    defaults: &Defaults,
    reader: &mut Reader<'_, '_, 't>,
) -> (Step, StepDraft<'t>) {
    let owner = Owner::Step(index);
    let mut step = Step {
        id: entry.key.raw().to_owned(),
        part,
        description: String::new(),
        needs: Vec::new(),
        condition: None,
        undoes: Vec::new(),
        when_skipped: WhenSkipped::default(),
        work: work::nothing(),
        many: None,
        outputs: Default::default(),
        artifacts: Vec::new(),
        success: None,
        unknown_if: None,
        retry: None,
        effect: Effect::default(),
        dry_run: DryRun::default(),
        target: None,
        verify: None,
        on_cancel: None,
        rollback: None,
        no_return: false,
        allow_failure: false,
        locks: Vec::new(),
        pool: None,
    };
    let Some(fields) = entry.value.section(&step_keys::STEP, entry.key.span(), reader.report) else {
        let (needs, undoes) = (Vec::new(), Vec::new());
        return (step, StepDraft { id: entry.key.span(), needs, undoes, when_skipped: None });
    };
    let of_part = if part == Part::Main { step_relations::MAIN } else { step_relations::FINALLY };
    relation::hold(&fields, of_part.iter(), reader.report);
    let cleanup = Span::seconds(limits::CLEANUP_TIMEOUT_SECONDS);
    let timeout = (part == Part::Finally).then_some(cleanup);
    let inherited = Inherited { defaults, step: None, timeout, role: Role::Work };
    step.description = inputs::text(&fields, "description", reader.report);
    if let Some(item) = fields.get("if") {
        reader.expression(item, "if", owner, Use::Condition);
    }
    step.when_skipped =
        fields.get("when_skipped").and_then(|item| item.word(&WHEN_SKIPPED, reader.report)).unwrap_or_default();
    step.work = match block::is_block(&fields) {
        true => block::read(&fields, &step, index, defaults, reader)
            .map_or_else(work::nothing, |block| Work::Block(Box::new(block))),
        false => work::read(&fields, owner, &inherited, reader),
    };
    let inner = reader.inner.last().filter(|_| step.block().is_some());
    let one_way_inside = inner.is_some_and(|inner| block::has_no_return(inner, reader));
    step.outputs = match &step.work {
        Work::Approval(approval) => work::outputs_of_approval(approval),
        Work::Runbook(call) => call::outputs(call, reader),
        Work::Block(_) => inner.map(|inner| types(&inner.draft.runbook)).unwrap_or_default(),
        Work::Command(_) | Work::Wait(_) | Work::Fail(_) => match step.action() {
            Some(acting) => action::outputs(acting),
            None => outputs(&fields, reader),
        },
    };
    let asks = match &step.work {
        Work::Approval(_) => true,
        Work::Runbook(call) => reader.interfaces.asks(&call.runbook),
        Work::Command(_) | Work::Wait(_) | Work::Fail(_) | Work::Block(_) => false,
    };
    let tidies = part == Part::Finally || reader.in_finally;
    if let (Some(entry), true, true) = (fields.entry("uses"), tidies, asks) {
        let problem = Problem::new(Code::ApprovalInFinally, entry.value.span(), "`finally` waits for nobody");
        reader.report.add(match step.call() {
            None => problem.help("ask in a main step, and let `finally` read its outcome"),
            Some(call) => {
                problem.help(format!("`{}`, or a runbook that it starts, asks for an approval", call.runbook))
            }
        });
    }
    if let Some(item) = fields.get("artifacts") {
        step.artifacts = names::distinct(item, reader.report, names::inner_path);
        let count = step.artifacts.len();
        names::within(item, "`artifacts`", count, limits::ARTIFACTS, "items", reader.report);
    }
    if let Some(acting) = step.action() {
        step.artifacts = action::artifacts(acting);
    }
    step.success = reader.expression_of(&fields, "success", owner, Use::Outcome);
    step.unknown_if = reader.expression_of(&fields, "unknown_if", owner, Use::Outcome);
    step.retry = match fields.entry("retry") {
        Some(entry) => command::retry(entry.value, entry.key, owner, reader),
        None => defaults.retry.clone().filter(|_| matches!(step.work, Work::Command(_))),
    };
    // What waits or fails by itself changes nothing.
    let effect =
        if matches!(step.work, Work::Command(_)) || step.starts_run() { Effect::default() } else { Effect::Read };
    if let Work::Command(command) = &step.work
        && let Some(acting) = command.action()
    {
        (step.effect, step.retry) = (action::effect(acting), action::retry(acting, step.retry.take()));
        step.unknown_if.get_or_insert_with(|| UNKNOWN_IF.to_owned());
    } else {
        step.effect = effect;
    }
    if let Some(effect) = fields.get("effect").and_then(|item| item.word(&EFFECTS, reader.report)) {
        step.effect = effect;
    }
    step.dry_run = fields.get("dry_run").and_then(|item| item.word(&DRY_RUN, reader.report)).unwrap_or_default();
    if step.dry_run == DryRun::Run && step.action().is_some_and(action::asks) {
        step.dry_run = DryRun::Ask;
    }
    step.target = reader.template_of(&fields, "target", owner, Use::Shown);
    let follow = |key: &'static str, reader: &mut Reader<'_, '_, 't>| {
        let entry = fields.entry(key)?;
        let role = if key == "verify" { Role::Verify } else { Role::Work };
        let inherited = Inherited { defaults, step: step.command(), timeout: Some(cleanup), role };
        let own = entry.value.section(&step_keys::CLEANUP, entry.key.span(), reader.report)?;
        Some(command::command(&own, Owner::Cleanup(index), &inherited, reader))
    };
    let verify = follow("verify", reader);
    let on_cancel = follow("on_cancel", reader);
    let rollback = follow("rollback", reader);
    (step.verify, step.on_cancel, step.rollback) = (verify, on_cancel, rollback);
    same_outputs(&fields, &step, reader);
    step.no_return = fields.get("no_return").and_then(|i| i.boolean(reader.report)).unwrap_or(false);
    // What it starts may be past its own point of no return when it is to be canceled.
    let one_way = step.call().is_some_and(|call| reader.interfaces.has_no_return(&call.runbook)) || one_way_inside;
    step.no_return |= one_way && part == Part::Main && step.rollback.is_none();
    let lenient = step.action().is_some_and(action::may_fail);
    step.allow_failure = fields.get("allow_failure").and_then(|i| i.boolean(reader.report)).unwrap_or(lenient);
    step.locks = top::locks(&fields, owner, reader);
    step.pool = pool::of_step(&fields, &step, defaults, reader);
    if matches!(step.work, Work::Command(_)) {
        effects(&fields, &step, reader);
    }
    many::read(&fields, &mut step, owner, reader);
    if let Some(lock) = step.action().and_then(action::lock) {
        // What is done for each of a list names another thing each time.
        let locks = step.many.as_deref_mut().map_or(&mut step.locks, Many::locks_mut);
        if !locks.contains(&lock) {
            locks.push(lock);
        }
    }
    let needs = step_list(&fields, "needs", reader);
    let mut undoes = step_list(&fields, "undoes", reader);
    if part == Part::Main {
        undoes.clear();
    }
    let when_skipped = fields.entry("when_skipped").map(|entry| entry.key.span());
    (step, StepDraft { id: entry.key.span(), needs, undoes, when_skipped })
}

fn step_list<'t>(fields: &Fields<'t>, key: &'static str, reader: &mut Reader<'_, '_, 't>) -> Vec<Item<'t>> {
    let Some(list) = fields.get(key) else { return Vec::new() };
    let items: Vec<Item<'t>> = list.list(reader.report).into_iter().flatten().collect();
    names::within(list, &format!("`{key}`"), items.len(), limits::NEEDS, "steps", reader.report);
    items.into_iter().filter(|item| item.text(reader.report).is_some()).collect()
}

fn outputs(fields: &Fields<'_>, reader: &mut Reader<'_, '_, '_>) -> indexmap::IndexMap<String, ValueType> {
    let mut outputs = indexmap::IndexMap::new();
    let Some(item) = fields.get("outputs") else { return outputs };
    let Some(entries) = item.entries(reader.report) else { return outputs };
    names::within(item, "`outputs`", entries.len(), limits::OUTPUTS, "outputs", reader.report);
    for entry in entries {
        let name = names::id(entry.key, reader.report);
        if let Some(value_type) = entry.value.word(&inputs::TYPES, reader.report) {
            outputs.insert(name.to_owned(), value_type);
        }
    }
    outputs
}

/// The types of what a block leaves.
fn types(block: &Runbook) -> indexmap::IndexMap<String, ValueType> {
    block.outputs.iter().map(|(name, decl)| (name.clone(), decl.value_type)).collect()
}

/// A request that answers whether another one happened leaves what that would have left.
fn same_outputs(fields: &Fields<'_>, step: &Step, reader: &mut Reader<'_, '_, '_>) {
    let verify = step.verify.as_ref().and_then(|command| command.action());
    let (Some(acting), Some(answering), Some(entry)) = (step.action(), verify, fields.entry("verify")) else { return };
    // How much another program's work did is not known where another action says that it happened.
    if acting.name != answering.name {
        return;
    }
    let left = action::outputs(answering);
    if let Some(output) = action::outputs(acting).keys().find(|output| !left.contains_key(*output)) {
        let message =
            format!("`verify` leaves no `{output}`, and where it says yes it stands for the step, which does");
        let help = "let both say the same `answer`";
        reader.report.add(Problem::new(Code::UndeclaredOutput, entry.key.span(), message).help(help));
    }
}

/// What follows from `effect`.
fn effects(fields: &Fields<'_>, step: &Step, reader: &mut Reader<'_, '_, '_>) {
    if let (Some(acting), Some(entry)) = (step.action(), fields.entry("effect"))
        && let Some(action) = find(&acting.name)
    {
        let own = action::effect(acting);
        if step.effect < action.weakest(own) {
            let (said, own) = (step.effect.name(), own.name());
            let message = format!("`uses: {}` does more than `{said}` says: of itself it is {own}", action.name);
            let help = format!("leave it out, or say `effect: {own}` or a stronger one");
            reader.report.add(Problem::new(Code::ConflictingKeys, entry.value.span(), message).help(help));
            return;
        }
    }
    let destructive = step.effect == Effect::Destructive;
    match (fields.entry("effect").or(fields.entry("uses")), fields.entry("target")) {
        (Some(effect), None) if destructive => reader.report.add(
            Problem::new(Code::NoTarget, effect.value.span(), "a destructive step has to say what it destroys")
                .help("add `target:`, such as `target: postgres/orders`"),
        ),
        (_, Some(target)) if !destructive => reader.report.add(
            Problem::new(Code::ConflictingKeys, target.key.span(), "`target` is for destructive steps only")
                .help("add `effect: destructive`, or leave `target` out"),
        ),
        _ => {}
    }
    if let Some(dry_run) = fields.entry("dry_run")
        && step.effect != Effect::Read
        && !step.action().is_some_and(action::asks)
    {
        reader.report.add(
            Problem::new(Code::ConflictingKeys, dry_run.key.span(), "`dry_run` is for steps that change nothing only")
                .help("add `effect: read`, or leave `dry_run` out: the step is shown in a dry run, and does not run"),
        );
    }
    if let Some(verify) = fields.entry("verify")
        && step.effect.repeatable()
    {
        reader.report.add(
            Problem::new(
                Code::PointlessVerify,
                verify.key.span(),
                "`verify` is never asked: this step may simply be repeated",
            )
            .help("leave `verify` out, or say `effect: mutating` if a second try could do harm"),
        );
    }
}
