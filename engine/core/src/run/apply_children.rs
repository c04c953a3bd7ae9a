//! What facts about a step's child run do to the state of its parent. A part of `apply`: holds no policy.

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{Left, Outcome, Then, Waits};
use super::state::{Progress, RunState};
use crate::id::{RunUid, StepNo};
use crate::time::Timestamp;

impl RunState {
    pub(super) fn child_starting(
        &mut self,
        at: Timestamp,
        step: StepNo,
        child: RunUid,
        again: bool,
    ) -> Result<(), String> {
        if !self.to_call.remove(&step) {
            return Err(format!("step {} may not start a child run", step.0));
        }
        let Some(state) = self.steps.get_mut(step.index()) else { return Err("no such step".to_owned()) };
        if again != (state.child == Some(child)) {
            return Err(format!("its latest child run is {:?}", state.child));
        }
        state.child = Some(child);
        state.children += u32::from(!again);
        if !again {
            state.left = Left::Nothing;
        }
        state.started_at.get_or_insert(at);
        self.take_locks(step, at);
        self.set(step, Progress::Child);
        self.children.insert(step, child);
        Ok(())
    }

    pub(super) fn child_ended(
        &mut self,
        at: Timestamp,
        step: StepNo,
        child: RunUid,
        outputs: &IndexMap<String, Value>,
        message: &str,
        then: Then,
    ) -> Result<(), String> {
        self.is_child(step, child)?;
        self.wait_below(step, Waits::No);
        self.children.remove(&step);
        let Some(state) = self.steps.get_mut(step.index()) else { return Err("no such step".to_owned()) };
        message.clone_into(&mut state.message);
        state.ran = true;
        // For its `rollback`.
        state.attempt_outputs.clone_from(outputs);
        match then {
            Then::Succeeded => {
                state.outputs.clone_from(outputs);
                self.close(step, Progress::Succeeded, at);
            }
            Then::Failed => self.close(step, Progress::Failed, at),
            Then::Canceled => self.close(step, Progress::Canceled, at),
            Then::RetryAt(_)
            | Then::VerifyAt(_)
            | Then::OnCancelAt(_)
            | Then::Unknown
            | Then::RolledBack
            | Then::RollbackFailed
            | Then::RollbackAt(_) => {
                return Err("a step ends with its child run".to_owned());
            }
        }
        Ok(())
    }

    /// What a step did is compensated: its child run is rolled back.
    pub(super) fn child_rolling_back(&mut self, at: Timestamp, step: StepNo, child: RunUid) -> Result<(), String> {
        let Some(state) = self.steps.get(step.index()) else { return Err("no such step".to_owned()) };
        if state.child != Some(child) {
            return Err(format!("its latest child run is {:?}", state.child));
        }
        let over = state.ended_at;
        match &mut self.rollback {
            Some(rollback) if rollback.may_start(step, over) => rollback.start(step, over),
            Some(_) | None => return Err(format!("step {} may not be compensated", step.0)),
        }
        self.take_locks(step, at);
        self.set(step, Progress::ChildRollback);
        self.children.insert(step, child);
        Ok(())
    }

    /// The child run of a step is rolled back, as far as it is.
    pub(super) fn child_rolled_back(
        &mut self,
        at: Timestamp,
        step: StepNo,
        child: RunUid,
        message: &str,
        then: Then,
    ) -> Result<(), String> {
        self.is_child(step, child)?;
        self.wait_below(step, Waits::No);
        self.children.remove(&step);
        if let Some(state) = self.steps.get_mut(step.index()) {
            message.clone_into(&mut state.message);
        }
        match then {
            Then::RolledBack => self.close_compensation(step, true, at),
            Then::RollbackFailed => {
                self.set(step, Progress::RollbackFailed);
                // Persons said below what becomes of it: it waits for nobody.
                self.close_compensation(step, false, at);
            }
            other => return Err(format!("a rollback does not end in {other:?}")),
        }
        Ok(())
    }

    /// What the child run of a step leaves of what it did.
    pub(super) fn leave(&mut self, step: StepNo, left: Left, outcome: Outcome) {
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.left = left;
            state.undone_below = outcome == Outcome::RolledBack;
        }
    }

    pub(super) fn child_waits(&mut self, step: StepNo, child: RunUid, waits: Waits) -> Result<(), String> {
        self.is_child(step, child)?;
        self.wait_below(step, waits);
        Ok(())
    }

    fn wait_below(&mut self, step: StepNo, waits: Waits) {
        let before = match waits {
            Waits::No => self.below.remove(&step),
            Waits::Still | Waits::Attention => self.below.insert(step, waits),
        };
        self.attention_below -= usize::from(before == Some(Waits::Attention));
        self.attention_below += usize::from(waits == Waits::Attention);
    }

    fn is_child(&self, step: StepNo, child: RunUid) -> Result<(), String> {
        match self.children.get(&step) {
            Some(known) if *known == child => Ok(()),
            other => Err(format!("the child run of step {} is {other:?}", step.0)),
        }
    }
}
