//! The daemon as far as the core can tell: gather, turn, append, act; and its death at any line of that.

use std::collections::{BTreeMap, BTreeSet};

use runbook_core::id::RunUid;
use runbook_core::machine::{AttemptRef, Batch, Machine, MachineInput, Reply};
use runbook_core::run::{
    ArtifactPaths, AttemptEnd, AttemptKind, Event, Fact, How, Input, NotStarted, Rejection, StopLevel,
};
use runbook_core::schedule::ScheduleName;
use runbook_core::time::{Span, Timestamp};
use runbook_journal::memory::{CrashPoint, MemoryStore};
use runbook_journal::{Store, StoreError, View};

use super::checkers::{self, Folded};
use super::faults::Settings;
use super::generator::POOLS;
use super::model::{Answer, Ask, Check, PlanModel, must};
use super::people::Deed;
use super::sabotage::Sabotage;
use super::schedules;
use super::trace;
use super::world::{Happening, World, clock_step};

/// The oldest commits that are archived in one go.
const ARCHIVED: usize = 20;
/// The longest until a fault that a turn brings on, in microseconds.
const SOON: i64 = 60_000_000;
/// The longest until an attempt that never ran is started again, in microseconds.
const RESPAWN: i64 = 2_000_000;

/// The daemon's process: all that a crash takes away.
pub(crate) struct Daemon {
    pub(crate) machine: Machine,
    pub(crate) store: MemoryStore,
    pub(crate) inbox: Vec<Ask>,
    pub(crate) folded: Folded,
    pub(crate) wake: Option<Timestamp>,
    /// Until when it is busy, in real time.
    pub(crate) busy_until: i64,
    /// The clock was set by so much, first at this time.
    pub(crate) shift: Option<(i64, i64)>,
    pub(crate) tokens: u64,
    pub(crate) waiting: BTreeMap<u64, Deed>,
    /// The inputs whose values it has, by the run at the top.
    pub(crate) memory: BTreeSet<(RunUid, String)>,
    /// Runs that are none, for a sabotage.
    pub(crate) ghosts: u64,
    /// The last good version of each schedule that it has read.
    pub(crate) good: BTreeMap<ScheduleName, PlanModel>,
}

/// Where the daemon dies in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    BeforeAppend,
    AfterAppend,
    /// After so many actions.
    Acting(usize),
    AfterActing,
}

/// Something that is done after the flush.
enum Action {
    Start(AttemptRef, AttemptKind),
    Stop(AttemptRef, StopLevel),
    Clean(AttemptRef),
    Prepare(ScheduleName, Timestamp),
    Reply(u64, Result<Reply, Rejection>),
}

impl World {
    fn boot(&self) -> String {
        format!("boot {}", self.boots)
    }

    /// The pools of the configuration, which somebody may have edited while the daemon was away.
    fn places_in_pools(&mut self) -> BTreeMap<String, usize> {
        let mut random = self.random.fork("pools", self.starts);
        if self.starts > 0 && random.percent(20) {
            self.settings.pools = Settings::pools(&mut random);
            self.seen.mark("pools have other places");
        }
        POOLS.iter().map(|name| (*name).to_owned()).zip(self.settings.pools).collect()
    }

    /// The daemon starts: from the journal, compared with what is going on.
    pub(crate) fn start(&mut self) -> Check {
        let store = MemoryStore::open(&self.disk);
        let now = self.wall();
        let next = self.disk.next_number().map_err(|error| error.to_string())?;
        let pools = self.places_in_pools();
        let settings = runbook_core::machine::Settings {
            places: self.settings.places,
            pools: Some(pools.clone()),
            boot: self.boot(),
            artifacts: ArtifactPaths::new(|run, step, attempt, name| format!("{run}/{}.{}/{name}", step.0, attempt.0)),
        };
        let mut machine = Machine::new(settings, next);
        for uid in self.disk.unfinished().map_err(|error| error.to_string())? {
            for uid in self.take_in(&mut machine, uid, now)? {
                let state = machine.run(uid).ok_or_else(|| format!("run {uid} was not taken in"))?;
                checkers::check_state(state, self.model.run(uid)?)?;
            }
        }
        for (name, record) in self.disk.schedules().map_err(|error| error.to_string())? {
            machine.load_schedule(name, record);
        }
        self.check_records()?;
        let (boot, seen) = (self.boot(), &mut self.seen);
        self.model.restarted(&boot, now, pools);
        seen.mark("start");
        let due = machine.due(now);
        self.trace.note(self.mono, || format!("the daemon starts in {boot}, {} attempts are due", due.attempts.len()));
        self.daemon = Some(Daemon {
            machine,
            store,
            inbox: Vec::new(),
            folded: due.attempts.clone(),
            // Restart is no special path: an empty turn at once.
            wake: Some(now),
            busy_until: self.mono,
            shift: None,
            tokens: self.turns << 20,
            waiting: BTreeMap::new(),
            memory: BTreeSet::new(),
            ghosts: 0,
            good: BTreeMap::new(),
        });
        self.starts += 1;
        self.read_folder_soon();
        for (attempt, level) in &due.attempts {
            self.reconcile(*attempt, *level)?;
        }
        let others: Vec<AttemptRef> = self.outside.iter().map(|(attempt, _)| *attempt).collect();
        for attempt in others.into_iter().filter(|attempt| !due.attempts.contains_key(attempt)) {
            self.check_other(attempt)?;
        }
        Ok(())
    }

