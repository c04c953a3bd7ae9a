//! What an ending, `finally`, a new epoch and a set clock do to a run's state; a part of `apply`. Holds no policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::event::{AttemptKind, Edited, EndingCause, Left};
use super::pinned::Pinned;
use super::repeat::RepeatEnd;
use super::state::{Phase, Progress, RunState, StepState};
use crate::definition::Part;
use crate::id::StepNo;
use crate::time::{Span, Timestamp};

impl RunState {
    pub(super) fn begin_ending(&mut self, at: Timestamp, cause: EndingCause) {
        let hard = cause.is_hard();
        self.ending = Some(cause);
        // What never began needs no `finally`.
        if self.phase == Phase::Queued {
            self.begin = None;
            self.skip_finally(at);
        }
        let pinned = Arc::clone(&self.pinned);
        for (index, step) in pinned.runbook.steps.iter().enumerate() {
            let no = StepNo(index as u32);
            if step.part == Part::Finally {
                continue;
            }
            match self.progress(no) {
                Progress::Pending | Progress::Ready | Progress::Retry(_) | Progress::Withheld(AttemptKind::Run)
                    if hard =>
                {
                    self.close(no, Progress::Canceled, at);
                }
                Progress::Waiting { .. } | Progress::Asking { .. } => self.close(no, Progress::Canceled, at),
                Progress::Retry(_) | Progress::Withheld(AttemptKind::Run) if step.probe().is_some() => {
                    self.close(no, Progress::Canceled, at)
                }
                Progress::Pending | Progress::Ready
                    if !step.condition.as_ref().is_some_and(|c| c.accepts_failure()) =>
                {
                    self.close(no, Progress::Skipped, at);
                }
                _ => {}
            }
        }
    }

    pub(super) fn skip_finally(&mut self, at: Timestamp) {
        let pinned = Arc::clone(&self.pinned);
        for no in pinned.finally() {
            self.close(no, Progress::Skipped, at);
        }
    }

    pub(super) fn queue_finally(&mut self) {
        let pinned = Arc::clone(&self.pinned);
        for no in pinned.finally() {
            if self.step(no).is_some_and(|state| state.unmet == 0 && state.progress == Progress::Pending) {
                self.queue(no);
            }
        }
    }

    /// The main steps of which something was undone in this epoch.
    pub(super) fn undone(&self) -> BTreeSet<StepNo> {
        self.steps().filter(|(_, _, state)| state.ran).flat_map(|(_, step, _)| step.undoes.iter().copied()).collect()
    }

    /// Whether a resume keeps what the step did; `undone` are those of which something was undone.
    pub(super) fn keeps(&self, no: StepNo, undone: &BTreeSet<StepNo>) -> bool {
        let main = self.pinned.runbook.step(no).is_some_and(|step| step.part == Part::Main);
        main && self.progress(no) == Progress::Succeeded && !undone.contains(&no)
    }

    /// Opens the next epoch; with an edited definition, by that.
    pub(super) fn reopen(&mut self, epoch: u32, edited: Option<(Arc<Pinned>, &Edited)>) {
        let undone = self.undone();
        let (mut again, mut anew): (&[StepNo], &[StepNo]) = (&[], &[]);
        if let Some((pinned, edited)) = edited {
            (again, anew) = (&edited.again, &edited.anew);
            self.steps.resize_with(pinned.runbook.steps.len(), StepState::default);
            self.known.retain(|known| known.digest != pinned.digest);
            let before = std::mem::replace(&mut self.pinned, pinned);
            self.learn(before);
        }
        self.epoch = epoch;
        self.phase = Phase::Queued;
        self.ending = None;
        self.admitted_at = None;
        self.finished_at = None;
        self.deadline = None;
        self.still_since = None;
        self.first_failure = None;
        self.failures = 0;
        self.rollback_asked = None;
        self.rollback = None;
        self.outputs.clear();
        self.outputs_message.clear();
        self.hold = None;
        let pinned = Arc::clone(&self.pinned);
        let passed = self.passed_iterations();
        self.repeat_end = None;
        for (index, (state, step)) in self.steps.iter_mut().zip(&pinned.runbook.steps).enumerate() {
            let (main, no) = (step.part == Part::Main, StepNo(index as u32));
            let undone = undone.contains(&no);
            let succeeded = main && state.progress == Progress::Succeeded && !undone && !again.contains(&no);
            if passed.map_or(succeeded, |passed| index < passed) {
                continue;
            }
            // A child run is opened again, unless what it did is not there any more; the next one is counted on.
            let undone = undone || state.progress == Progress::RolledBack || anew.contains(&no);
            let (child, children) = (state.child.filter(|_| !undone), state.children);
            let left = if child.is_some() { state.left } else { Left::Nothing };
            // What the steps of `finally` did is over with the epoch; what a main step did is still there.
            let ran = state.ran && main;
            let attempt_outputs = if ran { std::mem::take(&mut state.attempt_outputs) } else { IndexMap::new() };
            // What it did was done under these.
            let locks = if ran { std::mem::take(&mut state.locks) } else { Vec::new() };
            let attempts = state.attempts;
            *state = StepState { attempts, child, children, left, ran, attempt_outputs, locks, ..StepState::default() };
        }
        self.open_steps();
    }

    /// How many iterations a new epoch keeps, where its steps stand for these: those before the latest that has begun,
    /// and that one if it succeeded. When all were in vain they begin anew.
    fn passed_iterations(&self) -> Option<usize> {
        if !self.pinned.repeats() {
            return None;
        }
        if self.in_vain().is_some() {
            return Some(0);
        }
        let latest = self.steps.iter().rposition(|state| state.started_at.is_some());
        Some(latest.map_or(0, |latest| latest + usize::from(self.steps[latest].progress == Progress::Succeeded)))
    }

    /// The iterations are over; those that have not begun do not begin any more.
    pub(super) fn end_repeat(&mut self, last: StepNo, message: &str, at: Timestamp) {
        for index in last.index() + 1..self.steps.len() {
            self.close(StepNo(index as u32), Progress::Skipped, at);
        }
        if !message.is_empty() || self.progress(last) == Progress::Failed {
            self.first_failure.get_or_insert(last);
        }
        self.repeat_end = Some(RepeatEnd { last, message: message.to_owned() });
    }

    pub(super) fn shift(&mut self, by: Span) {
        self.deadline = self.deadline.map(|at| at + by);
        if !self.begins_by_the_wall() {
            self.begin = self.begin.map(|at| at + by);
        }
        self.shift_gate(by);
        self.still_since = self.still_since.map(|at| at + by);
        for state in &mut self.steps {
            state.wait_until = state.wait_until.map(|at| at + by);
        }
        for since in self.unknown.values_mut() {
            *since = *since + by;
        }
        let timed: Vec<StepNo> = self.timed.iter().chain(&self.waits).map(|(_, step)| *step).collect();
        for step in timed {
            let moved = match self.progress(step) {
                Progress::Retry(at) => Progress::Retry(at + by),
                Progress::Waiting { until, fixed: false } => Progress::Waiting { until: until + by, fixed: false },
                Progress::Asking { until } => Progress::Asking { until: until.map(|until| until + by) },
                Progress::Verify(at) => Progress::Verify(at + by),
                Progress::OnCancel(at) => Progress::OnCancel(at + by),
                Progress::RollbackRetry(at) => Progress::RollbackRetry(at + by),
                other => other,
            };
            self.set(step, moved);
        }
    }
}
