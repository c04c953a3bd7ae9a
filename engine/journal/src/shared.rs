//! What the writer, the archiver and the readers of one journal have in common: the database, the index of the
//! tail, and the way to read a commit. Never writes.

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use runbook_core::id::RunUid;

use crate::cold::End;
use crate::db::{Db, Value};
use crate::directory::Layout;
use crate::error::StoreError;
use crate::frame::{self, FrameError};
use crate::from_disk;
use crate::keys;
use crate::limits::VALUE_BYTES;
use crate::row::RunRow;
use crate::tail::Tail;

/// The payload of a full chunk, in bytes.
pub const CHUNK_BYTES: usize = VALUE_BYTES - frame::HEADER_BYTES;

/// The common parts.
#[derive(Debug)]
pub struct Shared {
    pub(crate) db: Db,
    pub(crate) layout: Layout,
    tail: RwLock<Tail>,
    /// Held while events move, or runs are removed: one at a time.
    moving: Mutex<()>,
    stopped: Mutex<Option<String>>,
}

/// The bytes of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// Its number.
    pub number: u64,
    /// The oldest reader that understands it.
    pub min_reader: u8,
    /// All chunks together.
    pub payload: Vec<u8>,
}

/// What is wrong with a stored commit.
#[derive(Debug, thiserror::Error)]
pub enum BadCommit {
    /// A chunk is damaged, or from a newer program.
    #[error("{0}")]
    Frame(FrameError),
    /// A chunk is missing.
    #[error("its chunk {0} is missing")]
    NoChunk(u16),
}

/// Puts the chunks of one commit together.
#[derive(Debug, Default)]
pub struct Assembly {
    payload: Vec<u8>,
    min_reader: u8,
    next: u16,
}

impl Assembly {
    /// Takes the next chunk; gives the commit when it was the last.
    ///
    /// # Errors
    /// The chunk is unusable, or not the next one.
    pub fn take(&mut self, number: u64, chunk: u16, value: &[u8]) -> Result<Option<StoredCommit>, BadCommit> {
        if chunk != self.next {
            return Err(BadCommit::NoChunk(self.next));
        }
        let frame = frame::open(&keys::commit(number, chunk), value).map_err(BadCommit::Frame)?;
        self.payload.extend_from_slice(frame.payload);
        self.min_reader = self.min_reader.max(frame.min_reader);
        self.next = self.next.saturating_add(1);
        Ok(frame.last.then(|| {
            let done = std::mem::take(self);
            StoredCommit { number, min_reader: done.min_reader, payload: done.payload }
        }))
    }

    /// Whether chunks were taken and the last one is still to come.
    pub const fn is_open(&self) -> bool {
        self.next > 0
    }

    /// The number of the chunk that must come next.
    pub const fn next_chunk(&self) -> u16 {
        self.next
    }
}

impl Shared {
    /// Around an open database and the index of its tail.
    pub fn new(db: Db, layout: Layout, tail: Tail) -> Self {
        Self { db, layout, tail: RwLock::new(tail), moving: Mutex::new(()), stopped: Mutex::new(None) }
    }