    /// Takes the tree that a run belongs to into memory; gives all its runs, the one at the top first.
    fn take_in(&self, machine: &mut Machine, run: RunUid, now: Timestamp) -> Result<Vec<RunUid>, String> {
        let told = |error: StoreError| error.to_string();
        let top = self.disk.row_of_tree(run).map_err(told)?.ok_or_else(|| format!("run {run} has no tree"))?;
        let children = self.disk.children(&top).map_err(told)?;
        let all: Vec<RunUid> = std::iter::once(top.uid).chain(children).collect();
        for uid in &all {
            let events = self.disk.events(*uid, 0, usize::MAX).map_err(told)?;
            let illegal = match *uid == top.uid {
                true => {
                    let run = self.model.run(*uid)?;
                    let mut designs = run.designs.iter().map(|design| self.pinned(design, run.environment()));
                    let first = designs.next().ok_or("a run has no design")?;
                    machine.load(*uid, first, &designs.collect::<Vec<_>>(), &events, now)
                }
                false => machine.load_child(*uid, &events, now),
            };
            let illegal = illegal.map_err(|error| error.to_string())?;
            must(illegal.is_none(), || format!("the journal of run {uid} is illegal: {illegal:?}"))?;
        }
        Ok(all)
    }

    /// An attempt is due: what is really going on?
    fn reconcile(&mut self, attempt: AttemptRef, level: StopLevel) -> Check {
        let (kind, boot) = self.attempts.get(&attempt).cloned().ok_or("an attempt is due that was never durable")?;
        let (runs, verdict) = match self.outside.get(attempt) {
            Some(process) => (process.runs(), process.verdict().cloned()),
            None => (false, self.outside.fenced(attempt).cloned()),
        };
        if runs {
            self.seen.mark("adopted");
            self.stop(attempt, level);
        } else if let Some(end) = verdict {
            self.seen.mark("verdict found");
            self.at(self.mono, Happening::Report(attempt, Box::new(end)));
        } else if boot != self.boot() {
            self.seen.mark("lost with an earlier boot");
            self.fence(attempt, How::Lost { processes_left: false })?;
        } else {
            let soon = self.mono + self.random.spread(1, RESPAWN);
            self.at(soon, Happening::Respawn(attempt, kind));
        }
        Ok(())
    }

    /// An attempt that is due and never ran is started again under its number, unless it is to be stopped by now.
    pub(crate) fn respawn(&mut self, attempt: AttemptRef, kind: AttemptKind) -> Check {
        let known = self.outside.get(attempt).is_some() || self.outside.fenced(attempt).is_some();
        let level = self.daemon.as_ref().and_then(|daemon| daemon.folded.get(&attempt).copied());
        let Some(level) = level.filter(|_| !known) else { return Ok(()) };
        if level > StopLevel::Run && self.random.percent(50) {
            self.seen.mark("fenced");
            return self.fence(attempt, How::NotStarted(NotStarted::Canceled));
        }
        if let Some(daemon) = self.daemon.take() {
            let lacks = self.lacks(&daemon, attempt, kind);
            self.daemon = Some(daemon);
            if !lacks.is_empty() {
                return self.withhold_for_good(attempt, lacks);
            }
        }
        self.seen.mark("spawned after a start");
        self.spawn(attempt, kind)?;
        self.stop(attempt, level);
        Ok(())
    }

    /// An attempt that never ran never will; that is its end.
    fn fence(&mut self, attempt: AttemptRef, how: How) -> Check {
        let end = AttemptEnd::bare(how);
        self.at(self.mono, Happening::Report(attempt, Box::new(end.clone())));
        self.outside.fence(attempt, end)
    }

