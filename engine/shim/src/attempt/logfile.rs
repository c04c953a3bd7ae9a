//! The file `log`: made with its first line, never longer than its cap, never the reason for anything to fail. When it
//! is full it keeps the last lines until the end, for that is where errors are told.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use runbook_shim::files::{LogCount, OWNER_ONLY};
use runbook_shim::log::{Stream, write_line};
use runbook_shim::paths;
use runbook_shim::time::{now_micros, rfc3339};

use super::tail::{Count, Kept, Tail};

/// A log may always have this length, in bytes.
const CAP_MIN: u64 = 4 << 10;

/// Of a full log at most so many bytes are its last lines.
const TAIL_MAX: u64 = 64 << 10;

/// A full log's last lines are at most this part of it.
const TAIL_PART: u64 = 4;

/// Room for the shim's own notes in a log, in bytes.
const NOTE_ROOM: u64 = 1 << 10;

/// So many bytes are written at a time: a disk without room for them may have room for fewer.
const PENDING_MAX: usize = 16 << 10;

/// The log while it is written.
#[derive(Debug)]
pub struct LogFile {
    file: Option<File>,
    /// Where the next write goes; everything before it is whole lines.
    length: u64,
    /// Lines that are not yet written.
    pending: Vec<u8>,
    pending_count: Count,
    written_lines: u64,
    /// How long the file may get before only the last lines are kept.
    head_cap: u64,
    tail_cap: u64,
    cap: u64,
    tail: Option<Tail>,
    /// What could not be written.
    lost: Count,
    problem: Option<String>,
    micros: i64,
    time: String,
}

impl LogFile {
    /// A log of at most `cap` bytes.
    pub fn new(cap: u64) -> LogFile {
        let cap = cap.max(CAP_MIN);
        let tail_cap = (cap / TAIL_PART).min(TAIL_MAX);
        LogFile {
            file: None,
            length: 0,
            pending: Vec::new(),
            pending_count: Count::default(),
            written_lines: 0,
            head_cap: cap - tail_cap - NOTE_ROOM,
            tail_cap,
            cap,
            tail: None,
            lost: Count::default(),
            problem: None,
            micros: i64::MIN,
            time: String::new(),
        }
    }

    /// Sets the time of the lines that follow to now.
    pub fn tick(&mut self) {
        self.set_time(now_micros());
    }

    fn set_time(&mut self, micros: i64) {
        if micros != self.micros {
            self.micros = micros;
            self.time = rfc3339(micros);
        }
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, stream: Stream, continues: bool, text: &[u8]) {
        if let Some(tail) = &mut self.tail {
            tail.push(&Kept { micros: self.micros, stream, continues, text });
            return;
        }
        let before = self.pending.len();
        write_line(&mut self.pending, &self.time, stream, continues, text);
        if self.length + self.pending.len() as u64 > self.head_cap {
            self.pending.truncate(before);
            self.note(&format!(
                "the log may have {} bytes and is nearly full: from here on only the last lines are kept, and are written when the command has ended",
                self.cap
            ));
            let mut tail = Tail::new(usize::try_from(self.tail_cap).unwrap_or(usize::MAX));
            tail.push(&Kept { micros: self.micros, stream, continues, text });
            self.tail = Some(tail);
            return;
        }
        self.pending_count.add(text);
        if self.pending.len() >= PENDING_MAX {
            self.flush();
        }
    }

    fn note(&mut self, text: &str) {
        write_line(&mut self.pending, &self.time, Stream::Note, false, text.as_bytes());
    }

    /// Writes what is pending. What the disk does not take is counted as dropped, and the file is cut back to its last
    /// whole line.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let count = std::mem::take(&mut self.pending_count);
        match self.write_pending() {
            Ok(()) => {
                self.length += self.pending.len() as u64;
                self.written_lines += count.lines;
            }
            Err(e) => {
                self.lost.join(count);
                if self.problem.is_none() {
                    self.problem = Some(format!("the log could not be written: {e}"));
                }
                if let Some(Err(e)) = self.file.as_ref().map(|file| file.set_len(self.length)) {
                    self.problem =
                        Some(format!("the log could not be written, nor cut back to its last whole line: {e}"));
                }
            }
        }
        self.pending.clear();
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file =
                Some(OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(paths::LOG)?);
        }
        match &self.file {
            Some(file) => file.write_all_at(&self.pending, self.length),
            None => Ok(()),
        }
    }

    /// Writes the last lines of a full log, and as the last of all how many were dropped. Returns what there was, and
    /// what went wrong.
    pub fn finish(mut self) -> (LogCount, Option<String>) {
        self.flush();
        let mut dropped = Count::default();
        if let Some(tail) = self.tail.take() {
            dropped = self.write_tail(&tail);
        }
        dropped.join(self.lost);
        if dropped.lines > 0 {
            self.tick();
            self.note(&format!(
                "{} lines ({} bytes) were dropped: the log had no room for them",
                dropped.lines, dropped.bytes
            ));
            let before = self.lost;
            self.flush();
            dropped.join(Count { lines: self.lost.lines - before.lines, bytes: self.lost.bytes - before.bytes });
        }
        let count = LogCount {
            lines: self.written_lines,
            bytes: self.length,
            dropped_lines: dropped.lines,
            dropped_bytes: dropped.bytes,
        };
        (count, self.problem)
    }

    /// Writes as many of the last lines as there is room for, and returns what was dropped.
    fn write_tail(&mut self, tail: &Tail) -> Count {
        let mut dropped = tail.dropped();
        let mut rendered: Vec<Vec<u8>> = Vec::new();
        let mut kept = Count::default();
        let mut room = self.tail_cap;
        let mut full = false;
        for line in tail.newest_first() {
            let mut bytes = Vec::new();
            self.set_time(line.micros);
            write_line(&mut bytes, &self.time, line.stream, line.continues, line.text);
            full |= bytes.len() as u64 > room;
            if full {
                dropped.add(line.text);
            } else {
                room -= bytes.len() as u64;
                kept.add(line.text);
                rendered.push(bytes);
            }
        }
        for bytes in rendered.iter().rev() {
            self.pending.extend_from_slice(bytes);
        }
        self.pending_count = kept;
        self.flush();
        dropped
    }
}
