//! The graph of needs: who needs whom, circles, and what is upstream of what. Iterative throughout: a chain may be
//! as long as a runbook may have steps. Never knows what steps do.

use std::collections::HashMap;

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::code::Code;
use super::draft::{Draft, StepDraft};
use super::item::Item;
use super::report::{Problem, Report};
use super::show;
use crate::definition::{Part, Step, WhenSkipped};
use crate::expression::did_you_mean;
use crate::id::StepNo;

/// How many steps of a circle are named in its message.
const NAMED: usize = 8;
/// How many targets are followed through the graph at once.
const BATCH: usize = 512;

/// The checked graph.
pub(super) struct Graph {
    /// The indices of all steps, each after those that it needs; empty when there is a circle.
    order: Vec<usize>,
    /// Steps with a need that does not exist: what is upstream of them is not known.
    pub broken: Vec<bool>,
}

impl Graph {
    /// The graph of steps whose needs are resolved and go to earlier steps only.
    #[cfg(test)]
    pub fn of_resolved(steps: &[Step]) -> Self {
        Self { order: (0..steps.len()).collect(), broken: vec![false; steps.len()] }
    }

    /// Of each step whether it has succeeded whenever the run does: nothing lets the run succeed without it.
    pub fn sure(&self, steps: &[Step]) -> Vec<bool> {
        let mut sure = vec![false; steps.len()];
        for index in &self.order {
            let step = &steps[*index];
            let needs = step.needs.iter().all(|need| sure[need.index()]);
            sure[*index] = needs && step.condition.is_none() && !step.allow_failure;
        }
        sure
    }

    /// Whether there is an order at all.
    pub fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }
}

/// Steps by id; the first, should an id be there twice.
pub(super) fn index(steps: &[Step]) -> HashMap<&str, usize> {
    let mut ids = HashMap::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        ids.entry(step.id.as_str()).or_insert(index);
    }
    ids
}

/// Resolves `needs`, reports what is wrong with them, and orders the steps.
pub(super) fn resolve(draft: &mut Draft<'_>, report: &mut Report<'_>) -> Graph {
    let steps = &draft.runbook.steps;
    let ids = index(steps);
    let mut broken = vec![false; steps.len()];
    let mut resolved: Vec<Vec<StepNo>> = Vec::with_capacity(steps.len());
    // When a step last needed another: the same number twice is a repetition.
    let mut seen: Vec<Option<(usize, usize)>> = vec![None; steps.len()];
    for (index, step) in draft.steps.iter().enumerate() {
        let mut needs = Vec::with_capacity(step.needs.len());
        for (position, item) in step.needs.iter().enumerate() {
            let target = ids.get(item.raw()).copied();
            if let Some(problem) = wrong_need(steps, step, index, *item, target, &seen, report) {
                broken[index] |= target.is_none();
                report.add(problem);
            } else if let Some(target) = target {
                seen[target] = Some((index, position));
                // There are at most `limits::STEPS` steps.
                needs.push(StepNo(target as u32));
            }
        }
        resolved.push(needs);
    }
    for (step, needs) in draft.runbook.steps.iter_mut().zip(resolved) {
        step.needs = needs;
    }
    undoes(draft, report);
    let order = order(&draft.runbook.steps, &draft.steps, report);
    Graph { order, broken }
}

/// Resolves `undoes`, and reports what is wrong with them.
fn undoes(draft: &mut Draft<'_>, report: &mut Report<'_>) {
    let steps = &draft.runbook.steps;
    let ids = index(steps);
    let mut resolved = Vec::new();
    for (number, step) in draft.steps.iter().enumerate().filter(|(_, step)| !step.undoes.is_empty()) {
        let mut undone: Vec<StepNo> = Vec::with_capacity(step.undoes.len());
        let mut seen: HashMap<usize, Item<'_>> = HashMap::new();
        for item in &step.undoes {
            let name = show(item.raw());
            let problem = match ids.get(item.raw()).copied() {
                None => {
                    let main = || steps.iter().filter(|s| s.part == Part::Main).map(|s| s.id.as_str());
                    let meant = report.has_room().then(|| did_you_mean(item.raw(), main())).flatten();
                    Problem::new(Code::UnknownStep, item.span(), format!("there is no step `{name}`"))
                        .maybe_help(meant.map(|meant| format!("did you mean `{meant}`?")))
                }
                Some(target) if steps[target].part == Part::Finally => Problem::new(
                    Code::WrongUndo,
                    item.span(),
                    format!("`{name}` is a step of `finally`, and only what main steps did is undone"),
                )
                .help("leave it out"),
                Some(target) => match seen.insert(target, *item) {
                    None => {
                        // There are at most `limits::STEPS` steps.
                        undone.push(StepNo(target as u32));
                        continue;
                    }
                    Some(first) => {
                        Problem::new(Code::DuplicateItem, item.span(), format!("`{name}` is in the list twice"))
                            .related(first.span(), "it is here first")
                            .help("leave one out")
                    }
                },
            };
            report.add(problem);
        }
        resolved.push((number, undone));
    }
    for (number, undone) in resolved {
        draft.runbook.steps[number].undoes = undone;
    }
}

