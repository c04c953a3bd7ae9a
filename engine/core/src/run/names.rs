//! What the name of a lock or a group may be once it is made.

use crate::limits;

/// Whether a lock or a group may have this name.
///
/// # Errors
/// In words: what it must be.
pub(super) fn is_lock(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.len() <= limits::LOCK_NAME_BYTES && !name.contains(char::is_control) {
        return Ok(());
    }
    let (limit, bytes) = (limits::LOCK_NAME_BYTES, name.len());
    Err(format!("a name has 1 to {limit} bytes and no control characters, this one has {bytes} bytes"))
}
