//! The one loop: take all waiting inputs, one turn, one flush, and only then start, stop, answer and publish.
//! Nobody outside learns of a fact that is not durable. Policy is the core's; this file holds none.

mod starting;

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::machine::{
    AttemptRef, Batch, CatchUp, Generation, Machine, MachineInput, Prepared, Reply, ScheduleInput, Token,
};
use runbook_core::run::{
    AttemptEnd, AttemptKind, Fact, Input, Outcome, Phase, Principal, Provision, Rejection, RunState, Start,
};
use runbook_core::schedule::ScheduleName;
use runbook_core::time::{Span, Timestamp};
use runbook_journal::{Journal, Retention, Store as _, View};
use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};

use crate::attempts::{Attempts, Report};
use crate::clock::{self, StepDetector};
use crate::hooks::Ear;
use crate::kept::{Records, Shelf};
use crate::maintenance::Maintenance;
use crate::narrate::narrate;
use crate::readiness::Readiness;
use crate::runs;
use crate::schedules::Planner;
use crate::secrets::{Fetched, Fetcher, Hidden};
use crate::successes::Successes;
use crate::surroundings::Surroundings;

/// Inputs taken into one turn.
const INPUTS: usize = 4_096;
/// The longest wait without looking at the clock: how soon a clock that was set is noticed.
const LOOK: Duration = Duration::from_secs(10);
/// How long nothing happens before the journal's mark is written.
const IDLE: Duration = Duration::from_secs(2);
/// How long ends of attempts may be gathered into one commit while many attempts are live and ends come fast: until a
/// quarter of the live attempts has ended, so that an end waits for less than a quarter of a mean attempt, and so long
/// at most.
const GATHER: Duration = Duration::from_millis(500);
/// Where fewer ends than these are expected meanwhile, a sync that is saved is not worth the wait.
const GATHER_LEAST: usize = 4;
/// Below so many live attempts nothing is gathered: each end goes on at once.
const GATHER_LIVE: usize = 16;

/// How often runs that need not be kept are looked for.
const PRUNE_PERIOD: Span = Span::minutes(10);

/// The answer to a caller.
pub type Answer = Result<Reply, Rejection>;

/// What the dispatcher takes.
pub enum Message {
    /// Make a run.
    Start {
        /// The new run's uid.
        uid: RunUid,
        /// What to make.
        start: Box<Start>,
        /// Who waits.
        answer: oneshot::Sender<Answer>,
    },
    /// Something for a run.
    Run {
        /// The run.
        run: RunUid,
        /// What.
        input: Box<Input>,
        /// Who waits.
        answer: oneshot::Sender<Answer>,
    },
    /// A person gives values to a run; they are there for what starts in the same turn.
    Provide {
        /// The run at the top.
        run: RunUid,
        /// Who gives which.
        provision: Box<Provision>,
        /// The values.
        values: Map<String, Value>,
        /// Who waits.
        answer: oneshot::Sender<Answer>,
    },
    /// A step of a run was withheld for values that are there: they were given while that was on its way.
    Available {
        /// The run.
        run: RunUid,
        /// Their inputs.
        inputs: BTreeSet<String>,
    },
    /// These schedules are to be fired.
    Schedules(Arc<Generation>),
    /// A slot was prepared, or could not be.
    Slot {
        /// Of this schedule.
        schedule: ScheduleName,
        /// Which.
        slot: Timestamp,
        /// How to start its run, or why not.
        prepared: Prepared,
    },
    /// Something for a schedule.
    Schedule {
        /// The schedule.
        schedule: ScheduleName,
        /// What.
        input: ScheduleInput,
        /// Who waits.
        answer: oneshot::Sender<Result<(), Rejection>>,
    },
    /// A slot that was missed is to run.
    CatchUp {
        /// Which, and how.
        asked: Box<CatchUp>,
        /// Who waits.
        answer: oneshot::Sender<Answer>,
    },
    /// Looks at the runs in memory.
    Query(Query),
    /// Changes what is kept beside the runs.
    Keep(Change),
    /// From the attempts.
    Report(Report),
    /// The secrets that an attempt waited for.
    Fetched(AttemptRef, Fetched),
    /// End the loop; attempts go on.
    Stop,
}

