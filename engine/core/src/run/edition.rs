//! What becomes of a run that goes on by an edited definition: where the two differ, which finished steps run again for
//! that, and what an edit may not change. Judges; changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::event::Edited;
use super::input::Edit;
use super::pinned::Pinned;
use super::rejection::Rejection;
use super::state::RunState;
use crate::comparison::{changed, flat, head};
use crate::definition::{Runbook, Step};
use crate::expression::{Expression, Reference, Template};
use crate::id::StepNo;

/// A definition that a run can go on by.
#[derive(Debug, Clone, PartialEq)]
pub struct Edition {
    /// The edited definition, its steps by the numbers that they have in the run.
    pub runbook: Runbook,
    /// Keys of the runbook, without its steps, that differ.
    pub keys: Vec<String>,
    /// The steps that differ, or run again, in the run's order.
    pub steps: Vec<EditedStep>,
    /// The steps that are new; they come after those of the run.
    pub added: Vec<StepNo>,
}

/// A step that differs, or runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedStep {
    /// The step.
    pub step: StepNo,
    /// Its keys that differ.
    pub keys: Vec<String>,
    /// Why it runs again, of a step that succeeded.
    pub again: Option<Again>,
    /// Whether it makes a new child run, and does not open the one that it has.
    pub anew: bool,
}

/// Why a step that succeeded runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// What it does was changed.
    Changed,
    /// It is given what this step leaves, which runs again.
    Reads(StepNo),
}

/// What an edit may not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A step is gone.
    #[error("step {step:?} is gone, and the run has it; leave it and write `if: 'false'`, or start a new run")]
    Removed {
        /// Its id.
        step: String,
    },
    /// A step is in the other part.
    #[error("step {step:?} stands in the other of `steps` and `finally`; put it back, or start a new run")]
    Moved {
        /// Its id.
        step: String,
    },
    /// A finished step would stand on others.
    #[error(
        "step {step:?} has succeeded, and its `needs` would change from {before} to {after}; what is finished stands on what it stood on"
    )]
    Needs {
        /// Its id.
        step: String,
        /// What it needs now.
        before: String,
        /// What it would need.
        after: String,
    },
    /// A value that the environment of the run has not.
    #[error(
        "`environment.values.{name}` is not in the environment as the run began with it; start a new run of the runbook"
    )]
    Value {
        /// Its name.
        name: String,
    },
    /// Something that the run began with.
    #[error("`{key}` was changed, and the run began with what it was; start a new run of the runbook")]
    Fixed {
        /// The key.
        key: String,
    },
}

/// Keys of a runbook that a run is bound to from its beginning.
const FIXED: [&str; 5] = ["name", "language", "inputs", "locks", "concurrency"];

/// What is stored of a runbook and is no key of the language: the definitions of the runbooks that its steps start.
const PINS: &str = "pins";

/// Keys of a step that say how it is treated, and not what it does: a step that succeeded has done the same.
const TREATMENT: [&str; 19] = [
    "locks",
    "pool",
    "max_parallel",
    "max_failures",
    "description",
    "needs",
    "undoes",
    "when_skipped",
    "if",
    "success",
    "unknown_if",
    "retry",
    "timeout",
    "stop",
    "verify",
    "on_cancel",
    "rollback",
    "no_return",
    "allow_failure",
];

/// Keys of a step that concern nothing of what it starts.
const ITS_OWN: [&str; 9] =
    ["description", "needs", "undoes", "when_skipped", "if", "rollback", "no_return", "allow_failure", "locks"];

/// Keys of a runbook that hold inside its steps, too, beside `env`.
const INSIDE: [&str; 3] = ["on_failure", "rollback", "attention"];

