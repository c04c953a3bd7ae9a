//! `CatchUpSchedule`: finds in the ledger which slots were missed, and has each run after all. Decides nothing about a run:
//! whether one may start beside others is the core's to say.

use std::sync::Arc;

use runbook_core::definition::Schedule;
use runbook_core::id::Digest;
use runbook_core::limits;
use runbook_core::machine::CatchUp;
use runbook_core::run::{Origin, Principal, Rejection, Start};
use runbook_core::schedule::{MissedSlots, ScheduleName};
use runbook_core::time::Timestamp;
use runbook_journal::{StoreError, View};
use runbook_proto::v1;
use tonic::{Code, Status};

use super::from_proto::Faults;
use super::runs::{self, Runs};
use super::schedules::start_of;
use super::{Shared, errors, from_proto, internal, to_proto};
use crate::clock;

/// Notes that are read at once.
const PAGE: usize = 1_000;
/// Notes that are looked through, the newest first.
const NOTES: usize = 1_000_000;
/// Slots that are counted to say how many are too many.
const COUNTED: usize = 100_000;

/// Starts what was missed, or with `validate_only` says what that is.
///
/// # Errors
/// There is too much of it, it cannot be started here, or the ledger cannot be read.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    name: &ScheduleName,
    declared: &Schedule,
    (by, roles): (Principal, Vec<String>),
    asked: v1::CatchUpScheduleRequest,
) -> Result<v1::CatchUpScheduleResponse, Status> {
    let mut faults = Faults::default();
    let from = asked.from.as_ref().ok_or_else(|| errors::bad_field("from", "say from when on"))?;
    let now = clock::now();
    let times = (
        faults.take(from_proto::moment("from", from)),
        faults.take(asked.to.as_ref().map_or(Ok(now), |to| from_proto::moment("to", to))),
        faults.take(from_proto::reason(&asked.reason)),
    );
    let (Some(from), Some(to), Some(reason)) = times else { return Err(faults.refusal()) };
    if to < from {
        return Err(errors::bad_field("to", "it is before `from`"));
    }
    let (reader, of) = (Arc::clone(&shared.reader), name.clone());
    let missed = tokio::task::spawn_blocking(move || missed(&*reader, &of, from, to.min(now)))
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))?;
    if missed.len() > limits::CAUGHT_UP {
        let count = if missed.len() < COUNTED { missed.len().to_string() } else { format!("{COUNTED} or more") };
        let most = limits::CAUGHT_UP;
        let message =
            format!("{count} slots of {name} were missed then, and one call runs {most} again: ask for less time");
        return Err(errors::status(Code::FailedPrecondition, "TOO_MANY_SLOTS", message));
    }
    let told = |at: &Timestamp| v1::CaughtUpSlot { at: Some(to_proto::timestamp(*at)), ..v1::CaughtUpSlot::default() };
    let mut answer = v1::CatchUpScheduleResponse::default();
    if missed.is_empty() {
        return Ok(answer);
    }
    let start = prepared(shared, name, declared, (by, roles)).await?;
    if asked.validate_only {
        answer.slots = missed.iter().map(told).collect();
        return Ok(answer);
    }
    for (place, slot) in missed.iter().enumerate() {
        let asked = CatchUp {
            schedule: name.clone(),
            slot: *slot,
            overlap: declared.overlap,
            uid: runs::new_uid(),
            start: of_slot(&start, name, *slot, &reason),
        };
        match shared.dispatcher.catch_up(asked).await.map_err(|_| errors::ending())? {
            Ok(reply) => answer.slots.push(v1::CaughtUpSlot {
                run: format!("runs/{}", reply.run),
                run_number: reply.number,
                ..told(slot)
            }),
            Err(Rejection::SlotBusy { number, .. }) => {
                answer.left = u32::try_from(missed.len() - place).unwrap_or(u32::MAX);
                answer.busy_run_number = number;
                break;
            }
            Err(rejection) => return Err(errors::rejection(&rejection)),
        }
    }
    Ok(answer)
}

/// What all the runs have in common, with everything there that they need.
async fn prepared(
    shared: &Arc<Shared>,
    name: &ScheduleName,
    declared: &Schedule,
    (by, roles): (Principal, Vec<String>),
) -> Result<Start, Status> {
    Runs(Arc::clone(shared)).prepared(by, roles, start_of(name, declared)).await
}

/// The start of one slot: its request id names the slot, whoever asks and however often.
fn of_slot(start: &Start, name: &ScheduleName, slot: Timestamp, reason: &str) -> Start {
    let id = Digest::of(format!("{name} {slot}").as_bytes());
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Start {
        // As a slot that is on time: a person who starts something now goes before it.
        origin: Origin::Schedule,
        reason: format!("schedule {}, missed slot {slot}{why}", name.schedule()),
        request_id: format!("missed slot {id}"),
        request_digest: id,
        ..start.clone()
    }
}

/// The slots from one instant to another of which the ledger says that they were missed; a few of those that are too many.
fn missed(
    reader: &dyn View,
    name: &ScheduleName,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Timestamp>, StoreError> {
    let mut missed = MissedSlots::between(from, to, COUNTED);
    let (mut before, mut read) = (None, 0);
    while read < NOTES && !missed.is_done() {
        let notes = reader.notes(name, before, PAGE)?;
        let Some(oldest) = notes.last() else { break };
        (before, read) = (Some(oldest.number), read + notes.len());
        notes.iter().for_each(|note| missed.read(note));
    }
    Ok(missed.all())
}
