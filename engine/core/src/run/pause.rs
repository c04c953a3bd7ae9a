//! What waits and approvals do to a run's state; a part of `apply`. Holds no policy.

use indexmap::IndexMap;
use serde_json::Value;

use super::approval;
use super::event::{AfterVote, SkipReason};
use super::state::{Progress, RunState, Vote};
use crate::id::StepNo;
use crate::time::Timestamp;

impl RunState {
    /// A step begins to wait.
    pub(super) fn begin_wait(&mut self, step: StepNo, until: Timestamp, fixed: bool, at: Timestamp) {
        self.to_judge.remove(&step);
        let probes = self.probes(step);
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.started_at.get_or_insert(at);
            state.wait_until = probes.then_some(until);
        }
        // The first probe is due at once.
        self.set(step, if probes { Progress::Retry(at) } else { Progress::Waiting { until, fixed } });
    }

    /// What follows a decision about an approval.
    pub(super) fn approved(
        &mut self,
        step: StepNo,
        then: AfterVote,
        outputs: &IndexMap<String, Value>,
        message: &str,
        at: Timestamp,
    ) {
        let progress = match then {
            AfterVote::Open => return,
            AfterVote::Succeeded => Progress::Succeeded,
            AfterVote::Failed => Progress::Failed,
        };
        if let Some(state) = self.steps.get_mut(step.index()) {
            message.clone_into(&mut state.message);
            state.outputs.clone_from(outputs);
        }
        self.close(step, progress, at);
    }

    /// Whether a step waits by probes.
    pub(super) fn probes(&self, step: StepNo) -> bool {
        self.pinned.runbook.step(step).is_some_and(|step| step.probe().is_some())
    }

    /// While a run stands still its timeout does not count; then it goes on where it stood.
    pub(super) fn keep_time(&mut self, at: Timestamp) {
        if self.stands_still() {
            self.still_since.get_or_insert(at);
        } else if let Some(since) = self.still_since.take() {
            self.deadline = self.deadline.map(|deadline| deadline + (at - since));
        }
    }

    /// Whether the start leaves a step out.
    pub(super) fn is_left_out(&self, step: StepNo) -> bool {
        self.created.terms.selection.left_out.contains(&step)
    }

    /// A step that is skipped may stand for one that succeeded.
    pub(super) fn stand_in(&mut self, step: StepNo, why: &SkipReason) {
        let Some(state) = self.steps.get_mut(step.index()) else { return };
        match why {
            SkipReason::DryRun { would } => {
                state.stands_in = true;
                state.message.clone_from(would);
            }
            SkipReason::LeftOut => {
                state.stands_in = true;
                state.outputs = self.created.terms.selection.outputs.get(&step).cloned().unwrap_or_default();
            }
            SkipReason::Need(_) | SkipReason::Condition | SkipReason::NothingToUndo => {}
        }
    }

    /// A step asks persons.
    pub(super) fn ask(&mut self, step: StepNo, message: &str, until: Option<Timestamp>, at: Timestamp) {
        self.to_judge.remove(&step);
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.started_at.get_or_insert(at);
            message.clone_into(&mut state.message);
        }
        self.set(step, Progress::Asking { until });
    }

    /// A person decided.
    pub(super) fn vote(&mut self, step: StepNo, vote: Vote, then: AfterVote, outputs: &IndexMap<String, Value>) {
        let at = vote.at;
        let Some(state) = self.steps.get_mut(step.index()) else { return };
        state.votes.push(vote);
        let message = approval::told(&state.votes);
        self.approved(step, then, outputs, &message, at);
    }
}
