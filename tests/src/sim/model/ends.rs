//! Rules 11 to 24, and 60: what follows the end of an attempt.

use indexmap::IndexMap;
use runbook_core::definition::{Backoff, Jitter};
use runbook_core::run::{AttemptEnd, AttemptKind, CutOff, EndingCause, How, NotStarted, Then};
use runbook_core::time::{Span, Timestamp};
use serde_json::Value;

use super::super::condition::Codes;
use super::run::RunModel;
use super::step::Past;

/// What must follow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// How the attempt counts as having ended.
    pub(crate) how: How,
    pub(crate) then: Next,
}

/// What must follow, as far as it is not left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Next {
    Exactly(Then),
    RetryBetween(Timestamp, Timestamp),
}

impl Next {
    pub(crate) fn allows(self, then: Then) -> bool {
        match (self, then) {
            (Self::Exactly(expected), then) => expected == then,
            (Self::RetryBetween(from, to), Then::RetryAt(at)) => from <= at && at <= to,
            (Self::RetryBetween(..), _) => false,
        }
    }
}

/// EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY, ENOSPC
pub(crate) const WANT: [i32; 6] = [11, 12, 24, 23, 26, 28];
/// The waits between three tries: of `verify`, of `on_cancel`, of what is lost in `finally`.
const WAITS: [Span; 2] = [Span::seconds(1), Span::seconds(5)];
/// What integer arithmetic may do to a backoff.
const ROUNDING: Span = Span(20);

struct Ended<'a> {
    run: &'a RunModel,
    no: usize,
    attempt: u32,
    end: &'a AttemptEnd,
    now: Timestamp,
}

impl RunModel {
    /// What follows the end of an attempt that is live, or whose processes were left.
    pub(crate) fn expected(
        &self,
        no: usize,
        attempt: u32,
        kind: AttemptKind,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<Expected, String> {
        let mut how = end.how.clone();
        if kind == AttemptKind::Run
            && let How::Exited(code) = how
            && self
                .design
                .codes
                .get(no)
                .and_then(|codes| codes.unknown_if.as_ref())
                .is_some_and(|codes| codes.holds(code))
        {
            // 11
            how = How::CutOff(CutOff::UnknownExit(code));
        }
        let ended = Ended { run: self, no, attempt, end, now };
        let then = if how == (How::Lost { processes_left: true }) {
            // 19
            Next::Exactly(Then::Unknown)
        } else {
            match kind {
                AttemptKind::Run => ended.run(&how)?,
                AttemptKind::Verify => ended.verify()?,
                AttemptKind::OnCancel => ended.on_cancel()?,
                AttemptKind::Rollback => ended.rollback(),
            }
        };
        Ok(Expected { how, then })
    }

    /// Whether every declared output is there and of its type.
    pub(crate) fn has_outputs(&self, no: usize, outputs: &IndexMap<String, Value>) -> bool {
        self.design.runbook.steps.get(no).is_some_and(|step| {
            step.outputs.iter().all(|(key, kind)| outputs.get(key).is_some_and(|value| kind.accepts(value)))
        })
    }
}

impl Ended<'_> {
    fn at(&self, after: Span) -> Timestamp {
        self.now + after
    }

