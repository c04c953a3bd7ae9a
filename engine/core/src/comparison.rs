//! Two runs side by side: what they were pinned to, what they were given, and what became of each step. Judges nothing.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::definition::{Runbook, Step};
use crate::id::StepNo;
use crate::run::RunState;
use crate::run::view::StepStatus;
use crate::time::Span;

/// Where a step's definition differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nowhere.
    Same,
    /// In these keys of the language.
    Keys(Vec<String>),
    /// Only the first run has the step.
    OnlyFirst,
    /// Only the second run has it.
    OnlySecond,
}

/// What became of a step in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Its status.
    pub status: StepStatus,
    /// The number of its latest attempt.
    pub attempts: u32,
    /// From its first attempt of the latest epoch to its end, if it had both.
    pub took: Option<Span>,
    /// Why it is where it is.
    pub message: String,
}

/// A step of either run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedStep {
    /// Its id.
    pub id: String,
    /// Where its definition differs.
    pub change: Change,
    /// In the first run.
    pub first: Option<Fate>,
    /// In the second.
    pub second: Option<Fate>,
}

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Keys of the runbook, without its steps, that differ.
    pub keys: Vec<String>,
    /// Inputs that differ, with the value in each; secret ones are never compared.
    pub inputs: Vec<(String, Option<Value>, Option<Value>)>,
    /// All steps: of the first run in its order, then those that only the second has.
    pub steps: Vec<ComparedStep>,
}

/// Compares two runs.
pub fn compare(first: &RunState, second: &RunState) -> Comparison {
    let (a, b) = (&first.pinned().runbook, &second.pinned().runbook);
    let mut steps: Vec<ComparedStep> = first.steps().map(|(no, step, _)| one(first, second, no, step)).collect();
    for (no, step, _) in second.steps() {
        if first.pinned().find(&step.id).is_none() {
            let fate = Some(fate(second, no));
            steps.push(ComparedStep { id: step.id.clone(), change: Change::OnlySecond, first: None, second: fate });
        }
    }
    Comparison {
        keys: changed(&head(a), &head(b)),
        inputs: inputs(&first.created().inputs, &second.created().inputs),
        steps,
    }
}

fn one(first: &RunState, second: &RunState, no: StepNo, step: &Step) -> ComparedStep {
    let other = second.pinned().find(&step.id);
    let definition = other.and_then(|other| second.pinned().runbook.step(other));
    let change = match definition {
        None => Change::OnlyFirst,
        Some(definition) => {
            let keys = changed(&flat(step, &first.pinned().runbook), &flat(definition, &second.pinned().runbook));
            if keys.is_empty() { Change::Same } else { Change::Keys(keys) }
        }
    };
    ComparedStep {
        id: step.id.clone(),
        change,
        first: Some(fate(first, no)),
        second: other.map(|other| fate(second, other)),
    }
}

fn fate(run: &RunState, no: StepNo) -> Fate {
    let state = run.step(no);
    let times = state.and_then(|state| Some((state.started_at?, state.ended_at?)));
    Fate {
        status: run.step_status(no),
        attempts: state.map_or(0, |state| state.attempts),
        took: times.map(|(since, until)| until - since),
        message: state.map_or_else(String::new, |state| state.message.clone()),
    }
}

fn inputs(
    first: &IndexMap<String, Value>,
    second: &IndexMap<String, Value>,
) -> Vec<(String, Option<Value>, Option<Value>)> {
    let mut names: Vec<&String> = first.keys().collect();
    names.extend(second.keys().filter(|name| !first.contains_key(*name)));
    let pair = |name: &String| (name.clone(), first.get(name).cloned(), second.get(name).cloned());
    names.into_iter().map(pair).filter(|(_, a, b)| a != b).collect()
}

/// A part of a definition as its stored form, by keys.
fn stored(part: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(part) {
        Ok(Value::Object(fields)) => fields,
        // A definition is stored as an object; what is not has no keys to differ in.
        Ok(_) | Err(_) => Map::new(),
    }
}

/// The runbook without its steps.
pub(crate) fn head(runbook: &Runbook) -> Map<String, Value> {
    let mut fields = stored(runbook);
    fields.remove("steps");
    fields
}

