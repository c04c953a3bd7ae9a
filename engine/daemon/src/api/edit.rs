//! A run that is opened again by its runbook as the folder has it now: the comparison that a person sees first, and the
//! definition that the run goes on by. What an edit may change is the core's to say.

use std::sync::Arc;

use runbook_core::run::edition::{Again, EditedStep, Edition, edition};
use runbook_core::run::{Edit, Input, Principal, Rejection, RunState, decide};
use runbook_proto::v1;
use tonic::{Code, Status};

use super::asked::{Asked, asked};
use super::from_proto::Wanted;
use super::runs::Runs;
use super::{errors, internal};
use crate::clock;

/// An edited definition beside a run.
pub(super) struct Compared {
    /// What the run is to be told.
    pub edit: Edit,
    /// What it would become.
    edition: Edition,
}

impl Runs {
    /// Holds the runbook of a run, as the folder has it now, against the run.
    pub(super) async fn compare(&self, state: &RunState) -> Result<Compared, Status> {
        let created = state.created();
        if created.parent.is_some() {
            return Err(errors::rejection(&Rejection::ChildRun { number: created.number, verb: "resume" }));
        }
        let asked = asked(&self.0, Wanted::Named(created.runbook.clone())).await?;
        let Asked { source, file, generation, .. } = &asked;
        let (source, file, generation) = (source.clone(), file.clone(), Arc::clone(generation));
        // The environment stays as the run has it.
        let environment = state.pinned().runbook.environment.as_deref().cloned();
        super::environments::fits(&asked.generation, &asked.runbook, environment.as_ref())?;
        let mut pinned = self.pin(asked, environment.clone()).await?;
        let (before, after) = (state.pinned().digest, pinned.digest);
        let definitions = Arc::clone(&self.0.surroundings.definitions);
        let files = tokio::task::spawn_blocking(move || definitions.changed_files(before, after));
        let files = files.await.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        let edition = edition(state, &pinned.runbook, &files).map_err(|refused| {
            let refused = refused.iter().map(ToString::to_string).collect();
            errors::rejection(&Rejection::Edit { refused })
        })?;
        // Its steps stand in another order: it is a definition of its own.
        if edition.runbook != pinned.runbook {
            let runbook = edition.runbook.clone();
            pinned = self.pin(Asked { runbook, source, file, generation }, environment).await?;
        }
        Ok(Compared { edit: Edit { pinned, files }, edition })
    }
}

impl Compared {
    /// Refuses what is not the definition that was shown.
    pub(super) fn is_as_shown(&self, shown: &str) -> Result<(), Status> {
        let now = self.edit.pinned.digest.to_string();
        // A beginning of it is enough for a person to have seen it.
        if shown.len() >= 8 && now.starts_with(shown) {
            return Ok(());
        }
        let why = if shown.is_empty() {
            "say in `definition` which one was compared; `validate_only` tells it".to_owned()
        } else {
            format!("the runbook was edited again since it was compared: it is {now} now, and not {shown}")
        };
        Err(errors::status(Code::FailedPrecondition, "EDIT_STALE", why))
    }

    /// The comparison, for whoever decides.
    pub(super) fn told(&self) -> v1::Edition {
        let runbook = &self.edition.runbook;
        let id = |no| runbook.step(no).map_or_else(String::new, |step| step.id.clone());
        let step = |step: &EditedStep| v1::EditedStep {
            id: id(step.step),
            keys: step.keys.clone(),
            added: false,
            again: step.again.is_some(),
            because_of: match step.again {
                Some(Again::Reads(of)) => id(of),
                Some(Again::Changed) | None => String::new(),
            },
            anew: step.anew,
        };
        let added =
            self.edition.added.iter().map(|no| v1::EditedStep { id: id(*no), added: true, ..Default::default() });
        v1::Edition {
            definition: self.edit.pinned.digest.to_string(),
            keys: self.edition.keys.clone(),
            files: self.edit.files.clone(),
            steps: self.edition.steps.iter().map(step).chain(added).collect(),
        }
    }
}

/// Whether a run could be opened again so; what is destroyed is confirmed later, when it is known.
pub(super) fn could_resume(state: &RunState, by: Principal, edit: Option<Edit>) -> Result<(), Status> {
    let edited = edit.map(Box::new);
    let input = Input::Resume { by, reason: String::new(), confirmed: Vec::new(), edited };
    match decide(state, clock::now(), input) {
        Ok(_) | Err(Rejection::Unconfirmed { .. }) => Ok(()),
        Err(rejection) => Err(errors::rejection(&rejection)),
    }
}
