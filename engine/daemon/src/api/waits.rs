//! What runs and steps wait for, as people read it: which lock or group, and who keeps it from them; which pool.

use std::collections::HashMap;

use runbook_core::id::{RunUid, StepNo};
use runbook_core::machine::{Claim, Machine};
use runbook_core::run::RunState;
use runbook_proto::v1;

use super::asks;

/// How many things a list of runs tells that one waits for.
const SHORT: usize = 3;

/// What a run, all below it, and their steps wait for, in words.
pub(super) struct Waits(HashMap<Claim, Vec<String>>);

impl Waits {
    /// By the state of all runs.
    pub fn of(machine: &Machine, uid: RunUid) -> Self {
        let root = machine.run(uid).map(RunState::root);
        let below = root.map_or(&[][..], |root| machine.tree(root)).iter().copied();
        let mut waits = HashMap::new();
        for run in below.chain([uid]).filter_map(|uid| machine.run(uid)) {
            if let Some(words) = asks::waits(run) {
                waits.insert(Claim { run: run.uid(), step: None }, vec![words]);
            }
            for claim in machine.waiting_for_locks(run.uid()) {
                let words = words(machine, claim);
                if !words.is_empty() {
                    waits.insert(claim, words);
                }
            }
            Self::for_places(machine, run.uid(), &mut waits);
        }
        Self(waits)
    }

    fn for_places(machine: &Machine, run: RunUid, waits: &mut HashMap<Claim, Vec<String>>) {
        for (step, pool, taken) in machine.waits_for_places(run) {
            let words = match machine.capacity(&pool) {
                0 => format!("pool {pool} (the configuration has none of this name)"),
                capacity => format!("pool {pool} ({taken} of {capacity} taken)"),
            };
            waits.entry(Claim { run, step: Some(step) }).or_default().push(words);
        }
    }

    /// Tells it of a run with its steps.
    pub fn tell(&self, run: &mut v1::Run, uid: RunUid) {
        let of = |step: Option<StepNo>| self.0.get(&Claim { run: uid, step }).cloned().unwrap_or_default();
        run.waits_for = of(None);
        for (index, step) in run.steps.iter_mut().enumerate() {
            step.waits_for = of(u32::try_from(index).ok().map(StepNo));
            let child = step.child_run.as_mut().and_then(|child| Some((child.uid.parse().ok()?, child)));
            if let Some((uid, child)) = child {
                self.tell(child, uid);
            }
        }
    }
}

/// What runs that are not over, or the first steps of their own that could start, wait for, in a few words, by their uids.
pub(super) fn in_short(machine: &Machine, runs: Vec<RunUid>) -> HashMap<String, Vec<String>> {
    let known = runs.into_iter().filter_map(|uid| machine.run(uid));
    known.map(|run| (run.uid().to_string(), short(machine, run))).collect()
}

fn short(machine: &Machine, run: &RunState) -> Vec<String> {
    let of_claim = |claim: Claim| {
        let id =
            claim.step.and_then(|no| run.pinned().runbook.step(no)).map(|step| format!(" for its step {}", step.id));
        let id = id.unwrap_or_default();
        words(machine, claim).into_iter().map(move |words| format!("{words}{id}")).collect::<Vec<_>>()
    };
    let claims = machine.waiting_for_locks(run.uid()).take(SHORT);
    asks::waits(run).into_iter().chain(claims.flat_map(of_claim)).take(SHORT).collect()
}

fn words(machine: &Machine, claim: Claim) -> Vec<String> {
    let told = machine.waits_for(claim).into_iter().map(|(resource, holder)| {
        let (kind, name) = resource.words();
        format!("{kind} {name} ({})", machine.tell(holder))
    });
    told.collect()
}
