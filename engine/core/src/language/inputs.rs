//! Declarations of inputs: `inputs:`. Never knows what a start gives.

use std::ops::Range;

use indexmap::IndexMap;

use super::code::Code;
use super::given;
use super::item::{Entry, Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::schema;
use crate::definition::{InputDecl, ValueType};
use crate::limits;

/// The words of `type`.
pub(super) const TYPES: [(&str, ValueType); 6] = [
    ("string", ValueType::String),
    ("integer", ValueType::Integer),
    ("number", ValueType::Number),
    ("boolean", ValueType::Boolean),
    ("list", ValueType::List),
    ("map", ValueType::Map),
];

/// Where each input is declared.
pub(super) type Places = Vec<(String, Range<usize>)>;

/// Reads `inputs:`: the declarations, and where each stands.
pub(super) fn read(item: Item<'_>, report: &mut Report<'_>) -> (IndexMap<String, InputDecl>, Places) {
    let mut inputs = IndexMap::new();
    let mut places = Vec::new();
    let Some(entries) = item.entries(report) else {
        return (inputs, places);
    };
    names::within(item, "`inputs`", entries.len(), limits::INPUTS, "inputs", report);
    for entry in entries {
        let name = names::id(entry.key, report);
        if let Some(decl) = declaration(entry, report) {
            inputs.insert(name.to_owned(), decl);
            places.push((name.to_owned(), entry.key.span()));
        }
    }
    (inputs, places)
}

/// Reads one declaration.
pub(super) fn declaration(entry: Entry<'_>, report: &mut Report<'_>) -> Option<InputDecl> {
    let fields = entry.value.section(&schema::INPUT, entry.key.span(), report)?;
    // Without a type, nothing can be said about the values; the rest is read all the same.
    let value_type = fields.get("type").and_then(|item| item.word(&TYPES, report));
    let mut decl = InputDecl {
        value_type: value_type.unwrap_or(ValueType::String),
        required: fields.get("required").and_then(|i| i.boolean(report)).unwrap_or(false),
        default: fields.get("default").and_then(|i| i.json(report)),
        choices: choices(&fields, report),
        pattern: None,
        minimum: fields.get("minimum").and_then(|i| i.number(report)),
        maximum: fields.get("maximum").and_then(|i| i.number(report)),
        secret: fields.get("secret").and_then(|i| i.boolean(report)).unwrap_or(false),
        ephemeral: fields.get("ephemeral").and_then(|i| i.boolean(report)).unwrap_or(false),
        description: text(&fields, "description", report),
    };
    decl.pattern = fields.get("pattern").and_then(|item| pattern(item, report));
    if value_type.is_some() {
        bounds(&fields, &decl, report);
        values(&fields, &decl, report);
    }
    Some(decl)
}

/// An optional text.
pub(super) fn text(fields: &Fields<'_>, name: &'static str, report: &mut Report<'_>) -> String {
    fields.get(name).and_then(|item| item.text(report)).unwrap_or("").to_owned()
}

fn choices(fields: &Fields<'_>, report: &mut Report<'_>) -> Vec<serde_json::Value> {
    let Some(item) = fields.get("enum") else { return Vec::new() };
    let Some(items) = item.list(report) else { return Vec::new() };
    if items.len() == 0 {
        report.add(
            Problem::new(Code::OutOfRange, item.span(), "an empty `enum` takes no value at all")
                .help("leave it out to take any value"),
        );
    }
    items.filter_map(|item| item.json(report)).collect()
}

fn pattern(item: Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.text(report)?;
    if let Err(why) = given::compile(text) {
        let problem = Problem::new(Code::InvalidPattern, item.span(), why);
        report.add(problem.help("in YAML, single quotes keep backslashes: '^\\d+$'"));
        return None;
    }
    Some(text.to_owned())
}

/// What bounds say of each other.
fn bounds(fields: &Fields<'_>, decl: &InputDecl, report: &mut Report<'_>) {
    if let (Some(low), Some(high)) = (decl.minimum, decl.maximum)
        && low > high
        && let Some(item) = fields.get("maximum")
    {
        let message = format!("the maximum {high} is below the minimum {low}");
        report.add(Problem::new(Code::OutOfRange, item.span(), message).help("exchange the two"));
    }
}

/// The default and the choices have to be values that the input itself takes.
fn values(fields: &Fields<'_>, decl: &InputDecl, report: &mut Report<'_>) {
    let without_choices = InputDecl { choices: Vec::new(), ..decl.clone() };
    let enumerated = fields.get("enum").into_iter().flat_map(|i| i.list(report)).flatten();
    for item in enumerated.collect::<Vec<_>>() {
        value("a value of `enum`", item, &without_choices, report);
    }
    if let Some(item) = fields.get("default") {
        value("the default", item, decl, report);
    }
}

fn value(what: &str, item: Item<'_>, decl: &InputDecl, report: &mut Report<'_>) {
    let Some(mut json) = item.json(report) else { return };
    if let Some(fault) = given::judge(decl, &mut json) {
        let problem = Problem::new(
            Code::InvalidDefault,
            item.span(),
            format!("{what} is not a value of the input: {}", fault.message),
        );
        report.add(problem.maybe_help(fault.help));
    }
}