fn wrong_need(
    steps: &[Step],
    draft: &StepDraft<'_>,
    index: usize,
    item: Item<'_>,
    target: Option<usize>,
    seen: &[Option<(usize, usize)>],
    report: &Report<'_>,
) -> Option<Problem> {
    let part = steps[index].part;
    let name = show(item.raw());
    let Some(target) = target else {
        let problem = Problem::new(Code::UnknownStep, item.span(), format!("there is no step `{name}`"));
        let others = || steps.iter().filter(|s| s.part == part && s.id != steps[index].id);
        return Some(match report.has_room() {
            true => problem.maybe_help(
                did_you_mean(item.raw(), others().map(|step| step.id.as_str()))
                    .map(|meant| format!("did you mean `{meant}`?")),
            ),
            false => problem,
        });
    };
    if target == index {
        return Some(
            Problem::new(Code::NeedsItself, item.span(), format!("`{name}` needs itself")).help("leave it out"),
        );
    }
    match (part, steps[target].part) {
        (Part::Main, Part::Finally) => {
            return Some(
                Problem::new(
                    Code::NeedsAcross,
                    item.span(),
                    format!("`{name}` is a step of `finally`, which runs after all main steps"),
                )
                .help("move it to `steps`, or leave it out of `needs`"),
            );
        }
        (Part::Finally, Part::Main) => {
            return Some(
                Problem::new(
                    Code::NeedsAcross,
                    item.span(),
                    format!("`{name}` is a main step, and has ended in any case when `finally` begins"),
                )
                .help("leave it out of `needs`; its outputs can be read all the same"),
            );
        }
        _ => {}
    }
    let (_, first) = seen[target].filter(|(owner, _)| *owner == index)?;
    let first = draft.needs[first].span();
    Some(
        Problem::new(Code::DuplicateItem, item.span(), format!("`{name}` is in the list twice"))
            .related(first, "it is here first")
            .help("leave one out"),
    )
}