/// Holds an edited definition against a run. `files` are listed files whose contents differ.
///
/// # Errors
/// Everything that an edit may not change, in the order of the run.
pub fn edition(run: &RunState, edited: &Runbook, files: &[String]) -> Result<Edition, Vec<Refused>> {
    let before = &run.pinned().runbook;
    let mut keys = changed(&head(before), &head(edited));
    keys.retain(|key| key != PINS);
    let fixed = keys.iter().filter(|key| FIXED.contains(&key.as_str()));
    let mut refused: Vec<Refused> = fixed.map(|key| Refused::Fixed { key: key.clone() }).collect();
    refused.extend(lacking(before, edited).into_iter().map(|name| Refused::Value { name }));
    let after: BTreeMap<&str, &Step> = edited.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let head_differs = |names: &[&str]| keys.iter().any(|key| names.contains(&key.as_str()));
    let (environment, around) = (head_differs(&["env"]), head_differs(&INSIDE));
    let undone = run.undone();
    let (mut steps, mut again, mut readers) = (Vec::new(), Vec::new(), BTreeMap::<StepNo, Vec<StepNo>>::new());
    let (numbers, added) = numbers(run.pinned(), edited);
    for (no, step, state) in run.steps() {
        let Some(after) = after.get(step.id.as_str()) else {
            refused.push(Refused::Removed { step: step.id.clone() });
            continue;
        };
        if after.part != step.part {
            refused.push(Refused::Moved { step: step.id.clone() });
        }
        let (old, fields) = (flat(step, before), flat(after, edited));
        let keys = changed(&old, &fields);
        let differs = |but: &[&str]| keys.iter().any(|key| !but.contains(&key.as_str()));
        let pins = || called(after).iter().any(|name| before.pins.get(*name) != edited.pins.get(*name));
        let commands = after.command().is_some() || after.block().is_some();
        let given = || commands && (environment || names_any(&fields, files));
        let mut anew = false;
        if run.keeps(no, &undone) {
            if differs(&TREATMENT) || pins() || given() {
                again.push((no, Again::Changed));
            } else if keys.iter().any(|key| key == "needs") {
                let (before, after) = (told_needs(step, before), told_needs(after, edited));
                refused.push(Refused::Needs { step: step.id.clone(), before, after });
            }
            for read in reads(after, &fields).iter().filter_map(|id| run.pinned().find(id)) {
                readers.entry(read).or_default().push(no);
            }
        } else if state.child.is_some() {
            // What it is given is judged when it starts.
            anew = pins()
                || match after.many.is_none() && after.call().is_some() {
                    true => keys.iter().any(|key| key == "runbook"),
                    false => differs(&ITS_OWN) || given() || around,
                };
        }
        steps.push(EditedStep { step: no, keys, again: None, anew });
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    // What reads of a step that runs again runs again, and so on.
    while let Some((no, why)) = again.pop() {
        let Some(step) = steps.get_mut(no.index()).filter(|step| step.again.is_none()) else { continue };
        step.again = Some(why);
        again.extend(readers.get(&no).into_iter().flatten().map(|reader| (*reader, Again::Reads(no))));
    }
    steps.retain(|step| !step.keys.is_empty() || step.again.is_some() || step.anew);
    Ok(Edition { runbook: renumbered(edited, &numbers), keys, steps, added })
}

/// What a run makes of an edit that was held against it before.
///
/// # Errors
/// What an edit may not change, or the run has other steps than those that it was held against.
pub(super) fn taken(run: &RunState, edit: &Edit) -> Result<Edited, Rejection> {
    let runbook = &edit.pinned.runbook;
    let edition = edition(run, runbook, &edit.files)
        .map_err(|refused| Rejection::Edit { refused: refused.iter().map(ToString::to_string).collect() })?;
    if edition.runbook != *runbook {
        return Err(Rejection::EditStale);
    }
    let those = |which: fn(&EditedStep) -> bool| {
        edition.steps.iter().filter(|step| which(step)).map(|step| step.step).collect::<Vec<_>>()
    };
    let (again, anew) = (those(|step| step.again.is_some()), those(|step| step.anew));
    Ok(Edited { definition: edit.pinned.digest, again, anew })
}

/// The number in the run of each step of an edited runbook, and those of the steps that are new.
fn numbers(pinned: &Pinned, edited: &Runbook) -> (Vec<StepNo>, Vec<StepNo>) {
    let mut next = pinned.runbook.steps.len();
    let mut added = Vec::new();
    let numbers = edited.steps.iter().map(|step| {
        pinned.find(&step.id).unwrap_or_else(|| {
            let new = StepNo(next as u32);
            next += 1;
            added.push(new);
            new
        })
    });
    (numbers.collect(), added)
}

/// What a step needs, in words.
fn told_needs(step: &Step, of: &Runbook) -> String {
    let ids: Vec<&str> = step.needs.iter().filter_map(|no| of.step(*no)).map(|step| step.id.as_str()).collect();
    if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }
}

