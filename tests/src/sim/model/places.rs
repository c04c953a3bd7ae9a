//! Rules 9, 10 and 28, and 1: who may start, and who is admitted.

use runbook_core::id::RunUid;
use runbook_core::run::{AttemptKind, Origin};
use runbook_core::time::Timestamp;

use super::run::{RunModel, Stage};
use super::step::{Status, StepModel};
use super::turn::Model;
use super::{Check, must};

/// Who goes first when places are short, the first first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    TidiesUp,
    Person,
    Api,
    Schedule,
}

impl RunModel {
    pub(crate) fn rank(&self) -> Rank {
        let tidies = self.created.parent.is_some_and(|parent| parent.tidies);
        if self.hard() || tidies || matches!(self.stage, Stage::RollingBack(_) | Stage::Finally(_)) {
            return Rank::TidiesUp;
        }
        self.by_origin()
    }

    /// Its rank as long as it does not tidy up.
    pub(crate) const fn by_origin(&self) -> Rank {
        match self.created.origin {
            Origin::Person => Rank::Person,
            Origin::Api => Rank::Api,
            Origin::Schedule | Origin::Hook => Rank::Schedule,
        }
    }

    /// Whether its live attempts count for the bound of the API's and the schedules' runs.
    pub(crate) const fn is_low(&self) -> bool {
        matches!(self.created.origin, Origin::Api | Origin::Schedule | Origin::Hook)
    }

    /// What may start now, but for the places of other runs. `free` tells whether a step may have its locks.
    pub(crate) fn startable(&self, now: Timestamp, free: impl Fn(usize) -> bool) -> Vec<(usize, AttemptKind)> {
        let mut open = self.open(now);
        open.retain(|(no, _)| free(*no));
        if matches!(self.stage, Stage::RollingBack(_)) {
            return self.first_to_compensate(now, open);
        }
        open
    }

    /// What may start now, but for locks and for the places of other runs.
    pub(crate) fn open(&self, now: Timestamp) -> Vec<(usize, AttemptKind)> {
        if !self.holds() {
            return Vec::new();
        }
        if self.design.runbook.max_parallel.is_some_and(|most| self.live() >= most as usize) {
            return Vec::new();
        }
        if matches!(self.stage, Stage::RollingBack(_)) {
            return self.compensations(now);
        }
        let hard = self.hard();
        // 28
        let own_live = |status: Status| matches!(status, Status::Live(_, AttemptKind::Run));
        if hard && self.part(true).any(|(_, _, step)| own_live(step.status)) {
            return Vec::new();
        }
        let tidying = |status: Status| {
            matches!(status, Status::Live(_, AttemptKind::OnCancel) | Status::Waiting(AttemptKind::OnCancel, _))
        };
        let on_cancel_open = self.steps.iter().any(|step| tidying(step.status));
        let held = self.is_held();
        let mut found = Vec::new();
        for (no, step) in self.steps.iter().enumerate() {
            match step.status {
                // 66
                Status::Ready | Status::Pending if self.design.is_call(no) => {}
                // 84
                Status::Ready | Status::Pending | Status::Waiting(AttemptKind::Run, _) if held => {}
                // 101
                Status::Ready | Status::Pending if !self.has_room() => {}
                Status::Ready => found.push((no, AttemptKind::Run)),
                // A step without `if` needs no word that it is ready.
                Status::Pending => {
                    if self.starts_unsaid(no) {
                        found.push((no, AttemptKind::Run));
                    }
                }
                Status::Waiting(_, due) if due > now => {}
                Status::Waiting(AttemptKind::Verify, _) if hard && on_cancel_open => {}
                Status::Waiting(kind, _) => found.push((no, kind)),
                Status::Live(..)
                | Status::Paused { .. }
                | Status::Asking { .. }
                | Status::Unknown { .. }
                | Status::Child { .. }
                | Status::ChildRollback { .. }
                | Status::Over(_) => {}
            }
        }
        found
    }

    /// Whether a step that has not begun may do so, as far as its needs and its `if` go (5 to 8).
    pub(crate) fn may_begin(&self, no: usize) -> bool {
        match self.steps.get(no).map(|step| step.status) {
            Some(Status::Ready) => true,
            // A step without `if` needs no word that it is ready.
            Some(Status::Pending) => {
                self.is_plain(no)
                    && self.is_judged_now(no)
                    && !self.design.needs(no).any(|need| self.is_unmet(no, need))
            }
            _ => false,
        }
    }
}