/// The topological order; empty after reporting every circle.
fn order(steps: &[Step], drafts: &[StepDraft<'_>], report: &mut Report<'_>) -> Vec<usize> {
    let edges = steps.iter().map(|step| step.needs.len()).sum();
    let mut graph = DiGraph::<(), (), u32>::with_capacity(steps.len(), edges);
    for _ in steps {
        graph.add_node(());
    }
    for (index, step) in steps.iter().enumerate() {
        for need in &step.needs {
            graph.add_edge(NodeIndex::new(need.index()), NodeIndex::new(index), ());
        }
    }
    if let Ok(order) = toposort(&graph, None) {
        return order.into_iter().map(NodeIndex::index).collect();
    }
    let mut circle = vec![None; steps.len()];
    let mut circles = Vec::new();
    for members in kosaraju_scc(&graph).iter().filter(|members| members.len() > 1) {
        let first = members.iter().map(|node| node.index()).min().unwrap_or(0);
        for node in members {
            circle[node.index()] = Some(first);
        }
        circles.push(first);
    }
    circles.sort_unstable();
    for first in circles {
        report.add(describe(steps, drafts, &walk(steps, &circle, first)));
    }
    Vec::new()
}

/// Goes from need to need inside a strongly connected part until a step comes again: the steps of one circle.
fn walk(steps: &[Step], circle: &[Option<usize>], first: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut place = HashMap::new();
    let mut at = first;
    while !place.contains_key(&at) {
        place.insert(at, path.len());
        path.push(at);
        let inside = |need: &&StepNo| circle[need.index()] == Some(first);
        // Every member has a need among the members.
        let Some(next) = steps[at].needs.iter().find(inside) else { break };
        at = next.index();
    }
    path.split_off(place.get(&at).copied().unwrap_or(0))
}

fn describe(steps: &[Step], drafts: &[StepDraft<'_>], circle: &[usize]) -> Problem {
    // Begin with the step that stands first in the file.
    let start = circle.iter().enumerate().min_by_key(|(_, step)| **step).map_or(0, |(at, _)| at);
    let turn = |offset: usize| circle[(start + offset) % circle.len()];
    let name = |offset: usize| steps[turn(offset)].id.as_str();
    let mut path = (0..circle.len().min(NAMED)).map(name).collect::<Vec<_>>().join(" → ");
    if circle.len() > NAMED {
        path = format!("{path} → … ({} more)", circle.len() - NAMED);
    }
    let place = |offset: usize| {
        let (step, need) = (turn(offset), name(offset + 1));
        let item = drafts[step].needs.iter().find(|item| item.raw() == need);
        item.map_or_else(|| drafts[step].id.clone(), |item| item.span())
    };
    let mut problem =
        Problem::new(Code::Cycle, place(0), format!("these steps need each other in a circle: {path} → {}", name(0)))
            .help("take one of them out of the `needs` of another");
    for offset in 1..circle.len().min(NAMED) {
        let label = format!("`{}` needs `{}`", name(offset), name(offset + 1));
        problem = problem.related(place(offset), label);
    }
    problem
}

/// What is upstream of what, for pairs that somebody asked about.
pub(super) struct Upstream {
    relations: HashMap<(u32, u32), Relation>,
    /// Steps that may be skipped although nothing failed.
    passable: Vec<bool>,
}

/// How two steps of one part are related.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Relation {
    /// The other has ended when this one is judged.
    pub ancestor: bool,
    /// The other has succeeded whenever this one runs.
    pub succeeded: bool,
}

impl Upstream {
    /// The relation of a pair that was asked about.
    pub fn of(&self, step: usize, other: usize) -> Relation {
        self.relations.get(&(step as u32, other as u32)).copied().unwrap_or_default()
    }

    /// Whether a step may be skipped although nothing failed: for its `if`, or for that of a step before it.
    pub fn may_be_passed_over(&self, step: usize) -> bool {
        self.passable.get(step).copied().unwrap_or(true)
    }

    /// Answers all pairs of (step, other). Targets go through the graph in batches, one bit each, so that the cost
    /// is bounded by steps and needs times the number of batches, whatever is asked.
    pub fn new(steps: &[Step], graph: &Graph, pairs: &[(usize, usize)]) -> Self {
        let mut by_target: HashMap<usize, Vec<usize>> = HashMap::new();
        for (step, other) in pairs {
            by_target.entry(*other).or_default().push(*step);
        }
        let mut targets: Vec<_> = by_target.into_iter().collect();
        targets.sort_unstable_by_key(|(target, _)| *target);
        let mut answers = HashMap::with_capacity(pairs.len());
        let passable = passable(steps, graph);
        for batch in targets.chunks(BATCH) {
            let [ancestors, succeeded] = propagate(steps, graph, &passable, batch);
            for (bit, (target, askers)) in batch.iter().enumerate() {
                let has = |masks: &[Mask], step: usize| masks[step][bit / 64] >> (bit % 64) & 1 == 1;
                for step in askers {
                    let relation = Relation { ancestor: has(&ancestors, *step), succeeded: has(&succeeded, *step) };
                    answers.insert((*step as u32, *target as u32), relation);
                }
            }
        }
        Self { relations: answers, passable }
    }
}

/// One bit for each target of a batch.
type Mask = [u64; BATCH / 64];

/// Which steps may be skipped although nothing failed.
fn passable(steps: &[Step], graph: &Graph) -> Vec<bool> {
    let mut passable = vec![false; steps.len()];
    for index in &graph.order {
        let step = &steps[*index];
        passable[*index] = step.condition.is_some()
            || !step.undoes.is_empty()
            || step.needs.iter().any(|need| {
                step.implies(*need) && passable[need.index()] && steps[need.index()].when_skipped == WhenSkipped::Skip
            });
    }
    passable
}

/// For every step: which targets are ancestors, and which of those have succeeded whenever it runs.
fn propagate(steps: &[Step], graph: &Graph, passable: &[bool], batch: &[(usize, Vec<usize>)]) -> [Vec<Mask>; 2] {
    let mut own = HashMap::with_capacity(batch.len());
    for (bit, (target, _)) in batch.iter().enumerate() {
        own.insert(*target, bit);
    }
    let mut ancestors = vec![Mask::default(); steps.len()];
    let mut succeeded = vec![Mask::default(); steps.len()];
    // Which targets have succeeded, the step itself among them, whenever it succeeded or was passed over.
    let mut settled = vec![Mask::default(); steps.len()];
    for index in &graph.order {
        let step = &steps[*index];
        let (mut before, mut sure, mut rest) = (Mask::default(), Mask::default(), Mask::default());
        for need in &step.needs {
            let other = need.index();
            let implied = step.implies(*need);
            let goes_on = steps[other].when_skipped == WhenSkipped::GoOn && passable[other];
            for word in 0..before.len() {
                before[word] |= ancestors[other][word];
                if implied {
                    sure[word] |= if goes_on { settled[other][word] } else { succeeded[other][word] };
                    rest[word] |= settled[other][word];
                }
            }
            if let Some(bit) = own.get(&other) {
                set(&mut before, *bit);
                if implied && !goes_on {
                    set(&mut sure, *bit);
                }
            }
        }
        if !passable[*index] {
            rest = sure;
            if let Some(bit) = own.get(index) {
                set(&mut rest, *bit);
            }
        }
        (ancestors[*index], succeeded[*index], settled[*index]) = (before, sure, rest);
    }
    [ancestors, succeeded]
}

fn set(mask: &mut Mask, bit: usize) {
    mask[bit / 64] |= 1 << (bit % 64);
}
