//! What a start says beside its inputs, both ways: from a request to the core, and from the core to what is told.

use std::collections::{BTreeMap, BTreeSet};

use runbook_core::definition::{InputSource, Part, Priority, Runbook};
use runbook_core::expression::did_you_mean;
use runbook_core::id::StepNo;
use runbook_core::limits;
use runbook_core::run::{Begin, RunState, Start, Terms};
use runbook_core::selection::{Selection, Wish, select};
use runbook_core::time::{Span, Timestamp};
use runbook_proto::v1;
use serde_json::Value;
use tonic::Status;

use super::from_proto::{Fault, Faults, fault};
use super::{errors, from_proto, to_proto};
use crate::clock;

/// Names in one request.
const NAMES: usize = 1_000;

/// What a request confirms.
///
/// # Errors
/// More names than anybody types, or one that no target has.
pub(super) fn confirmed(names: Vec<String>) -> Result<Vec<String>, Fault> {
    if names.len() > NAMES {
        return Err(fault("confirm", format!("{} names, the limit is {NAMES}", names.len())));
    }
    match names.iter().find(|name| name.is_empty() || name.len() > limits::TARGET_BYTES) {
        Some(name) => {
            let (bytes, limit) = (name.len(), limits::TARGET_BYTES);
            Err(fault("confirm", format!("a name has 1 to {limit} bytes, this one has {bytes}")))
        }
        None => Ok(names),
    }
}

/// What else a start says, as far as it can be told without the runbook.
///
/// # Errors
/// As [`confirmed`].
pub(super) fn terms(request: &mut v1::StartRunRequest) -> Result<Terms, Fault> {
    let confirmed = confirmed(std::mem::take(&mut request.confirm))?;
    let overridden = std::mem::take(&mut request.override_reason);
    if overridden.len() > limits::REASON_BYTES {
        let (bytes, limit) = (overridden.len(), limits::REASON_BYTES);
        return Err(fault("override_reason", format!("it has {bytes} bytes, the limit is {limit}")));
    }
    let overridden = Some(overridden).filter(|reason| !reason.trim().is_empty());
    let begin = begin(request.begin_at.take(), request.begin_in.take(), clock::now())?;
    let priority = priority_of(request.priority)?;
    Ok(Terms { confirmed, dry: request.dry_run, overridden, priority, begin, ..Terms::default() })
}

/// How early a request wants its run to get what others want too; `None` where it says nothing of that.
fn priority_of(it: i32) -> Result<Option<Priority>, Fault> {
    match v1::Priority::try_from(it) {
        Ok(v1::Priority::Unspecified) => Ok(None),
        Ok(v1::Priority::High) => Ok(Some(Priority::High)),
        Ok(v1::Priority::Normal) => Ok(Some(Priority::Normal)),
        Ok(v1::Priority::Low) => Ok(Some(Priority::Low)),
        Err(_) => Err(fault("priority", format!("{it} is none; give HIGH, NORMAL or LOW"))),
    }
}

/// The same, as it is told.
pub(super) const fn priority(it: Priority) -> v1::Priority {
    match it {
        Priority::High => v1::Priority::High,
        Priority::Normal => v1::Priority::Normal,
        Priority::Low => v1::Priority::Low,
    }
}

/// When a run begins that does not begin at once.
fn begin(
    at: Option<prost_types::Timestamp>,
    after: Option<prost_types::Duration>,
    now: Timestamp,
) -> Result<Option<Begin>, Fault> {
    let begin = match (at, after) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(fault("begin_in", "give either a time or a span")),
        (Some(at), None) => Begin { at: from_proto::moment("begin_at", &at)?, after: None },
        (None, Some(after)) => {
            let after = from_proto::span("begin_in", &after)?;
            Begin { at: now + after, after: Some(after) }
        }
    };
    let (field, from_now) = (if begin.after.is_some() { "begin_in" } else { "begin_at" }, begin.at - now);
    if from_now < Span::ZERO {
        let problem = format!("{} is past; leave it out to begin at once", begin.at);
        return Err(fault(field, problem));
    }
    if from_now > Span::minutes(limits::BEGIN_DAYS * 1_440) {
        return Err(fault(field, format!("it is more than {} days ahead, the limit", limits::BEGIN_DAYS)));
    }
    Ok(Some(begin))
}

/// What of the terms a repeated request has to say again. When it confirms more or less than before, or gives a value in
/// another way, it is no other run; and a span from now ends later each time.
pub(super) fn repeated(terms: &Terms) -> Terms {
    let begin =
        terms.begin.map(|begin| if begin.after.is_some() { Begin { at: Timestamp(0), ..begin } } else { begin });
    Terms { confirmed: Vec::new(), sources: BTreeMap::new(), overridden: None, begin, ..terms.clone() }
}

/// What a start leaves out of a runbook.
///
/// # Errors
/// A `BadRequest` with everything that cannot be had so.
pub(super) fn selection(runbook: &Runbook, wish: Wish) -> Result<Selection, Status> {
    select(runbook, wish).map_err(|faults| {
        let fields: Vec<(String, String)> =
            faults.into_iter().map(|fault| (format!("selection.{}", fault.option), fault.problem)).collect();
        let list: Vec<&str> = fields.iter().map(|(_, problem)| problem.as_str()).collect();
        errors::bad_fields("SELECTION", format!("these steps cannot be chosen so: {}", list.join("; ")), &fields)
    })
}

