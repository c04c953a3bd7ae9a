//! The policy of schedules: what is to be noted or started of one now, by its record, its timetable and what the folder
//! says of it. Pure; the rules are in `docs/schedules.md`. Never knows runs.

use std::sync::Arc;

use super::ledger::{Fate, Miss, NoteFact, Record, Skip};
use super::timetable::Timetable;
use super::written::Written;
use crate::definition::{Missed, MissedPolicy, ScheduleOverlap};
use crate::time::{Span, Timestamp};

/// What the folder says of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// When it is due.
    pub timetable: Arc<Timetable>,
    /// What becomes of slots that nobody started in time.
    pub missed: Missed,
    /// What becomes of a slot while another run is on.
    pub overlap: ScheduleOverlap,
    /// How much later than its slots it is due: its share of `jitter`.
    pub delay: Span,
    /// How late a slot is still on time.
    pub start_deadline: Span,
    /// How often a run of it is expected to succeed, where its author said so.
    pub expect: Option<Span>,
}

impl Plan {
    /// When it is due, as it is written.
    pub fn written(&self) -> Written {
        Arc::clone(&self.timetable).into()
    }
}

/// What is to be done about a schedule now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Something is to be noted, and then to be asked again.
    Note(NoteFact),
    /// This slot is to be prepared.
    Start(Timestamp),
    /// Nothing before this instant; never where there is none.
    Wait(Option<Timestamp>),
}

/// The slots of a schedule that have no entry.
struct Open<'a> {
    record: &'a Record,
    timetable: &'a Timetable,
}

impl Open<'_> {
    /// The next one after an instant.
    fn next_after(&self, mut after: Timestamp) -> Option<Timestamp> {
        loop {
            let next = self.timetable.next_after(after)?;
            let Some((_, last)) = self.record.stretches.around(next) else { return Some(next) };
            after = last;
        }
    }

    /// The first of all.
    fn first(&self) -> Option<Timestamp> {
        self.next_after(self.record.through)
    }

    /// The last one up to an instant, it included, where `first` is one that is not later.
    fn last_until(&self, first: Timestamp, until: Timestamp) -> Timestamp {
        let mut last = self.timetable.last_until(first, until);
        while let Some((begin, _)) = self.record.stretches.around(last).filter(|(begin, _)| *begin > first) {
            last = self.timetable.last_until(first, Timestamp(begin.0 - 1));
        }
        last
    }

    /// What became of all from the first to the last; of fewer where slots that ran lie between them.
    fn note(&self, first: Timestamp, last: Timestamp, fate: Fate) -> NoteFact {
        let last = self.last_until(first, last.min(self.record.stretches.free_until(first)));
        NoteFact::Slots { first, last, fate }
    }
}

/// When the next slot of a record comes, by this timetable.
pub fn next_slot(record: &Record, timetable: &Timetable) -> Option<Timestamp> {
    Open { record, timetable }.first()
}

/// What is to be done about a schedule of which nothing is being prepared.
pub(crate) fn next_step(record: &Record, plan: &Plan, now: Timestamp) -> Step {
    let Some(current) = record.timetable().filter(|_| !record.is_ahead(now)) else {
        return Step::Note(NoteFact::Planned(plan.written()));
    };
    let edited = *current != *plan.timetable;
    if record.pause.is_some()
        && let Some(skipped) = of_paused(record, current, plan.delay, now)
    {
        return Step::Note(skipped);
    }
    let fallen_due = Timestamp(now.0.saturating_sub(plan.delay.0));
    let open = Open { record, timetable: current };
    match open.first() {
        Some(first) if first <= fallen_due => of_due(&open, plan, first, open.last_until(first, fallen_due), now),
        // A slot of the old rule that waits for its jitter comes before the new rule.
        Some(first) if edited && first > now => Step::Note(NoteFact::Planned(plan.written())),
        None if edited => Step::Note(NoteFact::Planned(plan.written())),
        next => Step::Wait(next.map(|slot| slot + plan.delay)),
    }
}

/// What becomes of slots that have fallen due: all from the first to the last.
fn of_due(open: &Open<'_>, plan: &Plan, first: Timestamp, last: Timestamp, now: Timestamp) -> Step {
    let late = |slot: Timestamp| now - (slot + plan.delay);
    let before = |slot: Timestamp| open.last_until(first, Timestamp(slot.0 - 1));
    let on_time = late(last) <= plan.start_deadline;
    if plan.missed.policy == MissedPolicy::Skip {
        return match (on_time, first == last) {
            (true, true) => Step::Start(last),
            (true, false) => Step::Note(open.note(first, before(last), Fate::Missed(Miss::Late))),
            (false, _) => Step::Note(open.note(first, last, Fate::Missed(Miss::Late))),
        };
    }
    let made_up = late(first) <= plan.missed.window;
    if !made_up {
        // The latest one is on time by its start deadline, however short the window is.
        let edge = Timestamp(now.0 - plan.delay.0 - plan.missed.window.0 - 1).min(last);
        let edge = open.last_until(first, edge);
        if edge < last || !on_time {
            return Step::Note(open.note(first, edge, Fate::Missed(Miss::Window)));
        }
        if first < last {
            return Step::Note(open.note(first, before(last), Fate::Missed(Miss::Window)));
        }
        return Step::Start(last);
    }
    if plan.missed.policy == MissedPolicy::RunOnce {
        return match first == last {
            true => Step::Start(last),
            false => Step::Note(open.note(first, before(last), Fate::Merged { into: last })),
        };
    }
    // The newest ones, as many as it makes up for.
    let most = plan.missed.max as usize;
    let all = std::iter::successors(Some(first), |slot| open.next_after(*slot));
    let few = all.take(most + 1).take_while(|slot| *slot <= last).count();
    if few <= most {
        return Step::Start(first);
    }
    let mut kept = last;
    for _ in 1..most {
        kept = before(kept);
    }
    Step::Note(open.note(first, before(kept), Fate::Missed(Miss::Most)))
}

/// What becomes of slots that fell due in a pause: of the first of them, where slots that ran lie between.
pub(crate) fn of_paused(record: &Record, current: &Timetable, delay: Span, now: Timestamp) -> Option<NoteFact> {
    let fallen_due = Timestamp(now.0.saturating_sub(delay.0));
    let open = Open { record, timetable: current };
    let first = open.first().filter(|first| *first <= fallen_due)?;
    Some(open.note(first, fallen_due, Fate::Skipped(Skip::Paused)))
}

/// What becomes of slots of a schedule that is gone: of the first of them, where slots that ran lie between.
pub(crate) fn of_removed(record: &Record, current: &Timetable, now: Timestamp) -> Option<NoteFact> {
    let open = Open { record, timetable: current };
    let first = open.first().filter(|first| *first <= now)?;
    Some(open.note(first, now, Fate::Missed(Miss::Removed)))
}
