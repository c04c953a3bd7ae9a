//! What takes long, beside the dispatcher: moving old commits out of the journal's tail, and deleting what removed runs
//! have left. Never decides what is kept.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use runbook_journal::{Archiver, View, directory};

/// Commits moved at a time: a commit of the dispatcher never waits for more.
const COMMITS: usize = 2_000;

/// The way to the thread that does it.
#[derive(Debug, Clone)]
pub struct Maintenance {
    wake: SyncSender<()>,
}

impl Maintenance {
    /// Says that the tail is long, or that runs were removed.
    pub fn wake(&self) {
        match self.wake.try_send(()) {
            // Full: it knows already. Gone: an error ended it, which the journal itself reports at the next commit.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Starts the thread; what an earlier daemon left is its first work.
///
/// # Errors
/// The system has no thread left.
pub fn start(archiver: Archiver, reader: Arc<dyn View>, data: PathBuf) -> io::Result<Maintenance> {
    let (wake, woken) = sync_channel(1);
    let maintenance = Maintenance { wake };
    maintenance.wake();
    std::thread::Builder::new().name("archiver".into()).spawn(move || {
        let mut archive = Told::default();
        let mut trash = Told::default();
        while woken.recv().is_ok() {
            if reader.tail().is_long() {
                let archived = archiver.archive(COMMITS);
                archive.tell(archived, "old commits cannot be moved out of the journal; trying again");
            }
            trash.tell(directory::empty_trash(&data), "what removed runs left cannot be deleted; trying again");
        }
    })?;
    Ok(maintenance)
}

/// Tells the first of many equal errors: on a full disk each commit would repeat it.
#[derive(Debug, Default)]
struct Told {
    failed: bool,
}

impl Told {
    fn tell<T: std::fmt::Debug, E: std::fmt::Display>(&mut self, result: Result<T, E>, failure: &str) {
        match result {
            Ok(done) => {
                tracing::trace!(?done, "maintained");
                self.failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::error!(%error, "{failure}");
                }
            }
        }
    }
}
