//! The API's messages as JSON for programs: the names of the fields are those of the `.proto` files, times are
//! RFC 3339 in UTC, enums are the words of the language (`succeeded`), what is not set is `null`; of an event, what
//! does not belong to its type is left out. The only door from prost types to JSON.

mod drift;
mod plan;
mod schedules;

use prost_types::value::Kind;
use prost_types::{Struct, Timestamp};
use runbook_proto::v1;
use serde_json::{Map, Value, json};

use crate::moment::Moment;
use crate::selecting;
pub use drift::drift_stack;
pub use plan::plan;
pub use schedules::{
    caught_up, finding_kind, ledger_entry, ledger_kind, schedule, schedule_state, slot, standing_finding,
};

/// Integers up to this size are exact in a double, which is what a `Struct` holds.
pub const EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

fn time(at: Option<&Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(Moment::from(at).rfc3339()))
}

/// A text; null for an empty one.
pub fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

/// A `Struct` as an object.
pub fn object(fields: Option<&Struct>) -> Value {
    let fields = fields.into_iter().flat_map(|fields| &fields.fields);
    Value::Object(fields.map(|(key, field)| (key.clone(), value(field))).collect())
}

/// A `Value` of protobuf.
pub fn value(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        #[allow(clippy::cast_possible_truncation)]
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= EXACT_INTEGER => {
            json!(*number as i64)
        }
        Some(Kind::NumberValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::BoolValue(flag)) => json!(flag),
        Some(Kind::StructValue(fields)) => object(Some(fields)),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(self::value).collect()),
    }
}

/// The word of a run's status.
pub const fn run_status(status: v1::RunStatus) -> &'static str {
    match status {
        v1::RunStatus::Unspecified => "unspecified",
        v1::RunStatus::Queued => "queued",
        v1::RunStatus::Waiting => "waiting",
        v1::RunStatus::Running => "running",
        v1::RunStatus::Paused => "paused",
        v1::RunStatus::Attention => "attention",
        v1::RunStatus::Finishing => "finishing",
        v1::RunStatus::RollingBack => "rolling_back",
        v1::RunStatus::Stopping => "stopping",
        v1::RunStatus::Succeeded => "succeeded",
        v1::RunStatus::Failed => "failed",
        v1::RunStatus::RolledBack => "rolled_back",
        v1::RunStatus::Canceled => "canceled",
    }
}

/// The word of a step's status.
pub const fn step_status(status: v1::StepStatus) -> &'static str {
    match status {
        v1::StepStatus::Unspecified => "unspecified",
        v1::StepStatus::Pending => "pending",
        v1::StepStatus::Running => "running",
        v1::StepStatus::Retrying => "retrying",
        v1::StepStatus::Waiting => "waiting",
        v1::StepStatus::Unknown => "unknown",
        v1::StepStatus::Succeeded => "succeeded",
        v1::StepStatus::Failed => "failed",
        v1::StepStatus::Skipped => "skipped",
        v1::StepStatus::Canceled => "canceled",
        v1::StepStatus::RollingBack => "rolling_back",
        v1::StepStatus::RolledBack => "rolled_back",
        v1::StepStatus::RollbackFailed => "rollback_failed",
    }
}

const fn origin(origin: v1::Origin) -> &'static str {
    match origin {
        v1::Origin::Unspecified => "unspecified",
        v1::Origin::Person => "person",
        v1::Origin::Api => "api",
        v1::Origin::Schedule => "schedule",
        v1::Origin::Hook => "hook",
    }
}

/// The word of a verdict on what can be restored.
pub const fn readiness_verdict(verdict: v1::ReadinessVerdict) -> &'static str {
    match verdict {
        v1::ReadinessVerdict::Unspecified => "unspecified",
        v1::ReadinessVerdict::Ready => "ready",
        v1::ReadinessVerdict::Unproved => "unproved",
        v1::ReadinessVerdict::Broken => "broken",
        v1::ReadinessVerdict::Unwanted => "unwanted",
    }
}

