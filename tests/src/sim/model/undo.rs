//! Rules 56, 57, 59 and 130 to 134: what is to be compensated, and what becomes of the child runs that are part of it.

use std::collections::BTreeSet;

use runbook_core::definition::{RollbackOf, RollbackPolicy};
use runbook_core::id::RunUid;
use runbook_core::run::{Fact, Left, Outcome, Principal, Then, Waits};
use runbook_core::time::Timestamp;

use super::judge::before;
use super::run::{RunModel, Stage};
use super::step::{Over, Status, StepModel};
use super::turn::Model;
use super::{Check, must};

impl RunModel {
    /// The steps that one comes after, directly or not; of iterations those before it (131).
    pub(super) fn comes_after(&self, no: usize) -> Vec<usize> {
        if self.design.repeat.is_some() { (0..no).collect() } else { before(&self.design, no) }
    }

    /// What is to be compensated (56, 130), by itself or by hand (57).
    pub(crate) fn to_compensate(&self, by_itself: bool) -> Vec<usize> {
        // 81
        if self.created.terms.dry {
            return Vec::new();
        }
        let mut left_out = Vec::new();
        if by_itself {
            for no in self.no_way_back() {
                left_out.extend(self.comes_after(no));
            }
        }
        let of = self.design.runbook.rollback.of;
        let succeeded =
            |model: &StepModel| matches!(model.status, Status::Over(Over::Succeeded | Over::RollbackFailed));
        let mut found = Vec::new();
        for (no, step, model) in self.part(true) {
            if !model.ran || left_out.contains(&no) {
                continue;
            }
            let wanted = match (step.rollback.is_some(), model.left) {
                (true, _) => of == RollbackOf::Started || succeeded(model),
                (false, Left::Nothing) => false,
                // 130
                (false, left) => !by_itself || (left == Left::Something && !step.no_return),
            };
            if wanted {
                found.push(no);
            }
        }
        found
    }

    /// What it leaves, being over (130).
    fn leaves(&self) -> Left {
        let given_up = self.steps.iter().any(|step| step.status == Status::Over(Over::RollbackFailed));
        let never = self.design.runbook.rollback.policy == RollbackPolicy::Never;
        match (never || self.to_compensate(false).is_empty(), given_up) {
            (true, _) => Left::Nothing,
            (false, true) => Left::GivenUp,
            (false, false) => Left::Something,
        }
    }

    /// The steps left to be compensated that nothing left comes after, and whose compensation has not begun (59).
    pub(super) fn free_to_compensate(&self) -> Vec<usize> {
        let (Stage::RollingBack(_), Some(rolling)) = (self.stage, &self.rolling) else { return Vec::new() };
        let behind: BTreeSet<usize> = rolling.left.iter().flat_map(|no| self.comes_after(*no)).collect();
        let open = |no: &usize| self.steps.get(*no).is_some_and(StepModel::is_over) && !rolling.stuck.contains(no);
        let free = rolling.left.iter().copied().filter(|no| open(no) && !behind.contains(no));
        free.filter(|_| !rolling.abandoned).collect()
    }

    /// Whether a step has a `rollback` of its own.
    pub(super) fn rolls_back_alone(&self, no: usize) -> bool {
        self.design.runbook.steps.get(no).is_some_and(|step| step.rollback.is_some())
    }

    /// The steps whose child run may be rolled back now, but for locks (131).
    pub(super) fn to_undo(&self) -> Vec<usize> {
        let free = self.free_to_compensate().into_iter();
        free.filter(|no| !self.rolls_back_alone(*no) && self.has_room()).collect()
    }

    /// The child runs that are rolled back for its steps.
    fn undoing(&self) -> impl Iterator<Item = RunUid> {
        self.steps.iter().filter_map(|step| match step.status {
            Status::ChildRollback { uid, .. } => Some(uid),
            _ => None,
        })
    }

    fn over_at(&self, no: usize) -> Option<Timestamp> {
        self.steps.get(no).map(|step| step.over_at)
    }

    /// Whether it is rolled back, or waits for that, and nobody gave it up.
    fn is_undone(&self) -> bool {
        match self.stage {
            Stage::RollingBack(_) => !self.rolling.as_ref().is_some_and(|rolling| rolling.abandoned),
            Stage::Queued => self.asked.is_some() && self.rolling.is_none(),
            Stage::Main | Stage::Finally(_) | Stage::Terminal(_) => false,
        }
    }
}

