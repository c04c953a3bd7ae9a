//! Schedules as the model sees them: rules 13 to 31 of `docs/schedules.md`, minute by minute. Its own numbers in comments are
//! that page's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runbook_core::definition::{MissedPolicy, ScheduleOverlap};
use runbook_core::id::RunUid;
use runbook_core::machine::Batch;
use runbook_core::run::{Input, Principal, Provision, Start, Waits};
use runbook_core::schedule::{Fate, Miss, NoteFact, Pause, ScheduleName, Skip};
use runbook_core::time::Timestamp;

use super::super::design::Design;
use super::ask::Answer;
use super::run::RunModel;
use super::turn::Model;
use super::{Check, must};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 1_440 * MINUTE;

/// What the folder says of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanModel {
    /// The minutes of every hour at which it is due.
    pub(crate) minutes: BTreeSet<i64>,
    pub(crate) policy: MissedPolicy,
    /// All in microseconds.
    pub(crate) window: i64,
    pub(crate) most: usize,
    pub(crate) overlap: ScheduleOverlap,
    pub(crate) delay: i64,
    pub(crate) deadline: i64,
}

/// The folder as it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct FolderModel {
    pub(crate) plans: BTreeMap<ScheduleName, PlanModel>,
    pub(crate) read: BTreeSet<String>,
    pub(crate) whole: bool,
}

/// A slot that was prepared, or could not be.
#[derive(Debug, Clone)]
pub(crate) struct PreparedModel {
    pub(crate) schedule: ScheduleName,
    pub(crate) slot: i64,
    pub(crate) uid: RunUid,
    /// `None`: it could not be.
    pub(crate) start: Option<Box<Start>>,
    pub(crate) design: Arc<Design>,
    /// The input that names of groups depend on.
    pub(crate) input: String,
}

/// A schedule.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScheduleModel {
    pub(crate) notes: u64,
    /// Every slot up to here has an entry.
    pub(crate) through: Option<i64>,
    /// The rule that holds; `None` while it is gone.
    pub(crate) rule: Option<BTreeSet<i64>>,
    pub(crate) paused: bool,
    /// What the engine was told since it started.
    told: Option<PlanModel>,
    pub(crate) preparing: Option<i64>,
    /// The slots that ran.
    pub(crate) ran: BTreeSet<i64>,
}

/// What has to be noted in a turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    notes: Vec<(ScheduleName, NoteFact)>,
    /// Schedules of which runs succeeded (27).
    succeeded: Vec<(ScheduleName, RunUid)>,
    slots: Vec<(ScheduleName, i64)>,
    /// Runs that a slot under `replace` cancels (23), and a start (91 of `docs/runs.md`): in whose name.
    pub(super) cancels: Vec<(RunUid, Principal)>,
    /// Compensations that a resume tries again (133 of `docs/runs.md`).
    pub(super) tries: BTreeSet<(RunUid, usize)>,
    /// Runs below one that was given values, and what they are told of it (149 of `docs/runs.md`).
    pub(super) provided: BTreeMap<RunUid, Provision>,
    /// Runs that may be named as the reason for a skip.
    busy: Vec<(ScheduleName, i64, Vec<u64>)>,
    replies: Vec<bool>,
}

/// The slots of a rule after an instant, up to another.
pub(crate) fn slots(minutes: &BTreeSet<i64>, after: i64, until: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let mut minute = after.div_euclid(MINUTE) + 1;
    while minute * MINUTE <= until {
        if minutes.contains(&minute.rem_euclid(60)) {
            found.push(minute * MINUTE);
        }
        minute += 1;
    }
    found
}

/// Whether a slot had its run, or lies between two that ran at most an hour apart (26).
pub(crate) fn is_taken(ran: &BTreeSet<i64>, slot: i64) -> bool {
    let (before, after) = (ran.range(..=slot).next_back(), ran.range(slot..).next());
    before.zip(after).is_some_and(|(before, after)| after - before <= HOUR)
}

fn noted(first: i64, last: i64, fate: Fate) -> NoteFact {
    NoteFact::Slots { first: Timestamp(first), last: Timestamp(last), fate }
}

impl ScheduleModel {
    /// The engine was started anew: it knows what is durable.
    pub(crate) fn forget(&mut self) {
        (self.told, self.preparing) = (None, None);
    }

