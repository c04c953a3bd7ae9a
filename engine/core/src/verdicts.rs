//! How targets stood: each change of the verdict about one, as far back as anybody asks. What changes is found by looking at
//! all of them. Never knows what a verdict follows from, nor what the clock says.

use std::collections::BTreeMap;

use crate::limits::{VERDICT_BYTES, VERDICT_CHANGES, VERDICT_DAYS, VERDICT_TARGETS};
use crate::readiness::Verdict;
use crate::time::{Span, Timestamp};

/// A target: its environment, if it is in one, and its name.
pub type Target = (Option<String>, String);

/// From a time on a target stood so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stood {
    /// How; `None` where no runbook wanted anything of it any more.
    pub verdict: Option<Verdict>,
    /// Why, the gravest first.
    pub reasons: Vec<String>,
}

/// What changes of what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// From this time on it stood so.
    Stood(Target, Timestamp, Stood),
    /// What was so from this time on is not known any more.
    Forgotten(Target, Timestamp),
}

/// All that is known.
#[derive(Debug, Clone, Default)]
pub struct Book(BTreeMap<Target, BTreeMap<Timestamp, Stood>>);

impl Book {
    /// The changes about each target, the oldest first.
    pub fn targets(&self) -> impl Iterator<Item = (&Target, &BTreeMap<Timestamp, Stood>)> {
        self.0.iter()
    }

    /// Takes in what is durable.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Stood(target, at, stood) => {
                self.0.entry(target.clone()).or_default().insert(*at, stood.clone());
            }
            Change::Forgotten(target, at) => {
                if let Some(changes) = self.0.get_mut(target) {
                    changes.remove(at);
                    if changes.is_empty() {
                        self.0.remove(target);
                    }
                }
            }
        }
    }

    /// What changes by how all targets stand now. `whole` says whether what is not among them is wanted by nobody.
    pub fn changes(&self, now: Timestamp, standing: &BTreeMap<Target, Stood>, whole: bool) -> Vec<Change> {
        let mut changes = self.old(now);
        let gone = self.0.keys().filter(|target| whole && !standing.contains_key(*target));
        let nobody = Stood { verdict: None, reasons: Vec::new() };
        let found = standing.iter().chain(gone.map(|target| (target, &nobody)));
        let mut room = VERDICT_TARGETS.saturating_sub(self.0.len());
        for (target, stood) in found {
            let known = self.0.get(target);
            let last = known.and_then(BTreeMap::last_key_value);
            if last.map(|(_, last)| last.verdict) == Some(stood.verdict) {
                continue;
            }
            if known.is_none() {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            // Where the clock was set back, what came later stays later.
            let at = last.map_or(now, |(at, _)| now.max(*at + Span(1)));
            changes.push(Change::Stood(target.clone(), at, bounded(stood)));
            let most = known.into_iter().flat_map(BTreeMap::keys).rev().nth(VERDICT_CHANGES - 1);
            changes.extend(most.map(|at| Change::Forgotten(target.clone(), *at)));
        }
        changes
    }

    /// What was so too long ago: what ended before then.
    fn old(&self, now: Timestamp) -> Vec<Change> {
        let long_ago = |at: &Timestamp| now - *at >= Span::minutes(VERDICT_DAYS * 24 * 60);
        let mut old = Vec::new();
        for (target, changes) in &self.0 {
            let ends = changes.iter().zip(changes.keys().skip(1));
            let over = ends.filter(|(_, until)| long_ago(until)).map(|((at, _), _)| *at);
            // Of what nobody wants anything any more, the end goes as well.
            let last = changes.last_key_value().filter(|(at, last)| last.verdict.is_none() && long_ago(at));
            old.extend(over.chain(last.map(|(at, _)| *at)).map(|at| Change::Forgotten(target.clone(), at)));
        }
        old
    }
}

