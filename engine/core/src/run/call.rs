//! What a step that starts another runbook does: opens its child run again, starts a new one, or fails. The policy of
//! child runs, and what they are given. Never knows that there are other trees of runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::event::{EndingCause, Fact, Left, Outcome, Parent, Principal, Then};
use super::input::Start;
use super::pinned::{Kind, Pinned};
use super::rollback::Compensation;
use super::scope::{ArtifactPaths, Placed, RunScope};
use super::state::{Phase, Progress, RunState, StepState};
use super::terms::Terms;
use crate::definition::{self, Many};
use crate::expression::{Expression, Reference, Template};
use crate::id::{Digest, RunUid, StepNo};
use crate::language::check_inputs;
use crate::limits;

/// What a step that may start its child run does.
#[derive(Debug)]
pub(crate) enum Call {
    /// It opens this child run again.
    Again(RunUid),
    /// It starts a new one.
    New(Box<Start>),
}

/// Decides what a step does that may start its child run. `before` is its latest child run.
///
/// # Errors
/// In words: it cannot be started, and the step fails.
pub(crate) fn call(
    run: &RunState,
    no: StepNo,
    before: Option<&RunState>,
    paths: &ArtifactPaths,
) -> Result<Call, String> {
    let step = run.pinned.runbook.step(no).ok_or("the definition has no such step")?;
    let scope = Placed { scope: RunScope { run, step: Some(no), exit_code: None, written: None }, paths };
    let Given { pinned, inputs, sealed_inputs, items } = match (step.many.as_deref(), step.call(), step.block()) {
        (Some(Many::Each(each)), ..) => {
            let items = items(&each.list, &scope)?;
            inner(run, no, &each.takes, items, &scope)?
        }
        (Some(Many::Repeat(repeat)), ..) => inner(run, no, &repeat.takes, Vec::new(), &scope)?,
        (None, Some(call), _) => given(run, call, &scope)?,
        (None, None, Some(block)) => inner(run, no, &block.takes, Vec::new(), &scope)?,
        (None, None, None) => return Err("the step starts no run".to_owned()),
    };
    few_bytes(run, &inputs)?;
    if let Some(before) = before
        && before.can_be_opened_again()
        && before.created.inputs == inputs
        && before.created.items == items
    {
        return Ok(Call::Again(before.uid));
    }
    let depth = run.parent().map_or(0, |parent| parent.depth) + 1;
    if depth > limits::RUN_DEPTH {
        return Err(format!("runs start runs {depth} levels deep; the limit is {}", limits::RUN_DEPTH));
    }
    let created = &run.created;
    Ok(Call::New(Box::new(Start {
        number: created.number,
        pinned,
        inputs,
        sealed_inputs,
        origin: created.origin,
        by: created.by.clone(),
        roles: Vec::new(),
        reason: created.reason.clone(),
        request_id: String::new(),
        request_digest: Digest([0; 32]),
        commit: created.commit.clone(),
        terms: Terms { dry: created.terms.dry, priority: created.terms.priority, ..Terms::default() },
        parent: Some(Parent { root: run.root(), run: run.uid, step: no, depth, tidies: run.tidies() }),
        items,
    })))
}

/// What a child run is given.
struct Given {
    pinned: Arc<Pinned>,
    inputs: IndexMap<String, Value>,
    sealed_inputs: Vec<String>,
    items: Vec<Value>,
}

