//! What a start says beside its inputs, as it stays in the run's history. Data only.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::StepNo;
use crate::selection::Selection;

/// What a start says beside its inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Names of what the run may destroy, as who started it confirmed them.
    #[serde(default)]
    pub confirmed: Vec<String>,
    /// Whether nothing that changes anything runs.
    #[serde(default)]
    pub dry: bool,
    /// What is left out of the runbook.
    #[serde(default)]
    pub selection: Selection,
    /// Main steps before which it is held.
    #[serde(default)]
    pub pause_before: BTreeSet<StepNo>,
}
