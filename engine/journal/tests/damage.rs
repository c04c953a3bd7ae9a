//! What is damaged, missing, newer or held by somebody else is refused with a message that says what to do; what
//! a crash may leave is not.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Book, SECOND, created, ended, finished, ready, uid};
use runbook_core::run::Outcome;
use runbook_core::time::Timestamp;
use runbook_journal::limits::{MARK_COMMITS, SEGMENT_BYTES};
use runbook_journal::{Journal, OpenError, Options, Report, Retention, Store as _, StoreError, View as _, directory};

struct Data {
    dir: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn journal(&self) -> PathBuf {
        self.path().join("journal")
    }

    fn events(&self, run: u64) -> PathBuf {
        self.path().join("runs").join(uid(run).to_string()).join("events")
    }

    fn open(&self) -> Result<(Journal, Report), OpenError> {
        runbook_journal::open(&self.path(), Options::default())
    }

    fn open_with_loss(&self) -> (Journal, Report) {
        runbook_journal::open(&self.path(), Options { accept_loss: true }).unwrap()
    }

    /// Opens and must be refused, with a message that has these words and says what to do.
    fn refused(&self, words: &[&str]) -> OpenError {
        let error = self.open().map(|_| ()).unwrap_err();
        let text = error.to_string();
        for word in words.iter().chain(&[self.path().to_str().unwrap()]) {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        let advice = ["Restore", "Stop that one", "Start the newer", "restore", "Make room"];
        assert!(advice.iter().any(|it| text.contains(it)), "no advice in: {text}");
        error
    }

    /// Changes the storage engine's content behind the journal's back.
    fn edit(&self, change: impl FnOnce(&sled::Db)) {
        let config = sled::Config::new().path(self.journal()).segment_size(SEGMENT_BYTES);
        // Its threads may hold its lock for a moment after it was dropped.
        let db = loop {
            match config.open() {
                Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                    std::thread::yield_now();
                }
                other => break other.unwrap(),
            }
        };
        change(&db);
        db.flush().unwrap();
    }
}

fn key(commit: u64, chunk: u16) -> Vec<u8> {
    [&b"j"[..], &commit.to_be_bytes(), &chunk.to_be_bytes()].concat()
}

/// Two runs, ten commits, the sixth with several chunks; closed in order.
fn ten_commits(data: &Data) -> Book {
    let (mut journal, report) = data.open().unwrap();
    assert!(report.created);
    let mut book = Book::default();
    let facts = vec![(uid(1), created(1, "a", "")), (uid(2), created(2, "b", ""))];
    book.append(&mut journal, facts);
    for step in 2..=10 {
        let fact = if step == 6 { ended(step, 1, 200_000) } else { ready(step) };
        book.append(&mut journal, vec![(uid(u64::from(step) % 2 + 1), fact)]);
    }
    journal.close().unwrap();
    book
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn put_back(saved: &Path, place: &Path) {
    fs::remove_dir_all(place).unwrap();
    copy(saved, place);
}

#[test]
fn a_second_opener_is_told_who_was_first() {
    let data = Data::new();
    let (first, _) = data.open().unwrap();
    let error = data.refused(&["in use by process", &std::process::id().to_string()]);
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    drop(first);
    data.open().unwrap();
}

#[test]
fn formats_are_told_apart() {
    let data = Data::new();
    ten_commits(&data);
    let format = data.path().join("format");
    let text = fs::read_to_string(&format).unwrap();
    assert_eq!(text, "runbook data directory, format 1\n");
    fs::write(&format, text.replace('1', "2")).unwrap();
    let error = data.refused(&["format 2", "up to 1"]);
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }));
    for other in ["", "runbook data directory, format 0\n", "something else"] {
        fs::write(&format, other).unwrap();
        assert!(matches!(data.refused(&["another"]), OpenError::NoFormat { .. }), "{other}");
    }
    fs::write(&format, b"\xff\xfe").unwrap();
    data.refused(&["no text"]);
    fs::remove_file(&format).unwrap();
    data.refused(&["missing", "format 1"]);
    fs::write(&format, text).unwrap();
    data.open().unwrap();
}

#[test]
fn a_journal_that_is_gone_is_noticed() {
    let data = Data::new();
    ten_commits(&data);
    fs::remove_dir_all(data.journal()).unwrap();
    let error = data.refused(&["missing", "10 commits"]);
    assert!(matches!(error, OpenError::JournalMissing { mark: 10, .. }));
}

#[test]
fn a_directory_that_was_half_made_is_made() {
    let data = Data::new();
    fs::create_dir_all(data.path().join("journal.new")).unwrap();
    fs::write(data.path().join("journal.new/conf"), b"segm").unwrap();
    fs::write(data.path().join("format.new"), b"runb").unwrap();
    ten_commits(&data).check(&data.open().unwrap().0.reader());
}

