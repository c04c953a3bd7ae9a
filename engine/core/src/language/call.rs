//! `uses: runbook`: which runbook a step starts and what it gives to it, held against what that runbook takes. Never
//! knows what the other runbook does.

use std::ops::Range;

use indexmap::IndexMap;

use super::code::Code;
use super::command::Reader;
use super::draft::{Draft, Owner, Use};
use super::given;
use super::interface::{Interface, Interfaces};
use super::item::{Entry, Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::show;
use crate::definition::{Call, Effect, Given, InputDecl, ValueType};
use crate::destruction::approved;
use crate::expression::did_you_mean;
use crate::limits;

/// How many runbooks of a circle are named in its message.
const NAMED: usize = 8;

/// Reads `with` of a step that starts another runbook.
pub(super) fn read<'t>(fields: &Fields<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Call {
    let mut call = Call { runbook: String::new(), inputs: IndexMap::new() };
    let given = fields.entry("inputs");
    let Some(name) = fields.get("name") else { return call };
    if name.text(reader.report).is_none() {
        return call;
    }
    names::id(name, reader.report).clone_into(&mut call.runbook);
    reader.calls.push((call.runbook.clone(), name.span()));
    let interfaces = reader.interfaces;
    let other = interfaces.get(&call.runbook);
    match other {
        None => unknown(name, reader),
        Some(_) => chain(name, reader),
    }
    if other.is_some_and(|other| other.broken) {
        reader.report.add(broken(&call.runbook, name.span()));
    }
    for entry in given.and_then(|given| given.value.entries(reader.report)).into_iter().flatten() {
        let input = names::id(entry.key, reader.report).to_owned();
        let decl = other.map(|other| other.inputs.get(&input));
        if let (Some(None), Some(other)) = (decl, other) {
            no_input(entry.key, name.raw(), other, reader);
        }
        if let Some(value) = value(entry, name.raw(), decl.flatten(), owner, reader) {
            call.inputs.insert(input, value);
        }
    }
    if let Some(other) = other {
        let span = given.map_or_else(|| name.span(), |given| given.key.span());
        missing(&call, other, span, reader);
    }
    call
}

/// The outputs of a step that starts another runbook.
pub(super) fn outputs(call: &Call, reader: &Reader<'_, '_, '_>) -> IndexMap<String, ValueType> {
    reader.interfaces.get(&call.runbook).map(|other| other.outputs.clone()).unwrap_or_default()
}

/// What is said where a runbook starts one that has errors.
pub(super) fn broken(runbook: &str, span: Range<usize>) -> Problem {
    Problem::new(Code::BrokenRunbook, span, format!("the runbook `{}` is broken", show(runbook)))
        .help("mend it first: its own findings say what is wrong")
}

fn unknown(name: Item<'_>, reader: &mut Reader<'_, '_, '_>) {
    let problem =
        Problem::new(Code::UnknownRunbook, name.span(), format!("there is no runbook `{}`", show(name.raw())));
    let meant = match reader.report.has_room() {
        true => did_you_mean(name.raw(), reader.interfaces.names()).map(|meant| format!("did you mean `{meant}`?")),
        false => None,
    };
    reader.report.add(problem.maybe_help(meant));
}

/// What other runbooks and blocks destroy nobody confirms who starts this one: a person has to be asked before. `around` is
/// whether that is so for a block as a whole, where these are the steps of one.
pub(super) fn check(draft: &Draft<'_>, around: Option<bool>, others: &Interfaces, report: &mut Report<'_>) {
    let before = match around {
        Some(true) => vec![true; draft.runbook.steps.len()],
        Some(false) | None => approved(&draft.runbook, &std::collections::BTreeSet::new()),
    };
    let asked_before = |index: usize| before.get(index) == Some(&true);
    let steps = draft.runbook.steps.iter().enumerate();
    let calls = steps.filter_map(|(index, step)| Some((step.call()?, index)));
    let calls = calls.filter(|(call, _)| !call.runbook.is_empty());
    for ((_, index), (name, span)) in calls.zip(&draft.calls) {
        if !asked_before(index) && others.get(name).is_some_and(|other| other.destroys) {
            let message = format!("`{}` destroys something, and nobody is asked before", show(name));
            report.add(
                Problem::new(Code::UnaskedDestruction, span.clone(), message).help(
                    "put a `uses: approval` before this step, or into that runbook before the step that destroys",
                ),
            );
        }
    }
    for (index, (step, at)) in draft.runbook.steps.iter().zip(&draft.steps).enumerate() {
        let inside = around.is_some() || step.many.is_some();
        if inside && step.effect == Effect::Destructive && !asked_before(index) {
            let (message, help) = match around {
                Some(_) => ("inside a block", "put a `uses: approval` before it, or before the block"),
                None if step.repeat().is_some() => ("again and again", "put a `uses: approval` before it"),
                None => ("for each of a list", "put a `uses: approval` before it"),
            };
            let message = format!("`{}` destroys something {message}, and nobody is asked before", show(&step.id));
            report.add(Problem::new(Code::UnaskedDestruction, at.id.clone(), message).help(help));
        }
    }
    for inner in &draft.inner {
        check(&inner.draft, Some(asked_before(inner.step)), others, report);
    }
}