    /// Whether its runs wait for others.
    pub(crate) fn waits_for_others(&self) -> bool {
        let overlap = self.told.as_ref().map(|plan| plan.overlap);
        matches!(overlap, Some(ScheduleOverlap::Queue | ScheduleOverlap::Replace))
    }

    fn through(&self) -> i64 {
        self.through.unwrap_or(i64::MIN)
    }

    /// The slots by the rule that holds that fell due and have no entry.
    fn due(&self, delay: i64, now: i64) -> Vec<i64> {
        let all = self.rule.as_ref().map_or_else(Vec::new, |rule| slots(rule, self.through(), now - delay));
        all.into_iter().filter(|slot| !is_taken(&self.ran, *slot)).collect()
    }

    /// The notes of what became of slots, in runs of the same fate without one that ran between them.
    fn notes(&self, fates: &[(i64, Fate)]) -> Vec<NoteFact> {
        let together = |(one, fate): &(i64, Fate), (other, and): &(i64, Fate)| {
            fate == and && self.ran.range(*one..*other).next().is_none()
        };
        let all = fates.chunk_by(together);
        all.filter_map(|all| Some(noted(all.first()?.0, all.last()?.0, all.first()?.1.clone()))).collect()
    }

    /// What becomes of each slot that fell due (19, 20); `None` for one that starts.
    fn fates(plan: &PlanModel, due: &[i64], now: i64) -> Vec<Option<Fate>> {
        let late = |slot: i64| now - (slot + plan.delay);
        let Some(latest) = due.last().copied() else { return Vec::new() };
        let on_time = |slot: i64| slot == latest && late(slot) <= plan.deadline;
        if plan.policy == MissedPolicy::Skip {
            return due.iter().map(|slot| (!on_time(*slot)).then_some(Fate::Missed(Miss::Late))).collect();
        }
        let made_up = |slot: i64| late(slot) <= plan.window || on_time(slot);
        let mut kept: Vec<i64> = due.iter().copied().filter(|slot| made_up(*slot)).collect();
        if plan.policy == MissedPolicy::RunAll {
            kept = kept.split_off(kept.len().saturating_sub(plan.most));
        }
        let fate = |slot: i64| match (made_up(slot), plan.policy) {
            (false, _) => Some(Fate::Missed(Miss::Window)),
            (true, MissedPolicy::RunOnce) if slot == latest => None,
            (true, MissedPolicy::RunOnce) => Some(Fate::Merged { into: Timestamp(latest) }),
            (true, _) if kept.contains(&slot) => None,
            (true, _) => Some(Fate::Missed(Miss::Most)),
        };
        due.iter().map(|slot| fate(*slot)).collect()
    }
}

impl Model {
    /// A run is over (27).
    pub(super) fn hear_success(&mut self, uid: RunUid) {
        let slot = self.runs.get(&uid).and_then(|run| run.created.slot.as_ref());
        if let Some(slot) = slot {
            self.expected.succeeded.push((slot.schedule.clone(), uid));
        }
    }

    /// The engine was told what the folder says (13 to 15).
    pub(super) fn hear_folder(&mut self, folder: &FolderModel) {
        let now = self.now.0;
        for (name, plan) in &folder.plans {
            self.schedules.entry(name.clone()).or_default().told = Some(plan.clone());
        }
        for (name, schedule) in &mut self.schedules {
            let gone = folder.whole || folder.read.contains(name.runbook());
            if folder.plans.contains_key(name) || !gone {
                continue;
            }
            (schedule.told, schedule.preparing) = (None, None);
            let left: Vec<_> = schedule.due(0, now).into_iter().map(|it| (it, Fate::Missed(Miss::Removed))).collect();
            self.expected.notes.extend(schedule.notes(&left).into_iter().map(|note| (name.clone(), note)));
            schedule.through = left.last().map(|(slot, _)| *slot).or(schedule.through);
            if schedule.rule.take().is_some() {
                self.expected.notes.push((name.clone(), NoteFact::Removed));
            }
        }
    }

