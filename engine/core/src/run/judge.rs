//! Whether a step whose needs are all terminal runs, is skipped, or fails at its `if`. Never knows attempts.

use super::event::{Fact, SkipReason};
use super::scope::RunScope;
use super::state::RunState;
use crate::expression::Expression;
use crate::id::StepNo;

/// Judges a step that no open need holds.
pub(super) fn judge(run: &RunState, no: StepNo) -> Option<Fact> {
    let step = run.pinned.runbook.step(no)?;
    let unmet = step.needs.iter().find(|need| step.implies(**need) && !run.is_met(**need));
    if let Some(need) = unmet {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::Need(*need) });
    }
    let has_run = |undone: &StepNo| run.step(*undone).is_some_and(|state| state.ran);
    if !step.undoes.is_empty() && !step.undoes.iter().any(has_run) {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::NothingToUndo });
    }
    let Some(condition) = &step.condition else {
        return Some(Fact::StepReady { step: no });
    };
    Some(match holds(run, no, &condition.expression) {
        Ok(true) => Fact::StepReady { step: no },
        Ok(false) => Fact::StepSkipped { step: no, why: SkipReason::Condition },
        Err(message) => Fact::StepFailed { step: no, message: format!("if: {message}") },
    })
}

fn holds(run: &RunState, no: StepNo, expression: &str) -> Result<bool, String> {
    let scope = RunScope { run, step: Some(no), exit_code: None };
    evaluate_bool(expression, &scope)
}

/// Evaluates a condition of a checked definition.
///
/// # Errors
/// In words: it cannot be evaluated, or is neither true nor false.
pub(super) fn evaluate_bool(expression: &str, scope: &RunScope<'_>) -> Result<bool, String> {
    let parsed = Expression::parse(expression)
        .map_err(|faults| faults.into_iter().map(|f| f.message).collect::<Vec<_>>().join("; "))?;
    // The error holds the author's text and never a value, which might be secret.
    parsed.holds(scope).map_err(|error| error.to_string())
}
