//! What is kept beside runs and schedules: small values under keys of their own, written in the batch of their commit and
//! replaced by the next of the same name. Read as a whole at the start. Never decides what is kept.

use std::ops::{Bound, ControlFlow};

use prost::Message as _;
use runbook_core::drift::{Acceptance, Change, Difference, Found, Looks, Seen, Stack};
use runbook_core::kept::Kept;
use runbook_core::preflight::{Checked, Missing, Place};
use runbook_core::readiness::Verdict;
use runbook_core::time::Timestamp;
use runbook_core::verdicts::{self, Stood, Target};
use runbook_proto::journal as disk;

use crate::db::Batch;
use crate::error::StoreError;
use crate::from_disk::{self, Undecodable};
use crate::shared::Shared;
use crate::{frame, keys, to_disk};

type Result<T> = std::result::Result<T, Undecodable>;

/// The name of a value within its kind, and the kind.
pub fn name(kept: &Kept) -> Vec<u8> {
    let of = |kind: u8, stack: &Stack, rest: &str| {
        let environment = stack.environment.as_deref().unwrap_or_default();
        // None of them holds the zero that is between them.
        let parts =
            [environment, &stack.source, &stack.name, &stack.workspace, rest].map(|part| part.replace('\0', "?"));
        [&[kind][..], parts.join("\0").as_bytes()].concat()
    };
    match kept {
        Kept::Drift(Change::Looks(stack, _) | Change::Forgotten(stack)) => of(b'l', stack, ""),
        Kept::Drift(Change::Differs(stack, difference)) => of(b'd', stack, &difference.found.address),
        Kept::Drift(Change::Gone(stack, address)) => of(b'd', stack, address),
        Kept::Preflight(Checked { place, .. }) | Kept::NoPreflight(place) => {
            let environment = place.environment.as_deref().unwrap_or_default();
            [b"p", place.runbook.as_bytes(), b"\0", environment.as_bytes()].concat()
        }
        Kept::Verdict(verdicts::Change::Stood((environment, target), at, _))
        | Kept::Verdict(verdicts::Change::Forgotten((environment, target), at)) => {
            let environment = environment.as_deref().unwrap_or_default();
            let target = target.replace('\0', "?");
            [b"v", environment.as_bytes(), b"\0", target.as_bytes(), b"\0", &at.0.to_be_bytes()].concat()
        }
    }
}

/// Whether there is nothing of its name any more.
pub const fn is_gone(kept: &Kept) -> bool {
    match kept {
        Kept::Drift(change) => matches!(change, Change::Gone(..) | Change::Forgotten(_)),
        Kept::Verdict(change) => matches!(change, verdicts::Change::Forgotten(..)),
        Kept::NoPreflight(_) => true,
        Kept::Preflight(_) => false,
    }
}

/// Puts what is kept into a batch.
pub fn put(batch: &mut Batch, kept: &[Kept]) {
    for one in kept {
        let key = keys::kept(&name(one));
        if is_gone(one) {
            batch.remove(&key);
        } else {
            batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &to(one).encode_to_vec()));
        }
    }
}

