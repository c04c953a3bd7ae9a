//! What a rollback by hand would do, told before it is asked for: in the run, and in the child runs that it goes down into.
//! Changes nothing.

use std::sync::Arc;

use runbook_core::definition::step_path;
use runbook_core::id::{RunUid, StepNo};
use runbook_core::run::{Input, RunState, Undo, decide};
use runbook_proto::v1;
use tonic::Status;

use super::runs::Runs;
use super::{errors, internal};
use crate::clock;
use crate::runs::read_state;

/// Steps that are told.
const STEPS: usize = 10_000;

impl Runs {
    /// What the input, a rollback, would do to a run.
    ///
    /// # Errors
    /// It would be refused, or the journal cannot be read.
    pub(super) async fn way_back(&self, uid: RunUid, input: Input) -> Result<v1::RollBackRunResponse, Status> {
        let top = self.0.run_state(uid).await?;
        decide(&top, clock::now(), input).map_err(|refused| errors::rejection(&refused))?;
        let run = Some(self.head(uid).await?);
        let (reader, definitions) = (Arc::clone(&self.0.reader), Arc::clone(&self.0.surroundings.definitions));
        let way = tokio::task::spawn_blocking(move || {
            let (mut told, mut left_out) = (Vec::new(), 0_u32);
            // The next one is on top.
            let mut open = steps_of(&top, "");
            while let Some((step, undo)) = open.pop() {
                match undo {
                    Undo::Below(child) => {
                        let below = read_state(&*reader, &definitions, child)?;
                        open.extend(below.iter().flat_map(|below| steps_of(below, &format!("{step}/"))));
                    }
                    Undo::Command(_) if told.len() >= STEPS => left_out = left_out.saturating_add(1),
                    Undo::Command(command) => told.push(v1::PlannedUndo { step, command }),
                }
            }
            Ok::<_, anyhow::Error>((told, left_out))
        });
        let (undo, undo_left_out) = way.await.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        Ok(v1::RollBackRunResponse { run, undo, undo_left_out })
    }
}

/// What would be compensated in a run, the first last. `prefix` is what is before the ids of its steps.
fn steps_of(run: &RunState, prefix: &str) -> Vec<(String, Undo)> {
    let id = |no: StepNo| run.pinned().runbook.step(no).map_or("?", |step| step.id.as_str());
    run.way_back().into_iter().rev().map(|(no, undo)| (step_path(prefix, id(no)), undo)).collect()
}