#[test]
fn a_damaged_commit_is_named() {
    let data = Data::new();
    let book = ten_commits(&data);
    let change = |commit, chunk, change: &dyn Fn(&mut Vec<u8>)| {
        data.edit(|db| {
            let mut value = db.get(key(commit, chunk)).unwrap().unwrap().to_vec();
            change(&mut value);
            db.insert(key(commit, chunk), value).unwrap();
        });
    };
    for (commit, chunk) in [(4, 0), (6, 0), (6, 2), (10, 0)] {
        change(commit, chunk, &|value| *value.last_mut().unwrap() ^= 1);
        let error = data.refused(&[&format!("commit {commit} "), "checksum", "--accept-lost-events"]);
        assert!(matches!(error, OpenError::Damaged { commit: at, .. } if at == commit));
        change(commit, chunk, &|value| *value.last_mut().unwrap() ^= 1);
    }
    change(3, 0, &|value| value.truncate(5));
    data.refused(&["commit 3 ", "only 5 bytes"]);
    // Put right, all is well again.
    let (mut journal, _) = {
        change(3, 0, &|_| {});
        data.edit(|db| {
            db.remove(key(3, 0)).unwrap();
        });
        data.refused(&["commit 3 ", "missing between others"]);
        data.open_with_loss()
    };
    // The loss is one run's: the other one goes on, and so does the journal.
    let reader = journal.reader();
    assert_eq!(reader.events(uid(1), 0, 100).unwrap(), book.runs[&uid(1)]);
    let error = reader.events(uid(2), 0, 100).unwrap_err();
    assert!(matches!(error, StoreError::EventsMissing { missing: 2, .. }), "{error}");
    let mut met = Vec::new();
    reader.each_unfinished(&mut |run, events| met.push((run, events.is_ok()))).unwrap();
    assert_eq!(met, [(uid(1), true), (uid(2), false)]);
    let mut book = book;
    assert_eq!(book.append(&mut journal, vec![(uid(1), ready(99))]), 11);
    drop((journal, reader));
    let (mut journal, report) = data.open().unwrap();
    assert_eq!((report.lost, report.last_commit), (vec![], 11));
    // Archiving goes on as well, and makes the run with the gap no whole one.
    for _ in 0..4 {
        assert_eq!(journal.reader().events(uid(1), 0, 100).unwrap(), book.runs[&uid(1)]);
        let error = journal.reader().events(uid(2), 0, 100).unwrap_err();
        assert!(matches!(error, StoreError::EventsMissing { missing: 2, .. }), "{error}");
        assert_eq!(journal.reader().events(uid(2), 0, 1).unwrap(), book.runs[&uid(2)][..1]);
        journal.archive(3).unwrap();
    }
    assert_eq!(journal.reader().tail().commits, 1);
    drop(journal);
    let (journal, _) = data.open().unwrap();
    assert_eq!(journal.reader().events(uid(1), 0, 100).unwrap(), book.runs[&uid(1)]);
}

#[test]
fn a_missing_chunk_is_noticed() {
    for chunk in [0, 1, 3] {
        let data = Data::new();
        ten_commits(&data);
        data.edit(|db| {
            assert!(db.remove(key(6, chunk)).unwrap().is_some());
        });
        data.refused(&["commit 6 ", &format!("chunk {chunk} is missing")]);
        let (_, report) = data.open_with_loss();
        assert_eq!(report.lost, [(6, 6)]);
    }
}

#[test]
fn a_record_of_a_newer_program_is_named() {
    let data = Data::new();
    ten_commits(&data);
    data.edit(|db| {
        let key = key(7, 0);
        let mut value = db.get(&key).unwrap().unwrap().to_vec();
        value[1] = 2;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&key);
        hasher.update(&value[..4]);
        hasher.update(&value[8..]);
        value[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        db.insert(key, value).unwrap();
    });
    let error = data.refused(&["commit 7 ", "version 2", "up to 1"]);
    assert!(matches!(error, OpenError::NewerRecord { commit: 7, found: 2, known: 1, .. }));
    // No word makes it readable.
    let error = runbook_journal::open(&data.path(), Options { accept_loss: true }).map(|_| ());
    assert!(matches!(error, Err(OpenError::NewerRecord { .. })));
}

