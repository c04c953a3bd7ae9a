//! What every store must do: each test runs for the one in sled and for the one in memory.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{Book, SECOND, created, ended, finished, ready, resumed, rollback_asked, starting, uid};
use runbook_core::drift::{Change, Difference, Found, Looks, Seen, Stack};
use runbook_core::kept::Kept;
use runbook_core::run::{Event, Fact, Outcome, Principal};
use runbook_core::schedule::{Dst, Fate, Miss, Note, NoteFact, ScheduleName, Written};
use runbook_core::time::{Span, Timestamp};
use runbook_journal::memory::MemoryDisk;
use runbook_journal::{Journal, MemoryStore, Options, Retention, RunRow, Store, StoreError, View};

/// A place where a store can be opened again and again.
enum Place {
    Disk(tempfile::TempDir),
    Memory(MemoryDisk),
}

impl Place {
    fn all() -> [Self; 2] {
        [Self::Disk(tempfile::tempdir().unwrap()), Self::Memory(MemoryDisk::default())]
    }

    fn open(&self) -> Box<dyn Store> {
        match self {
            Self::Disk(dir) => {
                let (journal, _): (Journal, _) =
                    runbook_journal::open(&dir.path().join("data"), Options::default()).unwrap();
                Box::new(journal)
            }
            Self::Memory(disk) => Box::new(MemoryStore::open(disk)),
        }
    }
}

/// Runs a test for each store, and once more after closing and opening it, where `check` must hold again.
fn each(test: impl Fn(&mut dyn Store) -> Book, check: impl Fn(&Book, &dyn View)) {
    for place in Place::all() {
        let mut store = place.open();
        let book = test(&mut *store);
        check(&book, &*store.view());
        drop(store);
        let store = place.open();
        check(&book, &*store.view());
    }
}

fn numbers(rows: &[RunRow]) -> Vec<u64> {
    rows.iter().map(|row| row.number).collect()
}

#[test]
fn an_empty_store_answers_everything() {
    each(
        |store| {
            assert_eq!(store.append(&[]).unwrap(), 0);
            assert_eq!(store.archive(10).unwrap().commits, 0);
            Book::default()
        },
        |_, view| {
            assert_eq!(view.last_commit(), 0);
            assert_eq!(view.next_number().unwrap(), 1);
            assert!(view.events(uid(1), 0, 10).unwrap().is_empty());
            assert!(view.unfinished().unwrap().is_empty());
            assert_eq!(view.row_by_number(1).unwrap(), None);
            assert_eq!(view.row_by_uid(uid(1)).unwrap(), None);
            assert_eq!(view.row_by_request("").unwrap(), None);
            assert_eq!(view.rows_newest_first(None, 10, 10, &mut |_| true).unwrap().next, None);
        },
    );
}

#[test]
fn what_was_appended_is_read_in_order() {
    each(
        |store| {
            let mut book = Book::default();
            let batch = vec![(uid(1), created(1, "a", "")), (uid(2), created(2, "b", ""))];
            assert_eq!(book.append(store, batch), 1);
            let batch = vec![(uid(1), ready(0)), (uid(2), ready(0)), (uid(1), starting(0, 1))];
            assert_eq!(book.append(store, batch), 2);
            for step in 1..50 {
                book.append(store, vec![(uid(1), ready(step)), (uid(2), ready(step))]);
            }
            book
        },
        |book, view| {
            book.check(view);
            assert_eq!(view.last_commit(), 51);
            assert_eq!(view.events(uid(1), 1, 2).unwrap(), book.runs[&uid(1)][1..3]);
            assert!(view.events(uid(1), u64::MAX, 2).unwrap().is_empty());
            assert!(view.events(uid(1), 0, 0).unwrap().is_empty());
        },
    );
}

#[test]
fn a_large_commit_is_whole() {
    each(
        |store| {
            let mut book = Book::default();
            book.append(store, vec![(uid(1), created(1, "large", ""))]);
            // Several chunks, and several segments of the storage engine.
            let facts = (0..12).map(|step| (uid(1), ended(step, 1, 1 << 20))).collect();
            book.append(store, facts);
            book.append(store, vec![(uid(1), ready(9))]);
            book
        },
        |book, view| {
            book.check(view);
            // A page ends early where events are large, and never gives nothing.
            let page = view.events(uid(1), 1, 100).unwrap();
            assert!(!page.is_empty());
        },
    );
}

