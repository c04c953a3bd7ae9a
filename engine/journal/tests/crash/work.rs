//! The work of a process that will be killed, and the check of what it left. The process says on its standard
//! output what it is about to do and what was acknowledged; events are a function of run and number, so that the
//! check needs nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::run::{AttemptEnd, AttemptKind, Created, Event, Fact, How, Origin, Outcome, Principal, Then};
use runbook_core::time::Timestamp;
use runbook_journal::{Journal, OpenError, Options, Retention, Store as _, StoreError, View};

/// Runs that go on at the same time.
const ACTIVE: usize = 6;
/// Terminal runs that a prune leaves.
const KEPT: usize = 8;

/// A small generator: the same numbers for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }
}

pub fn uid(run: u64) -> RunUid {
    RunUid::from_bits(u128::from(run) << 80 | u128::from(run))
}

fn hash(run: u64, number: u64) -> u64 {
    Random::new(run << 32 | number).next()
}

/// How many events a run has.
fn length(run: u64) -> u64 {
    3 + hash(run, 0) % 40
}

/// The event of a run at a number.
pub fn event(run: u64, number: u64) -> Event {
    let hash = hash(run, number);
    let step = StepNo(u32::try_from(number).unwrap());
    let fact = if number == 1 {
        Fact::Created(Box::new(Created {
            number: run,
            runbook: format!("runbook-{}", run % 3),
            definition: Digest::of(&run.to_be_bytes()),
            inputs: Default::default(),
            sealed_inputs: Vec::new(),
            group: None,
            locks: Vec::new(),
            origin: Origin::Schedule,
            by: Principal::engine(),
            reason: String::new(),
            request_id: if run.is_multiple_of(2) { format!("request {run}") } else { String::new() },
            request_digest: Digest([1; 32]),
            commit: None,
            terms: Default::default(),
            parent: None,
            items: Vec::new(),
            slot: None,
        }))
    } else if number == length(run) {
        let outcome = if hash.is_multiple_of(2) { Outcome::Succeeded } else { Outcome::Failed };
        Fact::Finished { outcome }
    } else if hash.is_multiple_of(2) {
        let boot = format!("boot {}", hash % 7);
        Fact::AttemptStarting { step, attempt: AttemptNo(1), kind: AttemptKind::Run, boot }
    } else {
        let mut end = AttemptEnd::bare(How::Exited(0));
        // Mostly small, at times several chunks, and seldom more than a segment of the storage engine.
        let size = match hash % 256 {
            0 => 2_500_000,
            1..9 => 30_000 + hash % 150_000,
            _ => hash % 300,
        };
        let text: String = (0..size).map(|at| char::from(b'a' + ((hash >> (at % 57)) % 26) as u8)).collect();
        end.outputs.insert("text".to_owned(), text.into());
        Fact::AttemptEnded { step, attempt: AttemptNo(1), end: Box::new(end), then: Then::Succeeded }
    };
    Event { number, at: Timestamp(i64::try_from(run * 1_000 + number).unwrap()), fact }
}

/// Opens the data directory, goes on with what is there, and works until it has made so many commits.
pub fn work(data: &Path, seed: u64, commits: u64) {
    // The test harness leaves a line open.
    println!();
    let (mut journal, _) = runbook_journal::open(data, Options::default()).unwrap();
    let reader = journal.reader();
    let mut random = Random::new(seed);
    let mut active: BTreeMap<u64, u64> = BTreeMap::new();
    for run in reader.unfinished().unwrap() {
        let row = reader.row_by_uid(run).unwrap().unwrap();
        active.insert(row.number, read_all(&reader, run).unwrap().last().unwrap().number);
    }
    let mut next = reader.next_number().unwrap();
    for _ in 0..commits {
        let mut batch = Vec::new();
        let mut said = String::new();
        while active.len() < ACTIVE {
            active.insert(next, 0);
            next += 1;
        }
        for _ in 0..=random.below(6) {
            let at = random.below(active.len() as u64);
            let Some((run, last)) = active.iter_mut().nth(usize::try_from(at).unwrap()) else { break };
            *last += 1;
            batch.push((uid(*run), event(*run, *last)));
            said += &format!(" {run}:{last}");
            if *last == length(*run) {
                let run = *run;
                active.remove(&run);
            }
        }
        println!("try{said}");
        let commit = journal.append(&batch).unwrap();
        println!("ack {commit}");
        tidy(&mut journal, &mut random);
    }
}

