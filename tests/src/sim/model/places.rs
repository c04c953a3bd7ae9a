//! Rules 9, 10, 28 and 135 to 140, and 1: who may start, and who is admitted.

use std::collections::BTreeSet;

use runbook_core::definition::Priority;
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
    Of(Priority, Wanted),
}

/// Who wanted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    Person,
    Api,
    Schedule,
}

/// Where a run waits: for a place in this pool, or in none (135, 136).
pub(crate) type Line = (RunUid, Option<String>);

impl RunModel {
    pub(crate) fn rank(&self) -> Rank {
        let tidies = self.created.parent.is_some_and(|parent| parent.tidies);
        if self.hard() || tidies || matches!(self.stage, Stage::RollingBack(_) | Stage::Finally(_)) {
            return Rank::TidiesUp;
        }
        self.by_origin()
    }

    /// Its rank as long as it does not tidy up.
    pub(crate) fn by_origin(&self) -> Rank {
        let wanted = match self.created.origin {
            Origin::Person => Wanted::Person,
            Origin::Api => Wanted::Api,
            Origin::Schedule | Origin::Hook => Wanted::Schedule,
        };
        // 139
        Rank::Of(self.created.terms.priority.unwrap_or(Priority::Normal), wanted)
    }

    /// The pool that attempts of a step need a place of (135).
    pub(crate) fn pool(&self, no: usize) -> Option<String> {
        self.design.runbook.steps.get(no)?.pool.clone()
    }

    /// How many live attempts have a place in a pool.
    fn live_in(&self, pool: &str) -> usize {
        let live = self.steps.iter().enumerate().filter(|(_, step)| matches!(step.status, Status::Live(..)));
        live.filter(|(no, _)| self.pool(*no).as_deref() == Some(pool)).count()
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
            // 136
            let pools: BTreeSet<Option<String>> = open.iter().map(|(no, _)| self.pool(*no)).collect();
            let of = |pool: &Option<String>| open.iter().copied().filter(|(no, _)| self.pool(*no) == *pool).collect();
            return pools.iter().flat_map(|pool| self.first_to_compensate(now, of(pool))).collect();
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
            matches!(
                status,
                Status::Live(_, AttemptKind::OnCancel)
                    | Status::Waiting(AttemptKind::OnCancel, _)
                    | Status::Withheld(AttemptKind::OnCancel)
            )
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
                | Status::Withheld(_)
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
            Rank::TidiesUp | Rank::Of(_, Wanted::Person) => 0,
            Rank::Of(_, Wanted::Api | Wanted::Schedule) => self.places / 4,
        };
        self.live() < self.places && (kept == 0 || self.low_live() < self.places - kept)
    }

    /// Whether a place is free in the pool of a step, if it has one (135).
    fn has_room(&self, run: &RunModel, no: usize) -> bool {
        run.pool(no).is_none_or(|pool| {
            let taken: usize = self.runs.values().map(|run| run.live_in(&pool)).sum();
            taken < self.pools.get(&pool).copied().unwrap_or(0)
        })
    }

    /// What of a run could start now, but for places among all attempts.
    fn with_room(&self, run: &RunModel) -> Vec<(usize, AttemptKind)> {
        let mut startable = self.startable(run);
        startable.retain(|(no, _)| self.has_room(run, *no));
        startable
    }

    /// Whether this attempt of a run may start, before all others.
    pub(crate) fn may_start(&self, uid: RunUid, step: usize, kind: AttemptKind) -> Check {
        let run = self.run(uid)?;
        must(self.startable(run).contains(&(step, kind)), || {
            format!("{kind:?} of step {step} may not start: rule 5, 9, 10, 28, 59 or 94")
        })?;
        must(self.has_place(run.rank()), || "no place was free for it (9)".to_owned())?;
        must(self.has_room(run, step), || format!("no place was free in {:?} (135)", run.pool(step)))?;
        let first = |other: &&RunModel| other.rank() < run.rank() && self.has_place(other.rank());
        for other in self.runs.values().filter(first) {
            must(self.with_room(other).is_empty(), || {
                format!("run {} should have gone first: {:?} before {:?} (9, 139)", other.uid, other.rank(), run.rank())
            })?;
        }
        self.check_turns((uid, run.pool(step)))
    }

    /// Among runs of a rank nobody starts twice in a pool, or in none, while another waits for that (9, 136).
    fn check_turns(&self, line: Line) -> Check {
        let run = self.run(line.0)?;
        let Some(last_start) = self.last_start.get(&line) else { return Ok(()) };
        for ((other, pool), (since, rank)) in &self.waits {
            must(*other == line.0 || *pool != line.1 || *rank != run.rank() || since >= last_start, || {
                let waits = self.runs.get(other).map(|other| self.startable(other));
                format!("it starts again while run {other} of the same rank waits for its turn with {waits:?} (9, 136)")
            })?;
        }
        Ok(())
    }

    /// Keeps who waits for a place since when, counted in events.
    pub(crate) fn note_waiting(&mut self, uid: RunUid) {
        let Some(run) = self.runs.get(&uid) else { return };
        let rank = run.rank();
        // What waits for locks may come and go by what others do.
        let startable = run.startable(self.now, |no| !run.needs_locks(no));
        let pools: BTreeSet<Option<String>> = startable.into_iter().map(|(no, _)| run.pool(no)).collect();
        let seen = self.events_seen;
        self.waits.retain(|(other, pool), _| *other != uid || pools.contains(pool));
        for pool in pools {
            let waits = self.waits.entry((uid, pool)).or_insert((seen, rank));
            if waits.1 != rank {
                *waits = (seen, rank);
            }
        }
    }

    /// Nobody waits for a place that is free (9).
    pub(crate) fn check_places_given(&self) -> Check {
        must(self.live() <= self.places, || {
            format!("{} attempts are live, the bound is {}", self.live(), self.places)
        })?;
        for run in self.runs.values() {
            let startable = self.with_room(run);
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
