//! The differences that somebody accepted, as the process is told of them that looks for drift. Never knows until when.

use runbook_core::drift::{Found, bounded};
use runbook_core::id::Digest;
use serde_json::{Value, json};

use crate::told::Told;

/// So many hexadecimal digits of a mark tell one from another.
const MARK_DIGITS: usize = 16;

/// The key under which they are told.
pub(crate) const ACCEPTED: &str = "accepted";

/// One of them, with its workspace.
pub(crate) fn to_json((workspace, found): &(String, Found)) -> Value {
    let Found { address, action, attributes, more, mark } = found;
    let differs = json!({"action": action, "attributes": attributes, "more": more, "mark": mark});
    json!({"workspace": workspace, "address": address, "differs": differs})
}

/// The key under which the key of marks is told, in hexadecimal digits.
pub(crate) const KEY: &str = "mark_key";

/// What tells a value from others, and nobody what it is; empty where no key was told.
pub(crate) fn mark(told: &Told, value: &Value) -> String {
    let Some(Digest(key)) = told.text(KEY).and_then(|digits| digits.parse().ok()) else { return String::new() };
    Digest::keyed(&key, value.to_string().as_bytes()).to_string().chars().take(MARK_DIGITS).collect()
}

/// Whether a difference that was found is one of those that were told of a workspace: the same, in every way.
pub(crate) fn is_accepted(told: &Told, workspace: &str, found: Found) -> bool {
    let it = to_json(&(workspace.to_owned(), bounded(found)));
    told.value(ACCEPTED).and_then(Value::as_array).is_some_and(|all| all.contains(&it))
}
