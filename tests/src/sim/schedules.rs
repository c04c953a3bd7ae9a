//! Schedules in a world: a folder that is edited, a daemon that reads it late, slots that are prepared slowly or in vain,
//! persons who pause. And what must hold of the ledger in the end, whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{Missed, MissedPolicy, ScheduleOverlap};
use runbook_core::id::{Digest, RunUid};
use runbook_core::machine::{CatchUp, Generation, MachineInput, ScheduleInput};
use runbook_core::run::{Fact, Origin, Principal, Start, Terms};
use runbook_core::schedule::{Dst, Fate, Miss, MissedSlots, NoteFact, Pause, Plan, ScheduleName, Skip, Written};
use runbook_core::time::{Span, Timestamp};
use runbook_journal::View as _;
use serde_json::Value;

use super::design::{Design, ENVIRONMENTS, ROLES, SLOT};
use super::model::{
    Ask, Check, FolderModel, PlanModel, PreparedModel, ScheduleModel, is_taken, must, slots, to_confirm,
};
use super::random::Random;
use super::world::{Happening, World};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;
/// The longest that reading the folder takes.
const READING: i64 = 3 * SECOND;
/// The longest that preparing a slot takes.
const PREPARING: i64 = 90 * SECOND;

/// The folder of runbooks, as far as schedules go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    plans: BTreeMap<ScheduleName, PlanModel>,
    broken: BTreeSet<String>,
}

/// A rule as it is written.
pub(crate) fn written(plan: &PlanModel) -> Written {
    let minutes: Vec<String> = plan.minutes.iter().map(ToString::to_string).collect();
    Written::new(format!("{} * * * *", minutes.join(",")), "UTC", Dst::Cron)
}

/// A plan as the engine sees it.
fn plan(plan: &PlanModel) -> Arc<Plan> {
    let written = written(plan);
    let timetable = Arc::clone(written.timetable().unwrap_or_else(|why| panic!("{why}")));
    Arc::new(Plan {
        timetable,
        missed: Missed { policy: plan.policy, window: Span(plan.window), max: plan.most as u32 },
        overlap: plan.overlap,
        delay: Span(plan.delay),
        start_deadline: Span(plan.deadline),
        expect: None,
    })
}

/// What is told of the folder, for the engine.
pub(crate) fn generation(folder: &FolderModel) -> Arc<Generation> {
    Arc::new(Generation {
        plans: folder.plans.iter().map(|(name, it)| (name.clone(), plan(it))).collect(),
        read: folder.read.clone(),
        whole: folder.whole,
    })
}

/// What is asked about a schedule, for the engine.
pub(crate) fn input(ask: &Ask) -> Option<MachineInput> {
    Some(match ask {
        Ask::Folder(folder) => MachineInput::Schedules(generation(folder)),
        Ask::Slot(prepared) => MachineInput::Slot {
            schedule: prepared.schedule.clone(),
            slot: Timestamp(prepared.slot),
            prepared: match &prepared.start {
                Some(start) => Ok((prepared.uid, start.clone())),
                None => Err("the tool is gone".to_owned()),
            },
        },
        Ask::CatchUp { token, asked, start, overlap } => MachineInput::CatchUp {
            token: *token,
            asked: Box::new(CatchUp {
                schedule: asked.schedule.clone(),
                slot: Timestamp(asked.slot),
                overlap: *overlap,
                uid: asked.uid,
                start: Start::clone(start),
            }),
        },
        Ask::Pause { token, schedule, pause, by, reason } => {
            let (by, reason) = (by.clone(), reason.clone());
            let input = match pause {
                true => ScheduleInput::Pause(Pause { by, reason }),
                false => ScheduleInput::Resume { by, reason },
            };
            MachineInput::Schedule { token: *token, schedule: schedule.clone(), input }
        }
        Ask::Start { .. } | Ask::Run { .. } | Ask::Clock(_) => return None,
    })
}

