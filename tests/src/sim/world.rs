//! A world: the clock, what happens when, the phases from storm to calm to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runbook_core::id::RunUid;
use runbook_core::machine::AttemptRef;
use runbook_core::run::{AttemptEnd, AttemptKind, EndingCause, Fact, Pinned};
use runbook_core::schedule::ScheduleName;
use runbook_core::time::{Span, Timestamp};
use runbook_journal::View;
use runbook_journal::memory::MemoryDisk;

use super::checkers;
use super::design::Design;
use super::environment;
use super::faults::{Limits, Settings};
use super::generator;
use super::model::{Ask, Check, Model, RunModel, Status, must};
use super::outside::{self, Outside};
use super::people::Deed;
use super::random::Random;
use super::sabotage::{self, Sabotage};
use super::schedules::Folder;
use super::seen::Seen;
use super::trace::Trace;
use super::turn::Daemon;

/// Where the wall clock stands at first: some day.
pub(crate) const EPOCH: i64 = 1_800_000_000_000_000;
/// More turns than any world needs.
const TURNS: u64 = 40_000;
/// The daemon looks at the clock at least so often, in microseconds.
const LOOK: i64 = 10_000_000;
/// A step of the clock that is smaller goes unnoticed, in microseconds.
const NOTICED: i64 = 2_000_000;
/// How often, at the end, a person settles all that waits for one.
const ROUNDS: usize = 500;

/// A clock that is off by more than this is set right later, in microseconds.
const DAY: i64 = 86_400_000_000;
/// The longest until then, in microseconds.
const RIGHT: i64 = 1_200_000_000;

/// By how much the clock is set, in microseconds.
pub(crate) fn clock_step(random: &mut Random) -> i64 {
    let size = random.spread(1_000, 7_200_000_000);
    // Some are of days.
    let size = if size % 8 == 0 { size.saturating_mul(40) } else { size };
    if random.percent(50) { size } else { -size }
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A client does something.
    Deed(Box<Deed>),
    /// Something about an attempt's processes changes.
    Process(AttemptRef),
    /// News of an end reaches the daemon.
    Report(AttemptRef, Box<AttemptEnd>),
    /// A daemon that was started anew starts an attempt that never ran.
    Respawn(AttemptRef, AttemptKind),
    /// The daemon of this start learns that an attempt does not start, for want of these inputs.
    Withhold { attempt: AttemptRef, inputs: BTreeSet<String>, daemon: u64 },
    /// The wall clock is set.
    ClockStep(i64),
    /// The wall clock, which was days off, is set right.
    ClockRight(i64),
    /// The daemon dies between two turns.
    Crash,
    /// The daemon starts.
    Start,
    /// Faults end.
    Calm,
    /// Somebody edits the folder of runbooks.
    Edit,
    /// The daemon reads it.
    Folder,
    /// A slot was prepared by the daemon of this start, or could not be.
    Prepared { schedule: ScheduleName, slot: Timestamp, good: bool, daemon: u64 },
    /// A person pauses a schedule, or resumes it.
    Pause,
    /// A person has slots run that were missed.
    CatchUp,
}

