//! `uses` with an action, and what `with` tells it: typed by the action's own description. Never knows what a particular
//! action does.

use indexmap::IndexMap;
use serde_json::Value;

use super::code::Code;
use super::command::Reader;
use super::draft::{Owner, Use};
use super::item::{Entry, Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::show;
use crate::action::{self, Action, Takes};
use crate::definition::{Acting, Backoff, DryRun, Effect, Retry, Setting, Template, ValueType};
use crate::expression::did_you_mean;
use crate::limits;
use crate::time::Span;

/// What a command is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// The work of a step, or what compensates it or tidies up.
    #[default]
    Work,
    /// It answers whether the step happened.
    Verify,
}

/// The key of `with` by which an action answers in `verify`.
const HAPPENED: &str = "happened";

/// Reads `uses` and `with` of a command.
pub(super) fn read<'t>(
    uses: Entry<'t>,
    fields: &Fields<'t>,
    role: Role,
    owner: Owner,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Acting> {
    let name = uses.value.text(reader.report)?;
    let Some(action) = action::find(name) else {
        reader.report.add(unknown(uses.value, action::ACTIONS.iter().map(|action| action.name)));
        return None;
    };
    beside(action, fields, reader.report);
    let mut acting = Acting { name: action.name.to_owned(), with: IndexMap::new() };
    let Some(with) = fields.entry("with") else {
        let wanted: Vec<&str> = action.keys.iter().filter(|key| key.key.required).map(|key| key.key.name).collect();
        if !wanted.is_empty() {
            let message = format!("`uses: {name}` needs `with`");
            let help = format!("add `with:` with {}", wanted.join(", "));
            reader.report.add(Problem::new(Code::MissingKey, uses.value.span(), message).help(help));
        }
        return Some(acting);
    };
    let with = with.value.section(action.with, with.key.span(), reader.report)?;
    let word = action.word(action.decides.and_then(|(key, _)| with.get(key)).map(Item::raw));
    for key in action.keys {
        let Some(entry) = with.entry(key.key.name) else { continue };
        let usage = Use::Answer { action: action.name, word };
        if let Some(setting) = setting(key.takes, entry, usage, owner, reader) {
            acting.with.insert(key.key.name.to_owned(), setting);
        }
    }
    answers(action, &with, role, reader.report);
    if action.name == "notify/email" {
        recipients(&acting, &with, reader.report);
    }
    Some(acting)
}

/// A name that `uses` does not know, with the one that is meant.
pub(super) fn unknown<'n>(item: Item<'_>, names: impl Iterator<Item = &'n str> + Clone) -> Problem {
    let list = names.clone().collect::<Vec<_>>().join(", ");
    let message = format!("`{}` is none of {list}", show(item.raw()));
    let meant = did_you_mean(item.raw(), names).map(|name| format!("did you mean `{name}`?"));
    Problem::new(Code::UnknownValue, item.span(), message).maybe_help(meant)
}

/// Keys of a command that mean nothing beside an action.
fn beside(action: &Action, fields: &Fields<'_>, report: &mut Report<'_>) {
    let name = action.name;
    for key in action.strangers() {
        let Some(entry) = fields.find(key) else { continue };
        let (message, help) = match key {
            "run" | "argv" => {
                (format!("`uses: {name}` and `{key}` exclude each other"), "make two steps of it: one needs the other")
            }
            "outputs" | "artifacts" => {
                (format!("what `uses: {name}` leaves is known: `{key}` adds nothing"), "leave it out")
            }
            "stop" => (format!("`uses: {name}` starts no process that could be stopped otherwise"), "leave it out"),
            _ => (format!("`{key}` is for programs, and `uses: {name}` starts none of yours"), "leave it out"),
        };
        report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
    }
}

