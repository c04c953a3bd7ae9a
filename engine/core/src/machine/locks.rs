//! Who has which lock and group, who waits for them, and whether trees of runs wait for each other in a circle. All of
//! it can be derived from the runs' states. Never decides what comes of a wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::{Class, Resource};
use crate::id::RunUid;

/// Where a queued run stands: child runs first, since their tree has begun; then by origin and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// Whether it is at the top of its tree.
    pub top: bool,
    pub class: Class,
    /// Of the run at the top.
    pub number: u64,
    pub uid: RunUid,
}

/// The runs of one tree that have a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub root: RunUid,
    pub runs: BTreeSet<RunUid>,
}

/// The index of locks and groups.
#[derive(Debug, Default)]
pub(super) struct Locks {
    holders: HashMap<Resource, Holder>,
    waiters: HashMap<Resource, BTreeSet<Turn>>,
    /// Queued runs that may be admitted now.
    maybe: BTreeSet<Turn>,
    /// What the queued child runs of each tree want, and which of them.
    wants: HashMap<RunUid, BTreeMap<Resource, BTreeSet<RunUid>>>,
    /// The trees whose queued child runs want a resource.
    wanted_by: HashMap<Resource, BTreeSet<RunUid>>,
    /// Queued child runs that a circle may go through.
    suspects: BTreeSet<RunUid>,
}

impl Locks {
    /// The tree that has a resource.
    pub fn holder(&self, resource: &Resource) -> Option<RunUid> {
        self.holders.get(resource).map(|holder| holder.root)
    }

