//! Relations between keys as a JSON Schema says them: `if` what holds, `then` what follows. Never knows what a key means.

use serde_json::{Map, Value, json};

use super::relation::{Is, Relation, Then};

/// The clauses of relations, those of one condition together. `shape` is what the words of a [`Then::Takes`] mean; `has` is
/// whether the map has a key at all: what it does not have needs no refusal.
pub(super) fn clauses<'r>(
    relations: impl Iterator<Item = &'r Relation<'r>> + Clone,
    has: impl Fn(&str) -> bool,
    shape: impl Fn(&str) -> Value,
) -> Vec<Value> {
    let mut clauses: Vec<(Value, Map<String, Value>)> = Vec::new();
    for relation in relations.clone() {
        let mut follows = Map::new();
        match relation.then {
            Then::Refuses { keys, .. } | Then::Lacks(keys) => {
                let keys = keys.iter().filter(|key| has(key) && !is_refused(key, relation, relations.clone()));
                keys.for_each(|key| merge(&mut follows, valued(key, json!(false))));
            }
            Then::Wants(keys) => wants(&mut follows, keys),
            Then::Takes(key, takes) => follows = valued(key, shape(takes)),
        }
        if follows.is_empty() {
            continue;
        }
        let when = condition(relation.when);
        match clauses.iter_mut().find(|(other, _)| *other == when) {
            Some((_, others)) => merge(others, follows),
            None => clauses.push((when, follows)),
        }
    }
    let clause = |(when, then): (Value, Map<String, Value>)| match when.as_object().is_some_and(Map::is_empty) {
        true => Value::Object(then),
        false => json!({"if": when, "then": then}),
    };
    clauses.into_iter().map(clause).collect()
}

/// Whether another relation refuses a key as well, wherever this one does.
fn is_refused<'r>(key: &str, this: &Relation<'_>, mut all: impl Iterator<Item = &'r Relation<'r>>) -> bool {
    let weaker = |other: &Is<'_>| this.when.iter().any(|is| follows(is, other));
    all.any(|other| {
        let keys = match other.then {
            Then::Refuses { keys, .. } | Then::Lacks(keys) => keys,
            Then::Wants(_) | Then::Takes(..) => return false,
        };
        keys.contains(&key) && condition(other.when) != condition(this.when) && other.when.iter().all(weaker)
    })
}

/// Whether the second holds wherever the first does, as far as that is seen at once.
fn follows(first: &Is<'_>, second: &Is<'_>) -> bool {
    match (first, second) {
        (Is::Word(key, words), Is::Word(other, others)) => {
            key == other && words.iter().all(|word| others.contains(word))
        }
        (Is::Given(keys), Is::Given(others)) => keys.iter().all(|key| others.contains(key)),
        _ => condition(std::slice::from_ref(first)) == condition(std::slice::from_ref(second)),
    }
}

/// What all holds, as a schema.
pub(super) fn condition(when: &[Is<'_>]) -> Value {
    let mut schema = Map::new();
    let mut never = Vec::new();
    for one in when {
        let mut is = |key: &str, value: Value| {
            merge(&mut schema, given(key));
            merge(&mut schema, valued(key, value));
        };
        match *one {
            Is::Given(keys) => wants(&mut schema, keys),
            Is::Word(key, [word]) => is(key, json!({"const": word})),
            Is::Word(key, words) => is(key, json!({"enum": words})),
            Is::True(key) => is(key, json!({"const": true})),
            Is::Above(key, bound) => is(key, json!({"exclusiveMinimum": bound})),
            Is::Not(is) => never.push(condition(std::slice::from_ref(is))),
        }
    }
    match <[Value; 1]>::try_from(never) {
        Ok([one]) => drop(schema.insert("not".to_owned(), one)),
        Err(several) if several.is_empty() => {}
        Err(several) => drop(schema.insert("not".to_owned(), json!({"anyOf": alternatives(several)}))),
    }
    Value::Object(schema)
}

/// Schemas of which one holds, without those in them that only say the same of others.
fn alternatives(schemas: Vec<Value>) -> Vec<Value> {
    let flat = |schema: Value| match schema {
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("anyOf") {
            Some(Value::Array(inner)) => inner,
            _ => vec![Value::Object(fields)],
        },
        schema => vec![schema],
    };
    schemas.into_iter().flat_map(flat).collect()
}

/// One of these keys is there.
fn wants(schema: &mut Map<String, Value>, keys: &[&str]) {
    match keys {
        [key] => merge(schema, given(key)),
        keys => drop(schema.insert("anyOf".to_owned(), keys.iter().map(|key| Value::Object(given(key))).collect())),
    }
}

/// The key is there.
fn given(path: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    match path.split_once('.') {
        None => schema.insert("required".to_owned(), json!([path])),
        Some((first, rest)) => {
            schema.insert("required".to_owned(), json!([first]));
            schema.insert("properties".to_owned(), json!({first: given(rest)}))
        }
    };
    schema
}

/// The value of the key, where it is there, is such a one.
fn valued(path: &str, value: Value) -> Map<String, Value> {
    let (first, value) = match path.split_once('.') {
        None => (path, value),
        Some((first, rest)) => (first, Value::Object(valued(rest, value))),
    };
    let (name, value) = match first {
        "*" => ("additionalProperties", value),
        first => ("properties", json!({first: value})),
    };
    Map::from_iter([(name.to_owned(), value)])
}

/// Adds what holds as well.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) if key == "required" => {
                old.extend(new.into_iter().filter(|name| !old.contains(name)).collect::<Vec<_>>());
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
