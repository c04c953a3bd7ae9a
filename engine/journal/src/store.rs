//! What a store of events must do, for the daemon, the simulator and the tests alike. Never knows how.

use std::sync::Arc;

use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::run::Event;
use runbook_core::schedule::{Note, Record, ScheduleName};
use runbook_core::time::{Span, Timestamp};

use crate::error::StoreError;
use crate::row::RunRow;

/// The writing side. There is one.
pub trait Store: Send {
    /// Appends a batch as one commit, whole or not at all, and keeps the rows of its runs, the records of its
    /// schedules and what is kept beside them in step. Durable when it returns. An empty batch is no commit. Returns the number of the last commit.
    ///
    /// # Errors
    /// [`StoreError::Refused`], [`StoreError::RefusedNote`] and [`StoreError::TooLarge`] leave the store as it was.
    /// After any other error nothing of the batch may be acted upon, and the process must end.
    fn write(
        &mut self,
        events: &[(RunUid, Event)],
        notes: &[(ScheduleName, Note)],
        kept: &[Kept],
    ) -> Result<u64, StoreError>;

    /// The same where nothing changes that is kept beside them.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn commit(&mut self, events: &[(RunUid, Event)], notes: &[(ScheduleName, Note)]) -> Result<u64, StoreError> {
        self.write(events, notes, &[])
    }

    /// The same without notes.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn append(&mut self, events: &[(RunUid, Event)]) -> Result<u64, StoreError> {
        self.commit(events, &[])
    }

    /// Moves at most `max_commits` of the oldest commits out of the live tail into the runs' own files. To be
    /// called from time to time while [`View::tail`] is above its bounds.
    ///
    /// # Errors
    /// The move may be tried again, unless the store has stopped.
    fn archive(&mut self, max_commits: usize) -> Result<Archived, StoreError>;

    /// Removes old terminal runs, at most [`crate::limits::PRUNE_RUNS`] in one call.
    ///
    /// # Errors
    /// As for [`Self::append`], or a run's folder that could not be moved away.
    fn prune(&mut self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError>;

    /// The reading side, for as many threads as like.
    fn view(&self) -> Arc<dyn View>;
}

/// The reading side: sees whole, durable commits only.
pub trait View: Send + Sync {
    /// The events of a run with numbers above `after`, in order, without gaps: at most `max`, and fewer where they
    /// are large, but none only where there is none. A run that is not there has none.
    ///
    /// # Errors
    /// Unreadable or missing events.
    fn events(&self, run: RunUid, after: u64, max: usize) -> Result<Vec<Event>, StoreError>;

    /// The runs that are not terminal, oldest first.
    ///
    /// # Errors
    /// Unreadable rows.
    fn unfinished(&self) -> Result<Vec<RunUid>, StoreError>;

    /// All events of each run that is not terminal and of its child runs, each after the one above it, reading the live
    /// tail once for all: for the start. A run that cannot be read is handed over as its error; the others go on.
    ///
    /// # Errors
    /// Unreadable rows or tail.
    fn each_unfinished(&self, visit: &mut dyn FnMut(RunUid, Result<Vec<Event>, StoreError>)) -> Result<(), StoreError>;

    /// The row of a run, by its number.
    ///
    /// # Errors
    /// An unreadable row.
    fn row_by_number(&self, number: u64) -> Result<Option<RunRow>, StoreError>;

    /// The row of a run; a child run has none.
    ///
    /// # Errors
    /// An unreadable row.
    fn row_by_uid(&self, run: RunUid) -> Result<Option<RunRow>, StoreError>;

    /// The row of the run at the top of the tree that a run belongs to: its own, where it is no child run.
    ///
    /// # Errors
    /// An unreadable row.
    fn row_of_tree(&self, run: RunUid) -> Result<Option<RunRow>, StoreError>;

    /// The child runs of all levels below a run at the top, in order of their uids: each after the one above it.
    ///
    /// # Errors
    /// They cannot be read.
    fn children(&self, top: &RunRow) -> Result<Vec<RunUid>, StoreError>;

    /// The row of the run that a request made.
    ///
    /// # Errors
    /// An unreadable row.
    fn row_by_request(&self, request_id: &str) -> Result<Option<RunRow>, StoreError>;

    /// Rows with numbers below `before` (all, where it is `None`), newest first, that pass `filter`: at most `max`
    /// of at most `scan_limit` looked at.
    ///
    /// # Errors
    /// An unreadable row.
    fn rows_newest_first(
        &self,
        before: Option<u64>,
        max: usize,
        scan_limit: usize,
        filter: &mut dyn FnMut(&RunRow) -> bool,
    ) -> Result<Rows, StoreError>;

    /// The number of the next new run, from 1.
    ///
    /// # Errors
    /// An unreadable row.
    fn next_number(&self) -> Result<u64, StoreError>;

    /// What the notes of each schedule add up to, by name: for the start.
    ///
    /// # Errors
    /// An unreadable record.
    fn schedules(&self) -> Result<Vec<(ScheduleName, Record)>, StoreError>;

    /// The notes of a schedule with numbers below `before` (all, where it is `None`), newest first: at most `max`. They
    /// are kept for ever.
    ///
    /// # Errors
    /// An unreadable note.
    fn notes(&self, schedule: &ScheduleName, before: Option<u64>, max: usize) -> Result<Vec<Note>, StoreError>;

    /// What is kept beside runs and schedules: for the start, before anything is written.
    ///
    /// # Errors
    /// Something of it cannot be read.
    fn kept(&self) -> Result<Vec<Kept>, StoreError>;

    /// The number of the last commit; 0 before the first.
    fn last_commit(&self) -> u64;

    /// How long the live tail is.
    fn tail(&self) -> TailSize;
}

/// A page of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<RunRow>,
    /// What to give as `before` for the next page; `None` where this is the last.
    pub next: Option<u64>,
}

/// How long the live tail is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailSize {
    /// Commits in it.
    pub commits: usize,
    /// The bytes of their records.
    pub bytes: u64,
}

impl TailSize {
    /// Whether commits should be archived.
    pub const fn is_long(self) -> bool {
        self.commits > crate::limits::TAIL_COMMITS || self.bytes > crate::limits::TAIL_BYTES
    }
}

/// What a call of [`Store::archive`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Archived {
    /// Commits that left the tail.
    pub commits: usize,
    /// Events that were written to files.
    pub events: usize,
    /// Runs whose files were written to.
    pub runs: usize,
}

/// Which terminal runs are kept. The newest run of all, the last success of each runbook, and a run whose request
/// id is younger than [`crate::limits::REQUEST_AGE`] are always kept, as is every run that is not terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A terminal run is removed when its end is longer ago than this.
    pub max_age: Option<Span>,
    /// The oldest terminal runs are removed while there are more than this.
    pub max_runs: Option<usize>,
}

/// What a call of [`Store::prune`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The runs that are gone, oldest first.
    pub runs: Vec<RunUid>,
    /// Whether there was more to remove than one call does.
    pub more: bool,
}
