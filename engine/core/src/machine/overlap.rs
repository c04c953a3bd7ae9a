//! What becomes of a new run and of those that it overlaps with: it is refused, or it waits for them, or it replaces them.
//! Never knows who asked for the run.

use super::{Batch, Machine, Resource};
use crate::definition::Overlap;
use crate::id::RunUid;
use crate::run::{Created, Fact, Input, Phase, Principal, Rejection, RunState, Start};
use crate::time::Timestamp;

/// Whether a run waits for its group once persons approved that it begins.
pub(super) fn waits_by_and_by(run: &RunState) -> bool {
    run.is_gated() && run.begins().is_none()
}

impl Machine {
    /// Whether a new run may be made beside those of its group.
    ///
    /// # Errors
    /// Its runbook says `overlap: skip`, and there is one.
    pub(super) fn check_overlap(&self, start: &Start, created: &Created) -> Result<(), Rejection> {
        // One that begins later waits for its turn then: nobody knows today what is on in the night.
        let skips = start.pinned.runbook.overlap() == Some(Overlap::Skip) && created.terms.begin.is_none();
        let (true, Some(group)) = (skips, &created.group) else { return Ok(()) };
        let own = created.parent.map(|parent| parent.root);
        let mut others = self.on(created).into_iter();
        let other = others.find_map(|uid| Some(self.run(uid)?.root()).filter(|root| Some(*root) != own));
        match other.and_then(|uid| self.run(uid)) {
            None => Ok(()),
            Some(other) => Err(Rejection::GroupBusy {
                number: other.created().number,
                group: group.clone(),
                state: other.status().name(),
            }),
        }
    }

    /// The runs that are on and that a new one would overlap with, the oldest first: those of its group, or without one
    /// those of its runbook in its environment.
    pub(super) fn on(&self, created: &Created) -> Vec<RunUid> {
        let Some(group) = &created.group else {
            let of_runbook = self.schedules.of_runbook(&created.runbook);
            let is_on = |uid: &RunUid| {
                // A dry run does nothing that another one could meet, and one that begins later does nothing yet.
                let on = |run: &RunState| {
                    let terms = &run.created().terms;
                    let here = terms.environment == created.terms.environment;
                    !matches!(run.phase(), Phase::Terminal(_)) && !terms.dry && here && run.begins().is_none()
                };
                self.run(*uid).is_some_and(on)
            };
            return of_runbook.filter(is_on).collect();
        };
        let gated = self.gated.range((group.clone(), RunUid::from_bits(0))..).take_while(|(of, _)| of == group);
        let gated = gated.map(|(_, run)| *run);
        let group = Resource::Group(group.clone());
        let waiting = self.locks.waiters(&group).map(|turn| turn.claim);
        self.locks.holders(&group).chain(waiting).map(|claim| claim.run).chain(gated).collect()
    }

    /// The runs at the top that a new one replaces, the oldest first.
    pub(super) fn replaced(&self, start: &Start, fact: &Fact) -> Vec<RunUid> {
        let replaces = start.pinned.runbook.overlap() == Some(Overlap::Replace);
        match fact {
            Fact::Created(created) if replaces && created.group.is_some() && created.terms.begin.is_none() => {
                let mut on = self.on(created);
                on.retain(|uid| self.run(*uid).is_some_and(|run| run.parent().is_none()));
                on.sort_unstable_by_key(|uid| self.run(*uid).map(|run| run.created().number));
                on
            }
            _ => Vec::new(),
        }
    }

    /// Cancels runs that a new one replaces. Those for which a cancel is refused (they tidy up, are rolled back, or have
    /// passed a point of no return) are waited for.
    pub(super) fn replace(
        &mut self,
        now: Timestamp,
        others: &[RunUid],
        by: &Principal,
        reason: &str,
        batch: &mut Batch,
    ) {
        for other in others {
            let (by, reason) = (by.clone(), reason.to_owned());
            let _ = self.put(now, *other, Input::Cancel { now: false, by, reason, past: Vec::new() }, batch);
        }
    }
}
