//! Makes a runbook of the folder ready to be started by the daemon itself: what a person's start checks, for schedules and hooks.
//! Never decides that something starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runbook_core::definition::{Environment, InputSource};
use runbook_core::language;
use runbook_core::preflight::Missing;
use runbook_core::run::Pinned;
use serde_json::{Map, Value};

use crate::definitions::Text;
use crate::library::{Entry, Generation};
use crate::preflight::Preflight;
use crate::room;
use crate::surroundings::Surroundings;

/// Which inputs were given by whom.
type Sources = BTreeMap<String, InputSource>;

/// Checks that a runbook can start, and pins it.
///
/// # Errors
/// In words: what is missing.
pub fn pin(
    entry: &Entry,
    environment: Option<&Environment>,
    folder: &Generation,
    surroundings: &Surroundings,
    preflight: &Preflight,
    data_dir: &Path,
) -> Result<Arc<Pinned>, String> {
    if let Some(problem) = room::lack(data_dir) {
        return Err(problem);
    }
    let runbook = entry.runbook().ok_or_else(|| format!("the runbook {} is broken", entry.name))?;
    let name = environment.map(|environment| environment.name.as_str());
    let missing: Vec<Missing> = preflight.check(&folder.with_called(runbook), None, name, surroundings);
    if !missing.is_empty() {
        let list: Vec<&str> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        return Err(list.join("; "));
    }
    let text = Text { runbook, source: entry.source(), file: entry.file() };
    let pinned = surroundings.definitions.pin(&text, environment, &surroundings.project, &|name| folder.text(name));
    pinned.map_err(|error| error.to_string())
}

/// The inputs of a start, with those of its environment and their defaults, and which of them the environment gave.
///
/// # Errors
/// In words: what is wrong with them.
pub fn inputs(pinned: &Pinned, mut given: Map<String, Value>) -> Result<(Map<String, Value>, Sources), String> {
    let environment = pinned.runbook.environment.as_ref();
    let completed = environment.map(|it| it.complete(&pinned.runbook.inputs, &mut given)).unwrap_or_default();
    let inputs = language::check_inputs(&pinned.runbook, &given).map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        faults.join("; ")
    })?;
    Ok((inputs, completed.into_iter().map(|name| (name, InputSource::Environment)).collect()))
}