/// All that is kept, as it is written: to be asked before anything is.
///
/// # Errors
/// One cannot be read.
pub fn all(shared: &Shared) -> std::result::Result<Vec<Kept>, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt {
        what: "something that is kept beside the runs".to_owned(),
        path: shared.db.dir(),
        why,
    };
    let mut kept = Vec::new();
    let bounds = (Bound::Included(&[keys::KEPT][..]), Bound::Excluded(&[keys::KEPT + 1][..]));
    shared.db.scan::<StoreError>(bounds, false, |key, value| {
        let frame = frame::open(key, value).map_err(|error| corrupt(error.to_string()))?;
        kept.push(from(frame.payload).map_err(|error| corrupt(error.to_string()))?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(kept)
}

/// As it is stored.
pub fn to(kept: &Kept) -> disk::Kept {
    use disk::kept::What;
    let change = match kept {
        Kept::Drift(change) => change,
        Kept::Preflight(it) => return disk::Kept { what: Some(What::Preflight(to_preflight(it))) },
        Kept::NoPreflight(place) => return disk::Kept { what: Some(What::PreflightGone(to_place(place))) },
        Kept::Verdict(change) => return disk::Kept { what: Some(to_verdict(change)) },
    };
    let what = match change {
        Change::Looks(stack, looks) => What::DriftLooks(disk::DriftLooks {
            stack: Some(to_stack(stack)),
            last: looks.last.map(to_seen),
            left_out: looks.left_out,
            failed: looks.failed.as_ref().map(|(seen, _)| to_seen(*seen)),
            failed_why: looks.failed.as_ref().map(|(_, why)| why.clone()).unwrap_or_default(),
        }),
        Change::Differs(stack, it) => What::DriftDiffers(disk::DriftDifference {
            stack: Some(to_stack(stack)),
            address: it.found.address.clone(),
            action: it.found.action.clone(),
            attributes: it.found.attributes.clone(),
            more_attributes: it.found.more,
            mark: it.found.mark.clone(),
            first: Some(to_seen(it.first)),
            since: Some(to_seen(it.since)),
            accepted: it.accepted.as_ref().map(to_acceptance),
        }),
        Change::Gone(stack, address) => {
            What::DriftGone(disk::DriftAddress { stack: Some(to_stack(stack)), address: address.clone() })
        }
        Change::Forgotten(stack) => What::DriftForgotten(to_stack(stack)),
    };
    disk::Kept { what: Some(what) }
}

fn to_verdict(it: &verdicts::Change) -> disk::kept::What {
    use disk::kept::What;
    let place = |(environment, target): &Target, at: &Timestamp| disk::VerdictPlace {
        environment: environment.clone(),
        target: target.clone(),
        at_micros: at.0,
    };
    match it {
        verdicts::Change::Stood(target, at, stood) => {
            let word = match stood.verdict {
                Some(Verdict::Ready) => disk::VerdictWord::Ready,
                Some(Verdict::Unproved) => disk::VerdictWord::Unproved,
                Some(Verdict::Broken) => disk::VerdictWord::Broken,
                None => disk::VerdictWord::Unwanted,
            };
            let (place, reasons) = (Some(place(target, at)), stood.reasons.clone());
            What::Verdict(disk::Verdict { place, word: word.into(), reasons })
        }
        verdicts::Change::Forgotten(target, at) => What::VerdictGone(place(target, at)),
    }
}

fn to_preflight(it: &Checked) -> disk::Preflight {
    let missing = it.missing.iter().map(|it| {
        let (subject, problem) = (it.subject.clone(), it.problem.clone());
        disk::PreflightMissing { subject, problem }
    });
    disk::Preflight {
        place: Some(to_place(&it.place)),
        at_micros: it.at.0,
        since_micros: it.since.map(|since| since.0),
        missing: missing.collect(),
        left_out: it.left_out,
    }
}

fn to_place(it: &Place) -> disk::PreflightPlace {
    disk::PreflightPlace { runbook: it.runbook.clone(), environment: it.environment.clone() }
}

fn to_stack(it: &Stack) -> disk::DriftStack {
    disk::DriftStack {
        environment: it.environment.clone(),
        source: it.source.clone(),
        name: it.name.clone(),
        workspace: it.workspace.clone(),
    }
}

fn to_seen(it: Seen) -> disk::DriftSeen {
    disk::DriftSeen { run: Some(to_disk::run_ref(it.run, it.number)), at_micros: it.at.0 }
}

fn to_acceptance(it: &Acceptance) -> disk::DriftAcceptance {
    disk::DriftAcceptance {
        until_micros: it.until.0,
        reason: it.reason.clone(),
        by: Some(to_disk::principal(&it.by)),
        at_micros: it.at.0,
    }
}

/// From its stored bytes.
///
/// # Errors
/// Anything that this program does not fully understand.
pub fn from(bytes: &[u8]) -> Result<Kept> {
    use disk::kept::What;
    let it = disk::Kept::decode(bytes)?;
    let change = match it.what.ok_or(Undecodable::Missing("kept.what"))? {
        What::DriftLooks(it) => Change::Looks(
            from_stack(it.stack)?,
            Looks {
                last: it.last.map(|seen| from_seen(Some(seen))).transpose()?,
                left_out: it.left_out,
                failed: it.failed.map(|seen| from_seen(Some(seen)).map(|seen| (seen, it.failed_why))).transpose()?,
            },
        ),
        What::DriftDiffers(it) => {
            let (address, action, attributes, more, mark) =
                (it.address, it.action, it.attributes, it.more_attributes, it.mark);
            let difference = Difference {
                found: Found { address, action, attributes, more, mark },
                first: from_seen(it.first)?,
                since: from_seen(it.since)?,
                accepted: it.accepted.map(from_acceptance).transpose()?,
            };
            Change::Differs(from_stack(it.stack)?, difference)
        }
        What::DriftGone(it) => Change::Gone(from_stack(it.stack)?, it.address),
        What::DriftForgotten(stack) => Change::Forgotten(from_stack(Some(stack))?),
        What::Preflight(it) => return from_preflight(it).map(Kept::Preflight),
        What::PreflightGone(place) => return Ok(Kept::NoPreflight(from_place(place))),
        What::Verdict(it) => return from_verdict(it).map(Kept::Verdict),
        What::VerdictGone(it) => {
            let at = Timestamp(it.at_micros);
            return Ok(Kept::Verdict(verdicts::Change::Forgotten((it.environment, it.target), at)));
        }
    };
    Ok(Kept::Drift(change))
}

fn from_verdict(it: disk::Verdict) -> Result<verdicts::Change> {
    let verdict = match it.word() {
        disk::VerdictWord::Ready => Some(Verdict::Ready),
        disk::VerdictWord::Unproved => Some(Verdict::Unproved),
        disk::VerdictWord::Broken => Some(Verdict::Broken),
        disk::VerdictWord::Unwanted => None,
        disk::VerdictWord::Unspecified => return Err(Undecodable::Missing("verdict.word")),
    };
    let place = it.place.ok_or(Undecodable::Missing("verdict.place"))?;
    let stood = Stood { verdict, reasons: it.reasons };
    Ok(verdicts::Change::Stood((place.environment, place.target), Timestamp(place.at_micros), stood))
}

fn from_preflight(it: disk::Preflight) -> Result<Checked> {
    let missing = it.missing.into_iter().map(|it| Missing { subject: it.subject, problem: it.problem });
    Ok(Checked {
        place: from_place(it.place.ok_or(Undecodable::Missing("preflight.place"))?),
        at: Timestamp(it.at_micros),
        since: it.since_micros.map(Timestamp),
        missing: missing.collect(),
        left_out: it.left_out,
    })
}

fn from_place(it: disk::PreflightPlace) -> Place {
    Place { runbook: it.runbook, environment: it.environment }
}

fn from_stack(it: Option<disk::DriftStack>) -> Result<Stack> {
    let it = it.ok_or(Undecodable::Missing("kept.stack"))?;
    Ok(Stack { environment: it.environment, source: it.source, name: it.name, workspace: it.workspace })
}

fn from_seen(it: Option<disk::DriftSeen>) -> Result<Seen> {
    let it = it.ok_or(Undecodable::Missing("kept.seen"))?;
    let run = it.run.ok_or(Undecodable::Missing("kept.seen.run"))?;
    Ok(Seen { run: from_disk::run_uid(&run.run_uid)?, number: run.number, at: Timestamp(it.at_micros) })
}

fn from_acceptance(it: disk::DriftAcceptance) -> Result<Acceptance> {
    Ok(Acceptance {
        until: Timestamp(it.until_micros),
        reason: it.reason,
        by: from_disk::principal(it.by)?,
        at: Timestamp(it.at_micros),
    })
}
