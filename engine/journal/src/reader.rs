//! The reading side of the journal: events from a run's file and then from the tail, by event number, so that
//! what lies in both counts once. Cheap to clone, for as many threads as like. Never writes.

use std::collections::HashMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::run::Event;
use runbook_core::schedule::{Note, Record, ScheduleName};

use crate::cold::{self, Next};
use crate::error::StoreError;
use crate::from_disk::Undecodable;
use crate::kept;
use crate::keys;
use crate::ledger;
use crate::limits::{PAGE_BYTES, READ_TRIES};
use crate::record::{self, Item, RawEvent};
use crate::row::RunRow;
use crate::shared::Shared;
use crate::store::{Rows, TailSize, View};

/// A handle for reading. Clones read the same journal.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// Why an attempt at reading ended.
enum Short {
    /// Commits moved while they were read: look again.
    Moved,
    /// This event is in neither place, or moved: look again.
    Missing(u64),
    Error(StoreError),
}

impl From<StoreError> for Short {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// Events of one run, as far as they are collected.
struct Page {
    events: Vec<Event>,
    next: u64,
    max: usize,
    bytes: usize,
    max_bytes: usize,
}

impl Page {
    const fn new(after: u64, max: usize, max_bytes: usize) -> Self {
        Self { events: Vec::new(), next: after + 1, max, bytes: 0, max_bytes }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max || self.bytes >= self.max_bytes
    }

    /// Takes an event in, if it is the next one and there is room; one that is there already is passed over. Says
    /// whether events before it are missing.
    fn take(&mut self, raw: RawEvent<'_>) -> Result<bool, Undecodable> {
        if self.is_full() {
            return Ok(false);
        }
        if raw.number == self.next {
            self.events.push(raw.decode()?);
            self.next += 1;
            self.bytes += raw.bytes.len();
        }
        Ok(raw.number >= self.next)
    }
}

impl Reader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn undecodable(&self, what: String, error: &Undecodable) -> StoreError {
        StoreError::Corrupt { what, path: self.shared.db.dir(), why: error.to_string() }
    }

    /// Collects what the run's file has.
    fn read_cold(&self, run: RunUid, page: &mut Page) -> Result<(), StoreError> {
        let end = self.shared.cold_end(run)?;
        let path = self.shared.layout.events(run);
        cold::read(&path, run, end, page.next - 1, |raw| {
            let ahead = page.take(raw)?;
            Ok(if ahead || page.is_full() { Next::Enough } else { Next::More })
        })?;
        if !page.is_full() && (page.next <= end.last || end.missing > 0) {
            return Err(StoreError::EventsMissing { run, missing: page.next, path });
        }
        Ok(())
    }

    /// Says whether events that the run's row knows of are missing behind those that were collected.
    fn is_cut_short(&self, run: RunUid, page: &Page) -> Result<bool, StoreError> {
        if page.is_full() {
            return Ok(false);
        }
        let row = self.row_by_uid(run)?;
        Ok(row.is_some_and(|row| page.next <= row.last_event))
    }

    /// One attempt at a page.
    fn page(&self, run: RunUid, after: u64, max: usize) -> Result<Vec<Event>, Short> {
        let mut page = Page::new(after, max, PAGE_BYTES);
        // The places first: an event that leaves the tail afterwards is in the file already.
        let places = self.shared.tail().places(run, after);
        if places.first().is_none_or(|place| place.first > page.next) {
            self.read_cold(run, &mut page)?;
        }
        for place in places {
            if page.is_full() {
                break;
            }
            let Some(commit) = self.shared.commit(place.commit)? else { return Err(Short::Moved) };
            let mut ahead = false;
            record::walk::<Undecodable>(&commit.payload, |item| {
                if let Item::Event(uid, raw) = item
                    && uid == run
                {
                    ahead |= page.take(raw)?;
                }
                Ok(())
            })
            .map_err(|error| self.undecodable(format!("commit {}", place.commit), &error))?;
            if ahead {
                return Err(Short::Missing(page.next));
            }
        }
        if self.is_cut_short(run, &page)? {
            return Err(Short::Missing(page.next));
        }
        Ok(page.events)
    }

    /// All events of a run: its file, then those of the tail, which was read after the row. `last` is the number of the
    /// latest event that is known.
    fn all_of(&self, run: RunUid, mut last: u64, tail: &[Vec<u8>]) -> Result<Vec<Event>, StoreError> {
        let mut page = Page::new(0, usize::MAX, usize::MAX);
        self.read_cold(run, &mut page)?;
        for bytes in tail {
            record::raw_event(bytes)
                .and_then(|raw| {
                    last = last.max(raw.number);
                    page.take(raw)
                })
                .map_err(|error| self.undecodable(format!("an event of run {run}"), &error))?;
        }
        if page.next <= last {
            let path = self.shared.layout.events(run);
            return Err(StoreError::EventsMissing { run, missing: page.next, path });
        }
        Ok(page.events)
    }

    /// The rows of the runs that are not terminal, oldest first.
    fn unfinished_rows(&self) -> Result<Vec<RunRow>, StoreError> {
        let bounds = (Bound::Included(&[keys::ACTIVE][..]), Bound::Excluded(&[keys::ACTIVE + 1][..]));
        let mut numbers = Vec::new();
        self.shared.db.scan::<StoreError>(bounds, false, |key, _| {
            numbers.extend(keys::parse_number(key));
            Ok(ControlFlow::Continue(()))
        })?;
        // A run whose end is under way is no longer among them, and not over yet.
        numbers.extend(self.shared.tail().under_way());
        numbers.sort_unstable();
        numbers.dedup();
        let mut rows = Vec::new();
        for number in numbers {
            rows.extend(self.shared.row(number)?.filter(|row| row.finished.is_none()));
        }
        Ok(rows)
    }

