//! Files of environments: read with the same tools as runbooks, and held against the inputs of the project's runbooks.
//! Never opens a file, never knows who starts what.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::code::Code;
use super::interface::{Configured, Interface, Interfaces};
use super::item::{Fields, Item};
use super::report::{Lines, Problem, Report};
use super::{
    Checked, Finding, environment_keys as keys, given, inputs, names, protection, show, top, tree, values, with_text,
};
use crate::definition::{Environment, Runbook};
use crate::expression::did_you_mean;
use crate::limits;

/// The name of folders whose files are environments, not runbooks.
pub const ENVIRONMENTS_FOLDER: &str = "environments";
/// How many runbooks a message names.
const NAMED: usize = 3;

/// Whether a file's path is that of an environment: it lies in a folder that is called so.
pub fn is_environment(path: &str) -> bool {
    Path::new(path).parent().and_then(Path::file_name).is_some_and(|folder| folder == ENVIRONMENTS_FOLDER)
}

/// The environments of a project, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environments(BTreeMap<String, Environment>);

impl Environments {
    /// These; of two of one name the first.
    pub fn new(all: impl IntoIterator<Item = Environment>) -> Self {
        let mut known = BTreeMap::new();
        for environment in all {
            known.entry(environment.name.clone()).or_insert(environment);
        }
        Self(known)
    }

    /// The environment of a name.
    pub fn get(&self, name: &str) -> Option<&Environment> {
        self.0.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that runs are started in that name none.
    pub fn default_one(&self) -> Option<&Environment> {
        self.0.values().find(|environment| environment.is_default)
    }

    /// The one of this name, or the default where none is named.
    pub fn chosen(&self, name: Option<&str>) -> Option<&Environment> {
        name.map_or_else(|| self.default_one(), |name| self.get(name))
    }

    /// Those that a runbook may run in.
    pub fn of<'a>(&'a self, runbook: &Runbook) -> impl Iterator<Item = &'a Environment> {
        self.0.values().filter(|environment| runbook.runs_in(&environment.name))
    }
}

/// What is said where a name is that of no environment.
pub(super) fn unknown(item: Item<'_>, environments: &Environments, report: &mut Report<'_>) {
    let message = format!("there is no environment `{}`", show(item.raw()));
    let help = match did_you_mean(item.raw(), environments.names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if environments.is_empty() => "put a file into `runbooks/environments`".to_owned(),
        None => format!("there are {}", environments.names().collect::<Vec<_>>().join(", ")),
    };
    report.add(Problem::new(Code::UnknownEnvironment, item.span(), message).help(help));
}

/// Checks a file of an environment. `runbooks` are those of the project, where they are known. Never opens a file: `file`
/// is for display only.
pub fn check_environment(source: &[u8], file: &str, runbooks: Option<&Interfaces>) -> Checked {
    let (found, findings, suppressed) = with_text(source, file, |text, report| {
        let mut tree = tree::read(text, report)?;
        if !values::resolve(text, &mut tree, report) {
            return None;
        }
        let read = read(Item::root(&tree), runbooks.and_then(Interfaces::configured), report)?;
        let Read { environment, name, default, values, inputs } = read;
        // What does not fit one runbook is no reason to keep the others from it.
        let good = !report.failed();
        if let Some(runbooks) = runbooks {
            of_values(&environment, &values, runbooks, report);
            of_inputs(&environment, &inputs, runbooks, report);
        }
        let lines = Lines::new(text);
        let place = |span: Range<usize>| lines.span(text, span);
        good.then(|| (environment, place(name), default.map(place)))
    });
    let (environment, name, default) = match found {
        Some((environment, name, default)) => (Some(environment), name, default),
        None => (None, super::Place::default(), None),
    };
    Checked { environment, findings, suppressed, name, default, ..Checked::default() }
}

/// A file as far as it can be read.
struct Read {
    environment: Environment,
    /// Where its name stands.
    name: Range<usize>,
    /// Where it says that it is the default.
    default: Option<Range<usize>>,
    /// Where each of its values stands, by its name.
    values: Places,
    /// Where each of its inputs stands, and the value of it, by its name.
    inputs: Places,
}

/// Where names and what is given for them stand.
type Places = Vec<(String, Range<usize>, Range<usize>)>;

fn read(root: Item<'_>, configured: Option<&Configured>, report: &mut Report<'_>) -> Option<Read> {
    let at = top::first_line(root, report.source());
    top::language(root, report)?;
    let fields = root.section(&keys::FILE, at, report)?;
    let name = fields.get("name").and_then(|item| {
        item.text(report)?;
        Some((names::id(item, report).to_owned(), item.span()))
    });
    let (name, named) = name.unwrap_or_default();
    let is_default = fields.get("default").and_then(|item| item.boolean(report)).unwrap_or(false);
    let (values, of_values) = map(&fields, "values", limits::ENVIRONMENT_VALUES, report);
    let (given, of_inputs) = map(&fields, "inputs", limits::ENVIRONMENT_INPUTS, report);
    let description = inputs::text(&fields, "description", report);
    let default = fields.entry("default").map(|entry| entry.key.span()).filter(|_| is_default);
    let unscheduled = fields.get("schedules").and_then(|item| item.boolean(report)) == Some(false);
    let protection = protection::read(&fields, configured, report);
    let environment = Environment { name, description, is_default, values, inputs: given, unscheduled, protection };
    Some(Read { environment, name: named, default, values: of_values, inputs: of_inputs })
}

