//! Rules 54, 55 and 83: what a start and a resume have to confirm by name.

use std::collections::BTreeSet;

use runbook_core::definition::{Effect, OnTimeout, WhenSkipped};
use runbook_core::id::StepNo;

use super::super::condition::Cond;
use super::super::design::Design;
use super::run::RunModel;

/// The names of what a run of a design destroys without asking anybody, for steps that are wanted.
pub(crate) fn to_confirm(
    design: &Design,
    slot: &str,
    left_out: &BTreeSet<StepNo>,
    wanted: impl Fn(usize) -> bool,
) -> Vec<String> {
    let out = |no: usize| left_out.contains(&StepNo(no as u32));
    let (approved, never) = (approved(design, &out), never(design, slot, &out));
    let steps = design.runbook.steps.iter().enumerate();
    let steps =
        steps.filter(|(no, step)| step.effect == Effect::Destructive && !approved[*no] && !never[*no] && !out(*no));
    let mut names: Vec<String> = steps
        .filter(|(no, _)| wanted(*no))
        .filter_map(|(_, step)| Some(rendered(step.target.as_ref()?, slot)))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl RunModel {
    /// What a resume of it has to confirm (55).
    pub(crate) fn to_confirm_again(&self) -> Vec<String> {
        // 78, 117
        if self.created.terms.dry || self.gate.is_some() {
            return Vec::new();
        }
        let undone = self.undone();
        let again = |no: usize| {
            let kept = self.design.is_main(no) && self.steps[no].succeeded() && !undone.contains(&no);
            self.steps[no].latest > 0 && !kept
        };
        to_confirm(&self.design, self.slot(), &self.created.terms.selection.left_out, again)
    }
}

fn rendered(target: &str, slot: &str) -> String {
    target.replace("${{ inputs.slot }}", slot)
}

/// Marks steps until no rule marks another one.
fn marked(design: &Design, rule: impl Fn(usize, &[bool]) -> bool) -> Vec<bool> {
    let mut marks = vec![false; design.runbook.steps.len()];
    loop {
        let before = marks.clone();
        for (no, mark) in marks.iter_mut().enumerate() {
            *mark = *mark || rule(no, &before);
        }
        if marks == before {
            return marks;
        }
    }
}

/// The needs whose success is implied and that do not let others go on.
fn strict_needs(design: &Design, no: usize) -> impl Iterator<Item = usize> {
    let condition = design.conditions.get(no).and_then(Option::as_ref);
    let implied =
        move |need: &usize| condition.is_none_or(|cond: &Cond| !cond.lifts_all() && !cond.mentions_status(*need));
    design.needs(no).filter(implied).filter(|need| design.runbook.steps[*need].when_skipped == WhenSkipped::Skip)
}

fn approved(design: &Design, out: &dyn Fn(usize) -> bool) -> Vec<bool> {
    let asks = |no: usize| {
        !out(no)
            && design.runbook.steps[no].approval().is_some_and(|approval| approval.on_timeout != OnTimeout::Approve)
    };
    marked(design, |no, marks| {
        strict_needs(design, no).any(|need| asks(need) || marks[need])
            || (design.undoes(no).next().is_some() && design.undoes(no).all(|undone| marks[undone]))
    })
}

fn never(design: &Design, slot: &str, out: &dyn Fn(usize) -> bool) -> Vec<bool> {
    marked(design, |no, marks| {
        let excluded = !out(no) && design.conditions[no].as_ref().is_some_and(|cond| cond.known(slot) == Some(false));
        excluded
            || strict_needs(design, no).any(|need| marks[need])
            || (design.undoes(no).next().is_some() && design.undoes(no).all(|undone| marks[undone] || out(undone)))
    })
}