impl World {
    /// What the folder holds at first, and when it is edited and schedules are paused.
    pub(crate) fn plan_schedules(&mut self, root: &Random) {
        let mut random = root.fork("schedules", 0);
        for number in 0..self.settings.schedules {
            let book = random.below(self.designs.len());
            let Some(design) = self.designs.get(book) else { continue };
            let name = ScheduleName::new(&design.runbook.name, &format!("s{number}"));
            let plan = draw(&mut random, design.group.is_some());
            self.folder.plans.insert(name, plan);
        }
        if self.settings.schedules == 0 {
            return;
        }
        let horizon = self.settings.horizon;
        for _ in 0..random.below(8) {
            self.at(random.between(0, horizon), Happening::Edit);
        }
        for _ in 0..random.below(6) {
            self.at(random.between(0, horizon), Happening::Pause);
        }
        let mut random = root.fork("catch up", 0);
        for _ in 0..random.below(6) {
            self.at(random.between(0, horizon), Happening::CatchUp);
        }
    }

    /// Somebody edits the folder.
    pub(crate) fn edit(&mut self) {
        if self.calm {
            return;
        }
        let mut random = self.random.fork("edit", self.mono as u64);
        let number = random.below(self.settings.schedules);
        let book = random.below(self.designs.len());
        let grouped = |name: &ScheduleName| {
            self.designs.iter().any(|design| design.runbook.name == name.runbook() && design.group.is_some())
        };
        let all: Vec<ScheduleName> = self.folder.plans.keys().cloned().collect();
        let some = all.get(random.below(all.len())).cloned();
        match (random.below(5), some) {
            (0, Some(name)) => {
                self.folder.plans.remove(&name);
            }
            (1, Some(name)) => {
                let grouped = grouped(&name);
                self.folder.plans.insert(name, draw(&mut random, grouped));
            }
            (2, Some(name)) => {
                // The same rule, and something else of it.
                let grouped = grouped(&name);
                let minutes = self.folder.plans.get(&name).map(|plan| plan.minutes.clone()).unwrap_or_default();
                self.folder.plans.insert(name, PlanModel { minutes, ..draw(&mut random, grouped) });
            }
            (3, Some(name)) => {
                let runbook = name.runbook().to_owned();
                if !self.folder.broken.remove(&runbook) {
                    self.folder.broken.insert(runbook);
                }
            }
            (_, _) => {
                let Some(design) = self.designs.get(book) else { return };
                let name = ScheduleName::new(&design.runbook.name, &format!("s{number}"));
                let back = self.model.schedules.get(&name).is_some_and(|it| it.rule.is_none() && it.notes > 0);
                self.seen.mark(if back { "schedule comes back" } else { "schedule is edited" });
                self.folder.plans.insert(name, draw(&mut random, design.group.is_some()));
            }
        }
        self.read_folder_soon();
    }

    /// The daemon reads the folder, sooner or later.
    pub(crate) fn read_folder_soon(&mut self) {
        if self.settings.schedules > 0 {
            let soon = self.mono + self.random.fork("read", self.mono as u64).spread(1, READING);
            self.at(soon, Happening::Folder);
        }
    }

    /// The daemon reads the folder: what is broken keeps its last good version.
    pub(crate) fn read_folder(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let Folder { plans, broken } = &self.folder;
        daemon.good.retain(|name, _| broken.contains(name.runbook()));
        daemon.good.extend(
            plans
                .iter()
                .filter(|(name, _)| !broken.contains(name.runbook()))
                .map(|(name, it)| (name.clone(), it.clone())),
        );
        let names = self.designs.iter().map(|design| design.runbook.name.clone());
        let read: BTreeSet<String> = names.filter(|name| !broken.contains(name)).collect();
        if !broken.is_empty() {
            self.seen.mark("folder is broken in part");
        }
        let folder = FolderModel { plans: daemon.good.clone(), read, whole: broken.is_empty() };
        self.ask(Ask::Folder(Box::new(folder)));
    }

    /// No schedule is left, so that the world comes to its end.
    pub(crate) fn clear_folder(&mut self) {
        self.folder = Folder::default();
        if self.daemon.is_some() && self.settings.schedules > 0 {
            self.read_folder();
        }
    }