    /// A person pauses a schedule, or resumes it (18).
    pub(super) fn hear_pause(&mut self, name: &ScheduleName, pause: bool, by: &Principal, reason: &str) {
        let now = self.now.0;
        let known = self.schedules.get_mut(name).filter(|schedule| schedule.rule.is_some() && schedule.paused != pause);
        self.expected.replies.push(known.is_some());
        let Some(schedule) = known else { return };
        let (by, reason) = (by.clone(), reason.to_owned());
        schedule.paused = pause;
        if pause {
            schedule.preparing = None;
            self.expected.notes.push((name.clone(), NoteFact::Paused(Pause { by, reason })));
            return;
        }
        let left = schedule.due(schedule.told.as_ref().map_or(0, |plan| plan.delay), now);
        let left: Vec<_> = left.into_iter().map(|slot| (slot, Fate::Skipped(Skip::Paused))).collect();
        self.expected.notes.extend(schedule.notes(&left).into_iter().map(|note| (name.clone(), note)));
        schedule.through = left.last().map(|(slot, _)| *slot).or(schedule.through);
        self.expected.notes.push((name.clone(), NoteFact::Resumed { by, reason }));
    }

    /// A slot was prepared (21 to 24).
    pub(super) fn hear_prepared(&mut self, prepared: &PreparedModel) -> Answer {
        let PreparedModel { schedule: name, slot, uid, start, design, input } = prepared;
        let known = self.schedules.get_mut(name).filter(|schedule| schedule.preparing == Some(*slot));
        let Some(schedule) = known else { return Answer::Nothing };
        (schedule.preparing, schedule.through) = (None, Some(*slot));
        let Some(plan) = schedule.told.clone() else { return Answer::Nothing };
        let fate = match start {
            None => Fate::Failed { why: String::new() },
            Some(start) => {
                let place = (input.as_str(), start.terms.environment.as_deref());
                self.fate_of_start(name, *slot, &plan, *uid, design, place)
            }
        };
        let answer = if matches!(fate, Fate::Ran { .. }) { Answer::Accepted } else { Answer::Nothing };
        if let (Fate::Ran { .. }, Some(schedule)) = (&fate, self.schedules.get_mut(name)) {
            schedule.ran.insert(*slot);
        }
        self.expected.notes.push((name.clone(), noted(*slot, *slot, fate)));
        answer
    }

    /// A person has a missed slot run after all (28, 30).
    pub(super) fn answer_catch_up(&self, asked: &PreparedModel, start: &Start, overlap: ScheduleOverlap) -> Answer {
        if let Some(known) = self.answered_before(start) {
            return known;
        }
        let known = self.schedules.get(&asked.schedule).filter(|schedule| schedule.rule.is_some());
        let over = known.is_some_and(|schedule| asked.slot <= schedule.through() && asked.slot <= self.now.0);
        // 115
        if !self.may_catch_up(start) {
            return Answer::Refused;
        }
        let is_on = |run: &RunModel| {
            let here = run.environment() == start.terms.environment.as_deref();
            let same = run.created.runbook == asked.design.runbook.name && here;
            same && !run.is_terminal() && !run.created.terms.dry && run.begins.is_none()
        };
        let alone = overlap != ScheduleOverlap::Allow && asked.design.group.is_none();
        let busy = alone && self.runs.values().any(is_on);
        if over && !busy { Answer::Accepted } else { Answer::Refused }
    }

    /// It is made.
    pub(super) fn hear_caught_up(&mut self, asked: &PreparedModel) {
        let note = NoteFact::CaughtUp { slot: Timestamp(asked.slot), run: asked.uid, number: 0 };
        self.expected.notes.push((asked.schedule.clone(), note));
        if let Some(schedule) = self.schedules.get_mut(&asked.schedule) {
            schedule.ran.insert(asked.slot);
        }
    }

