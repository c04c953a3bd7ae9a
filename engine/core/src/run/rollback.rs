//! Rollback: which steps are compensated, in which order, and what is left of it. Decides and derives; the state
//! changes in `apply` only. Never knows how an attempt of a compensation ended.

use std::collections::BTreeSet;

use super::event::{AttemptKind, Left, Outcome};
use super::pinned::Pinned;
use super::rejection::Rejection;
use super::state::{Phase, Progress, RunState, StepState};
use crate::definition::{Part, RollbackOf, RollbackPolicy, Step};
use crate::id::{RunUid, StepNo};
use crate::time::Timestamp;

/// What is left of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compensation {
    /// The steps that are still to be compensated, those that wait for a person among them.
    left: BTreeSet<StepNo>,
    /// For each step: how many of those that need it have something left behind them, or are left themselves.
    behind: Vec<u32>,
    /// What may start, by the time at which the step became terminal: attempts, and rollbacks of child runs.
    ready: BTreeSet<(Timestamp, StepNo)>,
    ready_below: BTreeSet<(Timestamp, StepNo)>,
    /// Compensations that failed and wait for a person.
    failed: BTreeSet<StepNo>,
    /// Nothing more starts.
    abandoned: bool,
}

impl Compensation {
    /// A rollback of these steps that begins.
    pub(super) fn of(steps: &[StepNo], pinned: &Pinned, states: &[StepState]) -> Self {
        let mut behind = vec![0_u32; pinned.runbook.steps.len()];
        for no in pinned.part(Part::Main) {
            for before in pinned.just_before(no) {
                if let Some(count) = behind.get_mut(before.index()) {
                    *count += 1;
                }
            }
        }
        let free = pinned.part(Part::Main).filter(|no| behind.get(no.index()) == Some(&0)).collect();
        let mut this = Self { left: steps.iter().copied().collect(), behind, ..Self::default() };
        this.release(free, pinned, states);
        this
    }

    /// A rollback that was given up before it began.
    pub(super) fn withdrawn() -> Self {
        Self { abandoned: true, ..Self::default() }
    }

    /// Nothing that comes after these steps is left.
    fn release(&mut self, mut free: Vec<StepNo>, pinned: &Pinned, states: &[StepState]) {
        while let Some(no) = free.pop() {
            if self.left.contains(&no) {
                let over = states.get(no.index()).and_then(|state| state.ended_at).unwrap_or(Timestamp(0));
                let own = pinned.runbook.step(no).is_some_and(|step| step.rollback.is_some());
                let ready = if own { &mut self.ready } else { &mut self.ready_below };
                ready.insert((over, no));
            } else {
                self.clear(no, pinned, &mut free);
            }
        }
    }

    /// Neither a step nor what comes after it is left: adds those that wait for nothing else to `free`.
    fn clear(&mut self, no: StepNo, pinned: &Pinned, free: &mut Vec<StepNo>) {
        for before in pinned.just_before(no) {
            let Some(count) = self.behind.get_mut(before.index()) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                free.push(before);
            }
        }
    }

    /// The attempts that may start, first that of the step that became terminal last.
    pub(super) fn next(&self) -> impl Iterator<Item = StepNo> {
        self.ready.iter().rev().map(|(_, no)| *no)
    }

    /// The steps whose child run may be rolled back, first the one that became terminal last.
    pub(super) fn next_below(&self) -> impl Iterator<Item = StepNo> {
        self.ready_below.iter().rev().map(|(_, no)| *no)
    }

    /// Whether anything may start; `room` tells whether child runs may.
    pub(super) fn may_go_on(&self, room: bool) -> bool {
        !self.ready.is_empty() || (room && !self.ready_below.is_empty())
    }

    /// Whether the compensation of a step may start for the first time.
    pub(super) fn may_start(&self, no: StepNo, over: Option<Timestamp>) -> bool {
        let entry = (over.unwrap_or(Timestamp(0)), no);
        self.ready.contains(&entry) || self.ready_below.contains(&entry)
    }

    /// The compensation of a step starts.
    pub(super) fn start(&mut self, no: StepNo, over: Option<Timestamp>) {
        let entry = (over.unwrap_or(Timestamp(0)), no);
        self.ready.remove(&entry);
        self.ready_below.remove(&entry);
    }

    /// A step is compensated, or left as it is for good.
    pub(super) fn settle(&mut self, no: StepNo, pinned: &Pinned, states: &[StepState]) {
        self.failed.remove(&no);
        if self.left.remove(&no) {
            let mut free = Vec::new();
            self.clear(no, pinned, &mut free);
            self.release(free, pinned, states);
        }
    }

    /// The compensation of a step failed.
    pub(super) fn fail(&mut self, no: StepNo) {
        if self.abandoned {
            self.left.remove(&no);
        } else {
            self.failed.insert(no);
        }
    }

    /// The compensation of a step is tried again by a person's word.
    pub(super) fn retry(&mut self, no: StepNo) {
        self.failed.remove(&no);
    }

    /// Nothing more starts; what is live stays until its end.
    pub(super) fn abandon(&mut self, is_live: impl Fn(StepNo) -> bool) {
        self.abandoned = true;
        self.ready.clear();
        self.ready_below.clear();
        self.failed.clear();
        self.left.retain(|no| is_live(*no));
    }

    /// Compensations that failed and wait for a person.
    pub fn failed(&self) -> &BTreeSet<StepNo> {
        &self.failed
    }

    /// Whether nothing more starts.
    pub(super) const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }
}

impl RunState {
    /// What is left of its rollback, if there is or was one in this epoch.
    pub const fn rollback(&self) -> Option<&Compensation> {
        self.rollback.as_ref()
    }