/// How a target stands.
pub fn target_readiness(it: &v1::TargetReadiness) -> Value {
    let ended = |it: &v1::Evidence| {
        json!({
            "run": it.run,
            "number": it.number,
            "runbook": it.runbook,
            "began_at": time(it.began_at.as_ref()),
            "ended_at": time(it.ended_at.as_ref()),
        })
    };
    let evidence = |it: &Option<v1::Evidence>| it.as_ref().map_or(Value::Null, ended);
    let seconds = |span: &Option<prost_types::Duration>| span.as_ref().map_or(Value::Null, |span| json!(seconds(span)));
    json!({
        "target": it.target,
        "environment": text(&it.environment),
        "verdict": readiness_verdict(it.verdict()),
        "reasons": it.reasons,
        "warnings": it.warnings,
        "rpo_seconds": seconds(&it.rpo),
        "rto_seconds": seconds(&it.rto),
        "backup": evidence(&it.backup),
        "proved": evidence(&it.proved),
        "proved_by": evidence(&it.proved_by),
        "failed": it.failed.iter().map(ended).collect::<Vec<_>>(),
        "restore": evidence(&it.restore),
        "drill": evidence(&it.drill),
        "restore_median_seconds": seconds(&it.restore_median),
        "restore_p90_seconds": seconds(&it.restore_p90),
        "restores": it.restores,
        "preflights": it.preflights.iter().map(restore_preflight).collect::<Vec<_>>(),
        "gaps": it.gaps.iter().map(|gap| json!({"before": evidence(&gap.before), "after": evidence(&gap.after)}))
            .collect::<Vec<_>>(),
        "all_gaps": it.all_gaps,
        "oldest_backup": evidence(&it.oldest_backup),
    })
}

/// Whether a runbook could start that restores something.
fn restore_preflight(it: &v1::RestorePreflight) -> Value {
    json!({
        "runbook": it.runbook,
        "at": time(it.at.as_ref()),
        "since": time(it.since.as_ref()),
        "problems": it.problems,
        "more": it.more,
    })
}

/// How a target stood from a time on.
pub fn readiness_change(it: &v1::ReadinessChange) -> Value {
    json!({
        "target": it.target,
        "environment": text(&it.environment),
        "at": time(it.at.as_ref()),
        "until": time(it.until.as_ref()),
        "verdict": readiness_verdict(it.verdict()),
        "reasons": it.reasons,
    })
}

/// The word of an event's type.
pub const fn event_type(kind: v1::EventType) -> &'static str {
    match kind {
        v1::EventType::Unspecified => "unspecified",
        v1::EventType::Created => "created",
        v1::EventType::Admitted => "admitted",
        v1::EventType::StepReady => "step_ready",
        v1::EventType::StepSkipped => "step_skipped",
        v1::EventType::StepFailed => "step_failed",
        v1::EventType::AttemptStarting => "attempt_starting",
        v1::EventType::AttemptEnded => "attempt_ended",
        v1::EventType::Ending => "ending",
        v1::EventType::Finishing => "finishing",
        v1::EventType::Finished => "finished",
        v1::EventType::Resumed => "resumed",
        v1::EventType::Resolved => "resolved",
        v1::EventType::DeadlinesShifted => "deadlines_shifted",
        v1::EventType::LocksReleased => "locks_released",
        v1::EventType::Withheld => "withheld",
        v1::EventType::Provided => "provided",
        v1::EventType::Paused => "paused",
        v1::EventType::Continued => "continued",
        v1::EventType::Due => "due",
        v1::EventType::WaitBegan => "wait_began",
        v1::EventType::WaitEnded => "wait_ended",
        v1::EventType::ApprovalAsked => "approval_asked",
        v1::EventType::ApprovalGiven => "approval_given",
        v1::EventType::ApprovalTimedOut => "approval_timed_out",
        v1::EventType::StartDecided => "start_decided",
        v1::EventType::RollingBack => "rolling_back",
        v1::EventType::RollbackAsked => "rollback_asked",
        v1::EventType::RollbackAbandoned => "rollback_abandoned",
        v1::EventType::ChildStarting => "child_starting",
        v1::EventType::ChildEnded => "child_ended",
        v1::EventType::ChildWaits => "child_waits",
        v1::EventType::ChildRollingBack => "child_rolling_back",
        v1::EventType::RepeatEnded => "repeat_ended",
    }
}