/// The runbooks that a step starts, those that are started inside it too.
fn called(step: &Step) -> Vec<&str> {
    let (mut found, mut open) = (Vec::new(), vec![step]);
    while let Some(step) = open.pop() {
        found.extend(step.call().map(|call| call.runbook.as_str()));
        open.extend(step.block().into_iter().flat_map(|block| &block.steps));
    }
    found
}

/// The values that an edited runbook mentions and the environment of the run has not.
fn lacking(before: &Runbook, edited: &Runbook) -> BTreeSet<String> {
    let head = edited.env.values().flat_map(|text| references(&Value::from(text.as_str())));
    let steps = edited.every_step().into_iter().flat_map(|step| {
        let texts = flat(step, edited).into_values().flat_map(|value| references(&value)).collect::<Vec<_>>();
        step.conditions().flat_map(mentioned).chain(texts).collect::<Vec<_>>()
    });
    let values = head.chain(steps).filter_map(|reference| match reference {
        Reference::EnvironmentValue(name) => Some(name),
        _ => None,
    });
    values.filter(|name| before.environment_value(name).is_none()).collect()
}

/// The steps whose results a step is given, by id.
fn reads(step: &Step, fields: &Map<String, Value>) -> BTreeSet<String> {
    // Its own `if` is no part of what it does.
    let own = step.condition.as_ref().map(|condition| condition.expression.as_str());
    let told = step.conditions().filter(|text| Some(*text) != own).flat_map(mentioned);
    let deed = fields.iter().filter(|(key, _)| !TREATMENT.contains(&key.as_str()));
    let given = deed.flat_map(|(_, value)| references(value));
    told.chain(given).filter_map(|reference| reference.step().map(ToOwned::to_owned)).collect()
}

/// What an expression refers to.
fn mentioned(text: &str) -> Vec<Reference> {
    let parsed = Expression::parse(text);
    parsed.iter().flat_map(Expression::references).map(|reference| reference.value.clone()).collect()
}

/// What the texts with `${{ }}` within a value refer to.
fn references(value: &Value) -> Vec<Reference> {
    let (mut found, mut open) = (Vec::new(), vec![value]);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                // A text that is no template mentions nothing.
                let parsed = Template::parse(text);
                let references = parsed.iter().flat_map(|template| template.references());
                found.extend(references.map(|reference| reference.value.clone()));
            }
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

/// Whether a step mentions one of these listed files as a text of its own.
fn names_any(fields: &Map<String, Value>, files: &[String]) -> bool {
    let mut open: Vec<&Value> = fields.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if files.iter().any(|file| text.contains(file.as_str())) => return true,
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    false
}

