//! Breaks the engine on purpose, from outside: between the machine and the world stands somebody who is not honest.
//! Proves that the checkers object.

use runbook_core::definition::Runbook;
use runbook_core::id::StepNo;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The engine sees definitions in which one need of each step is missing.
    NeedIgnored,
    /// The engine's word about when to call it again is withheld, once a retry is due.
    RetryLost,
    /// An attempt is started twice.
    DoubleStart,
    /// What a batch says is done before the batch is durable.
    ActBeforeFlush,
    /// Stops do not reach the attempts' processes.
    StopLost,
    /// An accepted cancel is not made durable with its batch.
    CancelForgotten,
    /// The locks of a run that is over stay taken.
    LockKept,
    /// One event more than what happened is made durable.
    HistoryAltered,
}

impl Sabotage {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::NeedIgnored,
        Self::RetryLost,
        Self::DoubleStart,
        Self::ActBeforeFlush,
        Self::StopLost,
        Self::CancelForgotten,
        Self::LockKept,
        Self::HistoryAltered,
    ];
}

/// The definition that the engine sees.
pub(super) fn seen(runbook: &Runbook, sabotage: Option<Sabotage>) -> Runbook {
    let mut seen = runbook.clone();
    if sabotage == Some(Sabotage::NeedIgnored) {
        for step in &mut seen.steps {
            let ignored: Option<StepNo> = step.needs.pop();
            if let (Some(ignored), Some(condition)) = (ignored, &mut step.condition) {
                condition.lifts.retain(|lifted| *lifted != ignored);
            }
        }
    }
    seen
}
