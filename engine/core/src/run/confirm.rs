//! Whether whoever asks has confirmed by name what is destroyed: at a start, and where a resume destroys again. Never
//! knows how a person is asked.

use super::event::Origin;
use super::input::Start;
use super::rejection::Rejection;
use super::state::RunState;
use crate::definition::{Approvals, Runbook};
use crate::destruction::{self, Known, Nameless, Target};
use crate::id::StepNo;

impl Start {
    /// Who has to approve it before its run begins.
    pub fn approvals(&self) -> Option<&Approvals> {
        // What changes nothing needs nobody, and a child run is part of what was approved.
        let asks = !self.terms.dry && self.parent.is_none();
        self.pinned.runbook.environment.as_ref().filter(|_| asks)?.protection.approvals.as_ref()
    }

    /// What it destroys that nobody is asked about in its steps.
    ///
    /// # Errors
    /// A name that the inputs do not make.
    pub(super) fn destroyed(&self) -> Result<Vec<Target>, Rejection> {
        let runbook = &self.pinned.runbook;
        let known = Known {
            runbook,
            environment: runbook.environment.as_deref(),
            inputs: &self.inputs,
            principal: &self.by.name,
            reason: &self.reason,
            left_out: &self.terms.selection.left_out,
        };
        destruction::targets(&known, |_| true).map_err(|nameless| unnamed(runbook, nameless))
    }

    /// What it needs a confirmation for.
    ///
    /// # Errors
    /// The name of a target cannot be made from the inputs.
    pub fn targets(&self) -> Result<Vec<Target>, Rejection> {
        let mut targets = self.destroyed()?;
        // Whoever approves it is told what it destroys.
        if self.approvals().is_some() {
            targets.clear();
        }
        let runbook = &self.pinned.runbook;
        // A schedule says in its file where its runs act.
        let environment =
            runbook.environment.as_ref().filter(|_| !matches!(self.origin, Origin::Schedule | Origin::Hook));
        if let Some(name) = environment.and_then(|environment| environment.protection.confirm.clone()) {
            match targets.iter().any(|target| target.name == name) {
                true => {}
                false => targets.insert(0, Target { name, steps: Vec::new() }),
            }
        }
        Ok(targets)
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
    // Where persons approved the start they knew what it destroys.
    if run.is_dry() || run.gate().is_some() {
        return Ok(Vec::new());
    }
    let runbook = &run.pinned().runbook;
    let known = known(run, runbook);
    let undone = run.undone();
    let again = |no: StepNo| run.step(no).is_some_and(|state| state.attempts > 0) && !run.keeps(no, &undone);
    let targets = destruction::targets(&known, again).map_err(|nameless| unnamed(runbook, nameless))?;
    all_confirmed(runbook, targets, confirmed)
}

/// The same where the definition was edited: whatever may run by it was confirmed by nobody yet.
pub(super) fn at_edit(
    run: &RunState,
    edited: &Runbook,
    again: &[StepNo],
    confirmed: &[String],
) -> Result<Vec<String>, Rejection> {
    if run.is_dry() {
        return Ok(Vec::new());
    }
    let (known, undone) = (known(run, edited), run.undone());
    let targets = destruction::targets(&known, |no| again.contains(&no) || !run.keeps(no, &undone));
    all_confirmed(edited, targets.map_err(|nameless| unnamed(edited, nameless))?, confirmed)
}

/// What is known of a run that is over.
fn known<'a>(run: &'a RunState, runbook: &'a Runbook) -> Known<'a> {
    let created = run.created();
    Known {
        runbook,
        environment: runbook.environment.as_deref(),
        inputs: &created.inputs,
        principal: &created.by.name,
        reason: &created.reason,
        left_out: &created.terms.selection.left_out,
    }
}

fn unnamed(runbook: &Runbook, nameless: Nameless) -> Rejection {
    let step = runbook.step(nameless.step).map_or("?", |step| step.id.as_str());
    Rejection::Name { what: "target", problem: format!("step {step:?}: {}", nameless.problem) }
}

/// What was not confirmed, in words.
pub(super) fn told(targets: &[(String, Vec<String>)]) -> String {
    let (places, destroyed): (Vec<_>, Vec<_>) = targets.iter().partition(|(_, steps)| steps.is_empty());
    let destroyed: Vec<String> =
        destroyed.into_iter().map(|(name, steps)| format!("{name} (step {})", steps.join(", "))).collect();
    let places: Vec<&str> = places.into_iter().map(|(name, _)| name.as_str()).collect();
    let mut told = Vec::new();
    if !destroyed.is_empty() {
        told.push(format!("this destroys what was not confirmed by name: {}", destroyed.join("; ")));
    }
    if !places.is_empty() {
        told.push(format!("who starts a run in this environment confirms it by the words: {}", places.join("; ")));
    }
    told.join(", and ")
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