/// A map of names to values, none of which is null.
fn map(
    fields: &Fields<'_>,
    key: &'static str,
    limit: usize,
    report: &mut Report<'_>,
) -> (IndexMap<String, Value>, Places) {
    let (mut map, mut places) = (IndexMap::new(), Places::new());
    let Some(item) = fields.get(key) else { return (map, places) };
    let Some(entries) = item.entries(report) else { return (map, places) };
    if !names::within(item, &format!("`{key}`"), entries.len(), limit, key, report) {
        return (map, places);
    }
    for entry in entries {
        let name = names::id(entry.key, report).to_owned();
        let Some(value) = entry.value.json(report) else { continue };
        if value.is_null() {
            report.add(entry.value.wrong("a value").help("leave it out where there is none"));
            continue;
        }
        let written = value.to_string();
        if written.contains("${{") {
            let message = "`${{ }}` is not worked out in an environment";
            let help = "write the value itself, or put it together in the runbook";
            report.add(Problem::new(Code::NotHere, entry.value.span(), message).help(help));
        }
        names::within(entry.value, "the value", written.len(), limits::INPUT_BYTES, "bytes as JSON", report);
        places.push((name.clone(), entry.key.span(), entry.value.span()));
        map.insert(name, value);
    }
    (map, places)
}

/// The runbooks that may run in an environment.
fn of<'a>(environment: &'a Environment, runbooks: &'a Interfaces) -> impl Iterator<Item = (&'a str, &'a Interface)> {
    let may = |names: &[String]| names.is_empty() || names.contains(&environment.name);
    runbooks.all().filter(move |(_, interface)| may(&interface.environments))
}

/// Names that are those of inputs too.
fn of_values(environment: &Environment, places: &Places, runbooks: &Interfaces, report: &mut Report<'_>) {
    for (name, span, _) in places {
        let having: Vec<&str> = of(environment, runbooks)
            .filter(|(_, interface)| interface.inputs.contains_key(name))
            .map(|(runbook, _)| runbook)
            .collect();
        if !having.is_empty() {
            let message = format!("`{}` is an input of {} as well", show(name), list(&having));
            let help = "write it under `inputs:` where it is meant for that input, or give it another name";
            report.add(Problem::new(Code::AmbiguousName, span.clone(), message).help(help));
        }
    }
}

/// What inputs do not take, and inputs that there are not.
fn of_inputs(environment: &Environment, places: &Places, runbooks: &Interfaces, report: &mut Report<'_>) {
    for (name, key, at) in places {
        let Some(value) = environment.inputs.get(name) else { continue };
        let mut known = false;
        for (runbook, interface) in of(environment, runbooks) {
            let Some(decl) = interface.inputs.get(name) else { continue };
            known = true;
            if decl.secret {
                let message = format!("the input `{}` of {runbook} is secret, and this file is not", show(name));
                let help =
                    "let the runbook list it under `requires: {secrets: [NAME]}`, and read `${{ secrets.NAME }}`";
                report.add(Problem::new(Code::SecretShown, at.clone(), message).help(help));
            } else if let Some(fault) = given::judge(decl, &mut value.clone()) {
                let message = format!("the input `{}` of {runbook} does not take this: {}", show(name), fault.message);
                report.add(Problem::new(Code::EnvironmentInput, at.clone(), message).maybe_help(fault.help));
            }
        }
        if !known {
            let names = of(environment, runbooks).flat_map(|(_, interface)| interface.inputs.keys());
            let help = did_you_mean(name, names.map(String::as_str)).map(|meant| format!("did you mean `{meant}`?"));
            let message = format!("no runbook that runs here has an input `{}`", show(name));
            report.add(Problem::new(Code::NoSuchInput, key.clone(), message).maybe_help(help));
        }
    }
}

fn list(names: &[&str]) -> String {
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => format!("{} and {} more", first.join(", "), names.len() - NAMED),
        _ => names.join(", "),
    }
}

/// What no file of an environment shows alone: names that are taken twice, and several defaults. The findings of each file,
/// in the order of the files.
pub(super) fn across(files: &[(&str, &Checked)]) -> Vec<Vec<Finding>> {
    let first = |index: usize, same: &dyn Fn(&Environment) -> bool| {
        let other = files
            .iter()
            .enumerate()
            .find(|(other, (_, checked))| *other != index && checked.environment.as_ref().is_some_and(same));
        other.map(|(_, (path, checked))| (*path, *checked))
    };
    let find = |(index, (path, checked)): (usize, &(&str, &Checked))| {
        let Some(environment) = &checked.environment else { return Vec::new() };
        let mut findings = Vec::new();
        if let Some((other, taken)) = first(index, &|other| other.name == environment.name) {
            let message =
                format!("the name `{}` is taken by {other}, line {}", show(&environment.name), taken.name.line);
            let problem = Problem::new(Code::DuplicateName, 0..0, message).help("give one of the two another name");
            findings.push(Finding::at(problem, path, &checked.name));
        }
        if let (Some(place), Some((other, _))) = (&checked.default, first(index, &|other| other.is_default)) {
            let message = format!("{other} is the default too");
            let problem = Problem::new(Code::SeveralDefaults, 0..0, message).help("let one of them be it");
            findings.push(Finding::at(problem, path, place));
        }
        findings
    };
    files.iter().enumerate().map(find).collect()
}
