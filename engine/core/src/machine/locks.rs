//! Who has which lock and group, who waits for them, and who waits for himself through others. All of it can be derived
//! from the runs' states. Never decides what comes of a wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::{Class, Resource};
use crate::id::{RunUid, StepNo};

/// What has locks, or waits for them: a run as a whole, or a step of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The run.
    pub run: RunUid,
    /// The step; `None` for the run's own locks and its group.
    pub step: Option<StepNo>,
}

/// Where a wait stands: first what belongs to something that has locks, since others wait for that; then by priority, origin and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// Whether nothing above it has any lock or group.
    pub bare: bool,
    pub class: Class,
    /// Of the run at the top.
    pub number: u64,
    pub claim: Claim,
}

/// A wait.
#[derive(Debug, Clone)]
struct Wait {
    turn: Turn,
    above: Vec<Claim>,
    resources: Vec<Resource>,
}

/// A link of a circle: who waits, for what, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub waits: Claim,
    pub resource: Resource,
    pub holder: Claim,
}

/// The index of locks and groups.
#[derive(Debug, Default)]
pub(super) struct Locks {
    holders: BTreeMap<Resource, BTreeSet<Claim>>,
    held: HashMap<Claim, Vec<Resource>>,
    waits: HashMap<Claim, Wait>,
    waiters: BTreeMap<Resource, BTreeSet<Turn>>,
    /// Waits that may be over now.
    maybe: BTreeSet<Turn>,
    /// What waits below something that has locks.
    below: HashMap<Claim, BTreeSet<Claim>>,
    /// Waits that may have closed a circle.
    suspects: BTreeSet<Claim>,
}

impl Locks {
    /// Who has a resource: more than one only where each is part of the one before.
    pub fn holders(&self, resource: &Resource) -> impl Iterator<Item = Claim> {
        self.holders.get(resource).into_iter().flatten().copied()
    }

    /// Everything that is held.
    pub const fn all(&self) -> &BTreeMap<Resource, BTreeSet<Claim>> {
        &self.holders
    }

