//! Reads typed things out of the tree: text, numbers, words, lists, sections. Reports what is of another type.
//! Knows how values are written, never what they are for.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::code::Code;
use super::duration;
use super::relation;
use super::report::{Problem, Report};
use super::schema::{Key, Section};
use super::show;
use super::tree::{Kind, MERGE_KEY, Node, NodeId, Scalar, Style, Tree};
use crate::expression::did_you_mean;
use crate::time::Span;

/// A node of a tree.
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    tree: &'t Tree<'t>,
    id: NodeId,
}

/// A key with its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'t> {
    pub key: Item<'t>,
    pub value: Item<'t>,
}

impl<'t> Item<'t> {
    /// The document.
    pub fn root(tree: &'t Tree<'t>) -> Self {
        Self { tree, id: tree.root }
    }

    fn node(self) -> &'t Node<'t> {
        self.tree.node(self.id)
    }

    /// Where it is.
    pub fn span(self) -> Range<usize> {
        self.node().span()
    }

    /// What a scalar is.
    pub fn scalar(self) -> Option<Scalar> {
        match self.node().kind {
            Kind::Scalar(_, scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is text.
    pub fn is_text(self) -> bool {
        matches!(self.node().kind, Kind::Scalar(_, Scalar::Text))
    }

    /// Whether it is a map.
    pub fn is_map(self) -> bool {
        matches!(self.node().kind, Kind::Map(_))
    }

    /// Whether it is `true`.
    pub fn is_true(self) -> bool {
        matches!(self.node().kind, Kind::Scalar(_, Scalar::Boolean(true)))
    }

    /// The whole number that it is.
    pub fn whole(self) -> Option<i64> {
        match self.node().kind {
            Kind::Scalar(_, Scalar::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(self.node().kind, Kind::List(_))
    }

    /// The text of a scalar of any type, as it is written; "" for a collection.
    pub fn raw(self) -> &'t str {
        match &self.node().kind {
            Kind::Scalar(text, _) => text,
            _ => "",
        }
    }

    /// What it is, for messages.
    fn what(self) -> Cow<'static, str> {
        match &self.node().kind {
            Kind::Scalar(_, Scalar::Null) if self.span().is_empty() => "nothing".into(),
            Kind::Scalar(_, Scalar::Null) => "null".into(),
            Kind::Scalar(text, Scalar::Boolean(_)) => format!("the boolean {text}").into(),
            Kind::Scalar(text, Scalar::Integer(_) | Scalar::Float(_) | Scalar::TooBig) => {
                format!("the number {}", show(text)).into()
            }
            Kind::Scalar(_, Scalar::Text) => "text".into(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }

    /// A problem of type with this value.
    pub fn wrong(self, wanted: &str) -> Problem {
        Problem::new(Code::WrongType, self.span(), format!("{wanted} is wanted, this is {}", self.what()))
    }

    /// Text. A number or a boolean is refused: what YAML makes of it may not be what is written.
    pub fn text(self, report: &mut Report<'_>) -> Option<&'t str> {
        match &self.node().kind {
            Kind::Scalar(text, Scalar::Text) => Some(text),
            Kind::Scalar(text, Scalar::Null) if text == "~" || text.is_empty() => {
                report.add(self.wrong("text"));
                None
            }
            Kind::Scalar(text, _) => {
                report.add(self.wrong("text").help(format!("quote it: \"{}\"", show(text))));
                None
            }
            _ => {
                report.add(self.wrong("text"));
                None
            }
        }
    }

    /// Text, or a number or boolean exactly as it is written.
    pub fn literal(self, report: &mut Report<'_>) -> Option<&'t str> {
        match &self.node().kind {
            Kind::Scalar(_, Scalar::Null) => {
                report.add(self.wrong("text").help("write \"\" for an empty text"));
                None
            }
            Kind::Scalar(text, _) => Some(text),
            _ => {
                report.add(self.wrong("text"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(self, report: &mut Report<'_>) -> Option<bool> {
        match &self.node().kind {
            Kind::Scalar(_, Scalar::Boolean(value)) => Some(*value),
            Kind::Scalar(text, Scalar::Text) => {
                let help = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" => Some("use true"),
                    "no" | "off" | "n" | "false" => Some("use false"),
                    _ => None,
                };
                report.add(self.wrong("true or false").maybe_help(help.map(str::to_owned)));
                None
            }
            _ => {
                report.add(self.wrong("true or false"));
                None
            }
        }
    }

    /// A whole number of a range.
    pub fn integer(self, range: std::ops::RangeInclusive<i64>, report: &mut Report<'_>) -> Option<i64> {
        let words = || match (*range.start(), *range.end()) {
            (low, i64::MAX) => format!("a whole number from {low}"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        match &self.node().kind {
            Kind::Scalar(_, Scalar::Integer(value)) if range.contains(value) => Some(*value),
            Kind::Scalar(text, Scalar::Integer(_) | Scalar::TooBig) => {
                let message = format!("{} is wanted, this is {}", words(), show(text));
                report.add(Problem::new(Code::OutOfRange, self.span(), message));
                None
            }
            Kind::Scalar(text, Scalar::Text) if text.parse::<i64>().is_ok() => {
                report.add(self.wrong(&words()).help("leave the quotes out"));
                None
            }
            _ => {
                report.add(self.wrong(&words()));
                None
            }
        }
    }

    /// A finite number.
    pub fn number(self, report: &mut Report<'_>) -> Option<f64> {
        match &self.node().kind {
            Kind::Scalar(_, Scalar::Integer(value)) => Some(*value as f64),
            Kind::Scalar(_, Scalar::Float(value)) if value.is_finite() => Some(*value),
            _ => {
                report.add(self.wrong("a number"));
                None
            }
        }
    }

    /// A duration of at least `least`.
    pub fn duration(self, least: Span, report: &mut Report<'_>) -> Option<Span> {
        let wanted = "a duration";
        let text = match &self.node().kind {
            Kind::Scalar(text, Scalar::Text) => text,
            Kind::Scalar(text, Scalar::Integer(_) | Scalar::Float(_)) => {
                report.add(self.wrong(wanted).help(format!("a number needs a unit: {text}s or {text}m")));
                return None;
            }
            _ => {
                report.add(self.wrong(wanted).help("write it as 1h30m, 90s or 250ms"));
                return None;
            }
        };
        match duration::parse(text) {
            Ok(span) if span >= least => Some(span),
            Ok(_) => {
                let message = format!("`{}` is too short: at least {least} is wanted", show(text));
                report.add(Problem::new(Code::OutOfRange, self.span(), message));
                None
            }
            Err(fault) => {
                let span = self.locate(fault.at..fault.at + fault.length, report);
                let code = match fault.too_long {
                    true => Code::OutOfRange,
                    false => Code::InvalidDuration,
                };
                report.add(Problem::new(code, span, fault.message).maybe_help(fault.help));
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(self, words: &[(&'static str, T)], report: &mut Report<'_>) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let list = || names().collect::<Vec<_>>().join(", ");
        match &self.node().kind {
            Kind::Scalar(text, Scalar::Text) => {
                let found = words.iter().find(|(name, _)| name == text);
                if found.is_none() {
                    let help = did_you_mean(text, names());
                    report.add(
                        Problem::new(
                            Code::UnknownValue,
                            self.span(),
                            format!("`{}` is none of {}", show(text), list()),
                        )
                        .maybe_help(help.map(|name| format!("did you mean `{name}`?"))),
                    );
                }
                found.map(|(_, value)| *value)
            }
            _ => {
                report.add(self.wrong(&format!("one of {}", list())));
                None
            }
        }
    }

    /// The items of a list.
    pub fn list(self, report: &mut Report<'_>) -> Option<impl ExactSizeIterator<Item = Item<'t>> + use<'t>> {
        let tree = self.tree;
        match &self.node().kind {
            Kind::List(items) => Some(items.iter().map(move |id| Item { tree, id: *id })),
            Kind::Scalar(text, Scalar::Text | Scalar::Integer(_)) => {
                report.add(self.wrong("a list").help(format!("write [{}]", show(text))));
                None
            }
            _ => {
                report.add(self.wrong("a list"));
                None
            }
        }
    }

    /// The entries of a map with free keys.
    pub fn entries(self, report: &mut Report<'_>) -> Option<impl ExactSizeIterator<Item = Entry<'t>> + use<'t>> {
        let tree = self.tree;
        match &self.node().kind {
            Kind::Map(entries) => Some(
                entries
                    .iter()
                    .map(move |(key, value)| Entry { key: Item { tree, id: *key }, value: Item { tree, id: *value } }),
            ),
            _ => {
                report.add(self.wrong("a map"));
                None
            }
        }
    }

    /// The entries, should this be a map.
    pub fn pairs(self) -> impl Iterator<Item = Entry<'t>> {
        let tree = self.tree;
        let entries: &'t [(NodeId, NodeId)] = match &self.node().kind {
            Kind::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(move |(key, value)| Entry { key: Item { tree, id: *key }, value: Item { tree, id: *value } })
    }

    /// The value of a key, should this be a map that has it.
    pub fn peek(self, name: &str) -> Option<Item<'t>> {
        let Kind::Map(entries) = &self.node().kind else { return None };
        let item = |id: &NodeId| Item { tree: self.tree, id: *id };
        entries.iter().find(|(key, _)| item(key).raw() == name).map(|(_, value)| item(value))
    }

    /// The entries of a map with fixed keys. `at` is where to say that one is missing.
    pub fn section(self, section: &'static Section, at: Range<usize>, report: &mut Report<'_>) -> Option<Fields<'t>> {
        let mut fields = Fields { section, at: at.clone(), found: Vec::new(), later: Vec::new() };
        for entry in self.entries(report)? {
            let name = entry.key.raw();
            if let Some(key) = section.find(name) {
                fields.found.push((key, entry));
            } else if !name.starts_with("x-") && name != MERGE_KEY {
                fields.later.extend(section.later.iter().find(|later| **later == name));
                report.add(unknown_key(section, entry.key, report));
            }
        }
        for key in section.all().filter(|key| key.required) {
            if !fields.found.iter().any(|(found, _)| found.name == key.name) {
                let problem = Problem::new(
                    Code::MissingKey,
                    at.clone(),
                    format!("`{}` is missing in {}", key.name, section.name),
                );
                report.add(problem.help(match key.name {
                    "language" => "add the line `language: 1`".to_owned(),
                    name => format!("add `{name}:`, {}", key.takes),
                }));
            }
        }
        relation::hold(&fields, section.relations.iter().copied().flatten(), report);
        Some(fields)
    }

    /// The value as JSON. Numbers that JSON does not have are reported.
    pub fn json(self, report: &mut Report<'_>) -> Option<Value> {
        Some(match &self.node().kind {
            Kind::Scalar(_, Scalar::Null) => Value::Null,
            Kind::Scalar(_, Scalar::Boolean(value)) => Value::Bool(*value),
            Kind::Scalar(_, Scalar::Integer(value)) => Value::from(*value),
            Kind::Scalar(text, Scalar::Float(value)) => match serde_json::Number::from_f64(*value) {
                Some(number) => Value::Number(number),
                None => {
                    let message = format!("`{}` is not a finite number", show(text));
                    report.add(Problem::new(Code::OutOfRange, self.span(), message));
                    return None;
                }
            },
            Kind::Scalar(text, Scalar::TooBig) => {
                let message = format!("{} does not fit 64 bits", show(text));
                report.add(Problem::new(Code::OutOfRange, self.span(), message).help("quote it"));
                return None;
            }
            Kind::Scalar(text, Scalar::Text) => Value::String(text.to_string()),
            Kind::List(_) => {
                let items = self.list(report)?;
                Value::Array(items.map(|item| item.json(report)).collect::<Option<_>>()?)
            }
            Kind::Map(_) => {
                let entries = self.entries(report)?;
                let entry = |e: Entry<'_>| Some((e.key.raw().to_owned(), e.value.json(report)?));
                Value::Object(entries.map(entry).collect::<Option<_>>()?)
            }
        })
    }

    /// A range of this scalar's text, as a place in the file where the text is written as it is; otherwise the
    /// whole value.
    fn inside(self, range: Range<usize>) -> Range<usize> {
        let span = self.span();
        let text = self.raw();
        let (Some(before), Some(part)) = (text.get(..range.start), text.get(range.clone())) else {
            return span;
        };
        let start = match self.node().style {
            Style::Plain => span.start + range.start,
            Style::Quoted => span.start + 1 + range.start,
            Style::Block => self.block_offset(before),
            Style::Collection => return span,
        };
        // Quoting, folding and line breaks change what is written: then the two differ, here or before here.
        let same_before =
            self.node().style == Style::Block || self.tree.source.get(start - range.start..start) == Some(before);
        match same_before && self.tree.source.get(start..start + part.len()) == Some(part) {
            true => start..start + part.len(),
            false => span,
        }
    }

    /// The same for as long as findings have room: it takes time in long texts.
    pub fn locate(self, range: Range<usize>, report: &Report<'_>) -> Range<usize> {
        match report.has_room() {
            true => self.inside(range),
            false => self.span(),
        }
    }

    /// Where the text after `before` stands, if this is a literal block.
    fn block_offset(self, before: &str) -> usize {
        let source = self.tree.source;
        let first = self.span().start;
        let line_start = source.get(..first).and_then(|s| s.rfind('\n')).map_or(0, |at| at + 1);
        let indent = first - line_start;
        let lines = before.bytes().filter(|byte| *byte == b'\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let mut at = line_start;
        for _ in 0..lines {
            at += source.get(at..).and_then(|s| s.find('\n')).map_or(0, |length| length + 1);
        }
        at + indent + column
    }
}

fn unknown_key(section: &Section, key: Item<'_>, report: &Report<'_>) -> Problem {
    let name = key.raw();
    if section.later.contains(&name) {
        let message = format!("`{name}` is not supported by this version");
        return Problem::new(Code::UnsupportedKey, key.span(), message)
            .help("leave it out, or use a later version of the program");
    }
    let message = format!("`{}` is not a key of {}", show(name), section.name);
    let problem = Problem::new(Code::UnknownKey, key.span(), message);
    if let Some((_, advice)) = section.elsewhere.iter().find(|(other, _)| *other == name) {
        return problem.help(*advice);
    }
    if !report.has_room() {
        return problem;
    }
    let names = || section.all().map(|key| key.name);
    problem.help(match did_you_mean(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("possible: {}", names().collect::<Vec<_>>().join(", ")),
    })
}

/// What a section of the file says.
pub(super) struct Fields<'t> {
    section: &'static Section,
    /// Where to say that something is missing.
    pub at: Range<usize>,
    found: Vec<(&'static Key, Entry<'t>)>,
    /// What this version does not support.
    later: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// The entry of a key of the section.
    pub fn entry(&self, name: &'static str) -> Option<Entry<'t>> {
        debug_assert!(self.section.find(name).is_some(), "`{name}` is not in the schema");
        self.found.iter().find(|(key, _)| key.name == name).map(|(_, entry)| *entry)
    }

    /// The entry of a key, in a section that need not have it.
    pub fn find(&self, name: &str) -> Option<Entry<'t>> {
        self.found.iter().find(|(key, _)| key.name == name).map(|(_, entry)| *entry)
    }

    /// Whether a key is there that this version does not support.
    pub fn has_later(&self, name: &str) -> bool {
        self.later.contains(&name)
    }

    /// The value of a key of the section.
    pub fn get(&self, name: &'static str) -> Option<Item<'t>> {
        self.entry(name).map(|entry| entry.value)
    }
}
