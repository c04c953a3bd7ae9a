//! A run that goes on by an edited runbook (see the rules on edits): what of it runs again, and what has to be confirmed.

use std::collections::BTreeSet;
use std::sync::Arc;

use runbook_core::id::Digest;
use runbook_core::run::{Edit, Edited};

use super::super::condition::around;
use super::super::design::{Design, Started};
use super::confirm::to_confirm;
use super::run::RunModel;
use super::{Check, must};

impl RunModel {
    /// Somebody asks it to go on by this.
    pub(crate) fn offer(&mut self, design: Arc<Design>) {
        self.offered.push(design);
    }

    pub(crate) fn offered(&self, digest: Digest) -> Option<&Arc<Design>> {
        self.offered.iter().find(|design| design.digest == digest)
    }

    /// The main steps that succeeded and were not undone.
    fn finished(&self) -> impl Iterator<Item = usize> {
        let undone = self.undone();
        let steps = self.steps.iter().enumerate();
        steps
            .filter(move |(no, step)| self.design.is_main(*no) && step.succeeded() && !undone.contains(no))
            .map(|(no, _)| no)
    }

    /// The finished steps that do something else by the edited runbook, and those that are given something of one of them.
    pub(crate) fn runs_again(&self, after: &Design) -> BTreeSet<usize> {
        let work = |design: &Design, no: usize| design.runbook.steps.get(no).map(|step| step.work.clone());
        let mut again: BTreeSet<usize> =
            self.finished().filter(|no| work(&self.design, *no) != work(after, *no)).collect();
        loop {
            let reads = |no: &usize| !again.contains(no) && given(after, *no).any(|step| again.contains(&step));
            let readers: Vec<usize> = self.finished().filter(reads).collect();
            if readers.is_empty() {
                return again;
            }
            again.extend(readers);
        }
    }

    /// The steps that make a new child run, since what is done below them is another.
    pub(super) fn starts_anew(&self, after: &Design) -> BTreeSet<usize> {
        let work = |design: &Design, no: usize| design.runbook.steps.get(no).map(|step| step.work.clone());
        let kept: BTreeSet<usize> = self.finished().collect();
        let open = |no: &usize| !kept.contains(no) && self.steps.get(*no).is_some_and(|step| step.child.is_some());
        (0..self.steps.len()).filter(open).filter(|no| work(&self.design, *no) != work(after, *no)).collect()
    }

    /// What has to be confirmed for it.
    pub(crate) fn to_confirm_for(&self, after: &Design) -> Vec<String> {
        if self.created.terms.dry {
            return Vec::new();
        }
        let (kept, again) = (self.finished().collect::<BTreeSet<_>>(), self.runs_again(after));
        let may_run = |no: usize| again.contains(&no) || !kept.contains(&no);
        to_confirm(after, self.slot(), &self.created.terms.selection.left_out, may_run)
    }

    /// What has to be confirmed for a resume, with an edit or without (55).
    pub(super) fn to_confirm_with(&self, edit: Option<&Edit>) -> Vec<String> {
        let after = edit.and_then(|edit| self.offered(edit.pinned.digest));
        after.map_or_else(|| self.to_confirm_again(), |after| self.to_confirm_for(after))
    }

    /// Whether the fact says what the edit makes of the run.
    pub(crate) fn edit_follows(&self, edited: &Edited) -> Check {
        let after = self.offered(edited.definition).ok_or("it goes on by a runbook that nobody asked for")?;
        let again: BTreeSet<usize> = edited.again.iter().map(|step| step.index()).collect();
        let expected = self.runs_again(after);
        must(again == expected, || format!("{again:?} run again, it must be {expected:?} (105)"))?;
        let anew: BTreeSet<usize> = edited.anew.iter().map(|step| step.index()).collect();
        let expected = self.starts_anew(after);
        must(anew == expected, || format!("{anew:?} begin anew, it must be {expected:?} (107)"))
    }
}

/// The steps of which a step is given something: of steps of designs only those that start something are, and their own
/// conditions are no part of what they do.
fn given(design: &Design, no: usize) -> impl Iterator<Item = usize> {
    let mut takes = BTreeSet::new();
    let mut list = None;
    match design.callee(no) {
        Some((Started::Items(items), work)) => {
            list = items.asks();
            takes = work.takes();
        }
        Some((Started::Iterations(repeat), work)) => takes.extend(work.takes().into_iter().chain(repeat.until.takes())),
        Some((Started::Block, work)) => takes = work.takes(),
        Some((Started::Runbook(_), _)) | None => {}
    }
    let ids = design.runbook.steps.iter().enumerate();
    let given: Vec<usize> = ids.filter(|(_, step)| takes.contains(&around(&step.id))).map(|(no, _)| no).collect();
    given.into_iter().chain(list)
}
