//! A definition with what is derived from it once, shared by all runs that are pinned to it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::definition::{
    Each, Environment, Many, Part, Protection, Repeat, RollbackPolicy, Runbook, Step, instance_ids,
};
use crate::id::{Digest, StepNo};
use crate::limits;
use crate::time::Span;

/// A definition, its hash, and its graph turned round.
#[derive(Debug)]
pub struct Pinned {
    /// The definition.
    pub runbook: Runbook,
    /// The hash under which it is stored.
    pub digest: Digest,
    ids: HashMap<String, StepNo>,
    dependants: Vec<Vec<StepNo>>,
    called: HashMap<String, Arc<Self>>,
    /// What blocks run.
    blocks: HashMap<StepNo, Arc<Self>>,
    /// What each of its steps runs, where these stand for items or iterations.
    inside: Option<Arc<Self>>,
    /// How many different pools its steps have; none counts as one.
    pools: usize,
    kind: Kind,
    /// Whether a rollback could compensate something of it.
    undoable: bool,
}

/// What a definition stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A runbook.
    Runbook,
    /// The steps of a block.
    Block,
    /// The items of a list, a step for each.
    Each {
        /// How many may be on together.
        max_parallel: Option<u32>,
        /// How many may fail.
        max_failures: u32,
        /// What is gathered of them.
        outputs: Vec<String>,
    },
    /// Iterations, a step for each that there may be.
    Repeat {
        /// The expression that is asked after each: whether that was the last.
        until: String,
        /// Whether it is asked of one that failed, too.
        any_outcome: bool,
        /// How long after the end of one the next one begins.
        every: Option<Span>,
    },
}

impl Pinned {
    /// Turns the graph of a checked definition round. Needs that are out of range are left out; a checked
    /// definition has none. `called` are the pinned definitions of the runbooks that its steps start.
    pub fn new(runbook: Runbook, digest: Digest, called: impl IntoIterator<Item = Arc<Self>>) -> Self {
        let called = called.into_iter().map(|other| (other.runbook.name.clone(), other)).collect();
        let mut pinned = Self::new_bare(runbook, digest, called);
        let steps = pinned.runbook.steps.iter().enumerate();
        let blocks = steps.filter_map(|(index, step)| {
            let block = pinned.runbook.of_block(step, step.block()?);
            // It is stored in the definition that it is part of, and goes by the hash of that.
            let block = Self::new(block, digest, pinned.called.values().map(Arc::clone));
            Some((StepNo(index as u32), Arc::new(Self { kind: Kind::Block, ..block })))
        });
        pinned.blocks = blocks.collect();
        let never = pinned.runbook.rollback.policy == RollbackPolicy::Never;
        pinned.undoable = !never && pinned.part(Part::Main).any(|no| pinned.can_undo(no));
        pinned
    }

    /// Without what its steps run.
    fn new_bare(runbook: Runbook, digest: Digest, called: HashMap<String, Arc<Self>>) -> Self {
        let mut dependants = vec![Vec::new(); runbook.steps.len()];
        for (index, step) in runbook.steps.iter().enumerate() {
            for need in &step.needs {
                if let Some(list) = dependants.get_mut(need.index()) {
                    list.push(StepNo(index as u32));
                }
            }
        }
        let ids = runbook.steps.iter().enumerate();
        let ids = ids.map(|(index, step)| (step.id.clone(), StepNo(index as u32))).collect();
        let (blocks, inside, kind) = (HashMap::new(), None, Kind::Runbook);
        let pools = runbook.steps.iter().map(|step| &step.pool).collect::<HashSet<_>>().len();
        Self { runbook, digest, ids, dependants, called, blocks, inside, pools, kind, undoable: false }
    }

