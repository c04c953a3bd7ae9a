//! The service of approvals: what runs ask of persons, and their answers.

use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::step_path;
use runbook_core::id::{RunUid, StepNo};
use runbook_core::machine::Machine;
use runbook_core::run::{Ballot, Input, Principal, RunState};
use runbook_proto::v1;
use runbook_proto::v1::approval_service_server::ApprovalService;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use super::runs::{Runs, step_no};
use super::{Shared, asks, errors, from_proto, internal, principal, roles, to_proto};

/// Approvals in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);

pub(super) struct Approvals(pub Arc<Shared>);

/// A place in the list: a run, and a step of it; the start of the run comes before its steps.
type Place = (RunUid, Option<u32>);

impl Approvals {
    /// Who asks, and the roles of that person.
    fn caller<T>(&self, request: &Request<T>) -> (Principal, Vec<String>) {
        (principal(request), roles(&self.0, request))
    }

    /// Seals what is secret of what was filled in, before anything is decided: the name that it is sealed under takes its
    /// place. Gives these names by field.
    async fn seal(
        &self,
        run: &RunState,
        step: StepNo,
        fields: &mut Map<String, Value>,
    ) -> Result<Vec<(String, String)>, Status> {
        let Some(approval) = run.pinned().runbook.step(step).and_then(|step| step.approval()) else {
            return Ok(Vec::new());
        };
        let (root, sealer) = (run.root(), Arc::clone(&self.0.surroundings.sealer));
        let mut secrets = Vec::new();
        for (field, value) in fields.iter_mut().filter(|(field, _)| approval.is_secret(field)) {
            let name = sealer.field_name(run.uid(), step, field, value);
            secrets.push((field.clone(), name.clone(), std::mem::replace(value, Value::String(name))));
        }
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let seal = move || -> std::io::Result<Vec<(String, String)>> {
            secrets.iter().try_for_each(|(_, name, value)| sealer.seal_field(root, name, value))?;
            Ok(secrets.into_iter().map(|(field, name, _)| (field, name)).collect())
        };
        let sealed = tokio::task::spawn_blocking(seal).await.map_err(|error| internal(&error))?;
        sealed.map_err(|error| errors::not_written(&error, &"the secret fields cannot be sealed"))
    }

    /// Forgets what was sealed for a decision that was refused, but for what somebody else gave just so.
    async fn unseal(&self, run: RunUid, step: StepNo, sealed: Vec<(String, String)>) -> Result<(), Status> {
        let state = self.0.run_state(run).await?;
        let (root, sealer) = (state.root(), Arc::clone(&self.0.surroundings.sealer));
        let forget = move || {
            let unused = sealed.iter().filter(|(field, name)| state.sealed_field(step, field) != Some(name));
            unused.map(|(_, name)| sealer.forget_field(root, name)).collect::<std::io::Result<Vec<()>>>()
        };
        tokio::task::spawn_blocking(forget)
            .await
            .map_err(|error| internal(&error))?
            .map_err(|error| internal(&error))?;
        Ok(())
    }

    /// Puts a decision to a run, and answers with the run that it is part of.
    async fn put(
        &self,
        top: RunUid,
        run: RunUid,
        input: Input,
    ) -> Result<Response<v1::DecideApprovalResponse>, Status> {
        let runs = Runs(Arc::clone(&self.0));
        runs.put(run, input).await?;
        let run = runs.head(top).await?;
        Ok(Response::new(v1::DecideApprovalResponse { run: Some(run) }))
    }
}

/// What a run asks, each with its place. Of a child run it is told as asked by the run at the top.
fn asked(machine: &Machine, run: &RunState, by: &Principal, roles: &[String]) -> Vec<(Place, v1::Approval)> {
    let prefix = machine.path(run.uid());
    let may = |mut told: v1::Approval| {
        told.run = to_proto::run_name(run.root());
        let own = told.not_requester && run.created().by.uid == by.uid;
        let role = told.roles.is_empty() || told.roles.iter().any(|role| roles.contains(role));
        let done = told.votes.iter().any(|vote| vote.by.as_ref().and_then(|who| who.uid) == by.uid);
        told.may_decide = by.uid.is_some() && role && !own && !done;
        told
    };
    let of_step = |no: StepNo| {
        let told = asks::approval(run, no)?;
        let step = step_path(&prefix, &told.step);
        Some(((run.uid(), Some(no.0)), may(v1::Approval { step, ..told })))
    };
    let of_start = asks::start(run).map(|told| ((run.uid(), None), may(told)));
    of_start.into_iter().chain(run.asking().filter_map(of_step)).collect()
}

