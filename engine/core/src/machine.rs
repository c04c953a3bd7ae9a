//! All runs together: who is admitted, who gets the next place among attempts, what is due when. Still pure:
//! a turn takes inputs and gives a batch; whoever drives it makes the batch durable before he acts on it.
//!
//! Every index here can be derived from the runs' states; `audit` does so. Never knows how events are stored
//! nor what an attempt's processes are.

mod ahead;
mod audit;
mod catch_up;
mod children;
mod claims;
mod class;
mod exchange;
mod locks;
mod overlap;
mod places;
mod schedules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use catch_up::CatchUp;
use class::Class;
pub use exchange::{AttemptRef, Batch, Due, MachineInput, Reply, Token};
pub use locks::Claim;
use locks::Locks;
pub use places::PoolView;
use places::{Places, Stand};

use crate::id::RunUid;
use crate::run::{
    ArtifactPaths, Created, Event, Fact, Illegal, Input, Outcome, Phase, Pinned, Rejection, RunState, Start, StopLevel,
    decide,
};
use crate::schedule::NoteFact;
use crate::time::Timestamp;
use schedules::Schedules;
pub use schedules::{Generation, Prepared, ScheduleInput, ScheduleView};

/// What the machine is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many attempts may be live together.
    pub places: usize,
    /// How many places each pool has; `None` where nobody said which there are: then nothing waits for one.
    pub pools: Option<BTreeMap<String, usize>>,
    /// The boot of the machine that attempts start in.
    pub boot: String,
    /// Where artifacts lie.
    pub artifacts: ArtifactPaths,
}

/// A name that excludes: a lock or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A lock.
    Lock(String),
    /// A group.
    Group(String),
}

impl Resource {
    /// What it is, and its name.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Lock(name) => ("lock", name),
            Self::Group(name) => ("group", name),
        }
    }
}

fn resources(created: &Created) -> Vec<Resource> {
    created.locks.iter().cloned().map(Resource::Lock).chain(created.group.clone().map(Resource::Group)).collect()
}

struct Slot {
    state: RunState,
    quarantine: Option<String>,
    // What the indexes below hold of this run.
    live: usize,
    in_pools: BTreeMap<String, usize>,
    low: bool,
    held: BTreeSet<Claim>,
    waits: BTreeSet<Claim>,
    stands: Vec<Stand>,
    wake: Option<Timestamp>,
}

/// All runs that are not terminal, with all child runs of each.
pub struct Machine {
    settings: Settings,
    next_number: u64,
    runs: BTreeMap<RunUid, Slot>,
    numbers: BTreeMap<u64, RunUid>,
    requests: HashMap<String, RunUid>,
    /// The child runs below each run at the top.
    trees: HashMap<RunUid, Vec<RunUid>>,
    /// What the child runs of runs that go to their end, give their rollback up, are held or let go on, were not told yet,
    /// in order: empty between two inputs.
    falling: BTreeMap<RunUid, Vec<Input>>,
    locks: Locks,
    /// The runs with a group that persons are asked about before they begin: they wait for it by and by.
    gated: BTreeSet<(String, RunUid)>,
    places: Places,
    wakes: BTreeSet<(Timestamp, RunUid)>,
    /// Runs for which something was due when they were looked at last: no wake will come for it.
    overdue: BTreeSet<RunUid>,
    /// The time of the latest turn.
    now: Timestamp,
    schedules: Schedules,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("runs", &self.runs.len())
            .field("live", &self.places.live)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine without runs. `next_number` is the number of the next new run, from 1.
    pub fn new(settings: Settings, next_number: u64) -> Self {
        Self {
            settings,
            next_number,
            runs: BTreeMap::new(),
            numbers: BTreeMap::new(),
            requests: HashMap::new(),
            trees: HashMap::new(),
            falling: BTreeMap::new(),
            locks: Locks::default(),
            gated: BTreeSet::new(),
            places: Places::default(),
            wakes: BTreeSet::new(),
            overdue: BTreeSet::new(),
            now: Timestamp(i64::MIN),
            schedules: Schedules::default(),
        }
    }

