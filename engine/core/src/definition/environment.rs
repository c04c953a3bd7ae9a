//! Environments as their files declare them: named values, and what a start that does not say otherwise gives for inputs.
//! Data only; a run is pinned to the one that it was started in. Never knows who starts what.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InputDecl, Protection, Runbook};

/// An environment that passed every check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is, in the author's words.
    #[serde(default)]
    pub description: String,
    /// Whether runs that name no environment are started in it.
    #[serde(default)]
    pub is_default: bool,
    /// What `${{ environment.values.X }}` stands for; none of them is null.
    #[serde(default)]
    pub values: IndexMap<String, Value>,
    /// What is given for inputs where a start gives nothing; of every runbook that has one of the name.
    #[serde(default)]
    pub inputs: IndexMap<String, Value>,
    /// Whether no schedule starts a run in it: one that would is as if it were not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unscheduled: bool,
    /// What protects it.
    #[serde(default)]
    pub protection: Protection,
}

/// Where the value of an input came from, where whoever started the run did not give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// A variable of whoever started it.
    Variable,
    /// The run that it is like.
    Like,
    /// The environment.
    Environment,
}

impl Environment {
    /// Gives for the inputs that a runbook declares what nobody gave; says which those are.
    pub fn complete(&self, inputs: &IndexMap<String, InputDecl>, given: &mut Map<String, Value>) -> Vec<String> {
        let mut completed = Vec::new();
        for (name, value) in &self.inputs {
            // Null for an input leaves it out, as in a start.
            let open = given.get(name).is_none_or(Value::is_null);
            // A file that is not secret says nothing for one that is.
            if open && inputs.get(name).is_some_and(|decl| !decl.secret) {
                given.insert(name.clone(), value.clone());
                completed.push(name.clone());
            }
        }
        completed
    }
}

impl Runbook {
    /// The name of the environment that it is pinned with.
    pub fn environment_name(&self) -> Option<&str> {
        Some(&self.environment.as_ref()?.name)
    }

    /// A value of the environment that it is pinned with.
    pub fn environment_value(&self, name: &str) -> Option<&Value> {
        self.environment.as_ref()?.values.get(name)
    }

    /// Whether it may run in an environment of this name.
    pub fn runs_in(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.iter().any(|name| name == environment)
    }
}

/// A name that excludes, such as that of a lock, as it is in an environment: what is one thing there is another one elsewhere.
pub fn key_in(environment: Option<&str>, name: &str) -> String {
    match environment {
        Some(environment) => format!("{environment}:{name}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language;

    #[test]
    fn what_nobody_gave_comes_from_the_environment() {
        let source = "name: a\nlanguage: 1\ninputs: {n: {type: integer}, m: {type: integer}, o: {type: integer}}\n\
            steps: {a: {argv: [a, \"${{ [inputs.n, inputs.m, inputs.o] == [] }}\"]}}\n";
        let runbook = language::check(source.as_bytes(), "a.yaml").runbook.unwrap();
        let values = ["n", "m", "o", "other"].map(|name| (name.to_owned(), Value::from(1)));
        let environment = Environment { inputs: values.into_iter().collect(), ..Environment::default() };
        let mut given = Map::from_iter([("n".to_owned(), Value::from(7)), ("o".to_owned(), Value::Null)]);
        assert_eq!(environment.complete(&runbook.inputs, &mut given), ["m", "o"]);
        assert_eq!(Value::from(given), serde_json::json!({"n": 7, "m": 1, "o": 1}));
    }

    #[test]
    fn names_that_exclude_are_those_of_their_environment() {
        assert_eq!(key_in(Some("prod"), "db/orders"), "prod:db/orders");
        assert_eq!(key_in(None, "db/orders"), "db/orders");
    }
}
