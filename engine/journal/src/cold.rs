//! A run's own file of events, `runs/<uid>/events`: what left the live tail, appended in frames, each for a
//! stretch of event numbers. Where its valid part ends is recorded in the journal, in the batch that drops the
//! same events from the tail: what lies behind that end is a torn or repeated append and is cut off by the next
//! one. Never knows the tail.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use runbook_core::id::RunUid;

use crate::error::{FileError, InFile as _, StoreError};
use crate::frame;
use crate::from_disk::Undecodable;
use crate::limits::COLD_FRAME_BYTES;
use crate::record::{self, RawEvent};

/// Before each frame, little endian: its length (`u32`), the first event number (`u64`), how many there are
/// (`u32`), and a checksum over those and the run (`u32`), so that frames can be passed over unread.
const HEAD_BYTES: usize = 20;
/// The stored form of an [`End`], in bytes.
const END_BYTES: usize = 24;

/// Where the valid part of a file ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct End {
    /// Its length in bytes.
    pub bytes: u64,
    /// The number of the last event in it; 0 where there is none.
    pub last: u64,
    /// The first event that is lost, where a person accepted a loss; else 0. Later ones are of no use and not kept.
    pub missing: u64,
}

impl End {
    /// As it is stored.
    pub fn to_bytes(self) -> [u8; END_BYTES] {
        let mut bytes = [0; END_BYTES];
        bytes[..8].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.last.to_be_bytes());
        bytes[16..].copy_from_slice(&self.missing.to_be_bytes());
        bytes
    }

    /// From its stored form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; END_BYTES] = bytes.try_into().ok()?;
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        Some(Self { bytes: numbers.next()?, last: numbers.next()?, missing: numbers.next()? })
    }
}

/// What precedes a frame.
struct Head {
    length: u32,
    first: u64,
    count: u32,
}

impl Head {
    fn checksum(uid: RunUid, bytes: &[u8]) -> [u8; 4] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&uid.bits().to_be_bytes());
        hasher.update(bytes);
        hasher.finalize().to_le_bytes()
    }

    fn write(&self, uid: RunUid) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.first.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        let sum = Self::checksum(uid, &bytes[..16]);
        bytes[16..].copy_from_slice(&sum);
        bytes
    }

    fn read(uid: RunUid, bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (count, sum) = rest.split_first_chunk::<4>()?;
        (Self::checksum(uid, &bytes[..16])[..] == *sum).then(|| Self {
            length: u32::from_le_bytes(*length),
            first: u64::from_le_bytes(*first),
            count: u32::from_le_bytes(*count),
        })
    }

    /// The number of its last event.
    fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }
}

/// The frame's place, for its checksum.
fn place(uid: RunUid) -> [u8; 16] {
    uid.bits().to_be_bytes()
}

/// What to do after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    More,
    /// Leave it at that.
    Enough,
}

/// Why a walk over a frame ended early.
enum Stop {
    Enough,
    Walk(Undecodable),
    Visit(Undecodable, u64),
}

impl From<Undecodable> for Stop {
    fn from(error: Undecodable) -> Self {
        Self::Walk(error)
    }
}