/// The main steps before which a start wants the run to be paused.
///
/// # Errors
/// A `BadRequest` with all that are none.
pub(super) fn pause_before(runbook: &Runbook, ids: &[String]) -> Result<BTreeSet<StepNo>, Status> {
    let mut faults = Faults::default();
    let steps = ids.iter().filter_map(|id| faults.take(main_step(runbook, id))).collect();
    faults.none()?;
    Ok(steps)
}

fn main_step(runbook: &Runbook, id: &str) -> Result<StepNo, Fault> {
    let wrong = |problem: String| fault("pause_before", problem);
    let shown = || id.chars().take(80).collect::<String>();
    let Some(no) = runbook.find(id) else {
        let outer = id.split(['/', '[']).next().filter(|outer| *outer != id && runbook.find(outer).is_some());
        if let Some(outer) = outer {
            let why = format!("{:?} is inside {outer}: a run is paused before its own steps only", shown());
            return Err(wrong(format!("{why}; name {outer}, or type `runbook pause` while it is on")));
        }
        let hint = did_you_mean(id, runbook.steps.iter().map(|step| step.id.as_str()));
        let hint = hint.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        return Err(wrong(format!("there is no step {:?}{hint}", shown())));
    };
    match runbook.step(no).map(|step| step.part) {
        Some(Part::Finally) => Err(wrong(format!("{:?} is a step of `finally`, which is not held up", shown()))),
        Some(Part::Main) | None => Ok(no),
    }
}

/// That a run is paused, if it is.
pub(super) fn pause(run: &RunState) -> Option<v1::Pause> {
    let hold = run.hold()?;
    let before = hold.before.and_then(|no| run.pinned().runbook.step(no)).map(|step| step.id.clone());
    Some(v1::Pause {
        since: Some(to_proto::timestamp(hold.since)),
        by: Some(to_proto::principal(&hold.by)),
        reason: hold.reason.clone(),
        before: before.unwrap_or_default(),
    })
}

/// The steps before which a run is still to be paused.
pub(super) fn paused_before(run: &RunState) -> Vec<String> {
    ids(&run.pinned().runbook, &run.hold_before().collect::<Vec<_>>())
}

/// Where an input came from.
pub(super) const fn input_source(source: InputSource) -> v1::InputSource {
    match source {
        InputSource::Variable => v1::InputSource::Variable,
        InputSource::Like => v1::InputSource::Like,
        InputSource::Environment => v1::InputSource::Environment,
    }
}

/// Where the inputs of a run came from that whoever started it did not give.
pub(super) fn inputs_from(terms: &Terms) -> Vec<v1::InputFrom> {
    let from = |(input, source): (&String, &InputSource)| v1::InputFrom {
        input: input.clone(),
        source: input_source(*source).into(),
    };
    terms.sources.iter().map(from).collect()
}

/// What a request wants of the steps; `None` where it says nothing of them.
pub(super) fn wish(selection: Option<v1::Selection>) -> Option<Wish> {
    let v1::Selection { skip, only, from, until, outputs, .. } = selection?;
    let outputs = outputs.into_iter().map(|given| (given.step, given.key, Value::String(given.text))).collect();
    Some(Wish { skip, only, from, until, outputs }).filter(|wish| *wish != Wish::default())
}

/// What is left out, as it is told; not set where nothing is.
pub(super) fn told(runbook: &Runbook, selection: &Selection) -> Option<v1::Selection> {
    if *selection == Selection::default() {
        return None;
    }
    let Wish { skip, only, from, until, .. } = selection.wish.clone();
    let left_out: Vec<StepNo> = selection.left_out.iter().copied().collect();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let outputs = selection.outputs.iter().flat_map(|(no, outputs)| {
        let step = runbook.step(*no).map_or_else(String::new, |step| step.id.clone());
        let given = move |(key, value): (&String, &Value)| v1::GivenOutput {
            step: step.clone(),
            key: key.clone(),
            text: text(value),
        };
        outputs.iter().map(given)
    });
    Some(v1::Selection { skip, only, from, until, outputs: outputs.collect(), left_out: ids(runbook, &left_out) })
}

/// What a start has to confirm, and whether it does.
pub(super) fn planned_targets(start: &Start) -> Vec<v1::PlannedTarget> {
    if start.terms.dry {
        return Vec::new();
    }
    // Where a name cannot be made, the start is refused for that.
    let targets = start.targets().unwrap_or_default();
    let told = |target: runbook_core::destruction::Target| v1::PlannedTarget {
        steps: ids(&start.pinned.runbook, &target.steps),
        confirmed: start.terms.confirmed.contains(&target.name),
        name: target.name,
    };
    targets.into_iter().map(told).collect()
}

fn ids(runbook: &Runbook, steps: &[StepNo]) -> Vec<String> {
    steps.iter().filter_map(|no| runbook.step(*no)).map(|step| step.id.clone()).collect()
}
