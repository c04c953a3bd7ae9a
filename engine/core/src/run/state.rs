//! The state of a run and what can be read off it. It changes in `apply` only.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{Artifact, AttemptKind, Created, EndingCause, Left, Outcome, Parent, Principal, Waits};
use super::gate::Gate;
use super::hold::Hold;
use super::pinned::Pinned;
use super::repeat::RepeatEnd;
use super::rollback::Compensation;
use super::starts::Ready;
use crate::definition::{Part, Step, WhenSkipped};
use crate::id::{AttemptNo, RunUid, StepNo};
use crate::time::Timestamp;

/// The state of one run: a fold of its events.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(super) uid: RunUid,
    pub(super) pinned: Arc<Pinned>,
    /// Other definitions that it went by, or may go on by.
    pub(super) known: Vec<Arc<Pinned>>,
    pub(super) created: Arc<Created>,
    pub(super) created_at: Timestamp,
    pub(super) last_event: u64,
    pub(super) last_at: Timestamp,
    pub(super) epoch: u32,
    pub(super) phase: Phase,
    pub(super) ending: Option<EndingCause>,
    pub(super) admitted_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) deadline: Option<Timestamp>,
    /// Since when it stands still; the run's timeout does not count meanwhile.
    pub(super) still_since: Option<Timestamp>,
    pub(super) steps: Vec<StepState>,
    // Indexes over `steps`: each could be found by a scan; a scan per turn would make a run of n steps cost n².
    pub(super) live: BTreeMap<StepNo, Attempt>,
    /// How many of them have a place in each pool.
    pub(super) in_pools: BTreeMap<String, usize>,
    pub(super) ready: Ready,
    pub(super) to_judge: BTreeSet<StepNo>,
    pub(super) timed: BTreeSet<(Timestamp, StepNo)>,
    /// Steps that wait for a time, and how many of `timed` wait for their next probe.
    pub(super) waits: BTreeSet<(Timestamp, StepNo)>,
    pub(super) probing: usize,
    /// Steps that wait for persons; those that do so for a time only are in `waits` too.
    pub(super) asking: BTreeSet<StepNo>,
    pub(super) unknown: BTreeMap<StepNo, Timestamp>,
    /// Steps that wait for values which a person has to give.
    pub(super) withheld: BTreeSet<StepNo>,
    pub(super) open_main: usize,
    pub(super) open_finally: usize,
    pub(super) on_cancel_open: usize,
    pub(super) run_live_main: usize,
    pub(super) first_failure: Option<StepNo>,
    /// How many main steps failed whose failure counts.
    pub(super) failures: u32,
    /// How many steps have begun and are not over.
    pub(super) on: usize,
    /// A rollback that was asked for and has not begun, with how the run had ended.
    pub(super) rollback_asked: Option<Outcome>,
    /// What is left of a rollback; kept once it is over.
    pub(super) rollback: Option<Compensation>,
    /// Steps that may start a child run.
    pub(super) to_call: BTreeSet<StepNo>,
    /// Steps that may start an attempt or a child run, and need locks for that.
    pub(super) wanting: BTreeSet<StepNo>,
    /// Steps that have their locks, and since when: from the start of an attempt or a child run until they are over.
    pub(super) locking: BTreeMap<StepNo, Timestamp>,
    /// Steps that gave their locks up by a person's word, and have not got them again.
    pub(super) let_go: BTreeSet<StepNo>,
    /// The child runs that are on.
    pub(super) children: BTreeMap<StepNo, RunUid>,
    /// The steps whose child run waits, and how many of them need a person.
    pub(super) below: BTreeMap<StepNo, Waits>,
    pub(super) attention_below: usize,
    /// The outputs of the runbook, once its main steps are over.
    pub(super) outputs: IndexMap<String, Value>,
    /// Why they cannot be made; empty where they can.
    pub(super) outputs_message: String,
    /// Where its steps stand for iterations, how these were over.
    pub(super) repeat_end: Option<RepeatEnd>,
    pub(super) hold: Option<Hold>,
    /// Steps before which it is still to be held.
    pub(super) hold_before: BTreeSet<StepNo>,
    /// When it begins to wait for its locks and its group, while that time has not come.
    pub(super) begin: Option<Timestamp>,
    pub(super) gate: Option<Gate>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its locks and its group.
    Queued,
    /// Its steps are on, or it is ending.
    Running,
    /// What steps did is compensated; how the run ends if that is not done to its end.
    RollingBack(Outcome),
    /// `finally` is on.
    Finishing(Outcome),
    /// It is over.
    Terminal(Outcome),
}

