//! The memory store: the same contract without a disk, for the simulator and for tests, with crashes on order.
//! What is durable outlives the store and can be opened again. Never writes a file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::run::{Event, Fact};
use runbook_core::schedule::{Note, Record, ScheduleName};
use runbook_core::time::Timestamp;

use crate::error::StoreError;
use crate::kept;
use crate::ledger;
use crate::limits::PRUNE_RUNS;
use crate::retention::Judge;
use crate::row::RunRow;
use crate::store::{Archived, Pruned, Retention, Rows, Store, TailSize, View};

/// Where the store crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CrashPoint {
    /// Nothing of the commit is durable.
    BeforeCommit,
    /// The commit is durable, and nobody was told.
    AfterCommit,
    /// Nothing has moved.
    BeforeArchive,
    /// Events are both in the tail and in the runs' files.
    WithinArchive,
    /// Nothing is removed.
    BeforePrune,
    /// The runs are gone, and nobody was told.
    AfterPrune,
}

/// What is durable. Outlives the stores that are opened on it.
#[derive(Debug, Default)]
struct Durable {
    last_commit: u64,
    tail: BTreeMap<u64, Vec<(RunUid, Event)>>,
    cold: BTreeMap<RunUid, Vec<Event>>,
    rows: BTreeMap<u64, RunRow>,
    numbers: BTreeMap<RunUid, u64>,
    requests: BTreeMap<String, u64>,
    records: BTreeMap<ScheduleName, Record>,
    notes: BTreeMap<ScheduleName, Vec<Note>>,
    kept: BTreeMap<Vec<u8>, Kept>,
}

/// Child runs, each with the number of the run at the top.
type Children = BTreeMap<RunUid, u64>;

/// The disk that is none: what [`MemoryStore::open`] opens, again and again.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    durable: Arc<Mutex<Durable>>,
}

/// The store.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    crash: Option<CrashPoint>,
    crashed: bool,
}

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// Opens what is durable, as after a start.
    pub fn open(disk: &MemoryDisk) -> Self {
        Self { disk: disk.clone(), crash: None, crashed: false }
    }

    /// Orders a crash: the next time that this point is passed, the call gives [`StoreError::Crashed`], and so does
    /// every writing one after it. Replaces an earlier order.
    pub const fn crash_at(&mut self, point: CrashPoint) {
        self.crash = Some(point);
    }

    /// Whether it has crashed.
    pub const fn has_crashed(&self) -> bool {
        self.crashed
    }

    fn pass(&mut self, point: CrashPoint) -> Result<(), StoreError> {
        if self.crash == Some(point) {
            self.crash = None;
            self.crashed = true;
        }
        if self.crashed { Err(StoreError::Crashed) } else { Ok(()) }
    }
}

impl Durable {
    /// All events of a run above a number, cold ones first, each once.
    fn events(&self, run: RunUid, after: u64) -> impl Iterator<Item = &Event> {
        let mut next = after + 1;
        let cold = self.cold.get(&run).into_iter().flatten();
        let tail = self.tail.values().flatten().filter(move |(uid, _)| *uid == run);
        cold.chain(tail.map(|(_, event)| event)).filter(move |event| {
            let wanted = event.number == next;
            next += u64::from(wanted);
            wanted
        })
    }

    fn row(&self, run: RunUid) -> Option<&RunRow> {
        self.row_of_tree(run).filter(|row| row.uid == run)
    }

    fn row_of_tree(&self, run: RunUid) -> Option<&RunRow> {
        self.rows.get(self.numbers.get(&run)?)
    }

    fn children(&self, top: &RunRow) -> Vec<RunUid> {
        let below = self.numbers.iter().filter(|(uid, number)| **number == top.number && **uid != top.uid);
        below.map(|(uid, _)| *uid).collect()
    }