impl RunModel {
    /// The compensations that nothing has to come before (59).
    fn compensations(&self, now: Timestamp) -> Vec<(usize, AttemptKind)> {
        let left = self.rolling.iter().flat_map(|rolling| rolling.left.iter().copied());
        let free: Vec<usize> = self.free_to_compensate();
        let free = |no: &usize| free.contains(no) && self.rolls_back_alone(*no);
        let left = left.filter_map(|no| Some((no, self.steps.get(no)?)));
        let open = left.filter(|(no, step)| is_due(step, now) || free(no));
        open.map(|(no, _)| (no, AttemptKind::Rollback)).collect()
    }

    /// Of these compensations, those that go first (59).
    fn first_to_compensate(&self, now: Timestamp, open: Vec<(usize, AttemptKind)>) -> Vec<(usize, AttemptKind)> {
        let step = |no: usize| self.steps.get(no);
        let again = |(no, _): &(usize, AttemptKind)| step(*no).is_some_and(|step| is_due(step, now));
        if open.iter().any(again) {
            return open.into_iter().filter(again).collect();
        }
        let last = open.iter().filter_map(|(no, _)| Some(step(*no)?.over_at)).max();
        open.into_iter().filter(|(no, _)| step(*no).map(|step| step.over_at) == last).collect()
    }
}

fn is_due(step: &StepModel, now: Timestamp) -> bool {
    matches!(step.status, Status::Waiting(_, due) if due <= now)
}

impl Model {
    fn live(&self) -> usize {
        self.runs.values().map(RunModel::live).sum()
    }

    fn low_live(&self) -> usize {
        self.runs.values().filter(|run| run.is_low()).map(RunModel::live).sum()
    }

    /// Whether a run of this rank would get a place (9).
    fn has_place(&self, rank: Rank) -> bool {
        let kept = match rank {
            Rank::TidiesUp | Rank::Person => 0,
            Rank::Api | Rank::Schedule => self.places / 4,
        };
        self.live() < self.places && (kept == 0 || self.low_live() < self.places - kept)
    }

    /// Whether this attempt of a run may start, before all others.
    pub(crate) fn may_start(&self, uid: RunUid, step: usize, kind: AttemptKind) -> Check {
        let run = self.run(uid)?;
        must(self.startable(run).contains(&(step, kind)), || {
            format!("{kind:?} of step {step} may not start: rule 5, 9, 10, 28, 59 or 94")
        })?;
        must(self.has_place(run.rank()), || "no place was free for it (9)".to_owned())?;
        for other in self.runs.values().filter(|other| other.rank() < run.rank()) {
            must(self.startable(other).is_empty(), || {
                format!("run {} should have gone first: {:?} before {:?} (9)", other.uid, other.rank(), run.rank())
            })?;
        }
        self.check_turns(uid)
    }

    /// Among runs of a rank nobody starts twice while another waits (9).
    fn check_turns(&self, uid: RunUid) -> Check {
        let run = self.run(uid)?;
        let Some(last_start) = self.last_start.get(&uid) else { return Ok(()) };
        for (other, since) in &self.waits_since {
            let same_rank = self.runs.get(other).is_some_and(|other| other.rank() == run.rank());
            must(*other == uid || !same_rank || since >= last_start, || {
                let waits = self.runs.get(other).map(|other| self.startable(other));
                format!("it starts again while run {other} of the same rank waits for its turn with {waits:?} (9)")
            })?;
        }
        Ok(())
    }

    /// Keeps who waits for a place since when, counted in events.
    pub(crate) fn note_waiting(&mut self, uid: RunUid) {
        let Some(run) = self.runs.get(&uid) else { return };
        let rank = run.rank();
        // What waits for locks may come and go by what others do.
        if run.startable(self.now, |no| !run.needs_locks(no)).is_empty() {
            self.waits_since.remove(&uid);
            self.waits_as.remove(&uid);
        } else if self.waits_as.insert(uid, rank) != Some(rank) {
            self.waits_since.insert(uid, self.events_seen);
        }
    }

    /// Nobody waits for a place that is free (9).
    pub(crate) fn check_places_given(&self) -> Check {
        must(self.live() <= self.places, || {
            format!("{} attempts are live, the bound is {}", self.live(), self.places)
        })?;
        for run in self.runs.values() {
            let startable = self.startable(run);
            must(startable.is_empty() || !self.has_place(run.rank()), || {
                format!("run {}: {startable:?} could start, and a place is free (9)", run.uid)
            })?;
        }
        Ok(())
    }

    /// Whether a queued run is to be admitted (1).
    pub(crate) fn is_admissible(&self, run: &RunModel) -> bool {
        run.stage == Stage::Queued
            && run.begins.is_none()
            && run.gated_until().is_none()
            && (run.ending.is_none() || run.asked.is_some())
            && !run.rolling.as_ref().is_some_and(|rolling| rolling.abandoned)
            && self.may_have((run.uid, None))
    }
}