#[test]
fn rows_follow_the_events() {
    each(
        |store| {
            let mut book = Book::default();
            for number in 1..=5 {
                let facts = vec![(uid(number), created(number, "a", &format!("request {number}")))];
                book.append(store, facts);
            }
            book.append(store, vec![(uid(2), finished(Outcome::Failed))]);
            book.append(store, vec![(uid(3), finished(Outcome::Succeeded)), (uid(4), finished(Outcome::Canceled))]);
            book.append(store, vec![(uid(4), resumed(2))]);
            book.append(store, vec![(uid(5), finished(Outcome::Failed))]);
            // Another start of the daemon has to go on with it.
            book.append(store, vec![(uid(5), rollback_asked())]);
            book
        },
        |book, view| {
            book.check(view);
            assert_eq!(view.unfinished().unwrap(), [uid(1), uid(4), uid(5)]);
            assert_eq!(view.row_by_uid(uid(5)).unwrap().unwrap().finished, None);
            assert_eq!(view.next_number().unwrap(), 6);
            let row = view.row_by_number(2).unwrap().unwrap();
            let end = row.finished.unwrap();
            assert_eq!((end.outcome, end.at), (Outcome::Failed, Timestamp(2 * SECOND)));
            assert_eq!((row.uid, row.last_event, row.epoch), (uid(2), 2, 1));
            assert_eq!(view.row_by_uid(uid(2)).unwrap(), Some(row.clone()));
            assert_eq!(view.row_by_request("request 2").unwrap(), Some(row));
            let row = view.row_by_uid(uid(4)).unwrap().unwrap();
            assert_eq!((row.finished, row.last_event, row.epoch), (None, 3, 2));
        },
    );
}

#[test]
fn rows_come_in_pages() {
    each(
        |store| {
            let mut book = Book::default();
            let facts = (1..=10).map(|number| (uid(number), created(number, "a", ""))).collect();
            book.append(store, facts);
            book
        },
        |_, view| {
            let page = view.rows_newest_first(None, 4, 100, &mut |_| true).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![10, 9, 8, 7], Some(7)));
            let page = view.rows_newest_first(page.next, 4, 100, &mut |_| true).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![6, 5, 4, 3], Some(3)));
            let page = view.rows_newest_first(page.next, 4, 100, &mut |_| true).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![2, 1], None));
            let odd = &mut |row: &RunRow| row.number % 2 == 1;
            let page = view.rows_newest_first(None, 10, 4, odd).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![9, 7], Some(7)));
            let page = view.rows_newest_first(page.next, 10, 100, odd).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![5, 3, 1], None));
            let page = view.rows_newest_first(Some(1), 10, 100, odd).unwrap();
            assert_eq!((numbers(&page.rows), page.next), (vec![], None));
        },
    );
}

#[test]
fn what_cannot_follow_is_refused_and_leaves_no_trace() {
    each(
        |store| {
            let mut book = Book::default();
            book.append(store, vec![(uid(1), created(1, "a", "")), (uid(1), ready(0))]);
            let event = |number, fact| Event { number, at: Timestamp(1), fact };
            let wrong: Vec<Vec<(_, Event)>> = vec![
                vec![(uid(1), event(2, ready(1)))],
                vec![(uid(1), event(4, ready(1)))],
                vec![(uid(1), event(3, ready(1))), (uid(1), event(3, ready(2)))],
                vec![(uid(2), event(1, ready(1)))],
                vec![(uid(2), event(2, ready(1)))],
                vec![(uid(2), event(1, created(1, "b", "")))],
                vec![(uid(1), event(3, created(3, "b", "")))],
                vec![(uid(2), event(1, created(2, "b", ""))), (uid(3), event(1, created(2, "b", "")))],
            ];
            for batch in wrong {
                let error = store.append(&batch).unwrap_err();
                assert!(matches!(error, StoreError::Refused { .. }), "{error} for {batch:?}");
            }
            assert_eq!(book.append(store, vec![(uid(1), ready(1))]), 2);
            book
        },
        |book, view| {
            book.check(view);
            assert_eq!(view.row_by_number(2).unwrap(), None);
            assert_eq!(view.next_number().unwrap(), 2);
        },
    );
}

#[test]
fn the_first_run_of_a_request_keeps_its_name() {
    each(
        |store| {
            let mut book = Book::default();
            book.append(store, vec![(uid(1), created(1, "a", "x"))]);
            book.append(store, vec![(uid(2), created(2, "a", "x"))]);
            book
        },
        |_, view| assert_eq!(view.row_by_request("x").unwrap().unwrap().number, 1),
    );
}

