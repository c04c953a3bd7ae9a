//! Schedules with the real daemon and a clock that is shifted: slots on time, a kill at the slot, a day of downtime, nights in
//! which clocks are changed; and what people type.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

mod absence;
mod catch_up;
mod closed;
mod figures;
mod later;
mod nights;
mod people;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use runbook_proto::v1::{LedgerEntry, LedgerKind, ListRunsRequest, Run};
use runbook_tests::e2e::{Daemon, Project, programs, wait_for};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A clock that a daemon goes by.
struct Clock(PathBuf);

impl Clock {
    fn of(project: &Project) -> Self {
        // A first test builds them, which must not take part of the time that it goes by.
        programs();
        Self(project.file("clock", "0"))
    }

    /// Sets it so that it shows so many microseconds since 1970 now.
    fn set(&self, micros: i64) {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
        let other = self.0.with_extension("new");
        std::fs::write(&other, (micros - real).to_string()).unwrap();
        // A reader must not see half of it.
        std::fs::rename(other, &self.0).unwrap();
    }

    /// Sets it to shortly before an instant, both in seconds.
    fn set_before(&self, seconds: i64, before: f64) {
        self.set(seconds * 1_000_000 - (before * 1e6) as i64);
    }

    fn file(&self) -> &Path {
        &self.0
    }

    /// Has a command go by it, and fire schedules.
    fn fire(&self, command: &mut Command) {
        command.arg("--schedules").env("RUNBOOK_TEST_CLOCK", &self.0);
    }

    fn start(&self, project: &Project) -> Daemon {
        Daemon::start_with(project, |command| self.fire(command))
    }
}

fn seconds(at: &Option<Timestamp>) -> i64 {
    at.as_ref().map_or(0, |at| at.seconds)
}

/// What became of slots, by kind and by slot: each slot once, or the test fails.
fn fates(entries: &[LedgerEntry], every: i64) -> BTreeMap<i64, LedgerKind> {
    let mut fates = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.slots > 0) {
        let (first, last) = (seconds(&entry.first_slot), seconds(&entry.last_slot));
        assert_eq!(entry.slots as i64, (last - first) / every + 1, "{entry:?}");
        for slot in (first..=last).step_by(every as usize) {
            let twice = fates.insert(slot, entry.kind());
            assert!(twice.is_none(), "the slot {slot} has two entries: {entries:#?}");
        }
    }
    fates
}

fn count(fates: &BTreeMap<i64, LedgerKind>, kind: LedgerKind) -> usize {
    fates.values().filter(|of| **of == kind).count()
}

/// The ledger without what became of runs, which nobody waits for here.
fn ledger(daemon: &Daemon, name: &str) -> Vec<LedgerEntry> {
    let mut ledger = daemon.ledger(name);
    ledger.retain(|entry| entry.kind() != LedgerKind::Succeeded);
    ledger
}

/// Waits until every slot up to this one, in seconds, has an entry.
fn wait_accounted(daemon: &Daemon, name: &str, slot: i64) -> Vec<LedgerEntry> {
    let mut last = Vec::new();
    wait_for(&format!("the entry of the slot {slot}"), || {
        last = ledger(daemon, name);
        last.iter().any(|entry| seconds(&entry.last_slot) >= slot).then_some(())
    });
    last
}

/// The runs that slots started, oldest first.
fn scheduled(daemon: &Daemon) -> Vec<Run> {
    let (mut runs, mut page_token) = (Vec::<Run>::new(), String::new());
    loop {
        let request = ListRunsRequest { page_size: 1_000, page_token, ..Default::default() };
        let listed = daemon.runs(|mut client| async move { client.list_runs(request).await }).unwrap();
        runs.extend(listed.runs);
        page_token = listed.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut runs: Vec<Run> = runs.iter().map(|run| daemon.get(&run.name)).collect();
    runs.retain(|run| run.slot.is_some());
    runs.reverse();
    runs
}
