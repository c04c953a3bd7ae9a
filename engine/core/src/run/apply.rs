//! The only way a run's state changes, live and after a crash alike. Holds no policy: what an event decided
//! is taken as it stands; what is illegal in a state is one typed error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{AttemptEnd, AttemptKind, Created, EndingCause, Event, Fact, How, NotStarted, SkipReason, Then};
use super::pinned::Pinned;
use super::state::{Phase, Progress, RunState, StepState, Vote};
use crate::definition::{Part, Settlement, Step, Work};
use crate::id::{AttemptNo, RunUid, StepNo};
use crate::time::Timestamp;

/// An event that cannot follow the state it met: the run is quarantined, the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run}: event {number} ({event}) is illegal: {why}")]
pub struct Illegal {
    /// The run.
    pub run: RunUid,
    /// The event's number.
    pub number: u64,
    /// The kind of event.
    pub event: &'static str,
    /// What stands against it.
    pub why: String,
}

/// The pairs of step state and event that can follow each other; everything else is [`Illegal`].
pub const LEGAL_STEP_EVENTS: &[(&str, &str)] = &[
    ("pending", "step_ready"),
    ("pending", "step_skipped"),
    ("pending", "step_failed"),
    ("pending", "wait_began"),
    ("waiting", "wait_ended"),
    ("pending", "approval_asked"),
    ("asking", "approval_given"),
    ("asking", "approval_timed_out"),
    ("pending", "attempt_starting"),
    ("ready", "attempt_starting"),
    ("live", "attempt_ended"),
    ("retry", "attempt_starting"),
    ("verify", "attempt_starting"),
    ("on_cancel", "attempt_starting"),
    ("unknown", "attempt_ended"),
    ("unknown", "resolved"),
];

impl Fact {
    /// The kind of fact, as shown and as counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Admitted { .. } => "admitted",
            Self::StepReady { .. } => "step_ready",
            Self::StepSkipped { .. } => "step_skipped",
            Self::StepFailed { .. } => "step_failed",
            Self::WaitBegan { .. } => "wait_began",
            Self::WaitEnded { .. } => "wait_ended",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::ApprovalGiven { .. } => "approval_given",
            Self::ApprovalTimedOut { .. } => "approval_timed_out",
            Self::AttemptStarting { .. } => "attempt_starting",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::Ending { .. } => "ending",
            Self::Finishing { .. } => "finishing",
            Self::Finished { .. } => "finished",
            Self::Resumed { .. } => "resumed",
            Self::Resolved { .. } => "resolved",
            Self::DeadlinesShifted { .. } => "deadlines_shifted",
        }
    }

    /// The step that it is about, if it is about one.
    pub const fn step(&self) -> Option<StepNo> {
        match self {
            Self::StepReady { step }
            | Self::StepSkipped { step, .. }
            | Self::StepFailed { step, .. }
            | Self::WaitBegan { step, .. }
            | Self::WaitEnded { step }
            | Self::ApprovalAsked { step, .. }
            | Self::ApprovalGiven { step, .. }
            | Self::ApprovalTimedOut { step, .. }
            | Self::AttemptStarting { step, .. }
            | Self::AttemptEnded { step, .. }
            | Self::Resolved { step, .. } => Some(*step),
            Self::Created(_)
            | Self::Admitted { .. }
            | Self::Ending { .. }
            | Self::Finishing { .. }
            | Self::Finished { .. }
            | Self::Resumed { .. }
            | Self::DeadlinesShifted { .. } => None,
        }
    }
}

impl Progress {
    /// The name of the state in [`LEGAL_STEP_EVENTS`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Live(..) => "live",
            Self::Retry(_) => "retry",
            Self::Waiting { .. } => "waiting",
            Self::Asking { .. } => "asking",
            Self::Verify(_) => "verify",
            Self::OnCancel(_) => "on_cancel",
            Self::Unknown { .. } => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
        }
    }
}

impl RunState {
    /// The state after a run's first event.
    ///
    /// # Errors
    /// The event is not number 1, not `Created`, or names another definition.
    pub fn create(uid: RunUid, pinned: Arc<Pinned>, event: &Event) -> Result<Self, Illegal> {
        let illegal =
            |why: &str| Illegal { run: uid, number: event.number, event: event.fact.kind(), why: why.to_owned() };
        let Fact::Created(created) = &event.fact else {
            return Err(illegal("the first event must be `created`"));
        };
        if event.number != 1 {
            return Err(illegal("the first event must have number 1"));
        }
        if created.definition != pinned.digest {
            return Err(illegal("it is pinned to another definition"));
        }
        Ok(Self::fresh(uid, pinned, created, event.at))
    }