/// The items of a list.
fn items(list: &definition::Items, scope: &Placed<'_>) -> Result<Vec<Value>, String> {
    let items = match list {
        definition::Items::Known(items) => items.clone(),
        definition::Items::Expression(text) => {
            let expression = Expression::parse(text).map_err(|_| "for_each: it cannot be read".to_owned())?;
            match expression.evaluate(scope).map_err(|error| format!("for_each: {error}"))? {
                Value::Array(items) => items,
                other => return Err(format!("for_each: a list is wanted, and {text} is {}", kind_of(&other))),
            }
        }
    };
    if items.len() > limits::ITEMS {
        return Err(format!("for_each: the list has {} items; the limit is {}", items.len(), limits::ITEMS));
    }
    let bytes: usize = items.iter().map(|item| item.to_string().len()).sum();
    if bytes > limits::ITEMS_BYTES {
        return Err(format!("for_each: the items have {bytes} bytes; the limit is {}", limits::ITEMS_BYTES));
    }
    Ok(items)
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// What steps inside a step are given.
fn inner(
    run: &RunState,
    no: StepNo,
    takes: &BTreeSet<String>,
    items: Vec<Value>,
    scope: &Placed<'_>,
) -> Result<Given, String> {
    let pinned = run.pinned.below(no, &items).ok_or("the definition has no such block")?;
    // What is secret stays sealed, and is read by whoever needs it.
    Ok(Given { pinned, inputs: taken(takes, scope)?, sealed_inputs: run.created.sealed_inputs.clone(), items })
}

/// What the run of each item, or of each iteration, is given must not become too much for all of them.
fn few_bytes(run: &RunState, inputs: &IndexMap<String, Value>) -> Result<(), String> {
    let what = match run.pinned.kind() {
        Kind::Each { .. } => "items",
        Kind::Repeat { .. } => "iterations",
        Kind::Runbook | Kind::Block => return Ok(()),
    };
    let bytes: usize = inputs.values().map(|value| value.to_string().len()).sum();
    let all = bytes.saturating_mul(run.steps.len());
    match all > limits::ITEMS_TAKEN_BYTES {
        true => Err(format!(
            "it takes {bytes} bytes along for each of {} {what}; the limit for all is {}",
            run.steps.len(),
            limits::ITEMS_TAKEN_BYTES
        )),
        false => Ok(()),
    }
}

/// What another runbook is given.
fn given(run: &RunState, call: &definition::Call, scope: &Placed<'_>) -> Result<Given, String> {
    let name = &call.runbook;
    let pinned = run
        .pinned
        .called(name)
        .ok_or_else(|| format!("the runbook {name} is not pinned with {}", run.created.runbook))?;
    let mut given = Map::new();
    for (input, value) in &call.inputs {
        let value = match value {
            definition::Given::Value(value) => value.clone(),
            definition::Given::Template(text) => {
                let template = Template::parse(text).map_err(|_| format!("the input {input}: it cannot be read"))?;
                template.render(scope).map_err(|error| format!("the input {input}: {error}"))?
            }
        };
        // What is null is not given: a default stands for it.
        if !value.is_null() {
            given.insert(input.clone(), value);
        }
    }
    if let Some(environment) = &run.pinned.runbook.environment {
        environment.complete(&pinned.runbook.inputs, &mut given);
    }
    let inputs = check_inputs(&pinned.runbook, &given).map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        format!("{name} does not take what it is given: {}", faults.join("; "))
    })?;
    let pinned = Arc::clone(pinned);
    Ok(Given { pinned, inputs: inputs.into_iter().collect(), sealed_inputs: Vec::new(), items: Vec::new() })
}

/// What steps inside a step take along from around it: inputs by their names, all else as it is written. What is null
/// there is null here.
fn taken(takes: &BTreeSet<String>, scope: &Placed<'_>) -> Result<IndexMap<String, Value>, String> {
    let mut taken = IndexMap::new();
    let mut bytes = 0;
    for text in takes {
        let expression = Expression::parse(text).map_err(|_| format!("{text} cannot be read"))?;
        let value = expression.evaluate(scope).map_err(|error| format!("{text}: {error}"))?;
        if value.is_null() {
            continue;
        }
        bytes += value.to_string().len();
        if bytes > limits::TAKEN_BYTES {
            let limit = limits::TAKEN_BYTES;
            return Err(format!("with {text} it takes {bytes} bytes along; the limit is {limit}"));
        }
        let name = match expression.references().first().map(|reference| &reference.value) {
            Some(Reference::Input(name)) => name.clone(),
            Some(_) | None => text.clone(),
        };
        taken.insert(name, value);
    }
    Ok(taken)
}

impl RunState {
    /// Whether the step above would open it again: it is over and did not succeed, and no compensation failed.
    fn can_be_opened_again(&self) -> bool {
        matches!(self.phase, Phase::Terminal(Outcome::Failed | Outcome::Canceled | Outcome::RolledBack))
            && !self.steps.iter().any(|state| state.progress == Progress::RollbackFailed)
    }
}

/// What follows the end of a step's child run; `undone` where that was rolled back for the step.
pub(super) const fn after(undone: bool, outcome: Outcome, left: Left) -> Then {
    match (undone, outcome, left) {
        (true, _, Left::Nothing) => Then::RolledBack,
        (true, _, Left::Something | Left::GivenUp) => Then::RollbackFailed,
        (false, Outcome::Succeeded, _) => Then::Succeeded,
        // It failed, and what it did is not there any more.
        (false, Outcome::Failed | Outcome::RolledBack, _) => Then::Failed,
        (false, Outcome::Canceled, _) => Then::Canceled,
    }
}

/// What a run does when the one above goes to its end.
pub(super) fn above(run: &RunState, cause: &EndingCause) -> Option<Fact> {
    if matches!(run.phase, Phase::RollingBack(_) | Phase::Finishing(_) | Phase::Terminal(_)) {
        return None;
    }
    let cause = match cause {
        EndingCause::FailureStop(_) => return None,
        EndingCause::Timeout => EndingCause::Timeout,
        // The steps that were named are those of the run above.
        EndingCause::Cancel { now, by, reason, .. } => {
            EndingCause::Cancel { now: *now, by: by.clone(), reason: reason.clone(), past: Vec::new() }
        }
        EndingCause::FailureCancel(_) | EndingCause::Deadlock { .. } => EndingCause::Cancel {
            now: false,
            by: Principal::engine(),
            reason: "a step of the run above failed (on_failure: cancel)".to_owned(),
            past: Vec::new(),
        },
    };
    let changes = match (&run.ending, &cause) {
        (Some(EndingCause::Cancel { now: before, .. }), EndingCause::Cancel { now, .. }) => *now && !before,
        (_, EndingCause::Cancel { .. }) => true,
        _ => !run.ends_hard(),
    };
    changes.then_some(Fact::Ending { cause })
}

