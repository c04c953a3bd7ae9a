//! Rules 108 to 113: iterations.

use runbook_core::time::Timestamp;

use super::judge::AsSeen;
use super::run::{RunModel, Stage};
use super::step::{Over, Status, StepModel};

/// What follows where no iteration is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// This one is ready.
    Ready(usize),
    /// This one waits until then.
    Waits(usize, Timestamp),
    /// That was the last one; whether `until` holds.
    Over(usize, bool),
}

impl RunModel {
    /// What follows of the iterations now (109 to 111).
    pub(crate) fn next_iteration(&self, now: Timestamp) -> Option<Next> {
        let repeat = self.design.repeat.as_ref()?;
        let on = |step: &StepModel| !matches!(step.status, Status::Pending | Status::Over(_));
        let main = self.stage == Stage::Main && self.ending.is_none() && !self.failure_ends();
        if !main || self.repeated.is_some() || self.steps.iter().any(on) {
            return None;
        }
        // 84
        let begins = |next: Next| (!self.is_held()).then_some(next);
        let Some(last) = self.steps.iter().rposition(StepModel::is_over) else { return begins(Next::Ready(0)) };
        match repeat.until.holds(&AsSeen { run: self, step: last }) {
            Ok(true) => Some(Next::Over(last, true)),
            Err(()) => Some(Next::Over(last, false)),
            Ok(false) if last + 1 == self.steps.len() => Some(Next::Over(last, false)),
            Ok(false) => begins(match repeat.every {
                Some(every) => Next::Waits(last + 1, now.max(self.last_at) + every),
                None => Next::Ready(last + 1),
            }),
        }
    }

    /// Of these failed iterations those that make the run fail (109, 111).
    pub(crate) fn failed_iterations(&self, failed: Vec<usize>) -> Vec<usize> {
        match self.repeated {
            Some((last, false)) => vec![last],
            Some((last, true)) => failed.into_iter().filter(|no| *no == last).collect(),
            None if self.design.repeat.as_ref().is_some_and(|repeat| repeat.until.asks_of_any()) => Vec::new(),
            None => failed,
        }
    }

    /// The iterations are over: those that have not begun are skipped (111).
    pub(super) fn end_iterations(&mut self, last: usize, held: bool) {
        self.repeated = Some((last, held));
        for step in self.steps.iter_mut().filter(|step| step.status == Status::Pending) {
            (step.status, step.over_at) = (Status::Over(Over::Skipped), self.last_at);
        }
    }

    /// How many iterations a resume keeps, where there are iterations (113).
    pub(super) fn kept_iterations(&self) -> Option<usize> {
        self.design.repeat.as_ref()?;
        if matches!(self.repeated, Some((_, false))) {
            return Some(0);
        }
        let begun = |step: &StepModel| step.begun || step.succeeded() || step.failed();
        let latest = self.steps.iter().rposition(begun);
        Some(latest.map_or(0, |latest| latest + usize::from(self.steps[latest].succeeded())))
    }
}