/// Three runs whose events lie in shared commits.
fn interleaved(store: &mut dyn Store) -> Book {
    let mut book = Book::default();
    for number in 1..=3 {
        book.append(store, vec![(uid(number), created(number, "a", ""))]);
    }
    for step in 0..40 {
        let facts = (1..=3)
            .filter(|run| step % run == 0)
            .flat_map(|run| [(uid(run), ready(step as u32)), (uid(run), starting(step as u32, 1))]);
        book.append(store, facts.collect());
    }
    book
}

#[test]
fn archived_events_are_read_as_before() {
    for slice in [1, 7, 1_000] {
        each(
            |store| {
                let mut book = interleaved(store);
                let before = store.view().tail().commits;
                let done = store.archive(slice).unwrap();
                assert_eq!(done.commits, slice.min(before - 1));
                assert_eq!(store.view().tail().commits, before - done.commits);
                book.check(&*store.view());
                // Onto what is partly cold; the end of a run stays in the tail.
                book.append(store, vec![(uid(1), ready(90)), (uid(3), finished(Outcome::Failed))]);
                book.check(&*store.view());
                store.archive(slice).unwrap();
                book.append(store, vec![(uid(2), finished(Outcome::Failed))]);
                store.archive(1_000).unwrap();
                assert_eq!(store.view().tail().commits, 1);
                // A run that is wholly cold goes on.
                book.append(store, vec![(uid(3), resumed(2)), (uid(3), ready(0))]);
                book
            },
            |book, view| {
                book.check(view);
                assert_eq!(view.unfinished().unwrap(), [uid(1), uid(3)]);
            },
        );
    }
}

#[test]
fn events_of_a_wholly_cold_run_must_still_follow() {
    each(
        |store| {
            let book = interleaved(store);
            store.append(&[]).unwrap();
            let mut book = book;
            book.append(store, vec![(uid(1), ready(99))]);
            store.archive(1_000).unwrap();
            let again = Event { number: 1, at: Timestamp(1), fact: created(9, "b", "") };
            assert!(matches!(store.append(&[(uid(2), again)]), Err(StoreError::Refused { .. })));
            book
        },
        |book, view| book.check(view),
    );
}

#[test]
fn old_runs_go_and_others_stay() {
    for archived in [false, true] {
        old_runs_go(archived);
    }
}

fn old_runs_go(archived: bool) {
    each(
        |store| {
            let mut book = Book::default();
            for number in 1..=6 {
                let request = format!("request {number}");
                book.append(store, vec![(uid(number), created(number, "a", &request))]);
            }
            for (number, outcome) in [
                (1, Outcome::Succeeded),
                (2, Outcome::Succeeded),
                (3, Outcome::Failed),
                (5, Outcome::Failed),
                (6, Outcome::Failed),
            ] {
                book.append(store, vec![(uid(number), finished(outcome))]);
            }
            // Some are cold, some in the tail, some both.
            store.archive(7).unwrap();
            let day = Span::minutes(24 * 60);
            let retention = Retention { max_age: Some(day), max_runs: None };
            let soon = store.prune(&retention, Timestamp(3 * SECOND)).unwrap();
            assert!(soon.runs.is_empty() && !soon.more);
            let later = store.prune(&retention, Timestamp(day.0 * 2)).unwrap();
            assert_eq!(later.runs, [uid(1), uid(3), uid(5)]);
            assert!(!later.more);
            for run in later.runs {
                book.runs.remove(&run);
            }
            assert!(store.prune(&retention, Timestamp(day.0 * 2)).unwrap().runs.is_empty());
            if archived {
                // Nothing of them comes back when the rest is archived.
                store.archive(1_000).unwrap();
            }
            book.append(store, vec![(uid(4), ready(0))]);
            book
        },
        |book, view| {
            book.check(view);
            for number in [1, 3, 5] {
                assert_eq!(view.row_by_number(number).unwrap(), None);
                assert_eq!(view.row_by_uid(uid(number)).unwrap(), None);
                assert_eq!(view.row_by_request(&format!("request {number}")).unwrap(), None);
                assert!(view.events(uid(number), 0, 10).unwrap().is_empty());
            }
            let rows = view.rows_newest_first(None, 10, 10, &mut |_| true).unwrap();
            assert_eq!(numbers(&rows.rows), [6, 4, 2]);
            assert_eq!(view.next_number().unwrap(), 7);
        },
    );
}

