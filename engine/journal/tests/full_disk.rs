//! A full disk and a read-only one: a clear error, the store takes nothing more, and when there is room again
//! everything acknowledged is there. On a small file system of its own, so this wants to be root.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Book, created, ended, ready, uid};
use runbook_journal::limits::{BALLAST_BYTES, ROOM_BYTES};
use runbook_journal::{OpenError, Options, Store as _, StoreError, View as _};

/// Room for the reserve, the journal and some growth, in MiB.
const MIB: u64 = 64;

/// One test at a time: a program that another thread starts holds the lock of a journal for a moment, until its exec.
static ALONE: Mutex<()> = Mutex::new(());

struct Tmpfs {
    dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Tmpfs {
    /// Mounts one; `None` where that is not allowed.
    fn mount() -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let mounted = Self::call("mount", &["-t", "tmpfs", "-o", &format!("size={MIB}m"), "tmpfs"], dir.path());
        if !mounted {
            // Past the harness, which keeps the output of tests that pass: one that did nothing must not look like one.
            let text = b"skipped: this test mounts a tmpfs, which this user may not\n";
            std::io::Write::write_all(&mut std::io::stderr(), text).unwrap();
            return None;
        }
        Some(Self { dir, _alone: alone })
    }

    fn call(program: &str, args: &[&str], path: &Path) -> bool {
        let output = Command::new(program).args(args).arg(path).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        assert!(Self::call("mount", &["-o", options], self.dir.path()));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Self::call("umount", &["-l"], self.dir.path());
    }
}

/// Fills the disk with a file.
fn fill(path: &Path) {
    let mut bytes = fs::File::create(path).unwrap();
    let chunk = vec![1; 64 << 10];
    while std::io::Write::write_all(&mut bytes, &chunk).is_ok() {}
}

#[test]
fn a_full_disk_costs_nothing_that_was_acknowledged() {
    let Some(disk) = Tmpfs::mount() else { return };
    let data = disk.dir.path().join("data");
    let (mut journal, report) = runbook_journal::open(&data, Options::default()).unwrap();
    assert!(report.ballast);
    assert!(journal.room().unwrap() > ROOM_BYTES);
    let mut book = Book::default();
    book.append(&mut journal, vec![(uid(1), created(1, "a", ""))]);
    for step in 0..20 {
        book.append(&mut journal, vec![(uid(1), ready(step))]);
    }
    let big = disk.dir.path().join("big");
    fill(&big);
    assert!(journal.room().unwrap() < ROOM_BYTES);

    // Until it no longer fits into what the storage engine has allocated.
    let error = loop {
        let mut tried = book.clone();
        let batch = [tried.next(uid(1), ended(1, 1, 500_000))];
        match journal.append(&batch) {
            Ok(_) => book = tried,
            Err(error) => break error,
        }
        assert!(book.runs[&uid(1)].len() < 1_000, "the disk never became full");
    };
    let text = error.to_string();
    assert!(matches!(error, StoreError::NotDurable { .. }), "{text}");
    for word in [data.to_str().unwrap(), "No space left", "must stop", "Make room"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    // Nothing is taken any more, even when there is room: what is durable is not known.
    assert!(journal.free_ballast().unwrap());
    let mut tried = book.clone();
    let batch = [tried.next(uid(1), ready(99))];
    assert!(matches!(journal.append(&batch), Err(StoreError::Stopped(_))));
    assert!(matches!(journal.mark(), Err(StoreError::Stopped(_))));
    assert!(matches!(journal.archive(10), Err(StoreError::Stopped(_))));
    // What can still be read is right. The storage engine may refuse to read, too, once it could not write.
    match journal.reader().events(uid(1), 0, 1_000) {
        Ok(events) => assert!(events[..] == book.runs[&uid(1)][..], "an acknowledged event is another one"),
        Err(error) => assert!(error.to_string().contains("No space left"), "{error}"),
    }
    drop(journal);

    // The reserve, which opening gives up where it must, is enough to start again.
    let check = |book: &Book| {
        let (mut journal, report) = runbook_journal::open(&data, Options::default()).unwrap();
        let reader = journal.reader();
        let known = book.runs[&uid(1)].len();
        let found = common::in_pages(&reader, uid(1), 100);
        // The commit that failed may be there; it was never acknowledged.
        assert!(found.len() == known || found.len() == known + 1, "{} of {known}", found.len());
        assert!(found[..known] == book.runs[&uid(1)][..], "an acknowledged event is another one");
        let mut book = Book { runs: [(uid(1), found)].into() };
        book.append(&mut journal, vec![(uid(1), ready(7))]);
        drop(reader);
        journal.close().unwrap();
        (book, report)
    };
    let (book, report) = check(&book);
    assert!(!report.ballast, "there is no room for a reserve");
    fs::remove_file(&big).unwrap();
    let (_, report) = check(&book);
    assert!(report.ballast);
}

#[test]
fn opening_gives_the_reserve_up_on_a_full_disk() {
    let Some(disk) = Tmpfs::mount() else { return };
    let data = disk.dir.path().join("data");
    let mut book = Book::default();
    let (mut journal, _) = runbook_journal::open(&data, Options::default()).unwrap();
    book.append(&mut journal, vec![(uid(1), created(1, "a", ""))]);
    drop(journal);
    fill(&disk.dir.path().join("big"));
    let (journal, report) = runbook_journal::open(&data, Options::default()).unwrap();
    assert!(!report.ballast);
    assert!(journal.room().unwrap() > BALLAST_BYTES / 2);
    book.check(&journal.reader());
}

#[test]
fn no_room_for_a_new_directory_is_a_clear_error_and_no_harm() {
    let Some(disk) = Tmpfs::mount() else { return };
    let (data, big) = (disk.dir.path().join("data"), disk.dir.path().join("big"));
    fill(&big);
    let error = runbook_journal::open(&data, Options::default()).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("No space left") && text.contains(data.to_str().unwrap()), "{text}");
    fs::remove_file(&big).unwrap();
    assert!(runbook_journal::open(&data, Options::default()).unwrap().1.ballast);
}

#[test]
fn a_read_only_disk_is_a_clear_error_and_no_harm() {
    let Some(disk) = Tmpfs::mount() else { return };
    let data = disk.dir.path().join("data");
    let mut book = Book::default();
    let (mut journal, _) = runbook_journal::open(&data, Options::default()).unwrap();
    book.append(&mut journal, vec![(uid(1), created(1, "a", ""))]);
    journal.close().unwrap();
    disk.read_only(true);
    let error = runbook_journal::open(&data, Options::default()).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::File(_)), "{text}");
    for word in [data.to_str().unwrap(), "Read-only file system", "writable"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    disk.read_only(false);
    book.check(&runbook_journal::open(&data, Options::default()).unwrap().0.reader());
}
