//! Rehearsal: a run lived through in virtual time, by the engine's own [`Machine`](crate::machine::Machine), with ends
//! of attempts that a script tells. Everything that is decided is decided by the engine; only what a shim would
//! report is made up here. Nothing is started, nothing is kept, and no clock is read.

mod coverage;
mod drive;
mod expect;
mod place;
mod script;
mod world;

pub use coverage::{Coverage, Mark};
pub use drive::{Setting, every_failure, rehearse};
pub use expect::Expectation;
pub use place::{NoPlace, Place};
pub use script::{Answer, Cancel, End, Script, StepScript, When};

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Part, step_path};
use crate::id::{RunUid, StepNo};
use crate::limits;
use crate::run::view::{RunStatus, StepStatus};
use crate::run::{AttemptKind, Event, Fact, Outcome, Rejection, RunState, Then};
use crate::time::Span;
use place::{Hop, Trail, trail};

/// A run that was lived through.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Where the run stands in the end.
    pub state: RunState,
    /// Where the runs stand that its steps started, and those that they started.
    pub below: BTreeMap<RunUid, RunState>,
    /// All that happened, from `Created` on, each with the run that it happened to; virtual time.
    pub events: Vec<(RunUid, Event)>,
    /// The daemon crashed after so many of the events were durable, and took the runs up again from the journal.
    pub crashes: Vec<u64>,
    /// What the script asked for and the engine refused, in words.
    pub refused: Vec<String>,
    /// What the script tells and the run never came to, in words.
    pub unreached: Vec<String>,
    /// Paths of steps that ran and whose duration nobody knows: one second was taken.
    pub guessed: Vec<String>,
}

/// Why a rehearsal has no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// The engine refuses the start.
    #[error("{0}")]
    Start(Rejection),
    /// It goes on and on.
    #[error(
        "after {} events there is no end; a smaller `retry.attempts` or fewer steps can be rehearsed",
        limits::REHEARSAL_EVENTS
    )]
    TooLong,
    /// The engine contradicts itself.
    #[error("the engine took the run out of service: {0}")]
    Quarantined(String),
}

impl Rehearsal {
    /// Where the run stands in the end: a terminal status, or `attention` where a person has to go on.
    pub fn status(&self) -> RunStatus {
        self.state.status()
    }

    /// How long it took from its creation to its latest event.
    pub fn took(&self) -> Span {
        self.state.last_at() - self.state.created_at()
    }

