//! Whether a start passes what protects its environment: who asks, when, whether it is overridden, and who has to approve it.
//! Never knows how a person's roles are found out.

use super::decide;
use super::event::{Fact, Origin};
use super::input::Start;
use super::rejection::Rejection;
use super::terms::Asks;
use crate::definition::{Closed, Environment};
use crate::time::Timestamp;

/// What came of the judgement of a start.
#[derive(Debug, Default)]
struct Passed {
    /// Why it overrides what protects the environment, where it does.
    overridden: Option<String>,
    /// What persons are asked before its run begins.
    asks: Option<Asks>,
}

/// The first fact of a run at the top, whose start is judged.
///
/// # Errors
/// Who asks may not start it, or nobody may now; or those of [`decide::create`].
pub(crate) fn create(start: &Start, now: Timestamp) -> Result<Fact, Rejection> {
    let Passed { overridden, asks } = check(start, now)?;
    let mut fact = decide::create(start)?;
    if let Fact::Created(created) = &mut fact {
        (created.terms.overridden, created.terms.asks) = (overridden, asks);
    }
    Ok(fact)
}

/// Judges a start.
fn check(start: &Start, now: Timestamp) -> Result<Passed, Rejection> {
    may_start(start)?;
    let overridden = open(start, now)?;
    let asks = match start.approvals() {
        Some(approvals) => Some(Asks {
            until: approvals.timeout.map(|timeout| now + timeout),
            destroys: start.destroyed()?.into_iter().map(|target| target.name).collect(),
        }),
        None => None,
    };
    Ok(Passed { overridden, asks })
}

/// Why what protects its environment refuses a start: all of it.
pub(crate) fn refusals(start: &Start, now: Timestamp) -> Vec<Rejection> {
    [may_start(start).err(), open(start, now).err()].into_iter().flatten().collect()
}

/// Whether who asks may start it.
fn may_start(start: &Start) -> Result<(), Rejection> {
    match start.origin {
        // Whoever wrote the schedule stands for it, and the configuration for hooks.
        Origin::Schedule | Origin::Hook => Ok(()),
        Origin::Person | Origin::Api => check_roles(start),
    }
}

/// Whether it may begin now; gives why that overrides what protects the environment, where it does.
fn open(start: &Start, now: Timestamp) -> Result<Option<String>, Rejection> {
    let Some(environment) = start.pinned.runbook.environment.as_deref() else { return Ok(None) };
    // What tells people of trouble is wanted most while nothing else may run.
    if start.origin == Origin::Hook {
        return Ok(None);
    }
    let Environment { name, protection, .. } = environment;
    let has = |roles: &[String]| roles.iter().any(|role| start.roles.contains(role));
    // What changes nothing disturbs nobody.
    let Some(closed) = protection.closed(now).filter(|_| !start.terms.dry) else { return Ok(None) };
    match &start.terms.overridden {
        Some(reason) if has(&protection.override_roles) => Ok(Some(reason.clone())),
        Some(_) => {
            Err(Rejection::MayNotOverride { environment: name.clone(), roles: protection.override_roles.clone() })
        }
        None => {
            let why = closed.to_string();
            Err(match closed {
                Closed::Frozen(..) => Rejection::Frozen { environment: name.clone(), why },
                Closed::Hours(_) => Rejection::OutsideHours { environment: name.clone(), why },
            })
        }
    }
}

/// Judges who asks for a start.
///
/// # Errors
/// They may not start anything in its environment.
pub(crate) fn check_roles(start: &Start) -> Result<(), Rejection> {
    let Some(Environment { name, protection, .. }) = start.pinned.runbook.environment.as_deref() else { return Ok(()) };
    let refused = || Rejection::MayNotStart { environment: name.clone(), roles: protection.roles.clone() };
    protection.lets_start(&start.roles).then_some(()).ok_or_else(refused)
}
