//! The differences that somebody accepted, as the process is told of them that looks for drift. Never knows until when.

use runbook_core::drift::{Found, bounded};
use serde_json::{Value, json};

use crate::told::Told;

/// The key under which they are told.
pub(crate) const ACCEPTED: &str = "accepted";

/// One of them, with its workspace.
pub(crate) fn to_json((workspace, found): &(String, Found)) -> Value {
    let Found { address, action, attributes, more } = found;
    json!({"workspace": workspace, "address": address, "action": action, "attributes": attributes, "more": more})
}

/// Whether a difference that was found is one of those that were told of a workspace: the same, in every way.
pub(crate) fn is_accepted(told: &Told, workspace: &str, found: Found) -> bool {
    let it = to_json(&(workspace.to_owned(), bounded(found)));
    told.value(ACCEPTED).and_then(Value::as_array).is_some_and(|all| all.contains(&it))
}
