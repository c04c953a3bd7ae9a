//! Files of scenarios: how rehearsals of a runbook go, and how they should end. Read with the same tools as runbooks,
//! and checked against the runbook that they name. Never opens a file.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::code::Code;
use super::environments::{self, Environments};
use super::item::{Entry, Fields, Item};
use super::names;
use super::report::{Lines, Problem, Report};
use super::scenario_keys as keys;
use super::{Checked, Finding, InputCode, check_inputs, inputs, item, show, top, tree, values, with_text};
use crate::definition::{Environment, Runbook, Settlement, Step};
use crate::expression::{RUN_OUTCOMES, STEP_STATUSES, did_you_mean};
use crate::limits;
use crate::rehearsal::{Answer, Cancel, End, Expectation, NoPlace, Place, Script, StepScript, When};
use crate::run::Pinned;
use crate::time::Span;

const SETTLEMENTS: [(&str, Settlement); 4] = [
    ("succeeded", Settlement::Succeeded),
    ("failed", Settlement::Failed),
    ("retry", Settlement::Retry),
    ("skipped", Settlement::Skipped),
];
/// Whether `on_cancel` or `rollback` fails.
const TIDYING: [(&str, bool); 2] = [("succeeded", false), ("failed", true)];

/// A scenario of a runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, unique in its file.
    pub name: String,
    /// What it is about, in the author's words.
    pub description: String,
    /// The line where it begins.
    pub line: u32,
    /// The environment of the run.
    pub environment: Option<Environment>,
    /// The inputs, checked and completed.
    pub inputs: Map<String, Value>,
    /// What goes otherwise than well.
    pub script: Script,
    /// How it should end.
    pub expect: Expectation,
}

/// What came of a file of scenarios.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedScenarios {
    /// The scenarios in the order of the file; `None` when there is any error.
    pub scenarios: Option<Vec<Scenario>>,
    /// What was found, in the order of the file: at most [`limits::FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub suppressed: usize,
}

impl CheckedScenarios {
    /// The same as of any file: scenarios are no runbook.
    pub fn into_checked(self) -> Checked {
        let Self { findings, suppressed, .. } = self;
        Checked { findings, suppressed, ..Checked::default() }
    }
}

/// The name of the runbook that a file of scenarios is about, if it can be read at all.
pub fn scenarios_of(source: &[u8]) -> Option<String> {
    let (name, _, _) = with_text(source, "", |text, report| {
        let tree = tree::read(text, report)?;
        Some(item::Item::root(&tree).peek("runbook")?.raw().to_owned())
    });
    name
}

/// Checks a file of scenarios against its runbook, which `find` gives by name with those that it starts, or says what is wrong
/// with that name, and against the environments that there are. Never opens a file: `file` is for display only.
pub fn check_scenarios(
    source: &[u8],
    file: &str,
    environments: &Environments,
    find: impl FnOnce(&str) -> Result<Arc<Pinned>, String>,
) -> CheckedScenarios {
    let (scenarios, findings, suppressed) = with_text(source, file, |text, report| {
        let mut tree = tree::read(text, report)?;
        if !values::resolve(text, &mut tree, report) {
            return None;
        }
        let scenarios = read(Item::root(&tree), environments, find, report)?;
        (!report.failed()).then_some(scenarios)
    });
    CheckedScenarios { scenarios, findings, suppressed }
}