#[test]
fn what_may_go_later_goes_later() {
    each(
        |store| {
            let mut book = Book::default();
            for number in 1..=4 {
                book.append(store, vec![(uid(number), created(number, "a", ""))]);
            }
            let facts = [1, 2].map(|number| (uid(number), finished(Outcome::Failed)));
            book.append(store, facts.to_vec());
            let retention = Retention { max_age: Some(Span::seconds(100)), max_runs: None };
            let mut prune = |store: &mut dyn Store, at| {
                let runs = store.prune(&retention, Timestamp(at * SECOND)).unwrap().runs;
                for run in &runs {
                    book.runs.remove(run);
                }
                runs
            };
            assert!(prune(store, 50).is_empty());
            assert!(prune(store, 102).is_empty());
            assert_eq!(prune(store, 103), [uid(1), uid(2)]);
            assert!(prune(store, 1_000).is_empty());
            // By count, and after a run has ended since the last look.
            let few = Retention { max_age: None, max_runs: Some(0) };
            assert!(store.prune(&few, Timestamp(0)).unwrap().runs.is_empty());
            book.append(store, vec![(uid(3), finished(Outcome::Failed))]);
            assert_eq!(store.prune(&few, Timestamp(0)).unwrap().runs, [uid(3)]);
            book.runs.remove(&uid(3));
            book
        },
        |book, view| book.check(view),
    );
}

#[test]
fn a_run_may_begin_and_end_in_one_commit() {
    each(
        |store| {
            let mut book = Book::default();
            let facts = vec![
                (uid(1), created(1, "a", "")),
                (uid(1), Fact::Admitted { deadline: None }),
                (uid(1), finished(Outcome::Succeeded)),
            ];
            book.append(store, facts);
            book
        },
        |book, view| {
            book.check(view);
            assert!(view.unfinished().unwrap().is_empty());
            assert_eq!(view.row_by_number(1).unwrap().unwrap().last_event, 3);
        },
    );
}

fn note(number: u64, fact: NoteFact) -> Note {
    Note { number, at: Timestamp(number as i64 * SECOND), fact }
}

fn planned() -> NoteFact {
    let written = Written::new("* * * * *", "UTC", Dst::Once);
    NoteFact::Planned(written)
}

fn slot(at: i64, fate: Fate) -> NoteFact {
    NoteFact::Slots { first: Timestamp(at * SECOND), last: Timestamp(at * SECOND), fate }
}

#[test]
fn notes_of_schedules_are_kept_with_their_records() {
    let (nightly, other) = (ScheduleName::new("backup", "nightly"), ScheduleName::new("backup", "nightly-2"));
    each(
        |store| {
            let mut book = Book::default();
            // Notes alone are a commit, too.
            assert_eq!(store.commit(&[], &[(nightly.clone(), note(1, planned()))]).unwrap(), 1);
            let missed = slot(60, Fate::Missed(Miss::Late));
            let notes = [(nightly.clone(), note(2, missed)), (other.clone(), note(1, planned()))];
            assert_eq!(store.commit(&[], &notes).unwrap(), 2);
            // With the first event of the run that a slot started.
            let created = Event { number: 1, at: Timestamp(SECOND), fact: created(1, "backup", "") };
            let ran = note(3, slot(120, Fate::Ran { run: uid(1), number: 1 }));
            assert_eq!(store.commit(&[(uid(1), created)], &[(nightly.clone(), ran)]).unwrap(), 3);
            let why = "the tool is gone".to_owned();
            store.commit(&[], &[(nightly.clone(), note(4, slot(180, Fate::Failed { why })))]).unwrap();
            // Neither archiving nor pruning takes any away.
            book.append(store, vec![(uid(2), common::created(2, "other", ""))]);
            store
                .append(&[(uid(1), Event { number: 2, at: Timestamp(SECOND), fact: finished(Outcome::Failed) })])
                .unwrap();
            store.archive(100).unwrap();
            let all = Retention { max_age: Some(Span::ZERO), max_runs: Some(0) };
            assert_eq!(store.prune(&all, Timestamp(i64::MAX / 2)).unwrap().runs, [uid(1)]);
            book
        },
        |book, view| {
            book.check(view);
            let records = view.schedules().unwrap();
            assert_eq!(records.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&nightly, &other]);
            let record = &records[0].1;
            assert_eq!((record.last, record.through), (4, Timestamp(180 * SECOND)));
            assert_eq!(record.ran, Some((Timestamp(120 * SECOND), 1)));
            let numbers = |notes: Vec<Note>| notes.iter().map(|note| note.number).collect::<Vec<_>>();
            assert_eq!(numbers(view.notes(&nightly, None, 100).unwrap()), [4, 3, 2, 1]);
            assert_eq!(numbers(view.notes(&nightly, None, 2).unwrap()), [4, 3]);
            assert_eq!(numbers(view.notes(&nightly, Some(3), 100).unwrap()), [2, 1]);
            assert_eq!(numbers(view.notes(&other, None, 100).unwrap()), [1]);
            assert!(view.notes(&ScheduleName::new("backup", "nightl"), None, 9).unwrap().is_empty());
        },
    );
}

