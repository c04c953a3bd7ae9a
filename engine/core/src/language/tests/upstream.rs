//! What is upstream of what, against the plain definition.

use proptest::prelude::*;

use super::super::graph::{Relation, Upstream};
use super::super::{draft, graph};
use crate::definition::{Condition, Part, Runbook, Step};
use crate::id::StepNo;

/// A step that needs some of those before it.
fn step(index: usize, needs: Vec<u32>, any_outcome: bool, lifts: Vec<u32>) -> Step {
    let mut step: Step = serde_json::from_value(serde_json::json!({
        "id": format!("s{index}"),
        "work": {"command": {"program": {"argv": ["a"]}}},
    }))
    .expect("a step");
    step.part = Part::Main;
    step.needs = needs.into_iter().map(StepNo).collect();
    let lifts = lifts.into_iter().map(StepNo).collect();
    step.condition = Some(Condition { expression: String::new(), any_outcome, lifts });
    step
}

/// By the definition: a step's needs and all of theirs; it is sure of those on a way that lifts nothing.
fn plain(steps: &[Step], from: usize, to: usize) -> Relation {
    let mut relation = Relation::default();
    for need in &steps[from].needs {
        let condition = steps[from].condition.as_ref().expect("every step here has one");
        let implied = !condition.any_outcome && !condition.lifts.contains(need);
        let further = match need.index() == to {
            true => Relation { ancestor: true, succeeded: true },
            false => plain(steps, need.index(), to),
        };
        relation.ancestor |= further.ancestor;
        relation.succeeded |= implied && further.succeeded;
    }
    relation
}

prop_compose! {
    fn graphs()(size in 1usize..14)(
        steps in (0..size).map(|index| {
            let before = proptest::collection::btree_set(0..index.max(1) as u32, 0..=index.min(4));
            (before, proptest::bool::weighted(0.15), proptest::bool::weighted(0.3)).prop_map(move |(needs, any, lift)| {
                let needs: Vec<u32> = if index == 0 { Vec::new() } else { needs.into_iter().collect() };
                let lifts = needs.iter().copied().filter(|need| lift && need % 2 == 0).collect();
                step(index, needs, any, lifts)
            })
        }).collect::<Vec<_>>()
    ) -> Vec<Step> {
        steps
    }
}

proptest! {
    #[test]
    fn relations_are_those_of_the_definition(steps in graphs()) {
        let mut runbook: Runbook = serde_json::from_value(serde_json::json!({"name": "a", "steps": []})).expect("a runbook");
        runbook.steps = steps;
        let drafts = runbook.steps.iter().map(|_| draft::StepDraft { id: 0..0, needs: Vec::new() }).collect();
        let needs: Vec<_> = runbook.steps.iter().map(|step| step.needs.clone()).collect();
        let mut draft = draft::Draft { runbook, name: 0..0, steps: drafts, places: Vec::new(), inputs: Vec::new() };
        // The needs are already resolved here; only the order is wanted.
        let order = graph::Graph::of_resolved(&draft.runbook.steps);
        for (step, needs) in draft.runbook.steps.iter_mut().zip(needs) {
            step.needs = needs;
        }
        let steps = &draft.runbook.steps;
        let pairs: Vec<_> = (0..steps.len()).flat_map(|a| (0..steps.len()).map(move |b| (a, b))).collect();
        let upstream = Upstream::new(steps, &order, &pairs);
        for (from, to) in pairs {
            prop_assert_eq!(upstream.of(from, to), plain(steps, from, to), "{} {}", from, to);
        }
    }
}
