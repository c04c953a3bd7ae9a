//! Refusals as gRPC statuses: each with one `ErrorInfo` (AIP-193), bad fields with a `BadRequest`.

use std::collections::HashMap;

use runbook_core::run::Rejection;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "runbook.v1";

/// A status with its reason.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, because(reason, HashMap::new()))
}

fn because(reason: &str, metadata: HashMap<String, String>) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, metadata);
    details
}

/// What has to be so first: all of it at once, each with what it is about.
pub fn unmet<'a>(reason: &str, message: String, conditions: impl Iterator<Item = (&'a str, &'a str)>) -> Status {
    let mut details = because(reason, HashMap::new());
    for (subject, why) in conditions {
        details.add_precondition_failure_violation(reason, subject, why);
    }
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// Fields of a request that cannot be taken: all at once.
pub fn bad_fields(reason: &str, message: impl Into<String>, fields: &[(String, String)]) -> Status {
    let mut details = because(reason, HashMap::new());
    for (field, description) in fields {
        details.add_bad_request_violation(field.clone(), description.clone());
    }
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// A field of a request that cannot be taken.
pub fn bad_field(field: &str, problem: impl Into<String>) -> Status {
    let problem = problem.into();
    bad_fields("INVALID_FIELD", format!("{field}: {problem}"), &[(field.to_owned(), problem)])
}

/// The daemon's loop has ended.
pub fn ending() -> Status {
    status(Code::Unavailable, "DAEMON_ENDING", "the daemon is ending; runs go on at its next start")
}

/// Something that a request needs could not be written.
pub fn not_written(error: &std::io::Error, what: &dyn std::fmt::Display) -> Status {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return status(Code::ResourceExhausted, "DISK_FULL", format!("{what}; make room"));
    }
    status(Code::Internal, "INTERNAL", format!("{what}: {error}"))
}

/// A refusal by the core.
pub fn rejection(rejection: &Rejection) -> Status {
    let (code, reason) = kind(rejection);
    match rejection {
        Rejection::Unconfirmed { targets } => unconfirmed(reason, targets, rejection.to_string()),
        Rejection::Edit { refused } => {
            unmet(reason, rejection.to_string(), refused.iter().map(|why| ("", why.as_str())))
        }
        _ => status(code, reason, rejection.to_string()),
    }
}

/// The reason of a refusal by the core.
pub fn reason(rejection: &Rejection) -> &'static str {
    kind(rejection).1
}

