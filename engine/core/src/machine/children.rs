//! Trees of runs: a parent's fact and its child's first event in one batch, a child's end and what it means for the
//! parent in one batch, endings from above to below. Iterative throughout: neither depth nor number of child runs costs
//! stack. What is decided about each run is its own policy's.

use std::sync::Arc;

use super::{Batch, Machine};
use crate::definition::step_path;
use crate::id::{RunUid, StepNo};
use crate::limits;
use crate::run::call::{Call, call, why_ended};
use crate::run::decide::create;
use crate::run::{
    Event, Fact, Illegal, Input, Outcome, Phase, Principal, Provision, Rejection, RunState, Start, Waits, decide,
    settle,
};
use crate::time::Timestamp;

/// What the child runs that are on are told of a fact about the run above.
pub(super) fn told_below(fact: &Fact) -> Option<Input> {
    match fact {
        Fact::Ending { cause } => Some(Input::Above { cause: cause.clone() }),
        Fact::RollbackAbandoned { by, reason } => Some(Input::AbandonBelow { by: by.clone(), reason: reason.clone() }),
        Fact::Paused { by, reason, .. } => Some(Input::PauseBelow { by: by.clone(), reason: reason.clone() }),
        Fact::Continued { by, reason } => Some(Input::ContinueBelow { by: by.clone(), reason: reason.clone() }),
        _ => None,
    }
}

impl Machine {
    /// Takes in a child run from its events, after the run whose step started it. A known run stays as it is.
    ///
    /// # Errors
    /// The first event is unusable, or its parent is not there.
    pub fn load_child(&mut self, uid: RunUid, events: &[Event], now: Timestamp) -> Result<Option<Illegal>, Illegal> {
        let unusable = |why: &str| Illegal { run: uid, number: 1, event: "created", why: why.to_owned() };
        let Some(Fact::Created(created)) = events.first().map(|event| &event.fact) else {
            return Err(unusable("the first event must be `created`"));
        };
        let parent = created.parent.ok_or_else(|| unusable("it is no child run"))?;
        let above = self.run(parent.run).ok_or_else(|| unusable("the run above it is not there"))?;
        let mut below = above.definitions().filter_map(|pinned| pinned.below(parent.step, &created.items));
        let pinned = below.find(|pinned| pinned.digest == created.definition);
        drop(below);
        let pinned = pinned.ok_or_else(|| unusable("its definition is not pinned with the run above it"))?;
        self.load(uid, pinned, &[], events, now)
    }

    /// Takes a run out of service, with its tree as far as that waits for it.
    pub fn take_out(&mut self, uid: RunUid, why: &str, now: Timestamp) {
        if let Some(slot) = self.runs.get_mut(&uid) {
            slot.quarantine.get_or_insert_with(|| why.to_owned());
            self.index(uid, now);
        }
    }

    /// The child runs below a run at the top that are in memory, in the order in which they were taken in.
    pub fn tree(&self, root: RunUid) -> &[RunUid] {
        self.trees.get(&root).map_or(&[], Vec::as_slice)
    }

    /// How steps of a run are named from the top of its tree: `a/b/` before the id of a step of the child run of the step
    /// `b` of the child run of the step `a`; nothing at the top.
    pub fn path(&self, uid: RunUid) -> String {
        let mut path = String::new();
        let mut next = self.run(uid).and_then(RunState::parent);
        while let Some(parent) = next {
            let Some(above) = self.run(parent.run) else { break };
            let id = above.pinned().runbook.step(parent.step).map_or("?", |step| step.id.as_str());
            path = step_path(&format!("{id}/"), &path);
            next = above.parent();
        }
        path
    }

    /// All that follows from the state of a run, in it, below it and above it.
    pub(super) fn follow(&mut self, now: Timestamp, uid: RunUid, batch: &mut Batch) {
        let mut open = vec![uid];
        while let Some(uid) = open.pop() {
            self.settle(now, uid, batch);
            self.fall(now, uid, batch, &mut open);
            // What starts here takes its locks at once, and what it starts looks at them.
            if self.runs.get(&uid).is_some_and(|slot| slot.state.has_calls() || slot.state.compensates()) {
                self.index_locks(uid, now);
            }
            if let Some((step, child)) = self.next_undo(uid) {
                open.push(uid);
                open.extend(self.roll_back_below(now, uid, step, child, batch));
                continue;
            }
            if let Some(step) = self.next_call(uid) {
                open.push(uid);
                open.extend(self.call(now, uid, step, batch));
                continue;
            }
            self.index(uid, now);
            open.extend(self.tell_parent(now, uid, batch));
        }
    }

