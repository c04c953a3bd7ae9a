//! Moves the oldest commits of the tail into the files of their runs. Written and synced first, then dropped
//! from the tail: a crash between leaves both, which readers take as one. Never touches the last commit, which
//! holds the place of the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbook_core::id::RunUid;

use crate::cold::{self, Stretch};
use crate::db::Batch;
use crate::directory;
use crate::error::StoreError;
use crate::frame;
use crate::from_disk::Undecodable;
use crate::keys;
use crate::limits::ARCHIVE_BYTES;
use crate::record::{self, Item};
use crate::shared::{CHUNK_BYTES, Shared, StoredCommit};
use crate::store::Archived;

/// A handle for archiving, beside the writer. Handles take turns.
#[derive(Debug, Clone)]
pub struct Archiver {
    shared: Arc<Shared>,
}

impl Archiver {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Moves at most `max_commits` of the oldest commits, and at most [`ARCHIVE_BYTES`] of them. Syncs each file that
    /// it writes to, and not the journal: that the commits have left the tail becomes durable with the next commit.
    ///
    /// # Errors
    /// A file that cannot be written leaves everything as it was: this may be tried again. After
    /// [`StoreError::NotDurable`] the process must end.
    pub fn archive(&self, max_commits: usize) -> Result<Archived, StoreError> {
        let _moving = self.shared.moving();
        self.shared.check_running()?;
        let numbers = self.shared.tail().oldest(max_commits, ARCHIVE_BYTES);
        let Some(through) = numbers.last().copied() else { return Ok(Archived::default()) };
        let mut batch = Batch::default();
        let mut runs: BTreeMap<RunUid, Stretch> = BTreeMap::new();
        for number in &numbers {
            let commit = self.shared.commit(*number)?.ok_or_else(|| StoreError::Corrupt {
                what: format!("commit {number}"),
                path: self.shared.db.dir(),
                why: "it is not there".to_owned(),
            })?;
            self.gather(&commit, &mut runs)?;
            for chunk in 0..=commit.payload.len().saturating_sub(1) / CHUNK_BYTES {
                let chunk = u16::try_from(chunk).unwrap_or(u16::MAX);
                batch.remove(&keys::commit(*number, chunk));
            }
        }
        let mut done = Archived { commits: numbers.len(), events: 0, runs: 0 };
        let mut new_files = Vec::new();
        for (uid, stretch) in &runs {
            self.write(*uid, stretch, &mut batch, &mut new_files, &mut done)?;
        }
        if !new_files.is_empty() {
            for uid in &new_files {
                directory::sync(&self.shared.layout.run(*uid))?;
            }
            directory::sync(&self.shared.layout.runs())?;
        }
        // Under the index's lock: a reader must not find a commit in the index that has left the tail.
        let mut tail = self.shared.tail_mut();
        self.shared.or_stop(self.shared.db.apply(batch))?;
        tail.cut(through, runs.keys().copied());
        Ok(done)
    }

    /// Adds a commit's events to the stretches of their runs.
    fn gather(&self, commit: &StoredCommit, runs: &mut BTreeMap<RunUid, Stretch>) -> Result<(), StoreError> {
        record::walk::<Undecodable>(&commit.payload, |item| {
            if let Item::Event(uid, raw) = item {
                let run = runs.entry(uid).or_default();
                if run.events.is_empty() {
                    run.first = raw.number;
                }
                let next = run.first + run.events.len() as u64;
                if raw.number != next && run.missing == 0 {
                    run.missing = next;
                }
                if run.missing == 0 {
                    run.events.push(raw.bytes.to_vec());
                }
                run.min_reader = run.min_reader.max(commit.min_reader);
            }
            Ok(())
        })
        .map_err(|error| StoreError::Corrupt {
            what: format!("commit {}", commit.number),
            path: self.shared.db.dir(),
            why: error.to_string(),
        })
    }

    /// Writes the stretch of a run, unless the run was removed, and puts the new end into the batch. Where events before
    /// it are lost, as a person accepted, that is noted instead.
    fn write(
        &self,
        uid: RunUid,
        stretch: &Stretch,
        batch: &mut Batch,
        new_files: &mut Vec<RunUid>,
        done: &mut Archived,
    ) -> Result<(), StoreError> {
        if self.shared.number(&keys::uid(uid))?.is_none() {
            return Ok(());
        }
        let layout = &self.shared.layout;
        let mut end = self.shared.cold_end(uid)?;
        if end.missing > 0 {
            return Ok(());
        }
        if stretch.first == end.last + 1 {
            if end.bytes == 0 {
                directory::make_unsynced(&layout.run(uid))?;
                new_files.push(uid);
            }
            end = cold::append(&layout.events(uid), uid, end, stretch)?;
            done.runs += 1;
            done.events += stretch.events.len();
        } else {
            end.missing = end.last + 1;
        }
        let key = keys::cold(uid);
        batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &end.to_bytes()));
        Ok(())
    }
}
