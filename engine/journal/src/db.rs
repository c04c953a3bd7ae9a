//! The one door to the storage engine: batches that are durable when they return. Nothing outside this file
//! names the engine. Never knows what keys and values mean.
//!
//! Measured facts that this file answers: the engine's flush is no sync on Linux, so we sync its file
//! ourselves; its `conf` file and directory are never synced by it, so we do it when the database is made; values
//! above a quarter of a segment become files that nobody syncs, so segments are large and values small; it
//! panics on some damage, so every call is caught.

use std::fs::{self, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::directory;
use crate::error::{InFile as _, OpenError, StoreError};
use crate::limits::{
    ASKED_AGAIN, CACHE_BYTES, COLLECT_EVERY_MILLIS, LOCK_TRIES, LOCK_WAIT, SEGMENT_BYTES, VALUE_BYTES,
};

/// A stored value.
pub type Value = sled::IVec;

/// Changes that are made together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    changes: sled::Batch,
    largest: usize,
}

impl Batch {
    /// Sets a key.
    pub fn insert(&mut self, key: &[u8], value: Vec<u8>) {
        self.largest = self.largest.max(value.len());
        self.changes.insert(key, value);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &[u8]) {
        self.changes.remove(key);
    }
}

/// The open database. Clones are handles of the same one.
#[derive(Clone)]
pub struct Db {
    engine: sled::Db,
    file: Arc<File>,
    dir: Arc<Path>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// The text of a panic.
fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    format!("the storage engine panicked: {}", text.unwrap_or("without a text"))
}

/// Runs a call of the engine, and turns its panic into an error's text.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Engine(error)),
        Err(payload) => Err(Failure::Panic(panic_text(&*payload))),
    }
}

enum Failure {
    Engine(sled::Error),
    Panic(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine(error) => write!(f, "{error}"),
            Self::Panic(text) => f.write_str(text),
        }
    }
}

/// The end of the name of a snapshot in the making.
const UNFINISHED: &str = ".generating";

impl Failure {
    fn is_lock(&self) -> bool {
        matches!(self, Self::Engine(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock"))
    }
}

/// Removes what a killed start left of a snapshot in the making: the engine would take it for a snapshot, and refuse it.
/// The log holds everything that is in it.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Starts the engine. It may still hold its own lock for a moment after it was dropped, since its threads let go
/// one by one; who else holds it holds it longer.
fn start(dir: &Path) -> Result<sled::Db, Failure> {
    let mut tries = 0;
    loop {
        remove_unfinished(dir).map_err(|error| Failure::Engine(sled::Error::Io(error)))?;
        let started = guarded(|| {
            sled::Config::new()
                .path(dir)
                .segment_size(SEGMENT_BYTES)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(COLLECT_EVERY_MILLIS))
                .open()
        });
        match started {
            Err(failure) if failure.is_lock() && tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_WAIT);
            }
            other => return other,
        }
    }
}

fn open_error(dir: &Path, failure: &Failure) -> OpenError {
    let advice = match failure {
        Failure::Engine(sled::Error::Io(error)) => match error.kind() {
            io::ErrorKind::StorageFull => "The disk is full: make room, then start again",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "It must be writable for this user; to look at it elsewhere, copy the directory"
            }
            _ if failure.is_lock() => "Another program has the journal's files open: stop that one first",
            _ => "Check the disk, or restore the data directory from a backup",
        },
        Failure::Engine(_) | Failure::Panic(_) => "Its files are damaged: restore the data directory from a backup",
    };
    OpenError::Engine { dir: dir.to_owned(), why: failure.to_string(), advice }
}

