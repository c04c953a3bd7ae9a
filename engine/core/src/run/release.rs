//! Locks of a step that a person has it give up: when that may be, and what it does to the state. Never knows who waits for
//! them.

use super::event::{Fact, Principal};
use super::rejection::Rejection;
use super::state::{Progress, RunState};
use crate::id::StepNo;

impl RunState {
    /// A step gives its locks up, and has to get them again; a part of `apply`.
    pub(super) fn let_locks_go(&mut self, step: StepNo) {
        self.locking.remove(&step);
        self.let_go.insert(step);
    }

    /// A step is done with its locks; a part of `apply`.
    pub(super) fn drop_locks(&mut self, step: StepNo) {
        self.locking.remove(&step);
        self.let_go.remove(&step);
    }

    /// Whether a step gave its locks up by a person's word, and has not got them again.
    pub fn has_let_go(&self, step: StepNo) -> bool {
        self.let_go.contains(&step)
    }
}

/// Has a step give its locks up.
pub(super) fn release(
    run: &RunState,
    step: Option<StepNo>,
    name: String,
    by: Principal,
    reason: String,
) -> Result<Vec<Fact>, Rejection> {
    let number = run.created.number;
    let Some(step) = step else {
        let why = format!(
            "a run has its own locks and its group until it is over: `runbook status {number}` shows what it waits for, \
             `runbook cancel {number}` ends it"
        );
        return Err(Rejection::LockInUse { name, holder: format!("run {number}"), why });
    };
    let Some((definition, state)) = run.pinned.runbook.step(step).zip(run.step(step)) else {
        return Err(Rejection::NoSuchStep { step: step.0.to_string(), hint: None });
    };
    let holder = format!("step {} of run {number}", definition.id);
    if !run.locking.contains_key(&step) || !state.locks.contains(&name) {
        return Err(Rejection::LockNotHeld { name });
    }
    let look = format!("`runbook status {number}` shows it");
    let why = match state.progress {
        Progress::Live(attempt, _) => format!(
            "its attempt {} may be at work: {look}; wait for its end, or end it with `runbook cancel {number}`",
            attempt.0
        ),
        Progress::Unknown { processes_left: true } => {
            format!("processes of it are left that could not be killed: {look}; end them first")
        }
        Progress::Child | Progress::ChildRollback => format!(
            "what it started is on: {look}; settle what waits there with `runbook resolve`, or end it with `runbook cancel {number}`"
        ),
        Progress::Retry(_)
        | Progress::Verify(_)
        | Progress::OnCancel(_)
        | Progress::RollbackRetry(_)
        | Progress::Unknown { processes_left: false }
        | Progress::Withheld(_)
        | Progress::RollbackFailed
        | Progress::Pending
        | Progress::Ready
        | Progress::Waiting { .. }
        | Progress::Asking { .. }
        | Progress::Succeeded
        | Progress::Failed
        | Progress::Skipped
        | Progress::Canceled
        | Progress::RolledBack => return Ok(vec![Fact::LocksReleased { step, by, reason }]),
    };
    Err(Rejection::LockInUse { name, holder, why })
}