    /// Takes in a run from its events: at start, or when a terminal one is asked for again. Known runs stay
    /// as they are. A run whose events are illegal is quarantined at the last state that held. `later` are the definitions
    /// that it went by after the first.
    ///
    /// # Errors
    /// The very first event is unusable: there is no state to keep.
    pub fn load(
        &mut self,
        uid: RunUid,
        pinned: Arc<Pinned>,
        later: &[Arc<Pinned>],
        events: &[Event],
        now: Timestamp,
    ) -> Result<Option<Illegal>, Illegal> {
        if self.runs.contains_key(&uid) {
            return Ok(None);
        }
        let Some((first, rest)) = events.split_first() else {
            return Err(Illegal { run: uid, number: 0, event: "none", why: "the run has no events".to_owned() });
        };
        let mut state = RunState::create(uid, pinned, first)?;
        later.iter().for_each(|pinned| state.learn(Arc::clone(pinned)));
        let mut illegal = None;
        for event in rest {
            if let Err(error) = state.apply(event) {
                illegal = Some(error);
                break;
            }
        }
        self.insert(state, illegal.as_ref().map(ToString::to_string), now);
        Ok(illegal)
    }

    fn insert(&mut self, state: RunState, quarantine: Option<String>, now: Timestamp) {
        let uid = state.uid();
        let created = state.created();
        match &created.parent {
            None => {
                self.numbers.insert(created.number, uid);
                self.next_number = self.next_number.max(created.number + 1);
            }
            Some(parent) => self.trees.entry(parent.root).or_default().push(uid),
        }
        if !created.request_id.is_empty() {
            self.requests.insert(created.request_id.clone(), uid);
        }
        self.schedules.came(&created.runbook, uid);
        let low = Class::of(created).is_low();
        let slot = Slot {
            state,
            quarantine,
            live: 0,
            in_pools: BTreeMap::new(),
            low,
            held: BTreeSet::new(),
            waits: BTreeSet::new(),
            stands: Vec::new(),
            wake: None,
        };
        self.runs.insert(uid, slot);
        self.index(uid, now);
    }

    /// The state of a run that is in memory.
    pub fn run(&self, uid: RunUid) -> Option<&RunState> {
        self.runs.get(&uid).map(|slot| &slot.state)
    }

    /// Why a run is out of service, if it is.
    pub fn quarantine(&self, uid: RunUid) -> Option<&str> {
        self.runs.get(&uid)?.quarantine.as_deref()
    }

    /// The run of a number, if it is in memory.
    pub fn by_number(&self, number: u64) -> Option<RunUid> {
        self.numbers.get(&number).copied()
    }

    /// The run that a request id made, if it is in memory.
    pub fn by_request(&self, request_id: &str) -> Option<RunUid> {
        self.requests.get(request_id).copied()
    }

    /// All runs at the top in memory, the newest last.
    pub fn roots(&self) -> impl DoubleEndedIterator<Item = &RunState> {
        self.numbers.values().filter_map(|uid| self.run(*uid))
    }

