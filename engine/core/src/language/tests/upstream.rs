//! What is upstream of what, against the plain definition.

use proptest::prelude::*;

use super::super::graph::{Relation, Upstream};
use super::super::{draft, graph};
use crate::definition::{Condition, Part, Runbook, Step, WhenSkipped};
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
        let draft = || draft::StepDraft { id: 0..0, needs: Vec::new(), undoes: Vec::new(), when_skipped: None };
        let drafts = runbook.steps.iter().map(|_| draft()).collect();
        let needs: Vec<_> = runbook.steps.iter().map(|step| step.needs.clone()).collect();
        let mut draft = draft::Draft { runbook, name: 0..0, files: Vec::new(), steps: drafts, places: Vec::new(), inputs: Vec::new(), calls: Vec::new(), inner: Vec::new() };
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

/// What may come of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Succeeded,
    Failed,
    PassedOver,
    SkippedForFailure,
}

/// Everything that can come of steps whose `if` may be true or false, by the rules of `docs/runs.md` alone.
fn histories(steps: &[Step]) -> Vec<Vec<Came>> {
    let mut histories: Vec<Vec<Came>> = vec![Vec::new()];
    for step in steps {
        let mut longer = Vec::new();
        for history in histories {
            let met = |need: usize| match history[need] {
                Came::Succeeded => true,
                Came::PassedOver => steps[need].when_skipped == WhenSkipped::GoOn,
                Came::Failed | Came::SkippedForFailure => false,
            };
            let condition = step.condition.as_ref();
            let implied = |need: &&StepNo| condition.is_none_or(|c| !c.any_outcome && !c.lifts.contains(need));
            let unmet: Vec<usize> =
                step.needs.iter().filter(implied).map(|need| need.index()).filter(|need| !met(*need)).collect();
            let outcomes: &[Came] = match (unmet.is_empty(), condition.is_some()) {
                (true, true) => &[Came::Succeeded, Came::Failed, Came::PassedOver],
                (true, false) => &[Came::Succeeded, Came::Failed],
                (false, _) if unmet.iter().all(|need| history[*need] == Came::PassedOver) => &[Came::PassedOver],
                (false, _) => &[Came::SkippedForFailure],
            };
            longer.extend(outcomes.iter().map(|came| history.iter().copied().chain([*came]).collect::<Vec<_>>()));
        }
        histories = longer;
    }
    histories
}

proptest! {
    #[test]
    fn what_is_sure_is_so_in_every_history(
        mut steps in graphs().prop_map(|mut steps| { steps.truncate(6); steps }),
        plain in proptest::collection::vec(proptest::bool::weighted(0.5), 6),
        goes_on in proptest::collection::vec(proptest::bool::weighted(0.5), 6),
    ) {
        for (index, step) in steps.iter_mut().enumerate() {
            if plain[index] {
                step.condition = None;
            }
            if goes_on[index] {
                step.when_skipped = WhenSkipped::GoOn;
            }
        }
        let order = graph::Graph::of_resolved(&steps);
        let pairs: Vec<_> = (0..steps.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
        let upstream = Upstream::new(&steps, &order, &pairs);
        let histories = histories(&steps);
        for (from, to) in pairs {
            let relation = upstream.of(from, to);
            let runs = |history: &&Vec<Came>| matches!(history[from], Came::Succeeded | Came::Failed);
            let always = histories.iter().filter(runs).all(|history| history[to] == Came::Succeeded);
            prop_assert!(!relation.succeeded || always, "{} {}", from, to);
        }
        for (index, _) in steps.iter().enumerate() {
            let passed = histories.iter().any(|history| history[index] == Came::PassedOver);
            prop_assert!(!passed || upstream.may_be_passed_over(index), "{}", index);
        }
    }
}
