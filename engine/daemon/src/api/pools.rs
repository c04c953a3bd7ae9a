//! The list of pools: how many places each has, who has one, since when, and who waits.

use runbook_core::id::{RunUid, StepNo};
use runbook_core::machine::{Machine, PoolView};
use runbook_proto::v1;

use super::{terms, to_proto};

/// Pools in one page, by default and at most.
pub(super) const PAGE: (usize, usize) = (100, 1_000);
/// How many holders and how many of a queue are named.
const NAMED: usize = 100;

/// A page of the list, behind the pool that a token names.
pub(super) fn page(machine: &Machine, after: &str, size: usize) -> v1::ListPoolsResponse {
    let mut all = machine.pools().into_iter().filter(|pool| pool.name.as_str() > after);
    let page: Vec<PoolView> = all.by_ref().take(size).collect();
    let last = page.last().filter(|_| all.next().is_some());
    v1::ListPoolsResponse {
        next_page_token: last.map(|pool| pool.name.clone()).unwrap_or_default(),
        pools: page.iter().map(|view| pool(machine, view)).collect(),
    }
}

fn pool(machine: &Machine, view: &PoolView) -> v1::Pool {
    let named = |all: &[(RunUid, StepNo)]| {
        all.iter().take(NAMED).filter_map(|(run, step)| claim(machine, *run, *step)).collect()
    };
    v1::Pool {
        name: view.name.clone(),
        capacity: u32::try_from(view.capacity).unwrap_or(u32::MAX),
        taken: view.holders.len() as u64,
        holders: named(&view.holders),
        queue: named(&view.queue),
        waiting: view.queue.len() as u64,
    }
}

fn claim(machine: &Machine, uid: RunUid, no: StepNo) -> Option<v1::PoolClaim> {
    let run = machine.run(uid)?;
    let created = run.created();
    Some(v1::PoolClaim {
        run: to_proto::run_name(run.root()),
        run_number: created.number,
        runbook: created.runbook.clone(),
        step: runbook_core::definition::step_path(&machine.path(uid), &run.pinned().runbook.step(no)?.id),
        priority: terms::priority(created.terms.priority.unwrap_or_default()).into(),
        started_by: Some(to_proto::principal(&created.by)),
        since: run.live_since(no).map(to_proto::timestamp),
    })
}