    fn fate_of_start(
        &mut self,
        name: &ScheduleName,
        slot: i64,
        plan: &PlanModel,
        uid: RunUid,
        design: &Design,
        (input, environment): (&str, Option<&str>),
    ) -> Fate {
        // 115
        if let Some(skip) = self.left_out(environment) {
            return Fate::Skipped(skip);
        }
        let group = design.group.as_ref().map(|name| name.rendered(input, environment));
        let overlaps = |run: &&RunModel| {
            let same = match &group {
                Some(_) => run.created.group == group,
                None => run.created.runbook == design.runbook.name && run.environment() == environment,
            };
            !run.is_terminal() && !run.created.terms.dry && run.begins.is_none() && same
        };
        let on: Vec<&RunModel> = self.runs.values().filter(overlaps).collect();
        let ran = Fate::Ran { run: uid, number: 0 };
        let blocking: Vec<u64> = match plan.overlap {
            ScheduleOverlap::Allow => return ran,
            ScheduleOverlap::Skip => on.iter().map(|run| run.created.number).collect(),
            ScheduleOverlap::Queue | ScheduleOverlap::Replace => {
                on.iter().filter(|run| run.waits() == Waits::Attention).map(|run| run.created.number).collect()
            }
        };
        if let Some(number) = blocking.first().copied() {
            self.expected.busy.push((name.clone(), slot, blocking));
            return Fate::Skipped(Skip::Overlap { number, state: String::new() });
        }
        let own =
            |run: &&&RunModel| run.created.slot.as_ref().is_some_and(|slot| slot.schedule == *name) && !run.holds();
        let waiting: Vec<&RunModel> = on.iter().filter(own).copied().collect();
        let most = if plan.policy == MissedPolicy::RunAll { plan.most } else { 1 };
        if let Some(latest) = waiting.iter().max_by_key(|run| run.created.number).filter(|_| waiting.len() >= most) {
            return Fate::Waited { run: latest.uid, number: latest.created.number };
        }
        if plan.overlap == ScheduleOverlap::Replace
            && let Some(holder) = on.iter().find(|run| run.holds())
        {
            let cancel = Input::Cancel { now: false, by: Principal::engine(), reason: String::new(), past: Vec::new() };
            if holder.answer(&cancel) == Answer::Accepted {
                self.expected.cancels.push((holder.uid, Principal::engine()));
            }
        }
        ran
    }

    /// What is due of a schedule after all that was asked (13, 14, 17 to 20).
    fn deal(&mut self, name: &ScheduleName) {
        let now = self.now.0;
        let Some(schedule) = self.schedules.get_mut(name) else { return };
        let Some(plan) = schedule.told.clone() else { return };
        while schedule.preparing.is_none() {
            let expect = &mut self.expected.notes;
            // 26
            if schedule.through.is_some_and(|through| through - now > DAY) {
                schedule.rule = Some(plan.minutes.clone());
                schedule.through = Some(now);
                expect.push((name.clone(), NoteFact::Planned(super::super::schedules::written(&plan))));
                continue;
            }
            let due = schedule.due(plan.delay, now);
            let fates = match schedule.paused {
                true => vec![Some(Fate::Skipped(Skip::Paused)); due.len()],
                false => ScheduleModel::fates(&plan, &due, now),
            };
            let before: Vec<(i64, Fate)> =
                due.iter().copied().zip(fates.iter().cloned()).map_while(|(slot, fate)| Some((slot, fate?))).collect();
            expect.extend(schedule.notes(&before).into_iter().map(|note| (name.clone(), note)));
            schedule.through = before.last().map(|(slot, _)| *slot).or(schedule.through);
            if let Some(slot) = due.get(before.len()) {
                schedule.preparing = Some(*slot);
                self.expected.slots.push((name.clone(), *slot));
            } else if schedule.rule.as_ref() != Some(&plan.minutes) && schedule.due(0, now).is_empty() {
                schedule.rule = Some(plan.minutes.clone());
                schedule.through = Some(schedule.through().max(now));
                let written = super::super::schedules::written(&plan);
                expect.push((name.clone(), NoteFact::Planned(written)));
            } else {
                return;
            }
        }
    }