    fn fresh(uid: RunUid, pinned: Arc<Pinned>, created: &Created, at: Timestamp) -> Self {
        let count = pinned.runbook.steps.len();
        let mut state = Self {
            uid,
            created: Arc::new(created.clone()),
            created_at: at,
            last_event: 1,
            last_at: at,
            epoch: 1,
            phase: Phase::Queued,
            ending: None,
            admitted_at: None,
            finished_at: None,
            deadline: None,
            still_since: None,
            steps: vec![StepState::default(); count],
            live: BTreeMap::new(),
            ready: BTreeSet::new(),
            to_judge: BTreeSet::new(),
            timed: BTreeSet::new(),
            waits: BTreeSet::new(),
            probing: 0,
            asking: BTreeSet::new(),
            unknown: BTreeMap::new(),
            open_main: 0,
            open_finally: 0,
            on_cancel_open: 0,
            run_live_main: 0,
            first_failure: None,
            pinned,
        };
        state.open_steps();
        state
    }

    /// Counts what is open and queues what has no open need, at creation and at each new epoch.
    fn open_steps(&mut self) {
        let pinned = Arc::clone(&self.pinned);
        self.open_main = 0;
        self.open_finally = 0;
        let mut free = Vec::new();
        for (index, step) in pinned.runbook.steps.iter().enumerate() {
            let Some(state) = self.steps.get_mut(index) else { continue };
            state.unmet = u32::try_from(step.needs.len()).unwrap_or(u32::MAX);
            state.held = state.progress.is_terminal();
            match step.part {
                Part::Main if state.held => {}
                Part::Main => self.open_main += 1,
                Part::Finally => self.open_finally += 1,
            }
            if step.needs.is_empty() && step.part == Part::Main {
                free.push(StepNo(index as u32));
            }
        }
        self.no_open_need(free);
    }

    /// These have no open need any more: a pending one is queued, and one that was held by a need lets go of those that
    /// need it.
    fn no_open_need(&mut self, mut free: Vec<StepNo>) {
        let pinned = Arc::clone(&self.pinned);
        while let Some(no) = free.pop() {
            match self.step(no) {
                Some(state) if state.progress == Progress::Pending => self.queue(no),
                Some(state) if state.held => {
                    let stands = pinned.runbook.step(no).is_none_or(|step| self.lacks_nothing(step));
                    if let Some(state) = self.steps.get_mut(no.index()) {
                        state.held = false;
                        state.shaken = !stands;
                    }
                    self.close_need(no, &mut free);
                }
                Some(_) | None => {}
            }
        }
    }

    /// A need of others is over; adds those that have no other open one to `free`.
    fn close_need(&mut self, no: StepNo, free: &mut Vec<StepNo>) {
        let pinned = Arc::clone(&self.pinned);
        for dependant in pinned.dependants(no) {
            let Some(state) = self.steps.get_mut(dependant.index()) else { continue };
            state.unmet = state.unmet.saturating_sub(1);
            if state.unmet == 0 {
                free.push(*dependant);
            }
        }
    }

    /// Whether every need whose success is implied is met.
    fn lacks_nothing(&self, step: &Step) -> bool {
        step.needs.iter().all(|need| !step.implies(*need) || self.is_met(*need))
    }

    /// A pending step has no open need: it may start, or somebody has to judge it.
    fn queue(&mut self, no: StepNo) {
        let pinned = Arc::clone(&self.pinned);
        let Some(step) = pinned.runbook.step(no) else { return };
        let plain = step.condition.is_none()
            && step.undoes.is_empty()
            && matches!(step.work, Work::Command(_))
            && self.lacks_nothing(step);
        if plain {
            self.ready.insert(no);
        } else {
            self.to_judge.insert(no);
        }
    }

    /// Whether every need that a step lacks was itself passed over.
    fn needs_only_passed_over(&self, no: StepNo) -> bool {
        let Some(step) = self.pinned.runbook.step(no) else { return false };
        let mut implied = step.needs.iter().filter(|need| step.implies(**need));
        implied.all(|need| self.is_met(*need) || self.is_passed_over(*need))
    }