    /// The paths of the steps whose compensation succeeded, in the order in which it did. What was rolled back as one is told as
    /// one.
    pub fn compensated(&self) -> Vec<String> {
        let ended = self.events.iter().filter_map(|(run, event)| match &event.fact {
            Fact::AttemptEnded { step, then: Then::RolledBack, .. }
            | Fact::ChildEnded { step, then: Then::RolledBack, .. }
            | Fact::Resolved { step, .. } => Some((*run, *step)),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        let mut paths = Vec::new();
        for (run, step) in ended.filter(|at| seen.insert(*at)) {
            let Some(trail) = self.run(run).and_then(|run| self.trail(run, step)) else { continue };
            let Some((_, above)) = trail.split_last() else { continue };
            let is_back = |(run, step): &(&RunState, StepNo)| run.step_status(*step) == StepStatus::RolledBack;
            // A step that is told of again may be rolled back only then.
            if trail.last().is_some_and(is_back) && !above.iter().any(is_back) {
                paths.push(self.text(&trail));
            }
        }
        paths
    }

    /// The steps that did not succeed, and are not compensated either, with what became of them.
    pub fn undone(&self) -> impl Iterator<Item = (StepNo, StepStatus)> {
        self.state.steps().map(|(no, _, _)| (no, self.state.step_status(no))).filter(|(_, status)| match status {
            StepStatus::Succeeded | StepStatus::RolledBack => false,
            StepStatus::Pending
            | StepStatus::Running
            | StepStatus::Retrying
            | StepStatus::Waiting
            | StepStatus::Unknown
            | StepStatus::Failed
            | StepStatus::Skipped
            | StepStatus::Canceled
            | StepStatus::RollingBack
            | StepStatus::RollbackFailed => true,
        })
    }

    /// What stays of a run that did not succeed: main steps that changed something and succeeded, or could not be rolled
    /// back, as paths. Of a step that started a run and did not succeed, what stays of that.
    pub fn remains(&self) -> Vec<String> {
        self.remaining().iter().map(|trail| self.text(trail)).collect()
    }

    fn remaining(&self) -> Vec<Trail<'_>> {
        if self.status() == RunStatus::Terminal(Outcome::Succeeded) {
            return Vec::new();
        }
        std::iter::once(&self.state).chain(self.below.values()).flat_map(|run| self.remaining_of(run)).collect()
    }

    fn remaining_of<'a>(&'a self, run: &'a RunState) -> Vec<Trail<'a>> {
        // What succeeded as a whole, or was rolled back as one, is told as a whole.
        let whole = |status| matches!(status, StepStatus::Succeeded | StepStatus::RolledBack);
        if self.above(run).iter().any(|(above, step)| whole(above.step_status(*step))) {
            return Vec::new();
        }
        let changed = run.steps().filter(|(no, step, _)| {
            let is_there = match run.step_status(*no) {
                StepStatus::Succeeded => true,
                // What could not be rolled back step by step is told step by step.
                StepStatus::RollbackFailed => step.rollback.is_some() || !step.starts_run(),
                _ => false,
            };
            step.part == Part::Main && !step.effect.repeatable() && is_there
        });
        changed.filter_map(|(no, _, _)| self.trail(run, no)).collect()
    }

    fn run(&self, uid: RunUid) -> Option<&RunState> {
        if uid == self.state.uid() { Some(&self.state) } else { self.below.get(&uid) }
    }

    fn trail<'a>(&'a self, run: &'a RunState, step: StepNo) -> Option<Trail<'a>> {
        trail(run, step, |uid| self.run(uid))
    }

    /// The steps that lead to a run, from the top down.
    fn above<'a>(&'a self, run: &'a RunState) -> Trail<'a> {
        let parent = run.parent().and_then(|parent| self.trail(self.run(parent.run)?, parent.step));
        parent.unwrap_or_default()
    }

    /// How steps of a run are named from the top: `a/` before those of the run that the step `a` started.
    pub fn path(&self, run: &RunState) -> String {
        self.above(run).iter().fold(String::new(), |path, (run, step)| format!("{}/", step_path(&path, id(run, *step))))
    }

    /// How a step is named from the top.
    fn text(&self, trail: &Trail<'_>) -> String {
        trail.last().map_or_else(String::new, |(run, step)| step_path(&self.path(run), id(run, *step)))
    }

    /// The steps of runs that a place means, and steps above such that should be, whose run never began. Iterations that never
    /// began are none.
    fn at(&self, place: &Place) -> (Vec<Trail<'_>>, Vec<Trail<'_>>) {
        let mut stopped = Vec::new();
        let mut found: Vec<Trail<'_>> = vec![Vec::new()];
        for hop in place.hops() {
            let mut next = Vec::new();
            for above in found {
                let run = match above.last() {
                    None => Some(&self.state),
                    Some((run, step)) => run.step(*step).and_then(|step| self.run(step.child?)),
                };
                let Some(run) = run else {
                    stopped.push(above);
                    continue;
                };
                let steps: Vec<StepNo> = match hop {
                    Hop::Step(no) => vec![*no],
                    Hop::One(word) => run.pinned().meant(word).into_iter().collect(),
                    Hop::Every => {
                        let counts = |began: bool| began || !run.pinned().repeats();
                        let steps = run.steps().filter(|(_, _, state)| counts(state.started_at.is_some()));
                        steps.map(|(no, _, _)| no).collect()
                    }
                };
                next.extend(steps.into_iter().map(|step| [&above[..], &[(run, step)]].concat()));
            }
            found = next;
        }
        (found, stopped)
    }

    /// Whether a step that a place means began.
    pub fn began(&self, place: &Place) -> bool {
        let began = |(run, step): &(&RunState, StepNo)| {
            run.step(*step).is_some_and(|state| state.started_at.is_some() || !state.votes.is_empty())
        };
        self.at(place).0.iter().filter_map(|trail| trail.last()).any(began)
    }

    /// The status of each step that a place means, with its path. A step whose run never began is what the step above that run is,
    /// as far as that is over without having begun, else it is skipped.
    fn statuses(&self, place: &Place) -> Vec<(String, StepStatus)> {
        let (found, stopped) = self.at(place);
        let status = |trail: &Trail<'_>| trail.last().map(|(run, step)| run.step_status(*step));
        let found = found.iter().filter_map(|trail| Some((self.text(trail), status(trail)?)));
        let stopped = stopped.iter().filter_map(|trail| {
            let above = status(trail)?;
            let status = match above {
                StepStatus::Pending | StepStatus::Canceled => above,
                _ => StepStatus::Skipped,
            };
            Some((place.text().to_owned(), status))
        });
        found.chain(stopped).collect()
    }

    /// How often what a place means was tried: each item by itself, all iterations together where none is named.
    fn tries_at(&self, place: &Place) -> Vec<u32> {
        let tried = self.tried();
        let mut counts: BTreeMap<Vec<Hop>, u32> = BTreeMap::new();
        for trail in self.at(place).0 {
            let Some((run, step)) = trail.last() else { continue };
            let count = tried.get(&(run.uid(), *step)).copied().unwrap_or(0);
            *counts.entry(place.count(&trail)).or_insert(0) += count;
        }
        if counts.is_empty() { vec![0] } else { counts.into_values().collect() }
    }

    /// How often each step was tried.
    fn tried(&self) -> BTreeMap<(RunUid, StepNo), u32> {
        let mut tried = BTreeMap::new();
        for (run, event) in &self.events {
            if let Fact::AttemptStarting { step, kind: AttemptKind::Run, .. } | Fact::ChildStarting { step, .. } =
                &event.fact
            {
                *tried.entry((*run, *step)).or_insert(0) += 1;
            }
        }
        tried
    }

    /// How often a step at the top was tried.
    pub fn tries(&self, step: StepNo) -> u32 {
        self.tried().get(&(self.state.uid(), step)).copied().unwrap_or(0)
    }

    /// The id of a step.
    pub fn id(&self, step: StepNo) -> &str {
        id(&self.state, step)
    }
}

fn id(run: &RunState, step: StepNo) -> &str {
    run.pinned().runbook.step(step).map_or("", |step| step.id.as_str())
}

#[cfg(test)]
mod tests;