fn read(
    root: Item<'_>,
    environments: &Environments,
    find: impl FnOnce(&str) -> Result<Arc<Pinned>, String>,
    report: &mut Report<'_>,
) -> Option<Vec<Scenario>> {
    let at = top::first_line(root, report.source());
    top::language(root, report)?;
    let fields = root.section(&keys::FILE, at, report)?;
    let name = fields.get("runbook")?;
    let pinned = match find(name.text(report)?) {
        Ok(pinned) => pinned,
        Err(problem) => {
            report.add(Problem::new(Code::ScenarioRunbook, name.span(), problem));
            return None;
        }
    };
    let lines = Lines::new(report.source());
    let list = fields.get("scenarios")?;
    let entries = list.entries(report)?;
    if entries.len() == 0 {
        report.add(Problem::new(Code::MissingKey, list.span(), "there is no scenario").help("add one, by its name"));
    }
    if !names::within(list, "`scenarios`", entries.len(), limits::SCENARIOS, "scenarios", report) {
        return None;
    }
    // All are read, so that all findings are told; one that could not be read has told why.
    let scenarios: Vec<Option<Scenario>> = entries
        .map(|entry| {
            let (line, _) = lines.place(report.source(), entry.key.span().start);
            scenario(entry, line, &pinned, environments, report)
        })
        .collect();
    scenarios.into_iter().collect()
}

fn scenario(
    entry: Entry<'_>,
    line: u32,
    pinned: &Pinned,
    environments: &Environments,
    report: &mut Report<'_>,
) -> Option<Scenario> {
    let fields = entry.value.section(&keys::SCENARIO, entry.key.span(), report)?;
    let runbook = &pinned.runbook;
    let environment = environment(&fields, entry, runbook, environments, report);
    let given = given(&fields, entry, runbook, environment, report);
    let mut script = Script::default();
    for (place, told) in steps(&fields, "steps", pinned, report) {
        if let Some(told) = step(told, pinned, &place, report) {
            script.steps.insert(place.work(pinned), told);
        }
    }
    script.cancel = cancel(&fields, pinned, report);
    Some(Scenario {
        name: entry.key.raw().to_owned(),
        description: inputs::text(&fields, "description", report),
        line,
        environment: environment.cloned(),
        inputs: given?,
        script,
        expect: expect(&fields, pinned, report),
    })
}

/// The environment, by the rules of a start.
fn environment<'e>(
    fields: &Fields<'_>,
    scenario: Entry<'_>,
    runbook: &Runbook,
    environments: &'e Environments,
    report: &mut Report<'_>,
) -> Option<&'e Environment> {
    let item = fields.get("environment");
    let name = item.and_then(|item| item.text(report));
    let chosen = environments.chosen(name);
    match (chosen, item) {
        (None, Some(item)) if name.is_some() => environments::unknown(item, environments, report),
        (None, _) if runbook.needs_environment => {
            let message = format!("`{}` runs in an environment only", runbook.name);
            report.add(Problem::new(Code::NoEnvironment, scenario.key.span(), message).help("write `environment:`"));
        }
        (Some(it), _) if !runbook.runs_in(&it.name) => {
            let span = item.map_or_else(|| scenario.key.span(), Item::span);
            let message = format!("`{}` may not run in the environment {}", runbook.name, it.name);
            let help = format!("it runs in {}", runbook.environments.join(", "));
            report.add(Problem::new(Code::NoEnvironment, span, message).help(help));
        }
        _ => {}
    }
    chosen
}

/// The inputs, by the rules of a start.
fn given(
    fields: &Fields<'_>,
    scenario: Entry<'_>,
    runbook: &Runbook,
    environment: Option<&Environment>,
    report: &mut Report<'_>,
) -> Option<Map<String, Value>> {
    let mut given = Map::new();
    let mut places = Vec::new();
    if let Some(item) = fields.get("inputs") {
        for entry in item.entries(report).into_iter().flatten() {
            places.push((entry.key.raw(), entry.value.span()));
            given.insert(entry.key.raw().to_owned(), entry.value.json(report)?);
        }
    }
    environment.map(|it| it.complete(&runbook.inputs, &mut given));
    match check_inputs(runbook, &given) {
        Ok(inputs) => Some(inputs),
        Err(faults) => {
            for fault in faults {
                let place = places.iter().find(|(name, _)| *name == fault.input).map(|(_, span)| span.clone());
                let span = place.unwrap_or_else(|| scenario.key.span());
                let help = match fault.code {
                    InputCode::Missing => Some(format!("write `inputs: {{{}: …}}`", fault.input)),
                    _ => fault.help,
                };
                report.add(Problem::new(Code::ScenarioInput, span, fault.message).maybe_help(help));
            }
            None
        }
    }
}

