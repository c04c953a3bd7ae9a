//! What of a runbook a start leaves out, and what it gives instead: from the options of a start to the steps that do not
//! run, refused where a step that is left wants something that nobody makes. Never knows a run.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{Part, Runbook, Step};
use crate::destruction::approved;
use crate::expression::{
    Base, Expression, Fault, FaultKind, Located, NameFault, Names, Reference, Template, Type, did_you_mean,
};
use crate::id::StepNo;
use crate::run::as_type;

/// What somebody wants, by the ids of steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Not these.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Of the main steps these alone.
    #[serde(default)]
    pub only: Vec<String>,
    /// Of the main steps those alone that are one of these, or come after one.
    #[serde(default)]
    pub from: Vec<String>,
    /// Of the main steps those alone that are one of these, or come before one.
    #[serde(default)]
    pub until: Vec<String>,
    /// Outputs of steps that are left out: step, key, and the value or a text that it is read from.
    #[serde(default)]
    pub outputs: Vec<(String, String, Value)>,
}

/// What a run leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// What was wanted.
    #[serde(default)]
    pub wish: Wish,
    /// The steps that do not run.
    #[serde(default)]
    pub left_out: BTreeSet<StepNo>,
    /// The outputs that they have all the same, of the declared types.
    #[serde(default)]
    pub outputs: BTreeMap<StepNo, IndexMap<String, Value>>,
}

/// Something that cannot be had so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unselectable {
    /// The option: `skip`, `only`, `from`, `until` or `set_output`.
    pub option: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// What a run leaves out by a wish.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn select(runbook: &Runbook, wish: Wish) -> Result<Selection, Vec<Unselectable>> {
    if wish == Wish::default() {
        return Ok(Selection::default());
    }
    let mut faults = Vec::new();
    let mut named = |option: &'static str, ids: &[String], main: bool| -> BTreeSet<StepNo> {
        ids.iter().filter_map(|id| find(runbook, option, id, main).map_err(|fault| faults.push(fault)).ok()).collect()
    };
    let skip = named("skip", &wish.skip, false);
    let only = named("only", &wish.only, true);
    let from = named("from", &wish.from, true);
    let until = named("until", &wish.until, true);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut left_out = skip;
    for (wanted, set) in [
        (!wish.only.is_empty(), only),
        (!wish.from.is_empty(), after(runbook, from)),
        (!wish.until.is_empty(), before(runbook, until)),
    ] {
        if wanted {
            left_out.extend(main_steps(runbook).filter(|no| !set.contains(no)));
        }
    }
    if main_steps(runbook).all(|no| left_out.contains(&no)) {
        let option = if wish.skip.is_empty() { "until" } else { "skip" };
        let problem = "no step is left: only those run that all options agree on".to_owned();
        return Err(vec![Unselectable { option, problem }]);
    }
    let mut selection = Selection { wish, left_out, outputs: BTreeMap::new() };
    let mut faults = give(runbook, &mut selection);
    faults.extend(missing(runbook, &selection));
    faults.extend(unguarded(runbook, &selection));
    if faults.is_empty() { Ok(selection) } else { Err(faults) }
}

fn main_steps(runbook: &Runbook) -> impl Iterator<Item = StepNo> {
    let steps = runbook.steps.iter().enumerate().filter(|(_, step)| step.part == Part::Main);
    steps.map(|(index, _)| StepNo(index as u32))
}

fn find(runbook: &Runbook, option: &'static str, id: &str, main: bool) -> Result<StepNo, Unselectable> {
    let fault = |problem: String| Unselectable { option, problem };
    let Some(no) = runbook.find(id) else {
        let shown: String = id.chars().take(80).collect();
        let hint = did_you_mean(&shown, runbook.steps.iter().map(|step| step.id.as_str()));
        let hint = hint.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        return Err(fault(format!("there is no step {shown:?}{hint}")));
    };
    match runbook.step(no).map(|step| step.part) {
        Some(Part::Finally) if main => {
            Err(fault(format!("{id:?} is a step of `finally`, which runs in any case; `skip` leaves it out")))
        }
        Some(_) | None => Ok(no),
    }
}

/// These, and all that come after one of them.
fn after(runbook: &Runbook, these: BTreeSet<StepNo>) -> BTreeSet<StepNo> {
    let mut found = these;
    for no in crate::plan::order(&runbook.steps) {
        if runbook.step(no).is_some_and(|step| step.needs.iter().any(|need| found.contains(need))) {
            found.insert(no);
        }
    }
    found
}

/// These, and all that come before one of them.
fn before(runbook: &Runbook, these: BTreeSet<StepNo>) -> BTreeSet<StepNo> {
    let mut open: Vec<StepNo> = these.iter().copied().collect();
    let mut found = these;
    while let Some(no) = open.pop() {
        for need in runbook.step(no).map_or(&[][..], |step| &step.needs) {
            if found.insert(*need) {
                open.push(*need);
            }
        }
    }
    found
}