    /// A definition that is pinned nowhere, for rehearsals in an environment. `find` knows the runbooks that steps start, by
    /// name; one that it does not know fails the step.
    pub fn rehearsed<'a>(
        runbook: &'a Runbook,
        environment: Option<&Environment>,
        find: &dyn Fn(&str) -> Option<&'a Runbook>,
    ) -> Arc<Self> {
        Self::rehearsed_below(runbook, environment, find, &mut HashMap::new(), 0)
    }

    fn rehearsed_below<'a>(
        runbook: &'a Runbook,
        environment: Option<&Environment>,
        find: &dyn Fn(&str) -> Option<&'a Runbook>,
        done: &mut HashMap<&'a str, Arc<Self>>,
        depth: u32,
    ) -> Arc<Self> {
        let mut called = Vec::new();
        for other in runbook.called().into_iter().filter(|_| depth < limits::CHILD_DEPTH).filter_map(find) {
            let known = done.get(other.name.as_str()).map(Arc::clone);
            called.push(known.unwrap_or_else(|| Self::rehearsed_below(other, environment, find, done, depth + 1)));
        }
        let mut placed = runbook.clone();
        // A rehearsal disturbs nobody, and its time is none.
        let open = |environment: Environment| Environment { protection: Protection::default(), ..environment };
        placed.environment = environment.cloned().map(open).map(Box::new);
        let pinned = Arc::new(Self::new(placed, Digest::of(runbook.name.as_bytes()), called));
        done.insert(&runbook.name, Arc::clone(&pinned));
        pinned
    }

    /// The number of the step with this id.
    pub fn find(&self, id: &str) -> Option<StepNo> {
        self.ids.get(id).copied()
    }

    /// The step that a person means: by its id, and where steps stand for items also by `[eu-west]`, since shells take
    /// quotes away, and by its number from 1, `[2]`.
    pub fn meant(&self, word: &str) -> Option<StepNo> {
        let inner = || word.strip_prefix('[')?.strip_suffix(']');
        let by_number = |inner: &str| {
            let number: usize = inner.parse().ok()?;
            let index = number.checked_sub(1).filter(|index| self.is_inner() && *index < self.runbook.steps.len())?;
            Some(StepNo(u32::try_from(index).ok()?))
        };
        self.find(word)
            .or_else(|| self.find(&format!("[\"{}\"]", inner()?.trim_matches('"'))))
            .or_else(|| by_number(inner()?))
    }

    /// The steps that need this one.
    pub fn dependants(&self, no: StepNo) -> &[StepNo] {
        self.dependants.get(no.index()).map_or(&[], Vec::as_slice)
    }

    /// The steps that one comes right after: its needs, and of an iteration the one before it.
    pub(super) fn just_before(&self, no: StepNo) -> impl Iterator<Item = StepNo> {
        let needs = self.runbook.step(no).map_or(&[][..], |step| &step.needs);
        let previous = no.0.checked_sub(1).filter(|_| self.repeats()).map(StepNo);
        needs.iter().copied().chain(previous)
    }

    /// The pinned definition of a runbook that a step starts.
    pub fn called(&self, runbook: &str) -> Option<&Arc<Self>> {
        self.called.get(runbook)
    }

    /// The definition of the child run of a step; `items` are those that it was started for.
    pub fn below(&self, step: StepNo, items: &[Value]) -> Option<Arc<Self>> {
        let definition = self.runbook.step(step)?;
        match definition.many.as_deref() {
            Some(Many::Each(each)) => return Some(Arc::new(self.of_items(step, definition, each, items))),
            Some(Many::Repeat(repeat)) => return Some(Arc::new(self.of_iterations(step, definition, repeat))),
            None => {}
        }
        self.once(step).or(self.inside.as_ref().filter(|_| definition.block().is_some())).map(Arc::clone)
    }

    /// The definition that a step runs each time that it does its work: of a block, or of the runbook that it starts.
    pub fn once(&self, step: StepNo) -> Option<&Arc<Self>> {
        let definition = self.runbook.step(step)?;
        definition.call().map_or_else(|| self.blocks.get(&step), |call| self.called(&call.runbook))
    }

    fn of_items(&self, no: StepNo, step: &Step, each: &Each, items: &[Value]) -> Self {
        let runbook = self.runbook.of_items(step, each, instance_ids(items));
        let kind = Kind::Each {
            max_parallel: each.max_parallel,
            max_failures: each.max_failures,
            outputs: each.outputs.keys().cloned().collect(),
        };
        self.many(no, runbook, kind)
    }

    fn of_iterations(&self, no: StepNo, step: &Step, repeat: &Repeat) -> Self {
        let Repeat { until, any_outcome, every, .. } = repeat;
        let kind = Kind::Repeat { until: until.clone(), any_outcome: *any_outcome, every: *every };
        self.many(no, self.runbook.of_iterations(step, repeat), kind)
    }

    /// What a step runs that does its work many times.
    fn many(&self, no: StepNo, runbook: Runbook, kind: Kind) -> Self {
        let pinned = Self::new_bare(runbook, self.digest, self.called.clone());
        Self { inside: self.blocks.get(&no).map(Arc::clone), kind, ..pinned }
    }

    /// Whether a rollback may compensate what a step does: by its own `rollback`, or step by step in what it starts.
    pub fn can_undo(&self, no: StepNo) -> bool {
        let Some(step) = self.runbook.step(no) else { return false };
        step.rollback.is_some() || (step.part == Part::Main && self.once(no).is_some_and(|below| below.undoable))
    }

    /// What it stands for.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// How many different pools its steps have; none counts as one.
    pub(super) const fn pools(&self) -> usize {
        self.pools
    }

    /// Whether it is part of another definition, and so takes values along from around it.
    pub const fn is_inner(&self) -> bool {
        !matches!(self.kind, Kind::Runbook)
    }

    /// How many of its steps may be on together, where these stand for items.
    pub(super) const fn width(&self) -> Option<u32> {
        match self.kind {
            Kind::Each { max_parallel, .. } => max_parallel,
            Kind::Runbook | Kind::Block | Kind::Repeat { .. } => None,
        }
    }

    /// Whether its steps stand for iterations, which go one after the other.
    pub(crate) const fn repeats(&self) -> bool {
        matches!(self.kind, Kind::Repeat { .. })
    }

    /// How many of its main steps may fail.
    pub(super) const fn max_failures(&self) -> u32 {
        match self.kind {
            Kind::Each { max_failures, .. } => max_failures,
            // What is asked of a failure is asked before it counts.
            Kind::Repeat { any_outcome: true, .. } => u32::MAX,
            Kind::Runbook | Kind::Block | Kind::Repeat { any_outcome: false, .. } => 0,
        }
    }

    /// Itself and all that is pinned with it, each once; blocks left out.
    pub fn with_called(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut seen = HashSet::from([self.digest]);
        let mut next = 0;
        while let Some(pinned) = all.get(next).copied() {
            all.extend(pinned.called.values().map(Arc::as_ref).filter(|other| seen.insert(other.digest)));
            next += 1;
        }
        all
    }

    /// The steps of `finally`.
    pub fn finally(&self) -> impl Iterator<Item = StepNo> {
        self.part(Part::Finally)
    }

    /// The steps of one part. Those of an edited definition do not lie side by side: new ones come last.
    pub fn part(&self, part: Part) -> impl Iterator<Item = StepNo> {
        let steps = self.runbook.steps.iter().enumerate();
        steps.filter(move |(_, step)| step.part == part).map(|(index, _)| StepNo(index as u32))
    }
}
