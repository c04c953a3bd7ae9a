//! What happened to one run, and what its steps are by that. Takes every event for granted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{Settlement, Step};
use runbook_core::id::RunUid;
use runbook_core::run::{
    AfterVote, AttemptKind, Created, EndingCause, Event, Fact, How, Left, Outcome, Principal, SkipReason, StopLevel,
    Then, Waits,
};
use runbook_core::time::Timestamp;
use serde_json::Value;

use super::super::condition::Cond;
use super::super::design::Design;
use super::gate::GateModel;
use super::step::{Over, Past, Status, StepModel};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued,
    Main,
    /// What steps did is compensated; how the run ends if that is not done to its end.
    RollingBack(Outcome),
    Finally(Outcome),
    Terminal(Outcome),
}

/// A rollback that is on, or was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rolling {
    /// Steps that are still to be compensated.
    pub(crate) left: Vec<usize>,
    /// Of these, those whose compensation failed and that wait for a person.
    pub(crate) stuck: Vec<usize>,
    pub(crate) abandoned: bool,
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct RunModel {
    pub(crate) uid: RunUid,
    pub(crate) design: Arc<Design>,
    /// All that it went by, the first one first.
    pub(crate) designs: Vec<Arc<Design>>,
    /// What somebody asked it to go on by.
    pub(super) offered: Vec<Arc<Design>>,
    pub(crate) created: Created,
    pub(crate) last_event: u64,
    pub(crate) last_at: Timestamp,
    pub(crate) epoch: u32,
    pub(crate) stage: Stage,
    pub(crate) ending: Option<EndingCause>,
    /// When the timeout strikes, as far as is known now.
    pub(crate) deadline: Option<Timestamp>,
    /// Since when it stands still (4).
    pub(crate) held_since: Option<Timestamp>,
    /// A rollback by hand that has not begun, and how the run had ended.
    pub(crate) asked: Option<Outcome>,
    /// The rollback of this epoch.
    pub(crate) rolling: Option<Rolling>,
    /// Who paused it and why (84), and steps before which it is to be paused (85).
    pub(crate) held: Option<(Principal, String)>,
    pub(crate) held_before: BTreeSet<usize>,
    /// When it begins, and whether that stays where it is when the clock is set (97, 98).
    pub(crate) begins: Option<(Timestamp, bool)>,
    /// What persons are asked before it begins (116).
    pub(crate) gate: Option<GateModel>,
    pub(crate) steps: Vec<StepModel>,
    /// The last iteration, and whether `until` held of it, once that is so (111).
    pub(crate) repeated: Option<(usize, bool)>,
    /// Once its main steps are over.
    pub(crate) outputs: IndexMap<String, Value>,
}

impl fmt::Display for RunModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<Status> = self.steps.iter().map(|step| step.status).collect();
        let Self { uid, created, epoch, stage, ending, .. } = self;
        write!(f, "run {} ({uid}), epoch {epoch}, {stage:?}, ending {ending:?}, steps {steps:?}", created.number)
    }
}

impl RunModel {
    pub(crate) fn new(uid: RunUid, design: Arc<Design>, created: Created, at: Timestamp) -> Self {
        let steps = vec![StepModel::new(0, None); design.runbook.steps.len()];
        let begins = created.terms.begin.map(|begin| (begin.at, begin.after.is_none()));
        let gate = GateModel::of(&created);
        let held_before = created.terms.pause_before.iter().map(|step| step.index()).collect();
        Self {
            uid,
            designs: vec![Arc::clone(&design)],
            offered: Vec::new(),
            design,
            created,
            last_event: 1,
            last_at: at,
            epoch: 1,
            stage: Stage::Queued,
            ending: None,
            deadline: None,
            held_since: None,
            asked: None,
            rolling: None,
            held: None,
            held_before,
            begins,
            gate,
            steps,
            repeated: None,
            outputs: IndexMap::new(),
        }
    }

    /// The definition of a step with where it is.
    pub(crate) fn step(&self, no: usize) -> Result<(&Step, &StepModel), String> {
        self.design.runbook.steps.get(no).zip(self.steps.get(no)).ok_or_else(|| format!("there is no step {no}"))
    }