fn principal(principal: Option<&v1::Principal>) -> Value {
    principal.map_or(Value::Null, |p| json!({"name": p.name, "uid": p.uid}))
}

fn artifact(artifact: &v1::Artifact) -> Value {
    json!({
        "name": artifact.name,
        "length": artifact.length,
        "digest": artifact.digest,
        "path": text(&artifact.path),
    })
}

/// A run; `steps` is left out where the daemon sent none.
pub fn run(run: &v1::Run) -> Value {
    let mut json = json!({
        "name": run.name,
        "uid": run.uid,
        "number": run.number,
        "runbook": run.runbook,
        "status": run_status(run.status()),
        "created_at": time(run.created_at.as_ref()),
        "admitted_at": time(run.admitted_at.as_ref()),
        "finished_at": time(run.finished_at.as_ref()),
        "deadline": time(run.deadline.as_ref()),
        "epoch": run.epoch,
        "origin": origin(run.origin()),
        "started_by": principal(run.started_by.as_ref()),
        "reason": text(&run.reason),
        "request_id": text(&run.request_id),
        "schedule": text(&run.schedule),
        "slot": time(run.slot.as_ref()),
        "environment": text(&run.environment),
        "definition": text(&run.definition),
        "commit": text(&run.commit),
        "inputs": object(run.inputs.as_ref()),
        "inputs_from": inputs_from(&run.inputs_from),
        "overridden": text(&run.overridden),
        "priority": priority(run.priority()),
        "last_event": run.last_event,
        "message": text(&run.message),
        "waits_for": run.waits_for,
        "confirmed": run.confirmed,
        "dry_run": run.dry_run,
        "selection": selecting::to_json(run.selection.as_ref()),
        "pause": run.pause.as_ref().map(pause),
        "pause_before": run.pause_before,
        "begins_at": time(run.begins_at.as_ref()),
        "approval": run.approval.as_ref().map(approval),
    });
    if let (Some(json), false) = (json.as_object_mut(), run.steps.is_empty()) {
        json.insert("can_roll_back".to_owned(), json!(run.can_roll_back));
        json.insert("no_return".to_owned(), json!(run.no_return));
        json.insert("steps".to_owned(), run.steps.iter().map(run_step).collect());
    }
    if let (Some(json), Some(outputs)) = (json.as_object_mut(), &run.outputs) {
        json.insert("outputs".to_owned(), object(Some(outputs)));
    }
    if let (Some(json), false) = (json.as_object_mut(), run.top.is_empty()) {
        json.insert("top".to_owned(), json!(run.top));
    }
    json
}

/// Where inputs came from, by their names.
fn inputs_from(all: &[v1::InputFrom]) -> Value {
    Value::Object(all.iter().map(|from| (from.input.clone(), json!(input_source(from.source())))).collect())
}

/// The word of where an input came from.
pub const fn input_source(source: v1::InputSource) -> &'static str {
    match source {
        v1::InputSource::Unspecified => "unspecified",
        v1::InputSource::Given => "given",
        v1::InputSource::Default => "default",
        v1::InputSource::Absent => "absent",
        v1::InputSource::Like => "like",
        v1::InputSource::Variable => "variable",
        v1::InputSource::Environment => "environment",
    }
}

