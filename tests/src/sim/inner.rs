//! Random blocks: some steps of a design get steps of their own, which may ask for what is around them. Never knows what a
//! run makes of them.

use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{Block, DryRun, Effect, Part, Runbook, Step, ValueType, Work};
use runbook_core::time::Span;

use super::condition::{Cond, NUMBER};
use super::design::{Design, StepCodes};
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
        *step = Step {
            work: Work::Block(Box::new(block)),
            outputs,
            artifacts: Vec::new(),
            success: None,
            unknown_if: None,
            retry: None,
            effect: Effect::Mutating,
            dry_run: DryRun::Run,
            target: None,
            verify: None,
            on_cancel: None,
            no_return: step.no_return || (one_way && main && step.rollback.is_none()),
            ..step.clone()
        };
        design.codes[no] = StepCodes::default();
        for called in &inner.called {
            if !design.called.iter().any(|known| known.runbook.name == called.runbook.name) {
                design.called.push(Arc::clone(called));
            }
        }
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
        let asks = Cond::Around { id, than: random.between(0, 4) };
        let condition = match design.conditions[place].take() {
            Some(condition) => Cond::And(Box::new(condition), Box::new(asks)),
            None => asks,
        };
        let ids: Vec<String> = design.runbook.steps.iter().map(|step| step.id.clone()).collect();
        let step = &mut design.runbook.steps[place];
        step.condition = Some(condition.condition(&step.needs, &|no| ids[no].clone()));
        design.conditions[place] = Some(condition);
    }
    generator::calls(random, rich, None, &mut design, others);
    generator::step_locks(&mut random.fork("step locks", 0), rich, None, false, &mut design);
    for (step, names) in design.runbook.steps.iter_mut().zip(&mut design.step_locks) {
        // Inputs are not those of the block.
        names.retain(|name| !name.by_slot);
        step.locks.retain(|lock| !lock.contains("${{"));
    }
    blocks(random, rich, &mut design, others, depth + 1);
    debug_assert!(design.runbook.steps.iter().any(|step| step.part == Part::Main));
    design
}