/// The way to the dispatcher.
#[derive(Clone)]
pub struct Handle {
    sender: Sender<Message>,
    watchers: Watchers,
}

/// Who waits for events of a run: the number of its latest durable event.
type Watchers = Arc<Mutex<HashMap<RunUid, watch::Sender<u64>>>>;

/// The dispatcher is gone: the daemon is ending.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the daemon is ending")]
pub struct Ending;

impl Handle {
    /// Makes a run.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn start(&self, uid: RunUid, start: Start) -> Result<Answer, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Start { uid, start: Box::new(start), answer })?;
        answered.await.map_err(|_| Ending)
    }

    /// Puts something to a run.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn run(&self, run: RunUid, input: Input) -> Result<Answer, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Run { run, input: Box::new(input), answer })?;
        answered.await.map_err(|_| Ending)
    }

    /// Gives values to a run.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn provide(
        &self,
        run: RunUid,
        provision: Provision,
        values: Map<String, Value>,
    ) -> Result<Answer, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Provide { run, provision: Box::new(provision), values, answer })?;
        answered.await.map_err(|_| Ending)
    }

    /// Puts something to a schedule.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn schedule(
        &self,
        schedule: ScheduleName,
        input: ScheduleInput,
    ) -> Result<Result<(), Rejection>, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Schedule { schedule, input, answer })?;
        answered.await.map_err(|_| Ending)
    }

    /// Has a slot that was missed run.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn catch_up(&self, asked: CatchUp) -> Result<Answer, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::CatchUp { asked: Box::new(asked), answer })?;
        answered.await.map_err(|_| Ending)
    }

    /// Tells which schedules are to be fired.
    pub fn plan(&self, generation: Arc<Generation>) {
        // When the loop has ended, nothing is fired any more.
        let _ = self.sender.send(Message::Schedules(generation));
    }

    /// Tells what came of the preparation of a slot.
    pub fn prepared(&self, schedule: ScheduleName, slot: Timestamp, prepared: Prepared) {
        // When the loop has ended, the next start looks at the slot again.
        let _ = self.sender.send(Message::Slot { schedule, slot, prepared });
    }

    /// Looks at the runs in memory, between two turns.
    ///
    /// # Errors
    /// The daemon is ending.
    pub async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Machine) -> T + Send + 'static,
    ) -> Result<T, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Query(Box::new(move |machine| {
            // Whoever asked may have gone.
            let _ = answer.send(look(machine));
        })))?;
        answered.await.map_err(|_| Ending)
    }

    /// Changes what is kept beside the runs, by what it is.
    ///
    /// # Errors
    /// The daemon is ending; the inner error is a refusal.
    pub async fn keep<E: Send + 'static>(
        &self,
        change: impl FnOnce(&Records) -> Result<Vec<Kept>, E> + Send + 'static,
    ) -> Result<Result<(), E>, Ending> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Keep(Box::new(move |records| {
            let (kept, told) = match change(records) {
                Ok(kept) => (kept, Ok(())),
                Err(refusal) => (Vec::new(), Err(refusal)),
            };
            // Whoever asked may have gone.
            (kept, Box::new(move || drop(answer.send(told))))
        })))?;
        answered.await.map_err(|_| Ending)
    }

    /// Tells of the number of a run's latest durable event, now and whenever it rises.
    pub fn watch(&self, run: RunUid) -> watch::Receiver<u64> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|_, sender| sender.receiver_count() > 0);
        watchers.entry(run).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// A report of the attempts.
    pub fn report(&self, report: Report) {
        // When the loop has ended, the next start finds the same by itself.
        let _ = self.sender.send(Message::Report(report));
    }

    /// The secrets that an attempt waited for.
    pub fn fetched(&self, attempt: AttemptRef, fetched: Fetched) {
        // When the loop has ended, the next start asks for them again.
        let _ = self.sender.send(Message::Fetched(attempt, fetched));
    }

    /// Ends the loop.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.sender.send(Message::Stop);
    }

    fn send(&self, message: Message) -> Result<(), Ending> {
        self.sender.send(message).map_err(|_| Ending)
    }
}