/// The state of one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepState {
    /// Where it is.
    pub progress: Progress,
    /// The number of its latest attempt; 0 before the first.
    pub attempts: AttemptNo0,
    /// Attempts of this epoch that count for `retry`.
    pub tries: u32,
    /// Attempts in a row that did not even start.
    pub false_starts: u32,
    /// Tries of the current `verify` or `on_cancel`.
    pub side_tries: u32,
    /// Needs that are not terminal.
    pub(super) unmet: u32,
    /// An attempt of the step itself has run, in whatever epoch, and nothing undid it since.
    pub ran: bool,
    /// A resume kept it, and something that it comes after is open again.
    pub(super) held: bool,
    /// It was held, and something whose success it stands on did not succeed again.
    pub(super) shaken: bool,
    /// It was skipped, and stands for one that succeeded.
    pub stands_in: bool,
    /// It was skipped, and nothing that failed or was canceled is the reason.
    pub(super) passed_over: bool,
    /// The latest attempt of the step itself.
    pub last_run: Option<AttemptNo>,
    /// What the latest attempt ran.
    pub last_kind: Option<AttemptKind>,
    /// Its outputs, once it succeeded.
    pub outputs: IndexMap<String, Value>,
    /// What the latest attempt of the step itself had written, also when it failed.
    pub attempt_outputs: IndexMap<String, Value>,
    /// The exit code of the latest attempt of the step itself, if it exited.
    pub exit_code: Option<i32>,
    /// The artifacts of the latest attempt of the step itself.
    pub artifacts: Vec<Artifact>,
    /// What persons decided about it in this epoch.
    pub votes: Vec<Vote>,
    /// When a step that probes fails unless a probe says that its wait is over.
    pub wait_until: Option<Timestamp>,
    /// While it is withheld, the inputs of the run at the top that it still waits for.
    pub missing: BTreeSet<String>,
    /// The names of its locks, as they were when it was judged last.
    pub locks: Vec<String>,
    /// Its latest child run.
    pub child: Option<RunUid>,
    /// What that left when it was over last.
    pub left: Left,
    /// Whether that ended rolled back.
    pub undone_below: bool,
    /// How many child runs it has started.
    pub children: u32,
    /// When its first attempt, or its child run, was decided in this epoch, or its wait began.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub ended_at: Option<Timestamp>,
    /// Why it is where it is, for a person.
    pub message: String,
}

/// An attempt that may have processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub number: AttemptNo,
    pub kind: AttemptKind,
    pub since: Timestamp,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// Who.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Whether for it.
    pub approve: bool,
    /// Why.
    pub reason: String,
    /// What was filled in; of what is secret, under which name it is sealed.
    pub fields: IndexMap<String, Value>,
}

impl StepState {
    /// Whether it waits for a length of time: that moves when the wall clock is set.
    pub(super) fn waits_for_long(&self) -> bool {
        self.wait_until.is_some()
            || matches!(self.progress, Progress::Waiting { fixed: false, .. } | Progress::Asking { until: Some(_) })
    }
}