    /// The index, to read. A panic elsewhere leaves it as it was after the last whole change.
    pub fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index, to change.
    pub fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held while events move.
    pub fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held while runs are removed; `None` while events move.
    pub fn try_moving(&self) -> Option<MutexGuard<'_, ()>> {
        match self.moving.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Nothing may be written any more.
    ///
    /// # Errors
    /// It stopped before.
    pub fn check_running(&self) -> Result<(), StoreError> {
        match &*self.stopped.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(StoreError::Stopped(why.clone())),
            None => Ok(()),
        }
    }

    /// Passes a result of writing on, and takes nothing more where it is an error.
    ///
    /// # Errors
    /// Those of the result.
    pub fn or_stop<T, E: ToString>(&self, result: Result<T, E>) -> Result<T, E> {
        if let Err(error) = &result {
            let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            stopped.get_or_insert_with(|| error.to_string());
        }
        result
    }

    /// A commit, or `None` where it is not in the tail any more.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn commit(&self, number: u64) -> Result<Option<StoredCommit>, StoreError> {
        let mut assembly = Assembly::default();
        let corrupt = |error: BadCommit| StoreError::Corrupt {
            what: format!("commit {number}"),
            path: self.db.dir(),
            why: error.to_string(),
        };
        // Nearly every commit has one chunk: ask for that one before scanning.
        let Some(first) = self.db.get(&keys::commit(number, 0))? else { return Ok(None) };
        let mut whole = assembly.take(number, 0, &first).map_err(corrupt)?;
        if whole.is_none() {
            let from = keys::commit(number, 1);
            let to = keys::commit(number, u16::MAX);
            let bounds = (Bound::Included(&from[..]), Bound::Included(&to[..]));
            self.db.scan::<StoreError>(bounds, false, |key, value| {
                let chunk = keys::parse_commit(key).map_or(u16::MAX, |(_, chunk)| chunk);
                whole = assembly.take(number, chunk, value).map_err(corrupt)?;
                Ok(if whole.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        if whole.is_none() && self.db.get(&keys::commit(number, 0))?.is_none() {
            // It moved to files while it was being read.
            return Ok(None);
        }
        whole.map(Some).ok_or_else(|| corrupt(BadCommit::NoChunk(assembly.next_chunk())))
    }

    fn corrupt_row(&self, what: String, why: impl ToString) -> StoreError {
        StoreError::Corrupt { what, path: self.db.dir(), why: why.to_string() }
    }

    /// A row from the value of its key.
    ///
    /// # Errors
    /// It is damaged, or from a newer program.
    pub fn parse_row(&self, number: u64, value: &Value) -> Result<RunRow, StoreError> {
        let what = || format!("the row of run {number}");
        let frame = frame::open(&keys::row(number), value).map_err(|error| self.corrupt_row(what(), error))?;
        from_disk::row(frame.payload).map_err(|error| self.corrupt_row(what(), error))
    }

    /// The row of a run's number, as of the last durable commit.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn row(&self, number: u64) -> Result<Option<RunRow>, StoreError> {
        let value = self.db.get(&keys::row(number))?;
        let row = value.map(|value| self.parse_row(number, &value)).transpose()?;
        Ok(self.durable(number, row))
    }

    /// What is durable of a row that was just read: asked for after the read, since a commit that is under way by then
    /// may have been in it.
    pub fn durable(&self, number: u64, read: Option<RunRow>) -> Option<RunRow> {
        match self.tail().before(number) {
            Some(before) => before.clone(),
            None => read,
        }
    }

    /// The number behind a key of a uid, a request id or an active run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn number(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.db.get(key)? else { return Ok(None) };
        let what = || "a reference to a run".to_owned();
        let frame = frame::open(key, &value).map_err(|error| self.corrupt_row(what(), error))?;
        let number = frame.payload.try_into().map(u64::from_be_bytes);
        number.map(Some).map_err(|_| self.corrupt_row(what(), "it is no number"))
    }

    /// The child runs below the run of a number, in order of their uids.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn children(&self, number: u64) -> Result<Vec<RunUid>, StoreError> {
        let (from, to) = (keys::child(number, RunUid::from_bits(0)), keys::child(number, RunUid::from_bits(u128::MAX)));
        let mut children = Vec::new();
        self.db.scan::<StoreError>((Bound::Included(&from[..]), Bound::Included(&to[..])), false, |key, _| {
            children.extend(keys::parse_child(key));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(children)
    }

    /// Where the file of a run's cold events ends.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn cold_end(&self, run: RunUid) -> Result<End, StoreError> {
        let key = keys::cold(run);
        let Some(value) = self.db.get(&key)? else { return Ok(End::default()) };
        let what = || format!("the end of the events of run {run}");
        let frame = frame::open(&key, &value).map_err(|error| self.corrupt_row(what(), error))?;
        End::from_bytes(frame.payload).ok_or_else(|| self.corrupt_row(what(), "its length is wrong"))
    }

    /// The directory that all names are relative to.
    pub fn data(&self) -> &Path {
        self.layout.root()
    }
}

/// The value of a reference to a run.
pub fn reference(key: &[u8], number: u64) -> Vec<u8> {
    frame::seal(key, frame::MIN_READER, true, &number.to_be_bytes())
}
