//! What differs from what is written: told page by page, and accepted. What that means is the core's.

use std::sync::Arc;

use runbook_core::drift::{Accept, Acceptance, Change, Difference, Refusal, Seen, Stack, Standing};
use runbook_core::kept::Kept;
use runbook_core::limits;
use runbook_core::run::Principal;
use runbook_core::time::{Span, Timestamp};
use runbook_proto::v1;
use tonic::{Code, Status};

use super::environments::{self, bare};
use super::{Shared, errors, from_proto, to_proto};
use crate::clock;

/// Stacks and differences in one page, by default and at most.
const PAGE: (usize, usize) = (100, 500);

/// Where a difference, or a stack before its differences, stands among all.
fn place(stack: &Stack, address: &str) -> String {
    let environment = stack.environment.as_deref().unwrap_or_default();
    [environment, &stack.source, &stack.name, &stack.workspace, address].join("\n")
}

/// A page of what differs.
pub(super) async fn list(
    shared: &Arc<Shared>,
    request: &v1::ListDriftRequest,
) -> Result<v1::ListDriftResponse, Status> {
    let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
    let environment = bare(&request.environment);
    let seen =
        |name: &str| shared.shelf.look().drift.stacks().keys().any(|stack| stack.environment.as_deref() == Some(name));
    environments::known(shared, environment, seen).await?;
    let now = clock::now();
    let records = shared.shelf.look();
    let here = |stack: &Stack| {
        let environment = environment.is_empty() || stack.environment.as_deref() == Some(environment);
        environment && (request.stack.is_empty() || stack.name == request.stack)
    };
    let mut page = v1::ListDriftResponse::default();
    let mut left = size;
    let mut last = String::new();
    for (stack, standing) in records.drift.stacks().iter().filter(|(stack, _)| here(stack)) {
        let behind = |address: &str| place(stack, address) > request.page_token;
        let wanted = |difference: &&Difference| {
            behind(&difference.found.address) && (!request.only_new || standing.is_new(difference))
        };
        let mut wanted = standing.differences.values().filter(wanted).peekable();
        if !behind("") && wanted.peek().is_none() {
            continue;
        }
        if left == 0 {
            page.next_page_token = last;
            return Ok(page);
        }
        // One that goes on was counted on the page before.
        left -= usize::from(behind(""));
        last = place(stack, "").max(request.page_token.clone());
        let mut told = head(stack, standing);
        for difference in wanted {
            if left == 0 {
                page.stacks.push(told);
                page.next_page_token = last;
                return Ok(page);
            }
            left -= 1;
            last = place(stack, &difference.found.address);
            told.differences.push(tell(standing, difference, now));
        }
        page.stacks.push(told);
    }
    Ok(page)
}

/// Accepts a difference.
pub(super) async fn accept(
    shared: &Shared,
    by: Principal,
    request: v1::AcceptDriftRequest,
) -> Result<v1::AcceptDriftResponse, Status> {
    let now = clock::now();
    let until = request.until.ok_or_else(|| errors::bad_field("until", "say until when it is accepted"))?;
    let until = from_proto::moment("until", &until)?;
    if until <= now {
        return Err(errors::bad_field("until", format!("{until} has been; name a time to come")));
    }
    if until - now > Span::minutes(limits::DURATION_DAYS * 24 * 60) {
        return Err(errors::bad_field("until", format!("at most {} days from now", limits::DURATION_DAYS)));
    }
    if request.reason.trim().is_empty() {
        return Err(errors::bad_field("reason", "say why it is accepted"));
    }
    let reason = from_proto::reason(&request.reason)?;
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let accept = Accept {
        environment: given(bare(&request.environment)),
        name: given(&request.stack),
        workspace: given(&request.workspace),
        address: request.address,
        acceptance: Acceptance { until, reason, by, at: now },
    };
    let (meant, told) = tokio::sync::oneshot::channel();
    let change = shared.dispatcher.keep(move |records| {
        let change = records.drift.accept(accept)?;
        if let Change::Differs(stack, difference) = &change {
            // Whoever asked may have gone.
            let _ = meant.send((stack.clone(), difference.clone()));
        }
        Ok(vec![Kept::Drift(change)])
    });
    change.await.map_err(|_| errors::ending())?.map_err(|refusal: Refusal| {
        let (code, reason) = match &refusal {
            Refusal::NotThere(_) => (Code::NotFound, "NO_SUCH_DRIFT"),
            Refusal::Ambiguous(..) => (Code::FailedPrecondition, "AMBIGUOUS_DRIFT"),
        };
        errors::status(code, reason, refusal.to_string())
    })?;
    let (stack, difference) = told.await.map_err(|_| errors::ending())?;
    let records = shared.shelf.look();
    let standing = records.drift.stacks().get(&stack).cloned().unwrap_or_default();
    drop(records);
    let differences = vec![tell(&standing, &difference, now)];
    Ok(v1::AcceptDriftResponse { stack: Some(v1::DriftStack { differences, ..head(&stack, &standing) }) })
}

fn head(stack: &Stack, standing: &Standing) -> v1::DriftStack {
    let looks = &standing.looks;
    v1::DriftStack {
        environment: stack.environment.clone().unwrap_or_default(),
        source: stack.source.clone(),
        stack: stack.name.clone(),
        workspace: stack.workspace.clone(),
        last_look: looks.last.map(look),
        failed_look: looks.failed.as_ref().map(|(seen, why)| v1::DriftLook { message: why.clone(), ..look(*seen) }),
        left_out: looks.left_out,
        differences: Vec::new(),
    }
}

fn look(seen: Seen) -> v1::DriftLook {
    let (run, at) = (to_proto::run_name(seen.run), Some(to_proto::timestamp(seen.at)));
    v1::DriftLook { run, number: seen.number, at, message: String::new() }
}

fn tell(standing: &Standing, it: &Difference, now: Timestamp) -> v1::DriftDifference {
    v1::DriftDifference {
        address: it.found.address.clone(),
        action: it.found.action.clone(),
        attributes: it.found.attributes.clone(),
        more_attributes: it.found.more,
        first_seen: Some(look(it.first)),
        since: Some(look(it.since)),
        is_new: standing.is_new(it),
        accepted: it.acceptance(now).is_some(),
        acceptance: it.accepted.as_ref().map(|accepted| v1::DriftAcceptance {
            until: Some(to_proto::timestamp(accepted.until)),
            reason: accepted.reason.clone(),
            by: accepted.by.name.clone(),
            at: Some(to_proto::timestamp(accepted.at)),
        }),
    }
}
