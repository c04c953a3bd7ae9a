//! Rules 50 to 53 and 147: who may decide about an approval, and what follows.

use indexmap::IndexMap;
use runbook_core::definition::Approval;
use runbook_core::run::{AfterVote, Ballot};
use serde_json::Value;

use super::run::RunModel;
use super::step::Status;

impl RunModel {
    pub(crate) fn approval(&self, no: usize) -> Result<&Approval, String> {
        self.step(no)?.0.approval().ok_or_else(|| format!("step {no} is no approval"))
    }

    /// Whether a person's decision is to be taken (50, 51).
    pub(crate) fn may_decide(&self, no: usize, ballot: &Ballot) -> bool {
        let (Ok((_, step)), Ok(approval)) = (self.step(no), self.approval(no)) else { return false };
        let asks = matches!(step.status, Status::Asking { .. });
        let Some(uid) = ballot.by.uid else { return false };
        let role = approval.roles.is_empty() || ballot.roles.iter().any(|role| approval.roles.contains(role));
        let requester = approval.not_requester && ballot.approve && self.created.by.uid == Some(uid);
        let twice = step.approved.iter().any(|(who, _)| *who == uid);
        let differs = |(name, value): (&String, &Value)| {
            let before = step.approved.iter().find_map(|(_, fields)| fields.get(name));
            !approval.fields.contains_key(name) || before.is_some_and(|before| before != value)
        };
        let whole = ballot.approve && self.after_vote(no, ballot) == Ok(AfterVote::Succeeded);
        asks && role
            && !requester
            && !twice
            && !ballot.fields.iter().any(differs)
            && (!whole || self.lacks_field(no, Some(ballot)) == Ok(false))
    }

    /// What follows a decision that is taken (50).
    pub(crate) fn after_vote(&self, no: usize, ballot: &Ballot) -> Result<AfterVote, String> {
        let so_far = self.step(no)?.1.approved.len();
        let wanted = self.approval(no)?.approvals as usize;
        Ok(match ballot.approve {
            false => AfterVote::Failed,
            true if so_far + 1 < wanted => AfterVote::Open,
            true => AfterVote::Succeeded,
        })
    }

    /// Whether what was filled in for a secret field is among its outputs (147).
    pub(crate) fn tells_secret(&self, no: usize, outputs: &IndexMap<String, Value>) -> Result<bool, String> {
        let fields = &self.approval(no)?.fields;
        Ok(fields.iter().any(|(name, field)| field.secret && outputs.contains_key(name)))
    }

    /// Whether a required field is not filled in, also not by this (51, 53).
    pub(crate) fn lacks_field(&self, no: usize, ballot: Option<&Ballot>) -> Result<bool, String> {
        let approved = &self.step(no)?.1.approved;
        let filled = |name: &String| {
            approved.iter().any(|(_, fields)| fields.contains_key(name))
                || ballot.is_some_and(|ballot| ballot.fields.contains_key(name))
        };
        Ok(self.approval(no)?.fields.iter().any(|(name, field)| field.required && !filled(name)))
    }
}
