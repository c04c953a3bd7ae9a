//! What a start takes from around it: the environment that it is in, and variables that stand for inputs. Never judges a name.

use std::collections::HashMap;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::complete;

/// What variables begin with that stand for inputs; the input's name follows in upper case, with `_` for `-`.
const VARIABLES: &str = "RUNBOOK_INPUT_";

/// The option.
#[derive(Debug, Default, Args)]
pub struct InEnvironment {
    /// The environment [default: RUNBOOK_ENVIRONMENT, else the project's default]
    #[arg(long, value_name = "NAME", env = "RUNBOOK_ENVIRONMENT", hide_env = true, add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
}

impl InEnvironment {
    /// As the API takes it.
    pub fn name(&self) -> String {
        self.env.clone().unwrap_or_default()
    }
}

/// The variables of this process that stand for inputs, without what all begin with.
pub fn variables() -> HashMap<String, String> {
    // Names of inputs are ASCII, and what is not UTF-8 could be the value of none.
    let all =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter_map(|(name, value)| Some((name.strip_prefix(VARIABLES)?.to_owned(), value))).collect()
}
