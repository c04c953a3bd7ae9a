//! Rehearsal: a run lived through in virtual time, by the engine's own [`Machine`](crate::machine::Machine), with ends
//! of attempts that a script tells. Everything that is decided is decided by the engine; only what a shim would
//! report is made up here. Nothing is started, nothing is kept, and no clock is read.

mod coverage;
mod drive;
mod expect;
mod script;
mod world;

pub use coverage::{Coverage, Mark};
pub use drive::{Setting, every_failure, rehearse};
pub use expect::Expectation;
pub use script::{Answer, Cancel, End, Script, StepScript, When};

use crate::definition::Part;
use crate::id::StepNo;
use crate::limits;
use crate::run::view::{RunStatus, StepStatus};
use crate::run::{AttemptKind, Event, Fact, Outcome, Rejection, RunState, Then};
use crate::time::Span;

/// A run that was lived through.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Where the run stands in the end.
    pub state: RunState,
    /// All that happened, from `Created` on; virtual time.
    pub events: Vec<Event>,
    /// The daemon crashed after these events were durable, and took the run up again from the journal.
    pub crashes: Vec<u64>,
    /// What the script asked for and the engine refused, in words.
    pub refused: Vec<String>,
    /// What the script tells and the run never came to, in words.
    pub unreached: Vec<String>,
    /// Steps that ran and whose duration nobody knows: one second was taken.
    pub guessed: Vec<StepNo>,
}

/// Why a rehearsal has no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// The engine refuses the start.
    #[error("{0}")]
    Start(Rejection),
    /// It goes on and on.
    #[error(
        "after {} events there is no end; a smaller `retry.attempts` or fewer steps can be rehearsed",
        limits::REHEARSAL_EVENTS
    )]
    TooLong,
    /// The engine contradicts itself.
    #[error("the engine took the run out of service: {0}")]
    Quarantined(String),
}

impl Rehearsal {
    /// Where the run stands in the end: a terminal status, or `attention` where a person has to go on.
    pub fn status(&self) -> RunStatus {
        self.state.status()
    }

    /// How long it took from its creation to its latest event.
    pub fn took(&self) -> Span {
        self.state.last_at() - self.state.created_at()
    }

    /// The steps whose compensation succeeded, in the order in which it did.
    pub fn compensated(&self) -> Vec<StepNo> {
        let ended = self.events.iter().filter_map(|event| match &event.fact {
            Fact::AttemptEnded { step, then: Then::RolledBack, .. } => Some(*step),
            Fact::Resolved { step, .. } => Some(*step),
            _ => None,
        });
        let mut steps: Vec<StepNo> = Vec::new();
        for step in ended.filter(|step| self.state.step_status(*step) == StepStatus::RolledBack) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps
    }

    /// The steps that did not succeed, and are not compensated either, with what became of them.
    pub fn undone(&self) -> impl Iterator<Item = (StepNo, StepStatus)> {
        self.state.steps().map(|(no, _, _)| (no, self.state.step_status(no))).filter(|(_, status)| match status {
            StepStatus::Succeeded | StepStatus::RolledBack => false,
            StepStatus::Pending
            | StepStatus::Running
            | StepStatus::Retrying
            | StepStatus::Waiting
            | StepStatus::Unknown
            | StepStatus::Failed
            | StepStatus::Skipped
            | StepStatus::Canceled
            | StepStatus::RollingBack
            | StepStatus::RollbackFailed => true,
        })
    }

    /// What stays of a run that did not succeed: main steps that changed something and succeeded, or could not be
    /// rolled back.
    pub fn remains(&self) -> Vec<StepNo> {
        if self.status() == RunStatus::Terminal(Outcome::Succeeded) {
            return Vec::new();
        }
        let changed = self.state.steps().filter(|(no, step, _)| {
            let status = self.state.step_status(*no);
            let is_there = matches!(status, StepStatus::Succeeded | StepStatus::RollbackFailed);
            step.part == Part::Main && !step.effect.repeatable() && is_there
        });
        changed.map(|(no, _, _)| no).collect()
    }

    /// How often a step itself was tried.
    pub fn tries(&self, step: StepNo) -> u32 {
        let tries = self.events.iter().filter(
            |event| matches!(event.fact, Fact::AttemptStarting { step: of, kind: AttemptKind::Run, .. } if of == step),
        );
        u32::try_from(tries.count()).unwrap_or(u32::MAX)
    }

    /// The id of a step.
    pub fn id(&self, step: StepNo) -> &str {
        self.state.pinned().runbook.step(step).map_or("", |step| step.id.as_str())
    }
}

#[cfg(test)]
mod tests;
