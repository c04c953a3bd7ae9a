//! Edits of runbooks while a run of them is over: what a person could have written since. Never knows what a run makes of one.

use std::sync::Arc;

use runbook_core::definition::{Effect, Part, Step, Work};
use runbook_core::id::{Digest, StepNo};
use runbook_core::run::{Edit, Pinned};

use super::design::{Design, StepCodes};
use super::random::Random;

/// A design with something done otherwise, said otherwise, or added.
pub(crate) fn edited(random: &mut Random, before: &Design) -> Design {
    let mut after = before.clone();
    let steps = after.runbook.steps.len();
    let no = random.below(steps);
    after.runbook.steps[no].description = format!("edited {}", random.below(1_000));
    if random.percent(60) {
        change(random, &mut after, no);
    }
    if random.percent(40) {
        add(random, &mut after);
    }
    let text = format!("{} {:?}", before.digest, after.runbook);
    named(&mut after, Digest::of(text.as_bytes()));
    after
}

/// Lets a step do something else, or a step inside it.
fn change(random: &mut Random, design: &mut Design, no: usize) {
    if let Some(block) = design.blocks[no].as_mut().map(Arc::make_mut) {
        let inner = random.below(block.runbook.steps.len());
        change(random, block, inner);
        if let Work::Block(inside) = &mut design.runbook.steps[no].work {
            inside.steps.clone_from(&block.runbook.steps);
        }
    } else if let Work::Command(command) = &mut design.runbook.steps[no].work {
        command.env.insert("EDITED".to_owned(), random.below(1_000).to_string());
    }
    if let Some(one) = design.one[no].as_mut().map(Arc::make_mut) {
        one.runbook.steps[0].work.clone_from(&design.runbook.steps[no].work);
        one.blocks[0].clone_from(&design.blocks[no]);
    }
}

/// A step that no run had before, after some of those that are there.
fn add(random: &mut Random, design: &mut Design) {
    let Some(like) =
        design.runbook.steps.iter().find(|step| matches!(step.work, Work::Command(_)) && step.part == Part::Main)
    else {
        return;
    };
    let steps = design.runbook.steps.len();
    let main: Vec<StepNo> = (0..steps).filter(|no| design.is_main(*no)).map(|no| StepNo(no as u32)).collect();
    let added = Step {
        id: format!("added-{steps}"),
        needs: main.into_iter().filter(|_| random.percent(25)).collect(),
        condition: None,
        outputs: [].into(),
        success: None,
        unknown_if: None,
        retry: None,
        no_return: false,
        effect: Effect::Idempotent,
        target: None,
        locks: Vec::new(),
        many: None,
        ..like.clone()
    };
    design.runbook.steps.push(added);
    design.conditions.push(None);
    design.codes.push(StepCodes::default());
    design.calls.push(None);
    design.blocks.push(None);
    design.lists.push(None);
    design.one.push(None);
    design.step_locks.push(Vec::new());
}

/// A block goes by the hash of the file that it stands in.
fn named(design: &mut Design, digest: Digest) {
    design.digest = digest;
    for block in design.blocks.iter_mut().flatten() {
        named(Arc::make_mut(block), digest);
    }
    for one in design.one.iter_mut().flatten() {
        named(Arc::make_mut(one), digest);
    }
}

/// What a run is told of it.
pub(crate) fn told(pinned: Arc<Pinned>) -> Box<Edit> {
    Box::new(Edit { pinned, files: Vec::new() })
}
