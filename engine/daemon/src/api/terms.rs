//! What a start says beside its inputs, both ways: from a request to the core, and from the core to what is told.

use runbook_core::definition::Runbook;
use runbook_core::limits;
use runbook_core::run::{Start, Terms};
use runbook_proto::v1;

use super::from_proto::{Fault, fault};

/// Names in one request.
const NAMES: usize = 1_000;

/// What a request confirms.
///
/// # Errors
/// More names than anybody types, or one that no target has.
pub(super) fn confirmed(names: Vec<String>) -> Result<Vec<String>, Fault> {
    if names.len() > NAMES {
        return Err(fault("confirm", format!("{} names, the limit is {NAMES}", names.len())));
    }
    match names.iter().find(|name| name.is_empty() || name.len() > limits::TARGET_BYTES) {
        Some(name) => {
            let (bytes, limit) = (name.len(), limits::TARGET_BYTES);
            Err(fault("confirm", format!("a name has 1 to {limit} bytes, this one has {bytes}")))
        }
        None => Ok(names),
    }
}

/// What else a start says.
///
/// # Errors
/// As [`confirmed`].
pub(super) fn terms(request: &mut v1::StartRunRequest) -> Result<Terms, Fault> {
    Ok(Terms { confirmed: confirmed(std::mem::take(&mut request.confirm))? })
}

/// What a start has to confirm, and whether it does.
pub(super) fn planned_targets(start: &Start) -> Vec<v1::PlannedTarget> {
    // Where a name cannot be made, the start is refused for that.
    let targets = start.targets().unwrap_or_default();
    let told = |target: runbook_core::destruction::Target| v1::PlannedTarget {
        steps: ids(&start.pinned.runbook, &target.steps),
        confirmed: start.terms.confirmed.contains(&target.name),
        name: target.name,
    };
    targets.into_iter().map(told).collect()
}

fn ids(runbook: &Runbook, steps: &[runbook_core::id::StepNo]) -> Vec<String> {
    steps.iter().filter_map(|no| runbook.step(*no)).map(|step| step.id.clone()).collect()
}