/// An environment.
pub fn environment(environment: &v1::Environment) -> Value {
    json!({
        "name": environment.name,
        "description": text(&environment.description),
        "file": environment.file,
        "is_default": environment.is_default,
        "broken": environment.broken,
        "start_roles": environment.start_roles,
        "confirm": text(&environment.confirm),
        "approved_by": text(&environment.approved_by),
        "hours": text(&environment.hours),
        "freezes": environment.freezes.iter().map(freeze).collect::<Vec<_>>(),
        "override_roles": environment.override_roles,
        "closed": text(&environment.closed),
        "values": object(environment.values.as_ref()),
        "inputs": object(environment.inputs.as_ref()),
        "findings": environment.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn freeze(freeze: &v1::Freeze) -> Value {
    json!({
        "name": freeze.name,
        "from": time(freeze.from.as_ref()),
        "to": time(freeze.to.as_ref()),
        "reason": freeze.reason,
    })
}

fn pause(pause: &v1::Pause) -> Value {
    json!({
        "since": time(pause.since.as_ref()),
        "by": principal(pause.by.as_ref()),
        "reason": text(&pause.reason),
        "before": text(&pause.before),
    })
}

fn run_step(step: &v1::RunStep) -> Value {
    let mut json = json!({
        "id": step.id,
        "description": text(&step.description),
        "status": step_status(step.status()),
        "needs": step.needs,
        "in_finally": step.in_finally,
        "allow_failure": step.allow_failure,
        "attempts": step.attempts,
        "running": text(&step.running),
        "started_at": time(step.started_at.as_ref()),
        "ended_at": time(step.ended_at.as_ref()),
        "retry_at": time(step.retry_at.as_ref()),
        "waits_until": time(step.waits_until.as_ref()),
        "approval": step.approval.as_ref().map(approval),
        "exit_code": step.exit_code,
        "message": text(&step.message),
        "last_line": text(&step.last_line),
        "waits_for": step.waits_for,
        "locks": step.locks,
        "pool": text(&step.pool),
        "missing_inputs": step.missing_inputs,
        "outputs": object(step.outputs.as_ref()),
        "artifacts": step.artifacts.iter().map(artifact).collect::<Vec<_>>(),
    });
    if let (Some(json), false) = (json.as_object_mut(), step.runbook.is_empty()) {
        json.insert("runbook".to_owned(), json!(step.runbook));
        json.insert("child".to_owned(), text(&step.child));
        json.insert("child_run".to_owned(), step.child_run.as_ref().map_or(Value::Null, run));
    }
    json
}

/// What a step asks of persons.
pub fn approval(approval: &v1::Approval) -> Value {
    let vote = |vote: &v1::Vote| {
        json!({
            "by": principal(vote.by.as_ref()),
            "at": time(vote.at.as_ref()),
            "approve": vote.approve,
            "reason": text(&vote.reason),
            "fields": object(vote.fields.as_ref()),
        })
    };
    json!({
        "run": approval.run,
        "run_number": approval.run_number,
        "runbook": approval.runbook,
        "step": text(&approval.step),
        "message": approval.message,
        "roles": approval.roles,
        "approvals": approval.approvals,
        "not_requester": approval.not_requester,
        "fields": approval.fields.iter().map(input).collect::<Vec<_>>(),
        "votes": approval.votes.iter().map(vote).collect::<Vec<_>>(),
        "asked_at": time(approval.asked_at.as_ref()),
        "until": time(approval.until.as_ref()),
        "on_timeout": approval.on_timeout,
        "started_by": principal(approval.started_by.as_ref()),
        "reason": text(&approval.reason),
        "inputs": object(approval.inputs.as_ref()),
        "may_decide": approval.may_decide,
    })
}

/// A pool.
pub fn pool(pool: &v1::Pool) -> Value {
    let claim = |claim: &v1::PoolClaim| {
        json!({
            "run": claim.run,
            "run_number": claim.run_number,
            "runbook": claim.runbook,
            "step": claim.step,
            "priority": priority(claim.priority()),
            "started_by": principal(claim.started_by.as_ref()),
            "since": time(claim.since.as_ref()),
        })
    };
    json!({
        "name": pool.name,
        "capacity": pool.capacity,
        "taken": pool.taken,
        "holders": pool.holders.iter().map(claim).collect::<Vec<_>>(),
        "queue": pool.queue.iter().map(claim).collect::<Vec<_>>(),
        "waiting": pool.waiting,
    })
}

/// Its word.
pub const fn priority(priority: v1::Priority) -> &'static str {
    match priority {
        v1::Priority::High => "high",
        v1::Priority::Low => "low",
        v1::Priority::Normal | v1::Priority::Unspecified => "normal",
    }
}

/// A lock or a group.
pub fn lock(lock: &v1::Lock) -> Value {
    json!({
        "name": lock.name,
        "group": lock.group,
        "holders": lock.holders.iter().map(lock_claim).collect::<Vec<_>>(),
        "queue": lock.queue.iter().map(lock_claim).collect::<Vec<_>>(),
        "waiting": lock.waiting,
    })
}

/// Who has a lock, or waits for it.
pub fn lock_claim(claim: &v1::LockClaim) -> Value {
    json!({
        "run": claim.run,
        "run_number": claim.run_number,
        "run_status": run_status(claim.run_status()),
        "runbook": claim.runbook,
        "step": text(&claim.step),
        "started_by": principal(claim.started_by.as_ref()),
        "since": time(claim.since.as_ref()),
    })
}

/// An event.
pub fn event(event: &v1::Event) -> Value {
    let all = json!({
        "number": event.number,
        "at": time(event.at.as_ref()),
        "type": event_type(event.r#type()),
        "step": text(&event.step),
        "attempt": (event.attempt > 0).then_some(event.attempt),
        "attempt_kind": text(&event.attempt_kind),
        "how": text(&event.how),
        "exit_code": event.exit_code,
        "then": text(&event.then),
        "then_at": time(event.then_at.as_ref()),
        "message": text(&event.message),
        "by": principal(event.by.as_ref()),
        "reason": text(&event.reason),
        "outputs": event.outputs.as_ref().map(|outputs| object(Some(outputs))),
        "artifacts": (!event.artifacts.is_empty()).then(|| event.artifacts.iter().map(artifact).collect::<Vec<_>>()),
        "cpu_seconds": event.cpu_time.as_ref().map(seconds),
        "max_rss_kib": (event.max_rss_kib > 0).then_some(event.max_rss_kib),
        "log_lines": (event.log_lines > 0).then_some(event.log_lines),
        "log_dropped": (event.log_dropped > 0).then_some(event.log_dropped),
        "outcome": (event.outcome() != v1::RunStatus::Unspecified).then(|| run_status(event.outcome())),
        "epoch": (event.epoch > 0).then_some(event.epoch),
        "started_at": time(event.started_at.as_ref()),
        "ended_at": time(event.ended_at.as_ref()),
        "asks": text(&event.asks),
        "approve": event.approve,
        "confirmed": (!event.confirmed.is_empty()).then_some(&event.confirmed),
        "child": text(&event.child),
        "run": text(&event.run),
        "waits": text(&event.waits),
        "again": event.again.then_some(true),
        "dry_run": event.dry_run.then_some(true),
        "selection": selecting::to_json(event.selection.as_ref()),
        "before": text(&event.before),
        "inputs": (!event.inputs.is_empty()).then_some(&event.inputs),
        "environment": text(&event.environment),
        "overridden": text(&event.overridden),
        "inputs_from": (!event.inputs_from.is_empty()).then(|| inputs_from(&event.inputs_from)),
        "definition": text(&event.definition),
        "runs_again": (!event.runs_again.is_empty()).then_some(&event.runs_again),
    });
    match all {
        Value::Object(all) => Value::Object(all.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

/// A length of time in microseconds.
pub fn micros(span: Option<&prost_types::Duration>) -> i64 {
    span.map_or(0, crate::moment::micros)
}

#[allow(clippy::cast_precision_loss)]
fn seconds(span: &prost_types::Duration) -> f64 {
    span.seconds as f64 + f64::from(span.nanos) / 1e9
}

/// A line of a log.
pub fn log_line(line: &v1::LogLine) -> Value {
    json!({
        "step": line.step,
        "attempt": line.attempt,
        "at": time(line.at.as_ref()),
        "stream": if line.stderr { "stderr" } else { "stdout" },
        "text": line.text,
    })
}

/// A finding.
pub fn finding(finding: &v1::Finding) -> Value {
    let severity = match finding.severity() {
        v1::Severity::Unspecified => "unspecified",
        v1::Severity::Error => "error",
        v1::Severity::Warning => "warning",
    };
    json!({
        "code": finding.code,
        "severity": severity,
        "message": finding.message,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "help": text(&finding.help),
    })
}

fn input(input: &v1::Input) -> Value {
    let parsed = |json: &String| serde_json::from_str(json).unwrap_or_else(|_| json!(json));
    json!({
        "name": input.name,
        "type": input.r#type,
        "required": input.required,
        "default": if input.default_json.is_empty() { Value::Null } else { parsed(&input.default_json) },
        "choices": input.choices_json.iter().map(parsed).collect::<Vec<_>>(),
        "pattern": text(&input.pattern),
        "minimum": input.minimum,
        "maximum": input.maximum,
        "secret": input.secret,
        "ephemeral": input.ephemeral,
        "description": text(&input.description),
    })
}

/// A runbook; `source` is left out where the daemon sent none.
pub fn runbook(runbook: &v1::Runbook) -> Value {
    let labels: std::collections::BTreeMap<_, _> = runbook.labels.iter().collect();
    let steps: Vec<Value> = runbook
        .steps
        .iter()
        .map(|step| {
            json!({
                "id": step.id,
                "description": text(&step.description),
                "needs": step.needs,
                "in_finally": step.in_finally,
                "condition": text(&step.condition),
                "effect": text(&step.effect),
                "when_skipped": text(&step.when_skipped),
                "undoes": step.undoes,
                "has_rollback": step.has_rollback,
                "no_return": step.no_return,
            })
        })
        .collect();
    let mut json = json!({
        "name": runbook.name,
        "description": text(&runbook.description),
        "labels": labels,
        "file": runbook.file,
        "definition": text(&runbook.definition),
        "broken": runbook.broken,
        "locks": runbook.locks,
        "environments": runbook.environments,
        "needs_environment": runbook.needs_environment,
        "objective": runbook.objective.as_ref().map_or(Value::Null, objective),
        "inputs": runbook.inputs.iter().map(input).collect::<Vec<_>>(),
        "steps": steps,
        "findings": runbook.findings.iter().map(finding).collect::<Vec<_>>(),
    });
    if let (Some(json), false) = (json.as_object_mut(), runbook.source.is_empty()) {
        json.insert("source".to_owned(), json!(runbook.source));
    }
    json
}

/// What the runs of a runbook are for.
fn objective(it: &v1::Objective) -> Value {
    let seconds = |span: &Option<prost_types::Duration>| span.as_ref().map_or(Value::Null, |span| json!(seconds(span)));
    json!({
        "target": it.target,
        "rpo_seconds": seconds(&it.rpo),
        "rto_seconds": seconds(&it.rto),
        "drill": it.drill,
        "proves": it.proves,
    })
}

/// Two runs side by side.
pub fn diff(diff: &v1::DiffRunsResponse) -> Value {
    let or_null = |of: &Option<prost_types::Value>| of.as_ref().map_or(Value::Null, value);
    let inputs = diff
        .inputs
        .iter()
        .map(|input| json!({"name": input.name, "first": or_null(&input.first), "second": or_null(&input.second)}));
    let steps = diff.steps.iter().map(|step| {
        let change = match step.change() {
            v1::DefinitionChange::Unspecified => "unspecified",
            v1::DefinitionChange::Same => "same",
            v1::DefinitionChange::Changed => "changed",
            v1::DefinitionChange::OnlyFirst => "only_first",
            v1::DefinitionChange::OnlySecond => "only_second",
        };
        json!({
            "id": step.id,
            "change": change,
            "keys": step.keys,
            "first": step.first.as_ref().map(fate),
            "second": step.second.as_ref().map(fate),
        })
    });
    json!({
        "first": diff.first.as_ref().map(run),
        "second": diff.second.as_ref().map(run),
        "keys": diff.keys,
        "inputs": inputs.collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn fate(fate: &v1::StepFate) -> Value {
    json!({
        "status": step_status(fate.status()),
        "attempts": fate.attempts,
        "took_seconds": fate.took.as_ref().map(seconds),
        "message": text(&fate.message),
    })
}

/// A rehearsal; the path is left out where only the end was asked for.
pub fn rehearsal(rehearsal: &v1::Rehearsal) -> Value {
    let undone = rehearsal.undone.iter().map(|step| json!({"id": step.id, "status": step_status(step.status())}));
    let mut json = json!({
        "name": text(&rehearsal.name),
        "outcome": run_status(rehearsal.run.as_ref().map(v1::Run::status).unwrap_or_default()),
        "message": rehearsal.run.as_ref().map_or(Value::Null, |run| text(&run.message)),
        "took_seconds": rehearsal.took.as_ref().map(seconds),
        "undone": undone.collect::<Vec<_>>(),
        "compensated": rehearsal.compensated,
        "remains": rehearsal.remains,
        "crashes": rehearsal.crashes,
        "notes": rehearsal.notes,
        "unmet": rehearsal.unmet,
        "guessed": rehearsal.guessed,
        "never_started": rehearsal.never_started,
    });
    if let (Some(json), false) = (json.as_object_mut(), rehearsal.events.is_empty()) {
        json.insert("events".to_owned(), rehearsal.events.iter().map(event).collect());
    }
    json
}

/// What the daemon says of itself.
pub fn info(info: &v1::GetInfoResponse) -> Value {
    json!({
        "version": info.version,
        "pid": info.pid,
        "project_folder": info.project_folder,
        "data_directory": info.data_directory,
        "started_at": time(info.started_at.as_ref()),
        "active_runs": info.active_runs,
        "live_attempts": info.live_attempts,
        "places": info.places,
        "draining": info.draining,
        "runbooks": info.runbooks,
        "broken_runbooks": info.broken_runbooks,
        "generation": info.generation,
        "fires_schedules": info.fires_schedules,
        "schedules": info.schedules,
        "warnings": info.warnings,
    })
}

/// A JSON value for a `Struct`; `None` where it holds an integer that a double cannot hold.
pub fn to_struct_value(value: &Value) -> Option<prost_types::Value> {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => {
            // As a double an integer of this size could already be another one.
            let exact = number.is_f64()
                || number.as_i64().is_some_and(|integer| integer.unsigned_abs() <= EXACT_INTEGER as u64);
            if !exact {
                return None;
            }
            Kind::NumberValue(number.as_f64()?)
        }
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            let values = values.iter().map(to_struct_value).collect::<Option<_>>()?;
            Kind::ListValue(prost_types::ListValue { values })
        }
        Value::Object(fields) => Kind::StructValue(to_struct(fields)?),
    };
    Some(prost_types::Value { kind: Some(kind) })
}

fn to_struct(fields: &Map<String, Value>) -> Option<Struct> {
    let fields =
        fields.iter().map(|(key, value)| Some((key.clone(), to_struct_value(value)?))).collect::<Option<_>>()?;
    Some(Struct { fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        for text in [r#"{"a":[1,2.5,"x",null,true,{"b":-3}],"c":{}}"#, "[]", "9007199254740992", "1e300"] {
            let json: Value = serde_json::from_str(text).unwrap();
            assert_eq!(value(&to_struct_value(&json).unwrap()), json, "{text}");
        }
        for text in ["9007199254740993", r#"{"a":[18446744073709551615]}"#] {
            let json: Value = serde_json::from_str(text).unwrap();
            assert_eq!(to_struct_value(&json), None, "{text}");
        }
    }

    #[test]
    fn an_event_has_only_what_belongs_to_it() {
        let json = event(&v1::Event {
            number: 7,
            at: Some(Timestamp { seconds: 0, nanos: 1_000 }),
            r#type: v1::EventType::AttemptEnded.into(),
            step: "dump".into(),
            attempt: 2,
            exit_code: Some(0),
            then: "succeeded".into(),
            cpu_time: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            ..Default::default()
        });
        assert_eq!(
            json.to_string(),
            r#"{"number":7,"at":"1970-01-01T00:00:00.000001Z","type":"attempt_ended","step":"dump","attempt":2,"exit_code":0,"then":"succeeded","cpu_seconds":1.5}"#
        );
    }

    #[test]
    fn a_run_keeps_its_shape() {
        let json = run(&v1::Run { number: 3, status: v1::RunStatus::RolledBack.into(), ..Default::default() });
        assert_eq!(json["status"], "rolled_back");
        assert_eq!(json["finished_at"], Value::Null);
        assert_eq!(json["inputs"], json!({}));
        assert!(json.get("steps").is_none());
    }
}