    /// Something is there that is not due: an end that is known already, or what processes left.
    fn check_other(&mut self, attempt: AttemptRef) -> Check {
        must(self.attempts.contains_key(&attempt), || {
            format!("processes of {attempt:?} are there, and no fact says so")
        })?;
        let Some(process) = self.outside.get(attempt) else { return Ok(()) };
        must(!process.runs(), || format!("processes of {attempt:?} run, and by the facts they have ended"))?;
        let ended = process.next().is_none();
        if ended && self.is_open(attempt) {
            self.seen.mark("verdict of left processes found");
            let end = process.verdict().cloned().ok_or("an ended process has no verdict")?;
            self.at(self.mono, Happening::Report(attempt, Box::new(end)));
        } else if ended {
            self.outside.clean(attempt);
        }
        Ok(())
    }

    /// Whether an end of an attempt is still to come: it is live, or its processes are left.
    fn is_open(&self, attempt: AttemptRef) -> bool {
        let run = self.model.runs.get(&attempt.run);
        run.is_some_and(|run| run.kind_of(attempt.step.index(), attempt.attempt.0).is_some())
    }

    /// The daemon dies.
    pub(crate) fn crash(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let faults = self.settings.faults;
        let power = !self.calm && self.random.percent(faults.power_cuts);
        self.trace
            .note(self.mono, || format!("the daemon dies{}", if power { ", and the machine with it" } else { "" }));
        if power {
            self.seen.mark("power cut");
            self.boots += 1;
            self.outside.power_cut(&mut self.random);
        }
        self.unreported.clear();
        let away = self.random.spread(1, faults.downtime);
        for deed in daemon.waiting.into_values() {
            if let Deed::Start { request: Some(_), .. } = deed
                && self.random.percent(70)
            {
                self.seen.mark("client repeats after a crash");
                let back = self.mono + away + self.random.spread(1, faults.downtime);
                self.at(back, Happening::Deed(Box::new(deed)));
            }
        }
        self.at(self.mono + away, Happening::Start);
    }

    /// News of an end reaches the daemon, if there is one.
    pub(crate) fn report(&mut self, attempt: AttemptRef, end: AttemptEnd) {
        let chance = self.random.next() as u32;
        let input = Input::Verdict { step: attempt.step, attempt: attempt.attempt, end: Box::new(end), chance };
        self.ask(Ask::Run { token: None, run: attempt.run, input });
    }

    fn death(&mut self) -> Option<Death> {
        if self.calm || !self.random.permille(self.settings.faults.crashes) {
            return None;
        }
        Some(match self.random.below(4) {
            0 => Death::BeforeAppend,
            1 => Death::AfterAppend,
            2 => Death::Acting(self.random.below(4)),
            _ => Death::AfterActing,
        })
    }

    /// One turn of the daemon's loop.
    pub(crate) fn turn(&mut self) -> Check {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let died = self.turn_of(&mut daemon);
        self.daemon = Some(daemon);
        if died? {
            self.crash();
        }
        Ok(())
    }

    /// Whether the daemon died in it.
    fn turn_of(&mut self, daemon: &mut Daemon) -> Result<bool, String> {
        let now = self.wall();
        let (asks, loaded) = self.gather(daemon, now)?;
        let inputs = asks.iter().map(machine_input).collect();
        self.trace.note(self.mono, || format!("turn at {now} with {} inputs", asks.len()));
        let mut batch = daemon.machine.turn(now, inputs);
        if self.sabotage == Some(Sabotage::StopLost) {
            batch.stops.clear();
        }
        checkers::fold(&mut daemon.folded, &batch);
        let death = self.death();
        if self.sabotage == Some(Sabotage::ActBeforeFlush) {
            self.act(daemon, &batch, usize::MAX)?;
        }
        let durable = self.append(daemon, &batch, death)?;
        if durable {
            if self.trace_on() {
                self.trace_batch(&batch);
            }
            self.follow(daemon, now, &asks, &batch)?;
        }
        match death {
            Some(Death::BeforeAppend) => {
                self.seen.mark("death before the append");
                return Ok(true);
            }
            Some(Death::AfterAppend) => {
                self.seen.mark("death after the append");
                return Ok(true);
            }
            _ => {}
        }
        if self.sabotage != Some(Sabotage::ActBeforeFlush) {
            let most = if let Some(Death::Acting(most)) = death { most } else { usize::MAX };
            let all = self.act(daemon, &batch, most)?;
            if let Some(Death::Acting(_)) = death {
                self.seen.mark(if all { "death after acting" } else { "death in the middle of acting" });
                return Ok(true);
            }
        }
        if death == Some(Death::AfterActing) {
            self.seen.mark("death after acting");
            return Ok(true);
        }
        self.look_again(daemon, &batch);
        daemon.machine.committed(&batch);
        for uid in loaded {
            daemon.machine.forget(uid);
        }
        self.haunt(daemon, &batch.finished, now)?;
        daemon.wake = batch.wake;
        if self.sabotage == Some(Sabotage::RetryLost) && !batch.events.is_empty() {
            daemon.wake = None;
        }
        daemon.busy_until = self.mono + self.random.spread(1, self.settings.faults.commit);
        if self.random.percent(5) {
            daemon.store.archive(ARCHIVED).map_err(|error| error.to_string())?;
        }
        if !self.calm && self.random.permille(self.settings.faults.clock_after_turns) {
            let soon = self.mono + self.random.spread(1, SOON);
            let by = clock_step(&mut self.random);
            self.at(soon, Happening::ClockStep(by));
        }
        if !self.calm && self.random.permille(self.settings.faults.crashes / 4) {
            let soon = self.mono + self.random.spread(1, SOON);
            self.at(soon, Happening::Crash);
        }
        Ok(false)
    }