/// A step by the keys of the language: its command's keys are its own, and steps are names.
pub(crate) fn flat(step: &Step, runbook: &Runbook) -> Map<String, Value> {
    let mut fields = stored(step);
    // What a step does is told by keys of its own, whatever kind of work it is.
    if let Some(Value::Object(work)) = fields.remove("work") {
        let keys = work.into_values().filter_map(|of_kind| match of_kind {
            Value::Object(keys) => Some(keys),
            _ => None,
        });
        fields.extend(keys.flatten().map(|(key, value)| match key.as_str() {
            "program" => ("run or argv".to_owned(), value),
            _ => (key, value),
        }));
    }
    if let Some(Value::Object(many)) = fields.remove("many") {
        for (kind, value) in many {
            let mut keys = match value {
                Value::Object(keys) if kind == "each" => keys,
                other => Map::from_iter([(kind, other)]),
            };
            // Its outputs are those of the step, and what it takes is what its work mentions.
            keys.retain(|key, _| key != "outputs" && key != "takes");
            fields.extend(keys.into_iter().map(|(key, value)| match key.as_str() {
                "list" => ("for_each".to_owned(), value),
                _ => (key, value),
            }));
        }
    }
    if let Some(condition) = fields.remove("condition") {
        fields.insert("if".to_owned(), condition);
    }
    for (key, steps) in [("needs", &step.needs), ("undoes", &step.undoes)] {
        let ids = steps.iter().filter_map(|no| runbook.step(*no)).map(|step| Value::from(step.id.clone()));
        fields.insert(key.to_owned(), ids.collect());
    }
    fields
}

/// The keys that differ, in order of the alphabet.
pub(crate) fn changed(first: &Map<String, Value>, second: &Map<String, Value>) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    all.into_iter().filter(|key| first.get(*key) != second.get(*key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::language;
    use crate::rehearsal::{End, Script, Setting, rehearse};
    use crate::run::Pinned;
    use std::sync::Arc;

    fn run(source: &str, fails: &str, keep: i64) -> RunState {
        let checked = language::check(source.as_bytes(), "a.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let pinned = Arc::new(Pinned::new(runbook, Digest::of(source.as_bytes()), []));
        let given = Map::from_iter([("keep".to_owned(), Value::from(keep))]);
        let setting = Setting::new(&pinned.runbook, language::check_inputs(&pinned.runbook, &given).unwrap(), 4);
        let mut script = Script::default();
        if !fails.is_empty() {
            script.end(&pinned, fails, End::Failed).unwrap();
        }
        rehearse(&pinned, &setting, &script).unwrap().state
    }

    const BEFORE: &str = "name: a\nlanguage: 1\ninputs: {keep: {type: integer, default: 1}}\nsteps:\n  \
        old: {argv: [old]}\n  dump: {needs: [old], argv: [dump, \"${{ inputs.keep }}\"], timeout: 1m}\n  same: {argv: [same]}\n";

    #[test]
    fn everything_that_differs_is_told() {
        let first = run(BEFORE, "", 1);
        let after = BEFORE
            .replace(
                "  old: {argv: [old]}\n  dump: {needs: [old],",
                "  new: {argv: [new]}\n  dump: {needs: [new], if: 'true',",
            )
            .replace("timeout: 1m", "timeout: 2m")
            .replace("language: 1\n", "language: 1\ntimeout: 1h\n");
        let second = run(&after, "dump", 2);
        let both = compare(&first, &second);
        assert_eq!(both.keys, ["timeout"]);
        assert_eq!(both.inputs, [("keep".to_owned(), Some(Value::from(1)), Some(Value::from(2)))]);
        let shown: Vec<String> = both
            .steps
            .iter()
            .map(|step| {
                let status = |fate: &Option<Fate>| fate.as_ref().map_or("-", |fate| fate.status.name());
                format!("{} {:?} {} {}", step.id, step.change, status(&step.first), status(&step.second))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "old OnlyFirst succeeded -",
                "dump Keys([\"if\", \"needs\", \"timeout\"]) succeeded failed",
                "same Same succeeded succeeded",
                "new OnlySecond - succeeded",
            ]
        );
        assert_eq!(both.steps[2].first.as_ref().unwrap().took, Some(Span::seconds(1)));
        let none = compare(&first, &first);
        assert!(none.keys.is_empty() && none.inputs.is_empty());
        assert!(none.steps.iter().all(|step| step.change == Change::Same && step.first == step.second));
    }
}
