//! The index of the live tail, in memory: which commits are there, and which of them hold events of which run.
//! Built from the tail at open, kept in step by the writer. Never knows the events themselves.

use std::collections::{HashMap, VecDeque};

use runbook_core::id::RunUid;
use runbook_core::schedule::{Record, ScheduleName};

use crate::row::RunRow;
use crate::store::TailSize;

/// The live tail.
#[derive(Debug, Default)]
pub struct Tail {
    commits: VecDeque<Commit>,
    bytes: u64,
    runs: HashMap<RunUid, RunTail>,
    /// The rows that the commit under way changes, by number, as they were before: what readers are to see until it
    /// is durable.
    before: HashMap<u64, Option<RunRow>>,
    /// The same of the records of schedules.
    records_before: HashMap<ScheduleName, Option<Record>>,
}

#[derive(Debug, Clone, Copy)]
struct Commit {
    number: u64,
    bytes: u64,
}

/// The events of a run in the tail.
#[derive(Debug, Default)]
struct RunTail {
    places: VecDeque<Place>,
    /// The number of its last event.
    last: u64,
}

/// Where some events of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The commit.
    pub commit: u64,
    /// The number of the run's first event in it.
    pub first: u64,
}

impl Tail {
    /// A commit that changes these rows and records is about to be written.
    pub fn begin(&mut self, rows: HashMap<u64, Option<RunRow>>, records: HashMap<ScheduleName, Option<Record>>) {
        self.before = rows;
        self.records_before = records;
    }

    /// The record as it was before the commit under way, where that changes it.
    pub fn record_before(&self, name: &ScheduleName) -> Option<&Option<Record>> {
        self.records_before.get(name)
    }

    /// The records that the commit under way changes, as they were.
    pub fn records_under_way(&self) -> Vec<(ScheduleName, Option<Record>)> {
        self.records_before.iter().map(|(name, record)| (name.clone(), record.clone())).collect()
    }

    /// The row as it was before the commit under way, where that changes it.
    pub fn before(&self, number: u64) -> Option<&Option<RunRow>> {
        self.before.get(&number)
    }

    /// The numbers of the runs whose rows the commit under way changes.
    pub fn under_way(&self) -> Vec<u64> {
        self.before.keys().copied().collect()
    }

    /// Adds a commit that is durable. `events` are the run and number of each event in it, in order.
    pub fn push(&mut self, number: u64, bytes: u64, events: impl Iterator<Item = (RunUid, u64)>) {
        self.before.clear();
        self.records_before.clear();
        self.commits.push_back(Commit { number, bytes });
        self.bytes += bytes;
        for (uid, event) in events {
            let run = self.runs.entry(uid).or_default();
            if run.places.back().is_none_or(|place| place.commit != number) {
                run.places.push_back(Place { commit: number, first: event });
            }
            run.last = event;
        }
    }

    /// The number of the last commit; 0 where there is none.
    pub fn last_commit(&self) -> u64 {
        self.commits.back().map_or(0, |commit| commit.number)
    }

    /// The number of a run's last event, where the tail has one.
    pub fn last_event(&self, uid: RunUid) -> Option<u64> {
        self.runs.get(&uid).map(|run| run.last)
    }

    /// Where the events of a run above a number are, in order.
    pub fn places(&self, uid: RunUid, after: u64) -> Vec<Place> {
        let Some(run) = self.runs.get(&uid) else { return Vec::new() };
        // The last place that begins at or below the wanted number may hold it.
        let from = run.places.partition_point(|place| place.first <= after + 1).saturating_sub(1);
        run.places.range(from..).copied().collect()
    }

    /// The numbers of the oldest commits: at most `max` and `bytes`, never the last one of all, which holds the
    /// place of the next; at least one where there is one to give.
    pub fn oldest(&self, max: usize, bytes: u64) -> Vec<u64> {
        let all = self.commits.len().saturating_sub(1).min(max);
        let mut sum = 0_u64;
        self.commits
            .range(..all)
            .take_while(|commit| {
                let fits = sum == 0 || sum + commit.bytes <= bytes;
                sum += commit.bytes;
                fits
            })
            .map(|commit| commit.number)
            .collect()
    }

    /// Forgets the commits up to and with this one.
    pub fn cut(&mut self, through: u64, runs: impl Iterator<Item = RunUid>) {
        while let Some(commit) = self.commits.front().copied()
            && commit.number <= through
        {
            self.commits.pop_front();
            self.bytes -= commit.bytes;
        }
        for uid in runs {
            let Some(run) = self.runs.get_mut(&uid) else { continue };
            let gone = run.places.partition_point(|place| place.commit <= through);
            run.places.drain(..gone);
            if run.places.is_empty() {
                self.runs.remove(&uid);
            }
        }
    }

    /// All runs with events in it.
    pub fn runs(&self) -> Vec<RunUid> {
        self.runs.keys().copied().collect()
    }

    /// Forgets a run.
    pub fn forget(&mut self, uid: RunUid) {
        self.runs.remove(&uid);
    }

    /// All commits that hold events of a wanted run, in order.
    pub fn commits_of(&self, wanted: impl Fn(RunUid) -> bool) -> Vec<u64> {
        let mut commits: Vec<u64> = self
            .runs
            .iter()
            .filter(|(uid, _)| wanted(**uid))
            .flat_map(|(_, run)| run.places.iter().map(|place| place.commit))
            .collect();
        commits.sort_unstable();
        commits.dedup();
        commits
    }

    /// How long it is.
    pub fn size(&self) -> TailSize {
        TailSize { commits: self.commits.len(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RunUid = RunUid::from_bits(1);
    const B: RunUid = RunUid::from_bits(2);

    fn tail() -> Tail {
        let mut tail = Tail::default();
        tail.push(1, 10, [(A, 1), (A, 2), (B, 1)].into_iter());
        tail.push(2, 10, [(A, 3)].into_iter());
        tail.push(3, 10, [(B, 2), (A, 4)].into_iter());
        tail
    }

    #[test]
    fn places_begin_where_the_wanted_event_is() {
        let tail = tail();
        let commits = |uid, after| -> Vec<u64> { tail.places(uid, after).iter().map(|place| place.commit).collect() };
        assert_eq!(commits(A, 0), [1, 2, 3]);
        assert_eq!(commits(A, 1), [1, 2, 3]);
        assert_eq!(commits(A, 2), [2, 3]);
        assert_eq!(commits(A, 3), [3]);
        assert_eq!(commits(A, 4), [3]);
        assert_eq!(commits(B, 1), [3]);
        assert_eq!(commits(RunUid::from_bits(9), 0), [0_u64; 0]);
    }

    #[test]
    fn the_last_commit_is_never_given_away() {
        let mut tail = tail();
        assert_eq!(tail.oldest(10, 1_000), [1, 2]);
        assert_eq!(tail.oldest(1, 1_000), [1]);
        assert_eq!(tail.oldest(10, 15), [1]);
        assert_eq!(tail.oldest(10, 1), [1]);
        tail.cut(2, [A, B].into_iter());
        assert_eq!(tail.size(), TailSize { commits: 1, bytes: 10 });
        assert_eq!(tail.places(A, 0), [Place { commit: 3, first: 4 }]);
        assert!(tail.oldest(10, 1_000).is_empty());
        assert_eq!(tail.last_commit(), 3);
    }
}
