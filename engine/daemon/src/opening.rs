//! Opening the data directory: its folder, its journal, and the removal of what no run needs. Waits for a daemon that
//! is just ending, and gives up the reserve where the disk is full. Starts nothing.

use std::collections::HashSet;
use std::error::Error as _;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use runbook_core::id::RunUid;
use runbook_core::run::Outcome;
use runbook_journal::{Journal, OpenError, Options, Report, View, room};

use crate::config::Config;
use crate::definitions::Definitions;
use crate::secrets::Sealer;
use crate::{clock, instance};

/// How long another daemon that has the directory and does not answer may take to let go of it: it is ending, or is
/// killed and not yet gone.
const ENDING_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at.
const ENDING_LOOK: Duration = Duration::from_millis(20);

/// The open journal, and what a person should know of how it was opened.
///
/// # Errors
/// Another daemon has it, or it cannot be opened: what, where, why and what to do.
pub fn open(config: &Config) -> anyhow::Result<(Journal, Vec<String>)> {
    let mut warnings: Vec<String> = instance::make_data_directory(&config.data_dir)?.into_iter().collect();
    let options = Options { accept_loss: config.accept_lost_events };
    let begun = Instant::now();
    let mut made_room = false;
    let (journal, report) = loop {
        match runbook_journal::open(&config.data_dir, options) {
            Ok(opened) => break opened,
            Err(OpenError::InUse { .. }) if begun.elapsed() < ENDING_PATIENCE && !answers(&config.socket) => {
                std::thread::sleep(ENDING_LOOK);
            }
            Err(error) if !made_room && is_full(&error) && room::free_ballast(&config.data_dir)? => {
                made_room = true;
                warnings.push("the disk was too full to open the journal, and it was tried again".to_owned());
            }
            Err(error) => return Err(error.into()),
        }
    };
    warnings.extend(report_warnings(&report));
    Ok((journal, warnings))
}

/// Whether somebody listens on a socket.
fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Whether an error is one of a full disk. The storage engine tells its own in words alone.
fn is_full(error: &OpenError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    error.to_string().contains(&io::Error::from(rustix::io::Errno::NOSPC).to_string())
}

fn report_warnings(report: &Report) -> Vec<String> {
    let mut warnings: Vec<String> = report
        .lost
        .iter()
        .map(|(first, last)| format!("the journal's commits {first} to {last} are lost, as was accepted"))
        .collect();
    if !report.ballast {
        let note = "the disk has no room for the reserve by which what has begun can end when it is full: the reserve is \
            given up until a start with more room. Make room: with too little no new run is started";
        warnings.push(note.to_owned());
    }
    warnings
}

/// Removes sealed inputs and definitions that no run needs. To be called before anybody can start a run.
///
/// # Errors
/// The rows of runs cannot be read, or something cannot be removed.
pub fn sweep(reader: &dyn View, definitions: &Definitions, sealer: &Sealer) -> anyhow::Result<()> {
    let needs = |run: RunUid| {
        let row = reader.row_by_uid(run)?;
        // What failed or was canceled may be resumed.
        Ok(row.is_some_and(|row| row.finished.is_none_or(|end| end.outcome != Outcome::Succeeded)))
    };
    let sealed = sealer.sweep(needs).context("sealed inputs of runs that are gone cannot be removed")?;
    let named = || {
        let mut named = HashSet::new();
        reader.rows_newest_first(None, usize::MAX, usize::MAX, &mut |row| {
            named.extend(row.definitions());
            false
        })?;
        Ok(named)
    };
    let removed =
        definitions.sweep(named, clock::now()).context("definitions of runs that are gone cannot be removed")?;
    if sealed + removed > 0 {
        tracing::info!(sealed, definitions = removed, "what no run needs any more was removed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use runbook_journal::FileError;

    use super::*;

    #[test]
    fn a_full_disk_is_known_from_other_errors() {
        let file = |kind: io::Error| OpenError::File(FileError { action: "write", path: "/x".into(), source: kind });
        let nospc = || io::Error::from(rustix::io::Errno::NOSPC);
        assert!(is_full(&file(nospc())));
        assert!(!is_full(&file(rustix::io::Errno::ACCESS.into())));
        let engine = |why: String| OpenError::Engine { dir: "/x".into(), why, advice: "" };
        assert!(is_full(&engine(format!("IO error: {}", nospc()))));
        assert!(!is_full(&engine("it panicked".to_owned())));
    }
}
