//! Which targets the runbooks of the folder are for: those that they came to, and those that others came to which they could come
//! to as well. Never judges a target.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use runbook_core::definition::{Environment, Objective, Runbook};
use runbook_core::destruction::{self, Known};
use runbook_core::readiness::Record;
use runbook_core::verdicts::Target;
use serde_json::{Map, Value};

use super::before::Counting;
use crate::library::Generation;
use crate::placed;
use crate::prepare;

/// A runbook that counts, with what it is for.
pub struct Aim<'c> {
    /// The runbook.
    pub counting: &'c Counting<'c>,
    /// What it is for.
    pub objective: &'c Objective,
}

/// Where a runbook with an objective may run, whether it did or not.
#[derive(Debug)]
pub struct Could {
    /// The runbook.
    pub runbook: String,
    /// The environment, or none.
    pub environment: Option<String>,
    /// What it is for there if nobody gives it anything; `None` where that depends on what it is given.
    pub target: Option<String>,
}

/// What is wanted of which targets.
pub struct Wanted<'c> {
    /// The targets that any runbook came to, each with all runbooks that are for it: those that came to it, and those that may run
    /// there and are for the same name, or for one that is written the same way. What a run failed at that never succeeded is none.
    pub targets: BTreeMap<Target, Vec<Aim<'c>>>,
    /// Where runbooks with an objective may run.
    pub could: Vec<Could>,
}

/// What runbooks are for, by what runs said.
pub fn wanted<'c>(counting: &'c [Counting<'c>], records: &HashMap<Target, Record>) -> Wanted<'c> {
    let aims = counting.iter().filter_map(|counting| Some((counting, counting.runbook.objective.as_ref()?)));
    let aims: Vec<(&Counting<'_>, &Objective)> = aims.collect();
    let mut came: BTreeMap<Target, BTreeSet<usize>> = BTreeMap::new();
    let mut places: HashMap<(usize, Option<&str>), Option<String>> = HashMap::new();
    let mut could = Vec::new();
    for (index, (Counting { folder, runbook, .. }, _)) in aims.iter().enumerate() {
        let seen = records.iter();
        let seen = seen.filter(|(_, record)| record.is_known() && record.runbooks().contains(&runbook.name));
        let seen = seen.map(|(target, _)| target.clone());
        for target in expected(folder, runbook).into_iter().chain(seen) {
            came.entry(target).or_default().insert(index);
        }
        for name in folder.places.keys().map(|name| Some(name.as_str())).chain([None]) {
            let Some(target) = place(folder, runbook, name) else { continue };
            could.push(Could {
                runbook: runbook.name.clone(),
                environment: name.map(str::to_owned),
                target: target.clone(),
            });
            places.insert((index, name), target);
        }
    }
    let of = |(target, came): (Target, BTreeSet<usize>)| {
        let ways: BTreeSet<&str> = came.iter().map(|index| aims[*index].1.target.as_str()).collect();
        let is_for = |(index, (counting, objective)): (usize, &(&'c Counting<'c>, &'c Objective))| {
            let place = places.get(&(index, target.0.as_deref()));
            let fits =
                |name: &Option<String>| name.as_ref() == Some(&target.1) || ways.contains(objective.target.as_str());
            (came.contains(&index) || place.is_some_and(fits)).then_some(Aim { counting, objective })
        };
        let aims = aims.iter().enumerate().filter_map(is_for).collect();
        (target, aims)
    };
    Wanted { targets: came.into_iter().map(of).collect(), could }
}

/// What a runbook is for in an environment, if nobody gives it anything; `None` where it may not run there.
fn place(folder: &Generation, runbook: &Runbook, environment: Option<&str>) -> Option<Option<String>> {
    let environment = match environment {
        None => None,
        // While its file is broken its values are not known, but who may run there is.
        Some(name) => match folder.places.get(name)?.environment() {
            Some(environment) => Some(environment),
            None => {
                let may = folder.with_called(runbook).into_iter().all(|runbook| runbook.runs_in(name));
                return may.then(|| name_of(runbook, None));
            }
        },
    };
    placed::fits(folder, runbook, environment).ok()?;
    Some(name_of(runbook, environment))
}

/// The target of a runbook by the defaults of its inputs and what an environment gives, if these make its name.
fn name_of(runbook: &Runbook, environment: Option<&Environment>) -> Option<String> {
    let mut given = Map::new();
    if let Some(environment) = environment {
        environment.complete(&runbook.inputs, &mut given);
    }
    let inputs = runbook.inputs.iter().filter_map(|(name, decl)| {
        let value = given.get(name).or(decl.default.as_ref())?;
        Some((name.clone(), value.clone()))
    });
    objective(runbook, environment, &inputs.collect())
}

fn objective(runbook: &Runbook, environment: Option<&Environment>, inputs: &IndexMap<String, Value>) -> Option<String> {
    let left_out = &BTreeSet::new();
    destruction::objective(&Known { runbook, environment, inputs, principal: "", reason: "", left_out })
}

/// The targets that a runbook is for although no run has said so yet: those of its schedules, and that of a start without inputs.
fn expected(generation: &Generation, runbook: &Runbook) -> Vec<Target> {
    let none = BTreeMap::new();
    let scheduled =
        generation.schedules(runbook).map(|(_, schedule)| (schedule.environment(), schedule.inputs().unwrap_or(&none)));
    let bare = (None, &none);
    scheduled
        .chain([bare])
        .filter_map(|(environment, inputs)| of_start(generation, runbook, environment, inputs))
        .collect()
}

/// The target of a start, if it could be started.
fn of_start(
    generation: &Generation,
    runbook: &Runbook,
    environment: Option<&str>,
    inputs: &BTreeMap<String, Value>,
) -> Option<Target> {
    let environment: Option<Environment> = placed::chosen(generation, runbook, environment).ok()?;
    let given = inputs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let (inputs, _) = prepare::inputs(runbook, environment.as_ref(), given).ok()?;
    let name = objective(runbook, environment.as_ref(), &inputs.into_iter().collect())?;
    Some((environment.map(|environment| environment.name), name))
}
