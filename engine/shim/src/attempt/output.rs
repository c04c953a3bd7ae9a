//! One stream of the command's output on its way into the log: read, rid of secrets, cut into lines.

use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::time::Instant;

use runbook_shim::log::Stream;
use runbook_shim::redact::{Held, Redactor};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::logfile::LogFile;

/// A line of the log holds at most so many bytes of output; what is longer goes on in the next.
const LINE_BYTES: usize = 8 << 10;

/// So many bytes are read at a time.
pub const READ_BYTES: usize = 64 << 10;

/// A character of UTF-8 has at most so many bytes.
const CHARACTER_BYTES: usize = 4;

/// One of the command's two streams.
#[derive(Debug)]
pub struct Output {
    fd: Option<OwnedFd>,
    stream: Stream,
    held: Held,
    clean: Vec<u8>,
    partial: Vec<u8>,
    partial_since: Option<Instant>,
    continues: bool,
}

impl Output {
    /// The reading end of a pipe that never blocks.
    pub fn new(fd: OwnedFd, stream: Stream) -> Output {
        Output {
            fd: Some(fd),
            stream,
            held: Held::default(),
            clean: Vec::new(),
            partial: Vec::new(),
            partial_since: None,
            continues: false,
        }
    }

    /// The pipe, as long as somebody may write to it.
    pub fn fd(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    /// Since when the beginning of a line waits for its end.
    pub fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// Reads once what is there. Returns whether there may be more.
    pub fn read(&mut self, buffer: &mut Vec<u8>, redactor: &Redactor, log: &mut LogFile) -> bool {
        let Some(fd) = &self.fd else { return false };
        buffer.clear();
        match rustix::io::read(fd, spare_capacity(buffer)) {
            Ok(0) => self.close(redactor, log),
            Ok(length) => {
                self.take(buffer, redactor, log);
                // Less than was asked for was all that there was.
                return length == buffer.capacity();
            }
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => return true,
            // A pipe has no other errors; if it has, nothing more comes from it.
            Err(_) => self.close(redactor, log),
        }
        false
    }

    fn take(&mut self, bytes: &[u8], redactor: &Redactor, log: &mut LogFile) {
        if redactor.is_empty() {
            self.lines(bytes, log);
        } else {
            let mut clean = std::mem::take(&mut self.clean);
            redactor.redact(&mut self.held, bytes, &mut clean);
            self.lines(&clean, log);
            clean.clear();
            self.clean = clean;
        }
        self.partial_since = (!self.partial.is_empty()).then(Instant::now);
    }

    /// Takes what is left, and ends the stream.
    pub fn close(&mut self, redactor: &Redactor, log: &mut LogFile) {
        self.fd = None;
        let mut clean = Vec::new();
        redactor.finish(&mut self.held, &mut clean);
        self.lines(&clean, log);
        self.flush_partial(log);
    }

    /// Writes down the beginning of a line whose end does not come, so that people see it.
    pub fn flush_partial(&mut self, log: &mut LogFile) {
        self.partial_since = None;
        if self.partial.is_empty() {
            return;
        }
        // A character whose last bytes have not come yet waits on, unless nothing comes any more.
        let end = if self.fd.is_some() { whole_characters(&self.partial) } else { self.partial.len() };
        if end > 0 {
            log.line(self.stream, self.continues, &self.partial[..end]);
            self.partial.drain(..end);
            self.continues = true;
        }
    }

    fn lines(&mut self, mut bytes: &[u8], log: &mut LogFile) {
        while !bytes.is_empty() {
            let mut rest = bytes;
            // Reading from a slice cannot fail.
            let length = rest.skip_until(b'\n').unwrap_or(bytes.len());
            let piece = &bytes[..length];
            bytes = rest;
            match piece.strip_suffix(b"\n") {
                None => {
                    self.partial.extend_from_slice(piece);
                    self.cut_long(log);
                }
                Some(line) if self.partial.is_empty() && line.len() <= LINE_BYTES => {
                    self.end_line(line, log);
                }
                Some(line) => {
                    let mut whole = std::mem::take(&mut self.partial);
                    whole.extend_from_slice(line);
                    self.partial = whole;
                    self.cut_long(log);
                    let whole = std::mem::take(&mut self.partial);
                    self.end_line(&whole, log);
                }
            }
        }
    }

    fn end_line(&mut self, line: &[u8], log: &mut LogFile) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // The end of a line whose text was all written down is nothing more to write.
        if !(self.continues && line.is_empty()) {
            log.line(self.stream, self.continues, line);
        }
        self.continues = false;
    }

    /// Writes down pieces of a line that is too long, until the rest is short enough.
    fn cut_long(&mut self, log: &mut LogFile) {
        let mut start = 0;
        while self.partial.len() - start > LINE_BYTES {
            let piece = &self.partial[start..start + LINE_BYTES];
            let end = match whole_characters(piece) {
                0 => piece.len(),
                end => end,
            };
            log.line(self.stream, self.continues, &piece[..end]);
            self.continues = true;
            start += end;
        }
        self.partial.drain(..start);
    }
}

/// How many bytes there are before a character that is cut off at the end; all, if none is.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(CHARACTER_BYTES);
    for at in (from..bytes.len()).rev() {
        let needed = match bytes[at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return bytes.len(),
        };
        return if at + needed > bytes.len() { at } else { bytes.len() };
    }
    bytes.len()
}