/// The outputs of a run whose main steps are over, well.
///
/// # Errors
/// In words: one of them cannot be made.
pub(super) fn outputs(run: &RunState, paths: &ArtifactPaths) -> Result<IndexMap<String, Value>, String> {
    match run.pinned.kind() {
        Kind::Each { outputs, .. } => return gathered(run, outputs),
        // Its last iteration is the one that it ends as.
        Kind::Repeat { .. } => return Ok(run.last_iteration().map(|state| state.outputs.clone()).unwrap_or_default()),
        Kind::Runbook | Kind::Block => {}
    }
    let scope = Placed { scope: RunScope { run, step: None, exit_code: None, written: None }, paths };
    let mut outputs = IndexMap::new();
    let mut bytes = 0;
    for (name, decl) in &run.pinned.runbook.outputs {
        let problem = |why: &str| format!("the output {name} of {}: {why}", run.created.runbook);
        let expression = Expression::parse(&decl.value).map_err(|_| problem("it cannot be read"))?;
        let value = expression.evaluate(&scope).map_err(|error| problem(&error.to_string()))?;
        if !decl.value_type.accepts(&value) {
            return Err(problem(&format!("it is no {}", decl.value_type.name())));
        }
        let length = value.to_string().len();
        bytes += length;
        if length > limits::OUTPUT_BYTES || bytes > limits::OUTPUTS_BYTES {
            let limit = if length > limits::OUTPUT_BYTES { limits::OUTPUT_BYTES } else { limits::OUTPUTS_BYTES };
            return Err(problem(&format!("with it there are {} bytes; the limit is {limit}", length.max(bytes))));
        }
        outputs.insert(name.clone(), value);
    }
    Ok(outputs)
}

/// What the items left, in the order of their list; null of one that did not succeed.
fn gathered(run: &RunState, names: &[String]) -> Result<IndexMap<String, Value>, String> {
    let mut outputs = IndexMap::new();
    let mut bytes = 0;
    for name in names {
        let of = |state: &StepState| {
            let succeeded = state.progress == Progress::Succeeded;
            state.outputs.get(name).filter(|_| succeeded).cloned().unwrap_or(Value::Null)
        };
        let list = Value::Array(run.steps.iter().map(of).collect());
        bytes += list.to_string().len();
        if bytes > limits::GATHERED_BYTES {
            let limit = limits::GATHERED_BYTES;
            return Err(format!("the outputs of its items have {bytes} bytes with {name}; the limit is {limit}"));
        }
        outputs.insert(name.clone(), list);
    }
    Ok(outputs)
}

/// Why a run ended as it did, for whoever started it.
pub(crate) fn why_ended(run: &RunState) -> String {
    let id = |no: StepNo| run.pinned.runbook.step(no).map_or("?", |step| step.id.as_str());
    let stuck = || run.steps().find(|(_, _, state)| state.progress == Progress::RollbackFailed);
    limits::fit(match (&run.ending, run.first_failure) {
        _ if run.rollback.is_some()
            && let Some((no, _, state)) = stuck() =>
        {
            match state.message.as_str() {
                "" => format!("what its step {} did stays as it is", id(no)),
                why => format!("what its step {} did stays as it is: {why}", id(no)),
            }
        }
        _ if run.rollback.as_ref().is_some_and(Compensation::is_abandoned) => "its rollback was given up".to_owned(),
        _ if !run.outputs_message.is_empty() => run.outputs_message.clone(),
        (None | Some(EndingCause::FailureStop(_)), _) if let Some(in_vain) = run.in_vain() => in_vain.to_owned(),
        (Some(EndingCause::Timeout), _) => "its timeout struck".to_owned(),
        (Some(EndingCause::Deadlock { message }), _) => message.clone(),
        (Some(EndingCause::Cancel { by, .. }), _) => format!("canceled by {}", by.name),
        (_, Some(step)) => {
            let why = run.step(step).map_or("", |state| state.message.as_str());
            if why.is_empty() {
                format!("its step {} failed", id(step))
            } else {
                format!("its step {} failed: {why}", id(step))
            }
        }
        _ if run.phase == Phase::Terminal(Outcome::Failed) => "a step of its `finally` failed".to_owned(),
        _ => String::new(),
    })
}