/// A definition whose steps have other numbers: `numbers` has the new one of each.
fn renumbered(runbook: &Runbook, numbers: &[StepNo]) -> Runbook {
    let moved = |list: &[StepNo]| list.iter().filter_map(|no| numbers.get(no.index()).copied()).collect::<Vec<_>>();
    let mut steps: Vec<(StepNo, Step)> = numbers.iter().copied().zip(runbook.steps.iter().cloned()).collect();
    for (_, step) in &mut steps {
        step.needs = moved(&step.needs);
        step.undoes = moved(&step.undoes);
        if let Some(condition) = &mut step.condition {
            condition.lifts = moved(&condition.lifts);
        }
    }
    steps.sort_by_key(|(no, _)| *no);
    Runbook { steps: steps.into_iter().map(|(_, step)| step).collect(), ..runbook.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::Digest;
    use crate::language;
    use crate::rehearsal::{End, Script, Setting, rehearse};
    use crate::run::Pinned;

    const BEFORE: &str = "name: a\nlanguage: 1\nfiles: [s/copy.sh]\nsteps:\n  dump: {argv: [dump], outputs: {n: integer}}\n  \
        copy: {needs: [dump], argv: [s/copy.sh, \"${{ steps.dump.outputs.n }}\"]}\n  side: {argv: [side]}\n  \
        check: {needs: [copy, side], argv: [check]}\nfinally:\n  tell: {argv: [tell]}\n";

    fn read(source: &str) -> Runbook {
        let checked = language::check(source.as_bytes(), "a.yaml");
        checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings))
    }

    fn judged(edited: &str, files: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let pinned = Arc::new(Pinned::new(read(BEFORE), Digest::of(b""), []));
        let inputs = language::check_inputs(&pinned.runbook, &Map::new()).unwrap();
        let mut script = Script::default();
        script.end(&pinned, "check", End::Failed).unwrap();
        let run = rehearse(&pinned, &Setting::new(&pinned.runbook, inputs, 4), &script).unwrap().state;
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        let edition = edition(&run, &read(edited), &files);
        let edition = edition.map_err(|refused| refused.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let ids: Vec<&str> = edition.runbook.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids[..5], ["dump", "copy", "side", "check", "tell"], "the numbers of the run");
        assert_eq!(ids[5..], edition.added.iter().map(|no| ids[no.index()]).collect::<Vec<_>>(), "new ones come last");
        let id = |no: StepNo| ids[no.index()];
        let told = |step: &EditedStep| {
            let again = match step.again {
                None => String::new(),
                Some(Again::Changed) => " again".to_owned(),
                Some(Again::Reads(of)) => format!(" again since {} does", id(of)),
            };
            format!("{} [{}]{again}", id(step.step), step.keys.join(" "))
        };
        Ok(edition.steps.iter().map(told).collect())
    }

    fn with(change: (&str, &str)) -> String {
        assert!(BEFORE.contains(change.0));
        BEFORE.replace(change.0, change.1)
    }

    #[test]
    fn what_is_finished_runs_again_only_where_what_it_does_or_is_given_differs() {
        let told = |edited: String| judged(&edited, &[]).unwrap();
        assert_eq!(told(BEFORE.to_owned()), Vec::<String>::new());
        assert_eq!(told(with(("argv: [check]", "argv: [check, harder]"))), ["check [run or argv]"]);
        assert_eq!(
            told(with(("argv: [dump]", "argv: [dump, all]"))),
            ["dump [run or argv] again", "copy [] again since dump does"]
        );
        assert_eq!(
            told(with(("argv: [side]", "argv: [side], timeout: 1m, allow_failure: true"))),
            ["side [allow_failure timeout]"]
        );
        assert_eq!(judged(BEFORE, &["s/copy.sh"]).unwrap(), ["copy [] again"]);
        assert_eq!(told(with(("steps:\n", "env: {A: b}\nsteps:\n"))).len(), 3, "all that is finished");
        // What is new comes after them, and what is finished stays.
        assert_eq!(
            told(with((
                "  check: {needs: [copy, side],",
                "  fix: {needs: [side], argv: [fix]}\n  check: {needs: [copy, fix],"
            ))),
            ["check [needs]"]
        );
        // Another order of the same steps is none.
        let moved = with(("  side: {argv: [side]}\n", "")).replace("steps:\n", "steps:\n  side: {argv: [side]}\n");
        assert_eq!(told(moved), Vec::<String>::new());
    }

    #[test]
    fn an_edit_that_changes_the_graph_under_finished_steps_is_refused() {
        let refused = |edited: String| judged(&edited, &[]).unwrap_err();
        assert_eq!(
            refused(with(("copy: {needs: [dump],", "copy: {needs: [dump, side],"))),
            [
                "step \"copy\" has succeeded, and its `needs` would change from dump to dump, side; what is finished stands on \
             what it stood on"
            ]
        );
        let other = with(("  side:", "  other:")).replace("copy, side]", "copy, other]");
        assert_eq!(
            refused(other),
            ["step \"side\" is gone, and the run has it; leave it and write `if: 'false'`, or start a new run"]
        );
        assert_eq!(
            refused(with(("files:", "locks: [db]\nfiles:"))),
            ["`locks` was changed, and the run began with what it was; start a new run of the runbook"]
        );
    }
}
