//! What a rollback changes in a run's state: a part of `apply`. Holds no policy.

use std::sync::Arc;

use super::event::{AttemptKind, Outcome};
use super::rollback::Compensation;
use super::state::{Phase, Progress, RunState, StepState};
use crate::definition::{Part, Settlement};
use crate::id::StepNo;
use crate::time::Timestamp;

impl RunState {
    /// A run that is over waits to be rolled back; its `finally` runs once more after that.
    pub(super) fn open_for_rollback(&mut self, outcome: Outcome) {
        self.phase = Phase::Queued;
        self.rollback_asked = Some(outcome);
        self.rollback = None;
        self.admitted_at = None;
        self.finished_at = None;
        self.deadline = None;
        let pinned = Arc::clone(&self.pinned);
        for (state, step) in self.steps.iter_mut().zip(&pinned.runbook.steps) {
            if step.part == Part::Finally {
                let unmet = u32::try_from(step.needs.len()).unwrap_or(u32::MAX);
                // What it undid in this epoch stays undone.
                let StepState { attempts, ran, child, children, left, .. } = *state;
                *state = StepState { attempts, ran, child, children, left, unmet, ..StepState::default() };
                self.open_finally += 1;
            }
        }
    }

    /// Nothing more is compensated. One that did not even begin needs no `finally`.
    pub(super) fn abandon_rollback(&mut self, at: Timestamp) {
        if self.phase == Phase::Queued {
            self.rollback = Some(Compensation::withdrawn());
            self.skip_finally(at);
            return;
        }
        let waiting: Vec<StepNo> =
            self.timed.iter().map(|(_, step)| *step).chain(self.withheld.iter().copied()).collect();
        for step in waiting {
            self.set(step, Progress::RollbackFailed);
        }
        let steps = &self.steps;
        let is_open = |no: StepNo| match steps.get(no.index()).map(|state| state.progress) {
            Some(Progress::Live(_, AttemptKind::Rollback) | Progress::ChildRollback | Progress::Unknown { .. }) => true,
            Some(_) | None => false,
        };
        self.locking.retain(|step, _| is_open(*step));
        self.let_go.retain(|step| is_open(*step));
        if let Some(rollback) = &mut self.rollback {
            rollback.abandon(is_open);
        }
    }

    /// A failed compensation is settled by a person.
    pub(super) fn settle_compensation(&mut self, at: Timestamp, step: StepNo, settlement: Settlement, reason: &str) {
        if let Some(state) = self.steps.get_mut(step.index()) {
            reason.clone_into(&mut state.message);
            state.side_tries = 0;
        }
        match settlement {
            Settlement::Retry => {
                if let Some(rollback) = &mut self.rollback {
                    rollback.retry(step);
                }
                self.set(step, Progress::RollbackRetry(at));
            }
            Settlement::Succeeded => self.close_compensation(step, true, at),
            Settlement::Skipped | Settlement::Failed => self.close_compensation(step, false, at),
        }
    }

    /// What a step did is compensated, or stays as it is for good.
    pub(super) fn close_compensation(&mut self, step: StepNo, done: bool, at: Timestamp) {
        self.drop_locks(step);
        if done {
            self.set(step, Progress::RolledBack);
            if let Some(state) = self.steps.get_mut(step.index()) {
                state.ran = false;
                state.ended_at = Some(at);
            }
        }
        let pinned = Arc::clone(&self.pinned);
        if let Some(rollback) = &mut self.rollback {
            rollback.settle(step, &pinned, &self.steps);
        }
    }
}