    /// Compares what was noted in a turn with what had to be.
    pub(super) fn follow_schedules(&mut self, batch: &Batch) -> Check {
        for name in self.schedules.keys().cloned().collect::<Vec<_>>() {
            self.deal(&name);
        }
        let Expected { notes, succeeded, slots, cancels, tries, provided, busy, replies } =
            std::mem::take(&mut self.expected);
        must(tries.is_empty(), || format!("{tries:?} are not tried again (61, 133)"))?;
        must(provided.is_empty(), || format!("{:?} are not told what was given (149)", provided.keys()))?;
        must(cancels.is_empty(), || format!("runs {cancels:?} are not replaced (23, 91)"))?;
        must(batch.stopped.is_empty(), || format!("not fired any more: {:?}", batch.stopped))?;
        for (name, schedule) in &mut self.schedules {
            let is = batch.notes.iter().filter(|(of, _)| of == name);
            let mut should = notes.iter().filter(|(of, _)| of == name).map(|(_, fact)| fact);
            let mut good: Vec<RunUid> = succeeded.iter().filter(|(of, _)| of == name).map(|(_, run)| *run).collect();
            for (_, note) in is {
                schedule.notes += 1;
                must(note.number == schedule.notes && note.at == self.now, || {
                    format!("{name}: {note:?} is misplaced")
                })?;
                if let NoteFact::Succeeded { run, number } = &note.fact {
                    let place = good.iter().position(|good| good == run);
                    let place = place.ok_or_else(|| format!("{name}: run {run} did not succeed (27)"))?;
                    good.remove(place);
                    let right = self.runs.get(run).is_some_and(|run| run.created.number == *number);
                    must(right, || format!("{name}: run {run} has not the number {number} (27)"))?;
                    continue;
                }
                let fits = should.next().is_some_and(|should| fits(&self.runs, &busy, name, &note.fact, should));
                must(fits, || format!("{name}: {:?} is noted; must be {notes:?} (13 to 31)", note.fact))?;
            }
            must(good.is_empty(), || format!("{name}: it is not noted that {good:?} succeeded (27)"))?;
            let left = should.next();
            must(left.is_none(), || format!("{name}: {left:?} is not noted (13 to 31)"))?;
        }
        let known = |(name, _): &&(ScheduleName, _)| self.schedules.contains_key(name);
        must(batch.notes.iter().filter(known).count() == batch.notes.len(), || "a note of no schedule".to_owned())?;
        let mut told: Vec<(ScheduleName, i64)> = batch.slots.iter().map(|(name, at)| (name.clone(), at.0)).collect();
        told.sort();
        must(told == slots, || format!("slots {told:?} are to be prepared; must be {slots:?} (19 to 21)"))?;
        let answered: Vec<bool> = batch.schedule_replies.iter().map(|(_, reply)| reply.is_ok()).collect();
        must(answered == replies, || format!("answers about schedules are {answered:?}, must be {replies:?}"))
    }

    /// When something is due of schedules although nothing comes in.
    pub(super) fn next_slot(&self) -> Option<i64> {
        let next = |schedule: &ScheduleModel| {
            let plan = schedule.told.as_ref().filter(|_| schedule.preparing.is_none())?;
            let rule = schedule.rule.as_ref()?;
            let from = schedule.through();
            // One that ran is not due again, and a stretch of those may last.
            let mut hours = (0..10_000).map(|hour| from + hour * HOUR);
            let free =
                |from: i64| slots(rule, from, from + HOUR).into_iter().find(|slot| !is_taken(&schedule.ran, *slot));
            hours.find_map(free).map(|slot| slot + plan.delay)
        };
        self.schedules.values().filter_map(next).min()
    }
}

fn fits(
    runs: &BTreeMap<RunUid, RunModel>,
    busy: &[(ScheduleName, i64, Vec<u64>)],
    name: &ScheduleName,
    is: &NoteFact,
    should: &NoteFact,
) -> bool {
    if let (NoteFact::CaughtUp { slot, run, number }, NoteFact::CaughtUp { slot: of, run: wanted, .. }) = (is, should) {
        let right = runs.get(run).is_some_and(|run| run.created.number == *number);
        return (slot, run) == (of, wanted) && right;
    }
    let (NoteFact::Slots { first, last, fate }, NoteFact::Slots { first: from, last: to, fate: wanted }) = (is, should)
    else {
        return is == should;
    };
    let same = match (fate, wanted) {
        (Fate::Ran { run, number }, Fate::Ran { run: wanted, .. }) => {
            run == wanted && runs.get(run).is_some_and(|run| run.created.number == *number)
        }
        (Fate::Skipped(Skip::Overlap { number, state }), Fate::Skipped(Skip::Overlap { .. })) => {
            let of = |(of, slot, numbers): &(ScheduleName, i64, Vec<u64>)| {
                of == name && *slot == first.0 && numbers.contains(number)
            };
            busy.iter().any(of) && !state.is_empty()
        }
        (Fate::Failed { why }, Fate::Failed { .. })
        | (Fate::Skipped(Skip::Frozen { why }), Fate::Skipped(Skip::Frozen { .. }))
        | (Fate::Skipped(Skip::Hours { why }), Fate::Skipped(Skip::Hours { .. })) => !why.is_empty(),
        (fate, wanted) => fate == wanted,
    };
    same && (first, last) == (from, to)
}
