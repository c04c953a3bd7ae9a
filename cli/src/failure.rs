//! The one error type of the command line: what happened, why, what to do next, and the exit code. Turns the
//! daemon's statuses into it. Never prints.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::exit_code::ExitCode;
use crate::text::sanitize;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub code: ExitCode,
    /// What happened, in one line.
    pub what: String,
    /// Why, when that says more.
    pub why: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    /// Each thing that is wrong: the field or the place (possibly empty), and what is wrong with it.
    pub details: Vec<(String, String)>,
    /// What the daemon answered, for programs.
    pub answer: Option<Box<Answer>>,
    /// How the connection failed, when it did.
    pub connection: Option<Connection>,
}

/// The daemon's words for a failure.
#[derive(Debug)]
pub struct Answer {
    /// The name of the gRPC status.
    pub status: &'static str,
    /// The name of the reason.
    pub reason: Option<String>,
    /// Facts about the reason.
    pub metadata: Vec<(String, String)>,
}

/// How a connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Nobody listens: a daemon may be started.
    Absent,
    /// It broke, or no answer came.
    Broken,
    /// The daemon said that it is going away on purpose.
    Draining,
}

/// The reasons in an `ErrorInfo` by which a daemon says that it goes away on purpose.
const DRAINING: [&str; 2] = ["DRAINING", "DAEMON_ENDING"];

/// The fields of a request under which the inputs of a run are.
const INPUTS: &str = "inputs.";

/// The result of everything that a command does.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with its code and what happened.
    pub fn new(code: ExitCode, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: None, next: None, details: Vec::new(), answer: None, connection: None }
    }

    /// Something is wrong with what was typed.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, what)
    }

    /// Something that nobody foresaw.
    pub fn other(what: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, what)
    }

    /// No daemon answers.
    pub fn unreachable(connection: Connection, what: impl Into<String>) -> Self {
        Self { connection: Some(connection), ..Self::new(ExitCode::Unreachable, what) }
    }

    /// An operation of the system failed.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::other(what).why(error.to_string())
    }

    /// Adds why.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what to do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Whether another try over a new connection may help.
    pub fn is_connection(&self) -> bool {
        self.connection.is_some()
    }

    /// The daemon's name for the reason.
    pub fn reason(&self) -> Option<&str> {
        self.answer.as_ref().and_then(|answer| answer.reason.as_deref())
    }

    /// The name of the gRPC status, when there was one.
    pub fn status(&self) -> Option<&'static str> {
        self.answer.as_ref().map(|answer| answer.status)
    }

    /// For a terminal or a log: what, each detail, why, next.
    pub fn human(&self) -> String {
        let mut text = format!("error: {}", sanitize(&self.what));
        for (field, description) in &self.details {
            let description = sanitize(description);
            // Writing to a String cannot fail.
            let _ = match field.as_str() {
                "" => write!(text, "\n  - {description}"),
                field => write!(text, "\n  - {}: {description}", sanitize(field)),
            };
        }
        for (label, part) in [("why", &self.why), ("next", &self.next)] {
            if let Some(part) = part {
                let part = part.lines().map(sanitize).collect::<Vec<_>>().join("\n    ");
                let _ = write!(text, "\n  {label}: {part}");
            }
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let details: Vec<Value> = self
            .details
            .iter()
            .map(|(field, description)| json!({"field": field, "description": description}))
            .collect();
        let metadata = self.answer.iter().flat_map(|answer| &answer.metadata);
        let metadata: serde_json::Map<String, Value> =
            metadata.map(|(key, value)| (key.clone(), json!(value))).collect();
        json!({"error": {
            "exit_code": self.code.number(),
            "status": self.status(),
            "reason": self.reason(),
            "message": self.what,
            "details": details,
            "why": self.why,
            "next": self.next,
            "metadata": metadata,
        }})
    }
}

/// Writing to standard output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::new(ExitCode::OutputClosed, "the reader of the output went away")
        } else {
            Self::io("cannot write the output", &error)
        }
    }
}

/// The daemon's answer was an error, or there was none.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // A status with a source was made on this side: the transport failed, the daemon said nothing.
        if status.source().is_some() {
            return transport(&status);
        }
        let found = status.get_error_details();
        let mut details: Vec<(String, String)> = Vec::new();
        if let Some(bad) = found.bad_request() {
            details.extend(bad.field_violations.iter().map(|v| (v.field.clone(), v.description.clone())));
        }
        if let Some(missing) = found.precondition_failure() {
            details.extend(missing.violations.iter().map(|v| (v.subject.clone(), v.description.clone())));
        }
        if let Some(quota) = found.quota_failure() {
            details.extend(quota.violations.iter().map(|v| (v.subject.clone(), v.description.clone())));
        }
        let reason = found.error_info().map(|info| info.reason.clone());
        let mut metadata: Vec<(String, String)> = found
            .error_info()
            .map(|info| info.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            .unwrap_or_default();
        metadata.sort();
        let next = found.help().and_then(|help| help.links.first()).map(|link| link.description.clone());
        let draining =
            status.code() == Code::Unavailable && reason.as_deref().is_some_and(|reason| DRAINING.contains(&reason));
        let connection = match status.code() {
            _ if draining => Some(Connection::Draining),
            Code::Unavailable | Code::DeadlineExceeded => Some(Connection::Broken),
            _ => None,
        };
        let what = match status.message() {
            "" => format!("the daemon answered {} and no more", code_name(status.code())),
            message => headline(message, &details),
        };
        let next = next.or_else(|| advice(status.code()).map(str::to_owned));
        Self {
            details,
            next,
            connection,
            answer: Some(Box::new(Answer { status: code_name(status.code()), reason, metadata })),
            ..Self::new(exit_code(status.code()), what)
        }
    }
}