/// Something is destroyed that was not confirmed: the names are in the reason's metadata, as a list in JSON.
fn unconfirmed(reason: &str, targets: &[(String, Vec<String>)], message: String) -> Status {
    let names: Vec<&str> = targets.iter().map(|(name, _)| name.as_str()).collect();
    let metadata = [("targets".to_owned(), serde_json::json!(names).to_string())];
    let mut details = because(reason, HashMap::from(metadata));
    for (name, steps) in targets {
        let by = match steps.is_empty() {
            true => "of the environment".to_owned(),
            false => format!("destroyed by step {}", steps.join(", ")),
        };
        details.add_precondition_failure_violation(reason, name, by);
    }
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn kind(rejection: &Rejection) -> (Code, &'static str) {
    match rejection {
        Rejection::NoSuchRun { .. } => (Code::NotFound, "NO_SUCH_RUN"),
        Rejection::NoSuchStep { .. } => (Code::NotFound, "NO_SUCH_STEP"),
        Rejection::AlreadyTerminal { .. } => (Code::FailedPrecondition, "RUN_TERMINAL"),
        Rejection::Finishing { .. } => (Code::FailedPrecondition, "RUN_FINISHING"),
        Rejection::AlreadyCanceling { .. } => (Code::FailedPrecondition, "ALREADY_CANCELING"),
        Rejection::AlreadyPaused { .. } => (Code::FailedPrecondition, "ALREADY_PAUSED"),
        Rejection::Stopping => (Code::FailedPrecondition, "RUN_STOPPING"),
        Rejection::NotResumable { .. } => (Code::FailedPrecondition, "NOT_RESUMABLE"),
        Rejection::CanceledByPerson => (Code::PermissionDenied, "CANCELED_BY_PERSON"),
        Rejection::NotUnknown { .. } => (Code::FailedPrecondition, "STEP_NOT_UNKNOWN"),
        Rejection::ProcessesLeft { .. } => (Code::FailedPrecondition, "PROCESSES_LEFT"),
        Rejection::RetryWhileEnding { .. } => (Code::FailedPrecondition, "RETRY_WHILE_ENDING"),
        Rejection::Settlement { .. } => (Code::FailedPrecondition, "WRONG_SETTLEMENT"),
        Rejection::NoReturn { .. } => (Code::FailedPrecondition, "NO_RETURN"),
        Rejection::NothingToRollBack { .. } => (Code::FailedPrecondition, "NOTHING_TO_ROLL_BACK"),
        Rejection::RollingBack => (Code::FailedPrecondition, "ROLLING_BACK"),
        Rejection::NotRollingBack => (Code::FailedPrecondition, "NOT_ROLLING_BACK"),
        Rejection::RollbackUnfinished { .. } => (Code::FailedPrecondition, "ROLLBACK_UNFINISHED"),
        Rejection::Edit { .. } => (Code::FailedPrecondition, "EDIT"),
        Rejection::EditStale => (Code::FailedPrecondition, "EDIT_STALE"),
        Rejection::Outputs { .. } => (Code::InvalidArgument, "OUTPUTS_MISSING"),
        Rejection::Name { .. } => (Code::InvalidArgument, "INVALID_NAME"),
        Rejection::Unconfirmed { .. } => (Code::FailedPrecondition, "UNCONFIRMED"),
        Rejection::MayNotStart { .. } => (Code::PermissionDenied, "MAY_NOT_START"),
        Rejection::MayNotOverride { .. } => (Code::PermissionDenied, "MAY_NOT_OVERRIDE"),
        Rejection::MayNotProvide { .. } => (Code::PermissionDenied, "MAY_NOT_PROVIDE"),
        Rejection::NotToProvide { .. } => (Code::FailedPrecondition, "NOT_TO_PROVIDE"),
        Rejection::Frozen { .. } => (Code::FailedPrecondition, "FROZEN"),
        Rejection::OutsideHours { .. } => (Code::FailedPrecondition, "OUTSIDE_HOURS"),
        Rejection::GroupBusy { .. } => (Code::FailedPrecondition, "GROUP_BUSY"),
        Rejection::Limit { .. } => (Code::ResourceExhausted, "LIMIT"),
        Rejection::RequestIdReused { .. } => (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Rejection::NotAsking { .. } => (Code::FailedPrecondition, "STEP_NOT_ASKING"),
        Rejection::StartNotAsking { .. } => (Code::FailedPrecondition, "START_NOT_ASKING"),
        Rejection::MayNotDecide { .. } => (Code::PermissionDenied, "MAY_NOT_DECIDE"),
        Rejection::DecidedAlready { .. } => (Code::FailedPrecondition, "DECIDED_ALREADY"),
        Rejection::Fields { .. } => (Code::InvalidArgument, "FIELDS"),
        Rejection::ChildRun { .. } => (Code::FailedPrecondition, "CHILD_RUN"),
        Rejection::LockNotHeld { .. } => (Code::FailedPrecondition, "LOCK_NOT_HELD"),
        Rejection::LockInUse { .. } => (Code::FailedPrecondition, "LOCK_IN_USE"),
        Rejection::NoSuchSchedule { .. } => (Code::NotFound, "NO_SUCH_SCHEDULE"),
        Rejection::SchedulePaused { .. } => (Code::FailedPrecondition, "SCHEDULE_PAUSED"),
        Rejection::SlotToCome { .. } => (Code::FailedPrecondition, "SLOT_TO_COME"),
        Rejection::SlotBusy { .. } => (Code::FailedPrecondition, "SLOT_BUSY"),
        Rejection::ScheduleNotPaused { .. } => (Code::FailedPrecondition, "SCHEDULE_NOT_PAUSED"),
        Rejection::Quarantined { .. } => (Code::FailedPrecondition, "RUN_QUARANTINED"),
    }
}
