//! What must be there before a start: looked at for whoever starts or plans. That nothing is missing any more is kept, where the
//! newest look on a timer said otherwise. Never knows what is looked at.

use std::convert::Infallible;
use std::sync::Arc;

use runbook_core::destruction::Known;
use runbook_core::kept::Kept;
use runbook_core::preflight::{Checked, Missing, Place};
use tonic::Status;

use super::runs::{Intended, Runs};
use super::{errors, internal};
use crate::{clock, preflight};

impl Runs {
    /// What of that which must be there before the first step is missing, for the runbooks that steps start too.
    pub(super) async fn missing(&self, intended: Intended) -> Result<(Intended, Vec<Missing>), Status> {
        let shared = Arc::clone(&self.0);
        let looked = tokio::task::spawn_blocking(move || {
            let Intended { asked, inputs, terms, .. } = &intended;
            let inputs = preflight::open(&asked.runbook, &inputs.values);
            let known = Known {
                runbook: &asked.runbook,
                environment: intended.environment.as_ref(),
                inputs: &inputs,
                principal: "",
                reason: &intended.reason,
                left_out: &terms.selection.left_out,
            };
            let missing = shared.preflight.of_start(&known, &asked.generation, &shared.surroundings);
            (intended, missing)
        });
        let (intended, missing) = looked.await.map_err(|error| internal(&error))?;
        if missing.is_empty() {
            self.nothing_is_missing(&intended).await?;
        }
        Ok((intended, missing))
    }

    /// Keeps that a runbook could start, where the newest look on its timer said that it could not.
    async fn nothing_is_missing(&self, intended: &Intended) -> Result<(), Status> {
        let environment = intended.environment.as_ref().map(|environment| environment.name.clone());
        let place = Place { runbook: intended.asked.runbook.name.clone(), environment };
        let before = self.0.shelf.look().preflights.get(&place).filter(|checked| checked.since.is_some()).cloned();
        let Some(before) = before else { return Ok(()) };
        let checked = Checked::of(place, clock::now(), Vec::new(), Some(&before));
        let kept = self.0.dispatcher.keep(move |_| Ok::<_, Infallible>(vec![Kept::Preflight(checked)])).await;
        kept.map_err(|_| errors::ending())?.map_err(|never| match never {})
    }

    /// What must be there before the first step.
    pub(super) async fn preflight(&self, intended: Intended) -> Result<Intended, Status> {
        let (intended, missing) = self.missing(intended).await?;
        if missing.is_empty() {
            return Ok(intended);
        }
        let list: Vec<&str> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        let message = format!("{} cannot run here: {}", intended.asked.runbook.name, list.join("; "));
        let missing = missing.iter().map(|missing| (missing.subject.as_str(), missing.problem.as_str()));
        Err(errors::unmet("PREFLIGHT", message, missing))
    }
}