    fn settle(&mut self, now: Timestamp, uid: RunUid, batch: &mut Batch) {
        while let Some(slot) = self.runs.get(&uid)
            && slot.quarantine.is_none()
            && let Some(fact) = settle(&slot.state, now, &self.settings.artifacts)
        {
            if !self.record(now, uid, fact, batch) {
                break;
            }
        }
    }

    /// Ends what is below a run that goes to its end, gives up what is rolled back for one that gives that up, holds what is
    /// below a run that is held, and lets it go on with that.
    fn fall(&mut self, now: Timestamp, uid: RunUid, batch: &mut Batch, open: &mut Vec<RunUid>) {
        let fallen = self.falling.remove(&uid).unwrap_or_default();
        let children: Vec<RunUid> = match (fallen.is_empty(), self.run(uid)) {
            (false, Some(state)) => state.children().values().copied().collect(),
            _ => return,
        };
        for (child, fallen) in children.iter().flat_map(|child| fallen.iter().map(move |fallen| (*child, fallen))) {
            let Some(slot) = self.runs.get(&child).filter(|slot| slot.quarantine.is_none()) else { continue };
            // Nothing that comes from above is refused.
            let facts = decide(&slot.state, now, fallen.clone()).unwrap_or_default();
            for fact in facts {
                self.record(now, child, fact, batch);
                open.push(child);
            }
        }
    }

    fn next_undo(&self, uid: RunUid) -> Option<(StepNo, RunUid)> {
        self.runs.get(&uid).filter(|slot| slot.quarantine.is_none())?.state.next_undo(|step| self.may_lock(uid, step))
    }

    /// Rolls back the child run of a step; gives that.
    fn roll_back_below(
        &mut self,
        now: Timestamp,
        uid: RunUid,
        step: StepNo,
        child: RunUid,
        batch: &mut Batch,
    ) -> Option<RunUid> {
        self.record(now, uid, Fact::ChildRollingBack { step, child }, batch);
        self.index_locks(uid, now);
        let slot = self.runs.get(&child).filter(|slot| slot.quarantine.is_none())?;
        for fact in decide(&slot.state, now, Input::RollBackBelow).unwrap_or_default() {
            self.record(now, child, fact, batch);
        }
        Some(child)
    }

    /// Tries again every compensation that failed in a run that is rolled back, and in what is rolled back for it.
    pub(super) fn try_again(
        &mut self,
        now: Timestamp,
        uid: RunUid,
        by: &Principal,
        reason: &str,
        batch: &mut Batch,
    ) -> Result<(), Rejection> {
        let mut touched = Vec::new();
        let mut open = vec![uid];
        while let Some(uid) = open.pop() {
            let Some(slot) = self.runs.get(&uid).filter(|slot| slot.quarantine.is_none()) else { continue };
            open.extend(slot.state.children().values().copied());
            let input = Input::TryAgain { by: by.clone(), reason: reason.to_owned() };
            let facts = decide(&slot.state, now, input)?;
            if facts.is_empty() {
                continue;
            }
            for fact in facts {
                self.record(now, uid, fact, batch);
            }
            touched.push(uid);
        }
        if touched.is_empty() {
            return Err(Rejection::RollingBack);
        }
        for uid in touched {
            self.follow(now, uid, batch);
        }
        Ok(())
    }

    /// Tells the child runs below a run at the top of values that it was given.
    pub(super) fn provide_below(&mut self, now: Timestamp, root: RunUid, provision: &Provision, batch: &mut Batch) {
        for uid in self.tree(root).to_vec() {
            let Some(slot) = self.runs.get(&uid).filter(|slot| slot.quarantine.is_none()) else { continue };
            // Nothing that comes from above is refused.
            let facts = decide(&slot.state, now, Input::Available(Box::new(provision.clone()))).unwrap_or_default();
            if facts.is_empty() {
                continue;
            }
            for fact in facts {
                self.record(now, uid, fact, batch);
            }
            self.follow(now, uid, batch);
        }
    }

    fn next_call(&self, uid: RunUid) -> Option<StepNo> {
        self.runs.get(&uid).filter(|slot| slot.quarantine.is_none())?.state.next_call(|step| self.may_lock(uid, step))
    }

