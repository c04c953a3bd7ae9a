//! Locks of runs and steps: who has them and waits for them by the runs' states, who may go on, and which waits end since
//! they would last for ever. What is held and waited for is kept in `locks`.

use std::collections::BTreeSet;

use super::locks::{Link, Turn};
use super::{Batch, Claim, Class, Machine, Resource, resources};
use crate::id::{RunUid, StepNo};
use crate::limits;
use crate::run::{Input, Phase, RunState};
use crate::time::Timestamp;

/// What a claim is about, by the state of its run.
pub(super) fn wanted(state: &RunState, step: Option<StepNo>) -> Vec<Resource> {
    match step {
        None => resources(state.created()),
        Some(step) => {
            let names = state.step(step).map_or(&[][..], |state| &state.locks);
            names.iter().cloned().map(Resource::Lock).collect()
        }
    }
}

/// What a run has, and what it waits for: itself, and its steps.
pub(super) fn claims(state: &RunState, served: bool, now: Timestamp) -> (BTreeSet<Claim>, BTreeSet<Claim>) {
    (held(state).collect(), waiting(state, served, now).collect())
}

/// What a run has, in order.
fn held(state: &RunState) -> impl Iterator<Item = Claim> {
    let own = state.holds().then_some(None);
    own.into_iter().chain(state.locking().map(Some)).map(|step| Claim { run: state.uid(), step })
}

/// What a run waits for, in order. One that is out of service waits for nothing, and keeps what it has: nobody knows what it
/// was doing.
fn waiting(state: &RunState, served: bool, now: Timestamp) -> impl Iterator<Item = Claim> {
    let own =
        (served && state.phase() == Phase::Queued && state.begins().is_none() && !state.is_gated()).then_some(None);
    let mut steps = if served { state.lock_waits(now) } else { Vec::new() };
    steps.sort_unstable();
    own.into_iter().chain(steps.into_iter().map(Some)).map(|step| Claim { run: state.uid(), step })
}

impl Machine {
    /// Who has a lock or a group, the outermost first: more than one only where each is part of the one before.
    pub fn holders(&self, resource: &Resource) -> impl Iterator<Item = Claim> {
        self.locks.holders(resource)
    }

    /// Every lock and group that is had or waited for, behind one of them, in order.
    pub fn locks_from(&self, after: Option<&Resource>) -> impl Iterator<Item = &Resource> {
        self.locks.from(after)
    }

    /// Who waits for a lock or a group, the next one first.
    pub fn queue_of(&self, resource: &Resource) -> impl Iterator<Item = Claim> {
        self.locks.waiters(resource).map(|turn| turn.claim)
    }

    /// The run, or the step, that has a lock or a group.
    pub fn holder(&self, resource: &Resource) -> Option<Claim> {
        self.locks.holders(resource).next()
    }

    /// What of a run waits for locks: the run as a whole, and steps of it.
    pub fn waiting_for_locks(&self, run: RunUid) -> impl Iterator<Item = Claim> {
        self.runs.get(&run).into_iter().flat_map(|slot| slot.waits.iter().copied())
    }

    /// What a queued run, or a step that may start but for its locks, waits for, and which claim keeps it from that.
    pub fn waits_for(&self, claim: Claim) -> Vec<(Resource, Claim)> {
        self.locks.kept_from(claim)
    }

    /// What a run or a step is part of: the steps above it, and their runs.
    pub(super) fn above(&self, claim: Claim) -> Vec<Claim> {
        let mut above: Vec<Claim> = claim.step.map(|_| Claim { run: claim.run, step: None }).into_iter().collect();
        let mut next = self.run(claim.run).and_then(RunState::parent);
        while let Some(parent) = next {
            above.push(Claim { run: parent.run, step: Some(parent.step) });
            above.push(Claim { run: parent.run, step: None });
            next = self.run(parent.run).and_then(RunState::parent);
        }
        above
    }

    fn place(&self, state: &RunState, claim: Claim, above: &[Claim]) -> Turn {
        let bare = !above.iter().any(|claim| self.locks.has_any(*claim));
        Turn { bare, class: Class::of(state.created()), number: state.created().number, claim }
    }

    /// Whether a step may have its locks now.
    pub(super) fn may_lock(&self, run: RunUid, step: StepNo) -> bool {
        let claim = Claim { run, step: Some(step) };
        let Some(state) = self.run(run) else { return false };
        let above = self.above(claim);
        self.locks.is_free(self.place(state, claim, &above), &above, &wanted(state, Some(step)))
    }