/// A map of steps: each with what is said of it.
fn steps<'t>(
    fields: &Fields<'t>,
    key: &'static str,
    pinned: &Pinned,
    report: &mut Report<'_>,
) -> Vec<(Place, Entry<'t>)> {
    let Some(item) = fields.get(key) else { return Vec::new() };
    let entries = item.entries(report).into_iter().flatten();
    entries.filter_map(|entry| Some((place(entry.key, pinned, report)?, entry))).collect()
}

/// The place of a step.
fn place(item: Item<'_>, pinned: &Pinned, report: &mut Report<'_>) -> Option<Place> {
    match Place::parse(pinned, item.raw()) {
        Ok(place) => Some(place),
        Err(NoPlace { problem, meant }) => {
            let help = meant.map(|meant| format!("did you mean `{meant}`?"));
            report.add(Problem::new(Code::UnknownStep, item.span(), problem).maybe_help(help));
            None
        }
    }
}

fn step(entry: Entry<'_>, pinned: &Pinned, place: &Place, report: &mut Report<'_>) -> Option<StepScript> {
    let fields = entry.value.section(&keys::STEP, entry.key.span(), report)?;
    let definition = place.step(pinned)?;
    if let Some(below) = place.example_below(pinned) {
        for key in ["tries", "always", "takes", "outputs"] {
            let Some(entry) = fields.entry(key) else { continue };
            let message = format!("`{place}` has steps of its own, so `{key}` says nothing of it");
            let help = format!("say it of one of them, as `{below}`");
            report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
        }
    }
    let mut told = StepScript::default();
    if let Some(list) = fields.get("tries") {
        let items: Vec<Item<'_>> = list.list(report).into_iter().flatten().collect();
        names::within(list, "`tries`", items.len(), limits::RETRY_ATTEMPTS as usize, "tries", report);
        for (number, item) in (1..=limits::RETRY_ATTEMPTS).zip(items) {
            if let Some(end) = end(item, report) {
                told.tries.insert(number, end);
            }
        }
    }
    told.always = fields.get("always").and_then(|item| end(item, report));
    told.takes = fields.get("takes").and_then(|item| item.duration(Span::ZERO, report));
    told.outputs = outputs(&fields, definition, report);
    told.verify = fields.get("verify").and_then(|item| item.word(&Answer::WORDS, report));
    told.on_cancel_fails = fields.get("on_cancel").and_then(|item| item.word(&TIDYING, report));
    told.rollback_fails = fields.get("rollback").and_then(|item| item.word(&TIDYING, report));
    told.crash = fields.get("crash").and_then(|item| item.boolean(report)).unwrap_or(false);
    told.resolve = fields.get("resolve").and_then(|item| item.word(&SETTLEMENTS, report));
    for (key, there) in [
        ("verify", definition.verify.is_some()),
        ("on_cancel", definition.on_cancel.is_some()),
        ("rollback", definition.rollback.is_some()),
    ] {
        if let (Some(entry), false) = (fields.entry(key), there) {
            let message = format!("step `{place}` has no `{key}`");
            report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help("leave it out"));
        }
    }
    Some(told)
}

fn end(item: Item<'_>, report: &mut Report<'_>) -> Option<End> {
    if item.is_text() {
        return item.word(&End::WORDS, report);
    }
    let code = item.integer(0..=255, report)?;
    i32::try_from(code).ok().map(End::Exited)
}

/// What its tries write: one map for all, or a list of them.
fn outputs(fields: &Fields<'_>, step: &Step, report: &mut Report<'_>) -> Vec<IndexMap<String, Value>> {
    let Some(item) = fields.get("outputs").filter(|_| step.call().is_none() && step.block().is_none()) else {
        return Vec::new();
    };
    match item.is_list() {
        true => item.list(report).into_iter().flatten().map(|item| outputs_of_try(item, step, report)).collect(),
        false => vec![outputs_of_try(item, step, report)],
    }
}