impl Db {
    /// Makes an empty database, durably: in `temporary` first, so that a half-made one is never opened.
    ///
    /// # Errors
    /// The files cannot be made.
    pub fn create(dir: &Path, temporary: &Path) -> Result<(), OpenError> {
        match fs::remove_dir_all(temporary) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).in_file("remove", temporary)?,
        }
        directory::make(temporary)?;
        let engine = start(temporary).map_err(|failure| open_error(temporary, &failure))?;
        guarded(|| engine.flush()).map_err(|failure| open_error(temporary, &failure))?;
        drop(engine);
        for entry in fs::read_dir(temporary).in_file("list", temporary)? {
            let path = entry.in_file("list", temporary)?.path();
            File::open(&path).and_then(|file| file.sync_all()).in_file("sync", &path)?;
        }
        directory::sync(temporary)?;
        fs::rename(temporary, dir).in_file("put in place", dir)?;
        dir.parent().map_or(Ok(()), directory::sync)?;
        Ok(())
    }

    /// Opens a database that [`Self::create`] made.
    ///
    /// # Errors
    /// The engine refuses or panics, or it has written files that nobody syncs.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let blobs = dir.join("blobs");
        let stray = match fs::read_dir(&blobs) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).in_file("list", &blobs)?,
        };
        if stray {
            return Err(OpenError::Engine {
                dir: dir.to_owned(),
                why: format!("{} should be empty, and is not", blobs.display()),
                advice: "It was not written by this program: restore the data directory from a backup",
            });
        }
        let path = dir.join("db");
        let file = File::options().write(true).open(&path).in_file("open", &path)?;
        let engine = start(dir).map_err(|failure| open_error(dir, &failure))?;
        Ok(Self { engine, file: Arc::new(file), dir: dir.into() })
    }

    /// The database's directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.to_path_buf()
    }

    fn unreadable(&self, failure: &Failure) -> StoreError {
        StoreError::Unreadable { dir: self.dir(), why: failure.to_string() }
    }

    fn not_durable(&self, action: &str, why: impl ToString) -> StoreError {
        StoreError::NotDurable { dir: self.dir(), action: action.to_owned(), why: why.to_string() }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The engine cannot read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        guarded(|| self.engine.get(key)).map_err(|failure| self.unreadable(&failure))
    }

    /// Visits the keys within bounds, in order or in reverse, until `visit` breaks or fails.
    ///
    /// # Errors
    /// The engine cannot read, or `visit` says so.
    pub fn scan<E: From<StoreError>>(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        mut visit: impl FnMut(&[u8], &Value) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let mut range =
            guarded(|| Ok(self.engine.range::<&[u8], _>(bounds))).map_err(|failure| self.unreadable(&failure))?;
        loop {
            let next = guarded(|| if reverse { range.next_back() } else { range.next() }.transpose());
            match next.map_err(|failure| self.unreadable(&failure))? {
                None => return Ok(()),
                Some((key, value)) => {
                    if visit(&key, &value)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Has the engine's cache keep no more than [`CACHE_BYTES`] of what a scan of these keys has read. The engine drops pages
    /// once 64 accesses were counted in one of its 256 queues, and a scan counts each page once: however much it reads, all
    /// of it stays. So some of the keys, from all over, are asked for again.
    ///
    /// # Errors
    /// The engine cannot read.
    pub fn let_go<K: AsRef<[u8]>>(&self, scanned: impl Iterator<Item = K>) -> Result<(), StoreError> {
        for key in scanned.step_by(ASKED_AGAIN) {
            self.get(key.as_ref())?;
        }
        Ok(())
    }

    /// Makes the changes of a batch, whole or not at all. Not durable before [`Self::sync`].
    ///
    /// # Errors
    /// [`StoreError::NotDurable`]: the process must end.
    pub fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.largest > VALUE_BYTES {
            let why = format!("a value of {} bytes is above {VALUE_BYTES}", batch.largest);
            return Err(self.not_durable("store a value", why));
        }
        guarded(|| self.engine.apply_batch(batch.changes)).map_err(|failure| self.not_durable("write", failure))
    }

    /// Makes durable whatever was applied before.
    ///
    /// # Errors
    /// [`StoreError::NotDurable`]: the process must end; a failed sync must not be repeated.
    pub fn sync(&self) -> Result<(), StoreError> {
        guarded(|| self.engine.flush()).map_err(|failure| self.not_durable("flush", failure))?;
        self.file.sync_data().map_err(|error| self.not_durable("sync", error))
    }
}
