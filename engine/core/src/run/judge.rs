//! Whether a step whose needs are all terminal runs, is skipped, or fails at its `if`; and what begins when it runs.
//! Never knows attempts.

use super::dry;
use super::event::{Fact, SkipReason};
use super::names;
use super::scope::RunScope;
use super::state::RunState;
use crate::definition::{Step, Wait, Work, key_in};
use crate::expression::{Expression, Template};
use crate::id::StepNo;
use crate::limits;
use crate::time::Timestamp;

/// Judges a step that no open need holds.
pub(super) fn judge(run: &RunState, no: StepNo, now: Timestamp) -> Option<Fact> {
    let step = run.pinned.runbook.step(no)?;
    let unmet = step.needs.iter().find(|need| step.implies(**need) && !run.is_met(**need));
    if let Some(need) = unmet {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::Need(*need) });
    }
    if run.is_left_out(no) {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::LeftOut });
    }
    let has_run = |undone: &StepNo| run.step(*undone).is_some_and(|state| state.ran);
    if !step.undoes.is_empty() && !step.undoes.iter().any(has_run) {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::NothingToUndo });
    }
    let Some(condition) = &step.condition else {
        return Some(begin(run, no, step, now));
    };
    let unasked = run.is_dry().then(|| dry::unasked(run, &condition.expression)).flatten();
    if let Some(would) = unasked {
        return Some(Fact::StepSkipped { step: no, why: SkipReason::DryRun { would } });
    }
    Some(match holds(run, no, &condition.expression) {
        Ok(true) => begin(run, no, step, now),
        Ok(false) => Fact::StepSkipped { step: no, why: SkipReason::Condition },
        Err(message) => Fact::StepFailed { step: no, message: format!("if: {message}") },
    })
}

/// What becomes of a step that may run: one with a command waits for a place, one that starts a child run does so.
fn begin(run: &RunState, no: StepNo, step: &Step, now: Timestamp) -> Fact {
    let render = |what: &str, text: &str| -> Result<String, String> {
        let template = Template::parse(text)
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
        let scope = RunScope { run, step: Some(no), exit_code: None, written: None };
        template.render_text(&scope).map_err(|error| format!("{what}: {error}"))
    };
    let failed = |message: String| Fact::StepFailed { step: no, message: limits::fit(message) };
    if let Some(would) = run.is_dry().then(|| dry::instead(run, no, step)).flatten() {
        return Fact::StepSkipped { step: no, why: SkipReason::DryRun { would } };
    }
    match &step.work {
        Work::Command(_) | Work::Runbook(_) | Work::Block(_) => {
            // What changes nothing excludes nobody.
            let names = step.locks.iter().filter(|_| !run.is_dry()).map(|text| {
                let name = render("locks", text)?;
                names::is_lock(&name).map_err(|problem| format!("locks: {problem}"))?;
                Ok(key_in(run.pinned.runbook.environment_name(), &name))
            });
            match names.collect::<Result<Vec<String>, String>>() {
                Ok(mut locks) => {
                    locks.sort();
                    locks.dedup();
                    Fact::StepReady { step: no, locks }
                }
                Err(problem) => failed(problem),
            }
        }
        Work::Fail(message) => failed(render("message", message).unwrap_or_else(|problem| problem)),
        Work::Approval(approval) => match render("message", &approval.message) {
            Ok(mut message) => {
                message.truncate(message.floor_char_boundary(limits::APPROVAL_BYTES));
                Fact::ApprovalAsked { step: no, message, until: approval.timeout.map(|timeout| now + timeout) }
            }
            Err(problem) => failed(problem),
        },
        Work::Wait(wait) => match &**wait {
            Wait::For(length) => Fact::WaitBegan { step: no, until: now + *length, fixed: false },
            Wait::Probe(probe) => Fact::WaitBegan { step: no, until: now + probe.within, fixed: false },
            Wait::Until(text) => match render("until", text) {
                Ok(time) => match time.trim().parse() {
                    Ok(until) => Fact::WaitBegan { step: no, until, fixed: true },
                    Err(fault) => failed(format!("until: {fault}")),
                },
                Err(problem) => failed(problem),
            },
        },
    }
}

fn holds(run: &RunState, no: StepNo, expression: &str) -> Result<bool, String> {
    let scope = RunScope { run, step: Some(no), exit_code: None, written: None };
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