    /// Takes what waits, as the daemon does: repeated requests of runs that are over are answered from the journal,
    /// runs that are over are taken in where somebody wants something of them.
    fn gather(&mut self, daemon: &mut Daemon, now: Timestamp) -> Result<(Vec<Ask>, Vec<RunUid>), String> {
        let mut asks = Vec::new();
        let mut loaded = Vec::new();
        for ask in std::mem::take(&mut daemon.inbox) {
            match &ask {
                Ask::Start { token, start, .. } | Ask::CatchUp { token, start, .. } => {
                    let known = daemon.machine.by_request(&start.request_id).is_some();
                    let row = self.disk.row_by_request(&start.request_id).map_err(|error| error.to_string())?;
                    if let Some(row) = row.filter(|_| !start.request_id.is_empty() && !known) {
                        self.seen.mark("repeated request of a run that is over");
                        let same = row.request_digest == start.request_digest;
                        let expected = if same { Answer::Repeated(row.uid) } else { Answer::Refused };
                        must(self.model.answer(&ask) == expected, || {
                            format!("the journal answers {expected:?} to {ask:?}")
                        })?;
                        daemon.waiting.remove(token);
                        continue;
                    }
                }
                Ask::Run { token: Some(_), run, .. } if daemon.machine.run(*run).is_none() => {
                    if self.model.runs.contains_key(run) {
                        let all = self.take_in(&mut daemon.machine, *run, now)?;
                        loaded.extend(all.first());
                    }
                }
                Ask::Run { .. } | Ask::Clock(_) | Ask::Folder(_) | Ask::Slot(_) | Ask::Pause { .. } => {}
            }
            if let Ask::Start { uid, start, .. } = &ask {
                daemon.memory.extend(start.sealed_inputs.iter().map(|name| (*uid, name.clone())));
            }
            asks.push(ask);
        }
        if let Some((_, by)) = daemon.shift.take() {
            asks.insert(self.random.below(asks.len() + 1), Ask::Clock(Span(by)));
        }
        Ok((asks, loaded))
    }

    /// Makes the batch durable, or dies before; tells which.
    fn append(&mut self, daemon: &mut Daemon, batch: &Batch, death: Option<Death>) -> Result<bool, String> {
        match death {
            Some(Death::BeforeAppend) => daemon.store.crash_at(CrashPoint::BeforeCommit),
            Some(Death::AfterAppend) => daemon.store.crash_at(CrashPoint::AfterCommit),
            Some(Death::Acting(_) | Death::AfterActing) | None => {}
        }
        let events: Vec<(RunUid, Event)> = self.written(batch);
        match daemon.store.commit(&events, &batch.notes) {
            Ok(_) => Ok(true),
            Err(StoreError::Crashed) => Ok(death == Some(Death::AfterAppend)),
            Err(error) => Err(format!("the journal refuses a batch: {error}")),
        }
    }

