//! A document taken apart, so that no error in it hides another: each step, each input and so on alone, and each without one
//! of its keys.

use serde_json::{Map, Value, json};

/// A runbook of these keys, beside what each has to have.
fn runbook(keys: Value) -> Value {
    let mut document = json!({"name": "a", "language": 1, "steps": {"a": {"argv": ["a"]}}});
    if let (Some(document), Value::Object(keys)) = (document.as_object_mut(), keys) {
        document.extend(keys);
    }
    document
}

/// The parts of a runbook, as runbooks.
pub fn parts(document: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        match key.as_str() {
            "steps" | "finally" => parts.extend(steps(value).into_iter().map(|step| runbook(json!({key: step})))),
            _ => {
                parts.push(runbook(json!({key: value})));
                parts.extend(each(value).map(|value| runbook(json!({key: value}))));
                let entries = value.as_object().into_iter().flatten();
                for (name, entry) in entries {
                    let entries = thinner(entry).into_iter().chain(each(entry));
                    parts.extend(entries.map(|entry| runbook(json!({key: {name: entry}}))));
                }
            }
        }
    }
    parts
}

/// Each entry of a map alone.
pub fn each(value: &Value) -> impl Iterator<Item = Value> {
    let entries: Vec<Value> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| json!({name: value})).collect(),
        Value::Array(list) => list.iter().map(|value| json!([value])).collect(),
        _ => Vec::new(),
    };
    entries.into_iter()
}

/// A map without each of its keys.
fn thinner(value: &Value) -> Vec<Value> {
    let without = |map: &Map<String, Value>, key: &String| {
        let mut map = map.clone();
        map.remove(key);
        Value::Object(map)
    };
    value.as_object().map(|map| map.keys().map(|key| without(map, key)).collect()).unwrap_or_default()
}

/// Each step alone, in all the ways that it can be looked at; of a block also each step inside.
fn steps(steps: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for (id, step) in steps.as_object().into_iter().flatten() {
        let mut ways = vec![step.clone()];
        ways.extend(thinner(step));
        for key in ["with", "verify", "on_cancel", "rollback", "retry", "stop", "repeat", "outputs"] {
            let Some(inner) = step.get(key) else { continue };
            ways.extend(thinner(inner).into_iter().chain(each(inner)).map(|inner| with(step, key, inner)));
        }
        for key in ["steps", "finally"] {
            let Some(inner) = step.get(key) else { continue };
            let outside = with(step, "steps", json!({"a": {"argv": ["a"]}}));
            ways.extend(self::steps(inner).into_iter().map(|inner| with(&outside, key, inner)));
        }
        all.extend(ways.into_iter().map(|step| json!({id: step})));
    }
    all
}

/// A map with another value of a key.
pub fn with(map: &Value, key: &str, value: Value) -> Value {
    let mut map = map.clone();
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
    map
}