fn outputs_of_try(item: Item<'_>, step: &Step, report: &mut Report<'_>) -> IndexMap<String, Value> {
    let mut outputs = IndexMap::new();
    for entry in item.entries(report).into_iter().flatten() {
        let name = entry.key.raw();
        let Some(declared) = step.outputs.get(name) else {
            let message = format!("step `{}` declares no output `{}`", step.id, show(name));
            let meant = did_you_mean(name, step.outputs.keys().map(String::as_str));
            let help = meant.map(|meant| format!("did you mean `{meant}`?"));
            report.add(Problem::new(Code::UndeclaredOutput, entry.key.span(), message).maybe_help(help));
            continue;
        };
        match entry.value.json(report) {
            Some(value) if declared.accepts(&value) => drop(outputs.insert(name.to_owned(), value)),
            Some(_) => report.add(entry.value.wrong(&format!("a value of the type {}", declared.name()))),
            None => {}
        }
    }
    outputs
}

fn cancel(fields: &Fields<'_>, pinned: &Pinned, report: &mut Report<'_>) -> Option<Cancel> {
    let entry = fields.entry("cancel")?;
    let fields = entry.value.section(&keys::CANCEL, entry.key.span(), report)?;
    let now = fields.get("now").and_then(|item| item.boolean(report)).unwrap_or(false);
    let when = match (fields.get("during"), fields.get("after")) {
        (Some(step), None) => When::During(place(step, pinned, report)?.work(pinned)),
        (None, Some(after)) => When::After(after.duration(Span::ZERO, report)?),
        (Some(_), Some(after)) => {
            report.add(Problem::new(Code::ConflictingKeys, after.span(), "`during` and `after` exclude each other"));
            return None;
        }
        (None, None) => {
            let problem = Problem::new(Code::MissingKey, entry.key.span(), "nothing says when the run is canceled");
            report.add(problem.help("add `during:` with a step, or `after:` with a duration"));
            return None;
        }
    };
    Some(Cancel { when, now })
}

fn expect(fields: &Fields<'_>, pinned: &Pinned, report: &mut Report<'_>) -> Expectation {
    let mut expect = Expectation::default();
    let Some(entry) = fields.entry("expect") else { return expect };
    let Some(fields) = entry.value.section(&keys::EXPECT, entry.key.span(), report) else { return expect };
    let words = |known: &[&'static str], more: &[&'static str]| -> Vec<(&'static str, &'static str)> {
        known.iter().chain(more).map(|word| (*word, *word)).collect()
    };
    let outcomes = words(RUN_OUTCOMES, &["attention"]);
    expect.outcome = fields.get("outcome").and_then(|item| item.word(&outcomes, report)).map(str::to_owned);
    let statuses = words(STEP_STATUSES, &["unknown", "pending"]);
    for (place, entry) in steps(&fields, "steps", pinned, report) {
        if let Some(word) = entry.value.word(&statuses, report) {
            expect.steps.insert(place, word.to_owned());
        }
    }
    for (place, entry) in steps(&fields, "tries", pinned, report) {
        let count = entry.value.integer(0..=i64::from(limits::RETRY_ATTEMPTS), report);
        if let Some(count) = count.and_then(|count| u32::try_from(count).ok()) {
            expect.tries.insert(place.work(pinned), count);
        }
    }
    expect.at_most = fields.get("at_most").and_then(|item| item.duration(Span::ZERO, report));
    if let Some(list) = fields.get("remains") {
        let items: Vec<Item<'_>> = list.list(report).into_iter().flatten().collect();
        expect.remains = Some(items.into_iter().filter_map(|item| place(item, pinned, report)).collect());
    }
    expect
}