/// Runs must not start runs without end, nor too deep.
fn chain(name: Item<'_>, reader: &mut Reader<'_, '_, '_>) {
    let own = reader.name;
    if name.raw() == own || reader.interfaces.levels(name.raw()).is_none() {
        let Some(way) = reader.interfaces.way(name.raw(), own) else {
            // The circle is elsewhere, and told there.
            return;
        };
        let mut path: Vec<&str> = std::iter::once(own).chain(way.iter().map(String::as_str)).take(NAMED).collect();
        if way.len() + 1 > NAMED {
            path.push("…");
        }
        let message = format!("these runbooks start each other without end: {}", path.join(" → "));
        reader
            .report
            .add(Problem::new(Code::Recursion, name.span(), message).help("let one of them do without the next"));
        return;
    }
    let levels = reader.interfaces.levels(name.raw()).unwrap_or(0) + 1;
    if levels > limits::CHILD_DEPTH {
        let limit = limits::CHILD_DEPTH;
        let message = format!("runs would start runs {levels} levels deep; the limit is {limit}");
        reader.report.add(Problem::new(Code::OverLimit, name.span(), message));
    }
}

fn no_input(key: Item<'_>, runbook: &str, other: &Interface, reader: &mut Reader<'_, '_, '_>) {
    let message = format!("the runbook `{}` has no input `{}`", show(runbook), show(key.raw()));
    let help = match did_you_mean(key.raw(), other.inputs.keys().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if other.inputs.is_empty() => "it takes no inputs at all".to_owned(),
        None => format!("it takes {}", other.inputs.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    reader.report.add(Problem::new(Code::UnknownInput, key.span(), message).help(help));
}

/// The value of one input, judged as far as it is known at load.
fn value<'t>(
    entry: Entry<'t>,
    runbook: &str,
    decl: Option<&InputDecl>,
    owner: Owner,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Given> {
    if decl.is_some_and(|decl| decl.secret) {
        reader.report.add(
            Problem::new(
                Code::SecretShown,
                entry.key.span(),
                format!("`{}` is secret, and what a child run is given is stored and shown", show(entry.key.raw())),
            )
            .help(format!("let `{}` take a secret by itself: `requires: {{secrets: [NAME]}}`", show(runbook))),
        );
        return None;
    }
    if entry.value.is_text() && entry.value.raw().contains("${{") {
        let expected = decl.map(|decl| (decl.value_type, !decl.required));
        let usage = expected.map_or(Use::Shown, |(value_type, nullable)| Use::Given(value_type, nullable));
        return reader.template(entry.value, entry.key.raw(), owner, usage).map(Given::Template);
    }
    let mut value = entry.value.json(reader.report)?;
    if value.to_string().contains("${{") {
        reader.report.add(
            Problem::new(Code::NotHere, entry.value.span(), "`${{ }}` inside a list or a map is not worked out")
                .help("write the whole value as one expression: \"${{ [inputs.a, inputs.b] }}\""),
        );
        return None;
    }
    if let Some(fault) = decl.and_then(|decl| given::judge(decl, &mut value)) {
        let message =
            format!("`{}` does not take this as `{}`: {}", show(runbook), show(entry.key.raw()), fault.message);
        reader.report.add(Problem::new(Code::InvalidInput, entry.value.span(), message).maybe_help(fault.help));
    }
    Some(Given::Value(value))
}

fn missing(call: &Call, other: &Interface, span: Range<usize>, reader: &mut Reader<'_, '_, '_>) {
    let missing: Vec<&str> = other
        .inputs
        .iter()
        .filter(|(name, decl)| decl.required && !call.inputs.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    if missing.is_empty() || reader.report.failed() {
        return;
    }
    let list = missing.join("`, `");
    let message = format!("the runbook `{}` requires the input `{list}`", show(&call.runbook));
    let help = format!("add it: `inputs: {{{}: …}}`", missing.first().unwrap_or(&""));
    reader.report.add(Problem::new(Code::MissingInput, span, message).help(help));
}
