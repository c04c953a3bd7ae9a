//! `for_each`: reads the list for whose items a step does its work, and how many of them may be on and may fail. Never knows
//! the work itself.

use indexmap::IndexMap;

use super::code::Code;
use super::command::Reader;
use super::draft::{Owner, Use};
use super::item::{Fields, Item};
use super::report::Problem;
use crate::definition::{Each, Items, Many, Step, ValueType, Work};
use crate::limits;

/// Reads how often a step does its work; its outputs become lists then.
pub(super) fn read<'t>(fields: &Fields<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
    let Some(entry) = fields.entry("for_each") else {
        for key in ["max_parallel", "max_failures"] {
            if let Some(entry) = fields.entry(key) {
                let message = format!("`{key}` of a step means nothing without `for_each`");
                let help = match key {
                    "max_parallel" => "leave it out, or write it at the top to bound the attempts of a run",
                    _ => "leave it out; `allow_failure: true` lets a single step fail",
                };
                reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
            }
        }
        return;
    };
    let list = list(entry.value, owner, reader);
    let most = limits::ITEMS as i64;
    let mut number = |key: &'static str, least: i64| {
        let number = fields.get(key).and_then(|item| item.integer(least..=most, reader.report));
        number.and_then(|number| u32::try_from(number).ok())
    };
    let (max_parallel, max_failures) = (number("max_parallel", 1), number("max_failures", 0).unwrap_or(0));
    if !matches!(step.work, Work::Command(_) | Work::Runbook(_) | Work::Block(_)) {
        let message = "`for_each` is for commands, blocks and `uses: runbook`";
        let help = "make a block of it: `for_each` beside `steps: {ID: …}`, and this step inside";
        reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
        return;
    }
    for (key, help) in [
        ("locks", "make a block of it: the steps inside have locks of their own"),
        ("rollback", "make a block of it, and let its own steps or its `finally` undo what they did"),
        (
            "artifacts",
            "make a block of it, and let `outputs` give the path: `{type: string, value: \"steps.ID.artifacts['NAME']\"}`",
        ),
    ] {
        if let Some(entry) = fields.entry(key) {
            let message = format!("`{key}` cannot stand beside `for_each`");
            reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
        }
    }
    let lists: IndexMap<String, ValueType> = step.outputs.keys().map(|name| (name.clone(), ValueType::List)).collect();
    let outputs = std::mem::replace(&mut step.outputs, lists);
    let list = list.unwrap_or(Items::Known(Vec::new()));
    let each = Each { list, max_parallel, max_failures, outputs, takes: Default::default() };
    step.many = Some(Box::new(Many::Each(each)));
}

/// A list that is known, or an expression that gives one.
fn list<'t>(item: Item<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Option<Items> {
    if item.is_text() {
        return reader.expression(item, "for_each", owner, Use::Items).map(Items::Expression);
    }
    if item.is_map() || item.scalar().is_some() {
        reader.report.add(item.wrong("a list").help("write `for_each: [a, b]`, or an expression that gives a list"));
        return None;
    }
    let value = item.json(reader.report)?;
    if value.to_string().contains("${{") {
        let message = "`${{ }}` inside a list is not worked out";
        let help = "write the whole list as one expression: \"${{ [inputs.a, inputs.b] }}\"";
        reader.report.add(Problem::new(Code::NotHere, item.span(), message).help(help));
        return None;
    }
    let serde_json::Value::Array(items) = value else { return None };
    if items.len() > limits::ITEMS {
        let message = format!("the list has {} items; the limit is {}", items.len(), limits::ITEMS);
        reader.report.add(Problem::new(Code::OverLimit, item.span(), message));
    }
    Some(Items::Known(items))
}