/// The number of the latest attempt, 0 when there was none.
pub type AttemptNo0 = u32;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Nothing of it began in this epoch.
    #[default]
    Pending,
    /// Its `if` held; it waits for a place.
    Ready,
    /// An attempt may have processes.
    Live(AttemptNo, AttemptKind),
    /// It is tried again at this time.
    Retry(Timestamp),
    /// It waits for a time, and has no attempts.
    Waiting {
        /// The time.
        until: Timestamp,
        /// Whether it stays where it is when the wall clock is set.
        fixed: bool,
    },
    /// It waits for persons.
    Asking {
        /// How long they have.
        until: Option<Timestamp>,
    },
    /// `verify` is asked at this time.
    Verify(Timestamp),
    /// `on_cancel` is run at this time.
    OnCancel(Timestamp),
    /// Its child run is on.
    Child,
    /// Its child run is rolled back.
    ChildRollback,
    /// Nobody knows what its latest attempt did.
    Unknown {
        /// Processes of it are left that could not be killed; a later verdict settles it.
        processes_left: bool,
    },
    /// An attempt of this kind did not start, for want of values that are kept nowhere: it waits for a person to give them.
    Withheld(AttemptKind),
    /// It is over, well.
    Succeeded,
    /// It is over, badly.
    Failed,
    /// It will not run.
    Skipped,
    /// It was canceled.
    Canceled,
    /// Its compensation is tried again at this time.
    RollbackRetry(Timestamp),
    /// What it did is compensated.
    RolledBack,
    /// Its compensation failed.
    RollbackFailed,
}

impl Progress {
    /// Whether nothing more happens to the step in this epoch.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded
            | Self::Failed
            | Self::Skipped
            | Self::Canceled
            | Self::RolledBack
            | Self::RollbackFailed => true,
            Self::Pending
            | Self::Ready
            | Self::Live(..)
            | Self::Retry(_)
            | Self::Waiting { .. }
            | Self::Asking { .. }
            | Self::Verify(_)
            | Self::OnCancel(_)
            | Self::RollbackRetry(_)
            | Self::Child
            | Self::ChildRollback
            | Self::Withheld(_)
            | Self::Unknown { .. } => false,
        }
    }
}

impl Progress {
    /// When something of the step is due that follows an attempt.
    pub(super) const fn due(self) -> Option<Timestamp> {
        match self {
            Self::Retry(at) | Self::Verify(at) | Self::OnCancel(at) | Self::RollbackRetry(at) => Some(at),
            Self::Pending
            | Self::Ready
            | Self::Live(..)
            | Self::Waiting { .. }
            | Self::Asking { .. }
            | Self::Child
            | Self::ChildRollback
            | Self::Withheld(_)
            | Self::Unknown { .. }
            | Self::Succeeded
            | Self::Failed
            | Self::Skipped
            | Self::Canceled
            | Self::RolledBack
            | Self::RollbackFailed => None,
        }
    }
}

/// How an attempt should be going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopLevel {
    /// It should run.
    Run,
    /// It should be stopped, with its grace.
    Graceful,
    /// It should be stopped at once.
    Now,
}

impl RunState {
    /// The run's uid.
    pub const fn uid(&self) -> RunUid {
        self.uid
    }