/// At times what the daemon does between commits.
fn tidy(journal: &mut Journal, random: &mut Random) {
    match random.below(60) {
        0..4 => {
            journal.archive(1 + usize::try_from(random.below(30)).unwrap()).unwrap();
        }
        4 => {
            println!("prune");
            let retention = Retention { max_age: None, max_runs: Some(KEPT) };
            journal.prune(&retention, Timestamp(i64::MAX)).unwrap();
        }
        5 => {
            println!("mark");
            journal.mark().unwrap();
            println!("marked");
        }
        _ => {}
    }
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The journal said itself that something cannot be read.
    Refused(String),
    /// Something is not as it was acknowledged, and the journal did not say so.
    Wrong(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Wrong(why) => write!(f, "wrong: {why}"),
        }
    }
}

impl From<StoreError> for Verdict {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<OpenError> for Verdict {
    fn from(error: OpenError) -> Self {
        Self::Refused(error.to_string())
    }
}

fn wrong<T>(why: String) -> Result<T, Verdict> {
    Err(Verdict::Wrong(why))
}

/// All events of a run.
pub fn read_all(view: &dyn View, run: RunUid) -> Result<Vec<Event>, StoreError> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.number);
        let page = view.events(run, after, 100)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// What a process said, over all its lives.
#[derive(Debug, Default, Clone)]
pub struct Said {
    /// The last acknowledged event of each run.
    acknowledged: BTreeMap<u64, u64>,
    /// What was under way at last.
    tried: Vec<(u64, u64)>,
    commit: u64,
    /// Runs that may be gone: terminal when a prune began.
    mortal: BTreeSet<u64>,
}

impl Said {
    /// Takes in a line; others than ours are passed over.
    pub fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        match words.next() {
            Some("try") => {
                let pair = |word: &str| {
                    let (run, number) = word.split_once(':')?;
                    Some((run.parse().ok()?, number.parse().ok()?))
                };
                self.tried = words.map(|word| pair(word).expect("a line of the worker")).collect();
            }
            Some("ack") => {
                self.acknowledged.extend(std::mem::take(&mut self.tried));
                self.commit = words.next().and_then(|word| word.parse().ok()).expect("a commit");
            }
            Some("prune") => {
                let ended = self.acknowledged.iter().filter(|(run, last)| **last == length(**run));
                self.mortal.extend(ended.map(|(run, _)| *run));
            }
            _ => {}
        }
    }

    /// The last acknowledged commit.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// Checks that what was acknowledged is there, as it was written, and that the commit that was under way is whole
    /// or absent; takes over which of both it is.
    pub fn check(&mut self, view: &dyn View) -> Result<(), Verdict> {
        let last = view.last_commit();
        let arrived = match last.checked_sub(self.commit) {
            Some(0) => false,
            Some(1) if !self.tried.is_empty() => true,
            _ => return wrong(format!("the last commit is {last}, not {}", self.commit)),
        };
        if arrived {
            self.acknowledged.extend(self.tried.iter().copied());
            self.commit = last;
        }
        self.tried.clear();
        let mut unfinished = BTreeSet::new();
        let mut gone = Vec::new();
        for (run, last) in &self.acknowledged {
            let events = read_all(view, uid(*run))?;
            let row = view.row_by_uid(uid(*run))?;
            let Some(row) = row else {
                if !self.mortal.contains(run) {
                    return wrong(format!("run {run} is gone"));
                }
                if !events.is_empty() {
                    return wrong(format!("run {run} is gone, and {} events of it are not", events.len()));
                }
                gone.push(*run);
                continue;
            };
            if events.len() as u64 != *last {
                return wrong(format!("run {run} has {} events, not {last}", events.len()));
            }
            if let Some(other) = events.iter().find(|it| **it != event(*run, it.number)) {
                return wrong(format!("event {} of run {run} is another one", other.number));
            }
            let over = *last == length(*run);
            if row.number != *run || row.finished.is_some() != over {
                return wrong(format!("the row of run {run} is wrong: {row:?}"));
            }
            if !over {
                unfinished.insert(uid(*run));
            }
            if !row.request_id.is_empty() && view.row_by_request(&row.request_id)? != Some(row) {
                return wrong(format!("the request of run {run} is lost"));
            }
        }
        for run in gone {
            self.acknowledged.remove(&run);
        }
        let found = view.unfinished()?;
        if found.iter().copied().collect::<BTreeSet<_>>() != unfinished {
            return wrong(format!("unfinished runs are {found:?}, not {unfinished:?}"));
        }
        Ok(())
    }
}
