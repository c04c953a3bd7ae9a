//! What follows from where a run is, without anybody asking: rules 1, 5 to 8, 25, 30, 31, 35, 37, 42, 57, 58, 63.

use runbook_core::definition::{OnFailure, OnTimeout, RollbackPolicy, Settlement, Wait, Work};
use runbook_core::run::{AfterVote, AttemptKind, EndingCause, Fact, Outcome, Principal, SkipReason};
use runbook_core::time::Timestamp;

use super::judge::Judgement;
use super::repeat::Next;
use super::run::{RunModel, Stage};
use super::step::{Over, Status};
use super::turn::Model;
use super::{Check, must};

impl RunModel {
    /// The main steps whose failure makes the run fail.
    fn failures(&self) -> Vec<usize> {
        let failed = self.part(true).filter(|(_, step, model)| model.failed() && !step.allow_failure);
        let failed: Vec<usize> = failed.map(|(no, ..)| no).collect();
        if self.design.repeat.is_some() {
            return self.failed_iterations(failed);
        }
        // 102
        let allowed = self.design.items.as_ref().map_or(0, |items| items.max_failures as usize);
        if failed.len() > allowed { failed } else { Vec::new() }
    }

    /// Whether a failed step must begin an ending now (25).
    pub(super) fn failure_ends(&self) -> bool {
        self.stage == Stage::Main
            && self.ending.is_none()
            && self.design.runbook.on_failure != OnFailure::Continue
            && !self.failures().is_empty()
    }