#[test]
fn a_journal_that_ends_before_the_mark_is_refused() {
    let data = Data::new();
    let book = ten_commits(&data);
    data.edit(|db| {
        for commit in [9, 10] {
            db.remove(key(commit, 0)).unwrap();
        }
    });
    let error = data.refused(&["ends at commit 8", "commit 10 was acknowledged", "last 2 commits"]);
    assert!(matches!(error, OpenError::Short { last: 8, mark: 10, .. }));
    let (mut journal, report) = data.open_with_loss();
    assert_eq!((report.lost, report.last_commit), (vec![(9, 10)], 10));
    // A lost number is not given again: whoever saw it must not see another commit by that name.
    let next = (uid(3), created(3, "c", ""));
    assert_eq!(Book::default().append(&mut journal, vec![next]), 11);
    let kept = journal.reader().events(uid(1), 0, 100).unwrap();
    assert_eq!(kept, book.runs[&uid(1)][..kept.len()]);
    drop(journal);
    assert_eq!(data.open().unwrap().1.commits, 10);
    // And the note of the loss is archived as any commit.
    let (mut journal, _) = data.open().unwrap();
    assert_eq!(journal.archive(100).unwrap().commits, 9);
    assert_eq!(journal.reader().last_commit(), 11);
}

#[test]
fn a_terminal_run_whose_end_is_lost_is_no_shorter_one() {
    let data = Data::new();
    ten_commits(&data);
    let (mut journal, _) = data.open().unwrap();
    let end = runbook_core::run::Event { number: 7, at: Timestamp(9 * SECOND), fact: finished(Outcome::Failed) };
    journal.append(&[(uid(1), end)]).unwrap();
    drop(journal);
    // The row is there, the events are not.
    data.edit(|db| {
        db.remove(key(11, 0)).unwrap();
    });
    let (journal, _) = data.open().unwrap();
    let error = journal.reader().events(uid(1), 0, 100).unwrap_err();
    assert!(matches!(error, StoreError::EventsMissing { missing: 7, .. }), "{error}");
}

#[test]
fn a_run_whose_beginning_is_lost_is_no_empty_one() {
    let data = Data::new();
    ten_commits(&data);
    data.edit(|db| {
        db.insert(key(1, 0), b"damaged").unwrap();
    });
    let (journal, report) = data.open_with_loss();
    assert_eq!(report.lost, [(1, 1)]);
    let missing = |error| matches!(error, StoreError::EventsMissing { missing: 1, .. });
    let reader = journal.reader();
    assert!(missing(reader.events(uid(1), 0, 100).unwrap_err()));
    let mut met = 0;
    reader
        .each_unfinished(&mut |_, events| {
            assert!(missing(events.unwrap_err()));
            met += 1;
        })
        .unwrap();
    assert_eq!(met, 2);
}

#[test]
fn an_empty_journal_before_the_mark_is_refused() {
    let data = Data::new();
    ten_commits(&data);
    data.edit(|db| db.clear().unwrap());
    let error = data.refused(&["ends at commit 0"]);
    assert!(matches!(error, OpenError::Short { last: 0, mark: 10, .. }));
    let (mut journal, report) = data.open_with_loss();
    assert_eq!(report.lost, [(1, 10)]);
    assert_eq!(Book::default().append(&mut journal, vec![(uid(1), created(1, "a", ""))]), 11);
}

#[test]
fn the_mark_follows_by_itself_and_on_demand() {
    let data = Data::new();
    let (mut journal, _) = data.open().unwrap();
    let mut book = Book::default();
    book.append(&mut journal, vec![(uid(1), created(1, "a", ""))]);
    for step in 0..MARK_COMMITS + 5 {
        book.append(&mut journal, vec![(uid(1), ready(step as u32))]);
    }
    drop(journal);
    let saved = data.dir.path().join("saved");
    copy(&data.path(), &saved);
    let last = MARK_COMMITS + 6;
    let cut = |from| {
        data.edit(|db| {
            for commit in from..=last {
                db.remove(key(commit, 0)).unwrap();
            }
        });
    };
    // Behind the mark a loss cannot be told from the end.
    cut(MARK_COMMITS + 1);
    data.open().unwrap();
    cut(MARK_COMMITS);
    data.refused(&[&format!("commit {MARK_COMMITS} was acknowledged")]);
    put_back(&saved, &data.path());
    data.open().unwrap().0.mark().unwrap();
    cut(last);
    data.refused(&[&format!("commit {last} was acknowledged")]);
}

#[test]
fn files_of_the_engine_that_nobody_syncs_are_refused() {
    let data = Data::new();
    ten_commits(&data);
    assert_eq!(fs::read_dir(data.journal().join("blobs")).unwrap().count(), 0);
    fs::write(data.journal().join("blobs/17"), b"x").unwrap();
    assert!(matches!(data.refused(&["blobs should be empty"]), OpenError::Engine { .. }));
}

