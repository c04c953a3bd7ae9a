//! Schedules beside the runs: which slots are to be prepared, and what becomes of each, in the same batch as the first
//! event of its run. Drives the policy of `schedule`; never knows how a start is prepared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::{Batch, Machine};
use crate::definition::{MissedPolicy, ScheduleOverlap};
use crate::id::RunUid;
use crate::limits;
use crate::run::view::RunStatus;
use crate::run::{Fact, Phase, Principal, Rejection, RunState, Start, Waits, protect};
use crate::schedule::{
    Fate, Note, NoteFact, Pause, Plan, Record, ScheduleName, Skip, SlotOf, Step, Timetable, next_step, of_paused,
    of_removed,
};
use crate::time::Timestamp;

/// The schedules of the folder, as they were read at a moment.
#[derive(Debug, Clone, Default)]
pub struct Generation {
    /// Those that there are.
    pub plans: BTreeMap<ScheduleName, Arc<Plan>>,
    /// The runbooks that could be read: what of them is not among the plans is gone.
    pub read: BTreeSet<String>,
    /// Whether every file could be read: then whatever is not among the plans is gone.
    pub whole: bool,
}

/// The start of a slot, prepared, or why there is none.
pub type Prepared = Result<(RunUid, Box<Start>), String>;

/// What a person can ask of a schedule.
#[derive(Debug, Clone)]
pub enum ScheduleInput {
    /// That it starts nothing.
    Pause(Pause),
    /// That it starts again what is due from here on.
    Resume {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
}

/// A schedule for who looks at it.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleView<'m> {
    /// Its name.
    pub name: &'m ScheduleName,
    /// What its notes add up to.
    pub record: &'m Record,
    /// What the folder says of it, while it is fired.
    pub plan: Option<&'m Plan>,
    /// The slot that is being prepared.
    pub preparing: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Schedule {
    record: Record,
    plan: Option<Arc<Plan>>,
    /// The slot that is being prepared.
    asked: Option<Timestamp>,
    // What the index below holds of it.
    wake: Option<Timestamp>,
}

impl Schedule {
    /// From here on it is fired by this.
    fn plan(&mut self, plan: &Arc<Plan>) {
        self.record.share(&plan.written());
        self.plan = Some(Arc::clone(plan));
    }

    /// What is to be done about it now; nothing while a slot is being prepared, or where nobody fires it.
    fn next_step(&self, now: Timestamp) -> Step {
        match &self.plan {
            Some(plan) if self.asked.is_none() => next_step(&self.record, plan, now),
            Some(_) | None => Step::Wait(None),
        }
    }
}

fn view<'m>(name: &'m ScheduleName, schedule: &'m Schedule) -> ScheduleView<'m> {
    ScheduleView { name, record: &schedule.record, plan: schedule.plan.as_deref(), preparing: schedule.asked }
}

/// All schedules, and which runs there are of each runbook.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    // In boxes: nodes of a tree are not full.
    all: BTreeMap<ScheduleName, Box<Schedule>>,
    wakes: BTreeSet<(Timestamp, ScheduleName)>,
    /// To be looked at whatever the time is.
    open: BTreeSet<ScheduleName>,
    runs: HashMap<String, BTreeSet<RunUid>>,
}

impl Schedules {
    /// A run is in memory.
    pub(super) fn came(&mut self, runbook: &str, run: RunUid) {
        self.runs.entry(runbook.to_owned()).or_default().insert(run);
    }

    /// A run has left memory.
    pub(super) fn left(&mut self, runbook: &str, run: RunUid) {
        if let Some(runs) = self.runs.get_mut(runbook) {
            runs.remove(&run);
            if runs.is_empty() {
                self.runs.remove(runbook);
            }
        }
    }

    /// The runs of a runbook that are in memory.
    pub(super) fn of_runbook(&self, runbook: &str) -> impl Iterator<Item = RunUid> {
        self.runs.get(runbook).into_iter().flatten().copied()
    }

