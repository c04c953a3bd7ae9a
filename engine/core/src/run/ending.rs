//! How a run comes to its end: what follows from its state alone, in the order of an ending. Never knows
//! what started or stopped an attempt.

use indexmap::IndexMap;

use super::call;
use super::event::{EndingCause, Fact, Outcome};
use super::rollback::Compensation;
use super::scope::ArtifactPaths;
use super::state::{Phase, Progress, RunState};
use crate::definition::{OnFailure, Part, RollbackPolicy};
use crate::limits;

/// The next fact about the run as a whole that its state calls for; `None` when it calls for none.
pub(super) fn advance(run: &RunState, paths: &ArtifactPaths) -> Option<Fact> {
    match run.phase {
        // A rollback that was withdrawn before it began.
        Phase::Queued if run.rollback.as_ref().is_some_and(Compensation::is_abandoned) => {
            Some(finishing(run, run.rollback_asked.unwrap_or_else(|| outcome(run)), paths))
        }
        Phase::Queued if run.rollback_asked.is_none() && run.ending.is_some() && run.open_main == 0 => {
            Some(finishing(run, outcome(run), paths))
        }
        Phase::Running => running(run, paths),
        Phase::RollingBack(otherwise) => {
            run.rollback.as_ref().filter(|rollback| rollback.is_over())?;
            // What was skipped, abandoned or left out is still there.
            let whole = run.to_compensate(false).is_empty();
            Some(finishing(run, if whole { Outcome::RolledBack } else { otherwise }, paths))
        }
        Phase::Finishing(outcome) if run.open_finally == 0 => {
            let failed = run.steps().any(|(_, step, state)| {
                step.part == Part::Finally && state.progress == Progress::Failed && !step.allow_failure
            });
            let outcome = if failed { Outcome::Failed } else { outcome };
            Some(Fact::Finished { outcome })
        }
        Phase::Queued | Phase::Finishing(_) | Phase::Terminal(_) => None,
    }
}

fn running(run: &RunState, paths: &ArtifactPaths) -> Option<Fact> {
    if let (Some(step), None) = (run.first_failure, &run.ending) {
        match run.pinned.runbook.on_failure {
            OnFailure::Stop => {
                return Some(Fact::Ending { cause: EndingCause::FailureStop(step) });
            }
            OnFailure::Cancel => {
                return Some(Fact::Ending { cause: EndingCause::FailureCancel(step) });
            }
            OnFailure::Continue => {}
        }
    }
    if run.open_main > 0 {
        return None;
    }
    if let Some(outcome) = run.rollback_asked {
        // What succeeded is undone for the run above, and is not what it was where that is not done to its end.
        let outcome = if outcome == Outcome::Succeeded { Outcome::Failed } else { outcome };
        return Some(Fact::RollingBack { outcome, steps: run.to_compensate(false) });
    }
    let finishing = finishing(run, outcome(run), paths);
    if let Fact::Finishing { outcome, .. } = &finishing
        && *outcome != Outcome::Succeeded
        && run.pinned.runbook.rollback.policy == RollbackPolicy::Automatic
    {
        let steps = run.to_compensate(true);
        if !steps.is_empty() {
            return Some(Fact::RollingBack { outcome: *outcome, steps });
        }
        if is_undone_below(run) {
            let (outputs, message) = (IndexMap::new(), String::new());
            return Some(Fact::Finishing { outcome: Outcome::RolledBack, outputs, message });
        }
    }
    Some(finishing)
}

/// Whether what its steps did was rolled back by child runs of theirs, and nothing else is to be compensated.
fn is_undone_below(run: &RunState) -> bool {
    run.steps().any(|(_, step, state)| step.part == Part::Main && state.undone_below)
        && run.to_compensate(false).is_empty()
}

/// The outcome, and the outputs of the runbook where it is success: without them it is a failure.
fn finishing(run: &RunState, outcome: Outcome, paths: &ArtifactPaths) -> Fact {
    let none = IndexMap::new;
    match outcome {
        // What a dry run would leave is not there.
        Outcome::Succeeded if run.is_dry() => Fact::Finishing { outcome, outputs: none(), message: String::new() },
        Outcome::Succeeded => match call::outputs(run, paths) {
            Ok(outputs) => Fact::Finishing { outcome, outputs, message: String::new() },
            Err(message) => {
                Fact::Finishing { outcome: Outcome::Failed, outputs: none(), message: limits::fit(message) }
            }
        },
        outcome => Fact::Finishing { outcome, outputs: none(), message: String::new() },
    }
}

/// How the run ends if nothing is compensated and `finally` succeeds.
fn outcome(run: &RunState) -> Outcome {
    match &run.ending {
        Some(EndingCause::Cancel { .. }) => Outcome::Canceled,
        Some(
            EndingCause::Timeout
            | EndingCause::Deadlock { .. }
            | EndingCause::FailureCancel(_)
            | EndingCause::FailureStop(_),
        ) => Outcome::Failed,
        None if run.first_failure.is_some() => Outcome::Failed,
        None => Outcome::Succeeded,
    }
}
