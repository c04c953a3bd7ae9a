//! Whether there is room on the disk for what a new run writes.

use std::path::Path;

use runbook_journal::limits::ROOM_BYTES;
use runbook_journal::room;

/// Why no run may be started for want of room, if it is so.
pub fn lack(data: &Path) -> Option<String> {
    match room::free(data) {
        Ok(free) if free >= ROOM_BYTES => None,
        Ok(free) => Some(format!(
            "the disk of {} has {} KiB left, and a run is started only with {} KiB; make room. What has begun goes on",
            data.display(),
            free >> 10,
            ROOM_BYTES >> 10
        )),
        Err(error) => {
            tracing::warn!(%error, "the room on the disk is not known");
            None
        }
    }
}
