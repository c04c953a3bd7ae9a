//! `for_each` and `repeat`: reads the list for whose items a step does its work, or until when it does it again and again.
//! Never knows the work itself.

use indexmap::IndexMap;

use super::code::Code;
use super::command::Reader;
use super::draft::{Owner, Use};
use super::item::{Entry, Fields, Item};
use super::report::Problem;
use super::step_keys;
use crate::definition::{Each, Items, Many, Repeat, Step, ValueType, Work};
use crate::limits;
use crate::time::Span;

/// Reads how often a step does its work.
pub(super) fn read<'t>(fields: &Fields<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
    match (fields.entry("for_each"), fields.entry("repeat")) {
        (Some(entry), _) => for_each(entry, fields, step, owner, reader),
        (None, Some(entry)) => repeat(entry, step, owner, reader),
        (None, None) => {}
    }
}

/// Reads for which items a step does its work; its outputs become lists then.
fn for_each<'t>(entry: Entry<'t>, fields: &Fields<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
    let list = list(entry.value, owner, reader);
    let most = limits::ITEMS as i64;
    let mut number = |key: &'static str, least: i64| {
        let number = fields.get(key).and_then(|item| item.integer(least..=most, reader.report));
        number.and_then(|number| u32::try_from(number).ok())
    };
    let (max_parallel, max_failures) = (number("max_parallel", 1), number("max_failures", 0).unwrap_or(0));
    if !may_be_many(step) {
        return;
    }
    let lists: IndexMap<String, ValueType> = step.outputs.keys().map(|name| (name.clone(), ValueType::List)).collect();
    let outputs = std::mem::replace(&mut step.outputs, lists);
    let list = list.unwrap_or(Items::Known(Vec::new()));
    let each = Each { list, max_parallel, max_failures, outputs, takes: Default::default(), locks: Vec::new() };
    step.many = Some(Box::new(Many::Each(each)));
}

/// Reads until when a step does its work again and again.
fn repeat<'t>(entry: Entry<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
    let Some(own) = entry.value.section(&step_keys::REPEAT, entry.key.span(), reader.report) else { return };
    let until = reader.expression_of(&own, "until", owner, Use::Until);
    let max = own.get("max").and_then(|item| item.integer(1..=i64::from(limits::ITERATIONS), reader.report));
    let gap = Span::seconds(limits::ITERATION_GAP_SECONDS);
    let every = own.get("every").and_then(|item| item.duration(gap, reader.report));
    if !may_be_many(step) {
        return;
    }
    step.many = Some(Box::new(Many::Repeat(Repeat {
        until: until.unwrap_or_default(),
        max: max.and_then(|max| u32::try_from(max).ok()).unwrap_or(1),
        every,
        any_outcome: false,
        takes: Default::default(),
        locks: Vec::new(),
    })));
}

/// Whether a step may do its work many times, by what it is.
const fn may_be_many(step: &Step) -> bool {
    matches!(step.work, Work::Command(_) | Work::Runbook(_) | Work::Block(_))
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