    /// All runs in memory, child runs too.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &RunState> {
        self.runs.values().map(|slot| &slot.state)
    }

    /// How many attempts may have processes.
    pub const fn live_attempts(&self) -> usize {
        self.places.live
    }

    /// What should be going on, derived from the states alone.
    pub fn due(&self, now: Timestamp) -> Due {
        let now = now.max(self.now);
        let mut due = Due::default();
        for (uid, slot) in &self.runs {
            if slot.quarantine.is_some() {
                continue;
            }
            for (step, attempt, _, level) in slot.state.live() {
                due.attempts.insert(AttemptRef { run: *uid, step, attempt }, level);
            }
            let wake = slot.state.next_wake(now);
            due.wake = [due.wake, wake].into_iter().flatten().min();
        }
        let (slots, wake) = self.schedules.due(now);
        due.slots = slots;
        due.wake = [due.wake, wake].into_iter().flatten().min();
        due
    }

    /// One turn: takes the inputs in order (a clock that was set before all others), follows all consequences, gives
    /// out places.
    pub fn turn(&mut self, now: Timestamp, inputs: Vec<MachineInput>) -> Batch {
        let mut batch = Batch::default();
        let now = self.take_time(now, &inputs, &mut batch);
        self.tick(now, &mut batch);
        for input in inputs {
            match input {
                MachineInput::Start { token, uid, start } => {
                    let answer = self.start(now, uid, *start, &mut batch);
                    batch.replies.push((token, answer));
                }
                MachineInput::Run { token, run, input } => {
                    let answer = self.put(now, run, input, &mut batch);
                    if let Some(token) = token {
                        batch.replies.push((token, answer));
                    }
                }
                MachineInput::CatchUp { token, asked } => {
                    let answer = self.catch_up(now, *asked, &mut batch);
                    batch.replies.push((token, answer));
                }
                MachineInput::ClockSet(_) => {}
                MachineInput::Schedules(generation) => self.plan(now, &generation, &mut batch),
                MachineInput::Slot { schedule, slot, prepared } => {
                    self.prepared(now, &schedule, slot, prepared, &mut batch);
                }
                MachineInput::Schedule { token, schedule, input } => {
                    let answer = self.put_schedule(now, &schedule, input, &mut batch);
                    batch.schedule_replies.push((token, answer));
                }
            }
        }
        self.fire(now, &mut batch);
        self.tick(now, &mut batch);
        loop {
            self.admit(now, &mut batch);
            if self.break_circles(now, &mut batch) {
                continue;
            }
            if !self.grant(now, &mut batch) {
                break;
            }
        }
        let of_runs = self.wakes.first().map(|(at, _)| *at);
        batch.wake = [of_runs, self.schedules.wake(now)].into_iter().flatten().min();
        batch
    }

    /// What the turn takes for now. Where the clock was set, deadlines move before anything is found due by the new
    /// time; without that word time never goes back, so that nothing that was due is due no longer.
    fn take_time(&mut self, now: Timestamp, inputs: &[MachineInput], batch: &mut Batch) -> Timestamp {
        let mut set = false;
        for input in inputs {
            let MachineInput::ClockSet(by) = input else { continue };
            set = true;
            let all: Vec<RunUid> = self.runs.keys().copied().collect();
            // First of all runs: what then is due in one could already be told to another.
            for uid in &all {
                let Some(slot) = self.runs.get(uid).filter(|slot| slot.quarantine.is_none()) else { continue };
                // Moving deadlines is never refused.
                for fact in decide(&slot.state, now, Input::ClockSet { by: *by }).unwrap_or_default() {
                    self.record(now, *uid, fact, batch);
                }
            }
            all.into_iter().for_each(|uid| self.index(uid, now));
        }
        if set {
            self.schedules.look_at_all();
        }
        self.now = if set { now } else { now.max(self.now) };
        self.now
    }

    /// Time went on for the runs that something is due for.
    fn tick(&mut self, now: Timestamp, batch: &mut Batch) {
        while let Some((at, uid)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, uid));
            if let Some(slot) = self.runs.get_mut(&uid) {
                slot.wake = None;
            }
            self.overdue.insert(uid);
        }
        for uid in std::mem::take(&mut self.overdue) {
            // A tick is never refused.
            let _ = self.put(now, uid, Input::Tick, batch);
        }
    }

    /// The batch is durable: runs that are over leave memory, each with all that is below it.
    pub fn committed(&mut self, batch: &Batch) {
        for uid in &batch.finished {
            self.forget(*uid);
        }
    }

    /// Drops a terminal run at the top from memory, with its child runs; another run stays.
    pub fn forget(&mut self, uid: RunUid) {
        let over = self
            .runs
            .get(&uid)
            .is_some_and(|slot| matches!(slot.state.phase(), Phase::Terminal(_)) && slot.state.parent().is_none());
        if !over {
            return;
        }
        for child in self.trees.remove(&uid).unwrap_or_default() {
            self.drop_run(child);
        }
        if let Some(slot) = self.drop_run(uid) {
            let created = slot.state.created();
            self.numbers.remove(&created.number);
            self.requests.remove(&created.request_id);
        }
    }

    /// Takes a run out of memory and out of every index.
    fn drop_run(&mut self, uid: RunUid) -> Option<Slot> {
        let slot = self.runs.remove(&uid)?;
        self.overdue.remove(&uid);
        if let Some(at) = slot.wake {
            self.wakes.remove(&(at, uid));
        }
        slot.stands.iter().for_each(|stand| self.places.leave(stand));
        self.places.count(&slot.in_pools, &BTreeMap::new());
        self.schedules.left(&slot.state.created().runbook, uid);
        Some(slot)
    }

    fn start(&mut self, now: Timestamp, uid: RunUid, mut start: Start, batch: &mut Batch) -> Result<Reply, Rejection> {
        if let Some(known) = self.answered_before(&start) {
            return known;
        }
        start.number = self.next_number;
        let fact = self.admissible(now, &start)?;
        let replaced = self.replaced(&start, &fact);
        self.make(now, uid, &start, fact, batch)?;
        self.follow(now, uid, batch);
        let reason = format!("replaced by run {} (overlap: replace)", start.number);
        self.replace(now, &replaced, &start.by, &reason, batch);
        Ok(self.reply(uid))
    }

    /// The answer to a request that a run in memory has used.
    fn answered_before(&self, start: &Start) -> Option<Result<Reply, Rejection>> {
        let known = *self.requests.get(&start.request_id)?;
        let state = self.run(known)?;
        let number = state.created().number;
        if state.created().request_digest != start.request_digest {
            return Some(Err(Rejection::RequestIdReused { request_id: start.request_id.clone(), number }));
        }
        Some(Ok(Reply { run: known, number, last_event: state.last_event(), repeated: true }))
    }

    fn reply(&self, uid: RunUid) -> Reply {
        let state = self.run(uid);
        Reply {
            run: uid,
            number: state.map_or(0, |state| state.created().number),
            last_event: state.map_or(0, RunState::last_event),
            repeated: false,
        }
    }

    /// Puts an input to a run and follows all that comes of it.
    fn put(&mut self, now: Timestamp, uid: RunUid, input: Input, batch: &mut Batch) -> Result<Reply, Rejection> {
        let Some(slot) = self.runs.get(&uid) else {
            return Err(Rejection::NoSuchRun { run: uid.to_string() });
        };
        if let Some(why) = &slot.quarantine {
            return Err(Rejection::Quarantined { why: why.clone() });
        }
        if let Input::Resume { by, reason, edited: None, .. } = &input
            && slot.state.rolls_back()
            && slot.state.parent().is_none()
        {
            self.try_again(now, uid, by, reason, batch)?;
            return Ok(self.reply(uid));
        }
        let edited = match &input {
            Input::Resume { edited: Some(edit), .. } => Some(Arc::clone(&edit.pinned)),
            _ => None,
        };
        let provision = match &input {
            Input::Provide(provision) => Some(provision.clone()),
            _ => None,
        };
        let facts = match decide(&slot.state, now, input) {
            Ok(facts) => facts,
            Err(rejection) => {
                self.index(uid, now);
                return Err(rejection);
            }
        };
        // The fact names it by its hash alone.
        if let (Some(pinned), Some(slot)) = (edited, self.runs.get_mut(&uid)) {
            slot.state.learn(pinned);
        }
        for fact in facts {
            if !self.record(now, uid, fact, batch) {
                break;
            }
        }
        self.follow(now, uid, batch);
        if let Some(provision) = provision {
            self.provide_below(now, uid, &provision, batch);
        }
        Ok(self.reply(uid))
    }

    /// Applies a fact and puts it into the batch; a fact that is illegal quarantines the run instead.
    fn record(&mut self, now: Timestamp, uid: RunUid, fact: Fact, batch: &mut Batch) -> bool {
        let Some(slot) = self.runs.get_mut(&uid) else { return false };
        // Within a run time never goes back, whatever the clock does.
        let at = now.max(slot.state.last_at());
        let event = Event { number: slot.state.last_event() + 1, at, fact };
        if let Err(illegal) = slot.state.apply(&event) {
            let why = illegal.to_string();
            slot.quarantine = Some(why.clone());
            batch.quarantined.push((uid, why));
            return false;
        }
        match &event.fact {
            Fact::AttemptStarting { step, attempt, kind, .. } => {
                let attempt = AttemptRef { run: uid, step: *step, attempt: *attempt };
                batch.starts.push((attempt, *kind));
            }
            Fact::AttemptEnded { step, attempt, .. } | Fact::Withheld { step, attempt, .. } => {
                batch.ended.push(AttemptRef { run: uid, step: *step, attempt: *attempt });
            }
            Fact::Ending { .. } => {
                batch.stops.extend(
                    slot.state
                        .live()
                        .filter(|(_, _, _, level)| *level > StopLevel::Run)
                        .map(|(step, attempt, _, level)| (AttemptRef { run: uid, step, attempt }, level)),
                );
            }
            Fact::Finished { outcome } => {
                batch.finished.push(uid);
                let created = slot.state.created();
                if let (Outcome::Succeeded, Some(of)) = (outcome, &created.slot) {
                    let (schedule, number) = (of.schedule.clone(), created.number);
                    self.schedules.note(now, &schedule, NoteFact::Succeeded { run: uid, number }, batch);
                }
            }
            Fact::Resumed { .. } | Fact::RollbackAsked { .. } => batch.finished.retain(|finished| *finished != uid),
            Fact::Created(_)
            | Fact::Due
            | Fact::Admitted { .. }
            | Fact::StepReady { .. }
            | Fact::StepSkipped { .. }
            | Fact::StepFailed { .. }
            | Fact::WaitBegan { .. }
            | Fact::WaitEnded { .. }
            | Fact::ApprovalAsked { .. }
            | Fact::ApprovalGiven { .. }
            | Fact::ApprovalTimedOut { .. }
            | Fact::StartDecided { .. }
            | Fact::RollingBack { .. }
            | Fact::ChildRollingBack { .. }
            | Fact::ChildStarting { .. }
            | Fact::ChildEnded { .. }
            | Fact::ChildWaits { .. }
            | Fact::Finishing { .. }
            | Fact::Resolved { .. }
            | Fact::RepeatEnded { .. }
            | Fact::RollbackAbandoned { .. }
            | Fact::Paused { .. }
            | Fact::LocksReleased { .. }
            | Fact::Provided { .. }
            | Fact::Continued { .. }
            | Fact::DeadlinesShifted { .. } => {}
        }
        if let Some(below) = children::told_below(&event.fact) {
            self.falling.entry(uid).or_default().push(below);
        }
        batch.events.push((uid, event));
        true
    }

    /// Brings the indexes in line with a run's state.
    fn index(&mut self, uid: RunUid, now: Timestamp) {
        self.index_places(uid);
        self.index_locks(uid, now);

        let Some(slot) = self.runs.get(&uid) else { return };
        let state = &slot.state;
        if state.gate().is_some()
            && let Some(group) = &state.created().group
        {
            let entry = (group.clone(), uid);
            let _ = if overlap::waits_by_and_by(state) { self.gated.insert(entry) } else { self.gated.remove(&entry) };
        }
        self.index_turns(uid, now);

        let Some(slot) = self.runs.get_mut(&uid) else { return };
        let (state, served) = (&slot.state, slot.quarantine.is_none());
        // What is due already gets no wake: a run is taken in that slept over its timeout.
        if served && state.is_overdue(now) {
            self.overdue.insert(uid);
        } else {
            self.overdue.remove(&uid);
        }
        let wake = if served { state.next_wake(now) } else { None };
        if wake != slot.wake {
            if let Some(at) = slot.wake {
                self.wakes.remove(&(at, uid));
            }
            if let Some(at) = wake {
                self.wakes.insert((at, uid));
            }
            slot.wake = wake;
        }
    }
}