    pub(super) fn progress(&self, no: StepNo) -> Progress {
        self.steps.get(no.index()).map_or(Progress::Pending, |state| state.progress)
    }

    fn part(&self, no: StepNo) -> Part {
        self.pinned.runbook.step(no).map_or(Part::Main, |step| step.part)
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// The event cannot follow this state. The state is then as it was, or half changed where the error came
    /// from a corrupt journal: the run must not be used further.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        let run = self.uid;
        let illegal = |why: String| Illegal { run, number: event.number, event: event.fact.kind(), why };
        if event.number != self.last_event + 1 {
            return Err(illegal(format!("it follows event {}", self.last_event)));
        }
        if let Some(step) = event.fact.step() {
            let Some(state) = self.steps.get(step.index()) else {
                return Err(illegal(format!("there is no step {}", step.0)));
            };
            let pair = (state.progress.name(), event.fact.kind());
            if !LEGAL_STEP_EVENTS.contains(&pair) {
                return Err(illegal(format!("step {} is {}", step.0, pair.0)));
            }
        }
        self.apply_fact(event.at, &event.fact).map_err(illegal)?;
        self.keep_time(event.at);
        self.last_event = event.number;
        self.last_at = event.at;
        Ok(())
    }

    fn apply_fact(&mut self, at: Timestamp, fact: &Fact) -> Result<(), String> {
        match (fact, self.phase) {
            (Fact::Admitted { deadline }, Phase::Queued) => {
                self.phase = Phase::Running;
                self.admitted_at = Some(at);
                self.deadline = *deadline;
                Ok(())
            }
            (Fact::StepReady { step }, Phase::Running | Phase::Finishing(_)) => {
                self.to_judge.remove(step);
                self.ready.insert(*step);
                self.set(*step, Progress::Ready);
                Ok(())
            }
            (Fact::StepSkipped { step, why }, Phase::Running | Phase::Finishing(_)) => {
                let passed_over = match why {
                    SkipReason::Condition | SkipReason::NothingToUndo => true,
                    SkipReason::Need(_) => self.needs_only_passed_over(*step),
                };
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.passed_over = passed_over;
                }
                self.close(*step, Progress::Skipped, at);
                Ok(())
            }
            (Fact::StepFailed { step, message }, Phase::Running | Phase::Finishing(_)) => {
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.message.clone_from(message);
                }
                self.close(*step, Progress::Failed, at);
                Ok(())
            }
            (Fact::WaitBegan { step, until, fixed }, Phase::Running | Phase::Finishing(_)) => {
                self.begin_wait(*step, *until, *fixed, at);
                Ok(())
            }
            (Fact::WaitEnded { step }, Phase::Running | Phase::Finishing(_)) => {
                self.close(*step, Progress::Succeeded, at);
                Ok(())
            }
            (Fact::ApprovalAsked { step, message, until }, Phase::Running | Phase::Finishing(_)) => {
                self.ask(*step, message, *until, at);
                Ok(())
            }
            (
                Fact::ApprovalGiven { step, approve, fields, by, reason, then, outputs },
                Phase::Running | Phase::Finishing(_),
            ) => {
                let vote =
                    Vote { by: by.clone(), at, approve: *approve, reason: reason.clone(), fields: fields.clone() };
                self.vote(*step, vote, *then, outputs);
                Ok(())
            }
            (Fact::ApprovalTimedOut { step, then, message, outputs }, Phase::Running | Phase::Finishing(_)) => {
                self.approved(*step, *then, outputs, message, at);
                Ok(())
            }
            (Fact::AttemptStarting { step, attempt, kind, .. }, Phase::Running | Phase::Finishing(_)) => {
                self.attempt_starting(at, *step, *attempt, *kind)
            }
            (Fact::AttemptEnded { step, attempt, end, then }, Phase::Running | Phase::Finishing(_)) => {
                self.attempt_ended(at, *step, *attempt, end, *then)
            }
            (Fact::Ending { cause }, Phase::Queued | Phase::Running) => {
                self.begin_ending(at, cause.clone());
                Ok(())
            }
            (Fact::Finishing { outcome }, Phase::Queued | Phase::Running) => {
                if self.open_main > 0 {
                    return Err(format!("{} steps are open", self.open_main));
                }
                self.phase = Phase::Finishing(*outcome);
                self.queue_finally();
                Ok(())
            }
            (Fact::Finished { outcome }, Phase::Finishing(_)) => {
                if self.open_finally > 0 {
                    return Err(format!("{} steps of finally are open", self.open_finally));
                }
                self.phase = Phase::Terminal(*outcome);
                self.finished_at = Some(at);
                Ok(())
            }
            (Fact::Resumed { epoch, .. }, Phase::Terminal(_)) => {
                if *epoch != self.epoch + 1 {
                    return Err(format!("the epoch is {}", self.epoch));
                }
                self.reopen(*epoch);
                Ok(())
            }
            (Fact::Resolved { step, settlement, outputs, reason, .. }, Phase::Running) => {
                self.unknown.remove(step);
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.message.clone_from(reason);
                    if *settlement == Settlement::Succeeded {
                        state.outputs.clone_from(outputs);
                    }
                }
                match settlement {
                    Settlement::Succeeded => self.close(*step, Progress::Succeeded, at),
                    Settlement::Failed => self.close(*step, Progress::Failed, at),
                    Settlement::Retry => {
                        if let Some(state) = self.steps.get_mut(step.index()) {
                            state.tries = 0;
                        }
                        self.set(*step, Progress::Retry(at));
                    }
                }
                Ok(())
            }
            (Fact::DeadlinesShifted { by }, _) => {
                self.shift(*by);
                Ok(())
            }
            (_, phase) => Err(format!("the run is {phase:?}")),
        }
    }

    fn attempt_starting(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: AttemptNo,
        kind: AttemptKind,
    ) -> Result<(), String> {
        let part = self.part(step);
        let Some(state) = self.steps.get_mut(step.index()) else {
            return Err("no such step".to_owned());
        };
        if attempt.0 != state.attempts + 1 {
            return Err(format!("the latest attempt is {}", state.attempts));
        }
        let fits = match state.progress {
            Progress::Pending => kind == AttemptKind::Run && self.ready.contains(&step),
            Progress::Ready | Progress::Retry(_) => kind == AttemptKind::Run,
            Progress::Verify(_) => kind == AttemptKind::Verify,
            Progress::OnCancel(_) => kind == AttemptKind::OnCancel,
            Progress::Live(..)
            | Progress::Waiting { .. }
            | Progress::Asking { .. }
            | Progress::Unknown { .. }
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled => false,
        };
        if !fits {
            return Err(format!("step {} is {}", step.0, state.progress.name()));
        }
        state.attempts = attempt.0;
        state.last_kind = Some(kind);
        state.started_at.get_or_insert(at);
        if kind == AttemptKind::Run {
            state.last_run = Some(attempt);
            state.side_tries = 0;
            if part == Part::Main {
                self.run_live_main += 1;
            }
        }
        self.ready.remove(&step);
        let progress = Progress::Live(attempt, kind);
        self.set(step, progress);
        self.live.insert(step, (attempt, kind));
        Ok(())
    }

    fn attempt_ended(
        &mut self,
        at: Timestamp,
        step: StepNo,
        attempt: AttemptNo,
        end: &AttemptEnd,
        then: Then,
    ) -> Result<(), String> {
        let part = self.part(step);
        // An attempt whose processes were left ends twice, and counts once.
        let counted = matches!(self.progress(step), Progress::Unknown { .. });
        let kind = match self.progress(step) {
            Progress::Live(live, kind) if live == attempt => kind,
            Progress::Unknown { processes_left: true }
                if self.steps.get(step.index()).is_some_and(|s| s.attempts == attempt.0) =>
            {
                self.steps.get(step.index()).and_then(|state| state.last_kind).unwrap_or(AttemptKind::Run)
            }
            _ => return Err(format!("attempt {} of step {} is not live", attempt.0, step.0)),
        };
        if self.live.remove(&step).is_some() && kind == AttemptKind::Run && part == Part::Main {
            self.run_live_main = self.run_live_main.saturating_sub(1);
        }
        self.unknown.remove(&step);
        let Some(state) = self.steps.get_mut(step.index()) else {
            return Err("no such step".to_owned());
        };
        state.message.clone_from(&end.message);
        match kind {
            AttemptKind::Run => {
                if let How::NotStarted(NotStarted::Errno(_) | NotStarted::Fenced) = end.how {
                    state.false_starts += 1;
                } else if !counted {
                    state.false_starts = 0;
                    state.tries += 1;
                }
                state.exit_code = match end.how {
                    How::Exited(code) => Some(code),
                    How::NotStarted(_) | How::CutOff(_) | How::Lost { .. } => None,
                };
                state.ran |= !matches!(end.how, How::NotStarted(_));
                state.attempt_outputs.clone_from(&end.outputs);
                state.artifacts.clone_from(&end.artifacts);
                state.side_tries = 0;
            }
            AttemptKind::Verify | AttemptKind::OnCancel => {
                // From `on_cancel` to `verify` the count begins again.
                let same = matches!(
                    (kind, then),
                    (AttemptKind::Verify, Then::VerifyAt(_)) | (AttemptKind::OnCancel, Then::OnCancelAt(_))
                );
                // With processes left, this try has not come to its end.
                let open = end.how == How::Lost { processes_left: true };
                state.side_tries = match (same, open) {
                    (true, _) => state.side_tries + 1,
                    (false, true) => state.side_tries,
                    (false, false) => 0,
                };
            }
        }
        match then {
            Then::Succeeded => {
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.outputs.clone_from(&end.outputs);
                }
                self.close(step, Progress::Succeeded, at);
            }
            Then::Failed => self.close(step, Progress::Failed, at),
            Then::Canceled => self.close(step, Progress::Canceled, at),
            Then::RetryAt(when) => self.set(step, Progress::Retry(when)),
            Then::VerifyAt(when) => self.set(step, Progress::Verify(when)),
            Then::OnCancelAt(when) => self.set(step, Progress::OnCancel(when)),
            Then::Unknown => {
                let processes_left = end.how == How::Lost { processes_left: true };
                self.set(step, Progress::Unknown { processes_left });
                self.unknown.insert(step, at);
            }
        }
        Ok(())
    }

    /// Moves a step to another state, keeping the indexes.
    pub(super) fn set(&mut self, step: StepNo, progress: Progress) {
        let before = self.progress(step);
        let probes = self.probes(step);
        match before {
            Progress::Retry(when) | Progress::Verify(when) => {
                self.timed.remove(&(when, step));
                if probes {
                    self.probing = self.probing.saturating_sub(1);
                }
            }
            Progress::Waiting { until, .. } => {
                self.waits.remove(&(until, step));
            }
            Progress::Asking { until } => {
                self.asking.remove(&step);
                if let Some(until) = until {
                    self.waits.remove(&(until, step));
                }
            }
            Progress::OnCancel(when) => {
                self.timed.remove(&(when, step));
                self.on_cancel_open = self.on_cancel_open.saturating_sub(1);
            }
            Progress::Live(_, AttemptKind::OnCancel) => {
                self.on_cancel_open = self.on_cancel_open.saturating_sub(1);
            }
            Progress::Live(..)
            | Progress::Pending
            | Progress::Ready
            | Progress::Unknown { .. }
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled => {}
        }
        match progress {
            Progress::Retry(when) | Progress::Verify(when) => {
                self.timed.insert((when, step));
                if probes {
                    self.probing += 1;
                }
            }
            Progress::Waiting { until, .. } => {
                self.waits.insert((until, step));
            }
            Progress::Asking { until } => {
                self.asking.insert(step);
                self.waits.extend(until.map(|until| (until, step)));
            }
            Progress::OnCancel(when) => {
                self.timed.insert((when, step));
                self.on_cancel_open += 1;
            }
            Progress::Live(_, AttemptKind::OnCancel) => self.on_cancel_open += 1,
            Progress::Live(..)
            | Progress::Pending
            | Progress::Ready
            | Progress::Unknown { .. }
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Skipped
            | Progress::Canceled => {}
        }
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.progress = progress;
        }
    }

    /// A step becomes terminal; those that waited for it alone are queued.
    pub(super) fn close(&mut self, step: StepNo, progress: Progress, at: Timestamp) {
        self.set(step, progress);
        self.ready.remove(&step);
        self.to_judge.remove(&step);
        if let Some(state) = self.steps.get_mut(step.index()) {
            state.ended_at = Some(at);
            state.wait_until = None;
        }
        match self.part(step) {
            Part::Main => self.open_main = self.open_main.saturating_sub(1),
            Part::Finally => self.open_finally = self.open_finally.saturating_sub(1),
        }
        let pinned = Arc::clone(&self.pinned);
        if progress == Progress::Failed
            && self.first_failure.is_none()
            && pinned.runbook.step(step).is_some_and(|s| s.part == Part::Main && !s.allow_failure)
        {
            self.first_failure = Some(step);
        }
        if progress == Progress::Succeeded {
            for undone in pinned.runbook.step(step).map_or(&[][..], |step| &step.undoes) {
                if let Some(state) = self.steps.get_mut(undone.index()) {
                    state.ran = false;
                }
            }
        }
        let mut free = Vec::new();
        self.close_need(step, &mut free);
        self.no_open_need(free);
    }

    fn begin_ending(&mut self, at: Timestamp, cause: EndingCause) {
        let hard = cause.is_hard();
        self.ending = Some(cause);
        // What never began needs no `finally`.
        let never_began = self.phase == Phase::Queued;
        let pinned = Arc::clone(&self.pinned);
        for (index, step) in pinned.runbook.steps.iter().enumerate() {
            let no = StepNo(index as u32);
            if step.part == Part::Finally {
                if never_began {
                    self.close(no, Progress::Skipped, at);
                }
                continue;
            }
            match self.progress(no) {
                Progress::Pending | Progress::Ready | Progress::Retry(_) if hard => {
                    self.close(no, Progress::Canceled, at);
                }
                Progress::Waiting { .. } | Progress::Asking { .. } => self.close(no, Progress::Canceled, at),
                Progress::Retry(_) if step.probe().is_some() => self.close(no, Progress::Canceled, at),
                Progress::Pending | Progress::Ready
                    if !step.condition.as_ref().is_some_and(|c| c.accepts_failure()) =>
                {
                    self.close(no, Progress::Skipped, at);
                }
                _ => {}
            }
        }
    }

    fn queue_finally(&mut self) {
        let pinned = Arc::clone(&self.pinned);
        for index in pinned.main_steps()..pinned.runbook.steps.len() {
            if self.steps.get(index).is_some_and(|state| state.unmet == 0 && state.progress == Progress::Pending) {
                self.queue(StepNo(index as u32));
            }
        }
    }

    /// The main steps of which something was undone in this epoch.
    pub(super) fn undone(&self) -> BTreeSet<StepNo> {
        self.steps().filter(|(_, _, state)| state.ran).flat_map(|(_, step, _)| step.undoes.iter().copied()).collect()
    }

    fn reopen(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.phase = Phase::Queued;
        self.ending = None;
        self.admitted_at = None;
        self.finished_at = None;
        self.deadline = None;
        self.still_since = None;
        self.first_failure = None;
        let pinned = Arc::clone(&self.pinned);
        let undone = self.undone();
        for (index, (state, step)) in self.steps.iter_mut().zip(&pinned.runbook.steps).enumerate() {
            let main = step.part == Part::Main;
            if main && state.progress == Progress::Succeeded && !undone.contains(&StepNo(index as u32)) {
                continue;
            }
            // What the steps of `finally` did is over with the epoch; what a main step did is still there.
            let ran = state.ran && main;
            *state = StepState { attempts: state.attempts, ran, ..StepState::default() };
        }
        self.open_steps();
    }

    fn shift(&mut self, by: crate::time::Span) {
        self.deadline = self.deadline.map(|at| at + by);
        self.still_since = self.still_since.map(|at| at + by);
        for state in &mut self.steps {
            state.wait_until = state.wait_until.map(|at| at + by);
        }
        for since in self.unknown.values_mut() {
            *since = *since + by;
        }
        let timed: Vec<StepNo> = self.timed.iter().chain(&self.waits).map(|(_, step)| *step).collect();
        for step in timed {
            let moved = match self.progress(step) {
                Progress::Retry(at) => Progress::Retry(at + by),
                Progress::Waiting { until, fixed: false } => Progress::Waiting { until: until + by, fixed: false },
                Progress::Asking { until } => Progress::Asking { until: until.map(|until| until + by) },
                Progress::Verify(at) => Progress::Verify(at + by),
                Progress::OnCancel(at) => Progress::OnCancel(at + by),
                other => other,
            };
            self.set(step, moved);
        }
    }
}

impl crate::definition::Step {
    /// Whether the success of a need is implied: nothing in its `if` lifts that.
    pub fn implies(&self, need: StepNo) -> bool {
        self.condition.as_ref().is_none_or(|condition| !condition.any_outcome && !condition.lifts.contains(&need))
    }
}

impl crate::definition::Condition {
    /// Whether the step may start although something failed.
    pub fn accepts_failure(&self) -> bool {
        self.any_outcome || !self.lifts.is_empty()
    }
}
