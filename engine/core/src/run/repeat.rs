//! Work that is done again and again: when the next iteration begins, and when there is none. Never knows how an iteration
//! goes.

use super::event::Fact;
use super::judge::evaluate_bool;
use super::pinned::Kind;
use super::scope::RunScope;
use super::state::{Phase, Progress, RunState, StepState};
use crate::id::StepNo;
use crate::limits;
use crate::time::Timestamp;

/// How the iterations of a run were over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepeatEnd {
    /// The step that stands for the last one.
    pub last: StepNo,
    /// Why the run fails whatever came of that; empty where `until` holds.
    pub message: String,
}

/// What follows in a run whose steps stand for iterations, while none of them is on.
pub(super) fn next(run: &RunState, now: Timestamp) -> Option<Fact> {
    let Kind::Repeat { until, any_outcome, every } = run.pinned.kind() else { return None };
    let goes_on = run.phase == Phase::Running && run.ending.is_none() && run.repeat_end.is_none();
    if !goes_on || run.on > 0 || !run.ready.is_empty() || !run.to_call.is_empty() {
        return None;
    }
    // They go one after the other, so that those that are over come first.
    let over = run.steps.partition_point(|state| state.progress.is_terminal());
    let begins = |fact: Fact| (!run.is_held()).then_some(fact);
    let Some(last) = over.checked_sub(1) else { return begins(begin(StepNo(0))) };
    let (last, next) = (StepNo(last as u32), StepNo(over as u32));
    if run.progress(last) == Progress::Failed && !any_outcome {
        // It counts as any failure: an ending follows.
        return None;
    }
    let scope = RunScope { run, step: Some(last), exit_code: None, written: None };
    let ended = |message: String| Fact::RepeatEnded { step: last, message: limits::fit(message) };
    match evaluate_bool(until, &scope) {
        Ok(true) => Some(ended(String::new())),
        Err(problem) => Some(ended(format!("until: {problem}"))),
        Ok(false) if over == run.steps.len() => Some(ended(in_vain(over, run.step(last)))),
        Ok(false) => begins(match every {
            Some(every) => Fact::WaitBegan { step: next, until: now.max(run.last_at) + *every, fixed: false },
            None => begin(next),
        }),
    }
}

/// An iteration may start.
pub(super) const fn begin(step: StepNo) -> Fact {
    Fact::StepReady { step, locks: Vec::new() }
}

fn in_vain(count: usize, last: Option<&StepState>) -> String {
    let times = if count == 1 { "iteration" } else { "iterations" };
    match last.map(|last| last.message.as_str()).filter(|message| !message.is_empty()) {
        Some(why) => format!("`until` does not hold after {count} {times}, the last of which ended so: {why}"),
        None => format!("`until` does not hold after {count} {times}"),
    }
}

impl RunState {
    /// The iteration that it ended with, where its steps stand for iterations and `until` holds.
    pub(super) fn last_iteration(&self) -> Option<&StepState> {
        let end = self.repeat_end.as_ref().filter(|end| end.message.is_empty())?;
        self.step(end.last)
    }

    /// Why its iterations were in vain, if they were.
    pub(super) fn in_vain(&self) -> Option<&str> {
        self.repeat_end.as_ref().map(|end| end.message.as_str()).filter(|message| !message.is_empty())
    }

    /// Whether a step is there to be seen: of iterations only those that have begun, however many there may be.
    pub fn is_shown(&self, no: StepNo) -> bool {
        let begun = |state: &StepState| {
            state.started_at.is_some()
                || state.attempts > 0
                || !matches!(state.progress, Progress::Pending | Progress::Skipped | Progress::Canceled)
        };
        !self.pinned.repeats() || self.step(no).is_some_and(begun)
    }
}
