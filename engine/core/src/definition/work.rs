//! What a step does where it is no command: it waits, asks, fails, starts another runbook, or has steps of its own.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Block, Command, InputDecl, Template};
use crate::time::Span;

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// It runs a command, attempt by attempt.
    Command(Box<Command>),
    /// It fails, with this message.
    Fail(Template),
    /// It waits, and takes no place meanwhile.
    Wait(Box<Wait>),
    /// It waits for persons.
    Approval(Box<Approval>),
    /// It starts a run of another runbook and waits for its end.
    Runbook(Box<Call>),
    /// It runs steps of its own.
    Block(Box<Block>),
}

/// The start of another runbook by a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its name.
    pub runbook: String,
    /// What it is given, by the name of its input.
    #[serde(default)]
    pub inputs: IndexMap<String, Given>,
}

/// What an input is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// A value that is known at load.
    Value(Value),
    /// A text with `${{ }}`. Where it is one expression and nothing else, the input gets the expression's value.
    Template(Template),
}

/// What persons have to approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// What they are told.
    pub message: Template,
    /// Who may decide: whoever has one of these; everybody who reaches the daemon when empty.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How many different persons have to approve.
    pub approvals: u32,
    /// Whether who started the run may not approve.
    #[serde(default)]
    pub not_requester: bool,
    /// How long they have; for ever when absent.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// What happens after that.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// What they fill in.
    #[serde(default)]
    pub fields: IndexMap<String, InputDecl>,
}

impl Approval {
    /// The output that tells how it was decided.
    pub const DECISION: &str = "decision";
    /// The output that lists who approved.
    pub const APPROVERS: &str = "approvers";

    /// Whether a field is secret: its value is sealed, and no output.
    pub fn is_secret(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|field| field.secret)
    }
}

/// Whom it asks, and for how long, in words.
impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.approvals {
            1 => f.write_str("asks for an approval")?,
            count => write!(f, "asks for {count} approvals")?,
        }
        if !self.roles.is_empty() {
            write!(f, " by {}", self.roles.join(" or "))?;
        }
        if self.not_requester {
            f.write_str(", not by who starts it")?;
        }
        let Some(timeout) = self.timeout else { return Ok(()) };
        let then = match self.on_timeout {
            OnTimeout::Reject => "it counts as rejected",
            OnTimeout::Approve => "it counts as approved",
            OnTimeout::Fail => "it fails",
        };
        write!(f, "; after {timeout} {then}")
    }
}

/// What happens when nobody decided in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// It counts as rejected.
    #[default]
    Reject,
    /// It counts as approved.
    Approve,
    /// The step fails.
    Fail,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// That so much time goes by.
    For(Span),
    /// A time: RFC 3339, once rendered.
    Until(Template),
    /// A command that says so.
    Probe(Box<Probe>),
}

/// For what, in words; templates as they are written.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(span) => write!(f, "waits {span}"),
            Self::Until(until) => write!(f, "waits until {until}"),
            Self::Probe(probe) => write!(f, "probes every {}, for {} at most", probe.every, probe.within),
        }
    }
}

/// A command that is run again and again until it says that the wait is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The command; each run of it is an attempt of the step.
    pub command: Command,
    /// An expression that tells that the wait is over; `exit_code == 0` when absent.
    #[serde(default)]
    pub until: Option<String>,
    /// An expression that tells that it will never be.
    #[serde(default)]
    pub fail_if: Option<String>,
    /// How long after the end of a probe the next one follows.
    pub every: Span,
    /// After this long the step fails.
    #[serde(rename = "for")]
    pub within: Span,
}
