//! Places among attempts and in pools: who waits for which, and who gets it. All of it can be derived from the runs' states.

use std::collections::BTreeMap;

use super::class::{CLASS_COUNT, CLASSES, Class};
use super::{Batch, Machine};
use crate::id::{RunUid, StepNo};
use crate::run::{Input, RunState};
use crate::time::Timestamp;

/// A turn that a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stand {
    /// What it needs a place in, beside one among all attempts.
    pub pool: Option<String>,
    pub class: Class,
    pub ticket: u64,
}

/// Who waits for a place in a pool, or in none: class by class, in order of the tickets that were drawn for it.
pub(super) type Line = [BTreeMap<u64, RunUid>; CLASS_COUNT];

/// The index of places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// A pool in which nobody waits has none.
    pub lines: BTreeMap<Option<String>, Line>,
    next_ticket: u64,
    pub live: usize,
    /// Those of runs that a quarter of the places is kept from.
    pub live_low: usize,
    /// How many live attempts have a place in each pool.
    pub in_pools: BTreeMap<String, usize>,
}

impl Places {
    /// A run waits for these turns from now on, by `class`; what it waited for already keeps its ticket.
    pub fn stand(&mut self, uid: RunUid, stands: &mut Vec<Stand>, class: Class, pools: &[Option<&str>]) {
        stands.retain(|stand| {
            let stays = stand.class == class && pools.contains(&stand.pool.as_deref());
            if !stays {
                self.leave(stand);
            }
            stays
        });
        for pool in pools {
            if stands.iter().any(|stand| stand.pool.as_deref() == *pool) {
                continue;
            }
            self.next_ticket += 1;
            let stand = Stand { pool: pool.map(str::to_owned), class, ticket: self.next_ticket };
            if let Some(queue) = self.lines.entry(stand.pool.clone()).or_default().get_mut(class.index()) {
                queue.insert(stand.ticket, uid);
            }
            stands.push(stand);
        }
    }

    /// A turn is waited for no longer.
    pub fn leave(&mut self, stand: &Stand) {
        let Some(line) = self.lines.get_mut(&stand.pool) else { return };
        if let Some(queue) = line.get_mut(stand.class.index()) {
            queue.remove(&stand.ticket);
        }
        if line.iter().all(BTreeMap::is_empty) {
            self.lines.remove(&stand.pool);
        }
    }

    /// What a run's live attempts take changed.
    pub fn count(&mut self, before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) {
        for (pool, count) in before {
            if let Some(taken) = self.in_pools.get_mut(pool) {
                *taken -= count;
                if *taken == 0 {
                    self.in_pools.remove(pool);
                }
            }
        }
        for (pool, count) in after {
            match self.in_pools.get_mut(pool) {
                Some(taken) => *taken += count,
                None => {
                    self.in_pools.insert(pool.clone(), *count);
                }
            }
        }
    }

    /// The first that waits in a pool, or for a place in none.
    fn first(&self, pool: &Option<String>, class: Class) -> Option<(u64, RunUid)> {
        let queue = self.lines.get(pool)?.get(class.index())?;
        queue.first_key_value().map(|(ticket, uid)| (*ticket, *uid))
    }
}

/// A pool, as people look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// How many places it has; 0 where the configuration does not name it any more.
    pub capacity: usize,
    /// Who has a place: the run and the step, in order of the runs.
    pub holders: Vec<(RunUid, StepNo)>,
    /// Who waits for one, the next one first: a run, with the step that it would start next.
    pub queue: Vec<(RunUid, StepNo)>,
}

impl Machine {
    /// How many places a pool has; any number where nobody said which pools there are.
    pub fn capacity(&self, pool: &str) -> usize {
        self.settings.pools.as_ref().map_or(usize::MAX, |pools| pools.get(pool).copied().unwrap_or(0))
    }

    /// Whether a place is free in a pool; none is needed where there is no pool.
    fn has_room(&self, pool: Option<&str>) -> bool {
        pool.is_none_or(|pool| self.places.in_pools.get(pool).copied().unwrap_or(0) < self.capacity(pool))
    }

    /// Every pool that the configuration names, or that somebody has a place in or waits for, in order.
    pub fn pools(&self) -> Vec<PoolView> {
        let configured = self.settings.pools.iter().flat_map(BTreeMap::keys);
        let waited = self.places.lines.keys().flatten();
        let names: std::collections::BTreeSet<&String> =
            configured.chain(waited).chain(self.places.in_pools.keys()).collect();
        names.into_iter().map(|name| self.pool_view(name)).collect()
    }

    fn pool_view(&self, name: &str) -> PoolView {
        let served = self.runs.values().filter(|slot| slot.in_pools.contains_key(name)).map(|slot| &slot.state);
        let has = |state: &RunState, step: StepNo| (state.pool(step) == Some(name)).then_some((state.uid(), step));
        let holders = served.flat_map(|state| state.live().filter_map(move |(step, ..)| has(state, step)));
        let line = self.places.lines.get(&Some(name.to_owned())).into_iter().flatten();
        let next = |uid: &RunUid| {
            let state = self.run(*uid)?;
            let (step, _) = state.next_start(self.now, Some(name), |step| self.may_lock(*uid, step))?;
            Some((*uid, step))
        };
        let queue = line.flat_map(BTreeMap::values).filter_map(next).collect();
        PoolView { name: name.to_owned(), capacity: self.capacity(name), holders: holders.collect(), queue }
    }

