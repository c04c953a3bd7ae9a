//! What runs ask of persons, as it is told: by a step, or before a run begins. Never decides who may answer.

use runbook_core::definition::{Approval, Approvals, OnTimeout};
use runbook_core::id::StepNo;
use runbook_core::run::{Created, Progress, RunState, Vote};
use runbook_proto::v1;
use serde_json::Value;

use super::to_proto::{input, object, principal, run_name, timestamp, value};

/// What is told instead of what is secret.
const SECRET: &str = "(secret)";

/// What a step asks of persons; `None` when it does not.
pub(super) fn approval(run: &RunState, no: StepNo) -> Option<v1::Approval> {
    let (step, state) = (run.pinned().runbook.step(no)?, run.step(no)?);
    let (Progress::Asking { until }, Some(approval)) = (state.progress, step.approval()) else { return None };
    Some(v1::Approval {
        step: step.id.clone(),
        message: state.message.clone(),
        roles: approval.roles.clone(),
        approvals: approval.approvals,
        not_requester: approval.not_requester,
        fields: approval.fields.iter().map(|(name, field)| input(name, field)).collect(),
        votes: state.votes.iter().map(|vote| self::vote(vote, Some(approval))).collect(),
        asked_at: state.started_at.map(timestamp),
        until: until.map(timestamp),
        on_timeout: match approval.on_timeout {
            OnTimeout::Reject => "reject",
            OnTimeout::Approve => "approve",
            OnTimeout::Fail => "fail",
        }
        .to_owned(),
        ..of(run)
    })
}

/// What persons are asked before a run begins; `None` when they are not.
pub(super) fn start(run: &RunState) -> Option<v1::Approval> {
    let (approvals, gate) = run.asks_to_begin()?;
    Some(v1::Approval {
        message: start_message(run.created()),
        roles: approvals.roles.clone(),
        approvals: approvals.count,
        not_requester: approvals.not_requester,
        votes: gate.votes.iter().map(|vote| self::vote(vote, None)).collect(),
        asked_at: Some(timestamp(run.created_at())),
        until: gate.until.map(timestamp),
        on_timeout: "reject".to_owned(),
        ..of(run)
    })
}

/// What a run waits for that asks persons before it begins, in words.
pub(super) fn waits(run: &RunState) -> Option<String> {
    let (approvals, gate) = run.asks_to_begin()?;
    let so_far = if gate.votes.is_empty() { String::new() } else { format!(", {} approved", gate.votes.len()) };
    Some(format!("approval of its start ({}{so_far})", of_start(approvals)))
}

fn start_message(created: &Created) -> String {
    let place = created.terms.environment.as_deref().unwrap_or_default();
    let destroys = created.terms.asks.as_ref().map_or(&[][..], |asks| &asks.destroys);
    let destroys = if destroys.is_empty() { String::new() } else { format!(", and destroy {}", destroys.join(", ")) };
    format!("Start {} in {place}{destroys}?", created.runbook)
}

fn of(run: &RunState) -> v1::Approval {
    let created = run.created();
    v1::Approval {
        run: run_name(run.uid()),
        run_number: created.number,
        runbook: created.runbook.clone(),
        started_by: Some(principal(&created.by)),
        reason: created.reason.clone(),
        inputs: Some(inputs(created)),
        ..v1::Approval::default()
    }
}

/// The inputs of a run, without what is secret.
pub(super) fn inputs(created: &Created) -> prost_types::Struct {
    let mut inputs = object(created.inputs.iter());
    for name in &created.sealed_inputs {
        inputs.fields.insert(name.clone(), value(&Value::from(SECRET)));
    }
    inputs
}

fn vote(vote: &Vote, approval: Option<&Approval>) -> v1::Vote {
    let mut fields = object(vote.fields.iter());
    for (name, shown) in &mut fields.fields {
        if approval.is_some_and(|approval| approval.is_secret(name)) {
            *shown = value(&Value::from(SECRET));
        }
    }
    v1::Vote {
        by: Some(principal(&vote.by)),
        at: Some(timestamp(vote.at)),
        approve: vote.approve,
        reason: vote.reason.clone(),
        fields: Some(fields),
    }
}

/// Whom an approval asks, in words.
pub(super) fn of_step(approval: &Approval) -> String {
    words(&approval.roles, approval.approvals, approval.not_requester)
}

/// Whom the approval of a start asks, in words.
pub(super) fn of_start(approvals: &Approvals) -> String {
    words(&approvals.roles, approvals.count, approvals.not_requester)
}

fn words(roles: &[String], count: u32, not_requester: bool) -> String {
    let who = if roles.is_empty() { "anybody".to_owned() } else { roles.join(" or ") };
    let many = if count > 1 { format!("{count} of ") } else { String::new() };
    let other = if not_requester { ", not who started the run" } else { "" };
    format!("{many}{who}{other}")
}
