//! Random blocks: some steps of a design get steps of their own, which may ask for what is around them. Never knows what a
//! run makes of them.

use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{
    self, Block, Each, Effect, Many, OnFailure, Part, Runbook, Step, ValueType, WhenSkipped, Work,
};
use runbook_core::time::Span;
use serde_json::Value;

use super::condition::{Cond, ITEM, ITERATION, NUMBER};
use super::design::{Design, Items, ItemsDesign, RepeatDesign, StepCodes};
use super::generator::{self, Richness};
use super::random::Random;

/// How many steps of a design may be blocks.
const BLOCKS: usize = 2;
/// How many main steps a block may have.
const STEPS: usize = 4;
/// How deep blocks stand in each other.
const DEPTH: usize = 2;

/// Makes blocks of some steps with commands.
pub(super) fn blocks(random: &mut Random, rich: Richness, design: &mut Design, others: &[Arc<Design>], depth: usize) {
    for no in 0..design.runbook.steps.len() {
        let few = design.blocks.iter().flatten().count() < BLOCKS && depth < DEPTH;
        let command = matches!(design.runbook.steps[no].work, Work::Command(_));
        if !few || !command || !random.percent(rich.blocks) {
            continue;
        }
        let inner = inner(random, rich, design, no, others, depth);
        // `finally` waits for nobody, at whatever distance.
        if !design.is_main(no) && inner.asks() {
            continue;
        }
        let outputs: IndexMap<String, ValueType> =
            inner.runbook.outputs.iter().map(|(name, decl)| (name.clone(), decl.value_type)).collect();
        // Who reads the number that the step had before goes without it.
        if design.runbook.steps[no].outputs.contains_key(NUMBER) && !outputs.contains_key(NUMBER) {
            continue;
        }
        let block = Block {
            steps: inner.runbook.steps.clone(),
            outputs: inner.runbook.outputs.clone(),
            timeout: inner.runbook.timeout,
            takes: inner.takes(),
        };
        let (main, one_way) = (design.is_main(no), inner.has_no_return());
        let step = &mut design.runbook.steps[no];
        generator::starts_run(step, Work::Block(Box::new(block)), outputs, one_way && main);
        design.codes[no] = StepCodes::default();
        inner.called.iter().for_each(|called| design.know(called));
        design.blocks[no] = Some(Arc::new(inner));
    }
}

/// What stands inside a step.
fn inner(
    random: &mut Random,
    rich: Richness,
    around: &Design,
    no: usize,
    others: &[Arc<Design>],
    depth: usize,
) -> Design {
    let letters = [['b', 'g'], ['c', 'h']][depth.min(1)];
    let mut design = generator::design(random, 0, STEPS, rich, letters);
    let outer = &around.runbook;
    design.digest = around.digest;
    design.locks = Vec::new();
    design.group = None;
    design.runbook = Runbook {
        name: format!("{}/{}", outer.name, outer.steps[no].id),
        timeout: random.percent(25).then(|| Span::seconds(random.spread(1, 7_200))),
        max_parallel: None,
        priority: None,
        on_failure: outer.on_failure,
        rollback: outer.rollback,
        attention: outer.attention,
        locks: Vec::new(),
        concurrency: None,
        ..design.runbook
    };
    for step in &mut design.runbook.steps {
        // What it destroys has to be asked about before.
        if step.effect == Effect::Destructive {
            (step.effect, step.target) = (Effect::Mutating, None);
        }
    }
    let seen = |need: &usize| outer.steps[*need].outputs.contains_key(NUMBER);
    let seen: Vec<usize> = around.needs(no).filter(seen).collect();
    if !seen.is_empty() && random.percent(60) {
        let place = random.below(design.runbook.steps.len());
        let id = outer.steps[seen[random.below(seen.len())]].id.clone();
        design.ask(place, Cond::Around { id, than: random.between(0, 4) });
    }
    generator::calls(random, rich, None, &mut design, others);
    generator::step_locks(&mut random.fork("step locks", 0), rich, None, false, &mut design);
    generator::pools(&mut random.fork("pools", 0), rich, &mut design);
    for (step, names) in design.runbook.steps.iter_mut().zip(&mut design.step_locks) {
        // Inputs are not those of the block.
        names.retain(|name| !name.by_slot);
        step.locks.retain(|lock| !lock.contains("${{"));
    }
    blocks(random, rich, &mut design, others, depth + 1);
    items(random, rich, &mut design);
    repeats(&mut random.fork("repeats", 0), rich, &mut design);
    debug_assert!(design.runbook.steps.iter().any(|step| step.part == Part::Main));
    design
}

