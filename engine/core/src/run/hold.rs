//! A run that a person holds: nothing of its main steps begins until a person lets it go on, nor of those of the child runs
//! that they started. When it may be held, what that does to the state, and what may not begin meanwhile.

use super::decide::goes_alone;
use super::event::{Fact, Principal};
use super::rejection::Rejection;
use super::state::{Phase, Progress, RunState};
use crate::id::StepNo;
use crate::time::Timestamp;

/// That a run is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// Who holds it; the engine, where the start said before which step.
    pub by: Principal,
    /// Why.
    pub reason: String,
    /// The step before which it is held, if the start said so.
    pub before: Option<StepNo>,
}

impl RunState {
    /// That it is held, if it is.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The steps before which it is still to be held.
    pub fn hold_before(&self) -> impl Iterator<Item = StepNo> {
        self.hold_before.iter().copied()
    }

    /// Whether nothing of its main steps may begin.
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some() && matches!(self.phase, Phase::Queued | Phase::Running)
    }

    /// Whether it stands still because it is held: nothing is on that goes on all the same, and what is below it stands
    /// still.
    pub(super) fn stands_held(&self) -> bool {
        let goes_on = |step: StepNo| matches!(self.progress(step), Progress::Verify(_) | Progress::OnCancel(_));
        let running = self.phase == Phase::Running && self.hold.is_some();
        running
            && self.live.is_empty()
            && self.children.len() == self.below.len()
            && !self.timed.iter().any(|(_, step)| goes_on(*step))
    }

    /// A person holds it, or it comes to a step before which it is held.
    pub(super) fn begin_hold(&mut self, hold: Hold) {
        if let Some(before) = hold.before {
            self.hold_before.remove(&before);
        }
        self.hold = Some(hold);
    }
}

/// Holds a run.
pub(super) fn pause(run: &RunState, by: Principal, reason: String) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "pause")?;
    let paused = Fact::Paused { before: None, by, reason };
    can_be_held(run).map(|()| vec![paused])
}

/// The run above is held: it is, too, where it can be.
pub(super) fn pause_below(run: &RunState, by: Principal, reason: String) -> Vec<Fact> {
    let held = can_be_held(run).is_ok();
    held.then_some(Fact::Paused { before: None, by, reason }).into_iter().collect()
}

fn can_be_held(run: &RunState) -> Result<(), Rejection> {
    match run.phase {
        Phase::Terminal(outcome) => return Err(Rejection::AlreadyTerminal { outcome: outcome.name() }),
        Phase::Finishing(outcome) => return Err(Rejection::Finishing { outcome: outcome.name() }),
        Phase::RollingBack(_) => return Err(Rejection::RollingBack),
        Phase::Queued if run.rollback_asked.is_some() => return Err(Rejection::RollingBack),
        Phase::Queued | Phase::Running => {}
    }
    if run.ends_hard() {
        return Err(Rejection::Stopping);
    }
    match &run.hold {
        Some(hold) => Err(Rejection::AlreadyPaused { by: hold.by.name.clone() }),
        None => Ok(()),
    }
}

/// Lets a run that is held go on.
pub(super) fn go_on(run: &RunState, by: Principal, reason: String) -> Vec<Fact> {
    run.is_held().then_some(Fact::Continued { by, reason }).into_iter().collect()
}

/// Where a step begins before which the run is held: that it is held comes first.
pub(super) fn before(run: &RunState, step: StepNo, judged: Fact) -> Fact {
    let begins = matches!(
        judged,
        Fact::StepReady { .. } | Fact::WaitBegan { .. } | Fact::ApprovalAsked { .. } | Fact::StepFailed { .. }
    );
    match begins && run.hold_before.contains(&step) {
        true => Fact::Paused { before: Some(step), by: Principal::engine(), reason: String::new() },
        false => judged,
    }
}
