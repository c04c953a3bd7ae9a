//! What is kept beside runs and schedules since it outlives the runs that it came of. Data only.

use crate::{drift, preflight, verdicts};

/// A change of it, under the name that it has in itself: the newest one of a name is what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "differences are the most of what is kept")]
pub enum Kept {
    /// What differs from what is written.
    Drift(drift::Change),
    /// Whether a runbook could start.
    Preflight(preflight::Checked),
    /// Nobody looks at that any more.
    NoPreflight(preflight::Place),
    /// How what is backed up stood.
    Verdict(verdicts::Change),
}