    /// The main steps, or those of `finally`.
    pub(crate) fn part(&self, main: bool) -> impl Iterator<Item = (usize, &Step, &StepModel)> {
        let steps = self.design.runbook.steps.iter().zip(&self.steps).enumerate();
        steps.map(|(no, (step, model))| (no, step, model)).filter(move |(no, ..)| self.design.is_main(*no) == main)
    }

    /// Whether an ending is on that stops what runs.
    pub(crate) fn hard(&self) -> bool {
        self.stage == Stage::Main
            && match &self.ending {
                None | Some(EndingCause::FailureStop(_)) => false,
                Some(
                    EndingCause::FailureCancel(_)
                    | EndingCause::Timeout
                    | EndingCause::Deadlock { .. }
                    | EndingCause::Cancel { .. },
                ) => true,
            }
    }

    /// From its admission to its terminal event (2).
    pub(crate) const fn holds(&self) -> bool {
        matches!(self.stage, Stage::Main | Stage::RollingBack(_) | Stage::Finally(_))
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self.stage, Stage::Terminal(_))
    }

    /// It succeeded.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Terminal(Outcome::Succeeded))
    }

    pub(crate) fn live(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.status, Status::Live(..))).count()
    }

    /// The compensations that failed and wait for a person (60).
    pub(crate) fn stuck(&self) -> &[usize] {
        self.rolling.as_ref().map_or(&[], |rolling| &rolling.stuck)
    }

    /// The steps without a way back that have started (65).
    pub(crate) fn no_way_back(&self) -> Vec<usize> {
        let on = |status: Status| matches!(status, Status::Live(_, AttemptKind::Run) | Status::Child { .. });
        let started = |step: &StepModel| step.ran || on(step.status);
        self.part(true).filter(|(_, step, model)| step.no_return && started(model)).map(|(no, ..)| no).collect()
    }

    pub(crate) fn has_unknown(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.status, Status::Unknown { .. }))
    }

    /// Whether a step is between probes (47).
    fn is_probing(&self, no: usize) -> bool {
        self.step(no).is_ok_and(|(step, model)| {
            step.probe().is_some() && matches!(model.status, Status::Waiting(AttemptKind::Run, _))
        })
    }

    /// Whether a step is withheld for its next probe (150).
    fn lacks_for_probe(&self, no: usize) -> bool {
        let probes = |(step, model): (&Step, &StepModel)| {
            step.probe().is_some() && model.status == Status::Withheld(AttemptKind::Run)
        };
        self.step(no).is_ok_and(probes)
    }

    /// Whether the run's timeout does not count (4).
    pub(crate) fn stands_still(&self) -> bool {
        let waits = |no: usize| {
            let status = self.steps.get(no).map(|step| step.status);
            self.is_probing(no) || self.is_waiting_step(status)
        };
        let busy = |no: usize| self.is_busy(no) && !self.is_probing(no);
        let all = || 0..self.steps.len();
        self.needs_person() || self.stands_held() || (all().any(waits) && !all().any(busy))
    }

    fn is_waiting_step(&self, status: Option<Status>) -> bool {
        matches!(
            status,
            Some(
                Status::Paused { .. }
                    | Status::Asking { .. }
                    | Status::Child { waits: Waits::Still, .. }
                    | Status::ChildRollback { waits: Waits::Still, .. }
            )
        )
    }

    /// Whether something of a step is on, or due by and by.
    fn is_busy(&self, no: usize) -> bool {
        match self.steps.get(no).map(|step| step.status) {
            // 98
            Some(Status::Ready | Status::Pending) if !self.has_room() => false,
            Some(Status::Live(..) | Status::Ready | Status::Waiting(..)) => true,
            Some(Status::Child { waits, .. } | Status::ChildRollback { waits, .. }) => waits == Waits::No,
            Some(Status::Pending) => self.starts_unsaid(no),
            // 131
            Some(Status::Over(_)) => {
                let alone = self.rolls_back_alone(no);
                (alone || self.has_room()) && self.free_to_compensate().contains(&no)
            }
            Some(Status::Paused { .. } | Status::Asking { .. } | Status::Withheld(_) | Status::Unknown { .. })
            | None => false,
        }
    }

    /// What it waits for, as the run above is told (75).
    pub(crate) fn waits(&self) -> Waits {
        let statuses = || self.steps.iter().map(|step| Some(step.status));
        // 76
        if self.needs_person() || !self.stuck().is_empty() {
            return Waits::Attention;
        }
        let busy = (0..self.steps.len()).any(|no| self.is_busy(no));
        match self.stands_held() || (statuses().any(|status| self.is_waiting_step(status)) && !busy) {
            true => Waits::Still,
            false => Waits::No,
        }
    }

    /// The live attempts, and how each should be going on (27).
    pub(crate) fn going_on(&self) -> impl Iterator<Item = (usize, u32, StopLevel)> {
        let level = match &self.ending {
            Some(EndingCause::Cancel { now: true, .. }) => StopLevel::Now,
            _ => StopLevel::Graceful,
        };
        self.steps.iter().enumerate().filter_map(move |(no, step)| match step.status {
            Status::Live(attempt, AttemptKind::Run) if self.hard() => Some((no, attempt, level)),
            Status::Live(attempt, _) => Some((no, attempt, StopLevel::Run)),
            _ => None,
        })
    }

    /// The environment that it is in.
    pub(crate) fn environment(&self) -> Option<&str> {
        self.created.terms.environment.as_deref()
    }

    /// The locks and the group, by name.
    pub(crate) fn wants(&self) -> Vec<String> {
        let locks = self.created.locks.iter().map(|lock| format!("lock {lock}"));
        locks.chain(self.created.group.iter().map(|group| format!("group {group}"))).collect()
    }

    fn close(&mut self, no: usize, over: Over) {
        let at = self.last_at;
        if let Some(step) = self.steps.get_mut(no) {
            step.status = Status::Over(over);
            step.over_at = at;
        }
        if over == Over::Succeeded {
            // 41
            for undone in self.design.undoes(no).collect::<Vec<_>>() {
                if let Some(undone) = self.steps.get_mut(undone) {
                    undone.ran = false;
                }
            }
        }
    }

    /// The compensation of a step is over, well or as somebody said (60, 61).
    fn close_compensation(&mut self, no: usize, done: bool) {
        if done {
            self.close(no, Over::RolledBack);
            if let Some(step) = self.steps.get_mut(no) {
                step.ran = false;
            }
        }
        if let Some(rolling) = &mut self.rolling {
            rolling.left.retain(|left| *left != no);
            rolling.stuck.retain(|stuck| *stuck != no);
        }
    }

    /// 61
    fn settle_compensation(&mut self, no: usize, settlement: Settlement, at: Timestamp) {
        if let Some(step) = self.steps.get_mut(no) {
            step.past.push(Past::Settled(settlement));
        }
        match settlement {
            Settlement::Retry => {
                self.set(no, Status::Waiting(AttemptKind::Rollback, at));
                if let Some(rolling) = &mut self.rolling {
                    rolling.stuck.retain(|stuck| *stuck != no);
                }
            }
            Settlement::Succeeded => self.close_compensation(no, true),
            Settlement::Skipped | Settlement::Failed => self.close_compensation(no, false),
        }
    }

    /// 58
    fn ask_for_rollback(&mut self) {
        if let Stage::Terminal(outcome) = self.stage {
            self.asked = Some(outcome);
        }
        self.stage = Stage::Queued;
        self.rolling = None;
        self.deadline = None;
        for no in 0..self.steps.len() {
            if !self.design.is_main(no)
                && let Some(step) = self.steps.get_mut(no)
            {
                *step = StepModel { ran: step.ran, left: step.left, ..StepModel::new(step.latest, step.child) };
            }
        }
    }

    /// 62
    fn abandon(&mut self) {
        if self.stage == Stage::Queued {
            self.rolling = Some(Rolling { abandoned: true, ..Rolling::default() });
            for no in 0..self.steps.len() {
                if !self.design.is_main(no) {
                    self.close(no, Over::Skipped);
                }
            }
            return;
        }
        let Some(mut rolling) = self.rolling.take() else { return };
        rolling.abandoned = true;
        rolling.stuck.clear();
        for no in std::mem::take(&mut rolling.left) {
            match self.steps.get_mut(no).map(|step| &mut step.status) {
                Some(
                    Status::Live(_, AttemptKind::Rollback) | Status::ChildRollback { .. } | Status::Unknown { .. },
                ) => rolling.left.push(no),
                // 150
                Some(status @ (Status::Waiting(..) | Status::Withheld(_))) => {
                    *status = Status::Over(Over::RollbackFailed);
                }
                Some(_) | None => {}
            }
        }
        self.rolling = Some(rolling);
    }

    /// Takes an event.
    pub(crate) fn take(&mut self, event: &Event) {
        self.change(event);
        if let Fact::AttemptStarting { step, .. }
        | Fact::ChildStarting { step, .. }
        | Fact::ChildRollingBack { step, .. } = &event.fact
            && let Some(step) = self.steps.get_mut(step.index())
        {
            step.locked = !step.locks.is_empty();
            step.begun |= !matches!(event.fact, Fact::ChildRollingBack { .. });
        }
        self.let_go();
    }

    fn change(&mut self, event: &Event) {
        self.last_event = event.number;
        self.last_at = event.at;
        let at = event.at;
        match &event.fact {
            Fact::Created(_) => {}
            Fact::Admitted { deadline } => {
                self.stage = Stage::Main;
                self.deadline = *deadline;
            }
            Fact::StepReady { step, locks } => {
                self.set(step.index(), Status::Ready);
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.locks.clone_from(locks);
                }
            }
            Fact::StepSkipped { step, why } => {
                let passed_over = match why {
                    SkipReason::Condition
                    | SkipReason::NothingToUndo
                    | SkipReason::DryRun { .. }
                    | SkipReason::LeftOut => true,
                    SkipReason::Need(_) => self.lacks_only_passed_over(step.index()),
                };
                self.close(step.index(), Over::Skipped);
                let given = self.created.terms.selection.outputs.get(step).cloned();
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.stands_in = matches!(why, SkipReason::DryRun { .. } | SkipReason::LeftOut);
                    if *why == SkipReason::LeftOut {
                        step.outputs = given.unwrap_or_default();
                    }
                    step.passed_over = passed_over;
                }
            }
            Fact::StepFailed { step, .. } => self.close(step.index(), Over::Failed),
            Fact::WaitBegan { step, until, fixed } => {
                let probes = self.step(step.index()).is_ok_and(|(step, _)| step.probe().is_some());
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.begun = true;
                    step.probes_until = probes.then_some(*until);
                    step.status = match probes {
                        true => Status::Waiting(AttemptKind::Run, at),
                        false => Status::Paused { until: *until, fixed: *fixed },
                    };
                }
            }
            Fact::RepeatEnded { step, message } => self.end_iterations(step.index(), message.is_empty()),
            Fact::WaitEnded { step } => self.close(step.index(), Over::Succeeded),
            Fact::ApprovalAsked { step, until, .. } => self.set(step.index(), Status::Asking { until: *until }),
            Fact::ApprovalGiven { step, approve, fields, by, then, outputs, .. } => {
                if let (Some(step), true, Some(uid)) = (self.steps.get_mut(step.index()), approve, by.uid) {
                    step.approved.push((uid, fields.clone()));
                }
                self.decided(step.index(), *then, outputs);
            }
            Fact::ApprovalTimedOut { step, then, outputs, .. } => self.decided(step.index(), *then, outputs),
            Fact::AttemptStarting { step, attempt, kind, .. } => {
                self.set(step.index(), Status::Live(attempt.0, *kind));
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.latest = attempt.0;
                }
            }
            Fact::AttemptEnded { step, attempt, end, then } => self.ended(step.index(), attempt.0, end, *then, at),
            Fact::Withheld { step, inputs, .. } => self.withhold(step.index(), inputs),
            Fact::Provided { inputs, .. } => self.provided(inputs, at),
            Fact::Ending { cause } => self.begin_ending(cause),
            Fact::ChildStarting { step, child, again } => {
                self.set(step.index(), Status::Child { uid: *child, waits: Waits::No });
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.child = Some(*child);
                    if !again {
                        step.left = Left::Nothing;
                    }
                }
            }
            Fact::ChildRollingBack { step, child } => {
                self.set(step.index(), Status::ChildRollback { uid: *child, waits: Waits::No });
            }
            // 132
            Fact::ChildEnded { step, left, .. } if self.is_undoing(step.index()) => {
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.left = *left;
                    step.status = Status::Over(Over::RollbackFailed);
                }
                self.close_compensation(step.index(), *left == Left::Nothing);
            }
            Fact::ChildEnded { step, outcome, outputs, left, .. } => {
                let over = match outcome {
                    Outcome::Succeeded => Over::Succeeded,
                    Outcome::Failed | Outcome::RolledBack => Over::Failed,
                    Outcome::Canceled => Over::Canceled,
                };
                self.close(step.index(), over);
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.outputs.clone_from(outputs);
                    step.left = *left;
                    step.undone_below = *outcome == Outcome::RolledBack;
                    // 41
                    step.ran = true;
                }
            }
            Fact::ChildWaits { step, child, waits } => {
                let (uid, waits) = (*child, *waits);
                self.set(
                    step.index(),
                    match self.is_undoing(step.index()) {
                        true => Status::ChildRollback { uid, waits },
                        false => Status::Child { uid, waits },
                    },
                );
            }
            Fact::Finishing { outcome, outputs, .. } => {
                self.stage = Stage::Finally(*outcome);
                self.outputs.clone_from(outputs);
                self.held = None;
            }
            Fact::Finished { outcome } => self.stage = Stage::Terminal(*outcome),
            Fact::Resumed { epoch, edited, .. } => {
                let design = edited.as_ref().and_then(|edited| self.offered(edited.definition)).map(Arc::clone);
                self.reopen(*epoch, design);
            }
            Fact::RollingBack { outcome, steps } => {
                self.held = None;
                self.stage = Stage::RollingBack(*outcome);
                self.asked = None;
                let left: Vec<usize> = steps.iter().map(|step| step.index()).collect();
                for no in &left {
                    if let Some(step) = self.steps.get_mut(*no) {
                        step.past.push(Past::Chosen);
                    }
                }
                self.rolling = Some(Rolling { left, ..Rolling::default() });
            }
            Fact::RollbackAsked { .. } => self.ask_for_rollback(),
            Fact::RollbackAbandoned { .. } => self.abandon(),
            Fact::Resolved { step, settlement, .. } if matches!(self.stage, Stage::RollingBack(_)) => {
                self.settle_compensation(step.index(), *settlement, at);
            }
            Fact::Resolved { step, settlement, outputs, .. } => {
                let status = match settlement {
                    Settlement::Succeeded => Status::Over(Over::Succeeded),
                    Settlement::Failed | Settlement::Skipped => Status::Over(Over::Failed),
                    Settlement::Retry => Status::Waiting(AttemptKind::Run, at),
                };
                self.set(step.index(), status);
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.over_at = at;
                    step.outputs.clone_from(outputs);
                    step.past.push(Past::Settled(*settlement));
                }
            }
            Fact::Paused { before, by, reason } => {
                self.held = Some((by.clone(), reason.clone()));
                if let Some(before) = before {
                    self.held_before.remove(&before.index());
                    if let Some(step) = self.steps.get_mut(before.index()) {
                        step.paused_before = true;
                    }
                }
            }
            // 141
            Fact::LocksReleased { step, .. } => {
                if let Some(step) = self.steps.get_mut(step.index()) {
                    step.locked = false;
                }
            }
            Fact::Continued { .. } => self.held = None,
            Fact::Due => self.begins = None,
            Fact::StartDecided { approve, by, then, .. } => {
                if let Some(gate) = &mut self.gate {
                    gate.take(*approve, by, *then);
                }
            }
            Fact::DeadlinesShifted { by } => {
                self.deadline = self.deadline.map(|deadline| deadline + *by);
                if let Some((at, false)) = &mut self.begins {
                    *at = *at + *by;
                }
                let gated = self.gated_until().is_some();
                if let Some(gate) = self.gate.as_mut().filter(|_| gated) {
                    gate.until = gate.until + *by;
                }
                self.held_since = self.held_since.map(|since| since + *by);
                for step in &mut self.steps {
                    step.probes_until = step.probes_until.map(|until| until + *by);
                    match &mut step.status {
                        // 49
                        Status::Paused { until, fixed: false } => *until = *until + *by,
                        Status::Paused { fixed: true, .. } => {}
                        Status::Asking { until } => *until = until.map(|until| until + *by),
                        Status::Waiting(_, due) => *due = *due + *by,
                        Status::Unknown { since, .. } => *since = *since + *by,
                        Status::Pending
                        | Status::Ready
                        | Status::Live(..)
                        | Status::Withheld(_)
                        | Status::Child { .. }
                        | Status::ChildRollback { .. }
                        | Status::Over(_) => {}
                    }
                }
            }
        }
        // 4: the timeout does not count while the run stands still.
        match (self.stands_still(), self.held_since) {
            (true, None) => self.held_since = Some(at),
            (false, Some(since)) => {
                self.deadline = self.deadline.map(|deadline| deadline + (at - since));
                self.held_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Whether the child run of a step is rolled back.
    fn is_undoing(&self, no: usize) -> bool {
        self.steps.get(no).is_some_and(|step| matches!(step.status, Status::ChildRollback { .. }))
    }

    fn set(&mut self, no: usize, status: Status) {
        if let Some(step) = self.steps.get_mut(no) {
            step.status = status;
        }
    }

    /// What a decision about an approval does.
    fn decided(&mut self, no: usize, then: AfterVote, outputs: &IndexMap<String, Value>) {
        let Some(step) = self.steps.get_mut(no) else { return };
        match then {
            AfterVote::Open => {}
            AfterVote::Succeeded => {
                step.status = Status::Over(Over::Succeeded);
                step.outputs.clone_from(outputs);
            }
            AfterVote::Failed => step.status = Status::Over(Over::Failed),
        }
    }

    fn ended(&mut self, no: usize, attempt: u32, end: &runbook_core::run::AttemptEnd, then: Then, at: Timestamp) {
        let kind = self.kind_of(no, attempt).unwrap_or(AttemptKind::Run);
        let Some(step) = self.steps.get_mut(no) else { return };
        step.past.push(Past::Ended { attempt, kind, how: end.how.clone(), then });
        step.ran |= kind == AttemptKind::Run && !matches!(end.how, How::NotStarted(_));
        step.status = match then {
            Then::Succeeded => Status::Over(Over::Succeeded),
            Then::Failed => Status::Over(Over::Failed),
            Then::Canceled => Status::Over(Over::Canceled),
            Then::RetryAt(due) => Status::Waiting(AttemptKind::Run, due),
            Then::VerifyAt(due) => Status::Waiting(AttemptKind::Verify, due),
            Then::OnCancelAt(due) => Status::Waiting(AttemptKind::OnCancel, due),
            Then::RollbackAt(due) => Status::Waiting(AttemptKind::Rollback, due),
            Then::RolledBack => Status::Over(Over::RolledBack),
            Then::RollbackFailed => Status::Over(Over::RollbackFailed),
            Then::Unknown => {
                let processes_left = end.how == How::Lost { processes_left: true };
                Status::Unknown { processes_left, since: at }
            }
        };
        if matches!(then, Then::Succeeded | Then::Failed | Then::Canceled) {
            step.over_at = at;
        }
        if then == Then::RolledBack {
            self.close_compensation(no, true);
            return;
        }
        if let (Then::RollbackFailed, Some(rolling)) = (then, &mut self.rolling) {
            if rolling.abandoned {
                rolling.left.retain(|left| *left != no);
            } else {
                rolling.stuck.push(no);
            }
            return;
        }
        if then == Then::Succeeded {
            step.outputs.clone_from(&end.outputs);
            for undone in self.design.undoes(no).collect::<Vec<_>>() {
                if let Some(undone) = self.steps.get_mut(undone) {
                    undone.ran = false;
                }
            }
        }
    }

    /// What an attempt that has not ended for good runs: a live one, or one whose processes are left (19).
    pub(crate) fn kind_of(&self, no: usize, attempt: u32) -> Option<AttemptKind> {
        let step = self.steps.get(no)?;
        match step.status {
            Status::Live(live, kind) if live == attempt => Some(kind),
            Status::Unknown { processes_left: true, .. } => match step.past.last()? {
                Past::Ended { attempt: latest, kind, .. } if *latest == attempt => Some(*kind),
                Past::Ended { .. } | Past::Settled(_) | Past::Chosen => None,
            },
            _ => None,
        }
    }

    fn begin_ending(&mut self, cause: &EndingCause) {
        let at = self.last_at;
        let hard = !matches!(cause, EndingCause::FailureStop(_));
        let queued = self.stage == Stage::Queued;
        self.ending = Some(cause.clone());
        self.begins = None;
        for no in 0..self.steps.len() {
            let main = self.design.is_main(no);
            let needs: Vec<usize> = self.design.needs(no).collect();
            let probing = self.is_probing(no) || self.lacks_for_probe(no);
            let Some(step) = self.steps.get_mut(no) else { continue };
            if !main {
                // 31
                if queued {
                    (step.status, step.over_at) = (Status::Over(Over::Skipped), at);
                }
            } else if probing || matches!(step.status, Status::Paused { .. } | Status::Asking { .. }) {
                // 48
                step.status = Status::Over(Over::Canceled);
            } else if hard {
                // 27
                let waits =
                    matches!(step.status, Status::Waiting(AttemptKind::Run, _) | Status::Withheld(AttemptKind::Run));
                if step.is_before() || waits {
                    (step.status, step.over_at) = (Status::Over(Over::Canceled), at);
                }
            } else if step.is_before() {
                // 26
                let condition = self.design.conditions.get(no).and_then(Option::as_ref);
                let lifts = |cond: &Cond| cond.lifts_all() || needs.iter().any(|need| cond.mentions_status(*need));
                if !condition.is_some_and(lifts) {
                    (step.status, step.over_at) = (Status::Over(Over::Skipped), at);
                }
            }
        }
    }

    /// 36, 43
    fn reopen(&mut self, epoch: u32, edited: Option<Arc<Design>>) {
        let undone = self.undone();
        let (mut again, mut anew) = (BTreeSet::new(), BTreeSet::new());
        if let Some(design) = edited {
            (again, anew) = (self.runs_again(&design), self.starts_anew(&design));
            self.steps.resize_with(design.runbook.steps.len(), || StepModel::new(0, None));
            self.designs.push(Arc::clone(&design));
            self.design = design;
        }
        self.epoch = epoch;
        self.stage = Stage::Queued;
        self.ending = None;
        self.deadline = None;
        self.held_since = None;
        self.asked = None;
        self.rolling = None;
        self.outputs.clear();
        self.held = None;
        let iterations = self.kept_iterations();
        self.repeated = None;
        for no in 0..self.steps.len() {
            let main = self.design.is_main(no);
            let Some(step) = self.steps.get_mut(no) else { continue };
            let succeeded = main && step.succeeded() && !undone.contains(&no) && !again.contains(&no);
            if iterations.map_or(succeeded, |kept| no < kept) {
                step.kept = true;
            } else {
                let ran = step.ran && main;
                // 72
                let back = step.status == Status::Over(Over::RolledBack);
                let child = step.child.filter(|_| !undone.contains(&no) && !back && !anew.contains(&no));
                // 95
                let locks = if ran { std::mem::take(&mut step.locks) } else { Vec::new() };
                let left = if child.is_some() { step.left } else { Left::Nothing };
                *step = StepModel { ran, left, locks, ..StepModel::new(step.latest, child) };
            }
        }
    }
}
