//! What the names in a run's expressions stand for, read off its state. Never knows secrets: whoever carries
//! them puts a scope of his own in front.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{EndingCause, Outcome};
use super::pinned::Kind;
use super::state::{Phase, Progress, RunState, StepState};
use crate::definition::{Part, ValueType, key_of, named_runbook};
use crate::expression::{IterationField, Reference, RunField, Scope, Template};
use crate::id::{AttemptNo, RunUid, StepNo};

/// The names as a step of a run sees them.
#[derive(Debug, Clone, Copy)]
pub struct RunScope<'a> {
    /// The run.
    pub run: &'a RunState,
    /// The step whose expression it is; `None` for the runbook's own.
    pub step: Option<StepNo>,
    /// The exit code, where `exit_code` means something.
    pub exit_code: Option<i32>,
    /// What an attempt that has just ended wrote, typed, where `attempt.outputs` means that.
    pub written: Option<&'a IndexMap<String, Value>>,
}

/// Tells where an artifact of an ended attempt lies: the daemon's knowledge.
#[derive(Clone)]
pub struct ArtifactPaths(Arc<PathOf>);

type PathOf = dyn Fn(RunUid, StepNo, AttemptNo, &str) -> String + Send + Sync;

impl ArtifactPaths {
    /// By a function of run, step, attempt and the artifact's name.
    pub fn new(path: impl Fn(RunUid, StepNo, AttemptNo, &str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(path))
    }
}

impl std::fmt::Debug for ArtifactPaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArtifactPaths")
    }
}

/// The same names, where artifacts have a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    /// The names.
    pub scope: RunScope<'a>,
    /// Where artifacts lie.
    pub paths: &'a ArtifactPaths,
}

impl Scope for Placed<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        let Reference::StepArtifact(id, name) = reference else { return self.scope.value_of(reference) };
        let run = self.scope.run;
        let Some(no) = run.pinned.find(id) else { return self.scope.value_of(reference) };
        let state = run.step(no).filter(|state| state.progress == Progress::Succeeded)?;
        state.artifacts.iter().find(|artifact| artifact.name == *name)?;
        Some(Value::String((self.paths.0)(run.uid, no, state.last_run?, name)))
    }
}

impl Scope for RunScope<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        if reference.step().is_some_and(|id| self.run.pinned.find(id).is_none()) {
            return self.taken(reference);
        }
        let step = |id: &str| self.run.pinned.find(id).and_then(|no| self.run.step(no));
        match reference {
            Reference::Input(name) => {
                let declared = self.run.pinned.runbook.inputs.get(name)?.value_type;
                Some(as_declared(declared, self.run.created.inputs.get(name)?))
            }
            Reference::Env(name) => {
                let text = self.run.pinned.runbook.env.get(name)?;
                let template = Template::parse(text).ok()?;
                template.render_text(self).ok().map(Value::String)
            }
            Reference::Environment => self.run.pinned.runbook.environment_name().map(Value::from),
            Reference::EnvironmentValue(name) => self.run.pinned.runbook.environment_value(name).cloned(),
            Reference::Secret(_) => None,
            Reference::StepStatus(id) => step(id).map(|state| match state.stands_in {
                true => Value::from(status_word(Progress::Succeeded)),
                false => Value::from(status_word(state.progress)),
            }),
            Reference::StepExitCode(id) => step(id)?.exit_code.map(Value::from),
            Reference::StepOutput(id, key) => {
                let runbook = &self.run.pinned.runbook;
                let declared = *runbook.step(self.run.pinned.find(id)?)?.outputs.get(key)?;
                // A compensation sees what there was, whatever was compensated meanwhile.
                let compensates = matches!(self.run.phase, Phase::RollingBack(_));
                let seen = |state: &&StepState| compensates || state.stands_in || state.progress == Progress::Succeeded;
                let value = step(id).filter(seen)?.outputs.get(key)?;
                Some(as_declared(declared, value))
            }
            // Where artifacts lie is the daemon's knowledge.
            Reference::StepArtifact(..) => None,
            Reference::Run(field) => Some(self.run_field(*field)),
            Reference::ExitCode => self.exit_code.map(Value::from),
            Reference::AttemptOutput(key) => match self.written {
                Some(written) => written.get(key).cloned(),
                None => {
                    let state = self.run.step(self.step?)?;
                    state.outputs.get(key).or_else(|| state.attempt_outputs.get(key)).cloned()
                }
            },
            Reference::Item | Reference::EachKey | Reference::EachNumber => self.item(reference),
            Reference::Iteration(field) => self.iteration(reference, *field),
            Reference::IterationOutput(key) => {
                let no = self.step.filter(|_| self.run.pinned.repeats())?;
                let declared = *self.run.pinned.runbook.step(no)?.outputs.get(key)?;
                let state = self.run.step(no).filter(|state| state.progress == Progress::Succeeded)?;
                Some(as_declared(declared, state.outputs.get(key)?))
            }
            Reference::Always => Some(Value::Bool(true)),
            Reference::Failure => Some(Value::Bool(self.any_ancestor_failed())),
        }
    }
}

