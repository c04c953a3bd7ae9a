//! Hiding secrets in a stream of bytes, whatever the borders of its chunks, and in single texts. It never knows lines.

use std::collections::BTreeSet;

use crate::encodings::{Form, Way, forms};
use crate::escapes;
use crate::secrets::wipe;

/// What stands where a secret was.
pub const MARK: &str = "***";

/// The secrets to hide, ready to be looked for.
#[derive(Default)]
pub struct Redactor {
    forms: Vec<Form>,
    /// The forms that begin with a byte, as indexes into `forms`; empty when there is nothing to hide.
    starting: Vec<Vec<u32>>,
}

/// What is not yet decided about the end of a stream: it may be the beginning of a secret.
#[derive(Default, Debug)]
pub struct Held {
    bytes: Vec<u8>,
    /// So many of the bytes belong to a secret that was already replaced.
    covered: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    No,
    /// It could become one with more bytes.
    Perhaps,
    /// So many bytes are one.
    Yes(usize),
}

impl Redactor {
    /// A redactor of these secret values; too short ones cannot be hidden, see
    /// [`MIN_SECRET_BYTES`](crate::encodings::MIN_SECRET_BYTES).
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
        let all: BTreeSet<Form> = secrets.into_iter().flat_map(forms).collect();
        if all.is_empty() {
            return Redactor::default();
        }
        let forms: Vec<Form> = all.into_iter().collect();
        let mut starting = vec![Vec::new(); 256];
        for (index, form) in (0..).zip(&forms) {
            starting[usize::from(form.bytes[0])].push(index);
            if form.way == Way::Escaped && form.bytes[0] != escapes::SIGN {
                starting[usize::from(escapes::SIGN)].push(index);
            }
        }
        Redactor { forms, starting }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Appends `chunk`, which follows what was given before with the same `held`, to `clean` with every secret
    /// replaced. What may be a secret's beginning is held back until the next chunk or [`Redactor::finish`].
    pub fn redact(&self, held: &mut Held, chunk: &[u8], clean: &mut Vec<u8>) {
        if self.is_empty() {
            clean.extend_from_slice(chunk);
        } else if held.bytes.is_empty() {
            let done = self.scan(&mut held.covered, chunk, false, clean);
            held.bytes.extend_from_slice(&chunk[done..]);
        } else {
            held.bytes.extend_from_slice(chunk);
            let done = self.scan(&mut held.covered, &held.bytes, false, clean);
            held.bytes.drain(..done);
        }
    }

    /// Appends what was held back to `clean`: no more bytes come.
    pub fn finish(&self, held: &mut Held, clean: &mut Vec<u8>) {
        let mut rest = std::mem::take(&mut held.bytes);
        self.scan(&mut held.covered, &rest, true, clean);
        held.covered = 0;
        wipe(&mut rest);
    }

    /// Whether a secret is in `bytes`, in any of its forms.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.look(bytes, true).is_none()
    }

    /// Whether a secret is in `chunk`, or in what was given before with the same `held` and `chunk` together. What may be a
    /// secret's beginning is held until the next chunk; `last` says that none follows.
    pub fn meets(&self, held: &mut Held, chunk: &[u8], last: bool) -> bool {
        if held.bytes.is_empty() {
            let undecided = self.look(chunk, last);
            held.bytes.extend_from_slice(&chunk[undecided.unwrap_or(chunk.len())..]);
            return undecided.is_none();
        }
        held.bytes.extend_from_slice(chunk);
        let undecided = self.look(&held.bytes, last);
        held.bytes.drain(..undecided.unwrap_or(held.bytes.len()));
        undecided.is_none()
    }

    /// From where on it is undecided whether a secret is in `bytes`; `None` where one is.
    fn look(&self, bytes: &[u8], last: bool) -> Option<usize> {
        for (at, first) in bytes.iter().enumerate().filter(|_| !self.is_empty()) {
            match self.longest(&self.starting[usize::from(*first)], &bytes[at..], last) {
                Found::No => {}
                Found::Perhaps => return Some(at),
                Found::Yes(_) => return None,
            }
        }
        Some(bytes.len())
    }

    /// `text` with every secret replaced.
    pub fn text(&self, text: &str) -> String {
        let (mut held, mut clean) = (Held::default(), Vec::with_capacity(text.len()));
        self.redact(&mut held, text.as_bytes(), &mut clean);
        self.finish(&mut held, &mut clean);
        String::from_utf8_lossy(&clean).into_owned()
    }

    /// Copies from `bytes` what is decided, and returns how much that was. `covered` bytes at their beginning belong
    /// to a secret that was replaced already. Secrets that overlap are covered to the last byte.
    fn scan(&self, covered: &mut usize, bytes: &[u8], last: bool, clean: &mut Vec<u8>) -> usize {
        let mut at = 0;
        let mut until = *covered;
        while at < bytes.len() {
            let starting = &self.starting[usize::from(bytes[at])];
            if !starting.is_empty() {
                match self.longest(starting, &bytes[at..], last) {
                    Found::No => {}
                    Found::Perhaps => break,
                    Found::Yes(length) => {
                        if until <= at {
                            clean.extend_from_slice(MARK.as_bytes());
                        }
                        until = until.max(at + length);
                    }
                }
            }
            if at >= until {
                clean.push(bytes[at]);
            }
            at += 1;
        }
        *covered = until.saturating_sub(at);
        at
    }

    fn longest(&self, starting: &[u32], bytes: &[u8], last: bool) -> Found {
        let mut best = 0;
        for &index in starting {
            match compare(&self.forms[index as usize], bytes, last) {
                Found::Yes(length) => best = best.max(length),
                Found::Perhaps if !last => return Found::Perhaps,
                Found::Perhaps | Found::No => {}
            }
        }
        if best > 0 { Found::Yes(best) } else { Found::No }
    }
}

fn compare(form: &Form, bytes: &[u8], last: bool) -> Found {
    match form.way {
        Way::Plain => plain(&form.bytes, bytes),
        Way::Folded => folded(&form.bytes, bytes),
        Way::Escaped => escapes::compare(&form.bytes, bytes, last),
    }
}

fn plain(wanted: &[u8], bytes: &[u8]) -> Found {
    let common = wanted.len().min(bytes.len());
    match wanted[..common] == bytes[..common] {
        false => Found::No,
        true if common < wanted.len() => Found::Perhaps,
        true => Found::Yes(common),
    }
}

fn folded(wanted: &[u8], bytes: &[u8]) -> Found {
    let (mut met, mut at, mut ends) = (0, 0, 0);
    while met < wanted.len() {
        match bytes.get(at) {
            None => return Found::Perhaps,
            Some(byte) if *byte == wanted[met] => {
                (met, at, ends) = (met + 1, at + 1, 0);
                continue;
            }
            // One end of line, which may have two bytes. More of them are no fold, and could be held back for ever.
            Some(_) if met == 0 || ends == 2 => return Found::No,
            Some(b'\n' | b'\r') => at += 1,
            Some(_) => match escapes::line_end(&bytes[at..]) {
                Found::Yes(length) => at += length,
                other => return other,
            },
        }
        ends += 1;
    }
    Found::Yes(at)
}

impl Drop for Redactor {
    fn drop(&mut self) {
        for form in &mut self.forms {
            wipe(&mut form.bytes);
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}
