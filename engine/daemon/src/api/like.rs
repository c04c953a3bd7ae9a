//! A start that is like another run: what it takes over from that. Never starts anything.

use runbook_core::definition::{Environment, InputSource, Runbook};
use runbook_core::run::RunState;
use runbook_core::selection::Wish;
use runbook_proto::v1;
use serde_json::{Map, Value};
use tonic::{Code, Status};

use super::{Shared, errors, from_proto};

/// The run that a request wants to be like, if it wants that; where it names no runbook, it gets that of the run.
///
/// # Errors
/// There is no such run, or it cannot be read.
pub(super) async fn like(shared: &Shared, request: &mut v1::StartRunRequest) -> Result<Option<RunState>, Status> {
    if request.like.is_empty() {
        return Ok(None);
    }
    let uid = shared.run_uid(from_proto::run_name_in("like", &request.like)?).await?;
    let state = shared.run_state(uid).await?;
    if request.runbook.is_empty() && request.source.is_empty() {
        request.runbook.clone_from(&state.created().runbook);
    }
    Ok(Some(state))
}

/// What is taken over.
pub(super) struct Taken {
    /// Inputs that are given by it.
    pub inputs: Map<String, Value>,
    /// What of the steps it wants.
    pub wish: Wish,
}

/// What a start of a runbook takes over from a run. `given`: the inputs that the request gives itself; `environment`: the one
/// that it is in.
///
/// # Errors
/// The run is one of another runbook, or had a secret input, which is not kept.
pub(super) fn take(
    run: &RunState,
    runbook: &Runbook,
    given: &[String],
    environment: Option<&Environment>,
) -> Result<Taken, Status> {
    let created = run.created();
    if created.runbook != runbook.name {
        let problem = format!("run {} is one of {}, not of {}", created.number, created.runbook, runbook.name);
        return Err(errors::bad_field("like", problem));
    }
    // Another environment gives for itself.
    let elsewhere = created.terms.environment.as_deref() != environment.map(|it| it.name.as_str());
    let of_environment = |name: &String| created.terms.sources.get(name) == Some(&InputSource::Environment);
    let kept = |name: &&String| {
        runbook.inputs.contains_key(*name) && !given.contains(*name) && !(elsewhere && of_environment(name))
    };
    if let Some(secret) = created.sealed_inputs.iter().find(kept) {
        let problem = format!("the secret input {secret:?} of run {} is not kept: give it again", created.number);
        return Err(errors::status(Code::FailedPrecondition, "SECRET_NOT_KEPT", problem));
    }
    let inputs = created.inputs.iter().filter(|(name, value)| kept(name) && !value.is_null());
    Ok(Taken {
        inputs: inputs.map(|(name, value)| (name.clone(), value.clone())).collect(),
        wish: created.terms.selection.wish.clone(),
    })
}
