//! What of a run may start now, and the pools that it needs places of. Never knows other runs: whether a lock or a place is
//! free is asked of others.

use std::collections::{BTreeMap, BTreeSet};

use super::event::AttemptKind;
use super::rollback::Compensation;
use super::state::{Phase, Progress, RunState};
use crate::id::StepNo;
use crate::time::Timestamp;

/// Steps that wait for a place, by the pool that they need one of as well: a look at each of many thousand would find the
/// same pool full.
#[derive(Debug, Clone, Default)]
pub(super) struct Ready {
    plain: BTreeSet<StepNo>,
    pooled: BTreeMap<String, BTreeSet<StepNo>>,
}

impl Ready {
    /// A step waits.
    pub fn insert(&mut self, step: StepNo, pool: Option<&str>) {
        let Some(pool) = pool else {
            self.plain.insert(step);
            return;
        };
        match self.pooled.get_mut(pool) {
            Some(of_pool) => of_pool.insert(step),
            None => self.pooled.entry(pool.to_owned()).or_default().insert(step),
        };
    }

    /// It waits no longer.
    pub fn remove(&mut self, step: StepNo, pool: Option<&str>) {
        let Some(pool) = pool else {
            self.plain.remove(&step);
            return;
        };
        if let Some(of_pool) = self.pooled.get_mut(pool) {
            of_pool.remove(&step);
            if of_pool.is_empty() {
                self.pooled.remove(pool);
            }
        }
    }

    /// Whether a step waits.
    pub fn contains(&self, step: StepNo, pool: Option<&str>) -> bool {
        self.of(pool).is_some_and(|of_pool| of_pool.contains(&step))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.pooled.is_empty()
    }

    fn of(&self, pool: Option<&str>) -> Option<&BTreeSet<StepNo>> {
        pool.map_or(Some(&self.plain), |pool| self.pooled.get(pool))
    }

    fn all(&self) -> impl Iterator<Item = (Option<&str>, &BTreeSet<StepNo>)> {
        let plain = Some((None, &self.plain)).filter(|(_, steps)| !steps.is_empty());
        plain.into_iter().chain(self.pooled.iter().map(|(pool, steps)| (Some(pool.as_str()), steps)))
    }
}

impl RunState {
    /// The pool that attempts of a step need a place of.
    pub fn pool(&self, step: StepNo) -> Option<&str> {
        self.pinned.runbook.step(step)?.pool.as_deref()
    }

    /// A step waits for a place no longer.
    pub(super) fn not_ready(&mut self, step: StepNo) {
        let pool = self.pinned.runbook.step(step).and_then(|step| step.pool.as_deref());
        self.ready.remove(step, pool);
    }

    /// How many of its attempts have a place in each pool.
    pub const fn in_pools(&self) -> &BTreeMap<String, usize> {
        &self.in_pools
    }

