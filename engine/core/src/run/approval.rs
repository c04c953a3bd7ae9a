//! Approvals: who may decide, and what follows from it. Never knows how a person's roles are found out.

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{AfterVote, Fact, Principal};
use super::rejection::Rejection;
use super::state::{Progress, RunState, Vote};
use crate::definition::{Approval, OnTimeout};
use crate::id::StepNo;

/// What `decision` is when the step succeeded because persons approved.
const APPROVED: &str = "approved";
/// What it is when nobody did in time, and the definition takes that for approval.
const TIMED_OUT: &str = "timed_out";

/// A person's decision about an approval.
#[derive(Debug, Clone)]
pub struct Ballot {
    /// Whether for it.
    pub approve: bool,
    /// What was filled in, of the declared types; of what is secret, under which name it is sealed.
    pub fields: IndexMap<String, Value>,
    /// The roles that the person has.
    pub roles: Vec<String>,
    /// Who.
    pub by: Principal,
    /// Why.
    pub reason: String,
}

/// Judges a decision.
pub(super) fn decide(run: &RunState, step: StepNo, ballot: Ballot) -> Result<Fact, Rejection> {
    let (Some(definition), Some(state)) = (run.pinned().runbook.step(step), run.step(step)) else {
        return Err(Rejection::NoSuchStep { step: step.0.to_string(), hint: None });
    };
    let id = || definition.id.clone();
    let what = || format!("step {:?}", definition.id);
    let (Some(approval), Progress::Asking { .. }) = (definition.approval(), state.progress) else {
        return Err(Rejection::NotAsking { step: id(), state: state.progress.name() });
    };
    if let Some(why) = forbidden(run, &approval.roles, approval.not_requester, &state.votes, &ballot) {
        return Err(match why {
            Forbidden::Decided => Rejection::DecidedAlready { what: what(), by: ballot.by.name },
            Forbidden::Because(why) => Rejection::MayNotDecide { what: what(), why },
        });
    }
    let Ballot { approve, fields, by, reason, .. } = ballot;
    let given = given(&state.votes);
    let problem = |problem: String| Rejection::Fields { step: id(), problem };
    for (name, value) in &fields {
        if !approval.fields.contains_key(name) {
            return Err(problem(format!("it has no field {name:?}")));
        }
        if let Some((by, _)) = given.get(name).filter(|(_, before)| *before != value) {
            return Err(problem(format!("{by} gave the field {name:?} another value already")));
        }
    }
    let approved = state.votes.iter().filter(|vote| vote.approve).count() + usize::from(approve);
    let then = match approve {
        false => AfterVote::Failed,
        true if approved >= approval.approvals as usize => AfterVote::Succeeded,
        true => AfterVote::Open,
    };
    let mut outputs = IndexMap::new();
    if then == AfterVote::Succeeded {
        let value = |name: &String| fields.get(name).or_else(|| given.get(name).map(|(_, value)| *value)).cloned();
        let missing = approval.fields.iter().find(|(name, field)| field.required && value(name).is_none());
        if let Some((name, _)) = missing {
            return Err(problem(format!("the field {name:?} is required")));
        }
        let approvers = state.votes.iter().map(|vote| &vote.by).chain([&by]);
        outputs = self::outputs(APPROVED, approvers.map(|by| by.name.clone()), approval, value);
    }
    Ok(Fact::ApprovalGiven { step, approve, fields, by, reason, then, outputs })
}

/// Why somebody may not decide.
pub(super) enum Forbidden {
    Decided,
    Because(String),
}