#[test]
fn a_file_of_events_is_checked_up_to_its_end() {
    let data = Data::new();
    let book = ten_commits(&data);
    let (mut journal, _) = data.open().unwrap();
    assert_eq!(journal.archive(5).unwrap().runs, 2);
    assert_eq!(journal.archive(2).unwrap().runs, 2);
    drop(journal);
    let path = data.events(1);
    let good = fs::read(&path).unwrap();
    let check = |words: &str| {
        let (journal, _) = data.open().unwrap();
        let error = journal.reader().events(uid(1), 0, 100).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
        // The events above are read all the same, and so is the other run.
        assert_eq!(journal.reader().events(uid(1), 5, 1).unwrap(), book.runs[&uid(1)][5..6]);
        assert_eq!(journal.reader().events(uid(2), 0, 100).unwrap(), book.runs[&uid(2)]);
    };
    for at in [0, 17, 25, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, &bad).unwrap();
        check("checksum");
    }
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    check("should have");
    fs::remove_file(&path).unwrap();
    check("No such file");
    // What lies behind the end was never part of it.
    fs::write(&path, [&good[..], &good[..], b"torn"].concat()).unwrap();
    let (mut journal, _) = data.open().unwrap();
    book.check(&journal.reader());
    journal.archive(100).unwrap();
    book.check(&journal.reader());
    drop(journal);
    book.check(&data.open().unwrap().0.reader());
}

/// A crash between the sync of the files and the end of the tail's cut, and in the middle of each write.
#[test]
fn a_crash_while_archiving_loses_nothing() {
    let data = Data::new();
    let mut book = ten_commits(&data);
    let (mut journal, _) = data.open().unwrap();
    journal.archive(3).unwrap();
    journal.close().unwrap();
    let (path, saved) = (data.events(1), data.dir.path().join("saved"));
    let before = fs::metadata(&path).unwrap().len();
    copy(&data.journal(), &saved);
    let (mut journal, _) = data.open().unwrap();
    journal.archive(4).unwrap();
    journal.close().unwrap();
    let after = fs::read(&path).unwrap();
    assert!(after.len() as u64 > before);
    let end = after.len() as u64;
    // Around every border of what is written, and some between.
    let lengths = (before..before + 30).chain((before..end).step_by(20_011)).chain(end - 9..=end);
    for length in lengths {
        put_back(&saved, &data.journal());
        let mut bytes = after[..usize::try_from(length).unwrap()].to_vec();
        if length % 2 == 0 {
            // The length is durable before the content is.
            bytes[usize::try_from(before).unwrap()..].fill(0);
        }
        fs::write(&path, bytes).unwrap();
        let (mut journal, report) = data.open().unwrap();
        assert_eq!(report.commits, 7);
        book.check(&journal.reader());
        journal.archive(4).unwrap();
        book.check(&journal.reader());
        assert!(fs::read(&path).unwrap() == after, "the file is another one after {length} bytes");
    }
    let (mut journal, _) = data.open().unwrap();
    book.append(&mut journal, vec![(uid(1), finished(Outcome::Failed))]);
    journal.archive(100).unwrap();
    book.check(&journal.reader());
}

/// A crash between the removal of the row and that of the folder.
#[test]
fn a_crash_while_pruning_is_finished_at_the_next_start() {
    let data = Data::new();
    ten_commits(&data);
    let (mut journal, _) = data.open().unwrap();
    let end = |number| runbook_core::run::Event { number, at: Timestamp(9 * SECOND), fact: finished(Outcome::Failed) };
    journal.append(&[(uid(1), end(7))]).unwrap();
    journal.archive(5).unwrap();
    let folder = data.events(1).parent().unwrap().to_owned();
    fs::create_dir(folder.join("artifacts")).unwrap();
    fs::write(folder.join("artifacts/a"), b"x").unwrap();
    let saved = data.dir.path().join("saved");
    copy(&folder, &saved);
    let all = Retention { max_age: None, max_runs: Some(0) };
    assert_eq!(journal.prune(&all, Timestamp(0)).unwrap().runs, [uid(1)]);
    assert!(!folder.exists());
    journal.archive(100).unwrap();
    assert!(!folder.exists(), "a removed run's events came back");
    journal.close().unwrap();
    assert_eq!(directory::empty_trash(&data.path()).unwrap(), 1);
    assert_eq!(directory::empty_trash(&data.path()).unwrap(), 0);
    // The note of the removal is there, and the folder too.
    copy(&saved, &folder);
    data.edit(|db| {
        db.insert([&b"x"[..], &uid(1).bits().to_be_bytes()].concat(), vec![]).unwrap();
    });
    let (journal, report) = data.open().unwrap();
    assert_eq!(report.swept, 1);
    assert!(!folder.exists());
    journal.close().unwrap();
    assert_eq!(directory::empty_trash(&data.path()).unwrap(), 1);
    assert_eq!(data.open().unwrap().1.swept, 0);
}