    /// An attempt of a step got its place in a pool, or gives it back.
    pub(super) fn count_place(&mut self, step: StepNo, takes: bool) {
        let Some(pool) = self.pinned.runbook.step(step).and_then(|step| step.pool.as_ref()) else { return };
        match self.in_pools.get_mut(pool) {
            Some(count) if takes => *count += 1,
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                self.in_pools.remove(pool);
            }
            None if takes => {
                self.in_pools.insert(pool.clone(), 1);
            }
            None => {}
        }
    }

    /// What has to have a place for something of the run to start now: pools in order, and before them `None` for what
    /// needs a place in none. `free` tells of a step that has not got its locks whether it may have them.
    pub fn wants_places(&self, now: Timestamp, free: impl Fn(StepNo) -> bool) -> Vec<Option<&str>> {
        let may = |step: StepNo| !self.needs_locks(step) || free(step);
        let mut found = Vec::new();
        for (step, _) in self.due(now).chain(self.compensations()) {
            let pool = self.pool(step);
            if found.contains(&pool) || !may(step) {
                continue;
            }
            found.push(pool);
            if found.len() == self.pinned.pools() {
                break;
            }
        }
        if self.lets_begin() {
            for (pool, steps) in self.ready.all() {
                if !found.contains(&pool) && steps.iter().any(|step| may(*step)) {
                    found.push(pool);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The next that may start now and needs a place in this pool, or in none: the step and what of it. `free` as above.
    pub fn next_start(
        &self,
        now: Timestamp,
        pool: Option<&str>,
        free: impl Fn(StepNo) -> bool,
    ) -> Option<(StepNo, AttemptKind)> {
        self.starts_of(now, pool).find(|(step, _)| !self.needs_locks(*step) || free(*step))
    }

    /// The steps of which something may start now but for locks and places, and needs a place in this pool.
    pub fn starts_in(&self, now: Timestamp, pool: &str) -> impl Iterator<Item = StepNo> {
        self.starts_of(now, Some(pool)).map(|(step, _)| step)
    }

    /// What may start now but for locks and places, and needs a place in this pool, or in none; the next first.
    pub(super) fn starts_of(&self, now: Timestamp, pool: Option<&str>) -> impl Iterator<Item = (StepNo, AttemptKind)> {
        let due = self.due(now).chain(self.compensations());
        let ready = self.ready.of(pool).into_iter().flatten().filter(move |_| self.lets_begin());
        due.filter(move |(step, _)| self.pool(*step) == pool).chain(ready.map(|step| (*step, AttemptKind::Run)))
    }

    /// Attempts that follow others and whose time has come.
    fn due(&self, now: Timestamp) -> impl Iterator<Item = (StepNo, AttemptKind)> {
        let any = self.holds() && self.lets_start();
        let due = self.timed.iter().take_while(move |(at, _)| any && *at <= now);
        due.filter_map(|(_, step)| Some((*step, self.follows_in_time(*step)?)))
    }

    /// What of a step follows once its time has come, if that may start but for locks and places.
    fn follows_in_time(&self, step: StepNo) -> Option<AttemptKind> {
        let hard = self.phase == Phase::Running && self.ends_hard();
        match self.progress(step) {
            Progress::RollbackRetry(_) => Some(AttemptKind::Rollback),
            Progress::Retry(_) if !self.is_held() => Some(AttemptKind::Run),
            Progress::OnCancel(_) => Some(AttemptKind::OnCancel),
            Progress::Verify(_) if !hard || self.on_cancel_open == 0 => Some(AttemptKind::Verify),
            Progress::Retry(_)
            | Progress::Verify(_)
            | Progress::Pending
            | Progress::Ready
            | Progress::Live(..)
            | Progress::Waiting { .. }
            | Progress::Asking { .. }
            | Progress::Child
            | Progress::ChildRollback
            | Progress::Unknown { .. }
            | Progress::Withheld(_)
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled
            | Progress::RolledBack
            | Progress::RollbackFailed => None,
        }
    }

    /// The steps that gave their locks up by a person's word, and of which something would start now if they had them again.
    pub(super) fn wants_again(&self, now: Timestamp) -> impl Iterator<Item = StepNo> {
        let any = !self.let_go.is_empty() && self.holds() && self.lets_start();
        let due = move |step: &StepNo| self.progress(*step).due().is_some_and(|at| at <= now);
        let steps = self.let_go.iter().copied().filter(move |step| any && due(step));
        steps.filter(|step| self.follows_in_time(*step).is_some())
    }

    /// The compensations that may begin, the next first.
    fn compensations(&self) -> impl Iterator<Item = (StepNo, AttemptKind)> {
        let any = self.compensates() && self.lets_start();
        let rollback = self.rollback.iter().filter(move |_| any).flat_map(Compensation::next);
        rollback.map(|step| (step, AttemptKind::Rollback))
    }

    /// Whether steps that have not begun may do so.
    fn lets_begin(&self) -> bool {
        self.holds() && self.lets_start() && !self.compensates() && !self.is_held() && self.has_room()
    }

    /// Whether another attempt may start beside those that are live: there is room for it, and where the run goes hard to its
    /// end the processes of its main steps are gone, which comes before `on_cancel` and `verify`.
    pub(super) fn lets_start(&self) -> bool {
        let room = self.pinned.runbook.max_parallel.is_none_or(|max| self.live.len() < max as usize);
        room && !(self.phase == Phase::Running && self.ends_hard() && self.run_live_main > 0)
    }
}