    /// The rows as they are after a batch, or why it is refused.
    fn rows_after(&self, events: &[(RunUid, Event)]) -> Result<(BTreeMap<RunUid, RunRow>, Children), StoreError> {
        let mut children = Children::new();
        let mut rows: BTreeMap<RunUid, RunRow> = BTreeMap::new();
        let mut last: BTreeMap<RunUid, u64> = BTreeMap::new();
        for (uid, event) in events {
            let refused = |why: String| StoreError::Refused { run: *uid, number: event.number, why };
            let known = last.get(uid).copied().unwrap_or_else(|| {
                if self.numbers.contains_key(uid) {
                    self.events(*uid, 0).last().map_or(0, |event| event.number)
                } else {
                    0
                }
            });
            if event.number != known + 1 {
                return Err(refused(format!("the last one is {known}")));
            }
            last.insert(*uid, event.number);
            if let Fact::Created(fact) = &event.fact
                && let Some(parent) = &fact.parent
            {
                let top = rows.get(&parent.root).or_else(|| self.row(parent.root)).map(|row| row.number);
                if known > 0 || top != Some(fact.number) {
                    return Err(refused(format!("there is no run {} at the top of its tree", parent.root)));
                }
                children.insert(*uid, fact.number);
            } else if let Fact::Created(fact) = &event.fact {
                let taken = self.rows.contains_key(&fact.number) || rows.values().any(|row| row.number == fact.number);
                if known > 0 || taken {
                    return Err(refused(format!("there is a run {} already", fact.number)));
                }
                rows.insert(*uid, RunRow::of(*uid, event.at, fact));
            } else if known == 0 {
                return Err(refused("a run begins with its creation".to_owned()));
            } else if !children.contains_key(uid) && self.row_of_tree(*uid).is_none_or(|row| row.uid == *uid) {
                let row = rows.remove(uid).or_else(|| self.row(*uid).cloned());
                let mut row = row.ok_or_else(|| refused("the run has no row".to_owned()))?;
                row.take_in(event);
                rows.insert(*uid, row);
            }
        }
        Ok((rows, children))
    }
}

impl Store for MemoryStore {
    fn write(
        &mut self,
        events: &[(RunUid, Event)],
        notes: &[(ScheduleName, Note)],
        kept: &[Kept],
    ) -> Result<u64, StoreError> {
        if events.is_empty() && notes.is_empty() && kept.is_empty() && !self.crashed {
            return Ok(self.disk.lock().last_commit);
        }
        self.pass(CrashPoint::BeforeCommit)?;
        let number = {
            let mut durable = self.disk.lock();
            let (rows, children) = durable.rows_after(events)?;
            durable.numbers.extend(children);
            let records = ledger::changes(notes, |name| Ok(durable.records.get(name).cloned()))?;
            durable.records.extend(records.after);
            for (name, note) in notes {
                durable.notes.entry(name.clone()).or_default().push(note.clone());
            }
            for one in kept {
                match kept::is_gone(one) {
                    true => durable.kept.remove(&kept::name(one)),
                    false => durable.kept.insert(kept::name(one), one.clone()),
                };
            }
            durable.last_commit += 1;
            let number = durable.last_commit;
            durable.tail.insert(number, events.to_vec());
            for (uid, row) in rows {
                durable.numbers.insert(uid, row.number);
                if !row.request_id.is_empty() {
                    durable.requests.entry(row.request_id.clone()).or_insert(row.number);
                }
                durable.rows.insert(row.number, row);
            }
            number
        };
        self.pass(CrashPoint::AfterCommit)?;
        Ok(number)
    }

    fn archive(&mut self, max_commits: usize) -> Result<Archived, StoreError> {
        self.pass(CrashPoint::BeforeArchive)?;
        let mut done = Archived::default();
        let disk = self.disk.clone();
        let mut durable = disk.lock();
        let all = durable.tail.len().saturating_sub(1).min(max_commits);
        let numbers: Vec<u64> = durable.tail.keys().take(all).copied().collect();
        let mut runs = Vec::new();
        for number in &numbers {
            for (uid, event) in durable.tail.get(number).cloned().unwrap_or_default() {
                if !durable.numbers.contains_key(&uid) {
                    continue;
                }
                let cold = durable.cold.entry(uid).or_default();
                if cold.last().is_none_or(|last| last.number < event.number) {
                    cold.push(event);
                    done.events += 1;
                    runs.push(uid);
                }
            }
        }
        self.pass(CrashPoint::WithinArchive)?;
        for number in &numbers {
            durable.tail.remove(number);
        }
        runs.sort_unstable();
        runs.dedup();
        (done.commits, done.runs) = (numbers.len(), runs.len());
        Ok(done)
    }

