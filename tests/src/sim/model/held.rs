//! Rules 84 and 87: what a pause holds, and what of a run others ask for.

use runbook_core::run::AttemptKind;
use serde_json::Value;

use super::super::design::SLOT;
use super::run::{RunModel, Stage};
use super::step::Status;

impl RunModel {
    /// Whether nothing of its main steps may begin (84).
    pub(crate) fn is_held(&self) -> bool {
        self.held && matches!(self.stage, Stage::Queued | Stage::Main)
    }

    /// Whether nothing of it is on that goes on while it is paused (87).
    pub(crate) fn stands_held(&self) -> bool {
        let goes_on = |status: Status| {
            matches!(
                status,
                Status::Live(..)
                    | Status::Child { .. }
                    | Status::ChildRollback { .. }
                    | Status::Waiting(AttemptKind::Verify | AttemptKind::OnCancel, _)
            )
        };
        self.held && self.stage == Stage::Main && !self.steps.iter().any(|step| goes_on(step.status))
    }

    /// The input that names and conditions depend on.
    pub(crate) fn slot(&self) -> &str {
        self.created.inputs.get(SLOT).and_then(Value::as_str).unwrap_or_default()
    }

    /// The main steps that a step of `finally` undid in this epoch (43).
    pub(crate) fn undone(&self) -> Vec<usize> {
        (0..self.steps.len())
            .filter(|no| !self.design.is_main(*no) && self.steps.get(*no).is_some_and(|step| step.ran))
            .flat_map(|no| self.design.undoes(no).collect::<Vec<_>>())
            .collect()
    }
}
