//! Readers see whole, durable commits only, while commits are made, archived and removed under their eyes.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Book, created, finished, in_pages, ready, starting, uid};
use runbook_core::run::{Event, Fact, Outcome};
use runbook_core::time::Timestamp;
use runbook_journal::{Options, Retention, Store as _, View};

const RUNS: u64 = 150;
const STEPS: u32 = 6;

/// A run's events are those from the first one on, and all of them where its row says that it is over.
fn check(view: &dyn View, number: u64) -> bool {
    let Some(row) = view.row_by_number(number).unwrap() else { return false };
    let events: Vec<Event> = view.events(row.uid, 0, usize::MAX).unwrap();
    if events.is_empty() {
        let gone = view.row_by_number(number).unwrap().is_none();
        assert!(gone, "run {number} has a row and no events");
        return false;
    }
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.number, index as u64 + 1, "run {number}");
    }
    let last = events.last().unwrap();
    if row.finished.is_some() {
        assert!(matches!(last.fact, Fact::Finished { .. }), "run {number} is over, its last event is {last:?}");
        assert_eq!(last.number, row.last_event);
    }
    true
}

fn read(view: &dyn View, over: &AtomicBool, checks: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let page = view.rows_newest_first(None, 5, 5, &mut |_| true).unwrap();
        let unfinished = view.unfinished().unwrap();
        for row in page.rows {
            assert!(
                unfinished.contains(&row.uid)
                    || view.row_by_uid(row.uid).unwrap().is_none_or(|row| row.finished.is_some())
            );
            checks.fetch_add(usize::from(check(view, row.number)), Ordering::Relaxed);
        }
        for run in unfinished {
            // Not over when it was asked; it may be by now.
            let events = in_pages(view, run, 3);
            assert!(!events.is_empty() || view.row_by_uid(run).unwrap().is_none(), "an unfinished run without events");
        }
        view.each_unfinished(&mut |run, events| {
            let events = events.unwrap();
            assert!(!events.is_empty() || view.row_by_uid(run).unwrap().is_none());
        })
        .unwrap();
    }
}

#[test]
fn readers_see_durable_whole_commits_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = runbook_journal::open(&dir.path().join("data"), Options::default()).unwrap();
    let (over, checks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let archiver = journal.archiver();
    let view = journal.view();
    let view = &*view;
    std::thread::scope(|scope| {
        // Also when the writer panics: else the others would go on for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let over_when_done = Over(&over);
        for _ in 0..2 {
            scope.spawn(|| read(view, &over, &checks));
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                archiver.archive(7).unwrap();
                std::thread::yield_now();
            }
        });
        let mut book = Book::default();
        for number in 1..=RUNS {
            book.append(&mut journal, vec![(uid(number), created(number, "a", "")), (uid(number), ready(0))]);
            for step in 0..STEPS {
                let mut facts = vec![(uid(number), starting(step, 1))];
                if number > 1 && step == 2 {
                    facts.push((uid(number - 1), finished(Outcome::Failed)));
                }
                book.append(&mut journal, facts);
            }
            if number % 10 == 0 {
                let retention = Retention { max_age: None, max_runs: Some(20) };
                journal.prune(&retention, Timestamp(i64::MAX)).unwrap();
            }
        }
        drop(over_when_done);
    });
    let checks = checks.into_inner();
    assert!(checks > 100, "the readers made {checks} checks only");
}