/// How many steps of a design may do their work for items.
const LISTS: usize = 2;
/// What they write for each item, if anything.
const OF_ITEM: &str = "m";

/// Lets some steps do their work for each item of a list.
pub(super) fn items(random: &mut Random, rich: Richness, design: &mut Design) {
    for no in 0..design.runbook.steps.len() {
        let few = design.lists.iter().flatten().count() < LISTS;
        let step = &design.runbook.steps[no];
        let fits = matches!(step.work, Work::Command(_) | Work::Runbook(_) | Work::Block(_));
        // What destroys is asked about before; who reads a number goes without a list.
        let other = step.effect == Effect::Destructive || step.outputs.contains_key(NUMBER);
        if !few || !fits || other || step.rollback.is_some() || !step.locks.is_empty() || !random.percent(rich.items) {
            continue;
        }
        let with_number = |need: &usize| design.runbook.steps[*need].outputs.contains_key(NUMBER);
        let seen: Vec<usize> = design.needs(no).filter(with_number).collect();
        let list = match seen.is_empty() || random.percent(40) {
            true => Items::Known((1..=random.between(0, 5)).collect()),
            false => {
                let step = seen[random.below(seen.len())];
                if random.percent(70) { Items::UpTo(step) } else { Items::UpToOrNone(step) }
            }
        };
        let command = matches!(step.work, Work::Command(_));
        let written = command && random.percent(50);
        let outputs: IndexMap<String, ValueType> = match written {
            true => IndexMap::from([(OF_ITEM.to_owned(), ValueType::Integer)]),
            false => step.outputs.clone(),
        };
        let items = ItemsDesign {
            max_parallel: random.percent(60).then(|| random.between(1, 3) as u32),
            max_failures: random.pick([0, 0, 1, 2]),
            outputs: outputs.keys().cloned().collect(),
        };
        if random.percent(60)
            && let Some(block) = design.blocks[no].as_ref()
        {
            let block = asking(random, block, |than| Cond::Item { than });
            if let Work::Block(inside) = &mut design.runbook.steps[no].work {
                (inside.steps, inside.takes) = (block.runbook.steps.clone(), block.takes());
            }
            design.blocks[no] = Some(Arc::new(block));
        }
        let one = Design { items: Some(items.clone()), ..one(design, no, &outputs) };
        let ids: Vec<String> = design.runbook.steps.iter().map(|step| step.id.clone()).collect();
        let step = &mut design.runbook.steps[no];
        step.outputs = outputs.keys().map(|name| (name.clone(), ValueType::List)).collect();
        step.artifacts = Vec::new();
        step.many = Some(Box::new(Many::Each(Each {
            list: match (&list, list.text(|step| ids[step].clone())) {
                (_, Some(text)) => definition::Items::Expression(text),
                (Items::Known(items), None) => {
                    definition::Items::Known(items.iter().map(|item| Value::from(*item)).collect())
                }
                (Items::UpTo(_) | Items::UpToOrNone(_), None) => continue,
            },
            max_parallel: items.max_parallel,
            max_failures: items.max_failures,
            outputs,
            takes: one.takes().into_iter().filter(|text| text != ITEM).collect(),
            locks: Vec::new(),
        })));
        design.lists[no] = Some(list);
        design.one[no] = Some(Arc::new(one));
    }
}

/// The same block, where a step of it asks what that is done for.
fn asking(random: &mut Random, block: &Design, asks: impl Fn(i64) -> Cond) -> Design {
    let mut design = block.clone();
    let place = random.below(design.runbook.steps.len());
    design.ask(place, asks(random.between(0, 4)));
    design
}

/// How many steps of a design may do their work again and again.
const REPEATS: usize = 2;

