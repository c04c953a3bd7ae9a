//! Schedules, their slots and their ledgers as JSON.

use runbook_proto::v1;
use serde_json::{Value, json};

use super::{object, principal, seconds, text, time};

/// The word of a schedule's state.
pub const fn schedule_state(state: v1::ScheduleState) -> &'static str {
    match state {
        v1::ScheduleState::Unspecified => "unspecified",
        v1::ScheduleState::Active => "active",
        v1::ScheduleState::Paused => "paused",
        v1::ScheduleState::NotFired => "not_fired",
        v1::ScheduleState::Removed => "removed",
        v1::ScheduleState::Broken => "broken",
    }
}

/// The word of what a ledger's entry says.
pub const fn ledger_kind(kind: v1::LedgerKind) -> &'static str {
    match kind {
        v1::LedgerKind::Unspecified => "unspecified",
        v1::LedgerKind::Planned => "planned",
        v1::LedgerKind::Removed => "removed",
        v1::LedgerKind::Paused => "paused",
        v1::LedgerKind::Resumed => "resumed",
        v1::LedgerKind::Succeeded => "succeeded",
        v1::LedgerKind::CaughtUp => "caught_up",
        v1::LedgerKind::Ran => "ran",
        v1::LedgerKind::Skipped => "skipped",
        v1::LedgerKind::Merged => "merged",
        v1::LedgerKind::Missed => "missed",
        v1::LedgerKind::Failed => "failed",
    }
}

/// A schedule.
pub fn schedule(schedule: &v1::Schedule) -> Value {
    let seconds = |span: Option<&prost_types::Duration>| span.map_or(Value::Null, |span| json!(seconds(span)));
    json!({
        "name": schedule.name,
        "runbook": schedule.runbook,
        "schedule": schedule.schedule,
        "state": schedule_state(schedule.state()),
        "message": text(&schedule.message),
        "cron": text(&schedule.cron),
        "timezone": text(&schedule.timezone),
        "dst": text(&schedule.dst),
        "explained": text(&schedule.explained),
        "missed": text(&schedule.missed),
        "missed_window": seconds(schedule.missed_window.as_ref()),
        "missed_max": schedule.missed_max,
        "overlap": text(&schedule.overlap),
        "jitter": seconds(schedule.jitter.as_ref()),
        "start_deadline": seconds(schedule.start_deadline.as_ref()),
        "environment": text(&schedule.environment),
        "inputs": object(schedule.inputs.as_ref()),
        "next": schedule.next.as_ref().map_or(Value::Null, slot),
        "accounted_through": time(schedule.accounted_through.as_ref()),
        "last_ran": time(schedule.last_ran.as_ref()),
        "last_run_number": if schedule.last_run_number > 0 { json!(schedule.last_run_number) } else { Value::Null },
        "paused_by": principal(schedule.paused_by.as_ref()),
        "pause_reason": text(&schedule.pause_reason),
        "preparing": time(schedule.preparing.as_ref()),
        "last_succeeded": time(schedule.last_succeeded.as_ref()),
        "expected_by": time(schedule.expected_by.as_ref()),
    })
}

/// The word of a finding's kind.
pub const fn finding_kind(kind: v1::FindingKind) -> &'static str {
    match kind {
        v1::FindingKind::Unspecified => "unspecified",
        v1::FindingKind::Overdue => "overdue",
        v1::FindingKind::Attention => "attention",
        v1::FindingKind::Broken => "broken",
        v1::FindingKind::Hook => "hook",
        v1::FindingKind::Preflight => "preflight",
    }
}

/// Something that a person should look at.
pub fn standing_finding(finding: &v1::StandingFinding) -> Value {
    json!({
        "kind": finding_kind(finding.kind()),
        "subject": finding.subject,
        "since": time(finding.since.as_ref()),
        "message": finding.message,
        "help": text(&finding.help),
        "run_number": if finding.run_number > 0 { json!(finding.run_number) } else { Value::Null },
    })
}

/// A slot that is to come.
pub fn slot(slot: &v1::Slot) -> Value {
    json!({
        "at": time(slot.at.as_ref()),
        "starts_at": time(slot.starts_at.as_ref()),
        "wall": slot.wall,
        "utc_offset_minutes": slot.utc_offset_minutes,
        "remark": text(&slot.remark),
    })
}

/// A missed slot and the run that it had after all.
pub fn caught_up(slot: &v1::CaughtUpSlot) -> Value {
    json!({"at": time(slot.at.as_ref()), "run": text(&slot.run), "run_number": slot.run_number})
}

/// An entry of a schedule's ledger.
pub fn ledger_entry(entry: &v1::LedgerEntry) -> Value {
    json!({
        "number": entry.number,
        "decided_at": time(entry.decided_at.as_ref()),
        "kind": ledger_kind(entry.kind()),
        "first_slot": time(entry.first_slot.as_ref()),
        "last_slot": time(entry.last_slot.as_ref()),
        "slots": entry.slots,
        "run": text(&entry.run),
        "run_number": if entry.run_number > 0 { json!(entry.run_number) } else { Value::Null },
        "reason": text(&entry.reason),
        "by": principal(entry.by.as_ref()),
    })
}
