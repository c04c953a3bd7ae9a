//! What a scenario expects of its rehearsal, and where the two differ.

use indexmap::IndexMap;

use super::Rehearsal;
use super::place::Place;
use crate::time::Span;

/// What is expected. What is not told is not asked about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// The run's status in the end: how it ended, or `attention`.
    pub outcome: Option<String>,
    /// The status of steps in the end; of a place in all items, that of each.
    pub steps: IndexMap<Place, String>,
    /// How often steps are tried; of a place in all items, how often for each.
    pub tries: IndexMap<Place, u32>,
    /// The longest that it may take.
    pub at_most: Option<Span>,
    /// The steps that changed something and stay, in a run that did not succeed. A step stands for all that stays below it.
    pub remains: Option<Vec<Place>>,
}

impl Expectation {
    /// Everything that is otherwise than expected, in words.
    pub fn unmet(&self, rehearsal: &Rehearsal) -> Vec<String> {
        let mut unmet = Vec::new();
        let status = rehearsal.status().name();
        if let Some(outcome) = self.outcome.as_deref().filter(|outcome| *outcome != status) {
            unmet.push(format!("the run should be {outcome}, it is {status}"));
        }
        for (place, wanted) in &self.steps {
            let statuses = rehearsal.statuses(place);
            let mut other = statuses.iter().filter(|(_, status)| status.name() != wanted);
            match other.next() {
                Some((step, is)) => {
                    let more = match other.count() {
                        0 => String::new(),
                        more => format!(", and so for {more} more"),
                    };
                    unmet.push(format!("step {step} should be {wanted}, it is {}{more}", is.name()));
                }
                None if statuses.is_empty() => unmet.push(format!("step {place} should be {wanted}, there is none")),
                None => {}
            }
        }
        for (place, wanted) in &self.tries {
            if let Some(is) = rehearsal.tries_at(place).into_iter().find(|is| is != wanted) {
                unmet.push(format!("step {place} should be tried {wanted} times, it was {is}"));
            }
        }
        if let Some(at_most) = self.at_most.filter(|at_most| rehearsal.took() > *at_most) {
            unmet.push(format!("it should take at most {at_most}, it took {}", rehearsal.took()));
        }
        if let Some(wanted) = &self.remains {
            let words = |paths: Vec<&str>| if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") };
            let is = rehearsal.remaining();
            let covered = is.iter().all(|trail| wanted.iter().any(|place| place.leads_to(trail)));
            if !covered || !wanted.iter().all(|place| is.iter().any(|trail| place.leads_to(trail))) {
                let (wanted, is) = (wanted.iter().map(Place::text).collect(), rehearsal.remains());
                let (wanted, is) = (words(wanted), words(is.iter().map(String::as_str).collect()));
                unmet.push(format!("what stays should be {wanted}, it is {is}"));
            }
        }
        unmet
    }
}