/// Lets some steps do their work again and again.
pub(super) fn repeats(random: &mut Random, rich: Richness, design: &mut Design) {
    for no in 0..design.runbook.steps.len() {
        let few = (0..design.runbook.steps.len()).filter(|no| design.repeat_of(*no).is_some()).count() < REPEATS;
        let step = &design.runbook.steps[no];
        let fits = step.many.is_none() && matches!(step.work, Work::Command(_) | Work::Runbook(_) | Work::Block(_));
        let other = step.effect == Effect::Destructive || step.rollback.is_some() || !step.locks.is_empty();
        if !few || !fits || other || !random.percent(rich.repeats) {
            continue;
        }
        let max = random.between(1, 4) as u32;
        let repeat = RepeatDesign {
            until: until(random, design, no, max),
            max,
            every: random.percent(50).then(|| Span::seconds(random.spread(1, 3_600))),
        };
        if random.percent(60)
            && let Some(block) = design.blocks[no].as_ref()
        {
            let block = asking(random, block, |than| Cond::Iteration { than });
            if let Work::Block(inside) = &mut design.runbook.steps[no].work {
                (inside.steps, inside.takes) = (block.runbook.steps.clone(), block.takes());
            }
            design.blocks[no] = Some(Arc::new(block));
        }
        let outputs = design.runbook.steps[no].outputs.clone();
        let mut one = Design { repeat: Some(repeat.clone()), ..one(design, no, &outputs) };
        one.runbook.on_failure = OnFailure::Stop;
        let mut takes = one.takes();
        takes.extend(repeat.until.takes());
        takes.remove(ITERATION);
        let step = &mut design.runbook.steps[no];
        step.artifacts = Vec::new();
        step.many = Some(Box::new(Many::Repeat(definition::Repeat {
            until: repeat.text(),
            max,
            every: repeat.every,
            any_outcome: repeat.until.asks_of_any(),
            takes,
            locks: Vec::new(),
        })));
        design.one[no] = Some(Arc::new(one));
    }
}

/// When a step has done its work often enough.
fn until(random: &mut Random, design: &Design, no: usize, max: u32) -> Cond {
    let step = &design.runbook.steps[no];
    let number = Cond::Iteration { than: random.between(0, i64::from(max) - 1) };
    let or = |left: Cond, right: Cond| Cond::Or(Box::new(left), Box::new(right));
    let mut kinds = vec![number.clone(), Cond::Well, or(Cond::Well, number.clone())];
    if step.outputs.contains_key(NUMBER) {
        let than = random.between(0, 4);
        let left = Cond::Left { than };
        kinds.extend([left.clone(), or(left.clone(), Cond::Well), or(left, number.clone()), Cond::LeftRatio { than }]);
    }
    if matches!(step.work, Work::Command(_)) {
        let exited = Cond::Exited { code: random.between(0, 4) as i32 };
        kinds.extend([exited.clone(), or(exited, number.clone())]);
    }
    let with_number = |need: &usize| design.runbook.steps[*need].outputs.contains_key(NUMBER);
    if let Some(need) = design.needs(no).find(with_number) {
        let id = design.runbook.steps[need].id.clone();
        kinds.push(or(Cond::Around { id, than: random.between(0, 4) }, number));
    }
    kinds.swap_remove(random.below(kinds.len()))
}

/// What is done once of what a step does many times.
fn one(around: &Design, no: usize, outputs: &IndexMap<String, ValueType>) -> Design {
    let outer = &around.runbook;
    let step = &outer.steps[no];
    let effect = match step.part {
        Part::Finally if !step.effect.repeatable() => Effect::Idempotent,
        Part::Main | Part::Finally => step.effect,
    };
    let item = Step {
        part: Part::Main,
        needs: Vec::new(),
        condition: None,
        undoes: Vec::new(),
        when_skipped: WhenSkipped::Skip,
        outputs: outputs.clone(),
        artifacts: Vec::new(),
        effect,
        rollback: None,
        no_return: false,
        allow_failure: false,
        ..step.clone()
    };
    let on_failure = match outer.on_failure {
        OnFailure::Cancel => OnFailure::Cancel,
        OnFailure::Stop | OnFailure::Continue => OnFailure::Stop,
    };
    Design {
        runbook: Runbook {
            name: format!("{}/{}", outer.name, step.id),
            timeout: None,
            max_parallel: None,
            priority: None,
            on_failure,
            locks: Vec::new(),
            concurrency: None,
            outputs: IndexMap::new(),
            steps: vec![item],
            ..outer.clone()
        },
        conditions: vec![None],
        codes: vec![around.codes[no].clone()],
        calls: vec![around.calls[no].clone()],
        blocks: vec![around.blocks[no].clone()],
        lists: vec![None],
        one: vec![None],
        items: None,
        repeat: None,
        locks: Vec::new(),
        step_locks: vec![Vec::new()],
        group: None,
        output: None,
        called: around.called.clone(),
        digest: around.digest,
    }
}
