//! Environments over the API: found by the names that requests give, and told. Which one a run is started in is said elsewhere.

use std::sync::Arc;

use runbook_core::definition::{Environment, Freeze, Hours, Runbook};
use runbook_proto::v1;
use tonic::{Code, Status};

use super::{Shared, asks, errors, internal, to_proto};
use crate::clock;
use crate::library::{Generation, Place};
use crate::placed::{self, Misplaced};

/// What names of environments begin with.
const COLLECTION: &str = "environments/";

/// The bare name of an environment as a request names it.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix(COLLECTION).unwrap_or(name)
}

/// The file of an environment of a name.
///
/// # Errors
/// There is none.
pub(super) fn find<'g>(generation: &'g Generation, name: &str) -> Result<&'g Place, Status> {
    placed::find(generation, bare(name)).map_err(|misplaced| refusal(&misplaced))
}

/// Whether an environment may be asked about: it is there, something is known of it, or none is named.
///
/// # Errors
/// There is none of this name.
pub(super) async fn known(shared: &Arc<Shared>, name: &str, seen: impl Fn(&str) -> bool) -> Result<(), Status> {
    let name = bare(name);
    if name.is_empty() || seen(name) {
        return Ok(());
    }
    let shared = Arc::clone(shared);
    let folder =
        tokio::task::spawn_blocking(move || shared.library.latest()).await.map_err(|error| internal(&error))?;
    find(&folder, name).map(|_| ())
}

/// The environment that a run of a runbook is started in.
///
/// # Errors
/// There is none, or the runbook does not run in it.
pub(super) fn chosen(
    generation: &Generation,
    runbook: &Runbook,
    name: Option<&str>,
) -> Result<Option<Environment>, Status> {
    placed::chosen(generation, runbook, name.map(bare)).map_err(|misplaced| refusal(&misplaced))
}

/// Whether a runbook may run in an environment, or in none.
///
/// # Errors
/// It does not.
pub(super) fn fits(
    generation: &Generation,
    runbook: &Runbook,
    environment: Option<&Environment>,
) -> Result<(), Status> {
    placed::fits(generation, runbook, environment).map_err(|misplaced| refusal(&misplaced))
}

fn refusal(misplaced: &Misplaced) -> Status {
    let message = misplaced.to_string();
    match misplaced {
        Misplaced::Unknown { .. } => errors::status(Code::NotFound, "NO_SUCH_ENVIRONMENT", message),
        Misplaced::Broken { .. } => errors::status(Code::FailedPrecondition, "BROKEN_ENVIRONMENT", message),
        Misplaced::TwoDefaults(..)
        | Misplaced::Nowhere { .. }
        | Misplaced::Elsewhere { .. }
        | Misplaced::Ambiguous { .. } => {
            errors::bad_fields("ENVIRONMENT", message.clone(), &[("environment".to_owned(), message)])
        }
    }
}

/// An environment as it is told.
pub(super) fn told(place: &Place) -> v1::Environment {
    let nothing = Environment::default();
    let environment = place.environment();
    let it = environment.unwrap_or(&nothing);
    v1::Environment {
        name: format!("{COLLECTION}{}", place.name),
        description: it.description.clone(),
        file: place.file().to_owned(),
        is_default: it.is_default,
        values: Some(to_proto::object(it.values.iter())),
        inputs: Some(to_proto::object(it.inputs.iter())),
        findings: place.findings.iter().map(to_proto::finding).collect(),
        broken: environment.is_none(),
        start_roles: it.protection.roles.clone(),
        confirm: it.protection.confirm.clone().unwrap_or_default(),
        approved_by: it.protection.approvals.as_ref().map(asks::of_start).unwrap_or_default(),
        hours: it.protection.hours.as_ref().map(Hours::text).unwrap_or_default(),
        freezes: it.protection.freezes.iter().map(freeze).collect(),
        override_roles: it.protection.override_roles.clone(),
        closed: it.protection.closed(clock::now()).map(|closed| closed.to_string()).unwrap_or_default(),
    }
}

fn freeze((name, freeze): (&String, &Freeze)) -> v1::Freeze {
    v1::Freeze {
        name: name.clone(),
        from: Some(to_proto::timestamp(freeze.from)),
        to: Some(to_proto::timestamp(freeze.to)),
        reason: freeze.reason.clone(),
    }
}
