//! What an expression may refer to. Never knows which of these exist, or their values.

use std::fmt;
use std::ops::Range;

use super::types::{Base, Type};

/// The words of `steps.ID.status`.
pub const STEP_STATUSES: &[&str] = &["succeeded", "failed", "skipped", "canceled", "rolled_back", "rollback_failed"];
/// The words of `iteration.status`.
pub const ITERATION_STATUSES: &[&str] = &["succeeded", "failed"];
/// The words of `run.outcome`.
pub const RUN_OUTCOMES: &[&str] = &["succeeded", "failed", "rolled_back", "canceled"];

/// What an expression may refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `inputs.NAME`
    Input(String),
    /// `env.NAME`: a string.
    Env(String),
    /// `environment.name`: the name of the environment that the run is in.
    Environment,
    /// `environment.values.NAME`
    EnvironmentValue(String),
    /// `secrets.NAME`: a secret string.
    Secret(String),
    /// `steps.ID.status`: one of [`STEP_STATUSES`].
    StepStatus(String),
    /// `steps.ID.exit_code`: an integer; null when the last attempt had no exit code.
    StepExitCode(String),
    /// `steps.ID.outputs.KEY`
    StepOutput(String, String),
    /// `steps.ID.artifacts['NAME']`: the absolute path of the file.
    StepArtifact(String, String),
    /// `run.FIELD`
    Run(RunField),
    /// `exit_code`: the attempt's, in `retry.if`, `success` and `unknown_if`.
    ExitCode,
    /// `attempt.outputs.KEY`: what the attempt had written so far, in `verify` and `on_cancel`; a string or null.
    AttemptOutput(String),
    /// `item`: the item that a step does its work for, under `for_each`.
    Item,
    /// `each.key`: the text that names that item.
    EachKey,
    /// `each.number`: its place in the list, from 1.
    EachNumber,
    /// `iteration.FIELD`: of the iteration that a step with `repeat` does.
    Iteration(IterationField),
    /// `iteration.outputs.KEY`: what that left, in `until`.
    IterationOutput(String),
    /// `always()`, in `if`: true, and lifts the implied success of every ancestor.
    Always,
    /// `failure()`, in `if`: whether any ancestor failed; lifts as [`Reference::Always`] does.
    Failure,
}

/// A fact about the run itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunField {
    /// `run.uid`: 26 characters, unique for ever.
    Uid,
    /// `run.number`: the short number for typing.
    Number,
    /// `run.runbook`: the runbook's name.
    Runbook,
    /// `run.outcome`: one of [`RUN_OUTCOMES`], in `finally`.
    Outcome,
    /// `run.principal`: who asked for the run.
    Principal,
    /// `run.reason`: why, in that person's words; empty when none was given.
    Reason,
}

/// A fact about one iteration of a step with `repeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IterationField {
    /// `iteration.number`: from 1.
    Number,
    /// `iteration.status`, in `until`: one of [`ITERATION_STATUSES`].
    Status,
    /// `iteration.exit_code`, in `until`: null when its last attempt had none.
    ExitCode,
}

impl IterationField {
    /// Every field.
    pub const ALL: [Self; 3] = [Self::Number, Self::Status, Self::ExitCode];

    /// Its name after `iteration.`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Status => "status",
            Self::ExitCode => "exit_code",
        }
    }

    /// Whether what mentions it is asked of failed iterations too.
    pub const fn of_any(self) -> bool {
        match self {
            Self::Number => false,
            Self::Status | Self::ExitCode => true,
        }
    }
}

impl RunField {
    /// Every field.
    pub const ALL: [Self; 6] = [Self::Uid, Self::Number, Self::Runbook, Self::Outcome, Self::Principal, Self::Reason];

    /// Its name after `run.`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Number => "number",
            Self::Runbook => "runbook",
            Self::Outcome => "outcome",
            Self::Principal => "principal",
            Self::Reason => "reason",
        }
    }
}

