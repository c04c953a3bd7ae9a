//! Schedules as a runbook declares them. Data only; when one is due is told by `schedule`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits;
use crate::schedule::Written;
use crate::time::Span;

/// When a runbook starts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// When it is due.
    pub when: Written,
    /// What its runs are started with, where that is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Box<ScheduledStart>>,
    /// What becomes of slots that nobody started in time.
    #[serde(default)]
    pub missed: Missed,
    /// What becomes of a slot while another run is on.
    #[serde(default)]
    pub overlap: ScheduleOverlap,
    /// Each schedule has a share of this by which it is later than its rule, always the same one.
    #[serde(default)]
    pub jitter: Span,
    /// How late a slot is still on time.
    #[serde(default = "start_deadline")]
    pub start_deadline: Span,
    /// That its runs succeed every so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// What the runs of a schedule are started with. Folders have very many schedules, most of them without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScheduledStart {
    /// The environment; the project's default where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The inputs; checked, without defaults.
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    /// Names of what they may destroy without asking anybody.
    #[serde(default)]
    pub confirm: Vec<String>,
}

impl Schedule {
    /// The environment of its runs; the project's default where none is named.
    pub fn environment(&self) -> Option<&str> {
        self.start.as_ref()?.environment.as_deref()
    }

    /// The inputs of its runs, where there are any; checked, without defaults.
    pub fn inputs(&self) -> Option<&BTreeMap<String, Value>> {
        self.start.as_ref().map(|start| &start.inputs)
    }

    /// Names of what its runs may destroy without asking anybody.
    pub fn confirm(&self) -> &[String] {
        self.start.as_ref().map_or(&[], |start| &start.confirm)
    }
}

/// What is expected of runs: where it does not happen, somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expect {
    /// At least so often one succeeds.
    pub every: Span,
}

/// Looks on a timer whether a runbook could start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// So often.
    pub every: Span,
}

/// The start deadline where none is given.
pub fn start_deadline() -> Span {
    Span::seconds(limits::START_DEADLINE_SECONDS)
}

/// What becomes of slots that nobody started in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Missed {
    /// What.
    pub policy: MissedPolicy,
    /// How late a slot may be to be made up for.
    pub window: Span,
    /// How many slots are made up for at most.
    pub max: u32,
}

impl Default for Missed {
    fn default() -> Self {
        Self {
            policy: MissedPolicy::default(),
            window: Span::minutes(limits::MISSED_WINDOW_HOURS * 60),
            max: limits::MISSED_DEFAULT,
        }
    }
}

/// How missed slots are made up for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// Not at all.
    #[default]
    Skip,
    /// By one run, for the latest of them.
    RunOnce,
    /// By a run for each.
    RunAll,
}

/// What becomes of a slot while another run is on: of the group, or without one of the runbook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleOverlap {
    /// It is left out.
    #[default]
    Skip,
    /// Its run waits for its turn.
    Queue,
    /// The other run is canceled, and its run waits for that.
    Replace,
    /// Its run starts all the same.
    Allow,
}
