//! Which slots a ledger says were missed, and not that they ran after all. Reads notes, the newest first, and stops as soon as
//! older ones can say nothing more. Never knows where notes are kept.

use std::collections::BTreeSet;

use super::ledger::{Fate, Note, NoteFact};
use super::timetable::Timetable;
use super::written::Written;
use crate::time::Timestamp;

/// The slots between two instants that were missed, as far as notes were read.
#[derive(Debug)]
pub struct MissedSlots {
    from: Timestamp,
    to: Timestamp,
    most: usize,
    found: BTreeSet<Timestamp>,
    caught_up: BTreeSet<Timestamp>,
    /// From one slot to another, by a rule that was not read yet: it was noted before.
    open: Vec<(Timestamp, Timestamp)>,
    /// Whatever older notes say of slots from here on was taken back, or said again.
    below: Timestamp,
}

impl MissedSlots {
    /// Those from one instant to another, both included; of one note at most so many.
    pub const fn between(from: Timestamp, to: Timestamp, most: usize) -> Self {
        Self {
            from,
            to,
            most,
            found: BTreeSet::new(),
            caught_up: BTreeSet::new(),
            open: Vec::new(),
            below: Timestamp(i64::MAX),
        }
    }

    /// Reads the next older note.
    pub fn read(&mut self, note: &Note) {
        match &note.fact {
            NoteFact::CaughtUp { slot, .. } => {
                self.caught_up.insert(*slot);
            }
            NoteFact::Slots { first, last, fate } => {
                let (first_asked, last_asked) = (self.from.max(*first), self.to.min(*last).min(before(self.below)));
                if matches!(fate, Fate::Missed(_)) && first_asked <= last_asked {
                    self.open.push((first_asked, last_asked));
                }
                self.below = self.below.min(*first);
            }
            NoteFact::Planned(written) => {
                for (first, last) in std::mem::take(&mut self.open) {
                    self.found.extend(self.slots(written, first, last));
                }
                self.below = self.below.min(Timestamp(note.at.0.saturating_add(1)));
            }
            NoteFact::Removed | NoteFact::Succeeded { .. } | NoteFact::Paused(_) | NoteFact::Resumed { .. } => {}
        }
    }

    fn slots(&self, written: &Written, first: Timestamp, last: Timestamp) -> Vec<Timestamp> {
        let of = |timetable: &Timetable| {
            let all = timetable.slots_after(before(first)).map(|slot| slot.at);
            all.take(self.most).take_while(|slot| *slot <= last).collect()
        };
        // A zone that has left the database has no slots.
        written.timetable().map(|timetable| of(timetable)).unwrap_or_default()
    }

    /// Whether older notes can say nothing more.
    pub fn is_done(&self) -> bool {
        self.below <= self.from && self.open.is_empty()
    }

    /// Those that were found, in their order.
    pub fn all(&self) -> Vec<Timestamp> {
        self.found.difference(&self.caught_up).copied().collect()
    }
}

const fn before(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunUid;
    use crate::schedule::{Dst, Miss};

    const HOUR: i64 = 3_600_000_000;

    fn hourly(at: i64) -> (i64, NoteFact) {
        let written = Written::new("0 * * * *", "UTC", Dst::Cron);
        (at, NoteFact::Planned(written))
    }

    fn slots(at: i64, first: i64, last: i64, fate: Fate) -> (i64, NoteFact) {
        (at, NoteFact::Slots { first: Timestamp(first * HOUR), last: Timestamp(last * HOUR), fate })
    }

    fn ran() -> Fate {
        Fate::Ran { run: RunUid::from_bits(1), number: 1 }
    }

    /// The hours that were missed between two, by notes with the hour at which each was made.
    fn missed(notes: &[(i64, NoteFact)], from: i64, to: i64) -> (Vec<i64>, bool) {
        let mut missed = MissedSlots::between(Timestamp(from * HOUR), Timestamp(to * HOUR), 1_000);
        for (place, (at, fact)) in notes.iter().enumerate().rev() {
            if missed.is_done() {
                break;
            }
            let number = place as u64 + 1;
            missed.read(&Note { number, at: Timestamp(at * HOUR), fact: fact.clone() });
        }
        (missed.all().into_iter().map(|slot| slot.0 / HOUR).collect(), missed.is_done())
    }

    #[test]
    fn what_was_missed_is_found_and_what_ran_after_all_is_not() {
        let late = || Fate::Missed(Miss::Late);
        let caught_up =
            |slot: i64| NoteFact::CaughtUp { slot: Timestamp(slot * HOUR), run: RunUid::from_bits(2), number: 2 };
        let mut notes = vec![hourly(0), slots(5, 1, 4, late()), slots(5, 5, 5, ran()), slots(9, 6, 9, late())];
        assert_eq!(missed(&notes, 2, 7), (vec![2, 3, 4, 6, 7], true));
        notes.push((10, caught_up(3)));
        assert_eq!(missed(&notes, 1, 20), (vec![1, 2, 4, 6, 7, 8, 9], true));
        assert_eq!(missed(&notes, 5, 5), (vec![], true));
    }

    #[test]
    fn what_was_taken_back_is_told_as_it_was_said_last() {
        let late = || Fate::Missed(Miss::Late);
        // The clock was far ahead until the ledger began anew at 10.
        let mut notes = vec![hourly(0), slots(100, 1, 100, late()), hourly(10)];
        assert_eq!(missed(&notes, 1, 200).0, (1..=10).collect::<Vec<_>>());
        notes.push(slots(12, 11, 11, late()));
        notes.push(slots(12, 12, 12, ran()));
        assert_eq!(missed(&notes, 9, 200).0, [9, 10, 11]);
    }
}
