//! The writing side of the journal: batches become commits. There is one writer; readers see a commit only when
//! it is durable. Never decides what is written, nor when.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::run::{Event, Fact};
use runbook_core::schedule::{Note, ScheduleName};
use runbook_core::time::Timestamp;

use prost::Message as _;

use crate::archive::Archiver;
use crate::db::Batch;
use crate::error::{FileError, StoreError};
use crate::frame;
use crate::kept;
use crate::keys;
use crate::ledger;
use crate::limits::{COMMIT_BYTES, MARK_COMMITS};
use crate::lock::Lock;
use crate::mark::Mark;
use crate::prune::Quiet;
use crate::reader::Reader;
use crate::record;
use crate::room;
use crate::row::RunRow;
use crate::shared::{self, CHUNK_BYTES, Shared};
use crate::store::{Archived, Pruned, Retention, Store, View};
use crate::to_disk;

/// The journal in sled: the one writer. Dropping it without [`Journal::close`] is what a crash would do, but for the
/// lock and the files, which are let go. A [`Reader`] or an [`Archiver`] that outlives it keeps the files open: drop
/// them before opening again in the same process.
#[derive(Debug)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mark: Mark,
    pub(crate) quiet: Quiet,
    // The last field: the directory is let go after everything else.
    pub(crate) _lock: Lock,
}

/// The rows that a batch changes.
#[derive(Debug, Default)]
struct Rows {
    changed: BTreeMap<RunUid, RunRow>,
    created: Vec<RunUid>,
    /// New child runs, each with the number of the run at the top.
    children: BTreeMap<RunUid, u64>,
    /// The changed rows as they were before, by number.
    before: HashMap<u64, Option<RunRow>>,
}

impl Journal {
    /// The reading side.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// What moves commits out of the tail, for a thread of its own: writing and syncing the files of many runs takes
    /// longer than a commit should wait.
    pub fn archiver(&self) -> Archiver {
        Archiver::new(Arc::clone(&self.shared))
    }

    /// Notes the last commit outside the storage engine, durably, so that a loss up to here is noticed. Done by
    /// itself every [`MARK_COMMITS`] commits; to be called when the daemon has nothing to do. Costs nothing when
    /// there is nothing new.
    ///
    /// # Errors
    /// The mark cannot be written; the process must end.
    pub fn mark(&mut self) -> Result<(), StoreError> {
        self.shared.check_running()?;
        let last = self.shared.tail().last_commit();
        if last > self.mark.commit() {
            self.shared.or_stop(self.mark.set(last))?;
        }
        Ok(())
    }