#[test]
fn what_is_kept_beside_the_runs_is_the_newest_of_its_name() {
    let stack = Stack {
        environment: None,
        source: "terraform".to_owned(),
        name: "net".to_owned(),
        workspace: "default".to_owned(),
    };
    let looks = |left_out| Kept::Drift(Change::Looks(stack.clone(), Looks { left_out, ..Looks::default() }));
    let differs = |address: &str, more| {
        let (address, action, mark) = (address.to_owned(), "update".to_owned(), String::new());
        let found = Found { address, action, attributes: Vec::new(), more, mark };
        let seen = Seen { run: uid(1), number: 1, at: Timestamp(SECOND) };
        Kept::Drift(Change::Differs(stack.clone(), Difference { found, first: seen, since: seen, accepted: None }))
    };
    each(
        |store| {
            let mut book = Book::default();
            let created = Event { number: 1, at: Timestamp(SECOND), fact: created(1, "look", "") };
            let first = [looks(1), differs("a", 0), differs("b", 0)];
            assert_eq!(store.write(&[(uid(1), created)], &[], &first).unwrap(), 1);
            // Alone it is a commit, too; nothing at all is none.
            let gone = Kept::Drift(Change::Gone(stack.clone(), "b".to_owned()));
            assert_eq!(store.write(&[], &[], &[looks(2), differs("a", 7), gone]).unwrap(), 2);
            assert_eq!(store.write(&[], &[], &[]).unwrap(), 2);
            // It goes neither with the commits nor with the runs.
            book.append(store, vec![(uid(2), common::created(2, "other", ""))]);
            let over = Event { number: 2, at: Timestamp(SECOND), fact: finished(Outcome::Failed) };
            store.append(&[(uid(1), over)]).unwrap();
            store.archive(100).unwrap();
            let all = Retention { max_age: Some(Span::ZERO), max_runs: Some(0) };
            assert_eq!(store.prune(&all, Timestamp(i64::MAX / 2)).unwrap().runs, [uid(1)]);
            book
        },
        |book, view| {
            book.check(view);
            let kept = view.kept().unwrap();
            assert_eq!(kept.len(), 2, "{kept:?}");
            assert!(kept.contains(&looks(2)) && kept.contains(&differs("a", 7)), "{kept:?}");
        },
    );
}

#[test]
fn notes_that_cannot_follow_are_refused_and_leave_no_trace() {
    let name = ScheduleName::new("backup", "nightly");
    each(
        |store| {
            let mut book = Book::default();
            store.commit(&[], &[(name.clone(), note(1, planned()))]).unwrap();
            let wrong = [
                vec![note(1, planned())],
                vec![note(3, planned())],
                vec![note(2, slot(1, Fate::Missed(Miss::Late)))],
                vec![note(2, slot(60, Fate::Missed(Miss::Late))), note(3, slot(60, Fate::Missed(Miss::Late)))],
                vec![note(2, NoteFact::Resumed { by: Principal::engine(), reason: String::new() })],
            ];
            for notes in wrong {
                let notes: Vec<_> = notes.into_iter().map(|note| (name.clone(), note)).collect();
                let created = Event { number: 1, at: Timestamp(SECOND), fact: created(1, "backup", "") };
                let error = store.commit(&[(uid(1), created)], &notes).unwrap_err();
                assert!(matches!(error, StoreError::RefusedNote { .. }), "{error} for {notes:?}");
            }
            book.append(store, vec![(uid(1), created(1, "backup", ""))]);
            book
        },
        |book, view| {
            book.check(view);
            assert_eq!(view.notes(&name, None, 9).unwrap().len(), 1);
        },
    );
}
