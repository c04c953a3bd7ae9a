//! Whether a runbook could start: what is missing, and what a look found that was made on a timer. Never knows how it is looked, nor what the clock says.

use crate::limits::{PREFLIGHT_BYTES, PREFLIGHT_MISSING};
use crate::time::{Span, Timestamp};

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The runbook.
    pub runbook: String,
    /// The environment in which it would start, if in one.
    pub environment: Option<String>,
}

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `requires.tools.NAME`, `requires.secrets.NAME`, `requires.endpoints.URL`, `requires.disk.PATH`, `files.PATH`,
    /// `steps.ID.NAME` of what a step needs, or `environment`.
    pub subject: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// The newest look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Of what.
    pub place: Place,
    /// When.
    pub at: Timestamp,
    /// Since when each look found something missing, if this one did.
    pub since: Option<Timestamp>,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// How much more is.
    pub left_out: u64,
}

impl Checked {
    /// What a look found, after the one before it.
    pub fn of(place: Place, at: Timestamp, missing: Vec<Missing>, before: Option<&Self>) -> Self {
        let since = before.and_then(|before| before.since).filter(|since| *since <= at);
        let since = (!missing.is_empty()).then_some(since.unwrap_or(at));
        let all = missing.len();
        let mut bytes = 0;
        let fits = missing.into_iter().take(PREFLIGHT_MISSING).take_while(|missing| {
            bytes += missing.subject.len() + missing.problem.len();
            bytes <= PREFLIGHT_BYTES
        });
        let missing: Vec<Missing> = fits.collect();
        let left_out = (all - missing.len()) as u64;
        Self { place, at, since, missing, left_out }
    }

    /// When the next look is due. One from a time that is still to come says nothing: the clock was wrong.
    pub fn next(&self, every: Span, now: Timestamp) -> Timestamp {
        if self.at > now { now } else { self.at + every }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp(1_800_000_000_000_000) + Span::minutes(minutes)
    }

    #[test]
    fn what_is_missing_is_missing_since_the_first_look_that_missed_something() {
        let place = Place { runbook: "restore".to_owned(), environment: None };
        let missing = |bytes: usize| Missing { subject: "requires.tools.x".to_owned(), problem: "x".repeat(bytes) };
        let look = |minute, missing, before: Option<&Checked>| Checked::of(place.clone(), at(minute), missing, before);
        let first = look(0, vec![missing(10)], None);
        let second = look(5, vec![missing(20)], Some(&first));
        assert_eq!((first.since, second.since), (Some(at(0)), Some(at(0))));
        let third = look(10, Vec::new(), Some(&second));
        assert_eq!((third.since, look(15, vec![missing(1)], Some(&third)).since), (None, Some(at(15))));
        let many = look(0, vec![missing(10); 1_000], None);
        assert_eq!(many.missing.len() as u64 + many.left_out, 1_000);
        assert!(look(0, vec![missing(PREFLIGHT_BYTES)], None).since.is_some());
    }

    #[test]
    fn the_next_look_is_due_by_the_newest() {
        let checked = Checked::of(Place { runbook: "a".to_owned(), environment: None }, at(10), Vec::new(), None);
        assert_eq!(checked.next(Span::minutes(60), at(20)), at(70));
        assert_eq!(checked.next(Span::minutes(60), at(5)), at(5), "the clock was set back");
    }
}