    fn run(&self, how: &How) -> Result<Next, String> {
        let (step, model) = self.run.step(self.no)?;
        Ok(match how {
            // 12
            How::NotStarted(NotStarted::Canceled) => Next::Exactly(Then::Canceled),
            // 13
            How::NotStarted(NotStarted::Errno(errno)) if !WANT.contains(errno) => self.or_hard(Then::Failed),
            How::NotStarted(NotStarted::Errno(_) | NotStarted::Fenced) => {
                if self.run.hard() {
                    Next::Exactly(Then::Canceled)
                } else {
                    let seconds = 1_i64 << model.false_starts().min(6);
                    Next::Exactly(Then::RetryAt(self.at(Span::seconds(seconds.min(60)))))
                }
            }
            How::Exited(code) if step.probe().is_some() => Next::Exactly(self.probe(Some(*code))?),
            How::CutOff(_) | How::Lost { .. } if step.probe().is_some() => Next::Exactly(self.probe(None)?),
            // 15
            How::Exited(code) => {
                let asked = self.run.design.codes.get(self.no).and_then(|codes| codes.success.as_ref());
                let success = asked.map_or(*code == 0, |codes| codes.holds(*code));
                let left = |name: &String| self.end.artifacts.iter().any(|artifact| artifact.name == *name);
                let whole = self.run.has_outputs(self.no, &self.end.outputs) && step.artifacts.iter().all(left);
                if success && whole { Next::Exactly(Then::Succeeded) } else { self.failed_attempt(Some(*code), false)? }
            }
            How::CutOff(_) | How::Lost { .. } => {
                let main = self.run.design.is_main(self.no);
                // 81
                if main && self.run.hard() && step.on_cancel.is_some() && !self.run.created.terms.dry {
                    // 23
                    Next::Exactly(Then::OnCancelAt(self.now))
                } else {
                    self.broken_off(matches!(how, How::Lost { .. }))?
                }
            }
        })
    }

    /// 47, 48; without an exit code a probe says nothing.
    fn probe(&self, code: Option<i32>) -> Result<Then, String> {
        let (step, model) = self.run.step(self.no)?;
        let ended = |then: Then| match self.or_hard(then) {
            Next::Exactly(then) => then,
            Next::RetryBetween(..) => Then::Failed,
        };
        if let Some(code) = code {
            let asked = self.run.design.codes.get(self.no);
            let holds = |codes: Option<&Codes>, otherwise: bool| codes.map_or(otherwise, |codes| codes.holds(code));
            if holds(asked.and_then(|codes| codes.fail_if.as_ref()), false) {
                return Ok(ended(Then::Failed));
            }
            if holds(asked.and_then(|codes| codes.until.as_ref()), code == 0) {
                let left = |name: &String| self.end.artifacts.iter().any(|artifact| artifact.name == *name);
                let whole = self.run.has_outputs(self.no, &self.end.outputs) && step.artifacts.iter().all(left);
                return Ok(if whole { Then::Succeeded } else { ended(Then::Failed) });
            }
        }
        if self.run.hard() {
            return Ok(ended(Then::Failed));
        }
        if self.run.design.is_main(self.no) && self.run.ending.is_some() {
            return Ok(Then::Canceled);
        }
        let (Some(probe), Some(until)) = (step.probe(), model.probes_until) else {
            return Err(format!("step {} does not probe", self.no));
        };
        Ok(if until <= self.now {
            Then::Failed
        } else {
            Then::RetryAt(until.min(self.at(probe.every.max(self.left_alone()))))
        })
    }

    /// 17, 18, 24
    fn broken_off(&self, lost: bool) -> Result<Next, String> {
        let (step, _) = self.run.step(self.no)?;
        if !self.run.design.is_main(self.no) {
            return self.failed_attempt(None, lost);
        }
        if step.effect.repeatable() {
            return self.failed_attempt(None, false);
        }
        Ok(Next::Exactly(if step.verify.is_some() { Then::VerifyAt(self.now) } else { Then::Unknown }))
    }

    /// 20
    fn or_hard(&self, otherwise: Then) -> Next {
        if !self.run.hard() {
            return Next::Exactly(otherwise);
        }
        let timeout = matches!(self.run.ending, Some(EndingCause::Timeout));
        Next::Exactly(if timeout { Then::Failed } else { Then::Canceled })
    }