    /// Everything that is held.
    pub const fn holders(&self) -> &HashMap<Resource, Holder> {
        &self.holders
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

    /// A run begins to wait.
    pub fn queue(&mut self, turn: Turn, root: RunUid, resources: &[Resource]) {
        self.maybe.insert(turn);
        for resource in resources {
            self.waiters.entry(resource.clone()).or_default().insert(turn);
            if !turn.top {
                let tree = self.wants.entry(root).or_default();
                tree.entry(resource.clone()).or_default().insert(turn.uid);
                self.wanted_by.entry(resource.clone()).or_default().insert(root);
            }
        }
        if !turn.top && !resources.is_empty() {
            self.suspects.insert(turn.uid);
        }
    }

    /// A run waits no longer.
    pub fn unqueue(&mut self, turn: Turn, root: RunUid, resources: &[Resource]) {
        self.maybe.remove(&turn);
        self.suspects.remove(&turn.uid);
        for resource in resources {
            if let Some(waiters) = self.waiters.get_mut(resource) {
                waiters.remove(&turn);
                self.maybe.extend(waiters.first().copied());
                if waiters.is_empty() {
                    self.waiters.remove(resource);
                }
            }
            if !turn.top {
                self.want_no_longer(turn.uid, root, resource);
            }
        }
    }

    fn want_no_longer(&mut self, child: RunUid, root: RunUid, resource: &Resource) {
        let Some(tree) = self.wants.get_mut(&root) else { return };
        let Some(children) = tree.get_mut(resource) else { return };
        children.remove(&child);
        if !children.is_empty() {
            return;
        }
        tree.remove(resource);
        if tree.is_empty() {
            self.wants.remove(&root);
        }
        if let Some(trees) = self.wanted_by.get_mut(resource) {
            trees.remove(&root);
            if trees.is_empty() {
                self.wanted_by.remove(resource);
            }
        }
    }

    /// A run has its resources from now on.
    pub fn hold(&mut self, uid: RunUid, root: RunUid, resources: &[Resource]) {
        for resource in resources {
            let new = || Holder { root, runs: BTreeSet::new() };
            self.holders.entry(resource.clone()).or_insert_with(new).runs.insert(uid);
            // Whoever waits for it waits for another tree now. One of each tree stands for all of it.
            for other in self.wanted_by.get(resource).into_iter().flatten().filter(|other| **other != root) {
                let first = self.wants.get(other).and_then(|tree| tree.get(resource)?.first().copied());
                self.suspects.extend(first);
            }
        }
    }

    /// A run has them no longer.
    pub fn release(&mut self, uid: RunUid, resources: &[Resource]) {
        for resource in resources {
            if let Some(holder) = self.holders.get_mut(resource) {
                holder.runs.remove(&uid);
                if holder.runs.is_empty() {
                    self.holders.remove(resource);
                }
            }
            self.maybe.extend(self.first_waiter(resource));
        }
    }

    /// Whether there may be somebody to admit.
    pub fn may_admit(&self) -> bool {
        !self.maybe.is_empty()
    }

    /// The next that may be admitted, to be asked about once.
    pub fn next_candidate(&mut self) -> Option<Turn> {
        self.maybe.pop_first()
    }

    /// Whether a queued run may have all that it wants: free, or within its own tree; at the top also wanted by nobody
    /// before it.
    pub fn is_free(&self, turn: Turn, root: RunUid, resources: &[Resource]) -> bool {
        resources.iter().all(|resource| {
            let free = self.holder(resource).is_none_or(|holder| holder == root);
            free && (!turn.top || self.first_waiter(resource).is_none_or(|first| first == turn))
        })
    }

    /// A candidate was asked about: whoever waits behind it for the same may be admitted although it was not, or since
    /// its tree has it now.
    pub fn pass_on(&mut self, turn: Turn, root: RunUid, resources: &[Resource]) {
        for resource in resources {
            let Some(waiters) = self.waiters.get(resource) else { continue };
            let Some(next) = waiters.range((Excluded(turn), Unbounded)).next().copied() else { continue };
            let goes_on = match self.holder(resource) {
                None => !next.top,
                Some(holder) => holder == root && !next.top && next.number == turn.number,
            };
            if goes_on {
                self.maybe.insert(next);
            }
        }
    }

    /// The next queued child run that a circle may go through, to be asked about once.
    pub fn next_suspect(&mut self) -> Option<RunUid> {
        self.suspects.pop_first()
    }

    /// The circle that a queued child run waits in: which resource it waits for, and the tree that has it, which waits for
    /// the next, and so on until its own tree.
    pub fn circle(&self, root: RunUid, resources: &[Resource]) -> Option<Vec<(Resource, RunUid)>> {
        let mut path: Vec<(Resource, RunUid)> = Vec::new();
        let mut seen: HashSet<RunUid> = HashSet::new();
        // Each entry: how long the path is before it, what is waited for, and by which tree it is held.
        let mut open: Vec<(usize, Resource, RunUid)> = Vec::new();
        let held = |resource: &Resource, by: RunUid| self.holder(resource).filter(|holder| *holder != by);
        for resource in resources {
            open.extend(held(resource, root).map(|holder| (0, resource.clone(), holder)));
        }
        while let Some((depth, resource, tree)) = open.pop() {
            path.truncate(depth);
            path.push((resource, tree));
            if tree == root {
                return Some(path);
            }
            if !seen.insert(tree) {
                continue;
            }
            for wanted in self.wants.get(&tree).into_iter().flat_map(BTreeMap::keys) {
                open.extend(held(wanted, tree).map(|holder| (depth + 1, wanted.clone(), holder)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RunUid = RunUid::from_bits(1);
    const B: RunUid = RunUid::from_bits(2);
    const C: RunUid = RunUid::from_bits(3);

    fn lock(name: &str) -> Vec<Resource> {
        vec![Resource::Lock(name.to_owned())]
    }

    fn child(of: RunUid, bits: u128) -> Turn {
        Turn { top: false, class: Class::Person, number: of.bits() as u64, uid: RunUid::from_bits(bits) }
    }

    #[test]
    fn a_circle_is_found_through_others() {
        let mut locks = Locks::default();
        locks.hold(A, A, &lock("a"));
        locks.hold(B, B, &lock("b"));
        locks.hold(C, C, &lock("c"));
        locks.queue(child(A, 11), A, &lock("b"));
        locks.queue(child(B, 12), B, &lock("c"));
        assert_eq!(locks.circle(A, &lock("b")), None);
        locks.queue(child(C, 13), C, &lock("a"));
        let circle = locks.circle(C, &lock("a")).unwrap();
        assert_eq!(circle.iter().map(|(_, tree)| *tree).collect::<Vec<_>>(), [A, B, C]);
        locks.unqueue(child(B, 12), B, &lock("c"));
        assert_eq!(locks.circle(C, &lock("a")), None);
    }

    #[test]
    fn who_waits_is_looked_at_again_when_a_lock_changes_hands() {
        let mut locks = Locks::default();
        locks.hold(A, A, &lock("a"));
        let waits = child(B, 11);
        locks.queue(waits, B, &lock("a"));
        assert_eq!(locks.next_suspect(), Some(waits.uid));
        locks.release(A, &lock("a"));
        assert_eq!(locks.next_suspect(), None);
        locks.hold(C, C, &lock("a"));
        assert_eq!(locks.next_suspect(), Some(waits.uid));
        // Its own tree does not keep it waiting.
        locks.release(C, &lock("a"));
        locks.hold(B, B, &lock("a"));
        assert_eq!(locks.next_suspect(), None);
    }

    #[test]
    fn a_lock_is_free_within_its_tree() {
        let mut locks = Locks::default();
        locks.hold(A, A, &lock("a"));
        let (own, other) = (child(A, 11), child(B, 12));
        assert!(locks.is_free(own, A, &lock("a")));
        assert!(!locks.is_free(other, B, &lock("a")));
        locks.hold(own.uid, A, &lock("a"));
        locks.release(A, &lock("a"));
        assert!(!locks.is_free(other, B, &lock("a")));
        locks.release(own.uid, &lock("a"));
        assert!(locks.is_free(other, B, &lock("a")));
    }
}
