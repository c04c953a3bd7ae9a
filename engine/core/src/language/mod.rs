//! The language: YAML text → a checked [`Runbook`], or everything that is wrong with it, each with its place.
//!
//! Three stages. 1: `tree` reads YAML events within bounds of depth and size, and keeps the place of every node.
//! 2: `values` lets a second reader tell what every scalar is, and refuses what the two see differently.
//! 3: `top`, `inputs`, `steps`, `block`, `many`, `work`, `command` read the typed definition with the one description of keys in
//! `schema` and `step_keys`, and of what holds between them (`relation`, `top_relations`, `step_relations`); `graph` and `expressions` check what holds across it. A stage begins when the one before left a document.
//!
//! Takes texts, never opens a file, never knows who asks.

use std::borrow::Cow;
use std::ops::Range;

use crate::definition::{Environment, Runbook, Work};
use crate::limits;

mod action;
mod block;
mod call;
mod code;
mod command;
mod draft;
pub mod duration;
pub mod environment_keys;
mod environments;
mod expressions;
mod given;
mod graph;
mod inputs;
mod interface;
mod item;
mod json_relations;
mod json_schema;
mod json_shapes;
mod many;
mod names;
mod names_at;
mod pool;
mod project;
mod protection;
mod reach;
pub mod relation;
mod report;
mod required;
mod role;
mod scenario;
pub mod scenario_keys;
mod schedules;
pub mod schema;
mod script;
pub mod step_keys;
mod step_relations;
mod steps;
#[cfg(test)]
mod tests;
mod top;
mod top_relations;
mod tree;
mod until;
mod values;
mod work;
pub mod yaml;

pub use code::{Code, Severity};
pub use environments::{ENVIRONMENTS_FOLDER, Environments, check_environment, is_environment};
pub use given::{InputCode, InputFault, check_field, check_inputs, parse_input};
pub use interface::{Configured, Interface, Interfaces};
pub use json_schema::{environment_schema, json_schema};
pub use project::{CheckedFile, across, check_project};
pub use report::{Finding, Place};
pub use scenario::{CheckedScenarios, Scenario, check_scenarios, scenarios_of};

use report::{Lines, Problem, Report};

/// How the names of files of scenarios end; such a file is no runbook.
pub const SCENARIOS_ENDING: &str = ".scenarios.yaml";

/// Whether a file's name or path is that of a file of scenarios.
pub fn is_scenarios(path: &str) -> bool {
    path.ends_with(SCENARIOS_ENDING) || path.ends_with(".scenarios.yml")
}

/// How much of a text of the author a message repeats, in characters.
const SHOWN: usize = 60;

/// What came of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// The runbook; `None` when there is any error.
    pub runbook: Option<Runbook>,
    /// The environment, where the file is of one; `None` when there is any error but those of what does not fit others.
    pub environment: Option<Environment>,
    /// What was found, in the order of the file: at most [`limits::FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub suppressed: usize,
    /// Where the name of the runbook or environment stands; the begin of the file when there is none.
    pub name: Place,
    /// Where an environment says that it is the default.
    pub default: Option<Place>,
    /// Where each file that the runbook lists stands, in its order; empty when there is no runbook.
    pub listed: Vec<Place>,
    /// The runbook as others see it, by its name, as far as it could be read.
    pub interface: Option<(String, Interface)>,
    /// The runbooks that its steps start, and where that stands.
    pub calls: Vec<(String, Place)>,
    /// Whether what is found depends on the environments that there are.
    pub by_environment: bool,
    /// Whether what is found depends on what the configuration defines.
    pub by_configuration: bool,
}

/// What is left of a file when its text is gone.
struct Read {
    runbook: Runbook,
    /// Where its name stands.
    name: Range<usize>,
    /// Where each file stands that it lists.
    files: Vec<Range<usize>>,
    calls: draft::Calls,
    /// Whether what is found depends on the environments that there are.
    by_environment: bool,
    /// Whether what is found depends on what the configuration defines.
    by_configuration: bool,
}

/// Checks a file that starts no other runbooks. Never opens one: `file` is for display only.
///
/// Time and memory are bounded by the size of `source` and by [`limits`], whatever it holds.
pub fn check(source: &[u8], file: &str) -> Checked {
    check_beside(source, file, &Interfaces::default())
}