    /// What the model and the other checkers say to a durable batch.
    fn follow(&mut self, daemon: &Daemon, now: Timestamp, asks: &[Ask], batch: &Batch) -> Check {
        for (uid, event) in &batch.events {
            if let Fact::AttemptStarting { step, attempt, kind, boot } = &event.fact {
                let attempt = AttemptRef { run: *uid, step: *step, attempt: *attempt };
                self.attempts.insert(attempt, (*kind, boot.clone()));
            }
        }
        self.model.follow(now, asks, batch)?;
        self.tempt(batch);
        self.mark_notes(&batch.notes);
        checkers::check_preparing(&daemon.machine, &self.model, now)?;
        checkers::check_machine(&daemon.machine, &daemon.folded, batch.wake, now)?;
        checkers::check_told(&self.model, &daemon.folded)?;
        let mut touched: Vec<RunUid> = batch.events.iter().map(|(uid, _)| *uid).collect();
        touched.sort_unstable();
        touched.dedup();
        for uid in touched {
            let state = daemon.machine.run(uid).ok_or_else(|| format!("run {uid} is not in memory"))?;
            checkers::check_state(state, self.model.run(uid)?)?;
            if self.random.percent(6) {
                let events = self.disk.events(uid, 0, usize::MAX).map_err(|error| error.to_string())?;
                checkers::check_replay(state, &events)?;
            }
        }
        Ok(())
    }

    /// Acts upon a durable batch, at most so many times; tells whether that was all.
    fn act(&mut self, daemon: &mut Daemon, batch: &Batch, most: usize) -> Result<bool, String> {
        self.remember(daemon, batch);
        let mut actions = Vec::new();
        actions.extend(batch.starts.iter().map(|(attempt, kind)| Action::Start(*attempt, *kind)));
        actions.extend(batch.stops.iter().map(|(attempt, level)| Action::Stop(*attempt, *level)));
        actions.extend(batch.ended.iter().map(|attempt| Action::Clean(*attempt)));
        actions.extend(batch.slots.iter().map(|(name, slot)| Action::Prepare(name.clone(), *slot)));
        actions.extend(batch.replies.iter().map(|(token, reply)| Action::Reply(*token, reply.clone())));
        if self.sabotage == Some(Sabotage::DoubleStart) {
            actions.extend(batch.starts.first().map(|(attempt, kind)| Action::Start(*attempt, *kind)));
        }
        let all = actions.len() <= most;
        for action in actions.into_iter().take(most) {
            match action {
                Action::Start(attempt, kind) => match self.lacks(daemon, attempt, kind) {
                    lacks if lacks.is_empty() => self.spawn(attempt, kind)?,
                    lacks => self.withhold(attempt, lacks),
                },
                Action::Stop(attempt, level) => self.stop(attempt, level),
                // What processes left is still to be heard of.
                Action::Clean(attempt) if self.is_open(attempt) => {}
                Action::Clean(attempt) => self.outside.clean(attempt),
                Action::Prepare(name, slot) => self.prepare(name, slot),
                Action::Reply(token, reply) => {
                    daemon.waiting.remove(&token);
                    self.check_told_durable(reply)?;
                }
            }
        }
        Ok(all)
    }

    /// What somebody is told must be durable.
    fn check_told_durable(&self, reply: Result<Reply, Rejection>) -> Check {
        let Ok(reply) = reply else { return Ok(()) };
        let events = self.disk.events(reply.run, reply.last_event - 1, 1).map_err(|error| error.to_string())?;
        must(!events.is_empty(), || format!("somebody is told {reply:?}, and it is not durable"))
    }

    fn stop(&mut self, attempt: AttemptRef, level: StopLevel) {
        if let Some(look) = self.outside.stop(attempt, level, self.mono) {
            self.at(look, Happening::Process(attempt));
        }
    }

    fn trace_on(&self) -> bool {
        self.trace.is_on()
    }

    fn trace_batch(&mut self, batch: &Batch) {
        for (uid, event) in &batch.events {
            let line = trace::line(&self.model, *uid, event);
            self.trace.note(self.mono, || line);
        }
        for (name, note) in &batch.notes {
            self.trace.note(self.mono, || format!("  {name} notes {} {:?}", note.number, note.fact));
        }
        for (name, slot) in &batch.slots {
            self.trace.note(self.mono, || format!("  {name} prepares {slot}"));
        }
        for (_, reply) in &batch.replies {
            self.trace.note(self.mono, || format!("  answer {reply:?}"));
        }
    }
}

fn machine_input(ask: &Ask) -> MachineInput {
    match ask {
        Ask::Start { token, uid, start, .. } => MachineInput::Start { token: *token, uid: *uid, start: start.clone() },
        Ask::Run { token, run, input } => MachineInput::Run { token: *token, run: *run, input: input.clone() },
        Ask::Clock(by) => MachineInput::ClockSet(*by),
        Ask::Folder(_) | Ask::Slot(_) | Ask::CatchUp { .. } | Ask::Pause { .. } => {
            schedules::input(ask).unwrap_or(MachineInput::ClockSet(Span::ZERO))
        }
    }
}
