//! What a scenario expects of its rehearsal, and where the two differ.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::Rehearsal;
use crate::id::StepNo;
use crate::time::Span;

/// What is expected. What is not told is not asked about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// The run's status in the end: how it ended, or `attention`.
    pub outcome: Option<String>,
    /// The status of steps in the end.
    pub steps: IndexMap<StepNo, String>,
    /// How often steps are tried.
    pub tries: IndexMap<StepNo, u32>,
    /// The longest that it may take.
    pub at_most: Option<Span>,
    /// The steps that changed something and stay, in a run that did not succeed.
    pub remains: Option<Vec<StepNo>>,
}

impl Expectation {
    /// Everything that is otherwise than expected, in words.
    pub fn unmet(&self, rehearsal: &Rehearsal) -> Vec<String> {
        let mut unmet = Vec::new();
        let status = rehearsal.status().name();
        if let Some(outcome) = self.outcome.as_deref().filter(|outcome| *outcome != status) {
            unmet.push(format!("the run should be {outcome}, it is {status}"));
        }
        for (step, wanted) in &self.steps {
            let is = rehearsal.state.step_status(*step).name();
            if is != wanted {
                unmet.push(format!("step {} should be {wanted}, it is {is}", rehearsal.id(*step)));
            }
        }
        for (step, wanted) in &self.tries {
            let is = rehearsal.tries(*step);
            if is != *wanted {
                unmet.push(format!("step {} should be tried {wanted} times, it was {is}", rehearsal.id(*step)));
            }
        }
        if let Some(at_most) = self.at_most.filter(|at_most| rehearsal.took() > *at_most) {
            unmet.push(format!("it should take at most {at_most}, it took {}", rehearsal.took()));
        }
        if let Some(wanted) = &self.remains {
            let words = |paths: Vec<&str>| if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") };
            let is = rehearsal.remains();
            // What stays below a step stays of that step.
            let steps: BTreeSet<&str> = is.iter().map(|path| path.split('/').next().unwrap_or(path)).collect();
            let wanted: BTreeSet<&str> = wanted.iter().map(|step| rehearsal.id(*step)).collect();
            if wanted != steps {
                let (wanted, is) =
                    (words(wanted.into_iter().collect()), words(is.iter().map(String::as_str).collect()));
                unmet.push(format!("what stays should be {wanted}, it is {is}"));
            }
        }
        unmet
    }
}