/// The status of a terminal step as expressions see it; an open step has none that lasts.
const fn status_word(progress: Progress) -> &'static str {
    match progress {
        Progress::Succeeded => "succeeded",
        Progress::Failed => "failed",
        Progress::Skipped => "skipped",
        Progress::Canceled => "canceled",
        Progress::RolledBack => "rolled_back",
        Progress::RollbackFailed => "rollback_failed",
        Progress::Pending
        | Progress::Ready
        | Progress::Live(..)
        | Progress::Retry(_)
        | Progress::Waiting { .. }
        | Progress::Asking { .. }
        | Progress::Withheld(_)
        | Progress::Verify(_)
        | Progress::OnCancel(_)
        | Progress::RollbackRetry(_)
        | Progress::Child
        | Progress::ChildRollback
        | Progress::Unknown { .. } => "pending",
    }
}

/// A value as its declaration says: a whole number that is declared `number` divides as one.
fn as_declared(declared: ValueType, value: &Value) -> Value {
    match (declared, value.as_f64()) {
        (ValueType::Number, Some(number)) => Value::from(number),
        _ => value.clone(),
    }
}

impl RunScope<'_> {
    /// What a block took along from around it.
    fn taken(&self, reference: &Reference) -> Option<Value> {
        self.run.created.inputs.get(&reference.to_string()).filter(|_| self.run.pinned.is_inner()).cloned()
    }

    /// The item that a step stands for, or that the one around does.
    fn item(&self, reference: &Reference) -> Option<Value> {
        let no = self.step.filter(|_| matches!(self.run.pinned.kind(), Kind::Each { .. }));
        let Some(no) = no else { return self.taken(reference) };
        match reference {
            Reference::EachNumber => Some(Value::from(no.0 + 1)),
            Reference::EachKey => Some(Value::from(key_of(&self.run.pinned.runbook.step(no)?.id))),
            _ => self.run.created.items.get(no.index()).cloned(),
        }
    }

    /// The iteration that a step stands for, or that the one around does.
    fn iteration(&self, reference: &Reference, field: IterationField) -> Option<Value> {
        let Some(no) = self.step.filter(|_| self.run.pinned.repeats()) else { return self.taken(reference) };
        match field {
            IterationField::Number => Some(Value::from(no.0 + 1)),
            IterationField::Status => Some(Value::from(status_word(self.run.progress(no)))),
            IterationField::ExitCode => self.run.step(no)?.exit_code.map(Value::from),
        }
    }

    fn run_field(&self, field: RunField) -> Value {
        let created = &self.run.created;
        match field {
            // A block is part of the run that it is in.
            RunField::Uid => {
                self.taken(&Reference::Run(field)).unwrap_or_else(|| Value::from(self.run.uid.to_string()))
            }
            RunField::Number => Value::from(i64::try_from(created.number).unwrap_or(i64::MAX)),
            RunField::Runbook => Value::from(named_runbook(&created.runbook)),
            RunField::Outcome => match self.run.phase {
                Phase::Finishing(outcome) | Phase::Terminal(outcome) => Value::from(outcome.name()),
                Phase::Queued | Phase::Running | Phase::RollingBack(_) => Value::Null,
            },
            RunField::Reason if created.reason.is_empty() => Value::Null,
            RunField::Reason => Value::from(created.reason.clone()),
            RunField::Principal => Value::from(created.by.name.clone()),
        }
    }

    /// Whether a step that this one comes after failed; in `finally`, whether the run fails.
    fn any_ancestor_failed(&self) -> bool {
        let Some(no) = self.step else { return false };
        let runbook = &self.run.pinned.runbook;
        if runbook.step(no).is_some_and(|step| step.part == Part::Finally)
            && match self.run.phase {
                Phase::Finishing(Outcome::Failed) => true,
                Phase::Finishing(Outcome::RolledBack) => !matches!(self.run.ending, Some(EndingCause::Cancel { .. })),
                _ => false,
            }
        {
            return true;
        }
        let mut seen = BTreeSet::from([no]);
        let mut open = vec![no];
        while let Some(next) = open.pop() {
            for need in runbook.step(next).map_or(&[][..], |step| &step.needs) {
                if seen.insert(*need) {
                    if self.run.progress(*need) == Progress::Failed {
                        return true;
                    }
                    open.push(*need);
                }
            }
        }
        false
    }
}
