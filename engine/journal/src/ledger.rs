//! The ledger of schedules in the journal: notes under keys of their own, in order, and a record a schedule that they add
//! up to. Written in the batch of their commit; never archived, since they are small and looked up by schedule, and never
//! removed. Never decides what is noted.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::{Bound, ControlFlow};

use prost::Message as _;
use runbook_core::schedule::{Note, Record, ScheduleName};

use crate::db::{Batch, Value};
use crate::error::StoreError;
use crate::frame;
use crate::from_disk;
use crate::keys;
use crate::shared::Shared;
use crate::to_disk;

/// The records that notes change.
#[derive(Debug, Default)]
pub struct Changes {
    /// As they are then.
    pub after: BTreeMap<ScheduleName, Record>,
    /// As they were.
    pub before: HashMap<ScheduleName, Option<Record>>,
}

/// Takes notes in, each on top of what is there; `known` gives what is.
///
/// # Errors
/// One cannot follow, or a record cannot be read.
pub fn changes(
    notes: &[(ScheduleName, Note)],
    known: impl Fn(&ScheduleName) -> Result<Option<Record>, StoreError>,
) -> Result<Changes, StoreError> {
    let mut changes = Changes::default();
    for (name, note) in notes {
        let record = match changes.after.entry(name.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = known(name)?;
                changes.before.insert(name.clone(), before.clone());
                entry.insert(before.unwrap_or_default())
            }
        };
        record.apply(note).map_err(|misplaced| StoreError::RefusedNote {
            schedule: name.to_string(),
            number: note.number,
            why: misplaced.why.to_owned(),
        })?;
    }
    Ok(changes)
}

/// Puts notes and the records that they change into a batch.
pub fn put(batch: &mut Batch, notes: &[(ScheduleName, Note)], changes: &Changes) {
    for (name, note) in notes {
        let key = keys::note(name, note.number);
        batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &to_disk::note(name, note).encode_to_vec()));
    }
    for (name, record) in &changes.after {
        let key = keys::schedule(name);
        batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &to_disk::record(record).encode_to_vec()));
    }
}

fn corrupt(shared: &Shared, what: String, why: impl ToString) -> StoreError {
    StoreError::Corrupt { what, path: shared.db.dir(), why: why.to_string() }
}

fn parse_record(shared: &Shared, name: &ScheduleName, value: &Value) -> Result<Record, StoreError> {
    let what = || format!("the record of schedule {name}");
    let frame = frame::open(&keys::schedule(name), value).map_err(|error| corrupt(shared, what(), error))?;
    from_disk::record(frame.payload).map_err(|error| corrupt(shared, what(), error))
}

/// The record of a schedule, as it is written.
///
/// # Errors
/// It cannot be read.
pub fn record(shared: &Shared, name: &ScheduleName) -> Result<Option<Record>, StoreError> {
    let value = shared.db.get(&keys::schedule(name))?;
    value.map(|value| parse_record(shared, name, &value)).transpose()
}

/// All records, as of the last durable commit.
///
/// # Errors
/// One cannot be read.
pub fn records(shared: &Shared) -> Result<Vec<(ScheduleName, Record)>, StoreError> {
    let mut records = Vec::new();
    let bounds = (Bound::Included(&[keys::SCHEDULE][..]), Bound::Excluded(&[keys::SCHEDULE + 1][..]));
    shared.db.scan::<StoreError>(bounds, false, |key, value| {
        let name = keys::parse_schedule(key);
        let name = name.ok_or_else(|| corrupt(shared, "the record of a schedule".to_owned(), "its key is none"))?;
        let record = parse_record(shared, &name, value)?;
        records.push((name, record));
        Ok(ControlFlow::Continue(()))
    })?;
    shared.db.let_go(records.iter().map(|(name, _)| keys::schedule(name)))?;
    // Asked for after the read: what is under way by then may have been in it.
    for (name, before) in shared.tail().records_under_way() {
        // Keys are in the order of names.
        match (records.binary_search_by(|(other, _)| other.cmp(&name)), before) {
            (Ok(at), Some(record)) => records[at].1 = record,
            (Err(at), Some(record)) => records.insert(at, (name, record)),
            (Ok(at), None) => drop(records.remove(at)),
            (Err(_), None) => {}
        }
    }
    Ok(records)
}

/// The notes of a schedule below a number, newest first, as of the last durable commit.
///
/// # Errors
/// One cannot be read.
pub fn notes(shared: &Shared, name: &ScheduleName, before: Option<u64>, max: usize) -> Result<Vec<Note>, StoreError> {
    let read = record(shared, name)?;
    let durable = match shared.tail().record_before(name) {
        Some(before) => before.as_ref().map_or(0, |record| record.last),
        None => read.map_or(0, |record| record.last),
    };
    let end = before.unwrap_or(u64::MAX).min(durable.saturating_add(1));
    let (from, to) = (keys::note(name, 0), keys::note(name, end));
    let mut notes = Vec::new();
    let bounds = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
    shared.db.scan::<StoreError>(bounds, true, |key, value| {
        if notes.len() >= max {
            return Ok(ControlFlow::Break(()));
        }
        let what = || format!("a note of schedule {name}");
        let frame = frame::open(key, value).map_err(|error| corrupt(shared, what(), error))?;
        let (_, note) = from_disk::note(frame.payload).map_err(|error| corrupt(shared, what(), error))?;
        notes.push(note);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(notes)
}