    /// A slot fell due: it is prepared, and that takes a while.
    pub(crate) fn prepare(&mut self, schedule: ScheduleName, slot: Timestamp) {
        let mut random = self.random.fork(schedule.as_str(), slot.0 as u64 ^ self.turns);
        let longest = if random.percent(20) { PREPARING } else { SECOND };
        let took = random.spread(1, longest);
        let good = random.percent(90);
        let daemon = self.starts;
        self.at(self.mono + took, Happening::Prepared { schedule, slot, good, daemon });
    }

    /// A slot was prepared, by the daemon of that start.
    pub(crate) fn prepared(&mut self, schedule: ScheduleName, slot: Timestamp, good: bool, daemon: u64) {
        let design = self.designs.iter().find(|design| design.runbook.name == schedule.runbook()).cloned();
        let Some(design) = design.filter(|_| daemon == self.starts) else { return };
        let mut prepared = self.slot_of(schedule, slot, design);
        prepared.start = prepared.start.filter(|_| good);
        self.ask(Ask::Slot(Box::new(prepared)));
    }

    /// The start of a slot.
    fn slot_of(&self, schedule: ScheduleName, slot: Timestamp, design: Arc<Design>) -> PreparedModel {
        let mut random = self.random.fork(schedule.as_str(), slot.0 as u64 ^ self.mono as u64);
        let uid = RunUid::from_bits((u128::from(random.next()) << 64) | u128::from(random.next()));
        let input = if schedule.schedule() == "s0" { "a" } else { "b" };
        let environment = ENVIRONMENTS.get(random.below(6)).copied();
        let start = Start {
            number: 0,
            pinned: self.pinned(&design, environment),
            inputs: IndexMap::from([(SLOT.to_owned(), Value::from(input))]),
            sealed_inputs: Vec::new(),
            origin: Origin::Schedule,
            by: Principal::engine(),
            roles: Vec::new(),
            reason: format!("slot {slot}"),
            request_id: String::new(),
            request_digest: Digest::of(&slot.0.to_be_bytes()),
            commit: None,
            terms: Terms {
                confirmed: to_confirm(&design, input, &BTreeSet::new(), |_| true),
                environment: environment.map(str::to_owned),
                ..Terms::default()
            },
            parent: None,
            items: Vec::new(),
        };
        let start = Some(Box::new(start));
        PreparedModel { schedule, slot: slot.0, uid, start, design, input: input.to_owned() }
    }

    /// A person has slots run that were missed, as the ledger says; sometimes one that is still to come.
    pub(crate) fn catch_up(&mut self) -> Check {
        let mut random = self.random.fork("catch up", self.mono as u64);
        let known: Vec<ScheduleName> = self.model.schedules.keys().cloned().collect();
        let Some(schedule) = known.get(random.below(known.len())).cloned() else { return Ok(()) };
        let design = self.designs.iter().find(|design| design.runbook.name == schedule.runbook()).cloned();
        let Some(design) = design.filter(|_| self.daemon.is_some()) else { return Ok(()) };
        let now = self.wall();
        let mut missed = MissedSlots::between(Timestamp(now.0 - random.pick([60 * MINUTE, DAY, 10 * DAY])), now, 1_000);
        let notes = self.disk.notes(&schedule, None, usize::MAX).map_err(|error| error.to_string())?;
        for note in &notes {
            if missed.is_done() {
                break;
            }
            missed.read(note);
        }
        let mut chosen = missed.all();
        chosen.truncate(1 + random.below(3));
        if random.percent(30) {
            // Whoever asks twice in a breath starts nothing twice.
            chosen.extend(chosen.clone());
        }
        if random.percent(20) {
            let next =
                self.model.schedules.get(&schedule).and_then(|it| Some(slots(it.rule.as_ref()?, now.0, now.0 + DAY)));
            chosen.extend(next.unwrap_or_default().first().map(|slot| Timestamp(*slot)));
        }
        let overlap = match design.group.is_some() {
            true => random.pick([ScheduleOverlap::Skip, ScheduleOverlap::Queue]),
            false => random.pick([ScheduleOverlap::Skip, ScheduleOverlap::Allow]),
        };
        for slot in chosen {
            let mut asked = self.slot_of(schedule.clone(), slot, Arc::clone(&design));
            asked.uid = RunUid::from_bits(asked.uid.bits() ^ u128::from(random.next()));
            let Some(mut start) = asked.start.take() else { continue };
            start.request_id = format!("missed slot {schedule} {slot}");
            if random.percent(60) {
                start.roles.push(ROLES[0].to_owned());
            }
            asked.start = Some(start.clone());
            self.ask(Ask::CatchUp { token: random.next(), asked: Box::new(asked), start, overlap });
        }
        Ok(())
    }