    fn prune(&mut self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.pass(CrashPoint::BeforePrune)?;
        let mut pruned = Pruned::default();
        {
            let mut durable = self.disk.lock();
            let mut judge = Judge::new(*retention, now);
            let mut rows: Vec<RunRow> = durable.rows.values().rev().filter(|row| judge.may_go(row)).cloned().collect();
            pruned.more = rows.len() > PRUNE_RUNS;
            rows.reverse();
            rows.truncate(PRUNE_RUNS);
            for row in rows {
                durable.rows.remove(&row.number);
                for uid in std::iter::once(row.uid).chain(durable.children(&row)) {
                    durable.numbers.remove(&uid);
                    durable.cold.remove(&uid);
                    pruned.runs.push(uid);
                }
                if durable.requests.get(&row.request_id) == Some(&row.number) {
                    durable.requests.remove(&row.request_id);
                }
            }
        }
        self.pass(CrashPoint::AfterPrune)?;
        Ok(pruned)
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(self.disk.clone())
    }
}

impl View for MemoryDisk {
    fn events(&self, run: RunUid, after: u64, max: usize) -> Result<Vec<Event>, StoreError> {
        let durable = self.lock();
        if !durable.numbers.contains_key(&run) || after == u64::MAX {
            return Ok(Vec::new());
        }
        Ok(durable.events(run, after).take(max).cloned().collect())
    }

    fn unfinished(&self) -> Result<Vec<RunUid>, StoreError> {
        let durable = self.lock();
        Ok(durable.rows.values().filter(|row| row.finished.is_none()).map(|row| row.uid).collect())
    }

    fn each_unfinished(&self, visit: &mut dyn FnMut(RunUid, Result<Vec<Event>, StoreError>)) -> Result<(), StoreError> {
        for run in self.unfinished()? {
            let row = self.row_by_uid(run)?;
            let children = row.map_or_else(Vec::new, |row| self.lock().children(&row));
            for uid in std::iter::once(run).chain(children) {
                visit(uid, self.events(uid, 0, usize::MAX));
            }
        }
        Ok(())
    }

    fn row_by_number(&self, number: u64) -> Result<Option<RunRow>, StoreError> {
        Ok(self.lock().rows.get(&number).cloned())
    }

    fn row_by_uid(&self, run: RunUid) -> Result<Option<RunRow>, StoreError> {
        Ok(self.lock().row(run).cloned())
    }

    fn row_of_tree(&self, run: RunUid) -> Result<Option<RunRow>, StoreError> {
        Ok(self.lock().row_of_tree(run).cloned())
    }

    fn children(&self, top: &RunRow) -> Result<Vec<RunUid>, StoreError> {
        Ok(self.lock().children(top))
    }

    fn row_by_request(&self, request_id: &str) -> Result<Option<RunRow>, StoreError> {
        let durable = self.lock();
        let number = durable.requests.get(request_id);
        Ok(number.and_then(|number| durable.rows.get(number)).cloned())
    }

    fn rows_newest_first(
        &self,
        before: Option<u64>,
        max: usize,
        scan_limit: usize,
        filter: &mut dyn FnMut(&RunRow) -> bool,
    ) -> Result<Rows, StoreError> {
        let durable = self.lock();
        let mut page = Rows::default();
        let mut last = None;
        for (seen, row) in durable.rows.range(..before.unwrap_or(u64::MAX)).rev().enumerate() {
            if page.rows.len() >= max || seen >= scan_limit {
                page.next = last;
                break;
            }
            last = Some(*row.0);
            if filter(row.1) {
                page.rows.push(row.1.clone());
            }
        }
        Ok(page)
    }

    fn next_number(&self) -> Result<u64, StoreError> {
        Ok(self.lock().rows.keys().next_back().map_or(1, |number| number + 1))
    }

    fn schedules(&self) -> Result<Vec<(ScheduleName, Record)>, StoreError> {
        Ok(self.lock().records.iter().map(|(name, record)| (name.clone(), record.clone())).collect())
    }

    fn notes(&self, schedule: &ScheduleName, before: Option<u64>, max: usize) -> Result<Vec<Note>, StoreError> {
        let durable = self.lock();
        let all = durable.notes.get(schedule).map_or(&[][..], Vec::as_slice);
        let below = all.iter().rev().filter(|note| before.is_none_or(|before| note.number < before));
        Ok(below.take(max).cloned().collect())
    }

    fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        Ok(self.lock().kept.values().cloned().collect())
    }

    fn last_commit(&self) -> u64 {
        self.lock().last_commit
    }

    fn tail(&self) -> TailSize {
        let durable = self.lock();
        TailSize { commits: durable.tail.len(), bytes: 0 }
    }
}