/// What is said about the answer of a `verify`.
fn answers(action: &Action, with: &Fields<'_>, role: Role, report: &mut Report<'_>) {
    if action.key(HAPPENED).is_none() {
        if role == Role::Verify {
            let message = format!("`uses: {}` cannot tell whether something happened", action.name);
            let help = "let a command, or `uses: http` with `happened:`, tell";
            report.add(Problem::new(Code::ConflictingKeys, with.at.clone(), message).help(help));
        }
        return;
    }
    match (role, with.find(HAPPENED)) {
        (Role::Verify, None) => report.add(
            Problem::new(Code::MissingKey, with.at.clone(), "`verify` does not say what tells that it happened")
                .help("add `happened:` with an expression, such as `attempt.outputs.status == 200`"),
        ),
        (Role::Work, Some(entry)) => report.add(
            Problem::new(Code::ConflictingKeys, entry.key.span(), "`happened` is for `verify` only")
                .help("write `expect:` for what must hold of the answer"),
        ),
        (Role::Verify, Some(_)) | (Role::Work, None) => {}
    }
}

/// The value of one key.
fn setting<'t>(
    takes: Takes,
    entry: Entry<'t>,
    usage: Use,
    owner: Owner,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Setting> {
    let Entry { key, value } = entry;
    Some(match takes {
        Takes::Word(words, _) => {
            let words: Vec<(&'static str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
            Setting::Value(Value::from(value.word(&words, reader.report)?))
        }
        Takes::Text | Takes::Path => text(value, key.raw(), owner, Use::Shown, reader)?,
        Takes::Hidden => text(value, key.raw(), owner, Use::Hidden, reader)?,
        Takes::Texts | Takes::Shown => {
            let usage = if takes == Takes::Shown { Use::Shown } else { Use::Hidden };
            let mut texts = IndexMap::new();
            for entry in value.entries(reader.report)? {
                names::no_nul(entry.key, reader.report);
                if let Some(text) = text(entry.value, entry.key.raw(), owner, usage, reader) {
                    texts.insert(entry.key.raw().to_owned(), text);
                }
            }
            Setting::Map(texts)
        }
        Takes::Paths | Takes::List => {
            let items: Vec<Item<'t>> = value.list(reader.report)?.collect();
            let texts = items.into_iter().map(|item| text(item, key.raw(), owner, Use::Shown, reader));
            Setting::List(texts.collect::<Option<_>>()?)
        }
        Takes::Trees if !value.is_map() => {
            reader.report.add(value.wrong("a map"));
            return None;
        }
        Takes::Tree | Takes::Trees => tree(value, key.raw(), owner, reader)?,
        Takes::Duration => Setting::Value(Value::from(value.duration(Span::millis(1), reader.report)?.0)),
        Takes::Whole(low, high) => Setting::Value(Value::from(value.integer(low..=high, reader.report)?)),
        Takes::Flag => Setting::Value(Value::from(value.boolean(reader.report)?)),
        Takes::Statuses => statuses(value, reader.report)?,
        Takes::Condition => Setting::Condition(reader.expression(value, key.raw(), owner, usage)?),
    })
}

fn text<'t>(
    item: Item<'t>,
    key: &'t str,
    owner: Owner,
    usage: Use,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Setting> {
    reader.template(item, key, owner, usage).map(Setting::Template)
}

/// A value with texts in it.
fn tree<'t>(item: Item<'t>, key: &'t str, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Option<Setting> {
    if item.is_text() {
        return match item.raw().contains("${{") {
            true => text(item, key, owner, Use::Member, reader),
            false => Some(Setting::Value(Value::from(item.raw()))),
        };
    }
    if item.scalar().is_some() {
        return item.json(reader.report).map(Setting::Value);
    }
    if item.is_map() {
        let mut settings = IndexMap::new();
        for entry in item.entries(reader.report)? {
            let setting = tree(entry.value, entry.key.raw(), owner, reader)?;
            settings.insert(entry.key.raw().to_owned(), setting);
        }
        return Some(Setting::Map(settings));
    }
    let items: Vec<Item<'t>> = item.list(reader.report)?.collect();
    Some(Setting::List(items.into_iter().map(|item| tree(item, key, owner, reader)).collect::<Option<_>>()?))
}