/// Visits the events above a number, in order, up to the end of the valid part. Frames below are passed over.
///
/// # Errors
/// The file cannot be read, is damaged before its end, or is from a newer program; or `visit` says so.
pub fn read(
    path: &Path,
    uid: RunUid,
    end: End,
    after: u64,
    mut visit: impl FnMut(RawEvent<'_>) -> Result<Next, Undecodable>,
) -> Result<(), StoreError> {
    if end.last <= after {
        return Ok(());
    }
    let mut at = 0;
    let corrupt = |at: u64, why: &dyn ToString| StoreError::Corrupt {
        what: format!("byte {at} of a run's events"),
        path: path.to_owned(),
        why: why.to_string(),
    };
    let short = |at: u64, error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => corrupt(at, &format!("it should have {} bytes", end.bytes)),
        _ => FileError { action: "read", path: path.to_owned(), source: error }.into(),
    };
    let mut file = BufReader::new(File::open(path).in_file("open", path)?);
    let mut head = [0; HEAD_BYTES];
    let mut bytes = Vec::new();
    while at < end.bytes {
        file.read_exact(&mut head).map_err(|error| short(at, error))?;
        let head =
            Head::read(uid, &head).ok_or_else(|| corrupt(at, &"the checksum of a frame's head does not match"))?;
        if head.last() <= after {
            file.seek_relative(i64::from(head.length)).in_file("read", path)?;
        } else {
            bytes.resize(head.length as usize, 0);
            file.read_exact(&mut bytes).map_err(|error| short(at, error))?;
            let frame = frame::open(&place(uid), &bytes).map_err(|error| corrupt(at, &error))?;
            let walked = record::walk_cold::<Stop>(uid, frame.payload, |event| {
                if event.number <= after {
                    return Ok(());
                }
                match visit(event) {
                    Ok(Next::More) => Ok(()),
                    Ok(Next::Enough) => Err(Stop::Enough),
                    Err(error) => Err(Stop::Visit(error, event.number)),
                }
            });
            match walked {
                Ok(()) => {}
                Err(Stop::Enough) => return Ok(()),
                Err(Stop::Walk(error)) => return Err(corrupt(at, &error)),
                Err(Stop::Visit(error, number)) => {
                    return Err(corrupt(at, &format!("event {number}: {error}")));
                }
            }
        }
        at += HEAD_BYTES as u64 + u64::from(head.length);
    }
    Ok(())
}

/// The events to append: of consecutive numbers.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// The number of the first.
    pub first: u64,
    /// The first event that is lost behind them; 0 where none is.
    pub missing: u64,
    /// Their stored bytes.
    pub events: Vec<Vec<u8>>,
    /// The oldest reader that understands all of them.
    pub min_reader: u8,
}

impl Stretch {
    /// The frames of the events, each with its head: several where they are large, so that a reader need not take in
    /// what it passes over.
    fn frames(&self, uid: RunUid) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut first = self.first;
        let mut rest = &self.events[..];
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = |event: &&Vec<u8>| {
                let fits = sum == 0 || sum + event.len() <= COLD_FRAME_BYTES;
                sum += event.len();
                fits
            };
            let (events, after) = rest.split_at(rest.iter().take_while(fits).count());
            let payload = record::cold(uid, events.iter().map(Vec::as_slice));
            let frame = frame::seal(&place(uid), self.min_reader, true, &payload);
            let too_large = |_| StoreError::TooLarge { bytes: frame.len(), limit: u32::MAX as usize };
            let head = Head {
                length: u32::try_from(frame.len()).map_err(too_large)?,
                first,
                count: u32::try_from(events.len()).map_err(too_large)?,
            };
            bytes.extend_from_slice(&head.write(uid));
            bytes.extend_from_slice(&frame);
            first = head.last() + 1;
            rest = after;
        }
        Ok(bytes)
    }
}

/// Appends events durably, after cutting off what lies behind `end`, and returns the new end. The folder must be
/// there; the durability of its names is the caller's.
///
/// # Errors
/// The file cannot be written or synced, or is shorter than `end`; what lies before `end` is as it was.
pub fn append(path: &Path, uid: RunUid, end: End, stretch: &Stretch) -> Result<End, StoreError> {
    let bytes = stretch.frames(uid)?;
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).in_file("open", path)?;
    let length = file.metadata().in_file("look at", path)?.len();
    if length < end.bytes {
        let why = format!("it has {length} bytes, and should have {}", end.bytes);
        let what = "a run's file of events".to_owned();
        return Err(StoreError::Corrupt { what, path: path.to_owned(), why });
    }
    if length > end.bytes {
        file.set_len(end.bytes).in_file("cut the torn end off", path)?;
    }
    file.write_all_at(&bytes, end.bytes).in_file("append to", path)?;
    file.sync_all().in_file("sync", path)?;
    let last = stretch.first + stretch.events.len() as u64 - 1;
    Ok(End { bytes: end.bytes + bytes.len() as u64, last, missing: stretch.missing })
}