    /// Makes everything durable and notes the last commit.
    ///
    /// # Errors
    /// It stopped before, or something could not be written.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.shared.check_running()?;
        self.shared.or_stop(self.shared.db.sync())?;
        self.mark()
    }

    /// The bytes that can still be written to the data directory's disk. Below [`crate::limits::ROOM_BYTES`] no new
    /// run should be started.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn room(&self) -> Result<u64, FileError> {
        room::free(self.shared.data())
    }

    /// Gives up the reserve of [`crate::limits::BALLAST_BYTES`], so that runs that have begun can end on a disk that
    /// is nearly full; says whether there was one.
    ///
    /// # Errors
    /// The reserve cannot be removed.
    pub fn free_ballast(&self) -> Result<bool, FileError> {
        room::free_ballast(self.shared.data())
    }

    /// Sees to it that the reserve is there when there is room for it, and gone when there is not; says whether it
    /// is there.
    ///
    /// # Errors
    /// The reserve cannot be made although there is room.
    pub fn keep_ballast(&self) -> Result<bool, FileError> {
        room::keep_ballast(self.shared.data())
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.shared.data()
    }

    /// The number of the last event of a run that is stored; 0 where there is none.
    fn last_event(&self, uid: RunUid) -> Result<u64, StoreError> {
        let in_tail = self.shared.tail().last_event(uid);
        in_tail.map_or_else(|| Ok(self.shared.cold_end(uid)?.last), Ok)
    }

    /// The rows that a batch makes or changes, by run; refuses events that cannot follow.
    fn rows(&self, events: &[(RunUid, Event)]) -> Result<Rows, StoreError> {
        let reader = self.reader();
        let mut rows = Rows::default();
        let mut last: BTreeMap<RunUid, u64> = BTreeMap::new();
        for (uid, event) in events {
            let refused = |why: String| StoreError::Refused { run: *uid, number: event.number, why };
            let known = match last.get(uid) {
                Some(number) => *number,
                None => self.last_event(*uid)?,
            };
            if event.number != known + 1 {
                return Err(refused(format!("the last one is {known}")));
            }
            last.insert(*uid, event.number);
            if let Fact::Created(fact) = &event.fact
                && let Some(parent) = &fact.parent
            {
                let top = match rows.changed.get(&parent.root) {
                    Some(row) => Some(row.number),
                    None => reader.row_by_uid(parent.root)?.map(|row| row.number),
                };
                if top != Some(fact.number) {
                    return Err(refused(format!("there is no run {} at the top of its tree", parent.root)));
                }
                if known > 0 || self.shared.number(&keys::uid(*uid))?.is_some() {
                    return Err(refused("there is such a run already".to_owned()));
                }
                rows.children.insert(*uid, fact.number);
            } else if let Fact::Created(fact) = &event.fact {
                let taken = rows.changed.values().any(|row| row.number == fact.number)
                    || reader.row_by_number(fact.number)?.is_some();
                if known > 0 || taken || reader.row_by_uid(*uid)?.is_some() {
                    return Err(refused(format!("there is a run {} already", fact.number)));
                }
                rows.changed.insert(*uid, RunRow::of(*uid, event.at, fact));
                rows.created.push(*uid);
                rows.before.insert(fact.number, None);
            } else if known == 0 {
                return Err(refused("a run begins with its creation".to_owned()));
            } else if matches!(event.fact, Fact::Finished { .. } | Fact::Resumed { .. } | Fact::RollbackAsked { .. })
                && !rows.children.contains_key(uid)
            {
                let row = match rows.changed.entry(*uid) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let top = reader.row_of_tree(*uid)?.ok_or_else(|| refused("the run has no row".to_owned()))?;
                        if top.uid != *uid {
                            // A child run: the row of its tree says nothing about it.
                            continue;
                        }
                        let row = top;
                        rows.before.insert(row.number, Some(row.clone()));
                        entry.insert(row)
                    }
                };
                row.take_in(event);
            }
        }
        Ok(rows)
    }

    /// Puts the changes of rows into a batch.
    fn put_rows(&self, batch: &mut Batch, rows: &Rows) -> Result<(), StoreError> {
        for row in rows.changed.values() {
            let key = keys::row(row.number);
            let bytes = to_disk::row(row).encode_to_vec();
            batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &bytes));
            let active = keys::active(row.number);
            if row.finished.is_some() {
                batch.remove(&active);
            } else {
                batch.insert(&active, shared::reference(&active, row.number));
            }
        }
        for (uid, number) in &rows.children {
            let (key, child) = (keys::uid(*uid), keys::child(*number, *uid));
            batch.insert(&key, shared::reference(&key, *number));
            batch.insert(&child, shared::reference(&child, *number));
        }
        for row in rows.created.iter().filter_map(|uid| rows.changed.get(uid)) {
            let key = keys::uid(row.uid);
            batch.insert(&key, shared::reference(&key, row.number));
            if !row.request_id.is_empty() {
                let key = keys::request(&row.request_id);
                // The first run of a request keeps its name.
                if self.shared.number(&key)?.is_none() {
                    batch.insert(&key, shared::reference(&key, row.number));
                }
            }
        }
        Ok(())
    }
}

impl Store for Journal {
    fn write(
        &mut self,
        events: &[(RunUid, Event)],
        notes: &[(ScheduleName, Note)],
        kept: &[Kept],
    ) -> Result<u64, StoreError> {
        self.shared.check_running()?;
        let last = self.shared.tail().last_commit();
        if events.is_empty() && notes.is_empty() && kept.is_empty() {
            return Ok(last);
        }
        let rows = self.rows(events)?;
        let records = ledger::changes(notes, |name| ledger::record(&self.shared, name))?;
        let first = events.first().map_or((RunUid::from_bits(0), 0), |(run, event)| (*run, event.number));
        let payload = record::commit(events, notes, kept).map_err(|error| StoreError::Refused {
            run: first.0,
            number: first.1,
            why: format!("an event of its batch cannot be written as JSON: {error}"),
        })?;
        let too_large = StoreError::TooLarge { bytes: payload.len(), limit: COMMIT_BYTES };
        if payload.len() > COMMIT_BYTES {
            return Err(too_large);
        }
        let number = last + 1;
        let mut batch = Batch::default();
        let chunks = payload.len().div_ceil(CHUNK_BYTES);
        for (index, chunk) in payload.chunks(CHUNK_BYTES).enumerate() {
            let Ok(place) = u16::try_from(index) else { return Err(too_large) };
            let key = keys::commit(number, place);
            let is_last = index + 1 == chunks;
            batch.insert(&key, frame::seal(&key, frame::MIN_READER, is_last, chunk));
        }
        self.put_rows(&mut batch, &rows)?;
        ledger::put(&mut batch, notes, &records);
        kept::put(&mut batch, kept);
        if !rows.changed.is_empty() {
            self.quiet.end();
        }
        self.shared.tail_mut().begin(rows.before, records.before);
        self.shared.or_stop(self.shared.db.apply(batch))?;
        self.shared.or_stop(self.shared.db.sync())?;
        let numbers = events.iter().map(|(uid, event)| (*uid, event.number));
        self.shared.tail_mut().push(number, payload.len() as u64, numbers);
        if number >= self.mark.commit() + MARK_COMMITS {
            self.shared.or_stop(self.mark.set(number))?;
        }
        Ok(number)
    }

    fn archive(&mut self, max_commits: usize) -> Result<Archived, StoreError> {
        self.archiver().archive(max_commits)
    }

    fn prune(&mut self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        crate::prune::prune(&self.shared, &mut self.quiet, retention, now)
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(self.reader())
    }
}
