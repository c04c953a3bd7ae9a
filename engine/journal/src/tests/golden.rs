//! The bytes of every released format, read for ever; and what is written today is the current one, byte by byte.
//!
//! `RUNBOOK_WRITE_GOLDEN=1 cargo test -p runbook-journal golden` writes files that are not there, for a new kind
//! of event. A file that is there is never written again: if one does not match, the format has changed, and
//! that needs a new number.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use prost::Message as _;
use runbook_core::drift::{Acceptance, Change, Difference, Found, Looks, Seen, Stack};
use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::preflight::{Checked, Missing, Place};
use runbook_core::readiness::Verdict;
use runbook_core::run::Principal;
use runbook_core::schedule::{Dst, Fate, Miss, Note, NoteFact, Pause, Record, ScheduleName, Skip, Written};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::{self, Stood};

use super::facts;
use crate::cold::{self, End, Stretch};
use crate::row::RunRow;
use crate::shared::Assembly;
use crate::{frame, from_disk, keys, record, to_disk};

const UID: RunUid = RunUid::from_bits(0x0199_0000_0000_7000_8000_0000_0000_0001);
const COMMIT: u64 = 5;
/// So many of the known events are in the golden file `run.events`, the first ones.
const IN_RUN_EVENTS: usize = 37;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(frame::FORMAT.to_string())
}