/// The way in, before there is a dispatcher.
pub fn channel() -> (Handle, Receiver<Message>) {
    let (sender, receiver) = mpsc::channel();
    (Handle { sender, watchers: Watchers::default() }, receiver)
}

/// The loop with everything that it drives.
pub struct Dispatcher {
    /// All runs.
    pub machine: Machine,
    /// The writer of the journal.
    pub journal: Journal,
    /// The readers' side of it.
    pub reader: Arc<dyn View>,
    /// Attempts on this machine.
    pub attempts: Attempts,
    /// What attempts are made of.
    pub surroundings: Surroundings,
    /// The way in.
    pub handle: Handle,
    /// Moves old commits out of the journal's tail.
    pub archiver: Maintenance,
    /// Which runs that are over are kept.
    pub retention: Retention,
    /// Prepares the starts of slots.
    pub planner: Planner,
    /// Who hears of what happens.
    pub ear: Ear,
    /// When each runbook succeeded last.
    pub successes: Arc<Successes>,
    /// What runs said about what can be restored.
    pub readiness: Arc<Readiness>,
    /// What is kept beside the runs.
    pub shelf: Arc<Shelf>,
    /// Reads secrets that take long.
    pub fetcher: Fetcher,
    /// Attempts that wait for their secrets.
    pub fetching: HashMap<AttemptRef, AttemptKind>,
    /// What runs were given that is to be hidden.
    pub hidden: Hidden,
}

/// Looks at the runs in memory, between two turns.
type Query = Box<dyn FnOnce(&Machine) + Send>;

/// Says what changes of what is kept beside the runs, and tells whoever asked once that is durable.
type Change = Box<dyn FnOnce(&Records) -> (Vec<Kept>, Box<dyn FnOnce() + Send>) + Send>;

struct Turn {
    inputs: Vec<MachineInput>,
    queries: Vec<Query>,
    changes: Vec<Change>,
    answers: HashMap<Token, oneshot::Sender<Answer>>,
    about_schedules: HashMap<Token, oneshot::Sender<Result<(), Rejection>>>,
    provided: HashMap<Token, (RunUid, Map<String, Value>)>,
    restarts: Vec<AttemptRef>,
    fetched: Vec<(AttemptRef, Fetched)>,
    loaded: Vec<RunUid>,
    ends: usize,
    stop: bool,
}

impl Dispatcher {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The journal cannot be written: nothing more may be told, and the process must end.
    pub fn run(mut self, receiver: &Receiver<Message>) -> Result<(), runbook_journal::StoreError> {
        let mut detector = StepDetector::new();
        let mut wake: Option<Timestamp> = Some(clock::now());
        let mut rate = EndRate::default();
        let mut unmarked = false;
        let mut pruned_at: Option<Timestamp> = None;
        let mut next_token: Token = 0;
        loop {
            let mut turn = self.gather(receiver, wake, unmarked, &mut rate, &mut next_token);
            if let Some(by) = detector.check() {
                tracing::warn!(seconds = by.0 / 1_000_000, "the wall clock was set; deadlines move with it");
                turn.inputs.push(MachineInput::ClockSet(by));
            }
            let now = clock::now();
            let idle = turn.inputs.is_empty()
                && turn.queries.is_empty()
                && turn.changes.is_empty()
                && turn.restarts.is_empty()
                && turn.fetched.is_empty();
            let batch = self.machine.turn(now, std::mem::take(&mut turn.inputs));
            if !batch.events.is_empty() || !batch.notes.is_empty() {
                let kept = self.shelf.look().of(&self.machine, &batch);
                self.journal.write(&batch.events, &batch.notes, &kept)?;
                self.shelf.take_in(&kept);
                unmarked = true;
            } else if idle && unmarked {
                self.journal.mark()?;
                unmarked = false;
            }
            self.act(&batch, &mut turn);
            self.machine.committed(&batch);
            for uid in turn.loaded {
                self.machine.forget(uid);
            }
            for query in turn.queries {
                query(&self.machine);
            }
            for change in turn.changes {
                let (kept, told) = change(&self.shelf.look());
                if !kept.is_empty() {
                    self.journal.write(&[], &[], &kept)?;
                    self.shelf.take_in(&kept);
                    unmarked = true;
                }
                told();
            }
            wake = batch.wake;
            if turn.stop {
                self.attempts.settle();
                self.journal.mark()?;
                return Ok(());
            }
            if self.reader.tail().is_long() {
                self.archiver.wake();
            }
            // Not only when idle: somebody may ask how things are all the time.
            if batch.events.is_empty() && batch.notes.is_empty() {
                self.prune(now, &mut pruned_at)?;
            }
        }
    }

