//! What can be asked of the engine, and how it has to answer: rules 3, 25, 32, 34, 36, 39, 40, 54, 55, 58, 61, 62, 64, 65, 91, 115 to 117, 142.

use std::sync::Arc;

use runbook_core::definition::{Overlap, RollbackPolicy, ScheduleOverlap, Settlement};
use runbook_core::id::{RunUid, StepNo};
use runbook_core::run::{Created, EndingCause, How, Input, Outcome, Principal, Start};
use runbook_core::schedule::ScheduleName;
use runbook_core::time::Span;

use super::super::design::Design;
use super::confirm::to_confirm;
use super::gate::is_asked_about;
use super::run::{RunModel, Stage};
use super::schedules::{FolderModel, PreparedModel};
use super::step::{Over, Status};
use super::turn::Model;

/// Something that is put to the engine.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Start {
        token: u64,
        uid: RunUid,
        start: Box<Start>,
        design: Arc<Design>,
        slot: String,
    },
    Run {
        token: Option<u64>,
        run: RunUid,
        input: Input,
    },
    Clock(Span),
    Folder(Box<FolderModel>),
    Slot(Box<PreparedModel>),
    /// A slot that was missed is to run; what its schedule says of other runs.
    CatchUp {
        token: u64,
        asked: Box<PreparedModel>,
        start: Box<Start>,
        overlap: ScheduleOverlap,
    },
    Pause {
        token: u64,
        schedule: ScheduleName,
        pause: bool,
        by: Principal,
        reason: String,
    },
}

/// How the engine has to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    /// The answer is this run, which is there already.
    Repeated(RunUid),
    /// Neither refused nor of any effect.
    Nothing,
}

impl Model {
    pub(crate) fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            // Answers about schedules are of another kind, and judged where they are heard.
            Ask::Clock(_) | Ask::Folder(_) | Ask::Slot(_) | Ask::Pause { .. } => Answer::Nothing,
            Ask::Start { start, design, slot, .. } => self.answer_start(start, design, slot),
            Ask::CatchUp { asked, start, overlap, .. } => self.answer_catch_up(asked, start, *overlap),
            Ask::Run { run, input, .. } => match self.runs.get(run) {
                None => Answer::Refused,
                // 61, 133
                Some(run) if matches!(run.stage, Stage::RollingBack(_)) && run.created.parent.is_none() => {
                    match input {
                        Input::Resume { edited, .. } if edited.is_some() || self.stuck_below(run).is_empty() => {
                            Answer::Refused
                        }
                        Input::Resume { .. } => Answer::Accepted,
                        _ => run.answer(input),
                    }
                }
                Some(run) => run.answer(input),
            },
        }
    }

    /// The answer to a request that was answered before (40).
    pub(super) fn answered_before(&self, start: &Start) -> Option<Answer> {
        let same = |run: &&RunModel| !start.request_id.is_empty() && run.created.request_id == start.request_id;
        let known = self.runs.values().find(same)?;
        let equal = known.created.request_digest == start.request_digest;
        Some(if equal { Answer::Repeated(known.uid) } else { Answer::Refused })
    }

    fn answer_start(&self, start: &Start, design: &Design, slot: &str) -> Answer {
        if let Some(known) = self.answered_before(start) {
            return known;
        }
        // 115
        if !self.may_ask(start) {
            return Answer::Refused;
        }
        // 54
        let names = to_confirm(design, slot, &start.terms.selection.left_out, |_| true);
        // 117
        if !start.terms.dry && !is_asked_about(start) && names.iter().any(|name| !start.terms.confirmed.contains(name))
        {
            return Answer::Refused;
        }
        // 3
        let skips = design.runbook.overlap() == Some(Overlap::Skip);
        let environment = start.terms.environment.as_deref();
        let group = design.group.as_ref().map(|name| name.rendered(slot, environment));
        // 78
        let group = group.filter(|_| !start.terms.dry);
        // 97, 99
        let skips = skips && start.terms.begin.is_none();
        let on = |run: &&RunModel| !run.is_terminal() && run.begins.is_none();
        let busy = self.runs.values().filter(on).any(|run| run.created.group == group);
        if skips && group.is_some() && busy { Answer::Refused } else { Answer::Accepted }
    }
}

impl Model {
    /// The runs that a new one replaces (91).
    pub(super) fn replaced(&self, created: &Created, design: &Design) -> Vec<RunUid> {
        let replaces = design.runbook.overlap() == Some(Overlap::Replace);
        if !replaces || created.group.is_none() || created.terms.begin.is_some() {
            return Vec::new();
        }
        let cancel = Input::Cancel { now: false, by: created.by.clone(), reason: String::new(), past: Vec::new() };
        let of_group = self
            .runs
            .values()
            .filter(|run| !run.is_terminal() && run.begins.is_none() && run.created.group == created.group);
        of_group.filter(|run| run.answer(&cancel) == Answer::Accepted).map(|run| run.uid).collect()
    }
}

impl RunModel {
    /// Whether every step without a way back that has started is named (65).
    fn names_all(&self, past: &[StepNo]) -> bool {
        self.no_way_back().into_iter().all(|no| past.iter().any(|named| named.index() == no))
    }

