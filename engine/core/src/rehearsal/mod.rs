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

use crate::definition::{Part, step_path};
use std::collections::BTreeMap;

use crate::id::{RunUid, StepNo};
use crate::limits;
use crate::run::view::{RunStatus, StepStatus};
use crate::run::{AttemptKind, Event, Fact, Outcome, Parent, Rejection, RunState, Then};
use crate::time::Span;

/// A run that was lived through.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Where the run stands in the end.
    pub state: RunState,
    /// Where the runs stand that its steps started, and those that they started.
    pub below: BTreeMap<RunUid, RunState>,
    /// All that happened, from `Created` on, each with the run that it happened to; virtual time.
    pub events: Vec<(RunUid, Event)>,
    /// The daemon crashed after so many of the events were durable, and took the runs up again from the journal.
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
        let own = self.events.iter().filter(|(run, _)| *run == self.state.uid());
        let ended = own.filter_map(|(_, event)| match &event.fact {
            Fact::AttemptEnded { step, then: Then::RolledBack, .. }
            | Fact::ChildEnded { step, then: Then::RolledBack, .. } => Some(*step),
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

    /// What stays of a run that did not succeed: main steps that changed something and succeeded, or could not be rolled
    /// back, as paths. Of a step that started a run and did not succeed, what stays of that.
    pub fn remains(&self) -> Vec<String> {
        if self.status() == RunStatus::Terminal(Outcome::Succeeded) {
            return Vec::new();
        }
        std::iter::once(&self.state).chain(self.below.values()).flat_map(|run| self.remains_of(run)).collect()
    }

    fn remains_of(&self, run: &RunState) -> Vec<String> {
        // What succeeded as a whole, or was rolled back as one, is told as a whole.
        let whole = |status| matches!(status, StepStatus::Succeeded | StepStatus::RolledBack);
        if self.chain(run).any(|(above, step)| whole(above.step_status(step))) {
            return Vec::new();
        }
        let changed = run.steps().filter(|(no, step, _)| {
            let is_there = matches!(run.step_status(*no), StepStatus::Succeeded | StepStatus::RollbackFailed);
            step.part == Part::Main && !step.effect.repeatable() && is_there
        });
        let path = self.path(run);
        changed.map(|(_, step, _)| step_path(&path, &step.id)).collect()
    }

    /// The runs above a run, each with the step that leads to it; the nearest first.
    fn chain<'a>(&'a self, run: &'a RunState) -> impl Iterator<Item = (&'a RunState, StepNo)> {
        let above = |parent: &Parent| {
            let run = if parent.run == self.state.uid() { Some(&self.state) } else { self.below.get(&parent.run) };
            Some((run?, parent.step))
        };
        std::iter::successors(run.parent().and_then(above), move |(run, _)| run.parent().and_then(above))
    }

    /// How steps of a run are named from the top: `a/` before those of the run that the step `a` started.
    pub fn path(&self, run: &RunState) -> String {
        let ids = self.chain(run).map(|(above, step)| format!("{}/", id(above, step)));
        ids.fold(String::new(), |path, above| step_path(&above, &path))
    }

    /// How often a step itself was tried.
    pub fn tries(&self, step: StepNo) -> u32 {
        let tries = self.events.iter().filter(|(run, event)| {
            *run == self.state.uid()
                && matches!(event.fact,
                Fact::AttemptStarting { step: of, kind: AttemptKind::Run, .. } | Fact::ChildStarting { step: of, .. }
                    if of == step)
        });
        u32::try_from(tries.count()).unwrap_or(u32::MAX)
    }

    /// The id of a step.
    pub fn id(&self, step: StepNo) -> &str {
        id(&self.state, step)
    }
}

fn id(run: &RunState, step: StepNo) -> &str {
    run.pinned().runbook.step(step).map_or("", |step| step.id.as_str())
}

#[cfg(test)]
mod tests;