impl Reference {
    /// The type that this reference always has; `None` where a declaration decides (inputs, outputs, values of environments).
    /// Whether it may stand where it stands is not asked here.
    pub const fn fixed_type(&self) -> Option<Type> {
        Some(match self {
            Self::Input(_) | Self::StepOutput(..) | Self::EnvironmentValue(_) | Self::IterationOutput(_) => {
                return None;
            }
            Self::Item => Type::of(Base::Any),
            Self::EachKey => Type::of(Base::String),
            Self::EachNumber => Type::of(Base::Integer),
            Self::Env(_) | Self::Environment | Self::StepStatus(_) | Self::StepArtifact(..) => Type::of(Base::String),
            Self::Secret(_) => Type::of(Base::String).secret(),
            Self::StepExitCode(_) => Type::of(Base::Integer).nullable(),
            Self::Iteration(field) => match field {
                IterationField::Number => Type::of(Base::Integer),
                IterationField::Status => Type::of(Base::String),
                IterationField::ExitCode => Type::of(Base::Integer).nullable(),
            },
            Self::AttemptOutput(_) => Type::of(Base::String).nullable(),
            Self::ExitCode => Type::of(Base::Integer),
            Self::Always | Self::Failure => Type::of(Base::Boolean),
            Self::Run(field) => match field {
                RunField::Number => Type::of(Base::Integer),
                RunField::Uid | RunField::Runbook | RunField::Outcome | RunField::Principal | RunField::Reason => {
                    Type::of(Base::String)
                }
            },
        })
    }

    /// The step that it names.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::StepStatus(id) | Self::StepExitCode(id) | Self::StepOutput(id, _) | Self::StepArtifact(id, _) => {
                Some(id)
            }
            _ => None,
        }
    }

    /// The only texts that it can be, when there are few.
    pub(super) const fn words(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::StepStatus(_) => Some(STEP_STATUSES),
            Self::Iteration(IterationField::Status) => Some(ITERATION_STATUSES),
            Self::Run(RunField::Outcome) => Some(RUN_OUTCOMES),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    /// As an author would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(f, "inputs{}", Segment(name)),
            Self::Env(name) => write!(f, "env{}", Segment(name)),
            Self::Environment => f.write_str("environment.name"),
            Self::EnvironmentValue(name) => write!(f, "environment.values{}", Segment(name)),
            Self::Secret(name) => write!(f, "secrets{}", Segment(name)),
            Self::StepStatus(id) => write!(f, "steps{}.status", Segment(id)),
            Self::StepExitCode(id) => write!(f, "steps{}.exit_code", Segment(id)),
            Self::StepOutput(id, key) => write!(f, "steps{}.outputs{}", Segment(id), Segment(key)),
            Self::StepArtifact(id, name) => {
                write!(f, "steps{}.artifacts{}", Segment(id), Segment(name))
            }
            Self::Run(field) => write!(f, "run.{}", field.name()),
            Self::Item => f.write_str("item"),
            Self::EachKey => f.write_str("each.key"),
            Self::EachNumber => f.write_str("each.number"),
            Self::Iteration(field) => write!(f, "iteration.{}", field.name()),
            Self::IterationOutput(key) => write!(f, "iteration.outputs{}", Segment(key)),
            Self::ExitCode => f.write_str("exit_code"),
            Self::AttemptOutput(key) => write!(f, "attempt.outputs{}", Segment(key)),
            Self::Always => f.write_str("always()"),
            Self::Failure => f.write_str("failure()"),
        }
    }
}

/// A part of a path: `.name` where that reads back, `['name']` otherwise.
struct Segment<'a>(&'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !self.0.ends_with('-')
            && self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if plain {
            return write!(f, ".{}", self.0);
        }
        f.write_str("['")?;
        for c in self.0.chars() {
            match c {
                '\'' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                _ => write!(f, "{c}")?,
            }
        }
        f.write_str("']")
    }
}

/// Something and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// Where: byte offsets into the source given to `parse`.
    pub span: Range<usize>,
    /// What.
    pub value: T,
}
