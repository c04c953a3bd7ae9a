//! Which facts can follow which states of a step, and the names of both. Never changes a state.

use super::event::{Fact, Parent};
use super::state::Progress;
use crate::id::{RunUid, StepNo};

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
    ("waiting", "step_ready"),
    ("succeeded", "repeat_ended"),
    ("failed", "repeat_ended"),
    ("pending", "approval_asked"),
    ("asking", "approval_given"),
    ("asking", "approval_timed_out"),
    ("pending", "attempt_starting"),
    ("ready", "attempt_starting"),
    ("live", "attempt_ended"),
    ("retry", "attempt_starting"),
    ("verify", "attempt_starting"),
    ("on_cancel", "attempt_starting"),
    ("pending", "child_starting"),
    ("ready", "child_starting"),
    ("ready", "step_failed"),
    ("child", "child_ended"),
    ("child", "child_waits"),
    ("succeeded", "child_rolling_back"),
    ("failed", "child_rolling_back"),
    ("skipped", "child_rolling_back"),
    ("canceled", "child_rolling_back"),
    ("rollback_failed", "child_rolling_back"),
    ("child_rollback", "child_ended"),
    ("child_rollback", "child_waits"),
    ("unknown", "attempt_ended"),
    ("unknown", "resolved"),
    ("succeeded", "attempt_starting"),
    ("failed", "attempt_starting"),
    ("skipped", "attempt_starting"),
    ("canceled", "attempt_starting"),
    ("rollback_failed", "attempt_starting"),
    ("rollback_retry", "attempt_starting"),
    ("rollback_failed", "resolved"),
    ("retry", "locks_released"),
    ("verify", "locks_released"),
    ("on_cancel", "locks_released"),
    ("unknown", "locks_released"),
    ("rollback_retry", "locks_released"),
    ("rollback_failed", "locks_released"),
    ("live", "withheld"),
    ("withheld", "locks_released"),
];

impl Fact {
    /// The kind of fact, as shown and as counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Due => "due",
            Self::Admitted { .. } => "admitted",
            Self::StepReady { .. } => "step_ready",
            Self::StepSkipped { .. } => "step_skipped",
            Self::StepFailed { .. } => "step_failed",
            Self::WaitBegan { .. } => "wait_began",
            Self::WaitEnded { .. } => "wait_ended",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::ApprovalGiven { .. } => "approval_given",
            Self::StartDecided { .. } => "start_decided",
            Self::ApprovalTimedOut { .. } => "approval_timed_out",
            Self::AttemptStarting { .. } => "attempt_starting",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::ChildStarting { .. } => "child_starting",
            Self::ChildEnded { .. } => "child_ended",
            Self::ChildWaits { .. } => "child_waits",
            Self::ChildRollingBack { .. } => "child_rolling_back",
            Self::Ending { .. } => "ending",
            Self::RollingBack { .. } => "rolling_back",
            Self::RollbackAsked { .. } => "rollback_asked",
            Self::RollbackAbandoned { .. } => "rollback_abandoned",
            Self::Finishing { .. } => "finishing",
            Self::Finished { .. } => "finished",
            Self::Resumed { .. } => "resumed",
            Self::Resolved { .. } => "resolved",
            Self::LocksReleased { .. } => "locks_released",
            Self::Withheld { .. } => "withheld",
            Self::Provided { .. } => "provided",
            Self::RepeatEnded { .. } => "repeat_ended",
            Self::Paused { .. } => "paused",
            Self::Continued { .. } => "continued",
            Self::DeadlinesShifted { .. } => "deadlines_shifted",
        }
    }

    /// The step that started the run that it makes, if a step did.
    pub const fn parent(&self) -> Option<&Parent> {
        match self {
            Self::Created(created) => created.parent.as_ref(),
            _ => None,
        }
    }

    /// The step that it is about, if it is about one.
    pub const fn step(&self) -> Option<StepNo> {
        match self {
            Self::StepReady { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::StepFailed { step, .. }
            | Self::WaitBegan { step, .. }
            | Self::WaitEnded { step }
            | Self::ApprovalAsked { step, .. }
            | Self::ApprovalGiven { step, .. }
            | Self::ApprovalTimedOut { step, .. }
            | Self::AttemptStarting { step, .. }
            | Self::AttemptEnded { step, .. }
            | Self::ChildStarting { step, .. }
            | Self::ChildEnded { step, .. }
            | Self::ChildWaits { step, .. }
            | Self::ChildRollingBack { step, .. }
            | Self::RepeatEnded { step, .. }
            | Self::LocksReleased { step, .. }
            | Self::Withheld { step, .. }
            | Self::Resolved { step, .. } => Some(*step),
            Self::Created(_)
            | Self::Due
            | Self::Admitted { .. }
            | Self::Ending { .. }
            | Self::RollingBack { .. }
            | Self::RollbackAsked { .. }
            | Self::StartDecided { .. }
            | Self::RollbackAbandoned { .. }
            | Self::Finishing { .. }
            | Self::Finished { .. }
            | Self::Resumed { .. }
            | Self::Provided { .. }
            | Self::Paused { .. }
            | Self::Continued { .. }
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
            Self::Child => "child",
            Self::ChildRollback => "child_rollback",
            Self::Unknown { .. } => "unknown",
            Self::Withheld(_) => "withheld",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::RollbackRetry(_) => "rollback_retry",
            Self::RolledBack => "rolled_back",
            Self::RollbackFailed => "rollback_failed",
        }
    }
}