    /// A person pauses a schedule, or resumes it; not always one that can be.
    pub(crate) fn pause(&mut self) {
        let mut random = self.random.fork("pause", self.mono as u64);
        let known: Vec<(ScheduleName, bool)> =
            self.model.schedules.iter().map(|(name, schedule)| (name.clone(), schedule.paused)).collect();
        let Some((schedule, paused)) = known.get(random.below(known.len())).cloned() else { return };
        let pause = if random.percent(85) { !paused } else { paused };
        let token = random.next();
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        self.ask(Ask::Pause { token, schedule: schedule.clone(), pause, by, reason: "why".to_owned() });
        if pause && random.percent(70) {
            self.at(self.mono + random.between(1, 20 * MINUTE), Happening::Pause);
        }
    }

    /// Marks what became of slots.
    pub(crate) fn mark_notes(&mut self, notes: &[(ScheduleName, runbook_core::schedule::Note)]) {
        for (name, note) in notes {
            if let NoteFact::Slots { fate: Fate::Skipped(Skip::Overlap { number, .. }), .. } = &note.fact
                && self.model.schedules.get(name).is_some_and(ScheduleModel::waits_for_others)
                && let Some(run) = self.model.runs.values().find(|run| run.created.number == *number)
                && !run.has_unknown()
            {
                self.seen.mark("slot skipped: a child run or a rollback needs a person");
            }
            let mark = match &note.fact {
                NoteFact::Planned(_) => "schedule planned",
                NoteFact::Removed => "schedule removed",
                NoteFact::Succeeded { .. } => "schedule succeeded",
                NoteFact::CaughtUp { .. } => "slot caught up",
                NoteFact::Paused(_) => "schedule paused",
                NoteFact::Resumed { .. } => "schedule resumed",
                NoteFact::Slots { fate, .. } => match fate {
                    Fate::Ran { .. } => "slot ran",
                    Fate::Skipped(Skip::Paused) => "slot skipped: paused",
                    Fate::Skipped(Skip::Frozen { .. }) => "slot skipped: frozen",
                    Fate::Skipped(Skip::Hours { .. }) => "slot skipped: hours",
                    Fate::Skipped(Skip::Overlap { .. }) => "slot skipped: overlap",
                    Fate::Merged { .. } => "slot merged",
                    Fate::Waited { .. } => "slot merged with a run that waits",
                    Fate::Missed(Miss::Late) => "slot missed: late",
                    Fate::Missed(Miss::Window) => "slot missed: window",
                    Fate::Missed(Miss::Most) => "slot missed: too many",
                    Fate::Missed(Miss::Removed) => "slot missed: removed",
                    Fate::Failed { .. } => "slot failed",
                },
            };
            self.seen.mark(mark);
        }
    }

    /// What is durable of schedules is what the model says, and what a machine was told at its start.
    pub(crate) fn check_records(&self) -> Check {
        let records = self.disk.schedules().map_err(|error| error.to_string())?;
        for (name, record) in records {
            let model = self.model.schedules.get(&name).ok_or_else(|| format!("{name} is in the journal alone"))?;
            let same = record.last == model.notes
                && model.through == Some(record.through.0)
                && record.written.is_some() == model.rule.is_some()
                && record.pause.is_some() == model.paused;
            must(same, || format!("{name}: the record is {record:?}, must be {model:?}"))?;
        }
        Ok(())
    }

