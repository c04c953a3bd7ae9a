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
        if live != self.places.live {
            return Err(format!("{live} attempts are live, the index says {}", self.places.live));
        }
        let low: usize = served().filter(|s| s.low).map(|s| s.state.live().count()).sum();
        if low != self.places.live_low {
            return Err(format!("{low} low attempts are live, the index says {}", self.places.live_low));
        }
        if live > self.settings.places {
            return Err(format!("{live} attempts are live, the bound is {}", self.settings.places));
        }
        let mut in_pools: BTreeMap<String, usize> = BTreeMap::new();
        for slot in served() {
            for pool in slot.state.live().filter_map(|(step, ..)| slot.state.pool(step)) {
                *in_pools.entry(pool.to_owned()).or_default() += 1;
            }
        }
        if in_pools != self.places.in_pools {
            return Err(format!("places in pools are {in_pools:?}, the index says {:?}", self.places.in_pools));
        }
        self.audit_turns(now)?;
        let mut holders: BTreeMap<Resource, BTreeSet<Claim>> = BTreeMap::new();
        for (uid, slot) in &self.runs {
            let (held, waits) = claims(&slot.state, slot.quarantine.is_none(), self.now);
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
    /// The turns that runs wait for.
    fn audit_turns(&self, now: Timestamp) -> Result<(), String> {
        let mut turns = 0;
        for (uid, slot) in &self.runs {
            let wants = match slot.quarantine {
                None => slot.state.wants_places(now, |step| self.may_lock(*uid, step)),
                Some(_) => Vec::new(),
            };
            let stands = |pool: &Option<&str>| slot.stands.iter().any(|stand| stand.pool.as_deref() == *pool);
            // One that waited for a place while another took the lock is looked at when it is its turn.
            let stale = wants.len() < slot.stands.len() && slot.state.lock_waits(now).is_empty();
            if !wants.iter().all(stands) || stale {
                return Err(format!("run {uid} wants places {wants:?}; it waits for turns {:?}", slot.stands));
            }
            for stand in &slot.stands {
                let queue = self.places.lines.get(&stand.pool).and_then(|line| line.get(stand.class.index()));
                if queue.and_then(|queue| queue.get(&stand.ticket)) != Some(uid) {
                    return Err(format!("run {uid} waits for the turn {stand:?}, and nobody knows of it"));
                }
            }
            turns += slot.stands.len();
        }
        let known: usize = self.places.lines.values().flatten().map(BTreeMap::len).sum();
        if known != turns {
            return Err(format!("{known} turns wait for a place, more than there are runs to take them: {turns}"));
        }
        Ok(())
    }
}