/// Checks a file that may start the runbooks that are given.
pub fn check_beside(source: &[u8], file: &str, others: &Interfaces) -> Checked {
    let (found, findings, suppressed) = with_text(source, file, |text, report| {
        let draft = read(text, others, report)?;
        let lines = Lines::new(text);
        let place = |span: Range<usize>| lines.span(text, span);
        let calls = draft.calls.into_iter().map(|(name, span)| (name, place(span))).collect();
        let named = !draft.runbook.name.is_empty();
        let interface = named.then(|| (draft.runbook.name.clone(), Interface::of(&draft.runbook)));
        let by = (draft.by_environment, draft.by_configuration);
        let whole = (!report.failed()).then(|| {
            let listed = draft.files.into_iter().map(place).collect();
            (draft.runbook, place(draft.name), listed)
        });
        Some((whole, interface, calls, by))
    });
    let (whole, interface, calls, (by_environment, by_configuration)) = found.unwrap_or_default();
    let (runbook, name, listed) = match whole {
        Some((runbook, name, listed)) => (Some(runbook), name, listed),
        None => (None, Place::default(), Vec::new()),
    };
    let found = Checked { runbook, findings, suppressed, name, listed, interface, calls, ..Checked::default() };
    Checked { by_environment, by_configuration, ..found }
}

/// Reads a file that is small enough and UTF-8; with what was found, and how many findings more there were.
fn with_text<T>(
    source: &[u8],
    file: &str,
    read: impl FnOnce(&str, &mut Report<'_>) -> Option<T>,
) -> (Option<T>, Vec<Finding>, usize) {
    if source.len() > limits::FILE_BYTES {
        let Checked { findings, suppressed, .. } = too_large(source.len() as u64, file);
        return (None, findings, suppressed);
    }
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            // What comes before the broken byte is enough to tell line and column.
            let before = String::from_utf8_lossy(source.get(..at).unwrap_or(b""));
            let mut report = Report::new(&before, file);
            let byte = source.get(at).copied().unwrap_or(0);
            let message = format!("the file is not UTF-8: the byte 0x{byte:02x} cannot stand here");
            report.add(Problem::new(Code::NotUtf8, at..at, message).help("save the file as UTF-8"));
            let (findings, suppressed) = report.finish();
            return (None, findings, suppressed);
        }
    };
    let mut report = Report::new(text, file);
    let found = read(text, &mut report);
    let (findings, suppressed) = report.finish();
    (found, findings, suppressed)
}

/// What is said of a file that is larger than a runbook may be, by whoever did not read it.
pub fn too_large(bytes: u64, file: &str) -> Checked {
    let message = format!("the file has {bytes} bytes; the limit is {}", limits::FILE_BYTES);
    let help = "put data into files of its own, listed under `files:`";
    unread(Finding::of_file(Code::FileTooLarge, file, message, Some(help)))
}

/// What came of a file that cannot be read.
pub fn unread(why: Finding) -> Checked {
    Checked { findings: vec![why], ..Checked::default() }
}

/// The runbook as far as it can be read.
fn read(text: &str, others: &Interfaces, report: &mut Report<'_>) -> Option<Read> {
    let mut tree = tree::read(text, report)?;
    let count = steps::few_enough(item::Item::root(&tree), report)?;
    if !values::resolve(text, &mut tree, report) {
        return None;
    }
    let mut draft = top::read(item::Item::root(&tree), &count, others, report)?;
    let graph = graph::resolve(&mut draft, report);
    expressions::check(&mut draft, &graph, others.environments(), report);
    call::check(&draft, None, others, report);
    block::settle(&mut draft);
    schedules::placed(item::Item::root(&tree), &draft.runbook, others, report);
    if !report.failed() {
        schedules::confirmed(item::Item::root(&tree), &draft.runbook, others.environments(), report);
    }
    let draft::Draft { runbook, name, files, calls, .. } = draft;
    let by_environment = runbook.needs_environment || !runbook.environments.is_empty() || !runbook.schedules.is_empty();
    let names_role = |work: &Work| matches!(work, Work::Approval(approval) if !approval.roles.is_empty());
    let by_configuration = runbook.every_step().iter().any(|step| step.pool.is_some() || names_role(&step.work));
    Some(Read { runbook, name, files, calls, by_environment, by_configuration })
}

/// A text of the author as messages repeat it: without control characters, and cut where it is long.
pub(crate) fn show(text: &str) -> Cow<'_, str> {
    let long = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    if long.is_none() && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown: String = text[..long.unwrap_or(text.len())]
        .chars()
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect();
    if long.is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}
