//! From a verdict to an attempt's end: what it says is checked against what lies there, artifacts are moved to where
//! they stay. Judges nothing.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use runbook_core::id::Digest;
use runbook_core::machine::AttemptRef;
use runbook_core::run::decide::MESSAGE;
use runbook_core::run::{Artifact, AttemptEnd, CutOff, How, NotStarted};
use runbook_core::time::Timestamp;
use runbook_shim::files::{Ending, NotStarted as ShimNotStarted, Outputs, Verdict};
use runbook_shim::paths;
use sha2::Digest as _;

use super::outputs;
use crate::files;
use crate::layout::Layout;

/// The attempt's end, or `None` where what lies there is not what the verdict says: then there is no verdict.
pub(super) fn collect(attempt: AttemptRef, layout: &Layout, verdict: &Verdict) -> io::Result<Option<AttemptEnd>> {
    let directory = layout.attempt(attempt);
    let mut end = AttemptEnd::bare(how(&verdict.ending));
    end.message = message(verdict);
    match &verdict.out {
        Outputs::Absent => {}
        Outputs::Present { length, sha256 } => {
            let bytes = match files::read_bounded(&directory.join(paths::OUT), *length) {
                Ok(bytes) => bytes,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if Digest::of(&bytes).to_string() != *sha256 {
                return Ok(None);
            }
            end.outputs = outputs::parse(&bytes);
            if let Some(serde_json::Value::String(why)) = end.outputs.shift_remove(MESSAGE) {
                end.message = if end.message.is_empty() { why } else { format!("{why}; {}", end.message) };
            }
        }
        Outputs::TooLong { length, cap } => {
            problem(&mut end, format!("$RUNBOOK_OUTPUT has {length} bytes, the limit is {cap}"));
        }
        Outputs::Unreadable { text } => problem(&mut end, format!("$RUNBOOK_OUTPUT cannot be used: {text}")),
    }
    if !verdict.artifacts.is_empty() {
        match keep_artifacts(attempt, layout, verdict)? {
            Some(artifacts) => end.artifacts = artifacts,
            None => return Ok(None),
        }
    }
    if !matches!(verdict.ending, Ending::NotStarted { .. }) {
        end.started_at = Some(Timestamp(verdict.started_at));
    }
    end.ended_at = Some(Timestamp(verdict.ended_at));
    end.cpu_micros = verdict.cpu_user_micros.saturating_add(verdict.cpu_system_micros);
    end.max_rss_kib = verdict.max_rss_kib;
    end.log_lines = verdict.log.lines;
    end.log_dropped = verdict.log.dropped_lines;
    Ok(Some(end))
}

fn problem(end: &mut AttemptEnd, text: String) {
    end.outputs.insert(runbook_core::run::decide::OUTPUT_PROBLEM.to_owned(), text.into());
}

fn how(ending: &Ending) -> How {
    match ending {
        Ending::Exited { code } => How::Exited(*code),
        Ending::Signaled { signal } => How::CutOff(CutOff::Signal(*signal)),
        Ending::TimedOut { .. } => How::CutOff(CutOff::Timeout),
        Ending::Stopped { .. } => How::CutOff(CutOff::Stopped),
        Ending::NotStarted { reason } => How::NotStarted(match reason {
            ShimNotStarted::Canceled => NotStarted::Canceled,
            ShimNotStarted::Errno { errno, .. } => NotStarted::Errno(*errno),
            ShimNotStarted::Fenced => NotStarted::Fenced,
        }),
    }
}

fn message(verdict: &Verdict) -> String {
    let mut parts = Vec::new();
    if let Ending::NotStarted { reason: ShimNotStarted::Errno { text, .. } } = &verdict.ending {
        parts.push(text.clone());
    }
    if verdict.leftover > 0 {
        parts.push(format!("{} processes that it left behind were killed", verdict.leftover));
    }
    parts.extend(verdict.problems.iter().cloned());
    parts.join("; ")
}

/// Moves the artifacts to where they stay, durably; done already counts as done.
fn keep_artifacts(attempt: AttemptRef, layout: &Layout, verdict: &Verdict) -> io::Result<Option<Vec<Artifact>>> {
    let from = layout.attempt(attempt).join(paths::ARTIFACTS);
    let to = layout.artifacts(attempt);
    let place = if from.exists() { &from } else { &to };
    let mut kept = Vec::with_capacity(verdict.artifacts.len());
    for artifact in &verdict.artifacts {
        let Some(digest) = digest_of(&place.join(&artifact.name), artifact.length)? else { return Ok(None) };
        if digest.to_string() != artifact.sha256 {
            return Ok(None);
        }
        kept.push(Artifact { name: artifact.name.clone(), length: artifact.length, digest });
    }
    move_artifacts(attempt, layout)?;
    Ok(Some(kept))
}

/// Moves the artifacts of an attempt to where they stay, durably, if they are not there yet.
pub(super) fn move_artifacts(attempt: AttemptRef, layout: &Layout) -> io::Result<()> {
    let from = layout.attempt(attempt).join(paths::ARTIFACTS);
    let to = layout.artifacts(attempt);
    if from.exists() {
        let parent = to.parent().unwrap_or(&to);
        files::make_private_directory(parent)?;
        fs::rename(&from, &to)?;
        files::sync_directory(parent)?;
        if let Some(run) = parent.parent() {
            files::sync_directory(run)?;
            if let Some(runs) = run.parent() {
                files::sync_directory(runs)?;
            }
        }
    }
    Ok(())
}

/// The hash of a file of this length; `None` where there is none.
pub(super) fn digest_of(path: &Path, length: u64) -> io::Result<Option<Digest>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != length {
        return Ok(None);
    }
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Some(Digest(hasher.finalize().into())));
        }
        hasher.update(&buffer[..read]);
    }
}
