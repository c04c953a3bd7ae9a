//! The good versions of files of the folder that runs went by: they outlive what becomes of the files. Never decides which of them
//! counts, nor starts anything.

use runbook_core::definition::Runbook;
use runbook_journal::{RunRow, StoreError, View};

use crate::definitions::Definitions;
use crate::runs::ROWS;

/// A version that a run went by.
#[derive(Debug)]
pub struct Version {
    /// The number of the run.
    pub run: u64,
    /// The file that it was read from: relative to the project's folder, where it is of that.
    pub file: String,
    /// Its text.
    pub source: String,
    /// What was made of it.
    pub runbook: Runbook,
}

/// What the newest runs that pass `wanted` went by last, the newest first: of at most `runs` runs at the top. Each is read when it
/// is asked for; one that cannot be read any more is passed over.
///
/// # Errors
/// An unreadable row.
pub fn newest<'d>(
    reader: &dyn View,
    definitions: &'d Definitions,
    runs: usize,
    wanted: &mut dyn FnMut(&RunRow) -> bool,
) -> Result<impl Iterator<Item = Version> + use<'d>, StoreError> {
    let rows = reader.rows_newest_first(None, runs, ROWS, wanted)?.rows;
    Ok(rows.into_iter().filter_map(|row| match definitions.version(row.went_by()) {
        Ok((runbook, file, source)) => Some(Version { run: row.number, file, source, runbook }),
        Err(error) => {
            tracing::warn!(%error, "a definition is passed over");
            None
        }
    }))
}