fn place(token: &str) -> Result<Option<Place>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('.').and_then(|(run, step)| {
        let step = if step.is_empty() { None } else { Some(step.parse().ok()?) };
        Some((run.parse::<RunUid>().ok()?, step))
    });
    parsed.map(Some).ok_or_else(|| errors::bad_field("page_token", "it is not one that this daemon gave"))
}

#[tonic::async_trait]
impl ApprovalService for Approvals {
    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        let (by, roles) = self.caller(&request);
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
        let after = place(&request.page_token)?;
        let only: Option<RunUid> = match request.run.is_empty() {
            true => None,
            false => Some(self.0.run_uid(from_proto::run_name_in("run", &request.run)?).await?),
        };
        let mine = request.mine;
        let mut found = self
            .0
            .dispatcher
            .query(move |machine| {
                let runs = machine.runs().filter(|run| only.is_none_or(|uid| run.root() == uid || run.uid() == uid));
                runs.flat_map(|run| asked(machine, run, &by, &roles))
                    .filter(|(place, told)| after.is_none_or(|after| *place > after) && (!mine || told.may_decide))
                    .take(size + 1)
                    .collect::<Vec<_>>()
            })
            .await
            .map_err(|_| errors::ending())?;
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more);
        Ok(Response::new(v1::ListApprovalsResponse {
            next_page_token: last
                .map(|((run, step), _)| match step {
                    Some(step) => format!("{run}.{step}"),
                    None => format!("{run}."),
                })
                .unwrap_or_default(),
            approvals: found.into_iter().map(|(_, told)| told).collect(),
        }))
    }

    async fn decide_approval(
        &self,
        request: Request<v1::DecideApprovalRequest>,
    ) -> Result<Response<v1::DecideApprovalResponse>, Status> {
        let (by, roles) = self.caller(&request);
        let mut request = request.into_inner();
        let name = from_proto::run_name_in("run", &request.run)?;
        let approve = match v1::Decision::try_from(request.decision) {
            Ok(v1::Decision::Approve) => true,
            Ok(v1::Decision::Reject) => false,
            Ok(v1::Decision::Unspecified) | Err(_) => {
                return Err(errors::bad_field("decision", "it must be approve or reject"));
            }
        };
        let uid = self.0.run_uid(name).await?;
        let reason = from_proto::reason(&request.reason)?;
        if !approve && reason.trim().is_empty() {
            return Err(errors::bad_field("reason", "say why: it is what those who wait for it will read"));
        }
        if request.step.is_empty() {
            if !request.field_texts.is_empty() || request.fields.as_ref().is_some_and(|it| !it.fields.is_empty()) {
                return Err(errors::bad_field("fields", "nothing is filled in for the start of a run"));
            }
            let ballot = Ballot { approve, fields: IndexMap::new(), roles, by, reason };
            return self.put(uid, uid, Input::DecideStart { ballot: Box::new(ballot) }).await;
        }
        let state = self.0.run_state(uid).await?;
        let (state, id, _) = self.0.below(state, &request.step).await?;
        let step = step_no(&state, id)?;
        let mut fields = match state.pinned().runbook.step(step).and_then(|step| step.approval()) {
            Some(approval) => from_proto::fields(approval, &mut request)?,
            // Refused as what it is by the core.
            None => serde_json::Map::new(),
        };
        let sealed = self.seal(&state, step, &mut fields).await?;
        let ballot = Ballot { approve, fields: fields.into_iter().collect(), roles, by, reason };
        let input = Input::Decide { step, ballot: Box::new(ballot) };
        let answer = self.put(uid, state.uid(), input).await;
        if answer.is_err() && !sealed.is_empty() {
            self.unseal(state.uid(), step, sealed).await?;
        }
        answer
    }
}
