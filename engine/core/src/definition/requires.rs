//! What a runbook wants to be there before its first step. Data only.

use serde::{Deserialize, Serialize};

/// What must be there before the first step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Requires {
    /// Programs on PATH.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// Names of secrets that must resolve.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// A program that a runbook needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name on PATH.
    pub name: String,
    /// A condition on its version, such as `>=14`.
    #[serde(default)]
    pub version: Option<String>,
}
