//! What became of every slot of a schedule: notes in their order, and the record that they add up to. Data, and the one
//! way in which a record changes. Never knows runs beyond their names, nor how notes are stored.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stretches::Stretches;
use super::timetable::Timetable;
use super::written::Written;
use crate::id::{InvalidId, RunUid, is_id};
use crate::limits;
use crate::run::Principal;
use crate::time::{Span, Timestamp};

/// Names a schedule: the runbook's name and its own, as `backup/nightly`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleName(Arc<str>);

impl ScheduleName {
    /// The name of a runbook's schedule; both are ids.
    pub fn new(runbook: &str, schedule: &str) -> Self {
        Self(format!("{runbook}/{schedule}").into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The runbook's name.
    pub fn runbook(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(runbook, _)| runbook)
    }

    /// Its own name.
    pub fn schedule(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, schedule)| schedule)
    }
}

impl Borrow<str> for ScheduleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ScheduleName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts = text.split_once('/').filter(|(runbook, schedule)| is_id(runbook) && is_id(schedule));
        parts.map(|(runbook, schedule)| Self::new(runbook, schedule)).ok_or_else(|| InvalidId {
            text: text.chars().take(64).collect(),
            kind: "schedule",
            rule: "a schedule is named RUNBOOK/SCHEDULE, as backup/nightly",
        })
    }
}

impl Serialize for ScheduleName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScheduleName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The slot that a run was started for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotOf {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The slot.
    pub at: Timestamp,
}

/// Something about a schedule, at its place in the schedule's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// From 1, without gaps, per schedule.
    pub number: u64,
    /// When it was decided, by the daemon's wall clock.
    pub at: Timestamp,
    /// What.
    pub fact: NoteFact,
}

/// What can happen to a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteFact {
    /// From here on it is due by this: it is new, came back, or was edited.
    Planned(Written),
    /// It is no longer in its runbook.
    Removed,
    /// What became of slots: all that there are from the first to the last, both included.
    Slots {
        /// The first.
        first: Timestamp,
        /// The last; the first again where there is one.
        last: Timestamp,
        /// What became of each.
        fate: Fate,
    },
    /// A run that was started for a slot of it succeeded.
    Succeeded {
        /// Which.
        run: RunUid,
        /// Its number.
        number: u64,
    },
    /// A slot that was missed ran after all: a person asked for it.
    CaughtUp {
        /// The slot.
        slot: Timestamp,
        /// The run that was started for it.
        run: RunUid,
        /// Its number.
        number: u64,
    },
    /// A person paused it.
    Paused(Pause),
    /// A person ended the pause.
    Resumed {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
}

/// Why a schedule starts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who paused it.
    pub by: Principal,
    /// Why.
    pub reason: String,
}

/// What became of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A run was started.
    Ran {
        /// Which.
        run: RunUid,
        /// Its number.
        number: u64,
    },
    /// It was left out on purpose.
    Skipped(Skip),
    /// It goes with another slot, whose own fate the ledger says too.
    Merged {
        /// That slot.
        into: Timestamp,
    },
    /// It goes with a run of an earlier slot that still waited for its turn.
    Waited {
        /// That run.
        run: RunUid,
        /// Its number.
        number: u64,
    },
    /// Nobody started it in time.
    Missed(Miss),
    /// It could not be started.
    Failed {
        /// Why, for a person.
        why: String,
    },
}

/// Why a slot was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The schedule was paused.
    Paused,
    /// The environment was frozen.
    Frozen {
        /// Until when and why, for a person.
        why: String,
    },
    /// It was outside of the hours of the environment.
    Hours {
        /// Which these are, for a person.
        why: String,
    },
    /// Another run was on.
    Overlap {
        /// Its number.
        number: u64,
        /// Where it was.
        state: String,
    },
}

/// Why nobody started a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It was noticed later than its start deadline, or together with a later one, and the schedule makes up for
    /// nothing.
    Late,
    /// It was noticed later than the schedule makes up for.
    Window,
    /// There were more than the schedule makes up for.
    Most,
    /// The schedule was gone when it was noticed.
    Removed,
}

