//! How a step goes from state to state, and what that opens for those that need it; a part of `apply`. Keeps the
//! indexes over the steps. Holds no policy.

use std::sync::Arc;

use super::event::AttemptKind;
use super::state::{Progress, RunState};
use crate::definition::{Part, Step, Work};
use crate::id::StepNo;
use crate::time::Timestamp;

impl RunState {
    /// Counts what is open and queues what has no open need, at creation and at each new epoch.
    pub(super) fn open_steps(&mut self) {
        let pinned = Arc::clone(&self.pinned);
        self.open_main = 0;
        self.open_finally = 0;
        let mut free = Vec::new();
        for (index, step) in pinned.runbook.steps.iter().enumerate() {
            let Some(state) = self.steps.get_mut(index) else { continue };
            state.unmet = u32::try_from(step.needs.len()).unwrap_or(u32::MAX);
            state.held = state.progress.is_terminal();
            match step.part {
                Part::Main if state.held => {}
                Part::Main => self.open_main += 1,
                Part::Finally => self.open_finally += 1,
            }
            if step.needs.is_empty() && step.part == Part::Main {
                free.push(StepNo(index as u32));
            }
        }
        self.no_open_need(free);
    }

    /// These have no open need any more: a pending one is queued, and one that was held by a need lets go of those that
    /// need it.
    pub(super) fn no_open_need(&mut self, mut free: Vec<StepNo>) {
        let pinned = Arc::clone(&self.pinned);
        while let Some(no) = free.pop() {
            match self.step(no) {
                Some(state) if state.progress == Progress::Pending => self.queue(no),
                Some(state) if state.held => {
                    let stands = pinned.runbook.step(no).is_none_or(|step| self.lacks_nothing(step));
                    if let Some(state) = self.steps.get_mut(no.index()) {
                        state.held = false;
                        state.shaken = !stands;
                    }
                    self.close_need(no, &mut free);
                }
                Some(_) | None => {}
            }
        }
    }

    /// A need of others is over; adds those that have no other open one to `free`.
    pub(super) fn close_need(&mut self, no: StepNo, free: &mut Vec<StepNo>) {
        let pinned = Arc::clone(&self.pinned);
        for dependant in pinned.dependants(no) {
            let Some(state) = self.steps.get_mut(dependant.index()) else { continue };
            state.unmet = state.unmet.saturating_sub(1);
            if state.unmet == 0 {
                free.push(*dependant);
            }
        }
    }

    /// Whether every need whose success is implied is met.
    pub(super) fn lacks_nothing(&self, step: &Step) -> bool {
        step.needs.iter().all(|need| !step.implies(*need) || self.is_met(*need))
    }

    /// A pending step has no open need: it may start, or somebody has to judge it.
    pub(super) fn queue(&mut self, no: StepNo) {
        let pinned = Arc::clone(&self.pinned);
        let Some(step) = pinned.runbook.step(no) else { return };
        if pinned.repeats() {
            // Iterations go one after the other, and are said to begin.
            return;
        }
        let plain = step.condition.is_none()
            && step.undoes.is_empty()
            && step.locks.is_empty()
            && (step.starts_run() || matches!(step.work, Work::Command(_)))
            && !self.is_dry()
            && !self.is_left_out(no)
            && !self.hold_before.contains(&no)
            && self.lacks_nothing(step);
        if plain {
            self.may_start(no);
        } else {
            self.to_judge.insert(no);
        }
    }

    /// A step waits for a place, or starts its child run at once.
    pub(super) fn may_start(&mut self, no: StepNo) {
        if self.needs_locks(no) {
            self.wanting.insert(no);
        }
        if self.pinned.runbook.step(no).is_some_and(Step::starts_run) {
            self.to_call.insert(no);
        } else {
            let pinned = Arc::clone(&self.pinned);
            self.ready.insert(no, pinned.runbook.step(no).and_then(|step| step.pool.as_deref()));
        }
    }

    /// A step starts, and has its locks from now on.
    pub(super) fn take_locks(&mut self, no: StepNo, at: Timestamp) {
        self.wanting.remove(&no);
        if self.needs_locks(no) {
            self.locking.insert(no, at);
            self.let_go.remove(&no);
        }
    }

    /// Whether every need that a step lacks was itself passed over.
    pub(super) fn needs_only_passed_over(&self, no: StepNo) -> bool {
        let Some(step) = self.pinned.runbook.step(no) else { return false };
        let mut implied = step.needs.iter().filter(|need| step.implies(**need));
        implied.all(|need| self.is_met(*need) || self.is_passed_over(*need))
    }

    pub(super) fn progress(&self, no: StepNo) -> Progress {
        self.steps.get(no.index()).map_or(Progress::Pending, |state| state.progress)
    }