    /// Whether a hard ending is on, also of one that is queued.
    pub(super) fn ends_hard(&self) -> bool {
        self.ending.as_ref().is_some_and(|cause| !matches!(cause, EndingCause::FailureStop(_)))
    }

    pub(super) fn answer(&self, input: &Input) -> Answer {
        let accept_if = |accepted: bool| if accepted { Answer::Accepted } else { Answer::Refused };
        match input {
            // 39, 19
            Input::Verdict { step, attempt, end, .. } => {
                let live = self.steps.get(step.index()).is_some_and(|step| matches!(step.status, Status::Live(..)));
                let told_before = !live && end.how == How::Lost { processes_left: true };
                match self.kind_of(step.index(), attempt.0) {
                    Some(_) if !told_before => Answer::Accepted,
                    _ => Answer::Nothing,
                }
            }
            // 71
            Input::Cancel { .. } | Input::Resume { .. } | Input::RollBack { .. } | Input::AbandonRollback { .. }
                if self.created.parent.is_some() =>
            {
                Answer::Refused
            }
            Input::Cancel { now, past, .. } => accept_if(match (self.stage, &self.ending) {
                // 65
                _ if !self.names_all(past) => false,
                // 64
                (Stage::RollingBack(_), _) => false,
                (Stage::Queued, _) if self.asked.is_some() => false,
                // 32
                (Stage::Finally(_) | Stage::Terminal(_), _) => false,
                // 25
                (Stage::Queued | Stage::Main, Some(EndingCause::Cancel { now: before, .. })) => *now && !before,
                (Stage::Queued | Stage::Main, _) => true,
            }),
            // 58
            Input::RollBack { past, .. } => accept_if(
                matches!(self.stage, Stage::Terminal(Outcome::Failed | Outcome::Canceled))
                    && self.design.runbook.rollback.policy != RollbackPolicy::Never
                    && !self.to_compensate(false).is_empty()
                    && self.names_all(past),
            ),
            // 62
            Input::AbandonRollback { .. } => accept_if(match self.stage {
                Stage::RollingBack(_) => !self.rolling.as_ref().is_some_and(|rolling| rolling.abandoned),
                Stage::Queued => self.asked.is_some(),
                Stage::Main | Stage::Finally(_) | Stage::Terminal(_) => false,
            }),
            // 86
            Input::Pause { .. } => accept_if(self.created.parent.is_none() && self.can_be_held()),
            // 88
            Input::Resume { edited: None, .. } if self.is_held() => Answer::Accepted,
            // 36, 55, 61, 64
            Input::Resume { by, confirmed, edited, .. } => accept_if(match self.stage {
                // Of all runs that are rolled back together: see above.
                Stage::RollingBack(_) => false,
                Stage::Terminal(_) if self.steps.iter().any(|s| s.status == Status::Over(Over::RollbackFailed)) => {
                    false
                }
                // 117
                Stage::Terminal(_) if self.gate.as_ref().is_some_and(|gate| !gate.open) => false,
                Stage::Terminal(Outcome::Failed | Outcome::Canceled | Outcome::RolledBack) => {
                    let canceled = matches!(self.ending, Some(EndingCause::Cancel { .. }));
                    (by.uid.is_some() || !canceled || self.stage == Stage::Terminal(Outcome::Failed))
                        && self.to_confirm_with(edited.as_deref()).iter().all(|name| confirmed.contains(name))
                }
                Stage::Terminal(Outcome::Succeeded) | Stage::Queued | Stage::Main | Stage::Finally(_) => false,
            }),
            // 34
            Input::Resolve { step, settlement, outputs, .. } => {
                let status = self.steps.get(step.index()).map(|step| step.status);
                let unknown = matches!(status, Some(Status::Unknown { processes_left: false, .. }));
                if self.stuck().contains(&step.index()) {
                    // 61
                    return accept_if(*settlement != Settlement::Failed);
                }
                let possible = match settlement {
                    Settlement::Skipped => false,
                    Settlement::Succeeded => self.has_outputs(step.index(), outputs),
                    Settlement::Failed => true,
                    Settlement::Retry => self.ending.is_none(),
                };
                accept_if(unknown && possible)
            }
            Input::Withheld { step, attempt, .. } => self.answer_withheld(step.index(), attempt.0),
            Input::Provide(provision) => self.answer_provision(provision),
            Input::Available(provision) => self.answer_available(&provision.inputs),
            // 142
            Input::ReleaseLocks { step, name, .. } => accept_if(step.is_some_and(|no| self.gives_up(no.index(), name))),
            // 50, 51
            Input::Decide { step, ballot } => accept_if(self.may_decide(step.index(), ballot)),
            // 116
            Input::DecideStart { ballot } => accept_if(self.may_decide_start(ballot)),
            Input::Admit
            | Input::StartAttempt { .. }
            | Input::Tick
            | Input::ClockSet { .. }
            | Input::Above { .. }
            | Input::Reopen
            | Input::RollBackBelow
            | Input::AbandonBelow { .. }
            | Input::PauseBelow { .. }
            | Input::ContinueBelow { .. }
            | Input::TryAgain { .. }
            | Input::Deadlock { .. }
            | Input::ChildEnded { .. }
            | Input::ChildWaits { .. } => Answer::Nothing,
        }
    }
}
