//! What holds between keys of one map: said once, as data. The check refuses what is refused here, in the words that stand
//! here, and the JSON Schema is made of it. Never knows a particular key.

use std::ops::Range;

use super::code::Code;
use super::item::{Fields, Item};
use super::report::{Problem, Report};
use super::show;

/// Something that holds of a map, or does not. A key may be one of a map inside: `with.probe`.
#[derive(Debug, Clone, Copy)]
pub enum Is<'a> {
    /// One of these keys is there.
    Given(&'a [&'a str]),
    /// The key is there, with one of these words.
    Word(&'a str, &'a [&'a str]),
    /// The key is there, and `true`.
    True(&'a str),
    /// The key is there, with a whole number above this one.
    Above(&'a str, i64),
    /// That does not hold.
    Not(&'a Is<'a>),
}

/// What follows from something.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'a> {
    /// What all has to hold for it.
    pub when: &'a [Is<'a>],
    /// What follows.
    pub then: Then<'a>,
}

/// What follows.
#[derive(Debug, Clone, Copy)]
pub enum Then<'a> {
    /// None of these keys stands here.
    Refuses {
        /// The keys, of this map.
        keys: &'a [&'a str],
        /// The kind of finding.
        code: Code,
        /// What is wrong: `{key}` is the key, `{value}` what it says, `{by}` the key by which it is refused, `{word}` the word
        /// and `{bound}` the number by which it is.
        says: &'a str,
        /// What to do about it, with the same.
        help: &'a str,
    },
    /// None of these keys stands here, and who reads them says so. `*` stands for every key of a map.
    Lacks(&'a [&'a str]),
    /// One of these keys has to be there, and who reads them says so.
    Wants(&'a [&'a str]),
    /// The key takes this, in words of [`super::schema::Key::takes`], and who reads it says so. `*` as above.
    Takes(&'a str, &'a str),
}

/// Keys that conflict with what holds.
pub(crate) const fn refuses<'a>(when: &'a [Is<'a>], keys: &'a [&'a str], says: &'a str, help: &'a str) -> Relation<'a> {
    Relation { when, then: Then::Refuses { keys, code: Code::ConflictingKeys, says, help } }
}

/// Keys that are not there, as who reads them says.
pub(crate) const fn lacks<'a>(when: &'a [Is<'a>], keys: &'a [&'a str]) -> Relation<'a> {
    Relation { when, then: Then::Lacks(keys) }
}

/// Keys of which one has to be there, as who reads them says.
pub(crate) const fn wants<'a>(when: &'a [Is<'a>], keys: &'a [&'a str]) -> Relation<'a> {
    Relation { when, then: Then::Wants(keys) }
}

/// What a key takes, as who reads it says.
pub(crate) const fn takes<'a>(when: &'a [Is<'a>], key: &'a str, takes: &'a str) -> Relation<'a> {
    Relation { when, then: Then::Takes(key, takes) }
}

/// The value of a key, or of one of a map inside.
fn at<'t>(fields: &Fields<'t>, path: &str) -> Option<Item<'t>> {
    let mut keys = path.split('.');
    let first = fields.find(keys.next()?)?.value;
    keys.try_fold(first, Item::peek)
}

impl<'a> Is<'a> {
    /// Whether it holds, where these keys are as if they were not there.
    fn holds(&self, fields: &Fields<'_>, without: &[&str]) -> bool {
        let value = |path: &str| at(fields, path).filter(|_| !without.contains(&path));
        match *self {
            Self::Given(keys) => keys.iter().any(|key| value(key).is_some()),
            Self::Word(key, words) => value(key).is_some_and(|item| item.is_text() && words.contains(&item.raw())),
            Self::True(key) => value(key).is_some_and(Item::is_true),
            Self::Above(key, bound) => value(key).and_then(Item::whole).is_some_and(|number| number > bound),
            // A key that was refused was meant all the same.
            Self::Not(is) => !is.holds(fields, &[]),
        }
    }

    /// The key by which it holds.
    fn key(&self, fields: &Fields<'_>, without: &[&str]) -> Option<&'a str> {
        match *self {
            Self::Given(keys) => keys.iter().copied().find(|key| !without.contains(key) && at(fields, key).is_some()),
            Self::Word(key, _) | Self::True(key) | Self::Above(key, _) => Some(key),
            Self::Not(_) => None,
        }
    }
}

/// Reports what is refused, each key once, by the first that refuses it. Later ones do not see it.
pub(super) fn hold<'r>(
    fields: &Fields<'_>,
    relations: impl Iterator<Item = &'r Relation<'r>>,
    report: &mut Report<'_>,
) {
    let mut refused: Vec<&str> = Vec::new();
    for Relation { when, then } in relations {
        let Then::Refuses { keys, code, says, help } = *then else { continue };
        if !when.iter().all(|is| is.holds(fields, &refused)) {
            continue;
        }
        let first = when.first();
        let by = first.and_then(|is| is.key(fields, &refused)).unwrap_or_default();
        let word = show(at(fields, by).map_or("", Item::raw)).into_owned();
        let bound = when.iter().find_map(|is| match is {
            Is::Above(_, bound) => Some(bound.to_string()),
            _ => None,
        });
        for key in keys {
            let Some(entry) = fields.find(key).filter(|_| !refused.contains(key)) else { continue };
            let fill = |text: &str| {
                let text =
                    text.replace("{key}", key).replace("{by}", by).replace("{bound}", bound.as_deref().unwrap_or(""));
                text.replace("{word}", &word).replace("{value}", &show(entry.value.raw()))
            };
            let problem = Problem::new(code, entry.key.span(), fill(says)).help(fill(help));
            report.add(match place(fields, first, by).filter(|_| by != *key) {
                Some(span) => problem.related(span, format!("`{by}` is here")),
                None => problem,
            });
            refused.push(key);
        }
    }
}

/// Where the key stands by which others are refused, if that is no word that says it.
fn place(fields: &Fields<'_>, first: Option<&Is<'_>>, by: &str) -> Option<Range<usize>> {
    match first? {
        Is::Given(_) | Is::True(_) => fields.find(by).map(|entry| entry.key.span()),
        _ => None,
    }
}