/// Statuses, as numbers and classes.
pub(super) fn statuses(item: Item<'_>, report: &mut Report<'_>) -> Option<Setting> {
    let mut statuses = Vec::new();
    let items: Vec<Item<'_>> = item.list(report)?.collect();
    if items.is_empty() {
        report.add(Problem::new(Code::OutOfRange, item.span(), "no answer has a status of an empty list"));
    }
    for item in items {
        let text = item.literal(report)?;
        let digits: Vec<char> = text.chars().collect();
        let good = match digits.as_slice() {
            ['1'..='5', 'x', 'x'] => true,
            [first @ '1'..='5', rest @ ..] => *first >= '1' && rest.len() == 2 && rest.iter().all(char::is_ascii_digit),
            _ => false,
        };
        if !good {
            let message = format!("`{}` is no status", show(text));
            let help = "write a number from 100 to 599, or a class such as `2xx`";
            report.add(Problem::new(Code::UnknownValue, item.span(), message).help(help));
        }
        statuses.push(Value::from(text));
    }
    Some(Setting::Value(Value::Array(statuses)))
}

/// The recipients of a message: somebody, and not too many.
fn recipients(acting: &Acting, with: &Fields<'_>, report: &mut Report<'_>) {
    let Some(to) = with.find("to") else { return };
    let Some(Setting::List(recipients)) = acting.with.get("to") else { return };
    if recipients.is_empty() || recipients.len() > limits::MAIL_RECIPIENTS {
        let message =
            format!("a message has 1 to {} recipients, and this has {}", limits::MAIL_RECIPIENTS, recipients.len());
        report.add(
            Problem::new(Code::OutOfRange, to.value.span(), message)
                .help("name a list of the mail server by its address"),
        );
    }
}

/// The outputs that an action leaves.
pub(super) fn outputs(acting: &Acting) -> IndexMap<String, ValueType> {
    let Some((action, word)) = described(acting) else { return IndexMap::new() };
    action.outputs(word).map(|output| (output.name.to_owned(), output.value_type)).collect()
}

/// The files that an action leaves.
pub(super) fn artifacts(acting: &Acting) -> Vec<String> {
    let Some((action, word)) = described(acting) else { return Vec::new() };
    action.artifacts(word).map(|artifact| artifact.name.to_owned()).collect()
}

/// What a second try of an action could do.
pub(super) fn effect(acting: &Acting) -> Effect {
    let known = action::find(&acting.name);
    known.map_or(Effect::Mutating, |action| action.effect(|key| acting.word(key).map(str::to_owned)))
}

/// The name of the lock that it has without being told so, as a template.
pub(super) fn lock(acting: &Acting) -> Option<Template> {
    let action = action::find(&acting.name)?;
    let said = |key: &&str| match acting.with.get(*key) {
        Some(Setting::Template(text)) => Some(text.trim_start_matches("./").trim_end_matches('/').to_owned()),
        _ => None,
    };
    let said: Vec<String> = action.alone.iter().filter_map(said).collect();
    let family = action.name.split('/').next().unwrap_or_default();
    (!said.is_empty()).then(|| format!("{family}/{}", said.join("@")))
}

/// Whether it asks in a dry run instead of telling.
pub(super) fn asks(acting: &Acting) -> bool {
    action::find(&acting.name).is_some_and(|action| action.dry_run == DryRun::Ask)
}

/// Whether its failure leaves the run as if it had not failed, unless the step says otherwise.
pub(super) fn may_fail(acting: &Acting) -> bool {
    action::find(&acting.name).is_some_and(|action| action.allow_failure)
}

/// When it is tried again: as the step says, and for what it does not say as the action does.
pub(super) fn retry(acting: &Acting, said: Option<Retry>) -> Option<Retry> {
    let action = action::find(&acting.name)?;
    let own = || Some(Retry { attempts: action.attempts, backoff: Backoff::default(), condition: None });
    let retry = said.or_else(|| own().filter(|own| own.attempts > 1))?;
    Some(Retry { condition: retry.condition.or_else(|| Some(action::RETRY_IF.to_owned())), ..retry })
}

fn described(acting: &Acting) -> Option<(&'static Action, &'static str)> {
    let action = action::find(&acting.name)?;
    Some((action, action.word(action.decides.and_then(|(key, _)| acting.word(key)))))
}
