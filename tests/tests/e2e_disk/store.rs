//! A store of many finished runs, made without running them: events and definition as the daemon itself left them for
//! one real run, under other names.

use std::path::Path;

use runbook_core::id::RunUid;
use runbook_core::run::{Event, Fact, Outcome};
use runbook_core::time::Timestamp;
use runbook_journal::{Journal, Options, Store as _};

/// Commits hold so many runs each.
const RUNS_IN_A_COMMIT: usize = 500;

/// One more run.
pub struct Copy {
    /// Its number.
    pub number: u64,
    /// When each of its events happened.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

/// Appends copies of a run that is in the store.
pub fn add(data: &Path, model: RunUid, copies: impl Iterator<Item = Copy>) {
    let (mut journal, _) = runbook_journal::open(data, Options::default()).expect("the journal");
    let events = journal.view().events(model, 0, usize::MAX).expect("events");
    assert!(!events.is_empty());
    let mut batch = Vec::new();
    for (index, copy) in copies.enumerate() {
        batch.extend(of(&events, &copy));
        if index % RUNS_IN_A_COMMIT == RUNS_IN_A_COMMIT - 1 {
            flush(&mut journal, &mut batch);
        }
    }
    flush(&mut journal, &mut batch);
    journal.close().expect("a whole journal");
}

fn flush(journal: &mut Journal, batch: &mut Vec<(RunUid, Event)>) {
    journal.append(&std::mem::take(batch)).expect("a commit");
    while journal.view().tail().is_long() {
        journal.archive(2_000).expect("an archive");
    }
}

/// A run's uid by its number and time: ordered as real ones are.
pub fn uid(copy: &Copy) -> RunUid {
    RunUid::from_bits((u128::from((copy.at.0 / 1_000) as u64) << 80) | u128::from(copy.number))
}

fn of(events: &[Event], copy: &Copy) -> Vec<(RunUid, Event)> {
    let mut made = Vec::with_capacity(events.len());
    for event in events {
        let mut event = event.clone();
        event.at = copy.at;
        match &mut event.fact {
            Fact::Created(created) => {
                created.number = copy.number;
                created.request_id = String::new();
            }
            Fact::Finishing { outcome, .. } | Fact::Finished { outcome } => *outcome = copy.outcome,
            _ => {}
        }
        made.push((uid(copy), event));
    }
    made
}