    /// Everything that is held or waited for behind one of them, in order.
    pub fn from(&self, after: Option<&Resource>) -> impl Iterator<Item = &Resource> {
        let bounds = (after.map_or(Unbounded, Excluded), Unbounded);
        let mut held = self.holders.range::<Resource, _>(bounds).map(|(resource, _)| resource).peekable();
        let mut wanted = self.waiters.range::<Resource, _>(bounds).map(|(resource, _)| resource).peekable();
        std::iter::from_fn(move || {
            let next = match (held.peek().copied(), wanted.peek().copied()) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => one.or(other)?,
            };
            held.next_if(|resource| *resource == next);
            wanted.next_if(|resource| *resource == next);
            Some(next)
        })
    }

    /// Whether it has anything.
    pub fn has_any(&self, claim: Claim) -> bool {
        self.held.contains_key(&claim)
    }

    /// The first that waits for a resource.
    pub fn first_waiter(&self, resource: &Resource) -> Option<Turn> {
        self.waiters.get(resource)?.first().copied()
    }

    /// All that wait for a resource, the next one first.
    pub fn waiters(&self, resource: &Resource) -> impl Iterator<Item = Turn> {
        self.waiters.get(resource).into_iter().flatten().copied()
    }

    /// How many wait for a resource.
    pub fn waiting(&self, resource: &Resource) -> usize {
        self.waiters.get(resource).map_or(0, BTreeSet::len)
    }

    /// Somebody begins to wait. `above` is what it is part of.
    pub fn queue(&mut self, turn: Turn, above: Vec<Claim>, resources: Vec<Resource>) {
        self.maybe.insert(turn);
        for resource in &resources {
            self.waiters.entry(resource.clone()).or_default().insert(turn);
        }
        for holder in above.iter().filter(|claim| self.held.contains_key(claim)) {
            self.below.entry(*holder).or_default().insert(turn.claim);
        }
        // Nobody waits for what nothing above has anything of.
        if !turn.bare {
            self.suspects.insert(turn.claim);
        }
        self.waits.insert(turn.claim, Wait { turn, above, resources });
    }

    /// It waits no longer.
    pub fn unqueue(&mut self, claim: Claim) {
        let Some(Wait { turn, above, resources }) = self.waits.remove(&claim) else { return };
        self.maybe.remove(&turn);
        self.suspects.remove(&claim);
        for holder in above {
            if let Some(below) = self.below.get_mut(&holder) {
                below.remove(&claim);
                if below.is_empty() {
                    self.below.remove(&holder);
                }
            }
        }
        for resource in resources {
            if let Some(waiters) = self.waiters.get_mut(&resource) {
                waiters.remove(&turn);
                if waiters.is_empty() {
                    self.waiters.remove(&resource);
                }
            }
            self.look_again(&resource);
        }
    }

    /// It has these from now on.
    pub fn hold(&mut self, claim: Claim, resources: Vec<Resource>) {
        for resource in &resources {
            self.holders.entry(resource.clone()).or_default().insert(claim);
        }
        self.held.insert(claim, resources);
    }

    /// It has nothing any more.
    pub fn release(&mut self, claim: Claim) {
        for resource in self.held.remove(&claim).unwrap_or_default() {
            if let Some(holders) = self.holders.get_mut(&resource) {
                holders.remove(&claim);
                if holders.is_empty() {
                    self.holders.remove(&resource);
                }
            }
            self.look_again(&resource);
        }
    }

    /// Whoever waits for this may have it now: those that go first, and the first of the others.
    fn look_again(&mut self, resource: &Resource) {
        for turn in self.waiters.get(resource).into_iter().flatten() {
            self.maybe.insert(*turn);
            if turn.bare {
                break;
            }
        }
    }

    /// Whether there may be somebody who waits no longer.
    pub fn is_open(&self) -> bool {
        !self.maybe.is_empty() || !self.suspects.is_empty()
    }

    /// The next whose wait may be over, to be asked about once.
    pub fn next_candidate(&mut self) -> Option<Turn> {
        self.maybe.pop_first()
    }

    /// Whether somebody may have all that it wants: each is free, or had by what it is part of; and unless that has
    /// something, nobody before it wants any.
    pub fn is_free(&self, turn: Turn, above: &[Claim], resources: &[Resource]) -> bool {
        resources.iter().all(|resource| {
            let free = self.holders(resource).all(|holder| above.contains(&holder));
            free && (!turn.bare || self.first_waiter(resource).is_none_or(|first| first >= turn))
        })
    }

    /// For each thing that somebody waits for, one that keeps it from him: who has it, else who is before him.
    pub fn kept_from(&self, claim: Claim) -> Vec<(Resource, Claim)> {
        let Some(wait) = self.waits.get(&claim) else { return Vec::new() };
        let by = |resource: &Resource| {
            let holder = self.holders(resource).find(|holder| !wait.above.contains(holder));
            let before = self.first_waiter(resource).filter(|first| wait.turn.bare && *first < wait.turn);
            holder.or(before.map(|turn| turn.claim))
        };
        wait.resources.iter().filter_map(|resource| Some((resource.clone(), by(resource)?))).collect()
    }

    /// The next wait that may have closed a circle, to be asked about once.
    pub fn next_suspect(&mut self) -> Option<Claim> {
        self.suspects.pop_first()
    }

    /// The circle that somebody waits in: what he waits for, and who has it, of which a part waits for the next, and so on
    /// until something that he is part of.
    pub fn circle(&self, claim: Claim) -> Option<Vec<Link>> {
        let start = self.waits.get(&claim)?;
        let mut path: Vec<Link> = Vec::new();
        let mut seen: HashSet<Claim> = HashSet::new();
        // Each entry: how long the path is before it, and the link.
        let mut open: Vec<(usize, Link)> = self.links(start).map(|link| (0, link)).collect();
        while let Some((depth, link)) = open.pop() {
            path.truncate(depth);
            let holder = link.holder;
            path.push(link);
            if start.above.contains(&holder) {
                return Some(path);
            }
            if !seen.insert(holder) {
                continue;
            }
            for wait in self.below.get(&holder).into_iter().flatten().filter_map(|below| self.waits.get(below)) {
                open.extend(self.links(wait).map(|link| (depth + 1, link)));
            }
        }
        None
    }

    fn links<'a>(&'a self, wait: &'a Wait) -> impl Iterator<Item = Link> {
        wait.resources.iter().flat_map(move |resource| {
            let holders = self.holders(resource).filter(|holder| !wait.above.contains(holder));
            holders.map(|holder| Link { waits: wait.turn.claim, resource: resource.clone(), holder })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::class::Asker;
    use super::*;
    use crate::definition::Priority;

    fn lock(name: &str) -> Vec<Resource> {
        vec![Resource::Lock(name.to_owned())]
    }

    const fn run(bits: u128) -> Claim {
        Claim { run: RunUid::from_bits(bits), step: None }
    }

    const fn step(bits: u128, no: u32) -> Claim {
        Claim { run: RunUid::from_bits(bits), step: Some(StepNo(no)) }
    }

    fn turn(bare: bool, claim: Claim) -> Turn {
        Turn { bare, class: Class::Of(Priority::Normal, Asker::Person), number: claim.run.bits() as u64, claim }
    }

    #[test]
    fn a_circle_goes_through_what_waits_below_a_holder() {
        let mut locks = Locks::default();
        for (bits, name) in [(1, "a"), (2, "b"), (3, "c")] {
            locks.hold(run(bits), lock(name));
        }
        locks.queue(turn(false, step(1, 0)), vec![run(1)], lock("b"));
        locks.queue(turn(false, step(2, 0)), vec![run(2)], lock("c"));
        assert_eq!(locks.circle(step(1, 0)), None);
        locks.queue(turn(false, step(3, 0)), vec![run(3)], lock("a"));
        let circle = locks.circle(step(3, 0)).unwrap();
        assert_eq!(circle.iter().map(|link| link.holder).collect::<Vec<_>>(), [run(1), run(2), run(3)]);
        locks.unqueue(step(2, 0));
        assert_eq!(locks.circle(step(3, 0)), None);
    }

    #[test]
    fn what_another_step_of_a_run_waits_for_closes_no_circle() {
        // Each run has a step that has one lock and goes on, and another that waits for that of the other run.
        let mut locks = Locks::default();
        locks.hold(step(1, 0), lock("a"));
        locks.hold(step(2, 0), lock("b"));
        locks.queue(turn(true, step(1, 1)), vec![run(1)], lock("b"));
        locks.queue(turn(true, step(2, 1)), vec![run(2)], lock("a"));
        assert_eq!(locks.circle(step(2, 1)), None);
        assert_eq!(locks.next_suspect(), None);
    }

    #[test]
    fn a_lock_is_free_for_what_is_part_of_its_holder() {
        let mut locks = Locks::default();
        locks.hold(run(1), lock("a"));
        let (own, other) = (turn(false, step(1, 0)), turn(true, run(2)));
        assert!(locks.is_free(own, &[run(1)], &lock("a")));
        assert!(!locks.is_free(other, &[], &lock("a")));
        locks.hold(step(1, 0), lock("a"));
        // Not for another part.
        assert!(!locks.is_free(turn(false, step(1, 1)), &[run(1)], &lock("a")));
        locks.release(run(1));
        assert!(!locks.is_free(other, &[], &lock("a")));
        locks.release(step(1, 0));
        assert!(locks.is_free(other, &[], &lock("a")));
    }

    #[test]
    fn nobody_is_overtaken_but_by_those_that_others_wait_for() {
        let mut locks = Locks::default();
        locks.hold(run(9), lock("b"));
        let both: Vec<Resource> = [lock("a"), lock("b")].concat();
        locks.queue(turn(true, step(1, 0)), vec![run(1)], both);
        // The lock is free, and another is before it.
        assert!(!locks.is_free(turn(true, run(2)), &[], &lock("a")));
        assert!(locks.is_free(turn(false, step(9, 0)), &[run(9)], &lock("a")));
        locks.unqueue(step(1, 0));
        assert!(locks.is_free(turn(true, run(2)), &[], &lock("a")));
    }
}
