//! What the tests share: runs with plausible histories.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;

use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::run::{AttemptEnd, AttemptKind, Created, Event, Fact, How, Origin, Outcome, Principal, Terms, Then};
use runbook_core::time::Timestamp;
use runbook_journal::{Store, View};

pub const SECOND: i64 = 1_000_000;

pub fn uid(number: u64) -> RunUid {
    RunUid::from_bits((u128::from(number) << 80) | 0x7000_8000_0000_0000_0000 | u128::from(number))
}

pub fn created(number: u64, runbook: &str, request_id: &str) -> Fact {
    Fact::Created(Box::new(Created {
        number,
        runbook: runbook.to_owned(),
        definition: Digest::of(runbook.as_bytes()),
        inputs: Default::default(),
        sealed_inputs: Vec::new(),
        group: None,
        locks: Vec::new(),
        origin: Origin::Person,
        by: Principal { name: "ada".to_owned(), uid: Some(1_000) },
        reason: String::new(),
        request_id: request_id.to_owned(),
        request_digest: Digest([7; 32]),
        commit: None,
        terms: Terms::default(),
        parent: None,
        items: Vec::new(),
        slot: None,
    }))
}

pub fn starting(step: u32, attempt: u32) -> Fact {
    Fact::AttemptStarting {
        step: StepNo(step),
        attempt: AttemptNo(attempt),
        kind: AttemptKind::Run,
        boot: "5b6bc05c-ab5c-4d11-b27a-7c1fd0a1d3f5".to_owned(),
    }
}

pub fn ended(step: u32, attempt: u32, output_bytes: usize) -> Fact {
    let mut end = AttemptEnd::bare(How::Exited(0));
    if output_bytes > 0 {
        end.outputs.insert("text".to_owned(), "x".repeat(output_bytes).into());
    }
    Fact::AttemptEnded { step: StepNo(step), attempt: AttemptNo(attempt), end: Box::new(end), then: Then::Succeeded }
}

pub fn ready(step: u32) -> Fact {
    Fact::StepReady { step: StepNo(step), locks: Vec::new() }
}

pub fn finished(outcome: Outcome) -> Fact {
    Fact::Finished { outcome }
}

pub fn resumed(epoch: u32) -> Fact {
    Fact::Resumed { epoch, by: Principal::engine(), reason: "again".to_owned(), confirmed: Vec::new(), edited: None }
}

pub fn rollback_asked() -> Fact {
    Fact::RollbackAsked { by: Principal::engine(), reason: "it is bad".to_owned(), past: Vec::new() }
}

/// Numbers events per run, and remembers what was appended.
#[derive(Debug, Default, Clone)]
pub struct Book {
    pub runs: BTreeMap<RunUid, Vec<Event>>,
}

impl Book {
    /// The next event of a run, at a second that is its number.
    pub fn next(&mut self, run: RunUid, fact: Fact) -> (RunUid, Event) {
        let events = self.runs.entry(run).or_default();
        let number = events.len() as u64 + 1;
        let event = Event { number, at: Timestamp(number as i64 * SECOND), fact };
        events.push(event.clone());
        (run, event)
    }

    /// Appends facts as one commit.
    pub fn append(&mut self, store: &mut dyn Store, facts: Vec<(RunUid, Fact)>) -> u64 {
        let batch: Vec<_> = facts.into_iter().map(|(run, fact)| self.next(run, fact)).collect();
        store.append(&batch).unwrap()
    }

    /// Everything that was appended is there, read in pages of several sizes and in one go.
    pub fn check(&self, view: &dyn View) {
        for (run, events) in &self.runs {
            // Not `assert_eq`: a failure would print megabytes.
            for page in [1, 3, usize::MAX] {
                assert!(in_pages(view, *run, page) == *events, "run {run} in pages of {page}");
            }
            let last = events.len() as u64;
            assert!(view.events(*run, last, 10).unwrap().is_empty());
        }
        let mut loaded = BTreeMap::new();
        view.each_unfinished(&mut |run, events| {
            loaded.insert(run, events.unwrap());
        })
        .unwrap();
        let unfinished = view.unfinished().unwrap();
        assert_eq!(loaded.len(), unfinished.len());
        for run in unfinished {
            assert!(Some(&loaded[&run]) == self.runs.get(&run), "run {run} at start");
        }
    }
}

pub fn in_pages(view: &dyn View, run: RunUid, page: usize) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.number);
        let events = view.events(run, after, page).unwrap();
        assert!(events.len() <= page);
        if events.is_empty() {
            return all;
        }
        all.extend(events);
    }
}
