//! What a start says beside its inputs, as it stays in the run's history. Data only.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::definition::{InputSource, Priority};
use crate::id::StepNo;
use crate::selection::Selection;
use crate::time::{Span, Timestamp};

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
    /// The environment that it is in: that of the definition, whatever a start says here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What it backs up, proves or restores: by its definition, whatever a start says here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why it was started although its environment is protected from that now, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<String>,
    /// Where inputs came from that who started it did not give.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, InputSource>,
    /// What persons are asked before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Asks>,
    /// How early it gets what others want too; normal when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// When it begins, where that is not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<Begin>,
}

/// What persons are asked before a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// How long they have, as it was when the run was made; for ever when absent.
    pub until: Option<Timestamp>,
    /// What the run destroys that nobody has to confirm since they are asked, by name.
    pub destroys: Vec<String>,
}

/// When a run begins that does not begin at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The time, as it was when the run was made.
    pub at: Timestamp,
    /// The span that was asked for, where the time was born of one: it moves when the wall clock is set.
    pub after: Option<Span>,
}
