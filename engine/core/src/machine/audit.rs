//! The machine's indexes against the states that they are derived from: what tests ask after every turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::locks::Holder;
use super::{Machine, Resource, resources};
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
            let may = slot.quarantine.is_none() && slot.state.next_start(now).is_some();
            let waits =
                slot.runnable.is_some_and(|(class, ticket)| self.runnable[class.index()].get(&ticket) == Some(uid));
            if may != slot.runnable.is_some() || may != waits {
                return Err(format!("run {uid} may start something: {may}; it waits for a place: {:?}", slot.runnable));
            }
        }
        let waiting: usize = self.runnable.iter().map(BTreeMap::len).sum();
        if waiting != self.runs.values().filter(|slot| slot.runnable.is_some()).count() {
            return Err(format!("{waiting} turns wait for a place, more than there are runs to take them"));
        }
        let mut holders: HashMap<Resource, Holder> = HashMap::new();
        for (uid, slot) in &self.runs {
            let root = slot.state.root();
            for resource in resources(slot.state.created()).into_iter().filter(|_| slot.state.holds()) {
                let new = || Holder { root, runs: BTreeSet::new() };
                let holder = holders.entry(resource.clone()).or_insert_with(new);
                if holder.root != root {
                    return Err(format!("{resource:?} is held by {} and by {root}", holder.root));
                }
                holder.runs.insert(*uid);
            }
        }
        if holders != *self.locks.holders() {
            return Err(format!("holders are {holders:?}, the index says {:?}", self.locks.holders()));
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