/// What a schedule's notes add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The number of its latest note; 0 before the first.
    pub last: u64,
    /// Every slot up to this instant, it included, is accounted for.
    pub through: Timestamp,
    /// When it is due; `None` while it is in no runbook.
    pub written: Option<Written>,
    /// Set while it is paused.
    pub pause: Option<Box<Pause>>,
    /// The latest slot that ran, with its run's number.
    pub ran: Option<(Timestamp, u64)>,
    /// Since when it could have succeeded: when it was new, came back, or its latest pause ended.
    pub since: Timestamp,
    /// When a run of it succeeded last, with that run's number.
    pub succeeded: Option<(Timestamp, u64)>,
    /// What ran already, also where the clock was wrong then.
    pub stretches: Stretches,
}

impl Default for Record {
    fn default() -> Self {
        let never = Timestamp(i64::MIN);
        Self {
            last: 0,
            through: never,
            written: None,
            pause: None,
            ran: None,
            since: never,
            succeeded: None,
            stretches: Stretches::default(),
        }
    }
}

/// A note that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("note {number} cannot follow: {why}")]
pub struct Misplaced {
    /// Its number.
    pub number: u64,
    /// Why not.
    pub why: &'static str,
}

impl Record {
    /// Whether slots are accounted for that lie further ahead than any clock should have been.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.through - now > Span::minutes(limits::CLOCK_AHEAD_HOURS * 60)
    }

    /// When it is due; a rule whose zone has left the database has no slots, and the plan that comes begins anew.
    pub fn timetable(&self) -> Option<&Timetable> {
        self.written.as_ref()?.timetable().ok().map(AsRef::as_ref)
    }

    /// Holds what was written but once, where the folder says the same.
    pub(crate) fn share(&mut self, written: &Written) {
        if self.written.as_ref() == Some(written) {
            self.written = Some(written.clone());
        }
    }

    /// Takes a note in.
    ///
    /// # Errors
    /// It does not follow; the record is as it was.
    pub fn apply(&mut self, note: &Note) -> Result<(), Misplaced> {
        let misplaced = |why| Err(Misplaced { number: note.number, why });
        if note.number != self.last + 1 {
            return misplaced("it is not the next one");
        }
        match &note.fact {
            NoteFact::Planned(written) => {
                if self.written.is_none() || self.is_ahead(note.at) {
                    self.since = note.at;
                }
                self.through = if self.is_ahead(note.at) { note.at } else { self.through.max(note.at) };
                self.written = Some(written.clone());
            }
            NoteFact::Succeeded { number, .. } => self.succeeded = Some((note.at, *number)),
            NoteFact::Removed if self.written.is_none() => return misplaced("the schedule is in no runbook"),
            NoteFact::Removed => self.written = None,
            NoteFact::Slots { .. } if self.written.is_none() => return misplaced("the schedule is in no runbook"),
            NoteFact::Slots { first, last, .. } if *first <= self.through || last < first => {
                return misplaced("these slots are accounted for");
            }
            NoteFact::Slots { first, last, .. } if self.stretches.meet(*first, *last) => {
                return misplaced("one of these slots ran");
            }
            NoteFact::Slots { last, fate, .. } => {
                self.through = *last;
                if let Fate::Ran { number, .. } = fate {
                    self.ran = Some((*last, *number));
                    self.stretches.ran(*last);
                }
            }
            NoteFact::CaughtUp { slot, .. } if *slot > self.through => return misplaced("this slot is still to come"),
            NoteFact::CaughtUp { slot, number, .. } => {
                if self.ran.is_none_or(|(latest, _)| latest < *slot) {
                    self.ran = Some((*slot, *number));
                }
                self.stretches.ran(*slot);
            }
            NoteFact::Paused(_) if self.pause.is_some() => return misplaced("the schedule is paused"),
            NoteFact::Paused(pause) => self.pause = Some(Box::new(pause.clone())),
            NoteFact::Resumed { .. } if self.pause.is_none() => return misplaced("the schedule is not paused"),
            NoteFact::Resumed { .. } => {
                self.pause = None;
                self.since = note.at;
            }
        }
        self.last = note.number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Dst, next_slot};

    #[test]
    fn names_are_two_ids() {
        let name: ScheduleName = "backup/nightly".parse().unwrap();
        assert_eq!((name.runbook(), name.schedule()), ("backup", "nightly"));
        assert_eq!(name, ScheduleName::new("backup", "nightly"));
        for text in ["", "backup", "backup/", "a/b/c", "A/b", "a/ b"] {
            assert!(text.parse::<ScheduleName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_slot_is_accounted_for_twice() {
        let written = Written::new("* * * * *", "UTC", Dst::Cron);
        let slots = |first, last| NoteFact::Slots {
            first: Timestamp(first),
            last: Timestamp(last),
            fate: Fate::Ran { run: RunUid::from_bits(1), number: 7 },
        };
        let mut record = Record::default();
        let mut take = |fact: NoteFact| {
            let number = record.last + 1;
            record.apply(&Note { number, at: Timestamp(100), fact }).map(|()| record.through)
        };
        assert!(take(slots(101, 101)).is_err());
        assert_eq!(take(NoteFact::Planned(written.clone())), Ok(Timestamp(100)));
        assert!(take(slots(100, 101)).is_err() && take(slots(105, 104)).is_err());
        assert_eq!(take(slots(101, 110)), Ok(Timestamp(110)));
        assert!(take(slots(110, 110)).is_err());
        // The clock went back, and the rule was edited: what is accounted for stays so.
        assert_eq!(take(NoteFact::Planned(written.clone())), Ok(Timestamp(110)));
        assert!(take(NoteFact::Removed).is_ok() && take(NoteFact::Removed).is_err());
        assert_eq!(record.ran, Some((Timestamp(110), 7)));
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_forgotten_and_what_succeeded_is_not() {
        let day = limits::CLOCK_AHEAD_HOURS * 3_600_000_000;
        let written = Written::new("* * * * *", "UTC", Dst::Cron);
        let mut record = Record::default();
        let mut take = |at: i64, fact: NoteFact| {
            let number = record.last + 1;
            record.apply(&Note { number, at: Timestamp(at), fact }).unwrap();
            record.clone()
        };
        assert_eq!(take(day * 3, NoteFact::Planned(written.clone())).since, Timestamp(day * 3));
        let run = RunUid::from_bits(1);
        assert_eq!(
            take(day * 3 + 1, NoteFact::Succeeded { run, number: 7 }).succeeded,
            Some((Timestamp(day * 3 + 1), 7))
        );
        let still = take(day * 2, NoteFact::Planned(written.clone()));
        assert!(!still.is_ahead(Timestamp(day * 2)) && still.is_ahead(Timestamp(day * 2 - 1)));
        assert_eq!(still.through, Timestamp(day * 3));
        let anew = take(day, NoteFact::Planned(written));
        assert_eq!((anew.through, anew.since), (Timestamp(day), Timestamp(day)));
    }

    #[test]
    fn what_was_caught_up_is_not_due_again_where_the_clock_had_been_far_ahead() {
        let day = limits::CLOCK_AHEAD_HOURS * 3_600_000_000;
        let mut record = Record::default();
        let mut take = |at: i64, fact: NoteFact| {
            let number = record.last + 1;
            record.apply(&Note { number, at: Timestamp(at), fact }).unwrap();
            record.timetable().and_then(|timetable| next_slot(&record, timetable))
        };
        let written = Written::new("@daily", "UTC", Dst::Cron);
        assert_eq!(take(day * 5, NoteFact::Planned(written.clone())), Some(Timestamp(day * 6)));
        take(day * 5 + 1, NoteFact::CaughtUp { slot: Timestamp(day * 2), run: RunUid::from_bits(1), number: 7 });
        // The control: the slots before and after it are due again.
        assert_eq!(take(day, NoteFact::Planned(written)), Some(Timestamp(day * 3)));
    }
}