    /// The stored events of the wanted runs in the tail, in order; `None` where commits moved meanwhile.
    fn raw_tail(&self, wanted: &HashMap<RunUid, usize>) -> Result<Option<Vec<Vec<Vec<u8>>>>, StoreError> {
        let mut events = vec![Vec::new(); wanted.len()];
        let commits = self.shared.tail().commits_of(|uid| wanted.contains_key(&uid));
        for number in commits {
            let Some(commit) = self.shared.commit(number)? else { return Ok(None) };
            record::walk::<Undecodable>(&commit.payload, |item| {
                if let Item::Event(uid, raw) = item
                    && let Some(run) = wanted.get(&uid).and_then(|index| events.get_mut(*index))
                {
                    run.push(raw.bytes.to_vec());
                }
                Ok(())
            })
            .map_err(|error| self.undecodable(format!("commit {number}"), &error))?;
        }
        Ok(Some(events))
    }
}

impl View for Reader {
    fn events(&self, run: RunUid, after: u64, max: usize) -> Result<Vec<Event>, StoreError> {
        if max == 0 || after == u64::MAX {
            return Ok(Vec::new());
        }
        let mut missing = after + 1;
        for _ in 0..READ_TRIES {
            let short = match self.page(run, after, max) {
                Ok(events) => return Ok(events),
                Err(short) => short,
            };
            // Removed while it was being read: then it has no events.
            if self.shared.number(&keys::uid(run))?.is_none() {
                return Ok(Vec::new());
            }
            match short {
                Short::Moved => {}
                Short::Missing(number) => missing = number,
                Short::Error(error) => return Err(error),
            }
            std::thread::yield_now();
        }
        Err(StoreError::EventsMissing { run, missing, path: self.shared.layout.events(run) })
    }

    fn unfinished(&self) -> Result<Vec<RunUid>, StoreError> {
        Ok(self.unfinished_rows()?.iter().map(|row| row.uid).collect())
    }

    fn each_unfinished(&self, visit: &mut dyn FnMut(RunUid, Result<Vec<Event>, StoreError>)) -> Result<(), StoreError> {
        let rows = self.unfinished_rows()?;
        let mut runs: Vec<(RunUid, u64)> = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push((row.uid, row.last_event));
            runs.extend(self.children(row)?.into_iter().map(|uid| (uid, 0)));
        }
        let wanted: HashMap<RunUid, usize> = runs.iter().enumerate().map(|(index, (uid, _))| (*uid, index)).collect();
        for _ in 0..READ_TRIES {
            let Some(tails) = self.raw_tail(&wanted)? else { continue };
            for ((uid, last), tail) in runs.iter().zip(tails) {
                visit(*uid, self.all_of(*uid, *last, &tail));
            }
            return Ok(());
        }
        let why = "commits move faster than they can be read".to_owned();
        Err(StoreError::Unreadable { dir: self.shared.db.dir(), why })
    }

    fn row_by_number(&self, number: u64) -> Result<Option<RunRow>, StoreError> {
        self.shared.row(number)
    }

    fn row_by_uid(&self, run: RunUid) -> Result<Option<RunRow>, StoreError> {
        Ok(self.row_of_tree(run)?.filter(|row| row.uid == run))
    }

    fn row_of_tree(&self, run: RunUid) -> Result<Option<RunRow>, StoreError> {
        self.shared.number(&keys::uid(run))?.map_or(Ok(None), |number| self.shared.row(number))
    }

    fn children(&self, top: &RunRow) -> Result<Vec<RunUid>, StoreError> {
        self.shared.children(top.number)
    }

    fn row_by_request(&self, request_id: &str) -> Result<Option<RunRow>, StoreError> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let number = self.shared.number(&keys::request(request_id))?;
        number.map_or(Ok(None), |number| self.shared.row(number))
    }

    fn rows_newest_first(
        &self,
        before: Option<u64>,
        max: usize,
        scan_limit: usize,
        filter: &mut dyn FnMut(&RunRow) -> bool,
    ) -> Result<Rows, StoreError> {
        let mut page = Rows::default();
        let first = keys::row(0);
        let end = before.map_or(vec![keys::ROW + 1], |number| keys::row(number).to_vec());
        let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        let (mut seen, mut last) = (0, None);
        self.shared.db.scan::<StoreError>(bounds, true, |key, value| {
            if page.rows.len() >= max || seen >= scan_limit {
                page.next = last;
                return Ok(ControlFlow::Break(()));
            }
            let Some(number) = keys::parse_number(key) else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some(row) = self.shared.durable(number, Some(self.shared.parse_row(number, value)?)) else {
                return Ok(ControlFlow::Continue(()));
            };
            (seen, last) = (seen + 1, Some(number));
            if filter(&row) {
                page.rows.push(row);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    fn next_number(&self) -> Result<u64, StoreError> {
        let mut last = 0;
        let bounds = (Bound::Included(&[keys::ROW][..]), Bound::Excluded(&[keys::ROW + 1][..]));
        self.shared.db.scan::<StoreError>(bounds, true, |key, _| {
            last = keys::parse_number(key).unwrap_or(0);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(last + 1)
    }

    fn schedules(&self) -> Result<Vec<(ScheduleName, Record)>, StoreError> {
        ledger::records(&self.shared)
    }

    fn notes(&self, schedule: &ScheduleName, before: Option<u64>, max: usize) -> Result<Vec<Note>, StoreError> {
        ledger::notes(&self.shared, schedule, before, max)
    }

    fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        kept::all(&self.shared)
    }

    fn last_commit(&self) -> u64 {
        self.shared.tail().last_commit()
    }

    fn tail(&self) -> TailSize {
        self.shared.tail().size()
    }
}
