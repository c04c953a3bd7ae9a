//! What an action is told, worked out for one attempt. Never knows what the keys mean.

use std::collections::HashSet;

use indexmap::IndexMap;
use runbook_core::action::{self, Takes};
use runbook_core::definition::{Acting, Setting};
use runbook_core::expression::{Expression, Reference, Scope};
use serde_json::{Map, Value, json};

use crate::values::Values;

/// The format in which another process is told.
const FORMAT: u32 = 1;

/// What an action is told, by the keys of its `with`.
pub(crate) struct Told {
    values: IndexMap<String, Value>,
    conditions: IndexMap<String, Condition>,
    hidden: HashSet<String>,
}

/// An expression over what the attempt finds, with everything else in it worked out.
#[derive(Clone)]
pub(crate) struct Condition {
    source: String,
    expression: Expression,
    /// What everything else in it stands for, by how that is written.
    known: Map<String, Value>,
}

impl Told {
    /// Works out the settings of an action.
    ///
    /// # Errors
    /// The key, and in words why it has no value; never a secret.
    pub(crate) fn new(acting: &Acting, values: &Values<'_>) -> Result<Self, (String, String)> {
        let mut told = Self { values: IndexMap::new(), conditions: IndexMap::new(), hidden: HashSet::new() };
        let described = action::find(&acting.name);
        for (key, setting) in &acting.with {
            let problem = |problem: String| (format!("with.{key}"), problem);
            let typed = described.and_then(|action| action.key(key)).is_some_and(|key| key.takes == Takes::Tree);
            if let Setting::Condition(source) = setting {
                told.conditions.insert(key.clone(), Condition::new(source, values).map_err(problem)?);
            } else {
                if holds_secret(setting, values).map_err(problem)? {
                    told.hidden.insert(key.clone());
                }
                told.values.insert(key.clone(), value(setting, typed, values).map_err(problem)?);
            }
        }
        Ok(told)
    }

    /// Tells something where nothing was said.
    pub(crate) fn otherwise(&mut self, key: &str, value: impl Into<Value>) {
        if !self.values.contains_key(key) {
            self.values.insert(key.to_owned(), value.into());
        }
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// The name of the stack that it is about: its folder, however that is written.
    pub(crate) fn stack(&self) -> &str {
        self.text("dir").unwrap_or_default().trim_start_matches("./").trim_end_matches('/')
    }

    /// Whether a secret had a part in a text, or in one of several.
    pub(crate) fn is_hidden(&self, key: &str) -> bool {
        self.hidden.contains(key)
    }

    /// A whole number.
    pub(crate) fn whole(&self, key: &str) -> Option<i64> {
        self.values.get(key)?.as_i64()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.values.get(key)?.as_bool()
    }

    /// Any value.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Names and their texts.
    pub(crate) fn texts(&self, key: &str) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.values.get(key).and_then(Value::as_object);
        texts.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// A list of texts.
    pub(crate) fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.values.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// All of it, for another process.
    pub(crate) fn to_json(&self) -> Value {
        let conditions = self
            .conditions
            .iter()
            .map(|(key, condition)| (key.clone(), json!({"source": condition.source, "known": condition.known})));
        json!({
            "format": FORMAT,
            "values": self.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>(),
            "conditions": conditions.collect::<Map<_, _>>(),
        })
    }

    /// What [`Told::to_json`] wrote; `None` for what another version of it may have written.
    pub(crate) fn from_json(json: &Value) -> Option<Self> {
        if json["format"] != FORMAT {
            return None;
        }
        let mut told = Self { values: IndexMap::new(), conditions: IndexMap::new(), hidden: HashSet::new() };
        told.values.extend(json["values"].as_object()?.clone());
        for (key, condition) in json["conditions"].as_object()? {
            let source = condition["source"].as_str()?.to_owned();
            let (expression, known) = (Expression::parse(&source).ok()?, condition["known"].as_object()?.clone());
            told.conditions.insert(key.clone(), Condition { source, expression, known });
        }
        Some(told)
    }

    /// A condition.
    pub(crate) fn condition(&self, key: &str) -> Option<&Condition> {
        self.conditions.get(key)
    }
}

/// Whether a secret has a part in a text of a setting.
fn holds_secret(setting: &Setting, values: &Values<'_>) -> Result<bool, String> {
    let any = |mut all: Box<dyn Iterator<Item = &Setting> + '_>| {
        all.try_fold(false, |found, setting| Ok(found || holds_secret(setting, values)?))
    };
    match setting {
        Setting::Template(source) => Ok(values.render(source)?.secret),
        Setting::List(settings) => any(Box::new(settings.iter())),
        Setting::Map(settings) => any(Box::new(settings.values())),
        Setting::Value(_) | Setting::Condition(_) => Ok(false),
    }
}

/// A setting with its texts worked out; `typed` where an expression that stands alone keeps its type.
fn value(setting: &Setting, typed: bool, values: &Values<'_>) -> Result<Value, String> {
    Ok(match setting {
        Setting::Value(value) => value.clone(),
        Setting::Template(source) if typed => values.value(source)?,
        Setting::Template(source) => Value::String(values.render(source)?.text),
        Setting::List(settings) => {
            Value::Array(settings.iter().map(|setting| value(setting, typed, values)).collect::<Result<_, _>>()?)
        }
        Setting::Map(settings) => {
            let mut map = Map::new();
            for (key, setting) in settings {
                map.insert(key.clone(), value(setting, typed, values)?);
            }
            Value::Object(map)
        }
        Setting::Condition(_) => return Err("a condition has no value".to_owned()),
    })
}

impl Condition {
    fn new(source: &str, values: &Values<'_>) -> Result<Self, String> {
        let expression = Expression::parse(source)
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
        let mut known = Map::new();
        for located in expression.references() {
            if !matches!(located.value, Reference::AttemptOutput(_))
                && let Some(value) = values.value_of(&located.value)
            {
                known.insert(located.value.to_string(), value);
            }
        }
        Ok(Self { source: source.to_owned(), expression, known })
    }

    /// As it is written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds of what was found.
    ///
    /// # Errors
    /// In words: it has no value.
    pub(crate) fn holds(&self, found: &IndexMap<String, Value>) -> Result<bool, String> {
        self.expression.holds(&Found { known: &self.known, found }).map_err(|error| error.to_string())
    }
}

struct Found<'a> {
    known: &'a Map<String, Value>,
    found: &'a IndexMap<String, Value>,
}

impl Scope for Found<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::AttemptOutput(key) => self.found.get(key).cloned(),
            other => self.known.get(&other.to_string()).cloned(),
        }
    }
}
