//! Values that are kept nowhere: what becomes of an attempt that could not be told one, who may give one anew, and what both
//! do to the state. Never knows a value.

use std::collections::BTreeSet;

use super::decide::goes_alone;
use super::event::{AttemptEnd, AttemptKind, Fact, How, NotStarted, Principal};
use super::rejection::Rejection;
use super::rollback::Compensation;
use super::state::{Phase, Progress, RunState};
use super::verdict;
use crate::definition::{Environment, Part};
use crate::expression::did_you_mean;
use crate::id::{AttemptNo, StepNo};
use crate::time::Timestamp;

/// What a person gives: the names alone.
#[derive(Debug, Clone)]
pub struct Provision {
    /// The inputs.
    pub inputs: BTreeSet<String>,
    /// Who.
    pub by: Principal,
    /// The roles of that person.
    pub roles: Vec<String>,
    /// Why.
    pub reason: String,
}

impl RunState {
    /// The steps that wait for values which a person has to give, each with the inputs that it waits for.
    pub fn withheld(&self) -> impl Iterator<Item = (StepNo, &BTreeSet<String>)> {
        self.withheld.iter().filter_map(|no| Some((*no, &self.step(*no)?.missing)))
    }

    /// An attempt did not start; a part of `apply`.
    pub(super) fn withhold(&mut self, step: StepNo, attempt: AttemptNo, inputs: &[String]) -> Result<(), String> {
        let kind = match self.progress(step) {
            Progress::Live(live, kind) if live == attempt => kind,
            _ => return Err(format!("attempt {} of step {} is not live", attempt.0, step.0)),
        };
        self.give_place_back(step, kind);
        self.set(step, Progress::Withheld(kind));
        let message = told(self.created.number, inputs);
        let Some(state) = self.steps.get_mut(step.index()) else { return Err("no such step".to_owned()) };
        state.missing = inputs.iter().cloned().collect();
        state.message = message;
        if kind == AttemptKind::Run {
            // It is the latest attempt, and left nothing.
            state.exit_code = None;
            state.attempt_outputs.clear();
            state.artifacts.clear();
        }
        Ok(())
    }

    /// Values are there again; a part of `apply`.
    pub(super) fn provided(&mut self, inputs: &[String], at: Timestamp) {
        for step in self.withheld.clone() {
            let Some(state) = self.steps.get_mut(step.index()) else { continue };
            state.missing.retain(|name| !inputs.contains(name));
            let (true, Progress::Withheld(kind)) = (state.missing.is_empty(), state.progress) else { continue };
            state.message.clear();
            self.set(
                step,
                match kind {
                    AttemptKind::Run => Progress::Retry(at),
                    AttemptKind::Verify => Progress::Verify(at),
                    AttemptKind::OnCancel => Progress::OnCancel(at),
                    AttemptKind::Rollback => Progress::RollbackRetry(at),
                },
            );
        }
    }

    /// Whether it is in its `finally` and goes on only with a person's word.
    pub(super) fn waits_in_finally(&self) -> bool {
        self.needs_person() && !self.is_moving() && self.ready.is_empty() && self.to_call.is_empty()
    }

    /// Whether an attempt that did not start would have been the last of its step.
    fn is_given_up(&self, step: StepNo, kind: AttemptKind) -> bool {
        let main = self.part(step) == Part::Main && self.phase == Phase::Running;
        match kind {
            AttemptKind::Run => main && (self.ends_hard() || (self.ending.is_some() && self.probes(step))),
            AttemptKind::Rollback => self.rollback.as_ref().is_some_and(Compensation::is_abandoned),
            AttemptKind::Verify | AttemptKind::OnCancel => false,
        }
    }
}

/// What a run of this number waits for, in words, and what to type.
pub fn told<'a>(number: u64, inputs: impl IntoIterator<Item = &'a String>) -> String {
    let names: BTreeSet<&str> = inputs.into_iter().map(String::as_str).collect();
    let names = Vec::from_iter(names);
    let give: String = names.iter().map(|name| format!(" -i {name}=-")).collect();
    let what = if names.len() == 1 { "the value of" } else { "the values of" };
    format!("it needs {what} {}, kept nowhere; give it with `runbook provide {number}{give}`", names.join(", "))
}

/// What follows an attempt that could not be told these inputs.
pub(super) fn withheld(
    run: &RunState,
    step: StepNo,
    attempt: AttemptNo,
    inputs: BTreeSet<String>,
    now: Timestamp,
) -> Vec<Fact> {
    let kind = match run.progress(step) {
        Progress::Live(live, kind) if live == attempt && !inputs.is_empty() => kind,
        // Late, or told twice.
        _ => return Vec::new(),
    };
    if run.is_given_up(step, kind) {
        let end = AttemptEnd::bare(How::NotStarted(NotStarted::Canceled));
        return verdict::ended(run, step, attempt, kind, end, now, 0).into_iter().collect();
    }
    vec![Fact::Withheld { step, attempt, inputs: inputs.into_iter().collect() }]
}

/// A person gives values to a run at the top.
pub(super) fn provide(run: &RunState, provision: Provision) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "provide for")?;
    if let Phase::Terminal(outcome) = run.phase {
        return Err(Rejection::AlreadyTerminal { outcome: outcome.name() });
    }
    let Provision { inputs, by, roles, reason } = provision;
    if let Some(Environment { name, protection, .. }) = run.pinned.runbook.environment.as_deref()
        && !protection.lets_start(&roles)
    {
        return Err(Rejection::MayNotProvide { environment: name.clone(), roles: protection.roles.clone() });
    }
    inputs.iter().try_for_each(|name| can_be_given(run, name))?;
    match inputs.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(vec![Fact::Provided { inputs: inputs.into_iter().collect(), by, reason }]),
    }
}

/// Whether an input of a run at the top can be given while it is on.
///
/// # Errors
/// It is none, is kept anyway, or the run was started without it.
pub fn can_be_given(run: &RunState, name: &str) -> Result<(), Rejection> {
    let refused = |why: String| Err(Rejection::NotToProvide { input: name.to_owned(), why });
    let inputs = &run.pinned.runbook.inputs;
    match inputs.get(name) {
        None => {
            let meant = did_you_mean(name, inputs.keys().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            refused(format!("{} has no such input{meant}", run.created.runbook))
        }
        Some(decl) if !decl.ephemeral => {
            refused("its value is kept for the run: only an input with `ephemeral: true` is given anew".to_owned())
        }
        Some(_) if !run.created.sealed_inputs.iter().any(|given| given == name) => {
            refused("the run was started without it, and goes on so; start a new one with it".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// What values that the run at the top has by now mean for it, or for a run below it.
pub(super) fn available(run: &RunState, provision: &Provision) -> Vec<Fact> {
    let inputs: Vec<String> = provision
        .inputs
        .iter()
        .filter(|name| run.withheld().any(|(_, missing)| missing.contains(*name)))
        .cloned()
        .collect();
    match inputs.is_empty() {
        true => Vec::new(),
        false => vec![Fact::Provided { inputs, by: provision.by.clone(), reason: provision.reason.clone() }],
    }
}
