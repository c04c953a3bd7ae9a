//! What the start and the end of an attempt do to a run's state; a part of `apply`. Holds no policy.

use super::event::{AttemptEnd, AttemptKind, How, NotStarted, Then};
use super::state::{Attempt, Progress, RunState};
use crate::definition::Part;
use crate::id::{AttemptNo, StepNo};
use crate::time::Timestamp;

impl RunState {
    pub(super) fn attempt_starting(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: AttemptNo,
        kind: AttemptKind,
    ) -> Result<(), String> {
        let part = self.part(step);
        let is_ready = self.ready.contains(step, self.pool(step));
        let Some(state) = self.steps.get_mut(step.index()) else {
            return Err("no such step".to_owned());
        };
        if attempt.0 != state.attempts + 1 {
            return Err(format!("the latest attempt is {}", state.attempts));
        }
        let first_try = kind == AttemptKind::Rollback
            && self.rollback.as_ref().is_some_and(|rollback| rollback.may_start(step, state.ended_at));
        let fits = match state.progress {
            Progress::RollbackRetry(_) => kind == AttemptKind::Rollback,
            Progress::Pending => kind == AttemptKind::Run && is_ready,
            Progress::Ready | Progress::Retry(_) => kind == AttemptKind::Run,
            Progress::Verify(_) => kind == AttemptKind::Verify,
            Progress::OnCancel(_) => kind == AttemptKind::OnCancel,
            Progress::Live(..)
            | Progress::Waiting { .. }
            | Progress::Asking { .. }
            | Progress::Child
            | Progress::ChildRollback
            | Progress::Unknown { .. }
            | Progress::Withheld(_)
            | Progress::RolledBack => false,
            Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled
            | Progress::RollbackFailed => first_try,
        };
        if !fits {
            return Err(format!("step {} is {}", step.0, state.progress.name()));
        }
        state.attempts = attempt.0;
        state.last_kind = Some(kind);
        state.started_at.get_or_insert(at);
        if kind == AttemptKind::Run {
            state.last_run = Some(attempt);
            state.side_tries = 0;
            if part == Part::Main {
                self.run_live_main += 1;
            }
        }
        if first_try {
            state.side_tries = 0;
            if let Some(rollback) = &mut self.rollback {
                rollback.start(step, state.ended_at);
            }
        }
        self.not_ready(step);
        self.take_locks(step, at);
        let progress = Progress::Live(attempt, kind);
        self.set(step, progress);
        self.live.insert(step, Attempt { number: attempt, kind, since: at });
        self.count_place(step, true);
        Ok(())
    }

    pub(super) fn attempt_ended(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: AttemptNo,
        end: &AttemptEnd,
        then: Then,
    ) -> Result<(), String> {
        // An attempt whose processes were left ends twice, and counts once.
        let counted = matches!(self.progress(step), Progress::Unknown { .. });
        let kind = match self.progress(step) {
            Progress::Live(live, kind) if live == attempt => kind,
            Progress::Unknown { processes_left: true }
                if self.steps.get(step.index()).is_some_and(|s| s.attempts == attempt.0) =>
            {
                self.steps.get(step.index()).and_then(|state| state.last_kind).unwrap_or(AttemptKind::Run)
            }
            _ => return Err(format!("attempt {} of step {} is not live", attempt.0, step.0)),
        };
        self.give_place_back(step, kind);
        self.unknown.remove(&step);
        let Some(state) = self.steps.get_mut(step.index()) else {
            return Err("no such step".to_owned());
        };
        state.message.clone_from(&end.message);
        match kind {
            AttemptKind::Run => {
                if let How::NotStarted(NotStarted::Errno(_) | NotStarted::Fenced) = end.how {
                    state.false_starts += 1;
                } else if !counted {
                    state.false_starts = 0;
                    state.tries += 1;
                }
                state.exit_code = match end.how {
                    How::Exited(code) => Some(code),
                    How::NotStarted(_) | How::CutOff(_) | How::Lost { .. } => None,
                };
                state.ran |= !matches!(end.how, How::NotStarted(_));
                state.attempt_outputs.clone_from(&end.outputs);
                state.artifacts.clone_from(&end.artifacts);
                state.side_tries = 0;
            }
            AttemptKind::Verify | AttemptKind::OnCancel | AttemptKind::Rollback => {
                // From `on_cancel` to `verify` the count begins again.
                let same = matches!(
                    (kind, then),
                    (AttemptKind::Verify, Then::VerifyAt(_))
                        | (AttemptKind::OnCancel, Then::OnCancelAt(_))
                        | (AttemptKind::Rollback, Then::RollbackAt(_))
                );
                // With processes left, this try has not come to its end.
                let open = end.how == How::Lost { processes_left: true };
                state.side_tries = match (same, open) {
                    (true, _) => state.side_tries + 1,
                    (false, true) => state.side_tries,
                    (false, false) => 0,
                };
            }
        }
        match then {
            Then::Succeeded => {
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.outputs.clone_from(&end.outputs);
                }
                self.close(step, Progress::Succeeded, at);
            }
            Then::Failed => self.close(step, Progress::Failed, at),
            Then::Canceled => self.close(step, Progress::Canceled, at),
            Then::RetryAt(when) => self.set(step, Progress::Retry(when)),
            Then::VerifyAt(when) => self.set(step, Progress::Verify(when)),
            Then::OnCancelAt(when) => self.set(step, Progress::OnCancel(when)),
            Then::RollbackAt(when) => self.set(step, Progress::RollbackRetry(when)),
            Then::RolledBack => self.close_compensation(step, true, at),
            Then::RollbackFailed => {
                self.set(step, Progress::RollbackFailed);
                if let Some(rollback) = &mut self.rollback {
                    rollback.fail(step);
                    // One that waits for a person keeps its locks: nobody knows what is left of it.
                    if rollback.is_abandoned() {
                        self.drop_locks(step);
                    }
                }
            }
            Then::Unknown => {
                let processes_left = end.how == How::Lost { processes_left: true };
                self.set(step, Progress::Unknown { processes_left });
                self.unknown.insert(step, at);
            }
        }
        Ok(())
    }

    /// An attempt is live no longer, if it was.
    pub(super) fn give_place_back(&mut self, step: StepNo, kind: AttemptKind) {
        if self.live.remove(&step).is_some() {
            self.count_place(step, false);
            if kind == AttemptKind::Run && self.part(step) == Part::Main {
                self.run_live_main = self.run_live_main.saturating_sub(1);
            }
        }
    }
}
