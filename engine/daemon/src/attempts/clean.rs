//! What is left of ended attempts: the log is kept, the directory goes; what no event explains is set aside and shown.
//! Everything here may be done twice.

use std::fs;
use std::io;
use std::path::Path;

use runbook_core::id::RunUid;
use runbook_core::machine::AttemptRef;
use runbook_shim::{memory, paths};

use super::spare::Spares;
use crate::files;
use crate::layout::{Layout, SPARE, parse_attempt_name};

/// Keeps the log of an ended attempt and removes its directory; one that left nothing to keep is made a spare one.
pub(super) fn clean(
    attempt: AttemptRef,
    layout: &Layout,
    run_is_over: bool,
    spares: Option<&Spares>,
) -> io::Result<()> {
    let directory = layout.attempt(attempt);
    if spares.is_none_or(|spares| spares.give(&directory).is_err()) {
        remove_directory(attempt, &directory, layout)?;
    }
    if run_is_over && let Some(run) = directory.parent() {
        // Another attempt may not be cleaned yet; then the next start removes the folder.
        let _ = fs::remove_dir(run);
    }
    Ok(())
}

fn remove_directory(attempt: AttemptRef, directory: &Path, layout: &Layout) -> io::Result<()> {
    let log = directory.join(paths::LOG);
    let kept = layout.log(attempt);
    match fs::rename(&log, &kept) {
        Ok(()) => {}
        // Either there is no log, or there is no folder for it yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && log.exists() => {
            if let Some(parent) = kept.parent() {
                files::make_private_directory(parent)?;
            }
            fs::rename(&log, &kept)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // By name: a removal that lists the directory first costs twice the calls.
    for name in [paths::LOCK, paths::SPEC, paths::CLAIM, paths::CHILD, paths::VERDICT] {
        remove(&directory.join(name))?;
    }
    // A shim that was killed left its files in memory.
    memory::remove(&directory.join(paths::FILES))?;
    match fs::remove_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Outputs, files, artifacts that nobody declared, a stop request.
        Err(_) => fs::remove_dir_all(directory)?,
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What an attempt's directory is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The journal says that it may have processes.
    Live,
    /// The journal knows its end.
    Ended,
    /// The journal does not know it.
    Unknown,
}

/// Goes through all attempts' directories at start: ended ones are cleaned, unknown ones set aside.
///
/// # Errors
/// A directory cannot be read or moved.
pub fn sweep(layout: &Layout, mut standing: impl FnMut(AttemptRef) -> Standing) -> io::Result<Vec<String>> {
    let mut set_aside = Vec::new();
    let runs = match fs::read_dir(layout.attempts()) {
        Ok(runs) => runs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(set_aside),
        Err(error) => return Err(error),
    };
    for run in runs {
        let run = run?;
        if run.file_name() == SPARE {
            continue;
        }
        let uid: Option<RunUid> = run.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(uid) = uid else {
            set_aside.push(quarantine(layout, &run.path(), "")?);
            continue;
        };
        let mut empty = true;
        for attempt in fs::read_dir(run.path())? {
            let attempt = attempt?;
            let name = attempt.file_name();
            let known = name.to_str().and_then(parse_attempt_name).map(|(step, number)| AttemptRef {
                run: uid,
                step,
                attempt: number,
            });
            match known.map(|known| (known, standing(known))) {
                Some((_, Standing::Live)) => empty = false,
                Some((ended, Standing::Ended)) => clean(ended, layout, false, None)?,
                Some((_, Standing::Unknown)) | None => {
                    set_aside.push(quarantine(layout, &attempt.path(), &format!("{uid}-"))?);
                }
            }
        }
        if empty {
            // A directory that is not empty after all stays; the next start sees it again.
            let _ = fs::remove_dir(run.path());
        }
    }
    Ok(set_aside)
}

fn quarantine(layout: &Layout, path: &Path, prefix: &str) -> io::Result<String> {
    files::make_private_directory(&layout.quarantine())?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut target = layout.quarantine().join(format!("{prefix}{name}"));
    let mut number = 1;
    while target.exists() {
        number += 1;
        target = layout.quarantine().join(format!("{prefix}{name}-{number}"));
    }
    memory::remove(&path.join(paths::FILES))?;
    fs::rename(path, &target)?;
    Ok(target.display().to_string())
}