    /// Starts the child run of a step, or opens it again, or fails the step; gives the child run.
    fn call(&mut self, now: Timestamp, uid: RunUid, step: StepNo, batch: &mut Batch) -> Option<RunUid> {
        let state = self.run(uid)?;
        let before = state.step(step)?.child.and_then(|child| self.run(child));
        let made = match call(state, step, before, &self.settings.artifacts) {
            Ok(Call::Again(child)) => {
                self.record(now, uid, Fact::ChildStarting { step, child, again: true }, batch);
                self.index_locks(uid, now);
                let again = decide(self.run(child)?, now, Input::Reopen).unwrap_or_default();
                again.into_iter().for_each(|fact| {
                    self.record(now, child, fact, batch);
                });
                return Some(child);
            }
            Ok(Call::New(start)) => self.child_fact(&start).map(|created| (start, created)),
            Err(message) => Err(message),
        };
        let (start, created) = match made {
            Ok(made) => made,
            Err(message) => {
                self.record(now, uid, Fact::StepFailed { step, message: limits::fit(message) }, batch);
                return None;
            }
        };
        let state = self.run(uid)?;
        // Time goes on from a run to what it starts.
        let at = now.max(state.last_at());
        let depth = start.parent.as_ref().map_or(0, |parent| parent.depth);
        let child = RunUid::of_child(uid, step, state.step(step)?.children, depth, at);
        if !self.record(now, uid, Fact::ChildStarting { step, child, again: false }, batch) {
            return None;
        }
        self.index_locks(uid, now);
        self.make(at, child, &start, created, batch).ok()?;
        Some(child)
    }

    /// The first fact of a child run, or why there is none.
    fn child_fact(&self, start: &Start) -> Result<Fact, String> {
        let fact = create(start).map_err(|rejection| rejection.to_string())?;
        if let (Fact::Created(created), Some(parent)) = (&fact, &start.parent) {
            let below = self.tree(parent.root).len();
            if below >= limits::CHILD_RUNS {
                return Err(format!("the run at the top has {below} child runs; the limit is {}", limits::CHILD_RUNS));
            }
            self.check_overlap(start, created).map_err(|rejection| rejection.to_string())?;
        }
        Ok(fact)
    }

    /// Makes a run from its first fact.
    pub(super) fn make(
        &mut self,
        at: Timestamp,
        uid: RunUid,
        start: &Start,
        fact: Fact,
        batch: &mut Batch,
    ) -> Result<(), Rejection> {
        let event = Event { number: 1, at, fact };
        let state = RunState::create(uid, Arc::clone(&start.pinned), &event)
            .map_err(|illegal| Rejection::Quarantined { why: illegal.to_string() })?;
        batch.events.push((uid, event));
        self.insert(state, None, at);
        Ok(())
    }

    /// Tells the run above that a child run is over, or waits for a person; gives the run above where it learned
    /// something.
    fn tell_parent(&mut self, now: Timestamp, uid: RunUid, batch: &mut Batch) -> Option<RunUid> {
        let slot = self.runs.get(&uid)?;
        let state = &slot.state;
        let parent = *state.parent()?;
        let above = self.runs.get(&parent.run).filter(|above| above.quarantine.is_none())?;
        if above.state.children().get(&parent.step) != Some(&uid) {
            return None;
        }
        let waits = if slot.quarantine.is_some() { Waits::Attention } else { state.waits() };
        let input = match state.phase() {
            Phase::Terminal(outcome) => {
                let succeeded = outcome == Outcome::Succeeded;
                let outputs = if succeeded { state.outputs().clone() } else { Default::default() };
                let message = if succeeded { String::new() } else { why_ended(state) };
                let left = state.leaves();
                Input::ChildEnded { step: parent.step, child: uid, outcome, outputs, message, left }
            }
            _ if waits != above.state.waits_below(parent.step) => {
                Input::ChildWaits { step: parent.step, child: uid, waits }
            }
            Phase::Queued | Phase::Running | Phase::RollingBack(_) | Phase::Finishing(_) => return None,
        };
        // What a child run tells is never refused.
        let facts = decide(&above.state, now, input).unwrap_or_default();
        for fact in facts {
            self.record(now, parent.run, fact, batch);
        }
        Some(parent.run)
    }
}
