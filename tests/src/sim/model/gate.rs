//! The approval of a start, by rules 116 and 117.

use runbook_core::id::RunUid;
use runbook_core::run::{AfterVote, Ballot, Created, Principal, Start};
use runbook_core::time::{Span, Timestamp};

use super::super::design::{ENVIRONMENTS, ROLES};
use super::super::environment::{APPROVERS, ASKED_FOR};
use super::run::{RunModel, Stage};
use super::{Check, Model, must};

/// What persons are asked before a run begins, and what they decided.
#[derive(Debug, Clone)]
pub(crate) struct GateModel {
    pub(crate) until: Timestamp,
    approved: Vec<u32>,
    rejected: Option<Principal>,
    pub(crate) open: bool,
}

/// Whether a start is one that persons are asked about.
pub(crate) fn is_asked_about(start: &Start) -> bool {
    start.terms.environment.as_deref() == Some(ENVIRONMENTS[2]) && !start.terms.dry
}

impl GateModel {
    pub(crate) fn of(created: &Created) -> Option<Self> {
        let asks = created.terms.environment.as_deref() == Some(ENVIRONMENTS[2]);
        let until = created.terms.asks.as_ref()?.until?;
        asks.then_some(Self { until, approved: Vec::new(), rejected: None, open: false })
    }

    /// A person decided.
    pub(crate) fn take(&mut self, approve: bool, by: &Principal, then: AfterVote) {
        match approve {
            true => self.approved.extend(by.uid),
            false => self.rejected = Some(by.clone()),
        }
        self.open = then == AfterVote::Succeeded;
    }
}

impl RunModel {
    /// Until when persons are asked whether it may begin, while they are.
    pub(crate) fn gated_until(&self) -> Option<Timestamp> {
        let gate = self.gate.as_ref().filter(|gate| !gate.open)?;
        (self.stage == Stage::Queued && self.ending.is_none()).then_some(gate.until)
    }

    /// Whether a person's decision is to be taken (51, 116).
    pub(crate) fn may_decide_start(&self, ballot: &Ballot) -> bool {
        let (Some(gate), Some(uid)) = (self.gate.as_ref().filter(|_| self.gated_until().is_some()), ballot.by.uid)
        else {
            return false;
        };
        let role = ballot.roles.iter().any(|role| role == ROLES[1]);
        let own = ballot.approve && self.created.by.uid == Some(uid);
        role && !own && !gate.approved.contains(&uid)
    }

    /// What follows a decision that is taken.
    pub(crate) fn after_start_vote(&self, ballot: &Ballot) -> AfterVote {
        let so_far = self.gate.as_ref().map_or(0, |gate| gate.approved.len());
        match ballot.approve {
            false => AfterVote::Failed,
            true if so_far + 1 < APPROVERS as usize => AfterVote::Open,
            true => AfterVote::Succeeded,
        }
    }

    /// Whether it ends in the name of somebody for what was decided about its start, or was not in time.
    pub(crate) fn is_closed(&self, by: &Principal, now: Timestamp) -> bool {
        let Some(until) = self.gated_until() else { return false };
        match self.gate.as_ref().and_then(|gate| gate.rejected.as_ref()) {
            Some(who) => who == by,
            None => until <= now && *by == Principal::engine(),
        }
    }

    /// What of it should have followed and did not.
    pub(super) fn gate_overdue(&self, now: Timestamp) -> Check {
        let Some(until) = self.gated_until() else { return Ok(()) };
        must(until > now, || format!("its start had to be approved until {until} (116)"))?;
        let rejected = self.gate.as_ref().is_some_and(|gate| gate.rejected.is_some());
        must(!rejected, || "its start was rejected (116)".to_owned())
    }
}

impl Model {
    /// Whether a new run asks persons as it should (116, 117).
    pub(super) fn check_asks(&self, created: &Created, start: &Start, destroys: &[String]) -> Check {
        let until = (self.now + Span(ASKED_FOR)).0;
        let right = match &created.terms.asks {
            None => !is_asked_about(start),
            Some(asks) => {
                let mut names = asks.destroys.clone();
                names.sort();
                is_asked_about(start) && asks.until == Some(Timestamp(until)) && names == destroys
            }
        };
        must(right, || format!("it asks {:?} (116, 117)", created.terms.asks))
    }

    /// Whether a run goes to its end for its gate.
    pub(super) fn closes(&self, run: RunUid, by: &Principal) -> bool {
        self.runs.get(&run).is_some_and(|run| run.is_closed(by, self.now))
    }
}
