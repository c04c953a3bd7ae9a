//! What the worlds have reached: transitions, kinds of facts, faults. A simulation that never gets somewhere proves
//! nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use runbook_core::run::Then;

/// What was reached.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The state of a step and the kind of event that met it.
    pub step_events: BTreeSet<(&'static str, &'static str)>,
    /// Kinds of facts.
    pub facts: BTreeSet<&'static str>,
    /// What followed ends of attempts.
    pub thens: BTreeSet<&'static str>,
    /// Faults and other things worth reaching, with how often.
    pub marks: BTreeMap<&'static str, u64>,
    /// A hash of every durable event in order: two worlds of one seed have the same.
    pub history: u64,
}

impl Seen {
    /// Adds what another world reached.
    pub fn add(&mut self, other: &Self) {
        self.step_events.extend(&other.step_events);
        self.facts.extend(&other.facts);
        self.thens.extend(&other.thens);
        for (mark, count) in &other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
        self.history = self.history.rotate_left(5) ^ other.history;
    }

    /// How often a mark was reached.
    pub fn count(&self, mark: &str) -> u64 {
        self.marks.get(mark).copied().unwrap_or(0)
    }

    pub(crate) fn mark(&mut self, mark: &'static str) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// The name of every variant of `Then`.
    pub const THENS: [&'static str; 10] = [
        "succeeded",
        "failed",
        "canceled",
        "retry_at",
        "verify_at",
        "on_cancel_at",
        "unknown",
        "rolled_back",
        "rollback_failed",
        "rollback_at",
    ];

    pub(crate) const fn then(then: Then) -> &'static str {
        match then {
            Then::Succeeded => "succeeded",
            Then::Failed => "failed",
            Then::Canceled => "canceled",
            Then::RetryAt(_) => "retry_at",
            Then::VerifyAt(_) => "verify_at",
            Then::OnCancelAt(_) => "on_cancel_at",
            Then::Unknown => "unknown",
            Then::RolledBack => "rolled_back",
            Then::RollbackFailed => "rollback_failed",
            Then::RollbackAt(_) => "rollback_at",
        }
    }
}