/// Reasons as far as there is room for them.
fn bounded(stood: &Stood) -> Stood {
    let mut left = VERDICT_BYTES;
    let mut reasons = Vec::new();
    for reason in &stood.reasons {
        let cut = reason.floor_char_boundary(left);
        if cut == 0 {
            break;
        }
        reasons.push(reason[..cut].to_owned());
        left -= cut;
    }
    Stood { verdict: stood.verdict, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp(1_800_000_000_000_000) + Span::minutes(60 * hours)
    }

    fn target(name: &str) -> Target {
        (None, name.to_owned())
    }

    fn standing(of: &[(&str, Verdict)]) -> BTreeMap<Target, Stood> {
        let stood = |verdict| Stood { verdict: Some(verdict), reasons: vec!["x".repeat(3_000)] };
        of.iter().map(|(name, verdict)| (target(name), stood(*verdict))).collect()
    }

    /// Looks, and takes in what changes; how many changes these were.
    fn look(book: &mut Book, hour: i64, of: &[(&str, Verdict)], whole: bool) -> usize {
        let changes = book.changes(at(hour), &standing(of), whole);
        changes.iter().for_each(|change| book.apply(change));
        changes.len()
    }

    fn known(book: &Book, name: &str) -> Vec<(Timestamp, Option<Verdict>)> {
        let changes = book.0.get(&target(name)).into_iter().flatten();
        changes.map(|(at, stood)| (*at, stood.verdict)).collect()
    }

    #[test]
    fn only_what_changes_is_noted() {
        let mut book = Book::default();
        assert_eq!(look(&mut book, 0, &[("a", Verdict::Broken)], true), 1);
        assert_eq!(look(&mut book, 1, &[("a", Verdict::Broken)], true), 0);
        assert_eq!(look(&mut book, 2, &[("a", Verdict::Ready), ("b", Verdict::Ready)], true), 2);
        // A folder that is broken says nothing of what is not in it.
        assert_eq!(look(&mut book, 3, &[("b", Verdict::Ready)], false), 0);
        assert_eq!(look(&mut book, 4, &[("b", Verdict::Ready)], true), 1);
        assert_eq!(look(&mut book, 5, &[("b", Verdict::Ready)], true), 0);
        let wanted = vec![(at(0), Some(Verdict::Broken)), (at(2), Some(Verdict::Ready)), (at(4), None)];
        assert_eq!(known(&book, "a"), wanted);
        // A clock that was set back changes no order.
        assert_eq!(look(&mut book, 1, &[("a", Verdict::Broken), ("b", Verdict::Ready)], true), 1);
        assert_eq!(known(&book, "a").last(), Some(&(at(4) + Span(1), Some(Verdict::Broken))));
        let first = book.0.values().next().unwrap_or_else(|| unreachable!()).values().next().cloned();
        assert_eq!(first.map(|stood| stood.reasons[0].len()), Some(VERDICT_BYTES));
    }

    #[test]
    fn what_was_over_ninety_days_ago_is_forgotten_and_what_holds_is_not() {
        let (mut book, day) = (Book::default(), 24);
        look(&mut book, 0, &[("a", Verdict::Broken), ("b", Verdict::Ready)], true);
        look(&mut book, day, &[("a", Verdict::Ready), ("b", Verdict::Ready)], true);
        look(&mut book, 2 * day, &[("a", Verdict::Ready)], true);
        look(&mut book, 91 * day - 1, &[("a", Verdict::Ready)], true);
        assert_eq!((known(&book, "a").len(), known(&book, "b").len()), (2, 2));
        look(&mut book, 92 * day, &[("a", Verdict::Ready)], true);
        assert_eq!(known(&book, "a"), [(at(day), Some(Verdict::Ready))]);
        assert_eq!(known(&book, "b"), []);
        assert_eq!(book.targets().count(), 1, "of what is not known any more nothing takes room");
    }

    #[test]
    fn reasons_share_the_room_that_there_is_for_them() {
        let reasons = ["x".repeat(VERDICT_BYTES - 3), "é".repeat(10), "z".to_owned()];
        let stood = bounded(&Stood { verdict: Some(Verdict::Broken), reasons: reasons.to_vec() });
        let lengths: Vec<usize> = stood.reasons.iter().map(String::len).collect();
        assert_eq!(lengths, [VERDICT_BYTES - 3, 2, 1]);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut book = Book::default();
        let verdict = |hour| if hour % 2 == 0 { Verdict::Ready } else { Verdict::Broken };
        for hour in 0..VERDICT_CHANGES as i64 + 3 {
            look(&mut book, hour, &[("a", verdict(hour))], true);
        }
        let known = known(&book, "a");
        assert_eq!((known.len(), known[0].0), (VERDICT_CHANGES, at(3)));
        let names: Vec<String> = (0..VERDICT_TARGETS + 5).map(|no| format!("t{no}")).collect();
        let many: Vec<(&str, Verdict)> = names.iter().map(|name| (name.as_str(), Verdict::Ready)).collect();
        let mut book = Book::default();
        look(&mut book, 0, &many, true);
        assert_eq!(book.0.len(), VERDICT_TARGETS);
    }
}
