//! Makes a runbook of the folder ready to be started by the daemon itself: what a person's start checks, for schedules and hooks.
//! Never decides that something starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use runbook_core::definition::{Environment, InputSource, Runbook};
use runbook_core::destruction::Known;
use runbook_core::language;
use runbook_core::preflight::Missing;
use runbook_core::run::Pinned;
use serde_json::{Map, Value};

use crate::definitions::Text;
use crate::library::{Entry, Generation};
use crate::preflight::{self, Preflight};
use crate::room;
use crate::surroundings::Surroundings;

/// What a start is made of.
#[derive(Debug)]
pub struct Ready {
    /// The definition.
    pub pinned: Arc<Pinned>,
    /// The inputs, with those of the environment and their defaults.
    pub inputs: Map<String, Value>,
    /// Which of them were given by whom.
    pub sources: BTreeMap<String, InputSource>,
}

/// Checks that a runbook can start with what is given, and pins it.
///
/// # Errors
/// In words: what is missing, or wrong with the inputs.
pub fn ready(
    entry: &Entry,
    environment: Option<&Environment>,
    given: Map<String, Value>,
    folder: &Generation,
    surroundings: &Surroundings,
    preflight: &Preflight,
    data_dir: &Path,
) -> Result<Ready, String> {
    if let Some(problem) = room::lack(data_dir) {
        return Err(problem);
    }
    let runbook = entry.runbook().ok_or_else(|| format!("the runbook {} is broken", entry.name))?;
    let (inputs, completed) = inputs(runbook, environment, given)?;
    let missing = missing(runbook, environment, &inputs, folder, surroundings, preflight);
    if !missing.is_empty() {
        let list: Vec<&str> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        return Err(list.join("; "));
    }
    let text = Text { runbook, source: entry.source(), file: entry.file() };
    let pinned = surroundings.definitions.pin(&text, environment, &surroundings.project, &|name| folder.text(name));
    let pinned = pinned.map_err(|error| error.to_string())?;
    let sources = completed.into_iter().map(|name| (name, InputSource::Environment)).collect();
    Ok(Ready { pinned, inputs, sources })
}

/// What is missing for a start of a runbook with its defaults; where those are not all, of what it needs in any case.
pub fn missing_by_default(
    runbook: &Runbook,
    environment: Option<&Environment>,
    folder: &Generation,
    surroundings: &Surroundings,
    preflight: &Preflight,
) -> Vec<Missing> {
    match inputs(runbook, environment, Map::new()) {
        Ok((inputs, _)) => missing(runbook, environment, &inputs, folder, surroundings, preflight),
        Err(_) => {
            let name = environment.map(|environment| environment.name.as_str());
            preflight.of_any_start(runbook, name, folder, surroundings)
        }
    }
}

/// The inputs of a start, with those of its environment and their defaults, and which of them the environment gave.
///
/// # Errors
/// In words: what is wrong with them.
pub fn inputs(
    runbook: &Runbook,
    environment: Option<&Environment>,
    mut given: Map<String, Value>,
) -> Result<(Map<String, Value>, Vec<String>), String> {
    let completed = environment.map(|it| it.complete(&runbook.inputs, &mut given)).unwrap_or_default();
    let inputs = language::check_inputs(runbook, &given).map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        faults.join("; ")
    })?;
    Ok((inputs, completed))
}

fn missing(
    runbook: &Runbook,
    environment: Option<&Environment>,
    inputs: &Map<String, Value>,
    folder: &Generation,
    surroundings: &Surroundings,
    preflight: &Preflight,
) -> Vec<Missing> {
    let inputs = preflight::open(runbook, inputs);
    let left_out = BTreeSet::new();
    let known = Known { runbook, environment, inputs: &inputs, principal: "", reason: "", left_out: &left_out };
    preflight.of_start(&known, folder, surroundings)
}
