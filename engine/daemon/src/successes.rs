//! When each runbook succeeded last: looked up in the journal once, and kept up from then on. Never decides what that means.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use runbook_core::run::Outcome;
use runbook_core::time::Timestamp;
use runbook_journal::{StoreError, View};

use crate::runs::ROWS;

/// When each runbook succeeded last.
pub struct Successes {
    reader: Arc<dyn View>,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    at: Option<Timestamp>,
    /// Whether the journal was asked for what came before this daemon.
    asked: bool,
}

impl Successes {
    /// Nothing is known yet.
    pub fn new(reader: Arc<dyn View>) -> Self {
        Self { reader, known: Mutex::default() }
    }

    /// A run of a runbook has succeeded.
    pub fn add(&self, runbook: &str, at: Timestamp) {
        self.keep(runbook, Some(at), false);
    }

    /// When a runbook succeeded last; a dry run proves nothing. May read the journal.
    ///
    /// # Errors
    /// An unreadable row.
    pub fn last(&self, runbook: &str) -> Result<Option<Timestamp>, StoreError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(runbook).copied();
        if let Some(Known { at, asked: true }) = known {
            return Ok(at);
        }
        // Without the lock: whoever adds a success must not wait for a scan.
        let found = self.reader.rows_newest_first(None, 1, ROWS, &mut |row| {
            let succeeded = row.finished.is_some_and(|finished| finished.outcome == Outcome::Succeeded);
            succeeded && !row.dry && row.runbook == runbook
        })?;
        let at = found.rows.first().and_then(|row| row.finished).map(|finished| finished.at);
        Ok(self.keep(runbook, at, true))
    }

    fn keep(&self, runbook: &str, at: Option<Timestamp>, asked: bool) -> Option<Timestamp> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(runbook.to_owned()).or_default();
        known.at = known.at.max(at);
        known.asked |= asked;
        known.at
    }
}