    /// Whether there is a rollback, or one is asked for, that can be given up.
    pub(super) fn can_abandon(&self) -> bool {
        match self.phase {
            Phase::RollingBack(_) => !self.rollback.as_ref().is_some_and(Compensation::is_abandoned),
            Phase::Queued => self.rollback_asked.is_some(),
            Phase::Running | Phase::Finishing(_) | Phase::Terminal(_) => false,
        }
    }

    /// Whether a rollback goes on only with a person's word.
    pub(super) fn waits_in_rollback(&self) -> bool {
        let Some(rollback) = &self.rollback else { return false };
        let someone = !rollback.failed.is_empty() || self.needs_person();
        someone && rollback.ready.is_empty() && rollback.ready_below.is_empty() && !self.is_moving()
    }

    /// The steps without a way back that have started.
    pub fn points_of_no_return(&self) -> impl Iterator<Item = StepNo> {
        self.steps()
            .filter(|(_, step, state)| {
                let on = matches!(state.progress, Progress::Live(_, AttemptKind::Run) | Progress::Child);
                step.no_return && (state.ran || on)
            })
            .map(|(no, ..)| no)
    }

    /// Whether a rollback by hand is possible.
    ///
    /// # Errors
    /// The refusal, but for steps without a way back that were not named.
    pub fn can_roll_back(&self) -> Result<Vec<StepNo>, Rejection> {
        let refused = |why: &'static str| Rejection::NothingToRollBack { why };
        match self.phase {
            Phase::Terminal(Outcome::Failed | Outcome::Canceled) => {}
            Phase::Terminal(Outcome::RolledBack) => return Err(refused("it is rolled back already")),
            Phase::Terminal(Outcome::Succeeded) => {
                return Err(refused("it succeeded; only a run that failed or was canceled is rolled back"));
            }
            Phase::RollingBack(_) => return Err(Rejection::RollingBack),
            Phase::Queued if self.rollback_asked.is_some() => return Err(Rejection::RollingBack),
            Phase::Queued | Phase::Running | Phase::Finishing(_) if self.ending.is_some() && self.needs_person() => {
                return Err(refused(
                    "it is ending, and waits for a person: what `runbook status` names has to be settled first",
                ));
            }
            Phase::Queued | Phase::Running | Phase::Finishing(_) => {
                return Err(refused("it is not over; cancel it first"));
            }
        }
        if self.pinned.runbook.rollback.policy == RollbackPolicy::Never {
            return Err(refused("its runbook says rollback: never"));
        }
        let steps = self.to_compensate(false);
        if !steps.is_empty() {
            return Ok(steps);
        }
        let ran = self.steps().any(|(_, step, state)| step.part == Part::Main && state.ran);
        Err(refused(match self.pinned.runbook.rollback.of {
            _ if !ran => "none of its steps did anything",
            RollbackOf::Succeeded => "no step that succeeded says how it is rolled back (`rollback:` of the step)",
            RollbackOf::Started => "no step that has started says how it is rolled back (`rollback:` of the step)",
        }))
    }

    /// The steps that a rollback compensates; one that comes by itself leaves out what is behind a point of no return.
    pub(super) fn to_compensate(&self, by_itself: bool) -> Vec<StepNo> {
        // What changed nothing is not compensated.
        if self.is_dry() {
            return Vec::new();
        }
        let of = self.pinned.runbook.rollback.of;
        let left_out = if by_itself { self.before_no_return() } else { BTreeSet::new() };
        let wanted = |step: &Step, state: &StepState| match &step.rollback {
            Some(_) => {
                of == RollbackOf::Started || matches!(state.progress, Progress::Succeeded | Progress::RollbackFailed)
            }
            // What of it succeeded, the child run itself knows.
            None => match state.left {
                Left::Nothing => false,
                Left::Something => !(by_itself && step.no_return),
                Left::GivenUp => !by_itself,
            },
        };
        self.steps()
            .filter(|(no, step, state)| {
                step.part == Part::Main && state.ran && wanted(step, state) && !left_out.contains(no)
            })
            .map(|(no, ..)| no)
            .collect()
    }

    /// What a run that is over leaves that the rollback of the run above would compensate.
    pub(crate) fn leaves(&self) -> Left {
        let never = self.pinned.runbook.rollback.policy == RollbackPolicy::Never;
        match self.to_compensate(false) {
            steps if never || steps.is_empty() => Left::Nothing,
            _ if self.steps.iter().any(|state| state.progress == Progress::RollbackFailed) => Left::GivenUp,
            _ => Left::Something,
        }
    }

    /// The next step whose child run may be rolled back, with that. `free` tells of a step that has not got its locks
    /// whether it may have them.
    pub(crate) fn next_undo(&self, free: impl Fn(StepNo) -> bool) -> Option<(StepNo, RunUid)> {
        let rollback = self.rollback.as_ref().filter(|_| matches!(self.phase, Phase::RollingBack(_)))?;
        let mut steps = rollback.next_below().filter(|_| self.has_room());
        let step = steps.find(|step| !self.needs_locks(*step) || free(*step))?;
        Some((step, self.step(step)?.child?))
    }

    /// What the started steps without a way back come after, directly or not.
    fn before_no_return(&self) -> BTreeSet<StepNo> {
        let mut open: Vec<StepNo> = self.points_of_no_return().collect();
        let mut found = BTreeSet::new();
        while let Some(no) = open.pop() {
            for before in self.pinned.just_before(no) {
                if found.insert(before) {
                    open.push(before);
                }
            }
        }
        found
    }
}
