//! Steps that never run: an `if` that cannot hold whatever comes of the steps before. Tells what is sure from the
//! graph, and takes everything else for possible. Never knows a value that a run will have.

use serde_json::Value;

use super::code::Code;
use super::draft::{Draft, StepDraft};
use super::expressions::Parsed;
use super::names_at::Context;
use super::report::{Problem, Report};
use super::show;
use crate::definition::{InputDecl, OnFailure, Part, RollbackPolicy, Step, ValueType, WhenSkipped};
use crate::expression::{Expression, RUN_OUTCOMES, Reference, RunField};

/// Choices of an input that are followed.
const CHOICES: usize = 16;

/// Reports an `if` that can never hold.
pub(super) fn check_condition(
    parsed: &Parsed<'_>,
    condition: &Expression,
    context: &Context<'_>,
    report: &mut Report<'_>,
) {
    let Some(index) = parsed.place.owner.step() else { return };
    if !context.graph.is_ordered() || context.graph.broken[index] {
        return;
    }
    let reach = Reach { context, index, step: &context.runbook.steps[index] };
    if !condition.never_holds(&|reference| reach.possible(reference)) {
        return;
    }
    let span = condition.span();
    let span = parsed.place.item.locate(span.start + parsed.offset..span.end + parsed.offset, report);
    let message = format!("`{}` never runs: this can never hold", reach.step.id);
    report.add(Problem::new(Code::UnreachableStep, span, message).help(reach.help(condition)));
}

/// Reports a `when_skipped: go_on` that is never asked.
pub(super) fn check_when_skipped(draft: &Draft<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    if !context.graph.is_ordered() {
        return;
    }
    for (index, (step, StepDraft { when_skipped, .. })) in draft.runbook.steps.iter().zip(&draft.steps).enumerate() {
        let (WhenSkipped::GoOn, Some(span)) = (step.when_skipped, when_skipped) else { continue };
        if context.graph.broken[index] || context.upstream.may_be_passed_over(index) {
            continue;
        }
        let message = format!("`{}` is never skipped but for what failed, and then nothing goes on", show(&step.id));
        report.add(
            Problem::new(Code::PointlessWhenSkipped, span.clone(), message)
                .help("leave it out, or give the step an `if`"),
        );
    }
}

struct Reach<'c> {
    context: &'c Context<'c>,
    index: usize,
    step: &'c Step,
}

impl Reach<'_> {
    /// All that a reference may be when the `if` is asked; `None` where that is not known.
    fn possible(&self, reference: &Reference) -> Option<Vec<Value>> {
        let words = |words: Vec<&str>| words.into_iter().map(Value::from).collect();
        match reference {
            Reference::StepStatus(id) => {
                let other = self.context.ids.get(id.as_str()).copied()?;
                Some(words(self.statuses(other)))
            }
            Reference::Always => Some(vec![Value::Bool(true)]),
            // Without a step before it nothing can have failed before it.
            Reference::Failure if self.step.part == Part::Main && self.step.needs.is_empty() => {
                Some(vec![Value::Bool(false)])
            }
            Reference::Input(name) => choices(self.context.whole.inputs.get(name)?),
            Reference::Run(RunField::Outcome) => {
                let rolls_back = self.context.runbook.steps.iter().any(|step| self.rolls_back(step));
                let possible = |word: &&str| rolls_back || *word != "rolled_back";
                Some(words(RUN_OUTCOMES.iter().copied().filter(possible).collect()))
            }
            _ => None,
        }
    }

    /// Whether what a step did may be compensated: by itself, or in what it starts, which is not looked into.
    fn rolls_back(&self, step: &Step) -> bool {
        let may = step.rollback.is_some() || (step.part == Part::Main && step.starts_run());
        may && self.context.runbook.rollback.policy != RollbackPolicy::Never
    }

    /// What may have come of another step.
    fn statuses(&self, other: usize) -> Vec<&'static str> {
        let runbook = self.context.runbook;
        let step = &runbook.steps[other];
        let same = step.part == self.step.part;
        if same && self.context.upstream.of(self.index, other).succeeded {
            return vec!["succeeded"];
        }
        let main = step.part == Part::Main;
        let mut statuses = vec!["succeeded", "failed"];
        let stops = main && runbook.on_failure == OnFailure::Stop;
        if step.condition.is_some() || !step.undoes.is_empty() || !step.needs.is_empty() || stops || !same {
            statuses.push("skipped");
        }
        // What is canceled ends with its run: no main step is judged after it.
        if main && !same {
            statuses.push("canceled");
            if self.rolls_back(step) {
                statuses.extend(["rolled_back", "rollback_failed"]);
            }
        }
        // Where a failure skips what is between the two at once, the other may still be on.
        if stops && same && !self.step.needs.iter().any(|need| need.index() == other) {
            statuses.push("pending");
        }
        statuses
    }

    /// What to do about it.
    fn help(&self, condition: &Expression) -> String {
        let sure = condition.references().iter().find_map(|located| match &located.value {
            Reference::StepStatus(id) => {
                let other = self.context.ids.get(id.as_str()).copied()?;
                (self.statuses(other) == ["succeeded"]).then_some(id)
            }
            _ => None,
        });
        match sure {
            Some(id) => format!(
                "`{}` has succeeded whenever this is asked, since the steps between the two are skipped otherwise; to ask in any case, write `always() && …`",
                show(id)
            ),
            None => "mend the condition, or leave the step out".to_owned(),
        }
    }
}

/// The values of an input, where there are few.
fn choices(input: &InputDecl) -> Option<Vec<Value>> {
    if !input.required && input.default.is_none() {
        return None;
    }
    match input.value_type {
        ValueType::Boolean => Some(vec![Value::Bool(true), Value::Bool(false)]),
        ValueType::String if (1..=CHOICES).contains(&input.choices.len()) => Some(input.choices.clone()),
        _ => None,
    }
}
