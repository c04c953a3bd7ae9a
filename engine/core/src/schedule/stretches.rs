//! Which slots of a schedule ran, in stretches: what keeps a slot from a second run where a clock was far ahead, or far behind,
//! and the schedule began anew. Never knows why slots ran.

use crate::limits;
use crate::time::{Span, Timestamp};

/// Stretches of time, each from a slot that ran to another one, in their order. Within one no slot is due any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretches(Vec<(Timestamp, Timestamp)>);

impl Stretches {
    /// Those that were written down.
    pub fn of(written: impl IntoIterator<Item = (Timestamp, Timestamp)>) -> Self {
        let mut all: Vec<_> = written.into_iter().filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        all.dedup_by(|later, earlier| {
            let overlap = later.0 <= earlier.1;
            if overlap {
                earlier.1 = earlier.1.max(later.1);
            }
            overlap
        });
        let mut stretches = Self(all);
        stretches.shorten();
        stretches
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.0.iter().copied()
    }

    /// A slot ran.
    pub(super) fn ran(&mut self, slot: Timestamp) {
        let place = self.0.partition_point(|(first, _)| *first <= slot);
        self.0.insert(place, (slot, slot));
        self.0.dedup_by(|later, earlier| {
            let near = later.0 - earlier.1 <= Span::minutes(limits::STRETCH_GAP_MINUTES);
            if near {
                earlier.1 = earlier.1.max(later.1);
            }
            near
        });
        self.shorten();
    }

    /// Holds the bound: of what lies closest, the earliest becomes one.
    fn shorten(&mut self) {
        while self.0.len() > limits::STRETCHES {
            let gaps = self.0.iter().zip(self.0.iter().skip(1)).map(|(earlier, later)| later.0 - earlier.1);
            let Some((place, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
            let (_, last) = self.0.remove(place + 1);
            if let Some(earlier) = self.0.get_mut(place) {
                earlier.1 = last;
            }
        }
    }

    /// The stretch that an instant lies in.
    pub(super) fn around(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.0.iter().copied().rev().find(|(first, _)| *first <= at).filter(|(_, last)| at <= *last)
    }

    /// The last instant before the next stretch after an instant.
    pub(super) fn free_until(&self, at: Timestamp) -> Timestamp {
        let next = self.0.iter().find(|(first, _)| *first > at);
        next.map_or(Timestamp(i64::MAX), |(first, _)| Timestamp(first.0 - 1))
    }

    /// Whether one lies in part between two instants, these included.
    pub(super) fn meet(&self, from: Timestamp, until: Timestamp) -> bool {
        self.0.iter().any(|(first, last)| *first <= until && from <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60;

    fn minutes(stretches: &Stretches) -> Vec<(i64, i64)> {
        stretches.iter().map(|(first, last)| (first.0 / 60_000_000, last.0 / 60_000_000)).collect()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp(minute * 60_000_000)
    }

    #[test]
    fn what_ran_within_an_hour_is_one_stretch_in_any_order() {
        let mut stretches = Stretches::default();
        for (minute, expected) in [
            (100, vec![(100, 100)]),
            (100 + HOUR, vec![(100, 160)]),
            (221, vec![(100, 160), (221, 221)]),
            (10, vec![(10, 10), (100, 160), (221, 221)]),
            (130, vec![(10, 10), (100, 160), (221, 221)]),
            (190, vec![(10, 10), (100, 221)]),
            (55, vec![(10, 221)]),
        ] {
            stretches.ran(at(minute));
            assert_eq!(minutes(&stretches), expected);
        }
    }

    #[test]
    fn instants_are_found_in_them_and_between_them() {
        let stretches = Stretches::of([(at(10), at(20)), (at(300), at(300))]);
        assert_eq!(stretches.around(at(9)), None);
        assert_eq!(stretches.around(at(10)), Some((at(10), at(20))));
        assert_eq!(stretches.around(at(20)), Some((at(10), at(20))));
        assert_eq!(stretches.around(at(21)), None);
        assert_eq!(stretches.free_until(at(21)), Timestamp(at(300).0 - 1));
        assert_eq!(stretches.free_until(at(300)), Timestamp(i64::MAX));
        assert!(stretches.meet(at(0), at(10)) && stretches.meet(at(20), at(25)) && stretches.meet(at(0), at(400)));
        assert!(!stretches.meet(at(21), at(299)));
    }

    #[test]
    fn there_are_never_more_than_the_bound_and_the_closest_become_one() {
        let mut stretches = Stretches::default();
        let days = |day: i64| at(day * 24 * HOUR);
        for day in 0..limits::STRETCHES as i64 {
            stretches.ran(days(day * 10));
        }
        // Only a day after the last of them.
        let last = (limits::STRETCHES as i64 - 1) * 10;
        stretches.ran(days(last + 1));
        assert_eq!(stretches.iter().count(), limits::STRETCHES);
        assert_eq!(stretches.iter().last(), Some((days(last), days(last + 1))));
        assert_eq!(Stretches::of(stretches.iter()), stretches);
    }
}
