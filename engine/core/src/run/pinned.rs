//! A definition with what is derived from it once, shared by all runs that are pinned to it.

use std::collections::HashMap;

use crate::definition::{Part, Runbook};
use crate::id::{Digest, StepNo};

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
}

impl Pinned {
    /// Turns the graph of a checked definition round. Needs that are out of range are left out; a checked
    /// definition has none.
    pub fn new(runbook: Runbook, digest: Digest) -> Self {
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
        Self { runbook, digest, ids, dependants, main_steps }
    }

    /// The number of the step with this id.
    pub fn find(&self, id: &str) -> Option<StepNo> {
        self.ids.get(id).copied()
    }

    /// The steps that need this one.
    pub fn dependants(&self, no: StepNo) -> &[StepNo] {
        self.dependants.get(no.index()).map_or(&[], Vec::as_slice)
    }

    /// How many steps are not of `finally`.
    pub const fn main_steps(&self) -> usize {
        self.main_steps
    }
}