    /// Brings the index of locks in line with a run's state.
    pub(super) fn index_locks(&mut self, uid: RunUid, now: Timestamp) {
        let Some(slot) = self.runs.get(&uid) else { return };
        let served = slot.quarantine.is_none();
        // Asked after every event of every run: nothing is gathered for the answer that nearly always comes.
        if held(&slot.state).eq(slot.held.iter().copied())
            && waiting(&slot.state, served, now).eq(slot.waits.iter().copied())
        {
            return;
        }
        let (held, waits) = claims(&slot.state, served, now);
        for gone in slot.held.difference(&held) {
            self.locks.release(*gone);
        }
        for gone in slot.waits.difference(&waits) {
            self.locks.unqueue(*gone);
        }
        for new in held.difference(&slot.held) {
            let wanted = wanted(&slot.state, new.step);
            if !wanted.is_empty() {
                self.locks.hold(*new, wanted);
            }
        }
        let new: Vec<Claim> = waits.difference(&slot.waits).copied().collect();
        for claim in new {
            let Some(state) = self.run(uid) else { continue };
            let above = self.above(claim);
            let (turn, wanted) = (self.place(state, claim, &above), wanted(state, claim.step));
            self.locks.queue(turn, above, wanted);
        }
        if let Some(slot) = self.runs.get_mut(&uid) {
            (slot.held, slot.waits) = (held, waits);
        }
    }

    /// Admits queued runs that may have their locks and their group, and looks again at runs of which a step may have its own.
    pub(super) fn admit(&mut self, now: Timestamp, batch: &mut Batch) {
        while let Some(turn) = self.locks.next_candidate() {
            let claim = turn.claim;
            let Some(slot) = self.runs.get(&claim.run).filter(|slot| slot.waits.contains(&claim)) else { continue };
            if claim.step.is_some() {
                self.follow(now, claim.run, batch);
                continue;
            }
            let (above, wanted) = (self.above(claim), resources(slot.state.created()));
            if self.locks.is_free(turn, &above, &wanted) {
                // An admission is never refused; a run that is out of service is not queued.
                let _ = self.put(now, claim.run, Input::Admit, batch);
            }
        }
    }

    /// Ends waits that would last for ever: a queued child run, or a step that has not begun, that waits for what it is part
    /// of, through others. Says whether there was one.
    pub(super) fn break_circles(&mut self, now: Timestamp, batch: &mut Batch) -> bool {
        let mut any = false;
        while let Some(claim) = self.locks.next_suspect() {
            let mut before = None;
            while let Some(circle) = self.locks.circle(claim).filter(|circle| before.as_ref() != Some(circle)) {
                let Some(Claim { run, step }) = self.who_gives_up(claim, &circle) else { break };
                let message = self.tell_circle(&circle);
                // It waits, and so this is not refused.
                let _ = self.put(now, run, Input::Deadlock { step, message }, batch);
                before = Some(circle);
                any = true;
            }
        }
        any
    }

    /// Who closed the circle; but neither a compensation nor what has begun is given up while anything else can be.
    fn who_gives_up(&self, closed: Claim, circle: &[Link]) -> Option<Claim> {
        let may = |claim: &Claim| {
            let begun = |run: &RunState| claim.step.is_some_and(|step| run.has_let_go(step));
            !self.run(claim.run).is_some_and(|run| run.compensates() || begun(run))
        };
        Some(closed).filter(may).or_else(|| circle.iter().map(|link| link.waits).rev().find(may))
    }

    fn tell_circle(&self, circle: &[Link]) -> String {
        let links: Vec<String> = circle
            .iter()
            .map(|link| {
                let (kind, name) = link.resource.words();
                format!("{kind} {name}, which {} has", self.tell(link.holder))
            })
            .collect();
        limits::fit(format!("it would wait for ever: for {}", links.join("; that waits for ")))
    }

    /// A claim in words: `run 7`, or `step a/b of run 7`.
    pub fn tell(&self, claim: Claim) -> String {
        let Some(state) = self.run(claim.run) else { return "a run that is over".to_owned() };
        let number = state.created().number;
        let path = self.path(claim.run);
        match claim.step.and_then(|step| state.pinned().runbook.step(step)) {
            Some(step) => format!("step {path}{} of run {number}", step.id),
            None if path.is_empty() => format!("run {number}"),
            None => format!("the child run of step {} of run {number}", path.trim_end_matches('/')),
        }
    }
}
