//! A slot that was missed runs after all, since a person asked for it: its run and its note are in one batch. Never knows
//! which slots were missed: that is in the ledger, which whoever asks has read.

use super::{Batch, Machine, Reply};
use crate::definition::ScheduleOverlap;
use crate::id::RunUid;
use crate::run::{Fact, Rejection, Start, protect};
use crate::schedule::{NoteFact, ScheduleName, SlotOf};
use crate::time::Timestamp;

/// A missed slot that is to run.
#[derive(Debug, Clone)]
pub struct CatchUp {
    /// Its schedule.
    pub schedule: ScheduleName,
    /// The slot: one of which the ledger says that it was missed.
    pub slot: Timestamp,
    /// What the schedule says of other runs that are on.
    pub overlap: ScheduleOverlap,
    /// The new run's uid.
    pub uid: RunUid,
    /// How to start it. Its request id names the slot, so that it is started once however often it is asked for.
    pub start: Start,
}

impl Machine {
    /// Starts the run of a slot that was missed. In a group it waits for its turn.
    ///
    /// # Errors
    /// The schedule is not known, the slot is still to come, who asks may not start it, nobody may now, another run is on that is
    /// not waited for, or the run cannot be made.
    pub(super) fn catch_up(&mut self, now: Timestamp, asked: CatchUp, batch: &mut Batch) -> Result<Reply, Rejection> {
        let CatchUp { schedule, slot, overlap, uid, mut start } = asked;
        if let Some(known) = self.answered_before(&start) {
            return known;
        }
        let known = self.schedule(schedule.as_str()).filter(|known| known.record.written.is_some());
        let Some(known) = known else {
            return Err(Rejection::NoSuchSchedule { schedule: schedule.to_string() });
        };
        if slot > known.record.through.min(now) {
            return Err(Rejection::SlotToCome { schedule: schedule.to_string(), slot: slot.to_string() });
        }
        self.check_room()?;
        // It counts as a schedule's run, and was asked for by somebody all the same.
        protect::check_roles(&start)?;
        start.number = self.next_number;
        let mut fact = protect::create(&start, now)?;
        if let Fact::Created(created) = &mut fact {
            created.slot = Some(SlotOf { schedule: schedule.clone(), at: slot });
            // Without a group nothing waits for its turn.
            let parallel = overlap == ScheduleOverlap::Allow || created.group.is_some();
            let other = self.on(created).first().filter(|_| !parallel).and_then(|other| self.run(*other));
            if let Some(other) = other {
                let (number, state) = (other.created().number, other.status().name());
                return Err(Rejection::SlotBusy { schedule: schedule.to_string(), number, state });
            }
        }
        let number = start.number;
        self.make(now, uid, &start, fact, batch)?;
        self.follow(now, uid, batch);
        self.schedules.note(now, &schedule, NoteFact::CaughtUp { slot, run: uid, number }, batch);
        Ok(self.reply(uid))
    }
}
