//! The lines of attempts' logs, from where they lie: with the attempt while it runs, with the run once it ended.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use runbook_core::id::{AttemptNo, RunUid, StepNo};
use runbook_core::machine::AttemptRef;
use runbook_core::run::{Event, Fact};
use runbook_core::time::Timestamp;
use runbook_proto::v1;
use runbook_shim::{log, paths};

use super::to_proto;
use crate::layout::Layout;

/// Lines told at once.
const LINES: usize = 512;
/// The bytes above which no more lines are put into one message: some messages wait for each slow client.
const BYTES: usize = 64 << 10;
/// The part of a log's end in which its last lines are looked for, in bytes a line.
const TAIL_BYTES_PER_LINE: u64 = 16 << 10;

/// Reads one attempt's log on from where it stopped.
pub(super) struct Follower {
    step: String,
    attempt: AttemptRef,
    offset: u64,
    tail: u32,
}

impl Follower {
    pub(super) fn new(step: String, attempt: AttemptRef, tail: u32) -> Self {
        Self { step, attempt, offset: 0, tail }
    }

    /// The next lines that are whole; none when there are none yet.
    pub(super) fn next(&mut self, layout: &Layout) -> io::Result<Vec<v1::LogLine>> {
        // It moves when the attempt ends, so the kept one is looked for on both sides of the live one.
        let live = layout.attempt(self.attempt).join(paths::LOG);
        let kept = layout.log(self.attempt);
        let file = [kept.clone(), live, kept].into_iter().find_map(open);
        let Some(file) = file.transpose()? else { return Ok(Vec::new()) };
        let mut reader = BufReader::new(file);
        if self.tail > 0 && self.offset == 0 {
            self.offset = tail_offset(&mut reader, self.tail)?;
            self.tail = 0;
        }
        reader.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Vec::new();
        let mut raw = Vec::new();
        let begin = self.offset;
        while lines.len() < LINES && self.offset - begin < BYTES as u64 {
            raw.clear();
            let read = reader.read_until(b'\n', &mut raw)?;
            if read == 0 || !raw.ends_with(b"\n") {
                break;
            }
            self.offset += read as u64;
            let text = String::from_utf8_lossy(&raw);
            if let Some(line) = log::parse_line(&text) {
                lines.push(self.line(&line));
            }
        }
        Ok(lines)
    }

    fn line(&self, line: &log::Line<'_>) -> v1::LogLine {
        v1::LogLine {
            step: self.step.clone(),
            attempt: self.attempt.attempt.0,
            at: Some(to_proto::timestamp(Timestamp(line.micros))),
            stderr: line.stream != log::Stream::Out,
            text: line.text.to_owned(),
        }
    }
}

fn open(path: PathBuf) -> Option<io::Result<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened),
    }
}

/// Where the last lines begin.
fn tail_offset(reader: &mut BufReader<File>, lines: u32) -> io::Result<u64> {
    let length = reader.get_ref().metadata()?.len();
    let from = length.saturating_sub(u64::from(lines).saturating_mul(TAIL_BYTES_PER_LINE));
    reader.seek(SeekFrom::Start(from))?;
    let mut starts = Vec::new();
    let mut at = from;
    let mut raw = Vec::new();
    loop {
        raw.clear();
        let read = reader.read_until(b'\n', &mut raw)?;
        if read == 0 {
            break;
        }
        // The first line may have been entered in its middle.
        if at == 0 || at > from {
            starts.push(at);
        }
        at += read as u64;
    }
    let index = starts.len().saturating_sub(lines as usize);
    Ok(starts.get(index).copied().unwrap_or(at))
}

/// The last line that an attempt wrote so far.
pub(super) fn last_line(layout: &Layout, attempt: AttemptRef) -> Option<String> {
    let mut follower = Follower::new(String::new(), attempt, 1);
    follower.next(layout).ok()?.pop().map(|line| line.text)
}

/// The attempts that some events started.
pub(super) fn started(uid: RunUid, events: &[Event]) -> impl Iterator<Item = (StepNo, AttemptRef)> {
    events.iter().filter_map(move |event| match &event.fact {
        Fact::AttemptStarting { step, attempt, .. } => {
            Some((*step, AttemptRef { run: uid, step: *step, attempt: AttemptNo(attempt.0) }))
        }
        _ => None,
    })
}
