//! A definition with what is derived from it once, shared by all runs that are pinned to it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::definition::{Part, Runbook};
use crate::id::{Digest, StepNo};
use crate::limits;

/// A definition, its hash, and its graph turned round.
#[derive(Debug)]
pub struct Pinned {
    /// The definition.
    pub runbook: Runbook,
    /// The hash under which it is stored.
    pub digest: Digest,
    ids: HashMap<String, StepNo>,
    dependants: Vec<Vec<StepNo>>,
    main_steps: usize,
    called: HashMap<String, Arc<Self>>,
    /// What blocks run.
    blocks: HashMap<StepNo, Arc<Self>>,
    /// Whether it is a block, and so takes values along from around it.
    inner: bool,
}

impl Pinned {
    /// Turns the graph of a checked definition round. Needs that are out of range are left out; a checked
    /// definition has none. `called` are the pinned definitions of the runbooks that its steps start.
    pub fn new(runbook: Runbook, digest: Digest, called: impl IntoIterator<Item = Arc<Self>>) -> Self {
        let mut dependants = vec![Vec::new(); runbook.steps.len()];
        for (index, step) in runbook.steps.iter().enumerate() {
            for need in &step.needs {
                if let Some(list) = dependants.get_mut(need.index()) {
                    list.push(StepNo(index as u32));
                }
            }
        }
        let main_steps = runbook.steps.iter().filter(|step| step.part == Part::Main).count();
        let ids = runbook.steps.iter().enumerate();
        let ids = ids.map(|(index, step)| (step.id.clone(), StepNo(index as u32))).collect();
        let called: HashMap<_, _> = called.into_iter().map(|other| (other.runbook.name.clone(), other)).collect();
        let steps = runbook.steps.iter().enumerate();
        let blocks = steps.filter_map(|(index, step)| {
            let block = runbook.of_block(step, step.block()?);
            // It is stored in the definition that it is part of, and goes by the hash of that.
            let pinned = Self::new(block, digest, called.values().map(Arc::clone));
            Some((StepNo(index as u32), Arc::new(Self { inner: true, ..pinned })))
        });
        let blocks = blocks.collect();
        Self { runbook, digest, ids, dependants, main_steps, called, blocks, inner: false }
    }

    /// A definition that is pinned nowhere, for rehearsals. `find` knows the runbooks that steps start, by name; one that it
    /// does not know fails the step.
    pub fn rehearsed<'a>(runbook: &'a Runbook, find: &dyn Fn(&str) -> Option<&'a Runbook>) -> Arc<Self> {
        Self::rehearsed_below(runbook, find, &mut HashMap::new(), 0)
    }

    fn rehearsed_below<'a>(
        runbook: &'a Runbook,
        find: &dyn Fn(&str) -> Option<&'a Runbook>,
        done: &mut HashMap<&'a str, Arc<Self>>,
        depth: u32,
    ) -> Arc<Self> {
        let mut called = Vec::new();
        for other in runbook.called().into_iter().filter(|_| depth < limits::CHILD_DEPTH).filter_map(find) {
            let known = done.get(other.name.as_str()).map(Arc::clone);
            called.push(known.unwrap_or_else(|| Self::rehearsed_below(other, find, done, depth + 1)));
        }
        let pinned = Arc::new(Self::new(runbook.clone(), Digest::of(runbook.name.as_bytes()), called));
        done.insert(&runbook.name, Arc::clone(&pinned));
        pinned
    }

    /// The number of the step with this id.
    pub fn find(&self, id: &str) -> Option<StepNo> {
        self.ids.get(id).copied()
    }

    /// The steps that need this one.
    pub fn dependants(&self, no: StepNo) -> &[StepNo] {
        self.dependants.get(no.index()).map_or(&[], Vec::as_slice)
    }

    /// The pinned definition of a runbook that a step starts.
    pub fn called(&self, runbook: &str) -> Option<&Arc<Self>> {
        self.called.get(runbook)
    }

    /// The definition of the child run of a step.
    pub fn below(&self, step: StepNo) -> Option<&Arc<Self>> {
        match self.runbook.step(step)?.call() {
            Some(call) => self.called(&call.runbook),
            None => self.blocks.get(&step),
        }
    }

    /// Whether it is that of a block: part of another definition.
    pub const fn is_inner(&self) -> bool {
        self.inner
    }

    /// Itself and all that is pinned with it, each once; blocks left out.
    pub fn with_called(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut seen = std::collections::HashSet::from([self.digest]);
        let mut next = 0;
        while let Some(pinned) = all.get(next).copied() {
            all.extend(pinned.called.values().map(Arc::as_ref).filter(|other| seen.insert(other.digest)));
            next += 1;
        }
        all
    }

    /// How many steps are not of `finally`.
    pub const fn main_steps(&self) -> usize {
        self.main_steps
    }
}
