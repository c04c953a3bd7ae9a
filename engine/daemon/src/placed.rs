//! The environment that a run is started in, by the name that was given or the folder's default, and whether its runbook, and
//! all that this comes to start, may run there. Never starts anything.

use runbook_core::definition::{Environment, Runbook};
use runbook_core::expression::did_you_mean;
use runbook_core::language::{Finding, Severity};

use crate::library::{Generation, Place};

/// Findings that are told with a refusal.
const FINDINGS: usize = 5;

/// Why there is no environment for a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// There is no environment of this name.
    #[error("there is no environment {name:?}; {hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What is there instead.
        hint: String,
    },
    /// Its file has errors.
    #[error("nothing runs in the environment {name} until it is mended:\n{}", findings.join("\n"))]
    Broken {
        /// The name.
        name: String,
        /// What is wrong.
        findings: Vec<String>,
    },
    /// There are two defaults.
    #[error("{0} and {1} are both the default environment; name one")]
    TwoDefaults(String, String),
    /// The runbook runs in an environment only, and none is named.
    #[error("{runbook} runs in an environment only; {hint}")]
    Nowhere {
        /// The runbook.
        runbook: String,
        /// Which may be named.
        hint: String,
    },
    /// The runbook does not run in this one.
    #[error("{runbook} runs in {} only, not in {name}", may.join(", "))]
    Elsewhere {
        /// The runbook.
        runbook: String,
        /// Where it runs.
        may: Vec<String>,
        /// The environment.
        name: String,
    },
    /// An input and a value have one name.
    #[error(
        "{value} is an input of {runbook} and a value of the environment {name}; write it under `inputs` of the environment, or \
         give one of the two another name"
    )]
    Ambiguous {
        /// Their name.
        value: String,
        /// The runbook.
        runbook: String,
        /// The environment.
        name: String,
    },
}

/// The file of an environment of a name.
///
/// # Errors
/// There is none: it says which was meant.
pub fn find<'g>(generation: &'g Generation, name: &str) -> Result<&'g Place, Misplaced> {
    let names = || generation.places.keys().map(String::as_str);
    generation.places.get(name).map(AsRef::as_ref).ok_or_else(|| Misplaced::Unknown {
        name: name.chars().take(80).collect(),
        hint: match did_you_mean(name, names()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if generation.places.is_empty() => "put a file into runbooks/environments".to_owned(),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        },
    })
}

/// The environment that a run of a runbook is started in: the one that is named, else the folder's default.
///
/// # Errors
/// There is no such environment, it is broken, or the runbook, or one that it comes to start, does not run in it.
pub fn chosen(
    generation: &Generation,
    runbook: &Runbook,
    name: Option<&str>,
) -> Result<Option<Environment>, Misplaced> {
    let place = match name {
        Some(name) => Some(find(generation, name)?),
        None => default(generation)?,
    };
    let environment = match place.map(|place| (place, place.environment())) {
        None => None,
        Some((_, Some(environment))) => Some(environment),
        Some((place, None)) => {
            let told = |it: &Finding| format!("  {}:{}:{}: {}", it.file, it.line, it.column, it.message);
            let errors = place.findings.iter().filter(|it| it.severity == Severity::Error);
            return Err(Misplaced::Broken {
                name: place.name.clone(),
                findings: errors.take(FINDINGS).map(told).collect(),
            });
        }
    };
    fits(generation, runbook, environment)?;
    Ok(environment.cloned())
}

/// Whether a runbook, and all that it comes to start, may run in this environment, or in none.
///
/// # Errors
/// It does not run there.
pub fn fits(generation: &Generation, runbook: &Runbook, environment: Option<&Environment>) -> Result<(), Misplaced> {
    let all = generation.with_called(runbook);
    let Some(environment) = environment else {
        let Some(runbook) = all.into_iter().find(|runbook| runbook.needs_environment) else { return Ok(()) };
        let may = match runbook.environments.is_empty() {
            true => generation.places.keys().cloned().collect(),
            false => runbook.environments.clone(),
        };
        let hint = if may.is_empty() { "there is none".to_owned() } else { format!("name one of {}", may.join(", ")) };
        return Err(Misplaced::Nowhere { runbook: runbook.name.clone(), hint });
    };
    let name = || environment.name.clone();
    for runbook in all {
        if !runbook.runs_in(&environment.name) {
            let may = runbook.environments.clone();
            return Err(Misplaced::Elsewhere { runbook: runbook.name.clone(), may, name: name() });
        }
        if let Some(value) = runbook.inputs.keys().find(|name| environment.values.contains_key(*name)) {
            let (value, runbook) = (value.clone(), runbook.name.clone());
            return Err(Misplaced::Ambiguous { value, runbook, name: name() });
        }
    }
    Ok(())
}

/// The default of the folder.
fn default(generation: &Generation) -> Result<Option<&Place>, Misplaced> {
    let is_default = |place: &&Place| place.environment().is_some_and(|it| it.is_default);
    let mut defaults = generation.places.values().map(AsRef::as_ref).filter(is_default);
    match (defaults.next(), defaults.next()) {
        (Some(first), Some(second)) => Err(Misplaced::TwoDefaults(first.name.clone(), second.name.clone())),
        (first, _) => Ok(first),
    }
}
