//! Steps that do their work many times: once for each item of a list, or again and again. Data only, and what becomes of it
//! when it runs.

use std::collections::BTreeSet;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Effect, OnFailure, Part, Runbook, Step, Template, ValueType, WhenSkipped};
use crate::time::Span;

/// How often a step does its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Many {
    /// For each item of a list.
    Each(Each),
    /// Until an expression holds.
    Repeat(Repeat),
}

impl Many {
    /// What its work takes along from around the step.
    pub const fn takes(&self) -> &BTreeSet<String> {
        match self {
            Self::Each(each) => &each.takes,
            Self::Repeat(repeat) => &repeat.takes,
        }
    }

    /// The locks of each time that it does its work, to be changed.
    pub(crate) const fn locks_mut(&mut self) -> &mut Vec<Template> {
        match self {
            Self::Each(each) => &mut each.locks,
            Self::Repeat(repeat) => &mut repeat.locks,
        }
    }

    /// What its work takes along, to be changed.
    pub(crate) const fn takes_mut(&mut self) -> &mut BTreeSet<String> {
        match self {
            Self::Each(each) => &mut each.takes,
            Self::Repeat(repeat) => &mut repeat.takes,
        }
    }
}

impl fmt::Display for Many {
    /// How often, behind what is done: `for 3 items`, `until iteration.outputs.left == 0, 5 times at most`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each(each) => write!(f, "for {}", each.list),
            Self::Repeat(repeat) => {
                write!(f, "until {}, {} times at most", repeat.until, repeat.max)?;
                repeat.every.map_or(Ok(()), |every| write!(f, ", {every} apart"))
            }
        }
    }
}

/// Once for each item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Each {
    /// The list.
    pub list: Items,
    /// How many items may be on together.
    #[serde(default)]
    pub max_parallel: Option<u32>,
    /// How many items may fail without the step failing.
    #[serde(default)]
    pub max_failures: u32,
    /// What the work writes for one item; the step has lists of these.
    #[serde(default)]
    pub outputs: IndexMap<String, ValueType>,
    /// What the work takes along from around the step, as that of a block.
    #[serde(default)]
    pub takes: BTreeSet<String>,
    /// Locks that the work for each item has, as templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Template>,
}

/// Again and again, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// An expression, without `${{ }}`, asked after each iteration: whether that was the last.
    pub until: String,
    /// How many iterations there are at most.
    pub max: u32,
    /// How long after the end of an iteration the next one begins; at once when absent.
    #[serde(default)]
    pub every: Option<Span>,
    /// Whether it is asked of an iteration that failed, too: it mentions its status or its exit code.
    #[serde(default)]
    pub any_outcome: bool,
    /// What the work and `until` take along from around the step, as that of a block.
    #[serde(default)]
    pub takes: BTreeSet<String>,
    /// Locks that each iteration has, as templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Template>,
}

/// A list of items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// It is known at load.
    Known(Vec<Value>),
    /// An expression, without `${{ }}`, worked out when the step starts.
    Expression(String),
}

impl fmt::Display for Items {
    /// What a step does its work for, behind "for": `3 items`, `each of inputs.hosts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(items) => write!(f, "{} items", items.len()),
            Self::Expression(list) => write!(f, "each of {list}"),
        }
    }
}

/// The longest text that names its item, in characters.
const KEY_LENGTH: usize = 100;

/// What the steps are called that stand for items: `["eu-west"]` where every item is a text or a number that can be typed
/// and no two are the same, else `[1]`, `[2]`, and so on.
pub fn instance_ids(items: &[Value]) -> Vec<String> {
    let keys: Option<Vec<String>> = items.iter().map(key).collect();
    let distinct = |keys: &Vec<String>| keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
    match keys.filter(distinct) {
        Some(keys) => keys.into_iter().map(|key| format!("[\"{key}\"]")).collect(),
        None => (1..=items.len()).map(|number| format!("[{number}]")).collect(),
    }
}

