//! What rehearsals of runbooks came to, and what none has seen: steps, those of blocks too, both sides of each `if`, and what
//! tidies up or asks after an accident. A step in which work is done many times counts once. What a runbook does counts as its
//! own, whoever starts it.

use std::collections::{BTreeMap, BTreeSet};

use super::Rehearsal;
use super::place::is_many;
use crate::definition::{RollbackPolicy, Runbook, Step, Work, step_path};
use crate::id::{RunUid, StepNo};
use crate::run::{AttemptKind, Fact, Kind, RunState, SkipReason};

/// Something that a rehearsal can come to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The step, with the blocks that it stands in before it.
    steps: Vec<StepNo>,
    what: What,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The step itself ran.
    Ran,
    /// Its `if` was true.
    Held,
    /// Its `if` was false.
    NotHeld,
    /// Its `verify` was asked.
    Verified,
    /// Its `on_cancel` ran.
    TidiedUp,
    /// Its `rollback` ran.
    RolledBack,
}

impl Mark {
    /// In words, with the step's path in the runbook.
    pub fn text(&self, runbook: &Runbook) -> String {
        let (mut steps, mut path) = (&runbook.steps, String::new());
        for (level, no) in self.steps.iter().enumerate() {
            let Some(step) = steps.get(no.index()) else { break };
            path = if level == 0 { step.id.clone() } else { step_path(&format!("{path}/"), &step.id) };
            let Some(block) = step.block() else { break };
            steps = &block.steps;
        }
        match self.what {
            What::Ran => format!("step {path} runs"),
            What::Held => format!("the `if` of {path} is true"),
            What::NotHeld => format!("the `if` of {path} is false"),
            What::Verified => format!("the `verify` of {path} is asked"),
            What::TidiedUp => format!("the `on_cancel` of {path} runs"),
            What::RolledBack => format!("the `rollback` of {path} runs"),
        }
    }
}

/// What was seen so far, by the names of runbooks.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    seen: BTreeSet<(String, Mark)>,
}

impl Coverage {
    /// Everything that rehearsals of a runbook can come to, in groups: `steps`, `branches`, `compensations`. Steps of blocks
    /// come behind the block.
    pub fn all(runbook: &Runbook) -> [(&'static str, Vec<Mark>); 3] {
        let (mut ran, mut branches, mut compensations) = (Vec::new(), Vec::new(), Vec::new());
        let numbered = |steps: &[Step], above: &[StepNo]| -> Vec<Vec<StepNo>> {
            (0..steps.len()).rev().map(|index| [above, &[StepNo(index as u32)]].concat()).collect()
        };
        let mut open: Vec<(Vec<StepNo>, &[Step])> =
            numbered(&runbook.steps, &[]).into_iter().map(|steps| (steps, &runbook.steps[..])).collect();
        while let Some((steps, of)) = open.pop() {
            let Some(step) = steps.last().and_then(|no| of.get(no.index())) else { continue };
            let mark = |what| Mark { steps: steps.clone(), what };
            ran.push(mark(What::Ran));
            if step.condition.is_some() {
                branches.extend([mark(What::Held), mark(What::NotHeld)]);
            }
            if step.verify.is_some() && !step.effect.repeatable() {
                compensations.push(mark(What::Verified));
            }
            if step.on_cancel.is_some() {
                compensations.push(mark(What::TidiedUp));
            }
            // By hand is not rehearsed.
            if step.rollback.is_some() && runbook.rollback.policy == RollbackPolicy::Automatic {
                compensations.push(mark(What::RolledBack));
            }
            if let Some(block) = step.block() {
                open.extend(numbered(&block.steps, &steps).into_iter().map(|steps| (steps, &block.steps[..])));
            }
        }
        [("steps", ran), ("branches", branches), ("compensations", compensations)]
    }

    /// Takes in what a rehearsal came to, in the run at the top and in those below it.
    pub fn add(&mut self, rehearsal: &Rehearsal) {
        let runs = std::iter::once(&rehearsal.state).chain(rehearsal.below.values());
        let within: BTreeMap<RunUid, Within<'_>> = runs.map(|run| (run.uid(), Within::of(rehearsal, run))).collect();
        for (run, event) in &rehearsal.events {
            let Some(within) = within.get(run) else { continue };
            for (step, what) in marks(within.run, &event.fact) {
                self.seen.insert((within.runbook.to_owned(), Mark { steps: within.steps(step), what }));
            }
        }
    }

    /// Whether a rehearsal came to it in a runbook.
    pub fn has(&self, runbook: &Runbook, mark: &Mark) -> bool {
        self.seen.contains(&(runbook.name.clone(), mark.clone()))
    }
}

/// Where a run stands in the runbook that it is part of.
struct Within<'a> {
    run: &'a RunState,
    /// The name of the runbook.
    runbook: &'a str,
    /// The steps of the runbook that lead to it.
    above: Vec<StepNo>,
}