/// What a message says beside its details, which are listed one by one: the text before the first of them.
fn headline(message: &str, details: &[(String, String)]) -> String {
    let parts = details.iter().flat_map(|(field, description)| [field, description]);
    let first = parts.filter(|part| !part.is_empty()).filter_map(|part| message.find(part.as_str())).min();
    let before = message[..first.unwrap_or(message.len())].trim_end_matches([' ', ':', '-', '\n']);
    // The name of the first field is no headline.
    let is_name = details.iter().any(|(field, _)| field.rsplit('.').next() == Some(before));
    if !before.is_empty() && !is_name {
        return before.to_owned();
    }
    let what = if details.iter().all(|(field, _)| field.starts_with(INPUTS)) { "input" } else { "part" };
    match details.len() {
        1 => format!("1 {what} of the request is wrong"),
        count => format!("{count} {what}s of the request are wrong"),
    }
}

/// A failure of the transport, told by its innermost cause.
fn transport(status: &Status) -> Failure {
    let mut cause = String::new();
    let mut absent = false;
    let mut source = status.source();
    while let Some(error) = source {
        cause = error.to_string();
        absent |= error.downcast_ref::<io::Error>().is_some_and(|error| is_absent(error.kind()));
        source = error.source();
    }
    let connection = if absent { Connection::Absent } else { Connection::Broken };
    Failure::unreachable(connection, "the connection to the daemon broke").why(cause)
}

/// Whether an error of `connect` means that nobody listens there.
pub fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

const fn exit_code(code: Code) -> ExitCode {
    match code {
        Code::Ok => ExitCode::Succeeded,
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange => ExitCode::Usage,
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::AlreadyExists
        | Code::Aborted
        | Code::ResourceExhausted => ExitCode::Refused,
        Code::Unavailable | Code::DeadlineExceeded => ExitCode::Unreachable,
        Code::Cancelled | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => ExitCode::Other,
    }
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What to do next where the daemon did not say.
const fn advice(code: Code) -> Option<&'static str> {
    match code {
        Code::Unimplemented => Some("the daemon is older than this command: `runbook daemon restart`"),
        Code::Internal | Code::Unknown | Code::DataLoss => Some("the daemon's log says more: runbookd.log"),
        Code::Unavailable => Some("`runbook daemon status` says how the daemon is"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn every_violation_is_listed() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("INPUT_INVALID", "runbook", [("runbook".to_owned(), "backup".to_owned())])
            .add_bad_request_violation("inputs.keep", "expected an integer, got \"x\"")
            .add_bad_request_violation("inputs.source", "required")
            .add_help_link("`runbook show backup` lists the inputs", "");
        let status = Status::with_error_details(Code::InvalidArgument, "2 inputs are wrong", details);
        let failure = Failure::from(status);
        assert_eq!(failure.code, ExitCode::Usage);
        assert_eq!(
            failure.human(),
            "error: 2 inputs are wrong\n  \
             - inputs.keep: expected an integer, got \"x\"\n  \
             - inputs.source: required\n  \
             next: `runbook show backup` lists the inputs"
        );
        let json = failure.json();
        assert_eq!(json["error"]["reason"], "INPUT_INVALID");
        assert_eq!(json["error"]["status"], "INVALID_ARGUMENT");
        assert_eq!(json["error"]["exit_code"], 2);
        assert_eq!(json["error"]["metadata"]["runbook"], "backup");
        assert_eq!(json["error"]["details"][1]["field"], "inputs.source");
    }

    #[test]
    fn what_the_details_say_is_said_once() {
        let details = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect()
        };
        for (message, pairs, expected) in [
            (
                "a is wrong\nb is wrong",
                &[("inputs.a", "a is wrong"), ("inputs.b", "b is wrong")][..],
                "2 inputs of the request are wrong",
            ),
            ("reason: too long", &[("reason", "too long")], "1 part of the request is wrong"),
            (
                "a: is wrong; b: is wrong",
                &[("inputs.a", "is wrong"), ("inputs.b", "is wrong")],
                "2 inputs of the request are wrong",
            ),
            ("x cannot run:\n  f:1:2: E1: bad", &[("f:1:2", "E1: bad")], "x cannot run"),
            ("x cannot run here: no tar", &[("requires.tools.tar", "no tar")], "x cannot run here"),
            ("no such run", &[], "no such run"),
        ] {
            assert_eq!(headline(message, &details(pairs)), expected);
        }
    }

    #[test]
    fn codes_map_to_exit_codes() {
        for (code, expected) in [
            (Code::NotFound, ExitCode::Usage),
            (Code::FailedPrecondition, ExitCode::Refused),
            (Code::PermissionDenied, ExitCode::Refused),
            (Code::Unavailable, ExitCode::Unreachable),
            (Code::Internal, ExitCode::Other),
        ] {
            assert_eq!(Failure::from(Status::new(code, "x")).code, expected, "{code:?}");
        }
    }

    #[test]
    fn a_drain_is_told_from_a_break() {
        let mut details = ErrorDetails::new();
        details.set_error_info("DRAINING", "runbook", [] as [(String, String); 0]);
        let drained = Status::with_error_details(Code::Unavailable, "the daemon drains", details);
        assert_eq!(Failure::from(drained).connection, Some(Connection::Draining));
        let broken = Status::new(Code::Unavailable, "x");
        assert_eq!(Failure::from(broken).connection, Some(Connection::Broken));
    }

    #[test]
    fn a_closed_pipe_is_its_own_code() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.code, ExitCode::OutputClosed);
    }

    #[test]
    fn control_characters_of_a_message_do_not_reach_the_terminal() {
        let failure = Failure::usage("bad \u{1b}[31mname\u{7}");
        assert_eq!(failure.human(), "error: bad name");
    }
}
