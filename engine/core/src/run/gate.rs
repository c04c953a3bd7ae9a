//! The approval of a start: what persons are asked before a run begins, who may decide, and what follows. Never knows how a
//! person's roles are found out.

use super::approval::{self, Ballot, Forbidden};
use super::event::{AfterVote, EndingCause, Fact, Principal};
use super::rejection::Rejection;
use super::state::{Phase, RunState, Vote};
use super::terms::Asks;
use crate::definition::Approvals;
use crate::time::{Span, Timestamp};

/// How a refusal names what it is about.
const START: &str = "the start";

/// What persons are asked before a run begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// How long they have.
    pub until: Option<Timestamp>,
    /// What they decided.
    pub votes: Vec<Vote>,
    /// Whether they let the run begin.
    pub open: bool,
}

impl Gate {
    pub(super) fn of(asks: &Asks) -> Self {
        Self { until: asks.until, votes: Vec::new(), open: false }
    }
}

impl RunState {
    /// What persons are asked before it begins, or were.
    pub const fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// Whether persons have to approve before it begins.
    pub fn is_gated(&self) -> bool {
        let asks = self.phase == Phase::Queued && self.ending.is_none();
        asks && self.gate.as_ref().is_some_and(|gate| !gate.open)
    }

    /// Who has to approve that it begins, and what they decided so far; `None` where nobody is asked now.
    pub fn asks_to_begin(&self) -> Option<(&Approvals, &Gate)> {
        let environment = self.pinned.runbook.environment.as_deref()?;
        environment.protection.approvals.as_ref().zip(self.gate.as_ref().filter(|_| self.is_gated()))
    }

    /// How long they have who are asked.
    pub(super) fn gated_until(&self) -> Option<Timestamp> {
        self.gate.as_ref().filter(|_| self.is_gated())?.until
    }

    /// A person decided; a part of `apply`.
    pub(super) fn decide_start(&mut self, vote: Vote, then: AfterVote) {
        if let Some(gate) = &mut self.gate {
            gate.votes.push(vote);
            gate.open = then == AfterVote::Succeeded;
        }
    }

    /// The clock was set; a part of `apply`.
    pub(super) fn shift_gate(&mut self, by: Span) {
        let gated = self.is_gated();
        if let Some(gate) = self.gate.as_mut().filter(|_| gated) {
            gate.until = gate.until.map(|at| at + by);
        }
    }
}

/// Judges a decision.
pub(super) fn decide(run: &RunState, ballot: Ballot) -> Result<Fact, Rejection> {
    let Some((approvals, gate)) = run.asks_to_begin() else {
        return Err(Rejection::StartNotAsking { state: run.status().name() });
    };
    if let Some(why) = approval::forbidden(run, &approvals.roles, approvals.not_requester, &gate.votes, &ballot) {
        let what = START.to_owned();
        return Err(match why {
            Forbidden::Decided => Rejection::DecidedAlready { what, by: ballot.by.name },
            Forbidden::Because(why) => Rejection::MayNotDecide { what, why },
        });
    }
    let Ballot { approve, by, reason, .. } = ballot;
    let then = match approve {
        false => AfterVote::Failed,
        // One against it is the last.
        true if gate.votes.len() + 1 >= approvals.count as usize => AfterVote::Succeeded,
        true => AfterVote::Open,
    };
    Ok(Fact::StartDecided { approve, by, reason, then })
}

/// The end of a run whose start was rejected, or not approved in time.
pub(super) fn closed(run: &RunState, now: Timestamp) -> Option<Fact> {
    let (approvals, gate) = run.asks_to_begin()?;
    let (by, reason) = match gate.votes.iter().find(|vote| !vote.approve) {
        Some(vote) => (vote.by.clone(), format!("the start was rejected: {}", vote.reason)),
        None => {
            gate.until.filter(|until| *until <= now)?;
            let (so_far, within) = (gate.votes.len(), approvals.timeout.unwrap_or_default());
            (Principal::engine(), format!("{so_far} of {} approved the start within {within}", approvals.count))
        }
    };
    Some(Fact::Ending { cause: EndingCause::Cancel { now: false, by, reason, past: Vec::new() } })
}