impl<'a> Within<'a> {
    fn of(rehearsal: &'a Rehearsal, run: &'a RunState) -> Self {
        let mut above = Vec::new();
        let mut runbook = &rehearsal.state.pinned().runbook.name;
        let trail = rehearsal.above(run);
        let below = trail.iter().map(|(run, _)| *run).skip(1).chain([run]);
        for ((of, step), below) in trail.iter().zip(below) {
            match below.pinned().kind() {
                Kind::Runbook => {
                    runbook = &below.pinned().runbook.name;
                    above.clear();
                }
                // What stands for items or iterations stands for the step that has them.
                Kind::Block | Kind::Each { .. } | Kind::Repeat { .. } if is_many(of) => {}
                Kind::Block | Kind::Each { .. } | Kind::Repeat { .. } => above.push(*step),
            }
        }
        Self { run, runbook, above }
    }

    /// A step of the run, as one of the runbook.
    fn steps(&self, step: StepNo) -> Vec<StepNo> {
        let own = Some(step).filter(|_| !is_many(self.run));
        self.above.iter().copied().chain(own).collect()
    }
}

fn marks(run: &RunState, fact: &Fact) -> Vec<(StepNo, What)> {
    let definition = |step: StepNo| run.pinned().runbook.step(step);
    match fact {
        Fact::StepReady { step, .. } => vec![(*step, What::Held)],
        Fact::StepSkipped { step, why: SkipReason::Condition } => vec![(*step, What::NotHeld)],
        // A step of its own kind is at work as soon as its `if` is true.
        Fact::WaitBegan { step, .. } | Fact::ApprovalAsked { step, .. } => {
            vec![(*step, What::Held), (*step, What::Ran)]
        }
        Fact::StepFailed { step, .. } => match definition(*step).map(|step| &step.work) {
            Some(Work::Fail(_)) => vec![(*step, What::Held), (*step, What::Ran)],
            Some(Work::Command(_) | Work::Wait(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_)) | None => {
                Vec::new()
            }
        },
        // What has nothing to do for any item did not run.
        Fact::ChildStarting { step, .. } if definition(*step).is_some_and(|step| step.many.is_some()) => Vec::new(),
        Fact::AttemptStarting { step, kind: AttemptKind::Run, .. } | Fact::ChildStarting { step, .. } => {
            vec![(*step, What::Ran)]
        }
        Fact::AttemptStarting { step, kind: AttemptKind::Verify, .. } => vec![(*step, What::Verified)],
        Fact::AttemptStarting { step, kind: AttemptKind::OnCancel, .. } => vec![(*step, What::TidiedUp)],
        Fact::AttemptStarting { step, kind: AttemptKind::Rollback, .. } => vec![(*step, What::RolledBack)],
        Fact::StepSkipped {
            why: SkipReason::Need(_) | SkipReason::NothingToUndo | SkipReason::DryRun { .. } | SkipReason::LeftOut,
            ..
        }
        | Fact::Created(_)
        | Fact::Admitted { .. }
        | Fact::WaitEnded { .. }
        | Fact::ApprovalGiven { .. }
        | Fact::StartDecided { .. }
        | Fact::ApprovalTimedOut { .. }
        | Fact::AttemptEnded { .. }
        | Fact::ChildEnded { .. }
        | Fact::ChildWaits { .. }
        | Fact::ChildRollingBack { .. }
        | Fact::Ending { .. }
        | Fact::RollingBack { .. }
        | Fact::RollbackAsked { .. }
        | Fact::RollbackAbandoned { .. }
        | Fact::Finishing { .. }
        | Fact::Finished { .. }
        | Fact::Resumed { .. }
        | Fact::Resolved { .. }
        | Fact::RepeatEnded { .. }
        | Fact::Paused { .. }
        | Fact::LocksReleased { .. }
        | Fact::Withheld { .. }
        | Fact::Provided { .. }
        | Fact::Continued { .. }
        | Fact::Due
        | Fact::DeadlinesShifted { .. } => Vec::new(),
    }
}
