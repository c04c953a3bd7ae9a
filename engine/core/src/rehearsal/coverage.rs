//! What rehearsals of a runbook came to, and what no rehearsal has seen: steps, both sides of each `if`, and what
//! tidies up or asks after an accident.

use std::collections::BTreeSet;

use super::Rehearsal;
use crate::definition::{RollbackPolicy, Runbook, Work};
use crate::id::StepNo;
use crate::run::{AttemptKind, Fact, SkipReason};

/// Something that a rehearsal can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The step itself ran.
    Ran(StepNo),
    /// Its `if` was true.
    Held(StepNo),
    /// Its `if` was false.
    NotHeld(StepNo),
    /// Its `verify` was asked.
    Verified(StepNo),
    /// Its `on_cancel` ran.
    TidiedUp(StepNo),
    /// Its `rollback` ran.
    RolledBack(StepNo),
}

impl Mark {
    /// In words, with the step's id.
    pub fn text(self, runbook: &Runbook) -> String {
        let id = |step: StepNo| runbook.step(step).map_or("", |step| step.id.as_str());
        match self {
            Self::Ran(step) => format!("step {} runs", id(step)),
            Self::Held(step) => format!("the `if` of {} is true", id(step)),
            Self::NotHeld(step) => format!("the `if` of {} is false", id(step)),
            Self::Verified(step) => format!("the `verify` of {} is asked", id(step)),
            Self::TidiedUp(step) => format!("the `on_cancel` of {} runs", id(step)),
            Self::RolledBack(step) => format!("the `rollback` of {} runs", id(step)),
        }
    }
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    seen: BTreeSet<Mark>,
}

impl Coverage {
    /// Everything that rehearsals of a runbook can come to, in groups: `steps`, `branches`, `compensations`.
    pub fn all(runbook: &Runbook) -> [(&'static str, Vec<Mark>); 3] {
        let (mut steps, mut branches, mut compensations) = (Vec::new(), Vec::new(), Vec::new());
        for (index, step) in runbook.steps.iter().enumerate() {
            let no = StepNo(index as u32);
            steps.push(Mark::Ran(no));
            if step.condition.is_some() {
                branches.extend([Mark::Held(no), Mark::NotHeld(no)]);
            }
            if step.verify.is_some() && !step.effect.repeatable() {
                compensations.push(Mark::Verified(no));
            }
            if step.on_cancel.is_some() {
                compensations.push(Mark::TidiedUp(no));
            }
            // By hand is not rehearsed.
            if step.rollback.is_some() && runbook.rollback.policy == RollbackPolicy::Automatic {
                compensations.push(Mark::RolledBack(no));
            }
        }
        [("steps", steps), ("branches", branches), ("compensations", compensations)]
    }

    /// Takes in what a rehearsal came to.
    pub fn add(&mut self, rehearsal: &Rehearsal) {
        let own = rehearsal.events.iter().filter(|(run, _)| *run == rehearsal.state.uid());
        for (_, event) in own {
            self.seen.extend(marks(&rehearsal.state.pinned().runbook, &event.fact));
        }
    }

    /// Whether a rehearsal came to it.
    pub fn has(&self, mark: Mark) -> bool {
        self.seen.contains(&mark)
    }
}

fn marks(runbook: &Runbook, fact: &Fact) -> Vec<Mark> {
    match fact {
        Fact::StepReady { step, .. } => vec![Mark::Held(*step)],
        Fact::StepSkipped { step, why: SkipReason::Condition } => vec![Mark::NotHeld(*step)],
        // A step of its own kind is at work as soon as its `if` is true.
        Fact::WaitBegan { step, .. } | Fact::ApprovalAsked { step, .. } => vec![Mark::Held(*step), Mark::Ran(*step)],
        Fact::StepFailed { step, .. } => match runbook.step(*step).map(|step| &step.work) {
            Some(Work::Fail(_)) => vec![Mark::Held(*step), Mark::Ran(*step)],
            Some(Work::Command(_) | Work::Wait(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_)) | None => {
                Vec::new()
            }
        },
        Fact::AttemptStarting { step, kind: AttemptKind::Run, .. } | Fact::ChildStarting { step, .. } => {
            vec![Mark::Ran(*step)]
        }
        Fact::AttemptStarting { step, kind: AttemptKind::Verify, .. } => vec![Mark::Verified(*step)],
        Fact::AttemptStarting { step, kind: AttemptKind::OnCancel, .. } => vec![Mark::TidiedUp(*step)],
        Fact::AttemptStarting { step, kind: AttemptKind::Rollback, .. } => vec![Mark::RolledBack(*step)],
        Fact::StepSkipped {
            why: SkipReason::Need(_) | SkipReason::NothingToUndo | SkipReason::DryRun { .. } | SkipReason::LeftOut,
            ..
        }
        | Fact::Created(_)
        | Fact::Admitted { .. }
        | Fact::WaitEnded { .. }
        | Fact::ApprovalGiven { .. }
        | Fact::StartDecided { .. }
        | Fact::ApprovalTimedOut { .. }
        | Fact::AttemptEnded { .. }
        | Fact::ChildEnded { .. }
        | Fact::ChildWaits { .. }
        | Fact::ChildRollingBack { .. }
        | Fact::Ending { .. }
        | Fact::RollingBack { .. }
        | Fact::RollbackAsked { .. }
        | Fact::RollbackAbandoned { .. }
        | Fact::Finishing { .. }
        | Fact::Finished { .. }
        | Fact::Resumed { .. }
        | Fact::Resolved { .. }
        | Fact::RepeatEnded { .. }
        | Fact::Paused { .. }
        | Fact::LocksReleased { .. }
        | Fact::Withheld { .. }
        | Fact::Provided { .. }
        | Fact::Continued { .. }
        | Fact::Due
        | Fact::DeadlinesShifted { .. } => Vec::new(),
    }
}
