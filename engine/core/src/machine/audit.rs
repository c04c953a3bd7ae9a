//! The machine's indexes against the states that they are derived from: what tests ask after every turn.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::{claims, wanted};
use super::overlap::waits_by_and_by;
use super::{Claim, Machine, Resource};
use crate::id::RunUid;
use crate::time::Timestamp;

impl Machine {
    /// Recomputes every index from the states and tells the first that differs. For tests: it costs a scan.
    ///
    /// # Errors
    /// In words: the index that is off.
    pub fn audit(&self, now: Timestamp) -> Result<(), String> {
        let now = now.max(self.now);
        let served = || self.runs.values().filter(|slot| slot.quarantine.is_none());
        let live: usize = served().map(|slot| slot.state.live().count()).sum();
        if live != self.live {
            return Err(format!("{live} attempts are live, the index says {}", self.live));
        }
        let low: usize = served().filter(|s| s.low).map(|s| s.state.live().count()).sum();
        if low != self.live_low {
            return Err(format!("{low} low attempts are live, the index says {}", self.live_low));
        }
        if live > self.settings.places {
            return Err(format!("{live} attempts are live, the bound is {}", self.settings.places));
        }
        for (uid, slot) in &self.runs {
            let may =
                slot.quarantine.is_none() && slot.state.next_start(now, |step| self.may_lock(*uid, step)).is_some();
            let waits =
                slot.runnable.is_some_and(|(class, ticket)| self.runnable[class.index()].get(&ticket) == Some(uid));
            // One that waited for a place while another took the lock is looked at when it is its turn.
            let stale = !may && waits && !slot.state.lock_waits().is_empty();
            if (may != slot.runnable.is_some() || may != waits) && !stale {
                return Err(format!("run {uid} may start something: {may}; it waits for a place: {:?}", slot.runnable));
            }
        }
        let waiting: usize = self.runnable.iter().map(BTreeMap::len).sum();
        if waiting != self.runs.values().filter(|slot| slot.runnable.is_some()).count() {
            return Err(format!("{waiting} turns wait for a place, more than there are runs to take them"));
        }
        let mut holders: BTreeMap<Resource, BTreeSet<Claim>> = BTreeMap::new();
        for (uid, slot) in &self.runs {
            let (held, waits) = claims(&slot.state, slot.quarantine.is_none());
            if (&held, &waits) != (&slot.held, &slot.waits) {
                return Err(format!("run {uid} has {held:?} and waits: {waits:?}; the index is behind"));
            }
            for claim in held {
                for resource in wanted(&slot.state, claim.step) {
                    holders.entry(resource).or_default().insert(claim);
                }
            }
        }
        for (resource, claims) in &holders {
            let one = |claim: &Claim| {
                let above = self.above(*claim);
                claims.iter().filter(|other| *other != claim && !above.contains(other)).count() == 0
            };
            if !claims.iter().any(one) {
                return Err(format!("{resource:?} is held by {claims:?}, which are not parts of one another"));
            }
        }
        if holders != *self.locks.all() {
            return Err(format!("holders are {holders:?}, the index says {:?}", self.locks.all()));
        }
        let gated = self.runs.values().filter(|slot| waits_by_and_by(&slot.state));
        let gated: BTreeSet<(String, RunUid)> =
            gated.filter_map(|slot| Some((slot.state.created().group.clone()?, slot.state.uid()))).collect();
        if gated != self.gated {
            return Err(format!("persons are asked about {gated:?}, the index says {:?}", self.gated));
        }
        let wakes: BTreeSet<(Timestamp, RunUid)> = self
            .runs
            .iter()
            .filter(|(_, slot)| slot.quarantine.is_none())
            .filter_map(|(uid, slot)| Some((slot.state.next_wake(now)?, *uid)))
            .collect();
        if wakes != self.wakes {
            return Err(format!("wakes are {wakes:?}, the index says {:?}", self.wakes));
        }
        self.schedules.audit(now)
    }
}