    pub(super) fn part(&self, no: StepNo) -> Part {
        self.pinned.runbook.step(no).map_or(Part::Main, |step| step.part)
    }

    /// Moves a step to another state, keeping the indexes.
    pub(super) fn set(&mut self, step: StepNo, progress: Progress) {
        let probes = self.probes(step);
        let (before, after) = (Marks::of(self.progress(step), probes), Marks::of(progress, probes));
        if let Some(when) = before.timed {
            self.timed.remove(&(when, step));
        }
        if let Some(until) = before.waits {
            self.waits.remove(&(until, step));
        }
        if before.asks {
            self.asking.remove(&step);
        }
        if before.withheld {
            self.withheld.remove(&step);
            if let Some(state) = self.steps.get_mut(step.index()) {
                state.missing.clear();
            }
        }
        self.timed.extend(after.timed.map(|when| (when, step)));
        self.waits.extend(after.waits.map(|until| (until, step)));
        self.asking.extend(after.asks.then_some(step));
        self.withheld.extend(after.withheld.then_some(step));
        self.probing = self.probing.saturating_sub(before.probes.into()) + usize::from(after.probes);
        self.on = self.on.saturating_sub(before.on.into()) + usize::from(after.on);
        self.on_cancel_open =
            self.on_cancel_open.saturating_sub(before.on_cancel.into()) + usize::from(after.on_cancel);
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.progress = progress;
        }
    }

    /// A step becomes terminal; those that waited for it alone are queued.
    pub(super) fn close(&mut self, step: StepNo, progress: Progress, at: Timestamp) {
        self.set(step, progress);
        self.not_ready(step);
        self.to_call.remove(&step);
        self.to_judge.remove(&step);
        self.wanting.remove(&step);
        self.drop_locks(step);
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.ended_at = Some(at);
            state.wait_until = None;
        }
        match self.part(step) {
            Part::Main => self.open_main = self.open_main.saturating_sub(1),
            Part::Finally => self.open_finally = self.open_finally.saturating_sub(1),
        }
        let pinned = Arc::clone(&self.pinned);
        if progress == Progress::Failed
            && pinned.runbook.step(step).is_some_and(|s| s.part == Part::Main && !s.allow_failure)
        {
            self.failures += 1;
            if self.failures > pinned.max_failures() {
                self.first_failure.get_or_insert(step);
            }
        }
        if progress == Progress::Succeeded {
            for undone in pinned.runbook.step(step).map_or(&[][..], |step| &step.undoes) {
                if let Some(state) = self.steps.get_mut(undone.index()) {
                    state.ran = false;
                }
            }
        }
        let mut free = Vec::new();
        self.close_need(step, &mut free);
        self.no_open_need(free);
    }
}

/// What the indexes of a run hold of one step: derived from where it stands.
#[derive(Debug, Default)]
struct Marks {
    /// When a try is due.
    timed: Option<Timestamp>,
    /// The try that is due is a probe of a wait.
    probes: bool,
    /// Until when it waits, or asks.
    waits: Option<Timestamp>,
    /// It asks persons.
    asks: bool,
    /// It waits for values that a person has to give.
    withheld: bool,
    /// Its `on_cancel` is due, live or withheld.
    on_cancel: bool,
    /// It has begun and is not over.
    on: bool,
}

impl Marks {
    fn of(progress: Progress, probes: bool) -> Self {
        let on = Self { on: true, ..Self::default() };
        match progress {
            Progress::Retry(when) | Progress::Verify(when) | Progress::RollbackRetry(when) => {
                Self { timed: Some(when), probes, ..on }
            }
            Progress::Waiting { until, .. } => Self { waits: Some(until), ..on },
            Progress::Asking { until } => Self { waits: until, asks: true, ..on },
            Progress::OnCancel(when) => Self { timed: Some(when), on_cancel: true, ..on },
            Progress::Live(_, AttemptKind::OnCancel) => Self { on_cancel: true, ..on },
            Progress::Withheld(kind) => Self { withheld: true, on_cancel: kind == AttemptKind::OnCancel, ..on },
            Progress::Live(..) | Progress::Child | Progress::ChildRollback | Progress::Unknown { .. } => on,
            Progress::Pending
            | Progress::Ready
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled
            | Progress::RolledBack
            | Progress::RollbackFailed => Self::default(),
        }
    }
}

impl crate::definition::Step {
    /// Whether the success of a need is implied: nothing in its `if` lifts that.
    pub fn implies(&self, need: StepNo) -> bool {
        self.condition.as_ref().is_none_or(|condition| !condition.any_outcome && !condition.lifts.contains(&need))
    }
}

impl crate::definition::Condition {
    /// Whether the step may start although something failed.
    pub fn accepts_failure(&self) -> bool {
        self.any_outcome || !self.lifts.is_empty()
    }
}