/// Compares bytes with a golden file.
fn check(name: &str, written: &[u8]) -> Vec<u8> {
    let path = directory().join(name);
    if !path.exists() && std::env::var_os("RUNBOOK_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(directory()).unwrap();
        fs::write(&path, written).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(written, golden, "{name} is written in another way than before");
    golden
}

#[test]
fn every_event_is_written_and_read_as_ever() {
    for (name, event) in facts::all() {
        let key = keys::commit(COMMIT, 0);
        let payload = record::commit(&[(UID, event.clone())], &[], &[]).unwrap();
        let golden = check(&format!("{name}.record"), &frame::seal(&key, frame::MIN_READER, true, &payload));
        let commit = Assembly::default().take(COMMIT, 0, &golden).unwrap().unwrap();
        let mut read = Vec::new();
        record::walk::<from_disk::Undecodable>(&commit.payload, |item| {
            if let record::Item::Event(uid, raw) = item {
                read.push((uid, raw.decode()?));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(read, [(UID, event)], "{name}");
    }
}

#[test]
fn every_kind_of_event_has_a_golden_file() {
    let kinds: BTreeSet<&str> = facts::all().iter().map(|(_, event)| facts::kind(&event.fact)).collect();
    assert_eq!(kinds.len(), 33, "{kinds:?}");
    for (name, event) in facts::all() {
        assert!(name.starts_with(facts::kind(&event.fact)), "{name}");
    }
    let files = fs::read_dir(directory()).unwrap().count();
    assert_eq!(files, facts::all().len() + notes().len() + kept().len() + 7, "a golden file that no test reads");
}

fn row() -> RunRow {
    let facts = facts::all();
    let (_, created) = &facts[0];
    let runbook_core::run::Fact::Created(fact) = &created.fact else { panic!("not created") };
    RunRow::of(UID, created.at, fact)
}

#[test]
fn rows_are_written_and_read_as_ever() {
    let mut row = row();
    for (name, take_in) in [("row-open", None), ("row-finished", Some("finished-failed"))] {
        if let Some(event) = take_in {
            let event = facts::all().into_iter().find(|(name, _)| *name == event).unwrap().1;
            assert!(row.take_in(&event));
        }
        let key = keys::row(row.number);
        let bytes = to_disk::row(&row).encode_to_vec();
        let golden = check(name, &frame::seal(&key, frame::MIN_READER, true, &bytes));
        let frame = frame::open(&key, &golden).unwrap();
        assert_eq!(from_disk::row(frame.payload).unwrap(), row, "{name}");
    }
}

#[test]
fn a_loss_is_written_and_read_as_ever() {
    let key = keys::commit(COMMIT, 0);
    let sealed = frame::seal(&key, frame::MIN_READER, true, &record::lost(3));
    let golden = check("lost.record", &sealed);
    let commit = Assembly::default().take(COMMIT, 0, &golden).unwrap().unwrap();
    let mut items = 0;
    record::walk::<from_disk::Undecodable>(&commit.payload, |item| {
        assert_eq!(item, record::Item::LostFrom(3));
        items += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(items, 1);
}

#[test]
fn a_file_of_events_is_written_and_read_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let mut end = End::default();
    let events: Vec<_> = facts::all()
        .into_iter()
        .take(IN_RUN_EVENTS)
        .enumerate()
        .map(|(index, (_, event))| runbook_core::run::Event { number: index as u64 + 1, ..event })
        .collect();
    for part in events.chunks(20) {
        let stretch = Stretch {
            first: part[0].number,
            events: part.iter().map(|event| to_disk::event(event).unwrap().encode_to_vec()).collect(),
            missing: 0,
            min_reader: frame::MIN_READER,
        };
        end = cold::append(&path, UID, end, &stretch).unwrap();
    }
    let golden = check("run.events", &fs::read(&path).unwrap());
    assert_eq!(end, End { bytes: golden.len() as u64, last: events.len() as u64, missing: 0 });
    assert_eq!(End::from_bytes(&end.to_bytes()), Some(end));
    for after in [0, 7, 19, 20, 30, 37] {
        let mut read = Vec::new();
        cold::read(&directory().join("run.events"), UID, end, after, |raw| {
            read.push(raw.decode()?);
            Ok(cold::Next::More)
        })
        .unwrap();
        assert_eq!(read, events[usize::try_from(after).unwrap()..]);
    }
}

/// Something of every kind that is kept beside runs and schedules.
fn kept() -> Vec<(&'static str, Kept)> {
    let at = |minute: i64| Timestamp(1_763_695_200_000_000 + minute * 60_000_000);
    let seen = |minute| Seen { run: UID, number: 142, at: at(minute) };
    let stack = || Stack {
        environment: Some("prod".to_owned()),
        source: "terraform".to_owned(),
        name: "infrastructure/network".to_owned(),
        workspace: "default".to_owned(),
    };
    let found = Found {
        address: "terraform_data.site[\"a\"]".to_owned(),
        action: "update".to_owned(),
        attributes: vec!["input".to_owned(), "tags".to_owned()],
        more: 3,
        mark: String::new(),
    };
    let marked = Found { mark: "5bdcc146bf60754e".to_owned(), ..found.clone() };
    let accepted = Acceptance {
        until: at(90),
        reason: "resized by hand".to_owned(),
        by: Principal { name: "ada".to_owned(), uid: Some(1_000) },
        at: at(45),
    };
    let difference = |accepted| Difference { found: found.clone(), first: seen(0), since: seen(30), accepted };
    let failed = Some((seen(60), "no credentials".to_owned()));
    let changes = [
        ("kept-drift-looks", Change::Looks(stack(), Looks { last: Some(seen(30)), left_out: 5, failed: None })),
        (
            "kept-drift-failed",
            Change::Looks(Stack { environment: None, ..stack() }, Looks { failed, ..Looks::default() }),
        ),
        (
            "kept-drift-marked",
            Change::Differs(stack(), Difference { found: marked, first: seen(0), since: seen(30), accepted: None }),
        ),
        ("kept-drift-differs", Change::Differs(stack(), difference(None))),
        ("kept-drift-accepted", Change::Differs(stack(), difference(Some(accepted)))),
        ("kept-drift-gone", Change::Gone(stack(), found.address.clone())),
        ("kept-drift-forgotten", Change::Forgotten(stack())),
    ];
    let place = Place { runbook: "dr-restore".to_owned(), environment: Some("prod".to_owned()) };
    let missing = Missing { subject: "requires.tools.age".to_owned(), problem: "install it".to_owned() };
    let checked = Checked { place: place.clone(), at: at(60), since: Some(at(0)), missing: vec![missing], left_out: 2 };
    let drift = changes.map(|(name, change)| (name, Kept::Drift(change)));
    let preflight = [("kept-preflight", Kept::Preflight(checked)), ("kept-preflight-gone", Kept::NoPreflight(place))];
    let target = || (Some("prod".to_owned()), "db/orders".to_owned());
    let why = vec!["there is no backup".to_owned()];
    let stood = verdicts::Change::Stood(target(), at(15), Stood { verdict: Some(Verdict::Broken), reasons: why });
    let verdict = [
        ("kept-verdict", stood),
        (
            "kept-verdict-unwanted",
            verdicts::Change::Stood(target(), at(20), Stood { verdict: None, reasons: Vec::new() }),
        ),
        ("kept-verdict-gone", verdicts::Change::Forgotten(target(), at(15))),
    ];
    let verdict = verdict.map(|(name, change)| (name, Kept::Verdict(change)));
    drift.into_iter().chain(preflight).chain(verdict).collect()
}

#[test]
fn what_is_kept_is_written_and_read_as_ever() {
    let mut keys = BTreeSet::new();
    for (name, it) in kept() {
        let key = keys::kept(&crate::kept::name(&it));
        let bytes = crate::kept::to(&it).encode_to_vec();
        let golden = check(name, &frame::seal(&key, frame::MIN_READER, true, &bytes));
        assert_eq!(crate::kept::from(frame::open(&key, &golden).unwrap().payload).unwrap(), it, "{name}");
        keys.insert(key);
    }
    // What is gone has the name of what it was.
    assert_eq!(keys.len(), 6);
}

/// A note of every kind and every fate.
fn notes() -> Vec<(&'static str, NoteFact)> {
    let at = |minute: i64| Timestamp(1_763_695_200_000_000 + minute * 60_000_000);
    let by = || Principal { name: "ada".to_owned(), uid: Some(1_000) };
    let slot = |fate| NoteFact::Slots { first: at(30), last: at(30), fate };
    let slots = |fate| NoteFact::Slots { first: at(30), last: at(90), fate };
    let written = |dst| {
        let (cron, timezone) = ("30 2 * * mon-fri".to_owned(), "Europe/Amsterdam".to_owned());
        NoteFact::Planned(Written::new(cron, timezone, dst))
    };
    let state = "attention".to_owned();
    let why = "tool pg_dump is missing".to_owned();
    vec![
        ("note-planned-cron", written(Dst::Cron)),
        ("note-planned-once", written(Dst::Once)),
        ("note-planned-real-time", written(Dst::RealTime)),
        ("note-planned-skip", written(Dst::Skip)),
        ("note-planned-twice", written(Dst::Twice)),
        ("note-removed", NoteFact::Removed),
        ("note-ran", slot(Fate::Ran { run: UID, number: 142 })),
        ("note-skipped-frozen", slot(Fate::Skipped(Skip::Frozen { why: "until then".to_owned() }))),
        ("note-skipped-hours", slot(Fate::Skipped(Skip::Hours { why: "mon-fri only".to_owned() }))),
        ("note-skipped-paused", slots(Fate::Skipped(Skip::Paused))),
        ("note-skipped-overlap", slot(Fate::Skipped(Skip::Overlap { number: 142, state }))),
        ("note-merged", slots(Fate::Merged { into: at(150) })),
        ("note-waited", slot(Fate::Waited { run: UID, number: 142 })),
        ("note-missed-late", slots(Fate::Missed(Miss::Late))),
        ("note-missed-window", slots(Fate::Missed(Miss::Window))),
        ("note-missed-most", slots(Fate::Missed(Miss::Most))),
        ("note-missed-removed", slots(Fate::Missed(Miss::Removed))),
        ("note-failed", slot(Fate::Failed { why })),
        ("note-succeeded", NoteFact::Succeeded { run: UID, number: 142 }),
        ("note-caught-up", NoteFact::CaughtUp { slot: at(30), run: UID, number: 143 }),
        ("note-paused", NoteFact::Paused(Pause { by: by(), reason: "disk swap".to_owned() })),
        ("note-resumed", NoteFact::Resumed { by: by(), reason: "the disk is back".to_owned() }),
    ]
}

#[test]
fn notes_are_written_and_read_as_ever() {
    let schedule = ScheduleName::new("backup", "nightly");
    for (name, fact) in notes() {
        let note = Note { number: 7, at: Timestamp(1_763_695_264_123_456), fact };
        let key = keys::note(&schedule, note.number);
        let bytes = to_disk::note(&schedule, &note).encode_to_vec();
        let golden = check(name, &frame::seal(&key, frame::MIN_READER, true, &bytes));
        let frame = frame::open(&key, &golden).unwrap();
        assert_eq!(from_disk::note(frame.payload).unwrap(), (schedule.clone(), note), "{name}");
    }
}

#[test]
fn records_of_schedules_are_written_and_read_as_ever() {
    let schedule = ScheduleName::new("backup", "nightly");
    let mut record = Record::default();
    let facts = ["note-planned-cron", "note-ran", "note-succeeded", "note-paused"];
    for (number, wanted) in (1..).zip(facts) {
        let fact = notes().into_iter().find(|(name, _)| *name == wanted).unwrap().1;
        record.apply(&Note { number, at: Timestamp(1_763_695_200_000_000), fact }).unwrap();
    }
    let key = keys::schedule(&schedule);
    let bytes = to_disk::record(&record).encode_to_vec();
    let golden = check("schedule-record-stretches", &frame::seal(&key, frame::MIN_READER, true, &bytes));
    assert_eq!(from_disk::record(frame::open(&key, &golden).unwrap().payload).unwrap(), record);
    // One of before it was known which slots ran.
    let golden = fs::read(directory().join("schedule-record-succeeded")).unwrap();
    assert_eq!(from_disk::record(frame::open(&key, &golden).unwrap().payload).unwrap(), record);
    assert_eq!(keys::parse_schedule(&key), Some(schedule));
    // One of before successes were known.
    let golden = fs::read(directory().join("schedule-record")).unwrap();
    let earlier = from_disk::record(frame::open(&key, &golden).unwrap().payload).unwrap();
    assert_eq!((earlier.last, earlier.since, earlier.succeeded), (3, record.through, None));
    assert_eq!((&earlier.written, &earlier.pause, earlier.ran), (&record.written, &record.pause, record.ran));
}