/// The text that names an item.
fn key(item: &Value) -> Option<String> {
    let text = match item {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"/\"'\\[]".contains(c);
    (!text.is_empty() && text.chars().count() <= KEY_LENGTH && text.chars().all(plain)).then_some(text)
}

/// How a step is named from above: `path` leads to the run that has it, and is empty or ends with a slash. What stands for
/// an item follows its step without one: `copy["eu-west"]/check`.
pub fn step_path(path: &str, id: &str) -> String {
    match (id.starts_with('['), path.strip_suffix('/')) {
        (true, Some(above)) => format!("{above}{id}"),
        _ => format!("{path}{id}"),
    }
}

/// The first step of such a path, and what is left of it behind that. The first step is empty where the path is none.
pub fn path_head(path: &str) -> (&str, Option<&str>) {
    let end = match path.find(']').filter(|_| path.starts_with('[')) {
        Some(end) => end + 1,
        None => path.find(['/', '[']).unwrap_or(path.len()),
    };
    let (step, rest) = path.split_at(end);
    (step, Some(rest.strip_prefix('/').unwrap_or(rest)).filter(|rest| !rest.is_empty()))
}

/// What names an item in expressions: the text of its step's id.
pub(crate) fn key_of(id: &str) -> &str {
    id.trim_start_matches('[').trim_end_matches(']').trim_matches('"')
}

impl Step {
    /// The work that it does many times, as a step that does it once, with these locks.
    fn once(&self, locks: &[Template]) -> Self {
        Self {
            part: Part::Main,
            description: String::new(),
            needs: Vec::new(),
            condition: None,
            undoes: Vec::new(),
            when_skipped: WhenSkipped::Skip,
            many: None,
            // `finally` is idempotent by contract.
            effect: match self.part {
                Part::Finally if !self.effect.repeatable() => Effect::Idempotent,
                Part::Main | Part::Finally => self.effect,
            },
            rollback: None,
            allow_failure: false,
            locks: locks.to_vec(),
            ..self.clone()
        }
    }
}

impl Runbook {
    /// The definition that a step runs for the items of its list: one step for each.
    pub(crate) fn of_items(&self, step: &Step, each: &Each, ids: Vec<String>) -> Self {
        let item = Step { outputs: each.outputs.clone(), ..step.once(&each.locks) };
        Self {
            on_failure: match self.on_failure {
                OnFailure::Cancel => OnFailure::Cancel,
                // How many may fail is said by the step.
                OnFailure::Stop | OnFailure::Continue => OnFailure::Stop,
            },
            steps: ids.into_iter().map(|id| Step { id, ..item.clone() }).collect(),
            ..self.inside(step, &each.takes)
        }
    }

    /// The definition that a step runs which does its work again and again: a step for each iteration that there may be.
    pub(crate) fn of_iterations(&self, step: &Step, repeat: &Repeat) -> Self {
        let iteration = step.once(&repeat.locks);
        Self {
            on_failure: OnFailure::Stop,
            steps: (1..=repeat.max).map(|number| Step { id: format!("[{number}]"), ..iteration.clone() }).collect(),
            ..self.inside(step, &repeat.takes)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(items: Value) -> Vec<String> {
        instance_ids(items.as_array().unwrap())
    }

    #[test]
    fn paths_are_read_step_by_step() {
        assert_eq!(path_head("a/b/c"), ("a", Some("b/c")));
        assert_eq!(path_head("up[\"a/b\"]/c"), ("up", Some("[\"a/b\"]/c")));
        assert_eq!(path_head("[2]/c"), ("[2]", Some("c")));
        assert_eq!(path_head("a/"), ("a", None));
        for none in ["", "/a", "[a"] {
            assert_eq!(path_head(none).0, "", "{none}");
        }
    }

    #[test]
    fn items_are_named_by_their_text_where_that_names_them() {
        assert_eq!(
            ids(json!(["eu-west", "us.1", "10.0.0.1:80"])),
            ["[\"eu-west\"]", "[\"us.1\"]", "[\"10.0.0.1:80\"]"]
        );
        assert_eq!(ids(json!([80, 443])), ["[\"80\"]", "[\"443\"]"]);
        assert_eq!(ids(json!([])), [""; 0]);
        for other in [json!(["a", "a"]), json!(["a", "b/c"]), json!(["a", ""]), json!(["a", {"b": 1}]), json!([1, "1"])]
        {
            assert_eq!(ids(other), ["[1]", "[2]"]);
        }
        assert_eq!((key_of("[\"eu-west\"]"), key_of("[2]")), ("eu-west", "2"));
    }
}