    /// Whether the run's timeout has struck (4, 25).
    fn is_timed_out(&self, now: Timestamp) -> bool {
        self.timeout_counts() && self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn timeout_counts(&self) -> bool {
        self.stage == Stage::Main && !self.hard() && !self.stands_still()
    }

    fn all_over(&self, main: bool) -> bool {
        self.part(main).all(|(_, _, step)| step.is_over())
    }

    /// The rollback that begins now (57, 58), with what the outcome is without.
    fn rollback_follows(&self) -> Option<(Outcome, Vec<usize>)> {
        if self.stage != Stage::Main || self.failure_ends() || !self.all_over(true) {
            return None;
        }
        if let Some(outcome) = self.asked {
            // 131
            let outcome = if outcome == Outcome::Succeeded { Outcome::Failed } else { outcome };
            return Some((outcome, self.to_compensate(false)));
        }
        let automatic = self.design.runbook.rollback.policy == RollbackPolicy::Automatic;
        let outcome = self.finishing().0;
        let steps = self.to_compensate(true);
        (automatic && outcome != Outcome::Succeeded && !steps.is_empty()).then_some((outcome, steps))
    }

    /// How the run ends if `finally` succeeds (30, 62, 63).
    pub(super) fn finally_outcome(&self) -> Outcome {
        match (self.stage, &self.rolling, self.asked) {
            (Stage::RollingBack(otherwise), _, _) if !self.to_compensate(false).is_empty() => otherwise,
            (Stage::RollingBack(_), _, _) => Outcome::RolledBack,
            (Stage::Queued, Some(_), Some(asked)) => asked,
            _ => self.outcome(),
        }
    }

    /// 30
    pub(super) fn outcome(&self) -> Outcome {
        match &self.ending {
            Some(EndingCause::Cancel { .. }) => Outcome::Canceled,
            Some(EndingCause::Timeout | EndingCause::Deadlock { .. }) => Outcome::Failed,
            _ if !self.failures().is_empty() => Outcome::Failed,
            _ => Outcome::Succeeded,
        }
    }

    /// Whether `finally` comes now: 30, 31.
    fn finally_follows(&self) -> bool {
        match self.stage {
            Stage::Main => {
                let over = self.all_over(true) && self.next_iteration(self.last_at).is_none();
                !self.failure_ends() && over && self.rollback_follows().is_none()
            }
            // 63
            Stage::RollingBack(_) => self.rolling.as_ref().is_some_and(|rolling| rolling.left.is_empty()),
            // 62
            Stage::Queued if self.asked.is_some() => self.rolling.is_some(),
            Stage::Queued => self.ending.is_some() && self.all_over(true),
            Stage::Finally(_) | Stage::Terminal(_) => false,
        }
    }

    /// 30
    fn terminal_follows(&self) -> Option<Outcome> {
        let Stage::Finally(outcome) = self.stage else { return None };
        let failed =
            self.part(false).any(|(_, step, model)| model.status == Status::Over(Over::Failed) && !step.allow_failure);
        self.all_over(false).then_some(if failed { Outcome::Failed } else { outcome })
    }

    /// Whether patience with a step is over, and what it counts as then (35).
    fn patience(&self, no: usize) -> Option<(Timestamp, Settlement)> {
        let attention = self.design.runbook.attention?;
        let Status::Unknown { processes_left: false, since } = self.steps.get(no)?.status else { return None };
        let ends = self.stage == Stage::Main;
        let settle_as = match attention.settle_as {
            Settlement::Retry if self.ending.is_some() => Settlement::Failed,
            other => other,
        };
        ends.then_some((since + attention.after, settle_as))
    }

    /// Whether a step may begin: nothing holds the run (84, 85).
    fn is_let(&self, fact: &Fact) -> Check {
        let Some(step) = fact.step().map(|step| step.index()) else { return Ok(()) };
        let judged = matches!(
            fact,
            Fact::StepReady { .. }
                | Fact::StepFailed { .. }
                | Fact::StepSkipped { .. }
                | Fact::WaitBegan { .. }
                | Fact::ApprovalAsked { .. }
        );
        // An iteration whose turn has come is ready, and does not start.
        let waits = self.steps.get(step).is_some_and(|step| matches!(step.status, Status::Paused { .. }));
        let waited = self.design.repeat.is_some() && waits;
        must(!judged || waited || !self.is_held(), || "the run is paused (84)".to_owned())?;
        let begins = judged && !matches!(fact, Fact::StepSkipped { .. });
        must(!begins || !self.held_before.contains(&step), || "the run is paused before it (85)".to_owned())
    }

    /// Whether a fact follows from where the run is.
    pub(crate) fn follows(&self, fact: &Fact, now: Timestamp) -> Check {
        self.is_let(fact)?;
        match fact {
            Fact::Paused { before, by, .. } => {
                let before = before.map(|step| step.index()).ok_or("nobody asked for a pause")?;
                must(*by == Principal::engine() && !self.is_held() && self.held_before.contains(&before), || {
                    "it is not to be paused there (85)".to_owned()
                })?;
                self.is_judged(before, |judgement| {
                    matches!(judgement, Judgement::Ready | Judgement::Wait | Judgement::Ask | Judgement::Fail)
                })
            }
            Fact::Due => match self.begins {
                Some((at, _)) => must(at <= now, || format!("it begins at {at} (97)")),
                None => Err("it does not wait for a time (97)".to_owned()),
            },
            Fact::Continued { .. } => Err("nobody asked that it goes on".to_owned()),
            Fact::StepReady { step, .. } if self.design.repeat.is_some() => {
                let waited = matches!(self.step(step.index())?.1.status, Status::Paused { until, .. } if until <= now);
                let follows = self.next_iteration(now);
                must(waited || follows == Some(Next::Ready(step.index())), || format!("next is {follows:?} (109, 110)"))
            }
            Fact::WaitBegan { step, until, fixed } if self.design.repeat.is_some() => {
                let follows = self.next_iteration(now);
                must(!fixed && follows == Some(Next::Waits(step.index(), *until)), || {
                    format!("next is {follows:?} (110)")
                })
            }
            Fact::RepeatEnded { step, message } => {
                let follows = self.next_iteration(now);
                must(follows == Some(Next::Over(step.index(), message.is_empty())), || {
                    format!("next is {follows:?} (111)")
                })
            }
            Fact::StepReady { step, locks } => {
                must(*locks == self.locks_of(step.index()), || format!("its locks are {locks:?} (92)"))?;
                self.is_judged(step.index(), |judgement| judgement == Judgement::Ready)
            }
            Fact::StepFailed { step, .. } => self.is_judged(step.index(), |judgement| judgement == Judgement::Fail),
            Fact::StepSkipped { step, why } => self.is_judged(step.index(), |judgement| match why {
                SkipReason::Condition => judgement == Judgement::SkipForCondition,
                SkipReason::NothingToUndo => judgement == Judgement::SkipForNothing,
                SkipReason::LeftOut => judgement == Judgement::LeaveOut,
                SkipReason::DryRun { .. } => judgement == Judgement::Show,
                SkipReason::Need(need) => {
                    self.design.needs(step.index()).any(|known| known == need.index())
                        && self.is_unmet(step.index(), need.index())
                }
            }),
            Fact::WaitBegan { step, until, fixed } => {
                self.is_judged(step.index(), |judgement| judgement == Judgement::Wait)?;
                let now = now.max(self.last_at);
                let right = match &self.step(step.index())?.0.work {
                    Work::Wait(wait) => match &**wait {
                        Wait::For(length) => *until == now + *length && !fixed,
                        Wait::Probe(probe) => *until == now + probe.within && !fixed,
                        Wait::Until(text) => *text == until.to_string() && *fixed,
                    },
                    Work::Command(_) | Work::Fail(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_) => false,
                };
                must(right, || format!("it waits until {until}, fixed {fixed}, which is not right (46, 47)"))
            }
            Fact::WaitEnded { .. } if self.design.repeat.is_some() => Err("it waits for its turn (110)".to_owned()),
            Fact::WaitEnded { step } => match self.step(step.index())?.1.status {
                Status::Paused { until, .. } => must(until <= now, || format!("it waits until {until} (46)")),
                _ => Err("it does not wait for a time (46)".to_owned()),
            },
            Fact::ApprovalAsked { step, message, until } => {
                self.is_judged(step.index(), |judgement| judgement == Judgement::Ask)?;
                let approval = self.approval(step.index())?;
                let expected = approval.timeout.map(|timeout| now.max(self.last_at) + timeout);
                must(*until == expected, || format!("it asks until {until:?}, must be {expected:?} (50)"))?;
                must(*message == approval.message, || format!("it asks {message:?} (50)"))
            }
            Fact::ApprovalTimedOut { step, then, outputs, .. } => {
                match self.step(step.index())?.1.status {
                    Status::Asking { until: Some(until) } => {
                        must(until <= now, || format!("they have until {until} (53)"))?;
                    }
                    _ => return Err("nobody is asked for a time (53)".to_owned()),
                }
                let approve = self.approval(step.index())?.on_timeout == OnTimeout::Approve;
                let expected = match approve && !self.lacks_field(step.index(), None)? {
                    true => AfterVote::Succeeded,
                    false => AfterVote::Failed,
                };
                must(*then == expected, || format!("then {then:?}, must be {expected:?} (53)"))?;
                must(!self.tells_secret(step.index(), outputs)?, || "a secret is an output (147)".to_owned())
            }
            Fact::Ending { cause } => match cause {
                EndingCause::FailureStop(step) | EndingCause::FailureCancel(step) => {
                    let fits = match self.design.runbook.on_failure {
                        OnFailure::Stop => matches!(cause, EndingCause::FailureStop(_)),
                        OnFailure::Cancel => matches!(cause, EndingCause::FailureCancel(_)),
                        OnFailure::Continue => false,
                    };
                    must(fits && self.failure_ends() && self.failures().contains(&step.index()), || {
                        "no failure begins such an ending now (25)".to_owned()
                    })
                }
                EndingCause::Timeout => must(self.is_timed_out(now), || {
                    format!("the timeout does not strike at {now}, its time is {:?} (4, 25)", self.deadline)
                }),
                EndingCause::Cancel { .. } => Err("nobody asked for a cancel".to_owned()),
                EndingCause::Deadlock { .. } => Err("it waits for nothing below".to_owned()),
            },
            Fact::Finishing { outcome, outputs, .. } => {
                must(self.finally_follows(), || "the main steps are not over, or an ending is due (30)".to_owned())?;
                let expected = self.finishing();
                let holds = (*outcome, outputs) == (expected.0, &expected.1);
                must(holds, || format!("it must be {expected:?} (30, 63, 69)"))
            }
            Fact::RollingBack { outcome, steps } => {
                let steps: Vec<usize> = steps.iter().map(|step| step.index()).collect();
                let expected = self.rollback_follows();
                must(expected == Some((*outcome, steps)), || format!("the rollback must be {expected:?} (57, 58)"))
            }
            Fact::Finished { outcome } => match self.terminal_follows() {
                None => Err("`finally` is not over (30)".to_owned()),
                Some(expected) => must(*outcome == expected, || format!("it must end {} (30)", expected.name())),
            },
            Fact::Resolved { step, settlement, by, outputs, .. } => {
                must(*by == Principal::engine(), || "nobody asked to resolve it".to_owned())?;
                must(outputs.is_empty(), || "outputs that nobody gave (35)".to_owned())?;
                match self.patience(step.index()) {
                    Some((until, settle_as)) => must(until <= now && settle_as == *settlement, || {
                        format!("patience lasts until {until}, then it counts as {settle_as:?} (35)")
                    }),
                    None => Err("no patience ends with it (35)".to_owned()),
                }
            }
            Fact::AttemptStarting { .. } => must(!self.failure_ends(), || "an ending is due before it (25)".to_owned()),
            Fact::Created(_)
            | Fact::Admitted { .. }
            | Fact::AttemptEnded { .. }
            | Fact::ChildStarting { .. }
            | Fact::ChildEnded { .. }
            | Fact::ChildWaits { .. }
            | Fact::ChildRollingBack { .. }
            | Fact::Resumed { .. }
            | Fact::ApprovalGiven { .. }
            | Fact::StartDecided { .. }
            | Fact::RollbackAsked { .. }
            | Fact::LocksReleased { .. }
            | Fact::Withheld { .. }
            | Fact::Provided { .. }
            | Fact::RollbackAbandoned { .. }
            | Fact::DeadlinesShifted { .. } => Err("nobody asked for it".to_owned()),
        }
    }

    fn is_judged(&self, no: usize, fits: impl Fn(Judgement) -> bool) -> Check {
        must(self.is_judged_now(no), || format!("step {no} is not to be judged now (5)"))?;
        let judgement = self.judgement(no);
        must(fits(judgement), || format!("step {no} must be judged {judgement:?} (6, 7, 8)"))
    }

    /// What should have followed and did not.
    pub(crate) fn overdue(&self, now: Timestamp) -> Check {
        must(self.begins.is_none_or(|(at, _)| at > now), || "the time at which it begins is over (97)".to_owned())?;
        self.gate_overdue(now)?;
        must(!self.failure_ends(), || "a failed step begins no ending (25)".to_owned())?;
        let iteration = self.next_iteration(now);
        must(iteration.is_none(), || format!("of its iterations there must follow {iteration:?} (109 to 111)"))?;
        must(!self.is_timed_out(now), || "the run's timeout is over (4, 25)".to_owned())?;
        must(self.rollback_follows().is_none(), || "its rollback does not begin (57, 58)".to_owned())?;
        must(!self.finally_follows(), || "its main steps are over, `finally` does not come (30, 31)".to_owned())?;
        must(self.terminal_follows().is_none(), || "all its steps are over, the run is not (30)".to_owned())?;
        for no in 0..self.steps.len() {
            if let Some((until, _)) = self.patience(no) {
                must(until > now, || format!("patience with step {no} was over at {until} (35)"))?;
            }
            if let Some(Status::Paused { until, .. }) = self.steps.get(no).map(|step| step.status) {
                must(until > now, || format!("step {no} waits longer than until {until} (46)"))?;
            }
            if let Some(Status::Asking { until: Some(until) }) = self.steps.get(no).map(|step| step.status) {
                must(until > now, || format!("step {no} asks longer than until {until} (53)"))?;
            }
            if self.is_judged_now(no) && !self.is_held() {
                let judgement = self.judgement(no);
                let silent = self.is_plain(no) && judgement == Judgement::Ready;
                must(silent, || format!("step {no} is not judged, it must be {judgement:?} (5)"))?;
            }
        }
        Ok(())
    }

    /// When something is due by time alone, after now.
    pub(crate) fn next_time(&self, now: Timestamp) -> Option<Timestamp> {
        let mut times: Vec<Timestamp> = self.begins.iter().map(|(at, _)| *at).collect();
        times.extend(self.gated_until());
        for (no, step) in self.steps.iter().enumerate() {
            match step.status {
                Status::Waiting(_, time) | Status::Paused { until: time, .. } => times.push(time),
                Status::Asking { until } => times.extend(until),
                Status::Pending
                | Status::Ready
                | Status::Live(..)
                | Status::Withheld(_)
                | Status::Unknown { .. }
                | Status::Child { .. }
                | Status::ChildRollback { .. }
                | Status::Over(_) => {}
            }
            times.extend(self.patience(no).map(|(until, _)| until));
        }
        if self.timeout_counts() {
            times.extend(self.deadline);
        }
        times.into_iter().filter(|time| *time > now).min()
    }

    /// Whether a clock that is set moves anything of it (37).
    pub(crate) fn has_times(&self) -> bool {
        let waits = |step: &super::step::StepModel| {
            let moves = matches!(
                step.status,
                Status::Waiting(..)
                    | Status::Unknown { .. }
                    | Status::Paused { fixed: false, .. }
                    | Status::Asking { until: Some(_) }
            );
            moves || (!step.is_over() && step.probes_until.is_some())
        };
        let begins = self.begins.is_some_and(|(_, fixed)| !fixed);
        let begins = begins || self.gated_until().is_some();
        begins || self.steps.iter().any(waits) || (self.stage == Stage::Main && !self.hard() && self.deadline.is_some())
    }
}

impl Model {
    /// Whether an admission follows (1, 4).
    pub(crate) fn admission_follows(&self, run: &RunModel, deadline: Option<Timestamp>) -> Check {
        must(self.is_admissible(run), || "it is not its turn (1)".to_owned())?;
        let timeout = run.design.runbook.timeout.filter(|_| run.asked.is_none());
        let expected = timeout.map(|timeout| self.now.max(run.last_at) + timeout);
        must(deadline == expected, || format!("its timeout must strike at {expected:?} (4)"))
    }

    /// An attempt starts: of the right number, with a place, in its turn.
    pub(crate) fn start_follows(
        &self,
        run: &RunModel,
        step: usize,
        attempt: u32,
        kind: AttemptKind,
        boot: &str,
    ) -> Check {
        let (_, model) = run.step(step)?;
        must(attempt == model.latest + 1, || format!("attempt {attempt} of step {step} follows {}", model.latest))?;
        must(boot == self.boot, || format!("the boot is {:?}, not {boot:?}", self.boot))?;
        self.may_start(run.uid, step, kind)
    }
}
