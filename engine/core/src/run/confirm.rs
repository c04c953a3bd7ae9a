//! Whether whoever asks has confirmed by name what is destroyed: at a start, and where a resume destroys again. Never
//! knows how a person is asked.

use super::input::Start;
use super::rejection::Rejection;
use super::state::{Progress, RunState};
use crate::definition::{Part, Runbook};
use crate::destruction::{self, Known, Nameless, Target};
use crate::id::StepNo;

impl Start {
    /// What it needs a confirmation for.
    ///
    /// # Errors
    /// A name that the inputs do not make.
    pub fn targets(&self) -> Result<Vec<Target>, Rejection> {
        let runbook = &self.pinned.runbook;
        let known = Known {
            runbook,
            inputs: &self.inputs,
            principal: &self.by.name,
            reason: &self.reason,
            left_out: &self.terms.selection.left_out,
        };
        destruction::targets(&known, |_| true).map_err(|nameless| unnamed(runbook, nameless))
    }
}

/// The names that a start confirms, of those that it has to.
pub(super) fn at_start(start: &Start) -> Result<Vec<String>, Rejection> {
    if start.terms.dry {
        return Ok(Vec::new());
    }
    all_confirmed(&start.pinned.runbook, start.targets()?, &start.terms.confirmed)
}

/// The same of a resume: for steps that were tried in this run, and are tried again.
pub(super) fn at_resume(run: &RunState, confirmed: &[String]) -> Result<Vec<String>, Rejection> {
    if run.is_dry() {
        return Ok(Vec::new());
    }
    let (runbook, created) = (&run.pinned().runbook, run.created());
    let known = Known {
        runbook,
        inputs: &created.inputs,
        principal: &created.by.name,
        reason: &created.reason,
        left_out: &created.terms.selection.left_out,
    };
    let undone = run.undone();
    let again = |no: StepNo| {
        run.step(no).zip(runbook.step(no)).is_some_and(|(state, step)| {
            let kept = step.part == Part::Main && state.progress == Progress::Succeeded && !undone.contains(&no);
            state.attempts > 0 && !kept
        })
    };
    let targets = destruction::targets(&known, again).map_err(|nameless| unnamed(runbook, nameless))?;
    all_confirmed(runbook, targets, confirmed)
}

fn unnamed(runbook: &Runbook, nameless: Nameless) -> Rejection {
    let step = runbook.step(nameless.step).map_or("?", |step| step.id.as_str());
    Rejection::Name { what: "target", problem: format!("step {step:?}: {}", nameless.problem) }
}

/// The names and their steps, in words.
pub(super) fn told(targets: &[(String, Vec<String>)]) -> String {
    let told = |(name, steps): &(String, Vec<String>)| format!("{name} (step {})", steps.join(", "));
    targets.iter().map(told).collect::<Vec<_>>().join("; ")
}

fn all_confirmed(runbook: &Runbook, targets: Vec<Target>, confirmed: &[String]) -> Result<Vec<String>, Rejection> {
    let id = |no: &StepNo| runbook.step(*no).map(|step| step.id.clone());
    let (named, unnamed): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|target| confirmed.contains(&target.name));
    if unnamed.is_empty() {
        return Ok(named.into_iter().map(|target| target.name).collect());
    }
    let told = |target: Target| (target.name, target.steps.iter().filter_map(id).collect());
    Err(Rejection::Unconfirmed { targets: unnamed.into_iter().map(told).collect() })
}
