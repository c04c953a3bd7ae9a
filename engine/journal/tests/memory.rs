//! The memory store crashes where it is told to, and what was durable by then is there when it is opened again.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{Book, created, finished, ready, uid};
use runbook_core::run::Outcome;
use runbook_core::time::Timestamp;
use runbook_journal::memory::{CrashPoint, MemoryDisk};
use runbook_journal::{MemoryStore, Retention, Store as _, StoreError};

const ALL: Retention = Retention { max_age: None, max_runs: Some(0) };

/// Two runs, the first over, with a crash ordered.
fn store(disk: &MemoryDisk, point: CrashPoint) -> (MemoryStore, Book) {
    let mut store = MemoryStore::open(disk);
    let mut book = Book::default();
    book.append(&mut store, vec![(uid(1), created(1, "a", ""))]);
    book.append(&mut store, vec![(uid(1), finished(Outcome::Failed)), (uid(2), created(2, "a", ""))]);
    store.crash_at(point);
    assert!(!store.has_crashed());
    (store, book)
}

fn crashed(result: Result<impl std::fmt::Debug, StoreError>, mut store: MemoryStore) {
    assert!(matches!(result, Err(StoreError::Crashed)), "{result:?}");
    assert!(store.has_crashed());
    // Nothing works any more.
    assert!(matches!(store.append(&[]), Err(StoreError::Crashed)));
    assert!(matches!(store.archive(1), Err(StoreError::Crashed)));
    assert!(matches!(store.prune(&ALL, Timestamp(0)), Err(StoreError::Crashed)));
}

#[test]
fn a_commit_is_there_or_not() {
    for (point, is_there) in [(CrashPoint::BeforeCommit, false), (CrashPoint::AfterCommit, true)] {
        let disk = MemoryDisk::default();
        let (mut store, mut book) = store(&disk, point);
        let mut next = book.clone();
        let batch = [next.next(uid(2), ready(0))];
        crashed(store.append(&batch), store);
        if is_there {
            book = next;
        }
        let mut store = MemoryStore::open(&disk);
        book.check(&*store.view());
        assert_eq!(store.view().last_commit(), if is_there { 3 } else { 2 });
        book.append(&mut store, vec![(uid(2), ready(1))]);
        book.check(&*store.view());
    }
}

#[test]
fn archived_events_count_once() {
    for point in [CrashPoint::BeforeArchive, CrashPoint::WithinArchive] {
        let disk = MemoryDisk::default();
        let (mut store, book) = store(&disk, point);
        crashed(store.archive(10), store);
        let mut store = MemoryStore::open(&disk);
        assert_eq!(store.view().tail().commits, 2);
        book.check(&*store.view());
        assert_eq!(store.archive(10).unwrap().commits, 1);
        book.check(&*store.view());
    }
}

#[test]
fn a_run_is_removed_or_not() {
    for (point, is_gone) in [(CrashPoint::BeforePrune, false), (CrashPoint::AfterPrune, true)] {
        let disk = MemoryDisk::default();
        let (mut store, mut book) = store(&disk, point);
        crashed(store.prune(&ALL, Timestamp(0)), store);
        if is_gone {
            book.runs.remove(&uid(1));
        }
        let store = MemoryStore::open(&disk);
        book.check(&*store.view());
        assert_eq!(store.view().row_by_number(1).unwrap().is_none(), is_gone);
    }
}