    /// The steps of a run that could start but for a place in a pool that is full, each with that pool and how many places of
    /// it are taken.
    pub fn waits_for_places(&self, uid: RunUid) -> Vec<(StepNo, String, usize)> {
        let Some(slot) = self.runs.get(&uid) else { return Vec::new() };
        let full =
            slot.stands.iter().filter_map(|stand| stand.pool.as_deref()).filter(|pool| !self.has_room(Some(pool)));
        let waiting = |pool: &str| {
            let taken = self.places.in_pools.get(pool).copied().unwrap_or(0);
            let steps = slot.state.starts_in(self.now, pool);
            steps.map(|step| (step, pool.to_owned(), taken)).collect::<Vec<_>>()
        };
        full.flat_map(waiting).collect()
    }

    /// Brings the index of places in line with a run's state.
    pub(super) fn index_places(&mut self, uid: RunUid) {
        let Some(slot) = self.runs.get_mut(&uid) else { return };
        let served = slot.quarantine.is_none();
        let live = if served { slot.state.live_count() } else { 0 };
        self.places.live = self.places.live + live - slot.live;
        if slot.low {
            self.places.live_low = self.places.live_low + live - slot.live;
        }
        slot.live = live;
        let unserved = BTreeMap::new();
        let in_pools = if served { slot.state.in_pools() } else { &unserved };
        if *in_pools != slot.in_pools {
            self.places.count(&slot.in_pools, in_pools);
            slot.in_pools.clone_from(in_pools);
        }
    }

    /// Brings the turns that a run waits for in line with its state: once it is known what locks it may have.
    pub(super) fn index_turns(&mut self, uid: RunUid, now: Timestamp) {
        let Some(slot) = self.runs.get(&uid) else { return };
        let state = &slot.state;
        let served = slot.quarantine.is_none();
        let pools = if served { state.wants_places(now, |step| self.may_lock(uid, step)) } else { Vec::new() };
        let class = if state.is_cleaning_up() { Class::Cleanup } else { Class::of(state.created()) };
        // Asked after every event of every run: nearly always it waits as before.
        let as_before = |stand: &Stand| stand.class == class && pools.contains(&stand.pool.as_deref());
        if slot.stands.len() == pools.len() && slot.stands.iter().all(as_before) {
            return;
        }
        let pools: Vec<Option<String>> = pools.into_iter().map(|pool| pool.map(str::to_owned)).collect();
        let pools: Vec<Option<&str>> = pools.iter().map(Option::as_deref).collect();
        if let Some(slot) = self.runs.get_mut(&uid) {
            self.places.stand(uid, &mut slot.stands, class, &pools);
        }
    }

    /// The next of a class that gets a place, and what it needs one in beside: of those that wait for what is free, who
    /// waits the longest.
    fn next_turn(&self, class: Class) -> Option<(Option<String>, RunUid)> {
        let kept = if class.is_low() { self.settings.places / 4 } else { 0 };
        let full = self.places.live >= self.settings.places
            || (class.is_low() && self.places.live_low + kept >= self.settings.places);
        if full {
            return None;
        }
        let open = self.places.lines.keys().filter(|pool| self.has_room(pool.as_deref()));
        let first = open.filter_map(|pool| self.places.first(pool, class).map(|(ticket, uid)| (ticket, pool, uid)));
        first.min_by_key(|(ticket, ..)| *ticket).map(|(_, pool, uid)| (pool.clone(), uid))
    }

    /// Gives out places, class by class, run by run in turn, until there are no more, or until somebody may have a lock or
    /// group now: then it says so, and is to be called again.
    pub(super) fn grant(&mut self, now: Timestamp, batch: &mut Batch) -> bool {
        let boot = self.settings.boot.clone();
        for class in CLASSES {
            while let Some((pool, uid)) = self.next_turn(class) {
                let Some(slot) = self.runs.get_mut(&uid) else { break };
                // It draws a new ticket when it waits again.
                if let Some(place) = slot.stands.iter().position(|stand| stand.pool == pool) {
                    self.places.leave(&slot.stands.swap_remove(place));
                }
                let Some(slot) = self.runs.get(&uid) else { break };
                let next = slot.state.next_start(now, pool.as_deref(), |step| self.may_lock(uid, step));
                let Some((step, kind)) = next else { continue };
                let input = Input::StartAttempt { step, kind, boot: boot.clone() };
                // A start that `next_start` named is not refused.
                let _ = self.put(now, uid, input, batch);
                // Who waits for a lock no longer, since that run has no room for another step, may go before all that follow.
                if self.locks.is_open() {
                    return true;
                }
            }
        }
        false
    }
}
