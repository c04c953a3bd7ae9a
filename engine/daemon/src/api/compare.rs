//! `DiffRuns`: two runs side by side, for the API.

use runbook_core::comparison::{Change, Fate, compare};
use runbook_core::run::RunState;
use runbook_proto::v1;

use super::to_proto;

/// Two runs side by side.
pub(super) fn answer(first: &RunState, second: &RunState) -> v1::DiffRunsResponse {
    let both = compare(first, second);
    let steps = both.steps.into_iter().map(|step| {
        let (change, keys) = match step.change {
            Change::Same => (v1::DefinitionChange::Same, Vec::new()),
            Change::Keys(keys) => (v1::DefinitionChange::Changed, keys),
            Change::OnlyFirst => (v1::DefinitionChange::OnlyFirst, Vec::new()),
            Change::OnlySecond => (v1::DefinitionChange::OnlySecond, Vec::new()),
        };
        v1::StepDifference {
            id: step.id,
            change: change.into(),
            keys,
            first: step.first.map(fate),
            second: step.second.map(fate),
        }
    });
    let inputs = both.inputs.into_iter().map(|(name, first, second)| v1::InputDifference {
        name,
        first: first.as_ref().map(to_proto::value),
        second: second.as_ref().map(to_proto::value),
    });
    v1::DiffRunsResponse {
        first: Some(to_proto::run_head(first)),
        second: Some(to_proto::run_head(second)),
        keys: both.keys,
        inputs: inputs.collect(),
        steps: steps.collect(),
    }
}

fn fate(fate: Fate) -> v1::StepFate {
    v1::StepFate {
        status: to_proto::step_status(fate.status).into(),
        attempts: fate.attempts,
        took: fate.took.map(to_proto::duration),
        message: fate.message,
    }
}