/// Everything.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) sabotage: Option<Sabotage>,
    /// Chance for the daemon's faults and for clients.
    pub(crate) random: Random,
    /// Where chance for processes is forked from.
    pub(crate) scripts: Random,
    /// Real time since the beginning, in microseconds.
    pub(crate) mono: i64,
    /// The wall clock less real time.
    pub(crate) offset: i64,
    pub(crate) calm: bool,
    queue: BTreeMap<(i64, u64), Happening>,
    queued: u64,
    pub(crate) outside: Outside,
    pub(crate) disk: MemoryDisk,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) model: Model,
    pub(crate) designs: Vec<Arc<Design>>,
    pub(crate) boots: u64,
    /// How often the daemon started.
    pub(crate) starts: u64,
    pub(crate) folder: Folder,
    /// Durable attempts: what they run, and in which boot.
    pub(crate) attempts: BTreeMap<AttemptRef, (AttemptKind, String)>,
    /// Reports that never came.
    pub(crate) unreported: BTreeSet<AttemptRef>,
    pub(crate) turns: u64,
    pub(crate) trace: Trace,
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(seed: u64, limits: Limits, sabotage: Option<Sabotage>, traced: bool) -> Self {
        let root = Random::new(seed);
        let settings = Settings::draw(&root, limits);
        let designs = generator::designs(&root, &settings);
        let mut world = Self {
            settings,
            sabotage,
            random: root.fork("daemon", 0),
            scripts: root.fork("scripts", 0),
            mono: 0,
            offset: EPOCH,
            calm: false,
            queue: BTreeMap::new(),
            queued: 0,
            outside: Outside::default(),
            disk: MemoryDisk::default(),
            daemon: None,
            model: Model::new(settings.places),
            designs,
            boots: 1,
            starts: 0,
            folder: Folder::default(),
            attempts: BTreeMap::new(),
            unreported: BTreeSet::new(),
            turns: 0,
            trace: Trace::new(traced),
            seen: Seen::default(),
        };
        world.plan(&root);
        world
    }

    /// What happens by plan.
    fn plan(&mut self, root: &Random) {
        self.at(0, Happening::Start);
        let mut random = root.fork("plan", 0);
        for (at, deed) in Deed::plan(&mut random, &self.settings) {
            self.at(at, Happening::Deed(Box::new(deed)));
        }
        let mut random = root.fork("clock", 0);
        for _ in 0..self.settings.faults.clock_steps {
            self.at(random.between(0, self.settings.horizon), Happening::ClockStep(clock_step(&mut random)));
        }
        self.plan_schedules(root);
        let calm = self.settings.horizon + self.settings.horizon / 4;
        self.at(calm, Happening::Calm);
    }

    pub(crate) const fn wall(&self) -> Timestamp {
        Timestamp(self.mono + self.offset)
    }

    pub(crate) fn at(&mut self, at: i64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at.max(self.mono), self.queued), happening);
    }

    /// A definition as the engine sees it.
    pub(crate) fn pinned(&self, design: &Design, environment: Option<&str>) -> Arc<Pinned> {
        let called: Vec<_> = design.called.iter().map(|called| self.pinned(called, environment)).collect();
        let mut runbook = sabotage::seen(&design.runbook, self.sabotage);
        runbook.environment = environment.map(environment::called).map(Box::new);
        Arc::new(Pinned::new(runbook, design.digest, called))
    }

    /// The definition of a run, as the engine sees it.
    pub(crate) fn pinned_of(&self, run: &RunModel) -> Result<Arc<Pinned>, String> {
        self.definitions_of(run)?.into_iter().next().ok_or_else(|| "its step runs nothing".to_owned())
    }

    /// All definitions that a run went by, as the engine sees them, the first one first.
    pub(crate) fn definitions_of(&self, run: &RunModel) -> Result<Vec<Arc<Pinned>>, String> {
        let Some(parent) = run.created.parent else {
            return Ok(run.designs.iter().map(|design| self.pinned(design, run.environment())).collect());
        };
        let above = self.definitions_of(self.model.run(parent.run)?)?;
        let below = above.iter().filter_map(|pinned| pinned.below(parent.step, &run.created.items));
        Ok(below.filter(|pinned| pinned.digest == run.created.definition).take(1).collect())
    }

    /// Lives until nothing is left to happen, then checks that everything came to its end.
    pub(crate) fn live(&mut self) -> Check {
        self.run_out()?;
        must(self.calm, || "the faults did not end".to_owned())?;
        self.check_waiting()?;
        self.settle_everything()?;
        self.check_over()
    }

    fn run_out(&mut self) -> Check {
        while let Some(at) = self.next_time() {
            self.mono = at;
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= at) {
                let happening = entry.remove();
                self.happen(happening)?;
            }
            if self.turn_at().is_some_and(|due| due <= at) {
                self.turns += 1;
                must(self.turns < TURNS, || format!("{TURNS} turns did not bring it to an end"))?;
                self.turn()?;
            }
        }
        Ok(())
    }

    fn next_time(&self) -> Option<i64> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        [queued, self.turn_at()].into_iter().flatten().min()
    }

    /// When the daemon takes its next turn.
    fn turn_at(&self) -> Option<i64> {
        let daemon = self.daemon.as_ref()?;
        let wake = daemon.wake.map(|wake| wake.0 - self.offset);
        let inputs = (!daemon.inbox.is_empty()).then_some(self.mono);
        let look = daemon.shift.map(|(since, _)| since + LOOK);
        let due = [wake, inputs, look].into_iter().flatten().min()?;
        Some(due.max(daemon.busy_until).max(self.mono))
    }

    fn happen(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Deed(deed) => self.act_out(*deed),
            Happening::Process(attempt) => self.process(attempt),
            Happening::Report(attempt, end) => self.report(attempt, *end),
            Happening::Respawn(attempt, kind) => self.respawn(attempt, kind)?,
            Happening::Withhold { attempt, inputs, daemon } => self.withheld(attempt, inputs, daemon),
            Happening::ClockStep(by) => {
                self.set_clock(by);
                // What is off by days is seen and set right, mostly while nothing but slots went by.
                let mut random = self.random.fork("right", self.mono as u64);
                if by.abs() > DAY && random.percent(70) {
                    self.at(self.mono + random.between(1, RIGHT), Happening::ClockRight(-by));
                }
            }
            Happening::ClockRight(by) => {
                if !self.calm {
                    self.seen.mark("clock set right");
                    self.set_clock(by);
                }
            }
            Happening::Crash => {
                if self.daemon.is_some() {
                    self.seen.mark("crash between turns");
                    self.crash();
                }
            }
            Happening::Start => {
                if self.daemon.is_none() {
                    self.start()?;
                }
            }
            Happening::Calm => self.become_calm()?,
            Happening::Edit => self.edit(),
            Happening::Folder => self.read_folder(),
            Happening::Prepared { schedule, slot, good, daemon } => self.prepared(schedule, slot, good, daemon),
            Happening::Pause => self.pause(),
            Happening::CatchUp => self.catch_up()?,
        }
        Ok(())
    }

    fn set_clock(&mut self, by: i64) {
        self.offset += by;
        self.trace.note(self.mono, || format!("the clock is set by {}", Span(by)));
        if let Some(daemon) = &mut self.daemon {
            let (since, before) = daemon.shift.unwrap_or((self.mono, 0));
            let all = before + by;
            daemon.shift = (all.abs() >= NOTICED).then_some((since, all));
            self.seen.mark(if all.abs() >= NOTICED { "clock set" } else { "clock set a little" });
        }
    }

    fn become_calm(&mut self) -> Check {
        self.calm = true;
        self.trace.note(self.mono, || "the faults end".to_owned());
        // What was never reported is found by a start; without such a case nothing must need one.
        if self.daemon.is_some() && !self.unreported.is_empty() {
            self.crash();
        }
        if self.daemon.is_none() {
            self.start()?;
        }
        self.clear_folder();
        Ok(())
    }

    /// Something about an attempt's processes changes: it is told, sooner or later or never.
    fn process(&mut self, attempt: AttemptRef) {
        let (verdict, next) = self.outside.look(attempt, self.mono);
        if let Some(next) = next {
            self.at(next, Happening::Process(attempt));
        }
        let Some((attempt, end)) = verdict else { return };
        self.trace
            .note(self.mono, || format!("  processes of {} step {} ended: {:?}", attempt.run, attempt.step.0, end.how));
        let faults = self.settings.faults;
        let fault = |percent: u32| if self.calm { 0 } else { percent };
        if self.random.percent(fault(faults.lost)) {
            self.seen.mark("report lost");
            self.unreported.insert(attempt);
            return;
        }
        let mut delay = 0;
        if self.random.percent(fault(faults.late)) {
            self.seen.mark("report late");
            delay = self.random.spread(1_000, 120_000_000);
        }
        if self.random.percent(fault(faults.doubled)) {
            self.seen.mark("report doubled");
            let again = delay + self.random.spread(1, 300_000_000);
            self.at(self.mono + again, Happening::Report(attempt, Box::new(end.clone())));
        }
        self.at(self.mono + delay, Happening::Report(attempt, Box::new(end)));
    }

    /// Starts an attempt's processes.
    pub(crate) fn spawn(&mut self, attempt: AttemptRef, kind: AttemptKind) -> Check {
        checkers::check_spawn(&self.outside, &self.model, attempt, kind)?;
        let design = Arc::clone(&self.model.run(attempt.run)?.design);
        let number = attempt.run.bits() as u64 ^ (u64::from(attempt.step.0) << 20) ^ u64::from(attempt.attempt.0);
        let mut random = self.scripts.fork("script", number);
        let temper = if self.calm { self.settings.temper.calm() } else { self.settings.temper };
        let process = outside::process(&mut random, &design, attempt, kind, &temper, self.mono);
        let look = self.outside.spawn(attempt, process)?;
        self.at(look, Happening::Process(attempt));
        Ok(())
    }

    /// With the faults off and nothing left to happen: every run is terminal, or waits for a person, or for one that does.
    fn check_waiting(&self) -> Check {
        let waits = |uid: &RunUid| {
            self.model.runs.get(uid).is_some_and(|run| {
                let lacks =
                    |missing: &BTreeSet<String>| missing.iter().any(|name| !self.model.is_there(run.root(), name));
                let withheld = run.withheld().any(|(_, missing)| lacks(missing));
                withheld || run.has_unknown() || run.is_held() || !run.stuck().is_empty() || run.has_child()
            }) || !self.asking(*uid).is_empty()
        };
        for run in self.model.runs.values().filter(|run| !run.is_terminal()) {
            let kept = self.model.is_kept(run);
            must(waits(&run.uid) || kept, || format!("liveness: {run} waits for nothing"))?;
        }
        let left = self.outside.iter().find(|(_, process)| process.runs());
        must(left.is_none(), || format!("liveness: processes are left: {left:?}"))
    }

    /// A person settles every unknown step, and persons decide about every approval, until nothing is left. Then some of
    /// what did not succeed is resumed, and after that rolled back.
    fn settle_everything(&mut self) -> Check {
        let mut backs = [true, false].into_iter();
        for _ in 0..ROUNDS {
            let mut unknown = Vec::new();
            for run in self.model.runs.values() {
                let steps = run.steps.iter().enumerate();
                let steps = steps.filter(|(_, step)| matches!(step.status, Status::Unknown { .. }));
                unknown.extend(steps.map(|(no, _)| (run.uid, no)));
            }
            let runs: Vec<RunUid> = self.model.runs.keys().copied().collect();
            let asking = |uid: RunUid| self.asking(uid).into_iter().map(move |no| (uid, no));
            let asking: Vec<(RunUid, usize)> = runs.into_iter().flat_map(asking).collect();
            let held = self.model.runs.values().filter(|run| run.is_held()).map(|run| run.uid);
            let held: Vec<RunUid> = held.collect();
            let stuck: Vec<(RunUid, usize)> =
                self.model.runs.values().filter_map(|run| Some((run.uid, *run.stuck().first()?))).collect();
            let lacking = self.lacking();
            let settled = unknown.is_empty() && asking.is_empty() && held.is_empty() && stuck.is_empty();
            if settled && lacking.is_empty() {
                let Some(resumes) = backs.next() else { return Ok(()) };
                self.come_back_to_all(resumes);
            }
            for run in lacking {
                self.seen.mark("given at last");
                let ask = self.provide_all(run);
                self.ask(ask);
            }
            for (run, step) in stuck {
                self.seen.mark("compensation settled at last");
                let ask = self.settle_stuck(run, step);
                self.ask(ask);
            }
            for run in held {
                self.seen.mark("let go on at last");
                let ask = self.let_go_on(run);
                self.ask(ask);
            }
            for (run, step) in asking {
                self.seen.mark("decided at last");
                let ask = self.decide(run, step);
                self.ask(ask);
            }
            for (run, step) in unknown {
                self.seen.mark("settled at last");
                let ask = self.settle(run, step);
                self.ask(ask);
            }
            self.run_out()?;
        }
        let unknown: Vec<String> =
            self.model.runs.values().filter(|run| run.has_unknown()).map(ToString::to_string).collect();
        Err(format!("liveness: all was settled {ROUNDS} times, and still something is unknown: {unknown:?}"))
    }

    fn come_back_to_all(&mut self, resumes: bool) {
        let over: Vec<RunUid> =
            self.model.runs.values().filter(|run| run.is_terminal() && !run.is_done()).map(|run| run.uid).collect();
        for uid in over {
            if self.random.percent(70)
                && let Some(ask) = self.come_back(uid, resumes)
            {
                self.seen.mark(if resumes { "resumed at last" } else { "rolled back at last" });
                self.ask(ask);
            }
        }
    }

    /// Everything is over.
    fn check_over(&mut self) -> Check {
        for run in self.model.runs.values() {
            must(run.is_terminal(), || format!("liveness: {run} is not over"))?;
        }
        if let Some(daemon) = &self.daemon {
            let kept = daemon.machine.runs().find(|run| self.model.runs.contains_key(&run.uid()));
            must(kept.is_none(), || "the machine keeps a run that is over".to_owned())?;
            must(daemon.wake.is_none(), || format!("the machine wants to be called at {:?}", daemon.wake))?;
        }
        must(self.outside.iter().next().is_none(), || "processes are kept that nobody needs".to_owned())?;
        self.review()
    }

    /// Goes through the whole journal once more.
    fn review(&mut self) -> Check {
        self.check_records()?;
        self.review_ledger()?;
        for run in self.model.runs.values() {
            let events = self.disk.events(run.uid, 0, usize::MAX).map_err(|error| error.to_string())?;
            let definitions = self.definitions_of(run)?;
            let seen = &mut self.seen;
            let mut edited = false;
            for event in &events {
                match &event.fact {
                    Fact::Resumed { edited: Some(edit), .. } => {
                        edited = true;
                        seen.mark("edited");
                        if !edit.again.is_empty() {
                            seen.mark("edited: runs again");
                        }
                        if !edit.anew.is_empty() {
                            seen.mark("edited: makes a new child run");
                        }
                    }
                    Fact::ChildStarting { again: true, .. } if edited => seen.mark("edited: opens a child run again"),
                    Fact::Ending { cause: EndingCause::Deadlock { .. } } => seen.mark("circle broken"),
                    Fact::ChildStarting { step, again, .. } if run.design.step_has_items(step.index()) => {
                        seen.mark(if *again { "items opened again" } else { "items started" });
                    }
                    Fact::ChildStarting { step, again, .. } if run.design.repeat_of(step.index()).is_some() => {
                        seen.mark(if *again { "iterations opened again" } else { "iterations started" });
                    }
                    Fact::ChildRollingBack { step, .. } => {
                        let no = step.index();
                        seen.mark(match (run.design.step_has_items(no), run.design.repeat_of(no).is_some()) {
                            (true, _) => "items rolled back",
                            (_, true) => "iterations rolled back",
                            _ if run.design.step_is_block(no) => "block rolled back",
                            _ => "child run rolled back",
                        });
                    }
                    Fact::RollbackAbandoned { .. } if run.created.parent.is_some() => {
                        seen.mark("rollback below given up");
                    }
                    Fact::RepeatEnded { message, .. } => {
                        seen.mark(if message.is_empty() { "until held" } else { "iterations in vain" });
                    }
                    Fact::ChildStarting { step, again, .. } => match (run.design.step_is_block(step.index()), again) {
                        (true, true) => seen.mark("block opened again"),
                        (true, false) => seen.mark("block started"),
                        (false, true) => seen.mark("child run opened again"),
                        (false, false) => {}
                    },
                    Fact::Created(created) if created.inputs.contains_key("item") => {
                        seen.mark("block took an item along")
                    }
                    Fact::Created(created) if created.inputs.keys().any(|name| name.starts_with("steps.")) => {
                        seen.mark("block took a result along");
                    }
                    _ => {}
                }
                seen.facts.insert(event.fact.kind());
                if let Fact::AttemptEnded { then, .. } = &event.fact {
                    seen.thens.insert(Seen::then(*then));
                }
                let text = format!("{}{event:?}", run.uid);
                seen.history = text
                    .bytes()
                    .fold(seen.history, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            }
            let state = checkers::replay(run.uid, &events, &definitions, &mut |state, event| {
                let step = event.fact.step().and_then(|step| state.step(step));
                if let Some(step) = step {
                    seen.step_events.insert((step.progress.name(), event.fact.kind()));
                }
            })?;
            checkers::check_state(&state, run)?;
        }
        Ok(())
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        if let Some(daemon) = &mut self.daemon {
            daemon.inbox.push(ask);
        }
    }
}