    /// When to look again.
    pub(super) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        if self.open.is_empty() { self.wakes.first().map(|(at, _)| *at) } else { Some(now) }
    }

    /// The same, derived from the states alone, and the slots that are being prepared.
    pub(super) fn due(&self, now: Timestamp) -> (BTreeMap<ScheduleName, Timestamp>, Option<Timestamp>) {
        let asked = self.all.iter().filter_map(|(name, schedule)| Some((name.clone(), schedule.asked?))).collect();
        let wake = self.all.values().filter_map(|schedule| match schedule.next_step(now) {
            Step::Wait(at) => at,
            Step::Note(_) | Step::Start(_) => Some(now),
        });
        (asked, wake.min())
    }

    /// The clock was set: what waited for a time may wait for it no longer.
    pub(super) fn look_at_all(&mut self) {
        let fired = self.all.iter().filter(|(_, schedule)| schedule.plan.is_some() && schedule.asked.is_none());
        self.open.extend(fired.map(|(name, _)| name.clone()));
    }

    fn set_wake(&mut self, name: &ScheduleName, wake: Option<Timestamp>) {
        let Some(schedule) = self.all.get_mut(name).filter(|schedule| schedule.wake != wake) else { return };
        if let Some(at) = std::mem::replace(&mut schedule.wake, wake) {
            self.wakes.remove(&(at, name.clone()));
        }
        if let Some(at) = wake {
            self.wakes.insert((at, name.clone()));
        }
    }

    /// Takes a note in and puts it into the batch.
    pub(super) fn note(&mut self, now: Timestamp, name: &ScheduleName, fact: NoteFact, batch: &mut Batch) -> bool {
        let Some(schedule) = self.all.get_mut(name) else { return false };
        let note = Note { number: schedule.record.last + 1, at: now, fact };
        if let Err(misplaced) = schedule.record.apply(&note) {
            // As with a run whose event is illegal: it does nothing more, and the others go on.
            schedule.plan = None;
            batch.stopped.push((name.clone(), misplaced.to_string()));
            return false;
        }
        batch.notes.push((name.clone(), note));
        true
    }

    /// Does what is to be done about a schedule now.
    fn look(&mut self, now: Timestamp, name: &ScheduleName, batch: &mut Batch) {
        loop {
            let Some(schedule) = self.all.get_mut(name) else { return };
            match schedule.next_step(now) {
                Step::Wait(at) => return self.set_wake(name, at),
                Step::Start(slot) => {
                    schedule.asked = Some(slot);
                    batch.slots.push((name.clone(), slot));
                    return self.set_wake(name, None);
                }
                Step::Note(fact) => {
                    if !self.note(now, name, fact, batch) {
                        return self.set_wake(name, None);
                    }
                }
            }
        }
    }

    /// Notes what became of all slots that are left.
    fn note_left(
        &mut self,
        now: Timestamp,
        name: &ScheduleName,
        left: impl Fn(&Record, &Timetable, Timestamp) -> Option<NoteFact>,
        batch: &mut Batch,
    ) {
        while let Some(schedule) = self.all.get(name)
            && let Some(fact) = schedule.record.timetable().and_then(|current| left(&schedule.record, current, now))
            && self.note(now, name, fact, batch)
        {}
    }

    /// What a schedule that is gone leaves.
    fn remove(&mut self, now: Timestamp, name: &ScheduleName, batch: &mut Batch) {
        let Some(schedule) = self.all.get_mut(name) else { return };
        (schedule.plan, schedule.asked) = (None, None);
        self.note_left(now, name, of_removed, batch);
        if self.all.get(name).is_some_and(|schedule| schedule.record.written.is_some()) {
            self.note(now, name, NoteFact::Removed, batch);
        }
        self.set_wake(name, None);
    }

    /// Recomputes what is kept beside the states, and tells the first that differs.
    pub(super) fn audit(&self, now: Timestamp) -> Result<(), String> {
        for (name, schedule) in self.all.iter().filter(|(name, _)| !self.open.contains(*name)) {
            let Step::Wait(wake) = schedule.next_step(now) else {
                return Err(format!("something is to be done about {name}, and nobody looks"));
            };
            if wake != schedule.wake || wake.is_some_and(|at| !self.wakes.contains(&(at, name.clone()))) {
                return Err(format!("{name} is due at {wake:?}, the index says {:?}", schedule.wake));
            }
        }
        let kept = self.all.values().filter(|schedule| schedule.wake.is_some()).count();
        if kept != self.wakes.len() {
            Err(format!("{kept} schedules wake, the index has {}", self.wakes.len()))
        } else {
            Ok(())
        }
    }
}

impl Machine {
    /// Takes in what the journal knows of a schedule.
    pub fn load_schedule(&mut self, name: ScheduleName, record: Record) {
        self.schedules.all.insert(name, Box::new(Schedule { record, ..Schedule::default() }));
    }