    /// Removes runs that need not be kept, a few at a time and only while nothing else is to be done.
    fn prune(&mut self, now: Timestamp, pruned_at: &mut Option<Timestamp>) -> Result<(), runbook_journal::StoreError> {
        if pruned_at.is_some_and(|at| (now - at).0.abs() < PRUNE_PERIOD.0) {
            return Ok(());
        }
        let pruned = match self.journal.prune(&self.retention, now) {
            Ok(pruned) => pruned,
            // The journal itself is as it was, and the next start finishes what was begun.
            Err(runbook_journal::StoreError::File(error)) => {
                tracing::error!(%error, "old runs cannot be removed; trying again later");
                *pruned_at = Some(now);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for run in &pruned.runs {
            if let Err(error) = self.surroundings.sealer.forget(*run) {
                tracing::warn!(%error, %run, "a removed run's sealed inputs are left");
            }
        }
        if !pruned.runs.is_empty() {
            tracing::info!(runs = pruned.runs.len(), "old runs were removed");
            self.archiver.wake();
        }
        *pruned_at = if pruned.more { None } else { Some(now) };
        Ok(())
    }

    /// Waits for the first message, takes all that wait with it, and gathers ends of attempts where that saves
    /// commits without holding anybody up.
    fn gather(
        &mut self,
        receiver: &Receiver<Message>,
        wake: Option<Timestamp>,
        unmarked: bool,
        rate: &mut EndRate,
        next_token: &mut Token,
    ) -> Turn {
        let mut turn = Turn {
            inputs: Vec::new(),
            queries: Vec::new(),
            changes: Vec::new(),
            answers: HashMap::new(),
            about_schedules: HashMap::new(),
            provided: HashMap::new(),
            restarts: Vec::new(),
            fetched: Vec::new(),
            loaded: Vec::new(),
            ends: 0,
            stop: false,
        };
        let longest = if unmarked { IDLE } else { LOOK };
        let wait = wake.map_or(longest, |at| {
            let micros = u64::try_from((at - clock::now()).0).unwrap_or(0);
            longest.min(Duration::from_micros(micros))
        });
        match receiver.recv_timeout(wait) {
            Ok(message) => self.take(message, &mut turn, next_token),
            Err(RecvTimeoutError::Timeout) => return turn,
            // The handle in this struct keeps the channel open.
            Err(RecvTimeoutError::Disconnected) => turn.stop = true,
        }
        let since = Instant::now();
        loop {
            while turn.inputs.len() < INPUTS
                && let Ok(message) = receiver.try_recv()
            {
                self.take(message, &mut turn, next_token);
            }
            let live = self.machine.live_attempts();
            let asked = !turn.queries.is_empty() || !turn.changes.is_empty();
            let only_ends = turn.ends == turn.inputs.len() && !asked && !turn.stop;
            let wanted = live / 4;
            if live < GATHER_LIVE || !only_ends || turn.ends >= wanted || !rate.expects(GATHER_LEAST, GATHER) {
                break;
            }
            let Some(left) = GATHER.checked_sub(since.elapsed()) else { break };
            match receiver.recv_timeout(left) {
                Ok(message) => self.take(message, &mut turn, next_token),
                Err(_) => break,
            }
        }
        rate.saw(turn.ends);
        turn
    }

    fn take(&mut self, message: Message, turn: &mut Turn, next_token: &mut Token) {
        match message {
            Message::Start { uid, start, answer } => {
                if let Some(known) = self.answered_before(&start) {
                    // Whoever asked may have gone.
                    let _ = answer.send(known);
                    return;
                }
                *next_token += 1;
                turn.answers.insert(*next_token, answer);
                turn.inputs.push(MachineInput::Start { token: *next_token, uid, start });
            }
            Message::Run { run, input, answer } => {
                self.load(run, turn);
                *next_token += 1;
                turn.answers.insert(*next_token, answer);
                turn.inputs.push(MachineInput::Run { token: Some(*next_token), run, input: *input });
            }
            Message::Provide { run, provision, values, answer } => {
                self.load(run, turn);
                *next_token += 1;
                turn.answers.insert(*next_token, answer);
                turn.provided.insert(*next_token, (run, values));
                let input = Input::Provide(provision);
                turn.inputs.push(MachineInput::Run { token: Some(*next_token), run, input });
            }
            Message::Available { run, inputs } => {
                let (by, reason) = (Principal::engine(), "it was given before anybody waited for it".to_owned());
                let provision = Provision { inputs, by, roles: Vec::new(), reason };
                let input = Input::Available(Box::new(provision));
                turn.inputs.push(MachineInput::Run { token: None, run, input });
            }
            Message::Schedules(generation) => turn.inputs.push(MachineInput::Schedules(generation)),
            Message::Slot { schedule, slot, prepared } => {
                turn.inputs.push(MachineInput::Slot { schedule, slot, prepared });
            }
            Message::Schedule { schedule, input, answer } => {
                *next_token += 1;
                turn.about_schedules.insert(*next_token, answer);
                turn.inputs.push(MachineInput::Schedule { token: *next_token, schedule, input });
            }
            Message::CatchUp { asked, answer } => {
                if let Some(known) = self.answered_before(&asked.start) {
                    // Whoever asked may have gone.
                    let _ = answer.send(known);
                    return;
                }
                *next_token += 1;
                turn.answers.insert(*next_token, answer);
                turn.inputs.push(MachineInput::CatchUp { token: *next_token, asked });
            }
            Message::Query(query) => turn.queries.push(query),
            Message::Keep(change) => turn.changes.push(change),
            Message::Report(Report::Ended(attempt, end)) => {
                turn.ends += 1;
                turn.inputs.push(verdict(attempt, end));
            }
            Message::Report(Report::NeedsStart(attempt)) => turn.restarts.push(attempt),
            Message::Report(Report::Withheld(AttemptRef { run, step, attempt }, inputs)) => {
                let input = Input::Withheld { step, attempt, inputs };
                turn.inputs.push(MachineInput::Run { token: None, run, input });
            }
            Message::Fetched(attempt, fetched) => turn.fetched.push((attempt, fetched)),
            Message::Stop => turn.stop = true,
        }
    }

    /// The answer to a request that a run which is over has used.
    fn answered_before(&self, start: &Start) -> Option<Answer> {
        if start.request_id.is_empty() || self.machine.by_request(&start.request_id).is_some() {
            return None;
        }
        let row = self.reader.row_by_request(&start.request_id).ok().flatten()?;
        Some(if row.request_digest == start.request_digest {
            Ok(Reply { run: row.uid, number: row.number, last_event: row.last_event, repeated: true })
        } else {
            Err(Rejection::RequestIdReused { request_id: start.request_id.clone(), number: row.number })
        })
    }

    /// Takes a run that is over into memory, with its tree, for as long as the turn needs it.
    fn load(&mut self, run: RunUid, turn: &mut Turn) {
        if self.machine.run(run).is_some() {
            return;
        }
        let (reader, definitions) = (&*self.reader, &self.surroundings.definitions);
        // What cannot be read is not there; the API says why.
        if let Ok(top) = runs::take_in_tree(&mut self.machine, reader, definitions, run, clock::now()) {
            turn.loaded.push(top);
        }
    }

    /// The batch is durable: now it may be acted upon and told.
    fn act(&mut self, batch: &Batch, turn: &mut Turn) {
        for (token, answer) in &batch.replies {
            if let (Some((run, values)), Ok(_)) = (turn.provided.remove(token), answer) {
                self.surroundings.ephemeral.keep(run, values);
            }
        }
        for (attempt, kind) in &batch.starts {
            self.start(*attempt, *kind, Fetched::new());
        }
        for (attempt, fetched) in std::mem::take(&mut turn.fetched) {
            self.fetched(attempt, fetched);
        }
        for (attempt, level) in &batch.stops {
            self.stop(*attempt, *level);
        }
        for (run, event) in &batch.events {
            if let Fact::Withheld { inputs, .. } = &event.fact {
                self.look_again(*run, inputs);
            }
        }
        for attempt in &batch.ended {
            self.attempts.clean(*attempt, batch.finished.contains(&attempt.run));
        }
        for attempt in std::mem::take(&mut turn.restarts) {
            self.restart(attempt);
        }
        self.planner.prepare(&batch.slots);
        narrate(&self.machine, batch);
        for (schedule, why) in &batch.stopped {
            tracing::error!(%schedule, why, "the schedule is not fired any more: a note of it was illegal");
        }
        for (run, why) in &batch.quarantined {
            tracing::error!(%run, why, "the run is quarantined: an event of it was illegal");
        }
        for run in &batch.finished {
            let Some(state) = self.machine.run(*run) else { continue };
            self.surroundings.ephemeral.forget(*run);
            let (dry, succeeded) = (state.created().terms.dry, state.phase() == Phase::Terminal(Outcome::Succeeded));
            if !dry {
                self.readiness.add(state);
            }
            self.hidden.over(*run, succeeded);
            if !succeeded {
                continue;
            }
            if !dry && state.parent().is_none() {
                self.successes.add(&state.created().runbook, state.last_at());
            }
            if let Err(error) = self.surroundings.sealer.forget(*run) {
                tracing::warn!(%error, %run, "the run's sealed inputs cannot be removed");
            }
        }
        for (token, answer) in &batch.replies {
            if let Some(waiting) = turn.answers.remove(token) {
                // Whoever asked may have gone.
                let _ = waiting.send(answer.clone());
            }
        }
        for (token, answer) in &batch.schedule_replies {
            if let Some(waiting) = turn.about_schedules.remove(token) {
                // Whoever asked may have gone.
                let _ = waiting.send(answer.clone());
            }
        }
        self.ear.hear(&self.machine, batch);
        self.publish(batch);
    }

    /// A step is withheld for these inputs, and their values may have come since its attempt was to start.
    fn look_again(&self, run: RunUid, inputs: &[String]) {
        let Some(root) = self.machine.run(run).map(RunState::root) else { return };
        let there = |name: &&String| self.surroundings.ephemeral.get(root, name).is_some();
        let inputs: BTreeSet<String> = inputs.iter().filter(there).cloned().collect();
        if !inputs.is_empty() {
            // When the loop has ended, they are there no longer.
            let _ = self.handle.send(Message::Available { run, inputs });
        }
    }

    fn publish(&self, batch: &Batch) {
        let watchers = self.handle.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.is_empty() {
            return;
        }
        for (run, event) in &batch.events {
            if let Some(sender) = watchers.get(run) {
                sender.send_replace(event.number);
            }
            // Who watches the run at the top is told that there is something new below.
            let top = self.machine.run(*run).map(RunState::root).filter(|top| top != run);
            if let Some(sender) = top.and_then(|top| watchers.get(&top)) {
                sender.send_modify(|_| {});
            }
        }
    }
}

fn verdict(attempt: AttemptRef, end: Box<AttemptEnd>) -> MachineInput {
    MachineInput::Run {
        token: None,
        run: attempt.run,
        input: Input::Verdict { step: attempt.step, attempt: attempt.attempt, end, chance: chance() },
    }
}

/// A uniform number for jitter.
fn chance() -> u32 {
    crate::secrets::random::<4>().map_or(u32::MAX, u32::from_ne_bytes)
}

/// How fast ends of attempts come, as a moving mean.
#[derive(Debug, Default)]
struct EndRate {
    last: Option<Instant>,
    /// Between two ends, in seconds.
    interval: f64,
}

impl EndRate {
    fn saw(&mut self, ends: usize) {
        if ends == 0 {
            return;
        }
        let now = Instant::now();
        if let Some(last) = self.last {
            let interval = now.duration_since(last).as_secs_f64() / ends as f64;
            self.interval = self.interval * 0.75 + interval * 0.25;
        } else {
            self.interval = 1.0;
        }
        self.last = Some(now);
    }

    /// Whether so many ends are likely within a time.
    fn expects(&self, ends: usize, within: Duration) -> bool {
        self.interval * ends as f64 <= within.as_secs_f64()
    }
}