    /// 16; without an exit code `retry.if` is not asked.
    fn failed_attempt(&self, code: Option<i32>, lost_in_finally: bool) -> Result<Next, String> {
        if self.run.hard() {
            return Ok(self.or_hard(Then::Failed));
        }
        let (step, model) = self.run.step(self.no)?;
        let counted = model.counted() + usize::from(!self.is_counted());
        let allowed = step.retry.as_ref().map_or(1, |retry| retry.attempts as usize);
        let asked = self.run.design.codes.get(self.no).and_then(|codes| codes.retry_if.as_ref());
        let wanted = match (asked, code, &step.retry) {
            (Some(codes), Some(code), Some(_)) => codes.holds(code),
            _ => true,
        };
        let backoff = match &step.retry {
            Some(retry) if wanted && counted < allowed => retry.backoff,
            _ => {
                // 24
                let waits = WAITS.get(counted.saturating_sub(1)).filter(|_| lost_in_finally);
                return Ok(Next::Exactly(waits.map_or(Then::Failed, |wait| Then::RetryAt(self.at(*wait)))));
            }
        };
        let wait = wait(&backoff, counted);
        let least = match backoff.jitter {
            Jitter::None => Span((wait - ROUNDING.0).max(0)),
            Jitter::Full => Span::ZERO,
        };
        let alone = self.left_alone();
        Ok(Next::RetryBetween(self.at(least.max(alone)), self.at(Span(wait + ROUNDING.0).max(alone))))
    }

    /// 124
    fn left_alone(&self) -> Span {
        self.end.retry_after.unwrap_or(Span::ZERO).min(Span::seconds(3_600))
    }

    /// Whether this attempt, or the one that this one asks about, was counted before.
    fn is_counted(&self) -> bool {
        self.run.steps.get(self.no).is_some_and(|step| {
            step.past.iter().any(|past| match past {
                Past::Ended { attempt, .. } => *attempt == self.attempt,
                Past::Settled(_) | Past::Chosen => false,
            }) || self.run.kind_of(self.no, self.attempt) != Some(AttemptKind::Run)
        })
    }

    /// 21, 22
    fn verify(&self) -> Result<Next, String> {
        let answer = self.end.outputs.get("happened").and_then(Value::as_str);
        Ok(match (&self.end.how, answer) {
            (How::Exited(0), Some("yes")) => {
                let whole = self.run.has_outputs(self.no, &self.end.outputs);
                Next::Exactly(if whole { Then::Succeeded } else { Then::Unknown })
            }
            (How::Exited(0), Some("no")) => self.failed_attempt(None, false)?,
            _ => Next::Exactly(match self.wait_after(AttemptKind::Verify) {
                Some(wait) => Then::VerifyAt(self.at(wait)),
                None => Then::Unknown,
            }),
        })
    }

    /// 23
    fn on_cancel(&self) -> Result<Next, String> {
        if self.end.how == How::Exited(0) {
            return self.broken_off(false);
        }
        Ok(match self.wait_after(AttemptKind::OnCancel) {
            Some(wait) => Next::Exactly(Then::OnCancelAt(self.at(wait))),
            None => match self.broken_off(false)? {
                Next::Exactly(Then::Canceled) => Next::Exactly(Then::Failed),
                other => other,
            },
        })
    }

    /// 60, 62
    fn rollback(&self) -> Next {
        let abandoned = self.run.rolling.as_ref().is_some_and(|rolling| rolling.abandoned);
        Next::Exactly(match self.wait_after(AttemptKind::Rollback) {
            _ if self.end.how == How::Exited(0) => Then::RolledBack,
            Some(wait) if !abandoned => Then::RollbackAt(self.at(wait)),
            Some(_) | None => Then::RollbackFailed,
        })
    }

    /// How long until the next try of this kind, this one being in vain; `None` after the last.
    fn wait_after(&self, kind: AttemptKind) -> Option<Span> {
        let step = self.run.steps.get(self.no)?;
        let again = matches!(step.past.last(), Some(Past::Ended { attempt, .. }) if *attempt == self.attempt);
        let before = step.tries(kind) - usize::from(again);
        WAITS.get(before).copied()
    }
}

/// `initial · factor^(n-1)`, at most `max`, in microseconds.
fn wait(backoff: &Backoff, counted: usize) -> i64 {
    let mut wait = i128::from(backoff.initial.0);
    for _ in 1..counted {
        wait = (wait * i128::from(backoff.factor_millis) / 1_000).min(i128::from(backoff.max.0));
    }
    wait.min(i128::from(backoff.max.0)) as i64
}
