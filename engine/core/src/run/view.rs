//! How a run and its steps are called from outside: status words derived from the state. Decides nothing.

use super::event::{AttemptKind, Outcome};
use super::state::{Phase, Progress, RunState};
use crate::id::StepNo;

/// The status of a run, the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It goes to its end: attempts are being stopped, tidied up after, or asked about.
    Stopping,
    /// What steps did is being compensated.
    RollingBack,
    /// `finally` is on.
    Finishing,
    /// A step waits for a person.
    Attention,
    /// A person holds it.
    Paused,
    /// Steps are on.
    Running,
    /// Nothing of it is on; it waits for something else, as for the time at which it is to begin,
    /// or for persons who approve that.
    Waiting,
    /// It waits for its locks or its group.
    Queued,
    /// It is over.
    Terminal(Outcome),
}

impl RunStatus {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::RollingBack => "rolling_back",
            Self::Finishing => "finishing",
            Self::Attention => "attention",
            Self::Paused => "paused",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Terminal(outcome) => outcome.name(),
        }
    }
}

/// The status of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// It has not begun.
    Pending,
    /// An attempt of it, or of its `verify` or `on_cancel`, is on or due.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It waits for a time, for its next probe, for persons or for a value that one has to give, or all that goes on below it does.
    Waiting,
    /// Nobody knows what it did.
    Unknown,
    /// It is over, well.
    Succeeded,
    /// It is over, badly.
    Failed,
    /// It did not run.
    Skipped,
    /// It was canceled.
    Canceled,
    /// What it did is being compensated.
    RollingBack,
    /// What it did is compensated.
    RolledBack,
    /// The compensation of what it did failed.
    RollbackFailed,
}

impl StepStatus {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::RollbackFailed => "rollback_failed",
        }
    }
}

impl RunState {
    /// The run's status.
    pub fn status(&self) -> RunStatus {
        match self.phase() {
            Phase::Terminal(outcome) => RunStatus::Terminal(outcome),
            Phase::Queued if self.hold().is_some() => RunStatus::Paused,
            Phase::Queued if self.begins().is_some() || self.is_gated() => RunStatus::Waiting,
            Phase::Queued => RunStatus::Queued,
            Phase::Finishing(_) if self.waits_in_finally() => RunStatus::Attention,
            Phase::Finishing(_) => RunStatus::Finishing,
            Phase::RollingBack(_) if self.waits_in_rollback() => RunStatus::Attention,
            Phase::RollingBack(_) => RunStatus::RollingBack,
            Phase::Running => {
                let moving = self.is_moving();
                let hard = self.ends_hard();
                // What goes to its end by itself waits for a person all the same.
                let stands = self.stands_held() && !hard;
                if self.ending.is_some() && (moving || !self.needs_person()) && !stands {
                    RunStatus::Stopping
                } else if self.needs_person() {
                    RunStatus::Attention
                } else if self.is_held() {
                    RunStatus::Paused
                } else if moving || !self.ready.is_empty() || !self.to_judge.is_empty() {
                    RunStatus::Running
                } else {
                    RunStatus::Waiting
                }
            }
        }
    }

    /// The status of a step.
    pub fn step_status(&self, no: StepNo) -> StepStatus {
        match self.progress(no) {
            Progress::Pending | Progress::Ready => StepStatus::Pending,
            Progress::Live(_, AttemptKind::Run | AttemptKind::Verify | AttemptKind::OnCancel)
            | Progress::Verify(_)
            | Progress::OnCancel(_) => StepStatus::Running,
            Progress::Withheld(AttemptKind::Rollback) => StepStatus::RollingBack,
            Progress::Waiting { .. } | Progress::Asking { .. } | Progress::Withheld(_) => StepStatus::Waiting,
            Progress::Retry(_) if self.pinned().runbook.step(no).is_some_and(|step| step.probe().is_some()) => {
                StepStatus::Waiting
            }
            Progress::Live(_, AttemptKind::Rollback) | Progress::RollbackRetry(_) | Progress::ChildRollback => {
                StepStatus::RollingBack
            }
            Progress::RolledBack => StepStatus::RolledBack,
            Progress::RollbackFailed => StepStatus::RollbackFailed,
            Progress::Child if self.below.contains_key(&no) => StepStatus::Waiting,
            Progress::Child => StepStatus::Running,
            Progress::Retry(_) => StepStatus::Retrying,
            Progress::Unknown { .. } => StepStatus::Unknown,
            Progress::Succeeded => StepStatus::Succeeded,
            Progress::Failed => StepStatus::Failed,
            Progress::Skipped => StepStatus::Skipped,
            Progress::Canceled => StepStatus::Canceled,
        }
    }
}
