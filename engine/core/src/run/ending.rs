//! How a run comes to its end: what follows from its state alone, in the order of an ending. Never knows
//! what started or stopped an attempt.

use super::event::{EndingCause, Fact, Outcome};
use super::state::{Phase, Progress, RunState};
use crate::definition::{OnFailure, Part};

/// The next fact about the run as a whole that its state calls for; `None` when it calls for none.
pub(super) fn advance(run: &RunState) -> Option<Fact> {
    match run.phase {
        Phase::Queued if run.ending.is_some() && run.open_main == 0 => Some(Fact::Finishing { outcome: outcome(run) }),
        Phase::Running => running(run),
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

fn running(run: &RunState) -> Option<Fact> {
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
    (run.open_main == 0).then(|| Fact::Finishing { outcome: outcome(run) })
}

/// How the run ends if `finally` succeeds.
fn outcome(run: &RunState) -> Outcome {
    match &run.ending {
        Some(EndingCause::Cancel { .. }) => Outcome::Canceled,
        Some(EndingCause::Timeout | EndingCause::FailureCancel(_) | EndingCause::FailureStop(_)) => Outcome::Failed,
        None if run.first_failure.is_some() => Outcome::Failed,
        None => Outcome::Succeeded,
    }
}
