//! Rules 5 to 8: whether a step is judged, and how.

use serde_json::Value;

use super::super::condition::{Cond, ITEM, ITERATION, NUMBER, Names, around};
use super::super::design::Design;
use super::run::{RunModel, Stage};
use super::step::{Over, Past, Status, StepModel};
use runbook_core::definition::{DryRun, Effect, Many, WhenSkipped, Work};
use runbook_core::id::StepNo;
use runbook_core::run::{AttemptKind, EndingCause, How, Outcome};

/// What comes of a step that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Ready,
    /// A need did not succeed; any of those may be named.
    SkipForNeed,
    SkipForCondition,
    /// Nothing that it undoes has run.
    SkipForNothing,
    Fail,
    /// It waits (46, 47).
    Wait,
    /// It asks (50).
    Ask,
    /// It is shown (79).
    Show,
    /// It is left out (82).
    LeaveOut,
}

impl RunModel {
    /// Whether it is time to judge a step (5).
    pub(crate) fn is_judged_now(&self, no: usize) -> bool {
        let stage_fits = match self.stage {
            Stage::Main => self.design.is_main(no),
            Stage::Finally(_) => !self.design.is_main(no),
            Stage::Queued | Stage::RollingBack(_) | Stage::Terminal(_) => false,
        };
        let pending = self.steps.get(no).is_some_and(|step| step.status == Status::Pending);
        // 109: iterations have their turn.
        stage_fits
            && pending
            && self.design.repeat.is_none()
            && self.design.needs(no).all(|need| self.is_over_for_others(need))
    }

    /// Whether a step is over for those that need it: it, and what it comes after over steps that were kept (44).
    fn is_over_for_others(&self, no: usize) -> bool {
        let mut found = vec![no];
        let mut next = 0;
        while let Some(step) = found.get(next).and_then(|no| self.steps.get(*no)) {
            if !step.is_over() {
                return false;
            }
            if step.kept {
                let needs: Vec<usize> = self.design.needs(found[next]).filter(|need| !found.contains(need)).collect();
                found.extend(needs);
            }
            next += 1;
        }
        true
    }

    /// Whether nothing of a step needs to be judged: without an `if` and `undoes` it starts without a word.
    pub(crate) fn is_plain(&self, no: usize) -> bool {
        self.condition(no).is_none()
            && self.design.undoes(no).next().is_none()
            && self.design.step_locks.get(no).is_none_or(Vec::is_empty)
            && !self.created.terms.dry
            && !self.is_left_out(no)
            && !self.held_before.contains(&no)
            && !self.steps.get(no).is_some_and(|step| step.paused_before)
    }

    /// Whether a need of a step did not succeed although that is implied (6, 7).
    pub(crate) fn is_unmet(&self, no: usize, need: usize) -> bool {
        self.is_implied(no, need) && !self.is_met(need)
    }

    fn is_implied(&self, no: usize, need: usize) -> bool {
        match self.condition(no) {
            None => true,
            Some(condition) => !condition.lifts_all() && !condition.mentions_status(need),
        }
    }

    /// Whether a need is met, and with it what it stands on, if it was kept (6, 44).
    fn is_met(&self, need: usize) -> bool {
        let mut found = vec![need];
        let mut next = 0;
        while let Some(no) = found.get(next).copied() {
            if !self.is_met_alone(no) {
                return false;
            }
            if self.steps.get(no).is_some_and(|step| step.kept) {
                let needs: Vec<usize> =
                    self.design.needs(no).filter(|need| self.is_implied(no, *need) && !found.contains(need)).collect();
                found.extend(needs);
            }
            next += 1;
        }
        true
    }

    /// 6
    fn is_met_alone(&self, need: usize) -> bool {
        let goes_on = self.design.runbook.steps.get(need).is_some_and(|step| step.when_skipped == WhenSkipped::GoOn);
        self.steps.get(need).is_some_and(|step| step.succeeded() || step.stands_in || (step.passed_over && goes_on))
    }

    /// Whether each need that is not met was passed over (6).
    pub(crate) fn lacks_only_passed_over(&self, no: usize) -> bool {
        let mut unmet = self.design.needs(no).filter(|need| self.is_unmet(no, *need));
        unmet.all(|need| self.steps.get(need).is_some_and(|step| step.passed_over))
    }

    /// Whether a step may start without any word that it is ready: it has a command and no `if`.
    pub(crate) fn starts_unsaid(&self, no: usize) -> bool {
        self.is_plain(no) && self.is_judged_now(no) && self.judgement(no) == Judgement::Ready
    }

    fn is_left_out(&self, no: usize) -> bool {
        self.created.terms.selection.left_out.contains(&StepNo(no as u32))
    }

    /// Whether a step that may run is shown instead (79).
    fn is_shown(&self, no: usize) -> bool {
        let runs = self.design.runbook.steps.get(no).is_some_and(|step| match step.work {
            _ if matches!(step.many.as_deref(), Some(Many::Repeat(_))) => false,
            _ if step.starts_run() => step.dry_run != DryRun::Skip && !self.lacks_below(no),
            Work::Command(_) => match step.dry_run {
                DryRun::Run => step.effect == Effect::Read,
                DryRun::Ask => matches!(step.effect, Effect::Read | Effect::Idempotent),
                DryRun::Skip => false,
            },
            Work::Fail(_) => true,
            Work::Wait(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_) => false,
        });
        self.created.terms.dry && !runs
    }