    /// All schedules that are or were known, by name.
    pub fn schedules(&self) -> impl Iterator<Item = ScheduleView<'_>> {
        self.schedules.all.iter().map(|(name, schedule)| view(name, schedule))
    }

    /// Those with names behind this one.
    pub fn schedules_after(&self, name: &str) -> impl Iterator<Item = ScheduleView<'_>> {
        let behind = self.schedules.all.range::<str, _>((Excluded(name), Unbounded));
        behind.map(|(name, schedule)| view(name, schedule))
    }

    /// A schedule that is or was known.
    pub fn schedule(&self, name: &str) -> Option<ScheduleView<'_>> {
        self.schedules.all.get_key_value(name).map(|(name, schedule)| view(name, schedule))
    }

    /// Whether a run of a schedule is on.
    pub fn is_on(&self, schedule: &ScheduleName) -> bool {
        self.schedules.of_runbook(schedule.runbook()).filter_map(|uid| self.run(uid)).any(|run| {
            let own = run.created().slot.as_ref().is_some_and(|slot| slot.schedule == *schedule);
            own && !matches!(run.phase(), Phase::Terminal(_))
        })
    }

    /// The folder was read: what schedules there are.
    pub(super) fn plan(&mut self, now: Timestamp, generation: &Generation, batch: &mut Batch) {
        let Schedules { all, open, .. } = &mut self.schedules;
        let mut plans = generation.plans.iter().peekable();
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        // Both are in the order of their names: a hundred thousand cost no search each.
        for (name, schedule) in all.iter_mut() {
            while let Some(plan) = plans.next_if(|(of, _)| *of < name) {
                new.push(plan);
            }
            if let Some((_, plan)) = plans.next_if(|(of, _)| *of == name) {
                if schedule.plan.as_ref() != Some(plan) {
                    schedule.plan(plan);
                    open.insert(name.clone());
                }
            } else if (generation.whole || generation.read.contains(name.runbook()))
                && (schedule.plan.is_some() || schedule.record.written.is_some())
            {
                gone.push(name.clone());
            }
        }
        for (name, plan) in new.into_iter().chain(plans) {
            let mut schedule = Box::<Schedule>::default();
            schedule.plan(plan);
            all.insert(name.clone(), schedule);
            open.insert(name.clone());
        }
        for name in gone {
            self.schedules.remove(now, &name, batch);
        }
    }

    /// Does what is due of schedules, as many as one turn looks at.
    pub(super) fn fire(&mut self, now: Timestamp, batch: &mut Batch) {
        let schedules = &mut self.schedules;
        while let Some((at, name)) = schedules.wakes.first().filter(|(at, _)| *at <= now).cloned() {
            schedules.set_wake(&name, None);
            schedules.wakes.remove(&(at, name.clone()));
            schedules.open.insert(name);
        }
        for _ in 0..limits::SCHEDULES_A_TURN {
            let Some(name) = schedules.open.pop_first() else { break };
            schedules.look(now, &name, batch);
        }
    }

    /// A person wants something of a schedule.
    ///
    /// # Errors
    /// It is not known, or is so already.
    pub(super) fn put_schedule(
        &mut self,
        now: Timestamp,
        name: &ScheduleName,
        input: ScheduleInput,
        batch: &mut Batch,
    ) -> Result<(), Rejection> {
        let schedules = &mut self.schedules;
        let known = schedules.all.get_mut(name).filter(|schedule| schedule.record.written.is_some());
        let Some(schedule) = known else {
            return Err(Rejection::NoSuchSchedule { schedule: name.to_string() });
        };
        let fact = match (input, &schedule.record.pause) {
            (ScheduleInput::Pause(_), Some(pause)) => {
                let (by, reason) = (pause.by.name.clone(), pause.reason.clone());
                return Err(Rejection::SchedulePaused { schedule: name.to_string(), by, reason });
            }
            (ScheduleInput::Resume { .. }, None) => {
                return Err(Rejection::ScheduleNotPaused { schedule: name.to_string() });
            }
            (ScheduleInput::Pause(pause), None) => {
                // The slot that is being prepared is left out with those to come.
                schedule.asked = None;
                NoteFact::Paused(pause)
            }
            (ScheduleInput::Resume { by, reason }, Some(_)) => {
                // What was due until now belongs to the pause.
                let delay = schedule.plan.as_ref().map(|plan| plan.delay).unwrap_or_default();
                let left = |record: &Record, it: &Timetable, now| of_paused(record, it, delay, now);
                schedules.note_left(now, name, left, batch);
                NoteFact::Resumed { by, reason }
            }
        };
        schedules.note(now, name, fact, batch);
        schedules.open.insert(name.clone());
        Ok(())
    }

    /// A slot was prepared, or could not be: now it is decided what becomes of it.
    pub(super) fn prepared(
        &mut self,
        now: Timestamp,
        name: &ScheduleName,
        slot: Timestamp,
        prepared: Prepared,
        batch: &mut Batch,
    ) {
        let Some(schedule) = self.schedules.all.get_mut(name).filter(|it| it.asked == Some(slot)) else {
            // It was paused or removed meanwhile, and is accounted for.
            return;
        };
        schedule.asked = None;
        let fate = match (prepared, schedule.plan.clone()) {
            (Ok((uid, start)), Some(plan)) => self.start_slot(now, (name, slot), &plan, uid, *start, batch),
            (Err(why), _) => Fate::Failed { why: why.chars().take(limits::MESSAGE_BYTES / 4).collect() },
            // Without a plan nothing is asked.
            (Ok(_), None) => return,
        };
        self.schedules.note(now, name, NoteFact::Slots { first: slot, last: slot, fate }, batch);
        self.schedules.open.insert(name.clone());
    }

    /// Starts the run of a slot, unless another one is in the way.
    fn start_slot(
        &mut self,
        now: Timestamp,
        (name, slot): (&ScheduleName, Timestamp),
        plan: &Plan,
        uid: RunUid,
        mut start: Start,
        batch: &mut Batch,
    ) -> Fate {
        start.number = self.next_number;
        let failed = |rejection: Rejection| match rejection {
            Rejection::Frozen { why, .. } => Fate::Skipped(Skip::Frozen { why }),
            Rejection::OutsideHours { why, .. } => Fate::Skipped(Skip::Hours { why }),
            rejection => Fate::Failed { why: rejection.to_string() },
        };
        let mut created = match self.check_room().and_then(|()| protect::create(&start, now)) {
            Ok(Fact::Created(created)) => created,
            // A run begins with no other fact.
            Ok(_) => return Fate::Failed { why: "the run cannot be made".to_owned() },
            Err(rejection) => return failed(rejection),
        };
        created.slot = Some(SlotOf { schedule: name.clone(), at: slot });
        let on = self.on(&created);
        let blocking = on.iter().filter_map(|uid| self.runs.get(uid)).find(|other| match plan.overlap {
            ScheduleOverlap::Skip => true,
            // Who waits for such a one may wait for days, and so would all that come after.
            ScheduleOverlap::Queue | ScheduleOverlap::Replace => {
                other.quarantine.is_some() || other.state.waits() == Waits::Attention
            }
            ScheduleOverlap::Allow => false,
        });
        if let Some(other) = blocking {
            let state = match () {
                () if other.quarantine.is_some() => "quarantined",
                () if other.state.waits() == Waits::Attention => RunStatus::Attention.name(),
                () => other.state.status().name(),
            };
            return Fate::Skipped(Skip::Overlap { number: other.state.created().number, state: state.to_owned() });
        }
        if plan.overlap != ScheduleOverlap::Allow {
            let own = |state: &&RunState| {
                let slot = state.created().slot.as_ref();
                !state.holds() && slot.is_some_and(|slot| slot.schedule == *name)
            };
            let waiting: Vec<&RunState> = on.iter().filter_map(|uid| self.run(*uid)).filter(own).collect();
            let most = if plan.missed.policy == MissedPolicy::RunAll { plan.missed.max as usize } else { 1 };
            let latest = waiting.iter().max_by_key(|state| state.created().number);
            if let Some(latest) = latest.filter(|_| waiting.len() >= most) {
                return Fate::Waited { run: latest.uid(), number: latest.created().number };
            }
        }
        let number = created.number;
        if let Err(rejection) = self.make(now, uid, &start, Fact::Created(created), batch) {
            return failed(rejection);
        }
        self.follow(now, uid, batch);
        if plan.overlap == ScheduleOverlap::Replace {
            let holder = on.into_iter().find(|other| self.run(*other).is_some_and(RunState::holds));
            let reason = format!("replaced by run {number}: schedule {name}, slot {slot}");
            self.replace(now, holder.as_slice(), &Principal::engine(), &reason, batch);
        }
        Fate::Ran { run: uid, number }
    }
}