/// Why somebody may not decide, if it is so.
pub(super) fn forbidden(
    run: &RunState,
    roles: &[String],
    not_requester: bool,
    votes: &[Vote],
    ballot: &Ballot,
) -> Option<Forbidden> {
    let because = |why: &str| Some(Forbidden::Because(why.to_owned()));
    let Some(uid) = ballot.by.uid else { return because("only a person may decide") };
    if !roles.is_empty() && !roles.iter().any(|role| ballot.roles.contains(role)) {
        let has = match ballot.roles.is_empty() {
            true => "no role".to_owned(),
            false => format!("only {}", ballot.roles.join(", ")),
        };
        let name = &ballot.by.name;
        return because(&format!("it takes the role {}, and {name} has {has}", roles.join(" or ")));
    }
    if ballot.approve && not_requester && run.created().by.uid == Some(uid) {
        return because("who started the run may not approve it (not_requester)");
    }
    votes.iter().any(|vote| vote.by.uid == Some(uid)).then_some(Forbidden::Decided)
}

/// What was filled in so far, and by whom.
fn given(votes: &[Vote]) -> IndexMap<&String, (&String, &Value)> {
    votes.iter().flat_map(|vote| vote.fields.iter().map(move |(name, value)| (name, (&vote.by.name, value)))).collect()
}

fn outputs(
    decision: &str,
    approvers: impl Iterator<Item = String>,
    approval: &Approval,
    value: impl Fn(&String) -> Option<Value>,
) -> IndexMap<String, Value> {
    let mut outputs = IndexMap::from([
        (Approval::DECISION.to_owned(), Value::from(decision)),
        (Approval::APPROVERS.to_owned(), Value::Array(approvers.map(Value::from).collect())),
    ]);
    for (name, field) in approval.fields.iter().filter(|(_, field)| !field.secret) {
        if let Some(value) = value(name).or_else(|| field.default.clone()) {
            outputs.insert(name.clone(), value);
        }
    }
    outputs
}

/// What follows when nobody decided in time.
pub(super) fn timed_out(run: &RunState, step: StepNo) -> Option<Fact> {
    let approval = run.pinned().runbook.step(step)?.approval()?;
    let votes = &run.step(step)?.votes;
    let given = given(votes);
    let value = |name: &String| given.get(name).map(|(_, value)| (*value).clone());
    let lacks =
        approval.fields.iter().find(|(name, field)| field.required && value(name).is_none()).map(|(name, _)| name);
    let within = approval.timeout.unwrap_or_default();
    let so = format!("{} of {} approved within {within}", votes.len(), approval.approvals);
    let (then, message) = match (approval.on_timeout, lacks) {
        (OnTimeout::Approve, None) => (AfterVote::Succeeded, format!("{so}, which counts as approved")),
        (OnTimeout::Approve, Some(name)) => {
            (AfterVote::Failed, format!("{so}, and the field {name:?}, which is required, was not filled in"))
        }
        (OnTimeout::Reject, _) => (AfterVote::Failed, format!("{so}, which counts as rejected")),
        (OnTimeout::Fail, _) => (AfterVote::Failed, so),
    };
    let outputs = match then {
        AfterVote::Succeeded => outputs(TIMED_OUT, votes.iter().map(|vote| vote.by.name.clone()), approval, value),
        AfterVote::Open | AfterVote::Failed => IndexMap::new(),
    };
    Some(Fact::ApprovalTimedOut { step, then, message, outputs })
}

impl RunState {
    /// Under which name the secret is sealed that an approver filled in, if one did.
    pub fn sealed_field(&self, step: StepNo, field: &str) -> Option<&str> {
        self.pinned().runbook.step(step)?.approval().filter(|approval| approval.is_secret(field))?;
        self.step(step)?.votes.iter().find_map(|vote| vote.fields.get(field)?.as_str())
    }
}

/// Who decided what, in words.
pub(super) fn told(votes: &[Vote]) -> String {
    match votes.iter().find(|vote| !vote.approve) {
        Some(vote) => format!("rejected by {}: {}", vote.by.name, vote.reason),
        None => {
            let names: Vec<&str> = votes.iter().map(|vote| vote.by.name.as_str()).collect();
            format!("approved by {}", names.join(", "))
        }
    }
}