    /// Whether a step would have left a number that a dry run does not have (79).
    pub(super) fn lacks(&self, no: usize) -> bool {
        let left_nothing = |step: &&StepModel| step.stands_in || step.child.is_some();
        self.steps.get(no).filter(left_nothing).is_some_and(|step| !step.outputs.contains_key(NUMBER))
    }

    fn condition(&self, no: usize) -> Option<&Cond> {
        self.design.conditions.get(no)?.as_ref()
    }

    /// How a step that is judged now is judged (6, 7).
    pub(crate) fn judgement(&self, no: usize) -> Judgement {
        if self.design.needs(no).any(|need| self.is_unmet(no, need)) {
            return Judgement::SkipForNeed;
        }
        // 82
        if self.is_left_out(no) {
            return Judgement::LeaveOut;
        }
        // 42
        let mut undoes = self.design.undoes(no).peekable();
        if undoes.peek().is_some() && !undoes.any(|undone| self.steps.get(undone).is_some_and(|step| step.ran)) {
            return Judgement::SkipForNothing;
        }
        // 79
        let dry = self.created.terms.dry;
        if dry && self.condition(no).is_some_and(|condition| condition.mentions_output(|step| self.lacks(step))) {
            return Judgement::Show;
        }
        match self.condition(no).map(|condition| condition.holds(&AsSeen { run: self, step: no })) {
            None | Some(Ok(true)) if self.is_shown(no) => Judgement::Show,
            None | Some(Ok(true)) => match self.design.runbook.steps.get(no).map(|step| &step.work) {
                // 45
                Some(Work::Fail(_)) | None => Judgement::Fail,
                Some(Work::Wait(_)) => Judgement::Wait,
                Some(Work::Approval(_)) => Judgement::Ask,
                Some(Work::Command(_) | Work::Runbook(_) | Work::Block(_)) => Judgement::Ready,
            },
            Some(Ok(false)) => Judgement::SkipForCondition,
            Some(Err(())) => Judgement::Fail,
        }
    }
}

/// What a text of a step sees.
pub(super) struct AsSeen<'a> {
    pub(super) run: &'a RunModel,
    pub(super) step: usize,
}

impl Names for AsSeen<'_> {
    fn status(&self, step: usize) -> &'static str {
        // 80
        if self.run.steps.get(step).is_some_and(|step| step.stands_in) {
            return "succeeded";
        }
        match self.run.steps.get(step).map(|step| step.status) {
            Some(Status::Over(Over::Succeeded)) => "succeeded",
            Some(Status::Over(Over::Failed)) => "failed",
            Some(Status::Over(Over::Skipped)) => "skipped",
            Some(Status::Over(Over::Canceled)) => "canceled",
            Some(Status::Over(Over::RolledBack)) => "rolled_back",
            Some(Status::Over(Over::RollbackFailed)) => "rollback_failed",
            _ => "pending",
        }
    }

    fn number(&self, step: usize) -> Option<i64> {
        let step = self.run.steps.get(step).filter(|step| step.succeeded() || step.stands_in)?;
        step.outputs.get(NUMBER).and_then(Value::as_i64)
    }

    /// 8
    fn failure(&self) -> bool {
        let canceled = matches!(self.run.ending, Some(EndingCause::Cancel { .. }));
        let failed = match self.run.stage {
            Stage::Finally(Outcome::Failed) => true,
            // 63
            Stage::Finally(Outcome::RolledBack) => !canceled,
            _ => false,
        };
        if failed && !self.run.design.is_main(self.step) {
            return true;
        }
        before(&self.run.design, self.step)
            .iter()
            .any(|step| self.run.steps.get(*step).is_some_and(|step| step.failed()))
    }

    fn slot(&self) -> &str {
        self.run.slot()
    }

    /// 100
    fn item(&self) -> Option<i64> {
        self.run.created.inputs.get(ITEM).and_then(Value::as_i64)
    }

    /// 109
    fn iteration(&self) -> Option<i64> {
        match self.run.design.repeat {
            Some(_) => i64::try_from(self.step + 1).ok(),
            None => self.run.created.inputs.get(ITERATION).and_then(Value::as_i64),
        }
    }

    fn own_status(&self) -> &'static str {
        self.status(self.step)
    }

    fn own_exit_code(&self) -> Option<i32> {
        let past = &self.run.steps.get(self.step)?.past;
        let latest = past.iter().rev().find(|past| matches!(past, Past::Ended { kind: AttemptKind::Run, .. }))?;
        match latest {
            Past::Ended { how: How::Exited(code), .. } => Some(*code),
            Past::Ended { .. } | Past::Settled(_) | Past::Chosen => None,
        }
    }

    fn own_number(&self) -> Option<i64> {
        self.number(self.step)
    }

    /// 90
    fn around(&self, id: &str) -> Option<i64> {
        self.run.created.inputs.get(&around(id)).and_then(Value::as_i64)
    }

    fn outcome(&self) -> &'static str {
        match self.run.stage {
            Stage::Finally(outcome) => outcome.name(),
            Stage::Queued | Stage::Main | Stage::RollingBack(_) | Stage::Terminal(_) => "",
        }
    }
}

/// The steps that one comes after, directly or not.
pub(crate) fn before(design: &Design, step: usize) -> Vec<usize> {
    let mut found: Vec<usize> = design.needs(step).collect();
    let mut next = 0;
    while let Some(step) = found.get(next).copied() {
        for need in design.needs(step) {
            if !found.contains(&need) {
                found.push(need);
            }
        }
        next += 1;
    }
    found
}