impl Model {
    /// Whether a fact of the rollback of a child run follows; `None` where it is none.
    pub(super) fn follows_in_rollback(&self, run: &RunModel, fact: &Fact) -> Option<Check> {
        let above = run.created.parent.and_then(|parent| self.runs.get(&parent.run));
        let undone = above.is_some_and(|above| above.undoing().any(|uid| uid == run.uid));
        match fact {
            Fact::ChildRollingBack { step, child } => Some(self.undoes(run, step.index(), *child)),
            Fact::RollbackAsked { by, past, .. } if above.is_some() => {
                let named: Vec<usize> = past.iter().map(|step| step.index()).collect();
                let all = named == run.no_way_back() && *by == Principal::engine();
                Some(must(undone && run.is_terminal() && all, || "the run above is not rolled back (131)".to_owned()))
            }
            Fact::RollbackAbandoned { .. } if above.is_some() => {
                let given_up =
                    above.is_some_and(|above| above.rolling.as_ref().is_some_and(|rolling| rolling.abandoned));
                Some(must(undone && given_up && run.is_undone(), || "nobody gave it up (133)".to_owned()))
            }
            _ => None,
        }
    }

    fn undoes(&self, run: &RunModel, no: usize, child: RunUid) -> Check {
        let open: Vec<usize> = run.to_undo().into_iter().filter(|no| self.is_free(run, *no)).collect();
        must(open.contains(&no), || format!("step {no} may not be compensated so: {open:?} may (59, 131)"))?;
        let last = open.iter().filter_map(|no| run.over_at(*no)).max();
        must(run.over_at(no) == last, || format!("of {open:?} another one became terminal later (59, 131)"))?;
        let latest = run.steps.get(no).and_then(|step| step.child);
        must(latest == Some(child), || format!("its latest child run is {latest:?} (130)"))
    }

    /// What follows for a step at the end of its child run (68, 132), and whether what that leaves is told.
    pub(super) fn end_of_child(
        &self,
        status: Status,
        outcome: Outcome,
        left: Left,
        below: &RunModel,
    ) -> Result<Then, String> {
        must(left == below.leaves(), || format!("it leaves {:?} (130)", below.leaves()))?;
        Ok(match (status, outcome) {
            (Status::ChildRollback { .. }, _) if left == Left::Nothing => Then::RolledBack,
            (Status::ChildRollback { .. }, _) => Then::RollbackFailed,
            (_, Outcome::Succeeded) => Then::Succeeded,
            // 76
            (_, Outcome::Failed | Outcome::RolledBack) => Then::Failed,
            (_, Outcome::Canceled) => Then::Canceled,
        })
    }

    /// All compensations that failed in a run and in what is rolled back for it (133).
    pub(super) fn stuck_below(&self, run: &RunModel) -> Vec<(RunUid, usize)> {
        let mut found = Vec::new();
        let mut open = vec![run.uid];
        while let Some(run) = open.pop().and_then(|uid| self.runs.get(&uid)) {
            found.extend(run.stuck().iter().map(|no| (run.uid, *no)));
            open.extend(run.undoing());
        }
        found
    }

    /// Nothing of the rollback of child runs is missing.
    pub(super) fn check_undone(&self, run: &RunModel) -> Check {
        for no in run.to_undo() {
            must(!self.is_free(run, no), || format!("step {no} does not roll its child run back (131)"))?;
        }
        let abandoned = run.rolling.as_ref().is_some_and(|rolling| rolling.abandoned);
        for (no, step) in run.steps.iter().enumerate() {
            let Status::ChildRollback { uid, waits } = step.status else { continue };
            let child = self.run(uid)?;
            must(!child.is_terminal(), || format!("the rollback of the child run of step {no} is over (132)"))?;
            must(!abandoned || !child.is_undone(), || {
                format!("that of the child run of step {no} is not given up (133)")
            })?;
            must(child.waits() == waits, || {
                format!("the child run of step {no} waits: {:?}, not {waits:?} (75)", child.waits())
            })?;
        }
        Ok(())
    }
}

/// Whether a child run that waits is waiting as the run above is told.
pub(super) const fn waits_of(status: Status) -> Option<Waits> {
    match status {
        Status::Child { waits, .. } | Status::ChildRollback { waits, .. } => Some(waits),
        _ => None,
    }
}
