//! The keys of the one tree: a prefix byte each, numbers big endian, so that order on disk is order in
//! meaning. One tree, since only within one tree a batch is atomic. Never knows values.

use runbook_core::id::RunUid;
use runbook_core::schedule::ScheduleName;

/// A chunk of a commit's record.
pub const COMMIT: u8 = b'j';
/// The row of a run, by its number.
pub const ROW: u8 = b'r';
/// The number of a run, by its uid.
pub const UID: u8 = b'u';
/// The number of the run that a request made, by the request's id.
pub const REQUEST: u8 = b'q';
/// A run that is not over, by its number.
pub const ACTIVE: u8 = b'a';
/// Where the file of a run's cold events ends, by its uid.
pub const COLD: u8 = b'c';
/// A child run, by the number of the run at the top and its own uid.
pub const CHILD: u8 = b'd';
/// A removed run whose folder may still be there, by its uid.
pub const REMOVED: u8 = b'x';
/// A note of a schedule, by the schedule's name and the note's number.
pub const NOTE: u8 = b'n';
/// What a schedule's notes add up to, by its name.
pub const SCHEDULE: u8 = b's';

/// What is kept beside runs and schedules, by its kind and name.
pub const KEPT: u8 = b'k';

/// The key of a chunk.
pub fn commit(commit: u64, chunk: u16) -> [u8; 11] {
    let mut key = [0; 11];
    key[0] = COMMIT;
    key[1..9].copy_from_slice(&commit.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The commit and chunk of a key that [`commit`] made.
pub fn parse_commit(key: &[u8]) -> Option<(u64, u16)> {
    let key: &[u8; 11] = key.try_into().ok()?;
    let (head, chunk) = key.split_last_chunk::<2>()?;
    let (_, number) = head.split_last_chunk::<8>()?;
    (key[0] == COMMIT).then(|| (u64::from_be_bytes(*number), u16::from_be_bytes(*chunk)))
}

fn numbered(prefix: u8, number: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[0] = prefix;
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a run's row.
pub fn row(number: u64) -> [u8; 9] {
    numbered(ROW, number)
}

/// The key of a run that is not over.
pub fn active(number: u64) -> [u8; 9] {
    numbered(ACTIVE, number)
}

/// The number in a key that [`row`] or [`active`] made.
pub fn parse_number(key: &[u8]) -> Option<u64> {
    let (_, number) = key.split_first()?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

fn named(prefix: u8, uid: RunUid) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = prefix;
    key[1..].copy_from_slice(&uid.bits().to_be_bytes());
    key
}

/// The key of a uid.
pub fn uid(uid: RunUid) -> [u8; 17] {
    named(UID, uid)
}

/// The key of the end of a run's file.
pub fn cold(uid: RunUid) -> [u8; 17] {
    named(COLD, uid)
}

/// The key of a child run, below the number of the run at the top of its tree.
pub fn child(number: u64, uid: RunUid) -> [u8; 25] {
    let mut key = [0; 25];
    key[0] = CHILD;
    key[1..9].copy_from_slice(&number.to_be_bytes());
    key[9..].copy_from_slice(&uid.bits().to_be_bytes());
    key
}

/// The uid in a key that [`child`] made.
pub fn parse_child(key: &[u8]) -> Option<RunUid> {
    let bits = key.get(9..)?;
    Some(RunUid::from_bits(u128::from_be_bytes(bits.try_into().ok()?)))
}

/// The key of a removed run.
pub fn removed(uid: RunUid) -> [u8; 17] {
    named(REMOVED, uid)
}

/// The uid in a key that [`removed`] made.
pub fn parse_removed(key: &[u8]) -> Option<RunUid> {
    let (_, bits) = key.split_first()?;
    Some(RunUid::from_bits(u128::from_be_bytes(bits.try_into().ok()?)))
}

/// The key of a request id.
pub fn request(id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(REQUEST);
    key.extend_from_slice(id.as_bytes());
    key
}

/// The key of a schedule's record.
pub fn schedule(name: &ScheduleName) -> Vec<u8> {
    [&[SCHEDULE], name.as_str().as_bytes()].concat()
}

/// The name in a key that [`schedule`] made.
pub fn parse_schedule(key: &[u8]) -> Option<ScheduleName> {
    let (_, name) = key.split_first()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// The key of a schedule's note. No name holds the zero that ends it.
pub fn note(name: &ScheduleName, number: u64) -> Vec<u8> {
    [&[NOTE], name.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// The key of something that is kept beside runs and schedules.
pub fn kept(name: &[u8]) -> Vec<u8> {
    [&[KEPT], name].concat()
}
