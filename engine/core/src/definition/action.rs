//! What an action is told, as a definition has it: values that are known, texts and expressions that are worked out when
//! an attempt starts. Never knows what the keys mean.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Template;
use crate::action::{self, Carried};

/// An action as a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acting {
    /// Its name: that of one of [`ACTIONS`](crate::action::ACTIONS).
    pub name: String,
    /// What it is told, by the keys of its `with`.
    #[serde(default)]
    pub with: IndexMap<String, Setting>,
}

/// What a key of `with` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// A value that is known at load; a length of time in microseconds.
    Value(Value),
    /// A text with `${{ }}`. Inside of a value, where it is one expression and nothing else, it stands for the
    /// expression's value.
    Template(Template),
    /// A list with such texts in it.
    List(Vec<Setting>),
    /// A map with such texts in it.
    Map(IndexMap<String, Setting>),
    /// An expression over what the attempt finds, without `${{ }}`.
    Condition(String),
}

impl Acting {
    /// What it is carried out by. One that this version does not know was never begun by it.
    pub fn carried(&self) -> Carried {
        action::find(&self.name).map_or(Carried::Process, |action| action.carried)
    }

    /// The word that a key is given, where that is known at load.
    pub fn word(&self, key: &str) -> Option<&str> {
        match self.with.get(key)? {
            Setting::Value(value) => value.as_str(),
            Setting::Template(_) | Setting::List(_) | Setting::Map(_) | Setting::Condition(_) => None,
        }
    }

    /// Every text of it that may hold `${{ }}`.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.each().into_iter().filter_map(|setting| match setting {
            Setting::Template(text) => Some(text),
            Setting::Value(_) | Setting::List(_) | Setting::Map(_) | Setting::Condition(_) => None,
        })
    }

    /// Every expression of it.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.with.values().filter_map(|setting| match setting {
            Setting::Condition(expression) => Some(expression.as_str()),
            Setting::Value(_) | Setting::Template(_) | Setting::List(_) | Setting::Map(_) => None,
        })
    }

    /// Every setting, and every one inside of them.
    fn each(&self) -> Vec<&Setting> {
        let mut all: Vec<&Setting> = self.with.values().collect();
        let mut next = 0;
        while let Some(setting) = all.get(next).copied() {
            next += 1;
            match setting {
                Setting::List(settings) => all.extend(settings),
                Setting::Map(settings) => all.extend(settings.values()),
                Setting::Value(_) | Setting::Template(_) | Setting::Condition(_) => {}
            }
        }
        all
    }
}
