//! Blocks: `steps:` and `finally:` inside a step. Reads them as a draft of their own, and puts together what they take
//! along from around them. What their expressions may mention is checked elsewhere.

use std::mem::take;

use super::code::Code;
use super::command::{Defaults, Reader};
use super::draft::{Draft, Inner};
use super::item::Fields;
use super::report::Problem;
use super::{steps, top};
use crate::definition::{Block, Part, Runbook, Step, Work};
use crate::expression::{IterationField, Reference, RunField};
use crate::limits;

/// Whether a step is a block.
pub(super) fn is_block(fields: &Fields<'_>) -> bool {
    fields.entry("steps").or(fields.entry("finally")).is_some()
}

/// Reads what stands inside a step; its steps stay in a draft until all is checked. `None` where that cannot be read.
pub(super) fn read<'t>(
    fields: &Fields<'t>,
    step: &Step,
    index: usize,
    defaults: &Defaults,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Block> {
    let at = fields.entry("steps").or(fields.entry("finally"))?;
    if reader.depth >= limits::BLOCK_DEPTH {
        let (depth, limit) = (reader.depth + 1, limits::BLOCK_DEPTH);
        let message = format!("blocks stand {depth} deep in each other; the limit is {limit}");
        let help = "let `uses: runbook` start what stands inside";
        reader.report.add(Problem::new(Code::OverLimit, at.key.span(), message).help(help));
        return None;
    }
    let Some(main) = fields.entry("steps") else {
        reader.report.add(
            Problem::new(Code::NoSteps, at.key.span(), "a block without `steps`")
                .help("add `steps:` beside it, or move it to `finally` at the top"),
        );
        return None;
    };
    let outside = (take(&mut reader.places), take(&mut reader.calls), take(&mut reader.inner), reader.in_finally);
    reader.depth += 1;
    reader.in_finally |= step.part == Part::Finally;
    let outputs = top::outputs(fields, reader);
    let timeout = reader.duration(fields, "timeout");
    let read = steps::read(Some(main), fields.entry("finally"), defaults, reader);
    reader.depth -= 1;
    let (places, calls, inner) = (take(&mut reader.places), take(&mut reader.calls), take(&mut reader.inner));
    (reader.places, reader.calls, reader.inner, reader.in_finally) = outside;
    let read = read?;
    let draft = Draft {
        runbook: Runbook { steps: read.steps, outputs, ..reader.within.clone() },
        name: 0..0,
        files: Vec::new(),
        steps: read.drafts,
        places,
        inputs: Vec::new(),
        calls,
        inner,
    };
    reader.inner.push(Inner { step: index, draft });
    Some(Block { timeout, ..Block::default() })
}

/// Whether a step inside has no way back, at whatever depth.
pub(super) fn has_no_return(inner: &Inner<'_>, reader: &Reader<'_, '_, '_>) -> bool {
    let mut open = vec![&inner.draft];
    while let Some(draft) = open.pop() {
        if draft.runbook.steps.iter().any(|step| step.no_return)
            || draft.calls.iter().any(|(name, _)| reader.interfaces.has_no_return(name))
        {
            return true;
        }
        open.extend(draft.inner.iter().map(|inner| &inner.draft));
    }
    false
}

/// Puts the steps of all blocks where they belong, once they are checked.
pub(super) fn settle(draft: &mut Draft<'_>) {
    for mut inner in take(&mut draft.inner) {
        settle(&mut inner.draft);
        draft.calls.append(&mut inner.draft.calls);
        let Some(step) = draft.runbook.steps.get_mut(inner.step) else { continue };
        if let Work::Block(block) = &mut step.work {
            (block.steps, block.outputs) = (inner.draft.runbook.steps, inner.draft.runbook.outputs);
        }
    }
}

/// Whether a step takes a value along from around it that a reference names, one of another level.
pub(super) fn is_taken(reference: &Reference, whole: &Runbook) -> bool {
    match reference {
        // What is secret stays sealed.
        Reference::Input(name) => whole.inputs.get(name).is_some_and(|decl| !decl.secret),
        Reference::StepStatus(_)
        | Reference::StepExitCode(_)
        | Reference::StepOutput(..)
        | Reference::StepArtifact(..)
        | Reference::Item
        | Reference::EachKey
        | Reference::EachNumber
        | Reference::Iteration(IterationField::Number)
        | Reference::Run(RunField::Uid | RunField::Outcome) => true,
        // It is in the environment of the run that it is in.
        Reference::Env(_)
        | Reference::Environment
        | Reference::EnvironmentValue(_)
        | Reference::Secret(_)
        | Reference::Run(_)
        | Reference::Iteration(IterationField::Status | IterationField::ExitCode)
        | Reference::IterationOutput(_)
        | Reference::ExitCode
        | Reference::AttemptOutput(_)
        | Reference::Always
        | Reference::Failure => false,
    }
}
