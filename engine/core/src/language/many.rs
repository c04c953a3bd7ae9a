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
        (Some(each), Some(repeat)) => {
            let message = "`for_each` and `repeat` exclude each other";
            let help = "make a block of it: the one beside `steps: {ID: …}`, and the step with the other inside";
            let problem = Problem::new(Code::ConflictingKeys, repeat.key.span(), message).help(help);
            reader.report.add(problem.related(each.key.span(), "`for_each` is here"));
        }
        (None, Some(entry)) => repeat(entry, fields, step, owner, reader),
        (_, None) => {}
    }
    for_each(fields, step, owner, reader);
}

/// Reads for which items a step does its work; its outputs become lists then.
fn for_each<'t>(fields: &Fields<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
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
    if !may_be_many(entry, fields, step, reader) {
        return;
    }
    let lists: IndexMap<String, ValueType> = step.outputs.keys().map(|name| (name.clone(), ValueType::List)).collect();
    let outputs = std::mem::replace(&mut step.outputs, lists);
    let list = list.unwrap_or(Items::Known(Vec::new()));
    let each = Each { list, max_parallel, max_failures, outputs, takes: Default::default(), locks: Vec::new() };
    step.many = Some(Box::new(Many::Each(each)));
}

/// Reads until when a step does its work again and again.
fn repeat<'t>(entry: Entry<'t>, fields: &Fields<'t>, step: &mut Step, owner: Owner, reader: &mut Reader<'_, '_, 't>) {
    let Some(own) = entry.value.section(&step_keys::REPEAT, entry.key.span(), reader.report) else { return };
    let until = reader.expression_of(&own, "until", owner, Use::Until);
    let max = own.get("max").and_then(|item| item.integer(1..=i64::from(limits::ITERATIONS), reader.report));
    let gap = Span::seconds(limits::ITERATION_GAP_SECONDS);
    let every = own.get("every").and_then(|item| item.duration(gap, reader.report));
    if !may_be_many(entry, fields, step, reader) {
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

/// Whether a step may do its work many times, by a key that says so: by what it is, and what stands beside.
fn may_be_many<'t>(entry: Entry<'t>, fields: &Fields<'t>, step: &Step, reader: &mut Reader<'_, '_, 't>) -> bool {
    let many = entry.key.raw();
    if !matches!(step.work, Work::Command(_) | Work::Runbook(_) | Work::Block(_)) {
        let message = format!("`{many}` is for commands, blocks and `uses: runbook`");
        let help = match &step.work {
            Work::Wait(_) if many == "repeat" => {
                "let it wait with `probe:`, `until:` and `every:` under `with`".to_owned()
            }
            _ => format!("make a block of it: `{many}` beside `steps: {{ID: …}}`, and this step inside"),
        };
        reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
        return false;
    }
    for (key, help) in [
        ("locks", "make a block of it: the steps inside have locks of their own"),
        ("rollback", "make a block of it: a rollback goes down to the steps inside, which say how they are undone"),
        (
            "artifacts",
            "make a block of it, and let `outputs` give the path: `{type: string, value: \"steps.ID.artifacts['NAME']\"}`",
        ),
    ] {
        if let Some(entry) = fields.entry(key) {
            let message = format!("`{key}` cannot stand beside `{many}`");
            reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
        }
    }
    true
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