    /// From the journal alone: one entry for each slot of the rule that held, and one run for each slot that ran.
    pub(crate) fn review_ledger(&self) -> Check {
        let mut ran: BTreeMap<RunUid, (ScheduleName, Timestamp)> = BTreeMap::new();
        for (name, _) in self.disk.schedules().map_err(|error| error.to_string())? {
            let mut ran_once: BTreeSet<i64> = BTreeSet::new();
            let mut notes = self.disk.notes(&name, None, usize::MAX).map_err(|error| error.to_string())?;
            notes.reverse();
            let mut rule: Option<BTreeSet<i64>> = None;
            let mut through = i64::MIN;
            for note in &notes {
                match &note.fact {
                    NoteFact::Planned(written) => {
                        if let Some(rule) = &rule {
                            let mut lost = slots(rule, through, note.at.0);
                            lost.retain(|slot| !is_taken(&ran_once, *slot));
                            must(lost.is_empty(), || format!("{name}: slots {lost:?} have no entry"))?;
                        }
                        let minutes = written.cron().split(' ').next().unwrap_or_default();
                        rule = Some(minutes.split(',').filter_map(|minute| minute.parse().ok()).collect());
                        // A clock that was far ahead is forgotten.
                        through =
                            if through.saturating_sub(note.at.0) > DAY { note.at.0 } else { through.max(note.at.0) };
                    }
                    NoteFact::Removed => rule = None,
                    NoteFact::Slots { first, last, fate } => {
                        let rule = rule.as_ref().ok_or_else(|| format!("{name}: slots of no rule: {note:?}"))?;
                        let mut all = slots(rule, through, last.0);
                        all.retain(|slot| *slot >= first.0 || !is_taken(&ran_once, *slot));
                        must(!all.iter().any(|slot| is_taken(&ran_once, *slot)), || {
                            format!("{name}: {note:?} is about slots that ran")
                        })?;
                        must(all.first() == Some(&first.0) && all.last() == Some(&last.0), || {
                            format!("{name}: {note:?} is about {all:?}")
                        })?;
                        through = last.0;
                        if let Fate::Ran { run, .. } = fate {
                            must(first == last, || format!("{name}: one run for several slots: {note:?}"))?;
                            let twice = ran.insert(*run, (name.clone(), *last));
                            must(twice.is_none(), || format!("run {run} ran for two slots: {twice:?}"))?;
                            must(ran_once.insert(last.0), || format!("{name}: two runs for the slot {last}"))?;
                        }
                    }
                    NoteFact::CaughtUp { slot, run, .. } => {
                        must(slot.0 <= through, || format!("{name}: {slot} was not missed"))?;
                        let twice = ran.insert(*run, (name.clone(), *slot));
                        must(twice.is_none(), || format!("run {run} ran for two slots: {twice:?}"))?;
                        must(ran_once.insert(slot.0), || format!("{name}: two runs for the slot {slot}"))?;
                    }
                    NoteFact::Paused(_) | NoteFact::Resumed { .. } | NoteFact::Succeeded { .. } => {}
                }
            }
        }
        for run in self.model.runs.keys() {
            let events = self.disk.events(*run, 0, 1).map_err(|error| error.to_string())?;
            let Some(Fact::Created(created)) = events.first().map(|event| &event.fact) else { continue };
            let slot = created.slot.clone().map(|slot| (slot.schedule, slot.at));
            must(ran.remove(run) == slot, || format!("run {run} says {slot:?}, the ledger something else"))?;
        }
        must(ran.is_empty(), || format!("slots ran by runs that are not there: {ran:?}"))
    }
}

/// A schedule that somebody writes.
fn draw(random: &mut Random, grouped: bool) -> PlanModel {
    let every = random.pick([1, 2, 3, 7, 15, 30]);
    let first = random.between(0, every - 1);
    let overlap = match grouped {
        true => random.pick([ScheduleOverlap::Skip, ScheduleOverlap::Queue, ScheduleOverlap::Replace]),
        false => random.pick([ScheduleOverlap::Skip, ScheduleOverlap::Allow]),
    };
    PlanModel {
        minutes: (0..60).filter(|minute| minute % every == first).collect(),
        policy: random.pick([MissedPolicy::Skip, MissedPolicy::RunOnce, MissedPolicy::RunAll]),
        window: random.pick([SECOND, 5 * MINUTE, 60 * MINUTE]),
        most: random.pick([1, 2, 5]),
        overlap,
        delay: random.pick([0, 0, 20 * SECOND, 3 * MINUTE]),
        deadline: random.pick([SECOND, 30 * SECOND, 5 * MINUTE]),
    }
}
