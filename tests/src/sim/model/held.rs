//! Rules 84 to 88: what a pause holds, how it goes down, and what of a run others ask for.

use runbook_core::id::RunUid;
use runbook_core::run::{AttemptKind, Fact, Waits};
use serde_json::Value;

use super::super::design::SLOT;
use super::run::{RunModel, Stage};
use super::step::Status;
use super::turn::Model;
use super::{Check, must};

impl RunModel {
    /// Whether nothing of its main steps may begin (84).
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some() && matches!(self.stage, Stage::Queued | Stage::Main)
    }

    /// Whether it can be paused (86).
    pub(super) fn can_be_held(&self) -> bool {
        let main = matches!(self.stage, Stage::Queued | Stage::Main);
        main && self.held.is_none() && self.asked.is_none() && !self.ends_hard()
    }

    /// Whether nothing of it is on that goes on while it is paused (87).
    pub(crate) fn stands_held(&self) -> bool {
        let goes_on = |status: Status| {
            matches!(
                status,
                Status::Live(..)
                    | Status::Child { waits: Waits::No, .. }
                    | Status::ChildRollback { .. }
                    | Status::Waiting(AttemptKind::Verify | AttemptKind::OnCancel, _)
            )
        };
        self.held.is_some() && self.stage == Stage::Main && !self.steps.iter().any(|step| goes_on(step.status))
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

impl Model {
    /// The run above a child run that is on.
    pub(super) fn run_above(&self, run: &RunModel) -> Option<&RunModel> {
        let on = matches!(self.step_above(run), Some(Status::Child { uid, .. }) if uid == run.uid);
        self.runs.get(&run.created.parent?.run).filter(|_| on)
    }

    /// Whether a pause of a child run, or its end, comes from above; `None` where it is none (84, 88).
    pub(super) fn follows_pause(&self, uid: RunUid, fact: &Fact) -> Option<Check> {
        let run = self.runs.get(&uid).filter(|run| run.created.parent.is_some())?;
        let held = self.run_above(run).filter(|above| above.is_held()).and_then(|above| above.held.as_ref());
        match fact {
            Fact::Paused { before: None, by, reason } => {
                let told = held.is_some_and(|(who, why)| (who, why) == (by, reason));
                Some(must(told && run.can_be_held(), || format!("the run above is held by {held:?} (84)")))
            }
            Fact::Continued { .. } => {
                Some(must(held.is_none() && run.is_held(), || "the run above does not go on (88)".to_owned()))
            }
            _ => None,
        }
    }

    /// What is below a paused run is paused, and nothing else below is (84, 88).
    pub(super) fn check_held(&self, run: &RunModel) -> Check {
        if run.created.parent.is_none() {
            return Ok(());
        }
        match self.run_above(run).is_some_and(RunModel::is_held) {
            true => must(!run.can_be_held(), || "the run above is paused, and it is not (84)".to_owned()),
            false => must(!run.is_held(), || "the run above is not paused, and it is (88)".to_owned()),
        }
    }
}