/// Gives the steps that are left out their outputs.
fn give(runbook: &Runbook, selection: &mut Selection) -> Vec<Unselectable> {
    let mut faults = Vec::new();
    for (id, key, value) in &selection.wish.outputs {
        let given = find(runbook, "set_output", id, false).and_then(|no| {
            let fault = |problem: String| Unselectable { option: "set_output", problem };
            let Some(step) = runbook.step(no) else { return Err(fault(format!("there is no step {id:?}"))) };
            if !selection.left_out.contains(&no) {
                return Err(fault(format!("{id:?} is not left out: it makes its outputs itself")));
            }
            let Some(declared) = step.outputs.get(key) else {
                let hint = did_you_mean(key, step.outputs.keys().map(String::as_str));
                let hint = hint.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
                return Err(fault(format!("{id:?} declares no output {key:?}{hint}")));
            };
            if step.approval().is_some_and(|approval| approval.is_secret(key)) {
                return Err(fault(format!("{id}.{key} is secret, and what is given here is stored and shown")));
            }
            match as_type(*declared, value) {
                Some(value) => Ok((no, value)),
                None => Err(fault(format!("{id}.{key} has to be of type {}", declared.name()))),
            }
        });
        match given {
            Ok((no, value)) => {
                let outputs = selection.outputs.entry(no).or_default();
                if outputs.insert(key.clone(), value).is_some() {
                    faults.push(Unselectable { option: "set_output", problem: format!("{id}.{key} is given twice") });
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    faults
}

/// Steps that start other runbooks, where an approval before them is left out: what these destroy is not confirmed by name.
fn unguarded(runbook: &Runbook, selection: &Selection) -> Vec<Unselectable> {
    if !runbook.steps.iter().any(Step::starts_run) {
        return Vec::new();
    }
    let (before, after) = (approved(runbook, &BTreeSet::new()), approved(runbook, &selection.left_out));
    let steps = runbook.steps.iter().enumerate().filter(|(index, step)| {
        step.starts_run() && before[*index] && !after[*index] && !selection.left_out.contains(&StepNo(*index as u32))
    });
    let told = |(_, step): (usize, &Step)| Unselectable {
        option: "skip",
        problem: format!(
            "an approval comes before {:?}, which starts a run of its own: it cannot be left out",
            step.id
        ),
    };
    steps.map(told).collect()
}

/// What steps that are left want of those that are not, and nobody gives.
fn missing(runbook: &Runbook, selection: &Selection) -> Vec<Unselectable> {
    let mut faults: IndexMap<String, Vec<&str>> = IndexMap::new();
    for (index, step) in runbook.steps.iter().enumerate() {
        if selection.left_out.contains(&StepNo(index as u32)) {
            continue;
        }
        for lacking in wanted(runbook, selection, step) {
            let readers = faults.entry(lacking).or_default();
            if readers.last() != Some(&step.id.as_str()) {
                readers.push(&step.id);
            }
        }
    }
    let names = Left { runbook, selection };
    for output in runbook.outputs.values() {
        if let Ok(expression) = Expression::parse(&output.value)
            && is_null(expression.check(&names))
        {
            for lacking in expression.references().iter().filter_map(|reference| names.lacking(&reference.value)) {
                faults.entry(lacking).or_default().push("the outputs of the runbook");
            }
        }
    }
    let told = |(lacking, readers): (String, Vec<&str>)| Unselectable {
        option: "set_output",
        problem: format!("{lacking}; it is wanted by {}", readers.join(", ")),
    };
    faults.into_iter().map(told).collect()
}

/// Whether an expression has no value where what is missing is null.
fn is_null(checked: Result<Type, Vec<Fault>>) -> bool {
    match checked {
        Ok(of) => of.nullable,
        Err(faults) => faults.iter().any(|fault| fault.kind == FaultKind::PossibleNull),
    }
}

/// What a step cannot do without, in words.
fn wanted(runbook: &Runbook, selection: &Selection, step: &Step) -> Vec<String> {
    let names = Left { runbook, selection };
    let mut found = Vec::new();
    let mut see = |references: &mut dyn Iterator<Item = &Located<Reference>>| {
        found.extend(references.filter_map(|reference| names.lacking(&reference.value)));
    };
    for expression in step.conditions() {
        if let Ok(expression) = Expression::parse(expression)
            && is_null(expression.check(&names))
        {
            see(&mut expression.references().iter());
        }
    }
    for text in step.templates() {
        if let Ok(template) = Template::parse(text)
            && is_null(template.check(&names))
        {
            see(&mut template.references());
        }
    }
    found
}

/// The types of names where some steps are left out: what these do not have may be null, and nothing else is asked.
struct Left<'a> {
    runbook: &'a Runbook,
    selection: &'a Selection,
}

impl Left<'_> {
    /// What is missing of a reference, and how it can be had.
    fn lacking(&self, reference: &Reference) -> Option<String> {
        let left_out = |id: &String| self.runbook.find(id).filter(|no| self.selection.left_out.contains(no));
        match reference {
            Reference::StepOutput(id, key) => {
                let no = left_out(id)?;
                if self.runbook.step(no)?.approval().is_some_and(|approval| approval.is_secret(key)) {
                    return Some(format!(
                        "{id} is left out, and its output {key:?} is secret and cannot be given: let it run"
                    ));
                }
                let given = self.selection.outputs.get(&no).is_some_and(|outputs| outputs.contains_key(key));
                (!given).then(|| format!("{id} is left out, and its output {key:?} is not given: {id}.{key}=VALUE"))
            }
            Reference::StepArtifact(id, name) => {
                left_out(id)?;
                Some(format!("{id} is left out, and its artifact {name:?} cannot be given: let it run"))
            }
            _ => None,
        }
    }
}

impl Names for Left<'_> {
    fn type_of(&self, reference: &Reference) -> Result<Type, NameFault> {
        let of = Type::of(Base::Any);
        Ok(if self.lacking(reference).is_some() { of.nullable() } else { of })
    }
}