    /// Its definition.
    pub fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }

    /// All definitions that it went by, or may go on by.
    pub fn definitions(&self) -> impl Iterator<Item = &Arc<Pinned>> {
        self.known.iter().chain([&self.pinned])
    }

    /// Takes note of a definition that a later event may name.
    pub fn learn(&mut self, pinned: Arc<Pinned>) {
        if self.definitions().all(|known| known.digest != pinned.digest) {
            self.known.push(pinned);
        }
    }

    /// Its first fact.
    pub fn created(&self) -> &Created {
        &self.created
    }

    /// When it was created.
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When its steps were let go, in this epoch.
    pub const fn admitted_at(&self) -> Option<Timestamp> {
        self.admitted_at
    }

    /// When it became terminal.
    pub const fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    /// The number of its latest event.
    pub const fn last_event(&self) -> u64 {
        self.last_event
    }

    /// When its latest event was decided.
    pub const fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// Its epoch, from 1.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// When it begins to wait for its locks and its group, while that time has not come.
    pub const fn begins(&self) -> Option<Timestamp> {
        self.begin
    }

    /// Whether that time stays where it is when the wall clock is set.
    pub(super) fn begins_by_the_wall(&self) -> bool {
        self.created.terms.begin.is_some_and(|begin| begin.after.is_none())
    }

    /// Whether it goes to its end by an order that ends attempts too.
    pub(super) fn ends_hard(&self) -> bool {
        self.ending.as_ref().is_some_and(EndingCause::is_hard)
    }

    /// Why it goes to its end, if it does.
    pub fn ending(&self) -> Option<&EndingCause> {
        self.ending.as_ref()
    }

    /// Until when the run's timeout lets it go on.
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The first step of this epoch whose failure makes the run fail.
    pub const fn first_failure(&self) -> Option<StepNo> {
        self.first_failure
    }

    /// The state of a step.
    pub fn step(&self, no: StepNo) -> Option<&StepState> {
        self.steps.get(no.index())
    }

    /// All steps, in the order of the definition.
    pub fn steps(&self) -> impl Iterator<Item = (StepNo, &Step, &StepState)> {
        self.pinned
            .runbook
            .steps
            .iter()
            .zip(&self.steps)
            .enumerate()
            .map(|(index, (step, state))| (StepNo(index as u32), step, state))
    }

    /// Whether a step is as good as succeeded for those that need it.
    pub(super) fn is_met(&self, no: StepNo) -> bool {
        let goes_on = || self.pinned.runbook.step(no).is_some_and(|step| step.when_skipped == WhenSkipped::GoOn);
        let succeeded = self.step(no).is_some_and(|state| state.progress == Progress::Succeeded && !state.shaken);
        let stands_in = self.step(no).is_some_and(|state| state.stands_in);
        succeeded || stands_in || (self.is_passed_over(no) && goes_on())
    }

    /// Whether a step was skipped, and not for what failed or was canceled.
    pub(super) fn is_passed_over(&self, no: StepNo) -> bool {
        self.step(no).is_some_and(|state| state.progress == Progress::Skipped && state.passed_over)
    }

    /// The attempts that may have processes, and how they should be going on.
    pub fn live(&self) -> impl Iterator<Item = (StepNo, AttemptNo, AttemptKind, StopLevel)> {
        self.live.iter().map(|(step, live)| (*step, live.number, live.kind, self.stop_level(*step, live.kind)))
    }

    /// Since when the attempt of a step that may have processes is on.
    pub fn live_since(&self, step: StepNo) -> Option<Timestamp> {
        self.live.get(&step).map(|live| live.since)
    }

    /// How many attempts may have processes.
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// How an attempt of this kind should be going on: a hard ending stops the main steps' own attempts, and
    /// nothing else.
    pub fn stop_level(&self, step: StepNo, kind: AttemptKind) -> StopLevel {
        let main = self.pinned.runbook.step(step).is_some_and(|s| s.part == Part::Main);
        match (&self.ending, kind) {
            (Some(cause), AttemptKind::Run) if main && cause.is_hard() => match cause {
                EndingCause::Cancel { now: true, .. } => StopLevel::Now,
                EndingCause::Cancel { .. }
                | EndingCause::Timeout
                | EndingCause::Deadlock { .. }
                | EndingCause::FailureCancel(_)
                | EndingCause::FailureStop(_) => StopLevel::Graceful,
            },
            (_, AttemptKind::Run | AttemptKind::Verify | AttemptKind::OnCancel | AttemptKind::Rollback) => {
                StopLevel::Run
            }
        }
    }

    /// The steps that nobody can settle but a person, with the time since when.
    pub fn unknown(&self) -> &BTreeMap<StepNo, Timestamp> {
        &self.unknown
    }

    /// The steps that wait for persons to approve.
    pub fn asking(&self) -> impl Iterator<Item = StepNo> {
        self.asking.iter().copied()
    }

    /// Whether nobody but a person can help: a step of it, or of a child run below, is unknown or withheld.
    pub fn needs_person(&self) -> bool {
        !self.unknown.is_empty() || !self.withheld.is_empty() || self.attention_below > 0
    }

    /// The place of a child run; `None` for a run at the top.
    pub fn parent(&self) -> Option<&Parent> {
        self.created.parent.as_ref()
    }

    /// The run at the top of its tree: itself, where it has no parent.
    pub fn root(&self) -> RunUid {
        self.parent().map_or(self.uid, |parent| parent.root)
    }

    /// The child runs that are on, by step.
    pub fn children(&self) -> &BTreeMap<StepNo, RunUid> {
        &self.children
    }

    /// What the child run of a step waits for.
    pub fn waits_below(&self, step: StepNo) -> Waits {
        self.below.get(&step).copied().unwrap_or(Waits::No)
    }

    /// The steps whose child run waits, and for what.
    pub fn waiting_below(&self) -> impl Iterator<Item = (StepNo, Waits)> {
        self.below.iter().map(|(step, waits)| (*step, *waits))
    }

    /// The next step that may start its child run: that needs no place among attempts. `free` tells of a step that has
    /// not got its locks whether it may have them.
    pub fn next_call(&self, free: impl Fn(StepNo) -> bool) -> Option<StepNo> {
        let goes_on = self.holds() && !self.is_held() && self.has_room();
        self.to_call.iter().copied().find(|step| goes_on && (!self.needs_locks(*step) || free(*step)))
    }

    /// Whether there are steps that may start a child run, but for their locks.
    pub fn has_calls(&self) -> bool {
        !self.to_call.is_empty()
    }

    /// The outputs of the runbook; empty before its main steps are over.
    pub fn outputs(&self) -> &IndexMap<String, Value> {
        &self.outputs
    }

    /// Why its outputs cannot be made; empty where they can.
    pub fn outputs_message(&self) -> &str {
        &self.outputs_message
    }

    /// Whether it holds its locks and its group: from its admission to its terminal event.
    pub const fn holds(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::RollingBack(_) | Phase::Finishing(_))
    }

    /// When, after `now`, something is due by time alone: a retry, the end of a wait, the run's timeout, the end of
    /// patience.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let deadline = if self.counts_down() { self.deadline } else { None };
        let next = |of: &BTreeSet<(Timestamp, StepNo)>| {
            of.range((Excluded((now, StepNo(u32::MAX))), Unbounded)).next().map(|(at, _)| *at)
        };
        [
            next(&self.timed),
            next(&self.waits),
            deadline.filter(|at| *at > now),
            self.patience_ends().filter(|at| *at > now),
            self.begin.filter(|at| *at > now),
            self.gated_until().filter(|at| *at > now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether something was due by time alone, and nobody looked: its beginning, the end of a wait, the run's timeout, the
    /// end of patience.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let deadline = self.deadline.filter(|_| self.counts_down());
        let wait = self.waits.first().map(|(at, _)| *at).filter(|_| self.holds());
        [deadline, wait, self.patience_ends(), self.begin, self.gated_until()].into_iter().flatten().any(|at| at <= now)
    }

    /// Whether the run's timeout does not count: a person is needed, or steps wait and nothing else is on.
    pub(super) fn stands_still(&self) -> bool {
        let waiting = self.waits.len() + self.probing + self.asking.len() + self.below.len() > 0;
        self.needs_person() || self.stands_held() || (waiting && !self.is_moving() && !self.may_begin())
    }

    /// Whether attempts are live, or due by and by that are no probes, or a child run goes on.
    pub(super) fn is_moving(&self) -> bool {
        !self.live.is_empty() || self.timed.len() > self.probing || self.children.len() > self.below.len()
    }

    /// Whether another step may begin beside those that have: of those that stand for items only so many.
    pub(super) fn has_room(&self) -> bool {
        self.pinned.width().is_none_or(|width| self.on < width as usize)
    }

    /// Whether a step, or its compensation, waits for nothing but a place or its locks.
    fn may_begin(&self) -> bool {
        let undoes = self.rollback.as_ref().is_some_and(|rollback| rollback.may_go_on(self.has_room()));
        undoes || ((!self.ready.is_empty() || !self.to_call.is_empty()) && self.has_room())
    }

    /// What it waits for, for the run above. Between probes it does not count as waiting there: each of them would be
    /// two facts more in every run above.
    pub fn waits(&self) -> Waits {
        let waiting = self.waits.len() + self.asking.len() + self.below.len() > 0;
        let stuck = self.rollback.as_ref().is_some_and(|rollback| !rollback.failed().is_empty());
        let open = self.may_begin();
        let still = waiting && self.probing == 0 && !self.is_moving() && !open;
        match (self.needs_person() || stuck, still || self.stands_held()) {
            (true, _) => Waits::Attention,
            (false, true) => Waits::Still,
            (false, false) => Waits::No,
        }
    }

    /// Whether the run's own timeout still counts.
    pub(super) fn counts_down(&self) -> bool {
        self.phase == Phase::Running && !self.ends_hard() && !self.stands_still()
    }

    /// When the runbook's `attention` settles what is unknown.
    pub(super) fn patience_ends(&self) -> Option<Timestamp> {
        let attention = self.pinned.runbook.attention?;
        self.unknown
            .iter()
            .filter(|(step, _)| {
                self.steps.get(step.index()).is_some_and(|s| s.progress == Progress::Unknown { processes_left: false })
            })
            .map(|(_, since)| *since + attention.after)
            .min()
    }

    /// Whether a step has locks, and has not got them.
    pub(super) fn needs_locks(&self, step: StepNo) -> bool {
        !self.locking.contains_key(&step) && self.steps.get(step.index()).is_some_and(|state| !state.locks.is_empty())
    }

    /// The steps that would start now if they had their locks, places among attempts not counted.
    pub fn lock_waits(&self, now: Timestamp) -> Vec<StepNo> {
        let mut waits: Vec<StepNo> = self.wants_again(now).collect();
        if !self.holds() || self.is_held() {
            return waits;
        }
        let attempts = self.lets_start();
        if let (Phase::RollingBack(_), Some(rollback)) = (self.phase, &self.rollback) {
            let own = rollback.next().filter(|_| attempts);
            let below = rollback.next_below().filter(|_| self.has_room());
            waits.extend(own.chain(below).filter(|step| self.needs_locks(*step)));
            return waits;
        }
        waits.extend(self.wanting.iter().copied().filter(|step| attempts || self.to_call.contains(step)));
        waits
    }

    /// Since when a step has its locks, if it has any.
    pub fn locked_since(&self, step: StepNo) -> Option<Timestamp> {
        self.locking.get(&step).copied()
    }

    /// The steps that have their locks.
    pub fn locking(&self) -> impl Iterator<Item = StepNo> {
        self.locking.keys().copied()
    }

    /// Whether what its steps did is being compensated.
    pub(crate) const fn rolls_back(&self) -> bool {
        matches!(self.phase, Phase::RollingBack(_))
    }

    /// Whether what it, or a step of it, would start is compensation.
    pub fn compensates(&self) -> bool {
        self.rolls_back() || (self.phase == Phase::Queued && self.rollback_asked.is_some())
    }

    /// Whether it is in its `finally`, or part of one.
    pub(super) fn tidies(&self) -> bool {
        matches!(self.phase, Phase::Finishing(_)) || self.parent().is_some_and(|parent| parent.tidies)
    }

    /// Whether the next start tidies up, and so goes before all others.
    pub fn is_cleaning_up(&self) -> bool {
        self.tidies() || matches!(self.phase, Phase::RollingBack(_)) || self.ends_hard()
    }
}

impl EndingCause {
    /// Whether running attempts are stopped.
    pub const fn is_hard(&self) -> bool {
        match self {
            Self::FailureStop(_) => false,
            Self::FailureCancel(_) | Self::Timeout | Self::Cancel { .. } | Self::Deadlock { .. } => true,
        }
    }
}
