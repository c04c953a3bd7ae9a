//! What protects environments, by rule 115.

use runbook_core::run::{Origin, Start};
use runbook_core::schedule::Skip;

use super::super::design::{ENVIRONMENTS, ROLES};
use super::super::environment::{CLOSED, FROZEN};
use super::super::world::EPOCH;
use super::turn::Model;

const MINUTE: i64 = 60_000_000;

impl Model {
    /// Why a slot is left out in an environment now.
    pub(crate) fn left_out(&self, environment: Option<&str>) -> Option<Skip> {
        let now = self.now.0;
        let why = String::new();
        match environment? {
            name if name == ENVIRONMENTS[0] => {
                let frozen = now >= EPOCH + FROZEN.0 * MINUTE && now < EPOCH + FROZEN.1 * MINUTE;
                frozen.then_some(Skip::Frozen { why })
            }
            name if name == ENVIRONMENTS[2] => None,
            _ => {
                let minute = now.div_euclid(MINUTE).rem_euclid(1_440);
                (minute >= CLOSED.0 && minute < CLOSED.1).then_some(Skip::Hours { why })
            }
        }
    }

    /// Whether who asks may start something now.
    pub(crate) fn may_ask(&self, start: &Start) -> bool {
        let Some(name) = start.terms.environment.as_deref() else { return true };
        let has = |role: &str| start.roles.iter().any(|has| has == role);
        let first = name == ENVIRONMENTS[0];
        if first && start.origin != Origin::Schedule && !has(ROLES[0]) {
            return false;
        }
        let overrides =
            start.terms.overridden.is_some() && if first { has(ROLES[1]) } else { has(ROLES[0]) || has(ROLES[1]) };
        start.terms.dry || self.left_out(Some(name)).is_none() || overrides
    }

    /// Whether who asks may have a missed slot run now: as whoever starts something, though it counts as a schedule's run.
    pub(crate) fn may_catch_up(&self, start: &Start) -> bool {
        let first = start.terms.environment.as_deref() == Some(ENVIRONMENTS[0]);
        let has = start.roles.iter().any(|has| has == ROLES[0]);
        (!first || has) && self.left_out(start.terms.environment.as_deref()).is_none()
    }

    /// Why a start was made in spite of what protects its environment.
    pub(crate) fn overridden(&self, start: &Start) -> Option<String> {
        let closed = !start.terms.dry && self.left_out(start.terms.environment.as_deref()).is_some();
        start.terms.overridden.clone().filter(|_| closed)
    }
}
