//! What a rollback by hand would do, before anybody asks for it: which steps, in which order, and how. Never knows the child
//! runs that it goes down into.

use super::dry;
use super::rollback::Compensation;
use super::state::RunState;
use crate::id::{RunUid, StepNo};

/// How what a step did would be compensated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// By its own `rollback`: the command in one line, as far as it is known before; without secrets.
    Command(String),
    /// By the rollback of its child run.
    Below(RunUid),
}

impl RunState {
    /// What a rollback by hand would compensate, in the order of its beginnings if each took no time. Whether it would be
    /// refused is not asked.
    pub fn way_back(&self) -> Vec<(StepNo, Undo)> {
        let mut left = Compensation::of(&self.to_compensate(false), &self.pinned, &self.steps);
        let mut way = Vec::new();
        let over = |no: StepNo| self.step(no).and_then(|state| state.ended_at);
        while let Some(no) = left.next().chain(left.next_below()).max_by_key(|no| (over(*no), *no)) {
            left.start(no, over(no));
            left.settle(no, &self.pinned, &self.steps);
            let (Some(step), Some(state)) = (self.pinned.runbook.step(no), self.step(no)) else { continue };
            let undo = match (&step.rollback, state.child) {
                (Some(command), _) => Some(Undo::Command(dry::told(self, no, command))),
                (None, child) => child.map(Undo::Below),
            };
            way.extend(undo.map(|undo| (no, undo)));
        }
        way
    }
}
