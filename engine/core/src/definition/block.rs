//! Blocks: steps of their own inside a step, and what becomes of them when they run. Data only.

use std::collections::{BTreeSet, HashSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{OutputDecl, Runbook, Step};
use crate::expression::Reference;
use crate::time::Span;

/// What stands between the name of a runbook and that of a step in the name of what the step runs.
const BELOW: char = '/';

/// Steps inside a step: a definition without a name of its own, of which the step starts a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Main steps in the order of the file, then those of `finally`.
    pub steps: Vec<Step>,
    /// What it leaves.
    #[serde(default)]
    pub outputs: IndexMap<String, OutputDecl>,
    /// The bound on its run.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// What it takes along from around it, each as an expression that is one name: worked out when it starts.
    #[serde(default)]
    pub takes: BTreeSet<String>,
}

impl Runbook {
    /// The definition that a block of it runs.
    pub(crate) fn of_block(&self, step: &Step, block: &Block) -> Self {
        Self {
            timeout: block.timeout,
            outputs: block.outputs.clone(),
            steps: block.steps.clone(),
            ..self.inside(step, &block.takes)
        }
    }

    /// What every definition starts from that a step of it runs: what is said at the top of the file holds there too, but
    /// for what concerns a run as a whole.
    pub(super) fn inside(&self, step: &Step, takes: &BTreeSet<String>) -> Self {
        let taken = |name: &str| takes.contains(&Reference::Input(name.to_owned()).to_string());
        let inputs = self.inputs.iter().filter(|(name, _)| taken(name));
        Self {
            name: format!("{}{BELOW}{}", self.name, step.id),
            description: step.description.clone(),
            inputs: inputs.map(|(name, decl)| (name.clone(), decl.clone())).collect(),
            on_failure: self.on_failure,
            rollback: self.rollback,
            attention: self.attention,
            env: self.env.clone(),
            files: self.files.clone(),
            environment: self.environment.clone(),
            ..Self::default()
        }
    }

    /// All steps, those of blocks behind the step that they belong to.
    pub fn every_step(&self) -> Vec<&Step> {
        every_step(self.steps.iter())
    }
}

/// These steps, those of blocks behind the step that they belong to.
fn every_step<'a>(steps: impl DoubleEndedIterator<Item = &'a Step>) -> Vec<&'a Step> {
    let mut found = Vec::new();
    let mut open: Vec<&Step> = steps.rev().collect();
    while let Some(step) = open.pop() {
        found.push(step);
        open.extend(step.block().into_iter().flat_map(|block| block.steps.iter().rev()));
    }
    found
}

/// The runbooks that these steps start, those of blocks too, each once, in the order of the steps.
pub fn called_by<'a>(steps: impl DoubleEndedIterator<Item = &'a Step>) -> Vec<&'a str> {
    let mut called: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for call in every_step(steps).into_iter().filter_map(Step::call) {
        if seen.insert(call.runbook.as_str()) {
            called.push(&call.runbook);
        }
    }
    called
}

/// The name of the runbook that a run belongs to, by the name of what it runs.
pub fn named_runbook(name: &str) -> &str {
    name.split(BELOW).next().unwrap_or(name)
}
