//! The list of locks and groups: who has them, since when, and who waits.

use runbook_core::machine::{Claim, Machine, Resource};
use runbook_core::run::Rejection;
use runbook_proto::v1;
use tonic::Status;

use super::{errors, to_proto};

/// Locks in one page, by default and at most.
pub(super) const PAGE: (usize, usize) = (100, 1_000);
/// How many of a queue are named.
const QUEUE: usize = 100;

/// What a token of a page stands for: the last lock of the page before.
pub(super) fn after(token: &str) -> Result<Option<Resource>, Status> {
    match token.split_once(':') {
        None if token.is_empty() => Ok(None),
        Some(("lock", name)) => Ok(Some(Resource::Lock(name.to_owned()))),
        Some(("group", name)) => Ok(Some(Resource::Group(name.to_owned()))),
        None | Some(_) => Err(errors::bad_field("page_token", "it is not one that this daemon gave")),
    }
}

/// A page of the list.
pub(super) fn page(machine: &Machine, after: Option<&Resource>, size: usize) -> v1::ListLocksResponse {
    let mut all = machine.locks_from(after);
    let page: Vec<&Resource> = all.by_ref().take(size).collect();
    let last = page.last().filter(|_| all.next().is_some());
    let token = |resource: &&Resource| {
        let (kind, name) = resource.words();
        format!("{kind}:{name}")
    };
    v1::ListLocksResponse {
        next_page_token: last.map(token).unwrap_or_default(),
        locks: page.into_iter().map(|resource| lock(machine, resource)).collect(),
    }
}

fn lock(machine: &Machine, resource: &Resource) -> v1::Lock {
    let (_, name) = resource.words();
    v1::Lock {
        name: name.to_owned(),
        group: matches!(resource, Resource::Group(_)),
        holders: machine.holders(resource).filter_map(|claim| told(machine, claim)).collect(),
        queue: machine.queue_of(resource).take(QUEUE).filter_map(|claim| told(machine, claim)).collect(),
        waiting: machine.waiting(resource) as u64,
    }
}

/// The outermost that has a lock, in words for callers too, with all locks that it has.
pub(super) fn held(machine: &Machine, name: &str) -> Result<(Claim, Option<v1::LockClaim>, Vec<String>), Rejection> {
    let lock = Resource::Lock(name.to_owned());
    let Some(claim) = machine.holders(&lock).next() else {
        let group = machine.holders(&Resource::Group(name.to_owned())).next();
        let why = "runs have their group until they are over; `runbook cancel` ends one".to_owned();
        return Err(match group {
            Some(claim) => Rejection::LockInUse { name: name.to_owned(), holder: machine.tell(claim), why },
            None => Rejection::LockNotHeld { name: name.to_owned() },
        });
    };
    let step = claim.step.and_then(|step| machine.run(claim.run)?.step(step));
    Ok((claim, told(machine, claim), step.map(|step| step.locks.clone()).unwrap_or_default()))
}

/// A lock that somebody has or waits for.
pub(super) fn one(machine: &Machine, name: &str) -> Option<v1::Lock> {
    let wanted = Resource::Lock(name.to_owned());
    let known = machine.holders(&wanted).next().is_some() || machine.waiting(&wanted) > 0;
    known.then(|| lock(machine, &wanted))
}

fn told(machine: &Machine, claim: Claim) -> Option<v1::LockClaim> {
    let run = machine.run(claim.run)?;
    let path = machine.path(claim.run);
    let (step, since) = match claim.step {
        None => (path.trim_end_matches('/').to_owned(), run.admitted_at()),
        Some(no) => (format!("{path}{}", run.pinned().runbook.step(no)?.id), run.locked_since(no)),
    };
    Some(v1::LockClaim {
        run: to_proto::run_name(run.root()),
        run_number: run.created().number,
        runbook: run.created().runbook.clone(),
        step,
        started_by: Some(to_proto::principal(&run.created().by)),
        run_status: to_proto::run_status(run.status()).into(),
        since: since.map(to_proto::timestamp),
    })
}
