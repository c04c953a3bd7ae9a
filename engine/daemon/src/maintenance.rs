//! Moving old commits out of the journal's tail, beside the dispatcher. Never decides what is kept.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use runbook_journal::Archiver;

/// Commits moved at a time: a commit of the dispatcher never waits for more.
const COMMITS: usize = 2_000;

/// The way to the thread that archives.
#[derive(Debug, Clone)]
pub struct Maintenance {
    wake: SyncSender<()>,
}

impl Maintenance {
    /// Says that the tail is long.
    pub fn wake(&self) {
        match self.wake.try_send(()) {
            // Full: it knows already. Gone: an error ended it, which the journal itself reports at the next commit.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub fn start(archiver: Archiver) -> io::Result<Maintenance> {
    let (wake, woken) = sync_channel(1);
    std::thread::Builder::new().name("archiver".into()).spawn(move || {
        while woken.recv().is_ok() {
            match archiver.archive(COMMITS) {
                Ok(archived) => tracing::debug!(?archived, "old commits were moved to their runs' files"),
                Err(error) => tracing::error!(%error, "old commits cannot be moved out of the journal"),
            }
        }
    })?;
    Ok(Maintenance { wake })
}
