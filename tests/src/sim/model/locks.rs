//! Rules 1, 73, 74, 92 to 97 and 141 to 144: the locks of runs and steps, who has them, who waits, and who waits for himself.

use std::collections::BTreeSet;

use runbook_core::id::RunUid;
use runbook_core::run::{AttemptKind, EndingCause, Fact};

use super::places::Rank;
use super::run::{RunModel, Stage};
use super::step::Status;
use super::turn::Model;
use super::{Check, must};

/// What has locks, or waits for them: a run as a whole, or a step of it.
pub(crate) type Claim = (RunUid, Option<usize>);

impl RunModel {
    /// What it, or a step of it, has or wants.
    pub(crate) fn names(&self, step: Option<usize>) -> Vec<String> {
        match step.map(|no| self.steps.get(no)) {
            None => self.wants(),
            Some(step) => step.iter().flat_map(|step| &step.locks).map(|name| format!("lock {name}")).collect(),
        }
    }

    /// Whether a step has to get its locks before it starts.
    pub(crate) fn needs_locks(&self, no: usize) -> bool {
        self.steps.get(no).is_some_and(|step| !step.locked && !step.locks.is_empty())
    }

    /// The names of the locks of a step, as it is judged now (92).
    pub(crate) fn locks_of(&self, no: usize) -> Vec<String> {
        if self.created.terms.dry {
            return Vec::new();
        }
        let names = self.design.step_locks.get(no).into_iter().flatten();
        let mut names: Vec<String> = names.map(|name| name.rendered(self.slot(), self.environment())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a person may have a step give its locks up: it has the lock, and nothing of it may be at work (142).
    pub(crate) fn gives_up(&self, no: usize, name: &String) -> bool {
        let Some(step) = self.steps.get(no) else { return false };
        let works = matches!(
            step.status,
            Status::Live(..)
                | Status::Unknown { processes_left: true, .. }
                | Status::Child { .. }
                | Status::ChildRollback { .. }
        );
        step.locked && step.locks.contains(name) && !works
    }

    /// Whether a step had its locks, and something of it is to come (143).
    fn has_begun(&self, no: usize) -> bool {
        self.steps.get(no).is_some_and(|step| matches!(step.status, Status::Waiting(..)))
    }

    /// What is over has no locks, unless a person has to say what becomes of it (93).
    pub(crate) fn let_go(&mut self) {
        let stuck = self.stuck().to_vec();
        for (no, step) in self.steps.iter_mut().enumerate() {
            match step.status {
                Status::Pending | Status::Ready => step.locked = false,
                Status::Over(_) if !stuck.contains(&no) => step.locked = false,
                _ => {}
            }
        }
    }
}

impl Model {
    fn holding(&self) -> Vec<Claim> {
        let mut found = Vec::new();
        for run in self.runs.values() {
            found.extend(run.holds().then_some((run.uid, None)));
            let steps = run.steps.iter().enumerate().filter(|(_, step)| step.locked);
            found.extend(steps.map(|(no, _)| (run.uid, Some(no))));
        }
        found
    }

    fn waiting(&self) -> Vec<Claim> {
        let mut found = Vec::new();
        for run in self.runs.values() {
            let queued = run.stage == Stage::Queued
                && run.begins.is_none()
                && run.gated_until().is_none()
                && !run.wants().is_empty();
            found.extend(queued.then_some((run.uid, None)));
            if !(0..run.steps.len()).any(|no| run.needs_locks(no)) {
                continue;
            }
            let starts = run.open(self.now).into_iter().map(|(no, _)| no);
            let calls = (0..run.steps.len()).filter(|no| run.is_callable(*no)).chain(run.to_undo());
            found.extend(starts.chain(calls).filter(|no| run.needs_locks(*no)).map(|no| (run.uid, Some(no))));
        }
        found
    }

    fn names(&self, (run, step): Claim) -> Vec<String> {
        self.runs.get(&run).map(|run| run.names(step)).unwrap_or_default()
    }

    /// What a run or a step is part of.
    pub(crate) fn above(&self, (run, step): Claim) -> Vec<Claim> {
        let mut above: Vec<Claim> = step.map(|_| (run, None)).into_iter().collect();
        let mut next = self.runs.get(&run).and_then(|run| run.created.parent);
        while let Some(parent) = next {
            above.extend([(parent.run, Some(parent.step.index())), (parent.run, None)]);
            next = self.runs.get(&parent.run).and_then(|run| run.created.parent);
        }
        above
    }

    /// Whether a run or a step has any lock or group.
    fn has_any(&self, (uid, step): Claim) -> bool {
        self.runs.get(&uid).is_some_and(|run| match step {
            None => run.holds() && !run.wants().is_empty(),
            Some(no) => run.steps.get(no).is_some_and(|step| step.locked),
        })
    }

    /// Whether nothing above has anything (73).
    fn is_bare(&self, claim: Claim) -> bool {
        !self.above(claim).into_iter().any(|above| self.has_any(above))
    }

    fn order(&self, claim: Claim) -> (bool, Option<(Rank, u64)>, Claim) {
        let run = self.runs.get(&claim.0);
        (self.is_bare(claim), run.map(|run| (run.by_origin(), run.created.number)), claim)
    }

    /// Whether a run or a step may have all that it wants (1, 73, 94).
    pub(crate) fn may_have(&self, claim: Claim) -> bool {
        let wants = self.names(claim);
        if wants.is_empty() {
            return true;
        }
        let meets = |other: Claim| self.names(other).iter().any(|name| wants.contains(name));
        let above = self.above(claim);
        let taken = |holder: Claim| holder != claim && !above.contains(&holder) && meets(holder);
        if self.holding().into_iter().any(taken) {
            return false;
        }
        let order = self.order(claim);
        let before = |other: Claim| other != claim && meets(other) && self.order(other) < order;
        !self.is_bare(claim) || !self.waiting().into_iter().any(before)
    }

    /// Whether a step may start as far as its locks go.
    pub(crate) fn is_free(&self, run: &RunModel, no: usize) -> bool {
        !run.needs_locks(no) || self.may_have((run.uid, Some(no)))
    }

    /// What of a run may start now, but for the places of other runs.
    pub(crate) fn startable(&self, run: &RunModel) -> Vec<(usize, AttemptKind)> {
        run.startable(self.now, |no| self.is_free(run, no))
    }

    /// Whether others keep a run, or a step of it, from its locks.
    pub(crate) fn is_kept(&self, run: &RunModel) -> bool {
        self.waiting().into_iter().any(|claim| claim.0 == run.uid && !self.may_have(claim))
    }

    /// Who keeps somebody from what he wants.
    fn kept_by(&self, claim: Claim) -> Vec<Claim> {
        let (above, wants) = (self.above(claim), self.names(claim));
        let others = self.holding().into_iter().filter(|holder| !above.contains(holder));
        others.filter(|holder| self.names(*holder).iter().any(|name| wants.contains(name))).collect()
    }

    /// Whether somebody waits for what he is part of, through others (74, 96).
    fn is_in_circle(&self, claim: Claim) -> bool {
        let waiting = self.waiting();
        if !waiting.contains(&claim) {
            return false;
        }
        let above = self.above(claim);
        let mut open = self.kept_by(claim);
        let mut seen = BTreeSet::new();
        while let Some(holder) = open.pop() {
            if above.contains(&holder) {
                return true;
            }
            if seen.insert(holder) {
                for other in waiting.iter().filter(|other| self.above(**other).contains(&holder)) {
                    open.extend(self.kept_by(*other));
                }
            }
        }
        false
    }

    /// Whether the end of a wait in a circle follows; `None` where a fact is none.
    pub(super) fn ends_circle(&self, uid: RunUid, fact: &Fact) -> Option<Check> {
        let run = self.runs.get(&uid)?;
        match fact {
            Fact::Ending { cause: EndingCause::Deadlock { .. } } => {
                let queued = run.created.parent.is_some() && run.stage == Stage::Queued && run.ending.is_none();
                // 134
                let queued = queued && run.asked.is_none();
                Some(must(queued && self.is_in_circle((uid, None)), || "it waits in no circle (74)".to_owned()))
            }
            Fact::StepFailed { step, .. } if run.needs_locks(step.index()) => {
                let no = step.index();
                let ready = run.steps.get(no).is_some_and(|step| step.status == Status::Ready);
                let refused = run.is_callable(no) && self.is_free(run, no) && self.is_refused(run, no);
                let circle = ready && self.is_in_circle((uid, Some(no)));
                Some(must(refused || circle, || "it waits in no circle (96)".to_owned()))
            }
            _ => None,
        }
    }

    /// Nobody waits for what he is part of; where only compensations do so, persons have to give one up.
    pub(super) fn check_circles(&self) -> Check {
        for claim in self.waiting() {
            let run = self.run(claim.0)?;
            // 134
            let compensates = matches!(run.stage, Stage::RollingBack(_)) || run.asked.is_some();
            // 144
            let begun = claim.1.is_some_and(|no| run.has_begun(no));
            must(compensates || begun || !self.is_in_circle(claim), || format!("{claim:?} waits for itself (74, 96)"))?;
        }
        Ok(())
    }
}
