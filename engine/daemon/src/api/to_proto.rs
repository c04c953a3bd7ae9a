//! From our types to the API's: the one door out. Decides nothing, and shows no secret.

use std::collections::HashMap;
use std::path::Path;

use prost_types::{Duration, Struct, Timestamp as ProtoTimestamp, Value as ProtoValue, value::Kind};
use runbook_core::definition::{InputDecl, Objective, Part, Runbook, Step, WhenSkipped, step_path};
use runbook_core::id::{RunUid, StepNo};
use runbook_core::language::{Finding, Severity};
use runbook_core::machine::AttemptRef;
use runbook_core::readiness::Role;
use runbook_core::run::provide;
use runbook_core::run::view::{RunStatus, StepStatus};
use runbook_core::run::{
    AfterVote, Artifact, AttemptKind, EndingCause, Event, Fact, How, Origin, Outcome, Phase, Principal, Progress,
    RunState, SkipReason, Then, Waits,
};
use runbook_core::time::{Span, Timestamp};
use runbook_journal::RunRow;
use runbook_proto::v1;
use serde_json::Value;

use super::{asks, terms};
use crate::layout::Layout;
use crate::library::{Entry, Generation};

/// An instant.
pub fn timestamp(at: Timestamp) -> ProtoTimestamp {
    ProtoTimestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: i32::try_from(at.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// A length of time.
pub fn duration(span: Span) -> Duration {
    Duration {
        seconds: span.0.div_euclid(1_000_000),
        nanos: i32::try_from(span.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// A JSON value.
pub fn value(json: &Value) -> ProtoValue {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(bool) => Kind::BoolValue(*bool),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => Kind::ListValue(prost_types::ListValue { values: list.iter().map(value).collect() }),
        Value::Object(map) => Kind::StructValue(object(map.iter())),
    };
    ProtoValue { kind: Some(kind) }
}

/// Names and values.
pub fn object<'a>(pairs: impl Iterator<Item = (&'a String, &'a Value)>) -> Struct {
    Struct { fields: pairs.map(|(name, json)| (name.clone(), value(json))).collect() }
}

/// Who asked.
pub fn principal(principal: &Principal) -> v1::Principal {
    v1::Principal { name: principal.name.clone(), uid: principal.uid }
}

/// How a run came to be.
pub fn origin(origin: Origin) -> v1::Origin {
    match origin {
        Origin::Person => v1::Origin::Person,
        Origin::Api => v1::Origin::Api,
        Origin::Schedule => v1::Origin::Schedule,
        Origin::Hook => v1::Origin::Hook,
    }
}

/// How a run ended.
pub fn outcome(outcome: Outcome) -> v1::RunStatus {
    match outcome {
        Outcome::Succeeded => v1::RunStatus::Succeeded,
        Outcome::Failed => v1::RunStatus::Failed,
        Outcome::Canceled => v1::RunStatus::Canceled,
        Outcome::RolledBack => v1::RunStatus::RolledBack,
    }
}

/// Where a run is.
pub fn run_status(status: RunStatus) -> v1::RunStatus {
    match status {
        RunStatus::Stopping => v1::RunStatus::Stopping,
        RunStatus::RollingBack => v1::RunStatus::RollingBack,
        RunStatus::Finishing => v1::RunStatus::Finishing,
        RunStatus::Attention => v1::RunStatus::Attention,
        RunStatus::Paused => v1::RunStatus::Paused,
        RunStatus::Running => v1::RunStatus::Running,
        RunStatus::Waiting => v1::RunStatus::Waiting,
        RunStatus::Queued => v1::RunStatus::Queued,
        RunStatus::Terminal(ended) => outcome(ended),
    }
}

/// Where a step is.
pub fn step_status(status: StepStatus) -> v1::StepStatus {
    match status {
        StepStatus::Pending => v1::StepStatus::Pending,
        StepStatus::Running => v1::StepStatus::Running,
        StepStatus::Retrying => v1::StepStatus::Retrying,
        StepStatus::Waiting => v1::StepStatus::Waiting,
        StepStatus::Unknown => v1::StepStatus::Unknown,
        StepStatus::Succeeded => v1::StepStatus::Succeeded,
        StepStatus::Failed => v1::StepStatus::Failed,
        StepStatus::Skipped => v1::StepStatus::Skipped,
        StepStatus::Canceled => v1::StepStatus::Canceled,
        StepStatus::RollingBack => v1::StepStatus::RollingBack,
        StepStatus::RolledBack => v1::StepStatus::RolledBack,
        StepStatus::RollbackFailed => v1::StepStatus::RollbackFailed,
    }
}

fn attempt_kind(kind: AttemptKind) -> &'static str {
    match kind {
        AttemptKind::Run => "run",
        AttemptKind::Verify => "verify",
        AttemptKind::OnCancel => "on_cancel",
        AttemptKind::Rollback => "rollback",
    }
}

/// A run without its steps.
pub fn run_head(run: &RunState) -> v1::Run {
    let created = run.created();
    v1::Run {
        name: format!("runs/{}", run.uid()),
        uid: run.uid().to_string(),
        number: created.number,
        runbook: created.runbook.clone(),
        status: run_status(run.status()).into(),
        created_at: Some(timestamp(run.created_at())),
        admitted_at: run.admitted_at().map(timestamp),
        finished_at: run.finished_at().map(timestamp),
        epoch: run.epoch(),
        origin: origin(created.origin).into(),
        started_by: Some(principal(&created.by)),
        reason: created.reason.clone(),
        definition: run.pinned().digest.to_string(),
        commit: created.commit.clone().unwrap_or_default(),
        inputs: Some(asks::inputs(created)),
        last_event: run.last_event(),
        message: run_message(run),
        waits_for: Vec::new(),
        steps: Vec::new(),
        deadline: run.deadline().map(timestamp),
        request_id: created.request_id.clone(),
        confirmed: created.terms.confirmed.clone(),
        ending: run.ending().is_some(),
        // What needs a look at every step is told with the steps.
        can_roll_back: false,
        no_return: Vec::new(),
        outputs: (!run.outputs().is_empty()).then(|| object(run.outputs().iter())),
        top: run.parent().map_or_else(String::new, |parent| run_name(parent.root)),
        dry_run: created.terms.dry,
        selection: terms::told(&run.pinned().runbook, &created.terms.selection),
        pause: terms::pause(run),
        begins_at: run.begins().map(timestamp),
        pause_before: terms::paused_before(run),
        schedule: created.slot.as_ref().map(|slot| slot.schedule.to_string()).unwrap_or_default(),
        slot: created.slot.as_ref().map(|slot| timestamp(slot.at)),
        environment: created.terms.environment.clone().unwrap_or_default(),
        inputs_from: terms::inputs_from(&created.terms),
        overridden: created.terms.overridden.clone().unwrap_or_default(),
        approval: asks::start(run),
        priority: terms::priority(created.terms.priority.unwrap_or_default()).into(),
    }
}

/// A run's name in the API.
pub fn run_name(uid: RunUid) -> String {
    format!("runs/{uid}")
}

/// Why a run goes to its end, or waits for a person.
fn run_message(run: &RunState) -> String {
    let id = |no| run.pinned().runbook.step(no).map_or("?", |step: &Step| step.id.as_str());
    let asking: Vec<&str> = run.asking().map(id).collect();
    if let (Some(step), Phase::Running) = (asking.first(), run.phase()) {
        let steps = asking.join(", ");
        // Of a child run `runbook approvals` shows how its steps are named.
        return match run.parent() {
            None => format!("{steps} waits for an approval: `runbook approve {} {step}`", run.created().number),
            Some(_) => format!("{steps} waits for an approval"),
        };
    }
    let failed: Vec<&str> = run.rollback().iter().flat_map(|rollback| rollback.failed()).map(|no| id(*no)).collect();
    if !failed.is_empty() {
        let steps = failed.join(", ");
        return format!(
            "{steps} could not be rolled back; settle it with `runbook resolve`, or try again with `runbook resume`"
        );
    }
    let unknown: Vec<&str> = run.unknown().keys().map(|no| id(*no)).collect();
    if !unknown.is_empty() && !matches!(run.phase(), Phase::Terminal(_)) {
        let steps = unknown.join(", ");
        return format!("nobody knows whether {steps} happened; settle it with `runbook resolve`");
    }
    if let Some((step, _)) = run.withheld().next() {
        let missing = run.withheld().flat_map(|(_, missing)| missing);
        return format!("{}: {}", id(step), provide::told(run.created().number, missing));
    }
    let held: Vec<&str> =
        run.waiting_below().filter(|(_, waits)| *waits == Waits::Attention).map(|(no, _)| id(no)).collect();
    if !held.is_empty() {
        return format!("a step below {} waits for a person; `runbook status` shows which", held.join(", "));
    }
    if !run.outputs_message().is_empty() {
        return run.outputs_message().to_owned();
    }
    match run.ending() {
        None => match run.first_failure() {
            Some(step) => format!("step {} failed", id(step)),
            None => String::new(),
        },
        Some(EndingCause::FailureStop(step) | EndingCause::FailureCancel(step)) => {
            format!("step {} failed", id(*step))
        }
        Some(EndingCause::Timeout) => "the run's timeout struck".to_owned(),
        Some(EndingCause::Deadlock { message }) => message.clone(),
        Some(EndingCause::Cancel { by, reason, .. }) if reason.is_empty() => format!("canceled by {}", by.name),
        Some(EndingCause::Cancel { by, reason, .. }) => format!("canceled by {}: {reason}", by.name),
    }
}

/// A file that an attempt left, and where it lies if that is known.
fn artifact(left: &Artifact, path: String) -> v1::Artifact {
    v1::Artifact { name: left.name.clone(), length: left.length, digest: left.digest.to_string(), path }
}

/// A run with its steps.
pub fn run_whole(run: &RunState, layout: &Layout) -> v1::Run {
    let mut whole = run_head(run);
    let runbook = &run.pinned().runbook;
    let id = |no| runbook.step(no).map_or_else(String::new, |step: &Step| step.id.clone());
    whole.can_roll_back = run.can_roll_back().is_ok();
    whole.no_return = run.points_of_no_return().map(id).collect();
    for (no, step, state) in run.steps().filter(|(no, ..)| run.is_shown(*no)) {
        let kept = |name: &str| {
            state.last_run.map_or_else(String::new, |attempt| {
                let attempt = AttemptRef { run: run.uid(), step: no, attempt };
                layout.artifacts(attempt).join(name).to_string_lossy().into_owned()
            })
        };
        whole.steps.push(v1::RunStep {
            id: step.id.clone(),
            status: step_status(run.step_status(no)).into(),
            needs: step.needs.iter().map(|need| id(*need)).collect(),
            in_finally: step.part == Part::Finally,
            attempts: state.attempts,
            started_at: state.started_at.map(timestamp),
            ended_at: state.ended_at.map(timestamp),
            exit_code: state.exit_code,
            outputs: Some(object(state.outputs.iter())),
            artifacts: state
                .artifacts
                .iter()
                .map(|kept_artifact| artifact(kept_artifact, kept(&kept_artifact.name)))
                .collect(),
            message: stands_in(run, no).unwrap_or_else(|| state.message.clone()),
            retry_at: match state.progress {
                Progress::Retry(at) | Progress::RollbackRetry(at) => Some(timestamp(at)),
                _ => None,
            },
            running: match state.progress {
                Progress::Live(_, kind) => attempt_kind(kind).to_owned(),
                _ => String::new(),
            },
            last_line: String::new(),
            description: step.description.clone(),
            allow_failure: step.allow_failure,
            waits_until: match state.progress {
                Progress::Waiting { until, .. } => Some(timestamp(until)),
                Progress::Asking { until } => until.map(timestamp),
                _ => state.wait_until.map(timestamp),
            },
            // Who has what it waits for is known to those who know all runs.
            waits_for: Vec::new(),
            locks: if run.locked_since(no).is_some() { state.locks.clone() } else { Vec::new() },
            pool: step.pool.clone().unwrap_or_default(),
            missing_inputs: state.missing.iter().cloned().collect(),
            approval: asks::approval(run, no),
            child: state.child.map_or_else(String::new, run_name),
            child_run: None,
            runbook: step.call().map_or_else(String::new, |call| call.runbook.clone()),
            uses: step.uses().to_owned(),
        });
    }
    whole
}

/// What is told of a step that was skipped and stands for one that succeeded.
fn stands_in(run: &RunState, no: StepNo) -> Option<String> {
    let state = run.step(no).filter(|state| state.stands_in)?;
    Some(match run.created().terms.selection.left_out.contains(&no) {
        true => "left out by the start".to_owned(),
        false => format!("dry run: {}", state.message),
    })
}

/// A run of which only its row is at hand: one that is over, or one that could not be taken up.
pub fn run_row(row: &RunRow) -> v1::Run {
    let out_of_service = "the run is out of service, since it cannot be read; `runbook daemon status` says why";
    v1::Run {
        message: if row.finished.is_some() { String::new() } else { out_of_service.to_owned() },
        name: format!("runs/{}", row.uid),
        uid: row.uid.to_string(),
        number: row.number,
        runbook: row.runbook.clone(),
        status: row.finished.map_or(v1::RunStatus::Attention, |end| outcome(end.outcome)).into(),
        created_at: Some(timestamp(row.created_at)),
        finished_at: row.finished.map(|end| timestamp(end.at)),
        epoch: row.epoch,
        origin: origin(row.origin).into(),
        started_by: Some(principal(&row.by)),
        definition: row.went_by().to_string(),
        last_event: row.last_event,
        request_id: row.request_id.clone(),
        dry_run: row.dry,
        environment: row.environment.clone().unwrap_or_default(),
        ..v1::Run::default()
    }
}

const fn after_vote(then: AfterVote) -> &'static str {
    match then {
        AfterVote::Open => "open",
        AfterVote::Succeeded => "succeeded",
        AfterVote::Failed => "failed",
    }
}

/// The declaration of an input, or of a field.
pub(super) fn input(name: &str, input: &InputDecl) -> v1::Input {
    v1::Input {
        name: name.to_owned(),
        r#type: input.value_type.name().to_owned(),
        required: input.required,
        default_json: input.default.as_ref().map(ToString::to_string).unwrap_or_default(),
        choices_json: input.choices.iter().map(ToString::to_string).collect(),
        pattern: input.pattern.clone().unwrap_or_default(),
        minimum: input.minimum,
        maximum: input.maximum,
        secret: input.secret,
        ephemeral: input.ephemeral,
        description: input.description.clone(),
    }
}

/// What follows, and when.
const fn then_word(then: Then) -> (&'static str, Option<Timestamp>) {
    match then {
        Then::Succeeded => ("succeeded", None),
        Then::Failed => ("failed", None),
        Then::Canceled => ("canceled", None),
        Then::RetryAt(at) => ("retry", Some(at)),
        Then::VerifyAt(at) => ("verify", Some(at)),
        Then::OnCancelAt(at) => ("on_cancel", Some(at)),
        Then::Unknown => ("unknown", None),
        Then::RolledBack => ("rolled_back", None),
        Then::RollbackFailed => ("rollback_failed", None),
        Then::RollbackAt(at) => ("rollback", Some(at)),
    }
}

/// An event of a child run, for who asked for a run above: `path` is how its steps are named from there.
pub fn event_below(run: RunUid, path: &str, event: &Event, runbook: &Runbook) -> v1::Event {
    let mut told = self::event(event, runbook);
    told.run = run_name(run);
    if !told.step.is_empty() {
        told.step = step_path(path, &told.step);
    }
    told
}

/// An event of a run of this runbook.
pub fn event(event: &Event, runbook: &Runbook) -> v1::Event {
    let id = |no| runbook.step(no).map_or_else(String::new, |step: &Step| step.id.clone());
    let mut to = v1::Event { number: event.number, at: Some(timestamp(event.at)), ..v1::Event::default() };
    if let Some(step) = event.fact.step() {
        to.step = id(step);
    }
    let kind = match &event.fact {
        Fact::Created(created) => {
            to.by = Some(principal(&created.by));
            to.reason = created.reason.clone();
            to.message = format!("run {} of {}", created.number, created.runbook);
            to.confirmed.clone_from(&created.terms.confirmed);
            to.dry_run = created.terms.dry;
            to.environment = created.terms.environment.clone().unwrap_or_default();
            to.inputs_from = terms::inputs_from(&created.terms);
            to.overridden = created.terms.overridden.clone().unwrap_or_default();
            to.selection = terms::told(runbook, &created.terms.selection);
            let protection = runbook.environment.as_ref().map(|it| &it.protection);
            let approvals = protection.and_then(|it| it.approvals.as_ref()).filter(|_| created.terms.asks.is_some());
            to.asks = approvals.map(asks::of_start).unwrap_or_default();
            v1::EventType::Created
        }
        Fact::Due => v1::EventType::Due,
        Fact::Admitted { deadline } => {
            to.then_at = deadline.map(timestamp);
            v1::EventType::Admitted
        }
        Fact::StepReady { .. } => v1::EventType::StepReady,
        Fact::StepSkipped { why, .. } => {
            to.message = match why {
                SkipReason::Need(need) => format!("{} did not succeed", id(*need)),
                SkipReason::Condition => "its `if` is false".to_owned(),
                SkipReason::NothingToUndo => "nothing that it undoes has run".to_owned(),
                SkipReason::LeftOut => "left out by the start".to_owned(),
                SkipReason::DryRun { would } => format!("dry run: {would}"),
            };
            v1::EventType::StepSkipped
        }
        Fact::StepFailed { message, .. } => {
            to.message.clone_from(message);
            v1::EventType::StepFailed
        }
        Fact::WaitBegan { until, .. } => {
            to.then_at = Some(timestamp(*until));
            v1::EventType::WaitBegan
        }
        Fact::WaitEnded { .. } => v1::EventType::WaitEnded,
        Fact::ApprovalAsked { step, message, until } => {
            to.message.clone_from(message);
            to.then_at = until.map(timestamp);
            to.asks = runbook.step(*step).and_then(Step::approval).map(asks::of_step).unwrap_or_default();
            v1::EventType::ApprovalAsked
        }
        Fact::ApprovalGiven { approve, by, reason, then, outputs, .. } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            to.approve = Some(*approve);
            to.outputs = Some(object(outputs.iter()));
            to.then = after_vote(*then).to_owned();
            v1::EventType::ApprovalGiven
        }
        Fact::StartDecided { approve, by, reason, then } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            to.approve = Some(*approve);
            to.then = after_vote(*then).to_owned();
            v1::EventType::StartDecided
        }
        Fact::ApprovalTimedOut { then, message, outputs, .. } => {
            to.message.clone_from(message);
            to.outputs = Some(object(outputs.iter()));
            to.then = after_vote(*then).to_owned();
            v1::EventType::ApprovalTimedOut
        }
        Fact::AttemptStarting { attempt, kind, .. } => {
            to.attempt = attempt.0;
            to.attempt_kind = attempt_kind(*kind).to_owned();
            v1::EventType::AttemptStarting
        }
        Fact::AttemptEnded { attempt, end, then, .. } => {
            to.attempt = attempt.0;
            to.how = runbook_core::run::how_text(&end.how);
            to.exit_code = match end.how {
                How::Exited(code) => Some(code),
                How::NotStarted(_) | How::CutOff(_) | How::Lost { .. } => None,
            };
            to.message.clone_from(&end.message);
            to.outputs = Some(object(end.outputs.iter()));
            to.artifacts = end.artifacts.iter().map(|left| artifact(left, String::new())).collect();
            to.cpu_time = Some(duration(Span(i64::try_from(end.cpu_micros).unwrap_or(i64::MAX))));
            to.started_at = end.started_at.map(timestamp);
            to.ended_at = end.ended_at.map(timestamp);
            to.max_rss_kib = end.max_rss_kib;
            to.log_lines = end.log_lines;
            to.log_dropped = end.log_dropped;
            let (word, at) = then_word(*then);
            to.then = word.to_owned();
            to.then_at = at.map(timestamp);
            v1::EventType::AttemptEnded
        }
        Fact::Ending { cause } => {
            match cause {
                EndingCause::FailureStop(step) => {
                    to.message = format!("step {} failed; what has begun finishes", id(*step));
                }
                EndingCause::FailureCancel(step) => {
                    to.message = format!("step {} failed; what runs is stopped", id(*step));
                }
                EndingCause::Timeout => to.message = "the run's timeout struck".to_owned(),
                EndingCause::Deadlock { message } => to.message.clone_from(message),
                EndingCause::Cancel { now, by, reason, .. } => {
                    to.by = Some(principal(by));
                    to.reason.clone_from(reason);
                    to.message = if *now { "canceled at once" } else { "canceled" }.to_owned();
                }
            }
            v1::EventType::Ending
        }
        Fact::RollingBack { outcome: otherwise, steps } => {
            to.outcome = outcome(*otherwise).into();
            let count = steps.len();
            to.message = format!("{count} {} compensated", if count == 1 { "step is" } else { "steps are" });
            v1::EventType::RollingBack
        }
        Fact::RollbackAsked { by, reason, .. } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::RollbackAsked
        }
        Fact::RollbackAbandoned { by, reason } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::RollbackAbandoned
        }
        Fact::ChildStarting { child, again, .. } => {
            (to.child, to.again) = (run_name(*child), *again);
            v1::EventType::ChildStarting
        }
        Fact::ChildEnded { child, outcome: ended, outputs, message, then, .. } => {
            to.child = run_name(*child);
            to.outcome = outcome(*ended).into();
            to.outputs = Some(object(outputs.iter()));
            to.message.clone_from(message);
            then_word(*then).0.clone_into(&mut to.then);
            v1::EventType::ChildEnded
        }
        Fact::ChildRollingBack { child, .. } => {
            to.child = run_name(*child);
            v1::EventType::ChildRollingBack
        }
        Fact::ChildWaits { child, waits, .. } => {
            to.child = run_name(*child);
            to.waits = match waits {
                Waits::No => "nothing",
                Waits::Still => "time",
                Waits::Attention => "person",
            }
            .to_owned();
            v1::EventType::ChildWaits
        }
        Fact::RepeatEnded { message, .. } => {
            to.message.clone_from(message);
            v1::EventType::RepeatEnded
        }
        Fact::Finishing { outcome: ended, outputs, message } => {
            to.outcome = outcome(*ended).into();
            to.outputs = (!outputs.is_empty()).then(|| object(outputs.iter()));
            to.message.clone_from(message);
            v1::EventType::Finishing
        }
        Fact::Finished { outcome: ended } => {
            to.outcome = outcome(*ended).into();
            v1::EventType::Finished
        }
        Fact::Resumed { epoch, by, reason, confirmed, edited } => {
            if let Some(edited) = edited {
                let id = |no: &StepNo| runbook.step(*no).map(|step| step.id.clone());
                to.definition = edited.definition.to_string();
                to.runs_again = edited.again.iter().filter_map(id).collect();
            }
            to.epoch = *epoch;
            to.confirmed.clone_from(confirmed);
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::Resumed
        }
        Fact::Resolved { settlement, outputs, by, reason, .. } => {
            use runbook_core::definition::Settlement;
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            to.outputs = Some(object(outputs.iter()));
            to.then = match settlement {
                Settlement::Succeeded => "succeeded",
                Settlement::Failed => "failed",
                Settlement::Retry => "retry",
                Settlement::Skipped => "skipped",
            }
            .to_owned();
            v1::EventType::Resolved
        }
        Fact::Withheld { inputs, .. } => {
            to.inputs.clone_from(inputs);
            v1::EventType::Withheld
        }
        Fact::Provided { inputs, by, reason } => {
            to.inputs.clone_from(inputs);
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::Provided
        }
        Fact::LocksReleased { by, reason, .. } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::LocksReleased
        }
        Fact::Paused { before, by, reason } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            to.before = before.map(id).unwrap_or_default();
            v1::EventType::Paused
        }
        Fact::Continued { by, reason } => {
            to.by = Some(principal(by));
            to.reason.clone_from(reason);
            v1::EventType::Continued
        }
        Fact::DeadlinesShifted { by } => {
            to.message = format!("the wall clock was set; deadlines moved by {by}");
            v1::EventType::DeadlinesShifted
        }
    };
    to.set_type(kind);
    to
}

/// A finding of the check.
pub fn finding(finding: &Finding) -> v1::Finding {
    v1::Finding {
        code: finding.code.text().to_owned(),
        severity: match finding.severity {
            Severity::Error => v1::Severity::Error,
            Severity::Warning => v1::Severity::Warning,
        }
        .into(),
        message: finding.message.clone(),
        file: finding.file.clone(),
        line: finding.line,
        column: finding.column,
        help: finding.help.clone().unwrap_or_default(),
        end_line: finding.end_line,
        end_column: finding.end_column,
    }
}

/// A file of the folder, which holds what it starts.
pub fn entry(entry: &Entry, others: &Generation, project: &Path) -> v1::Runbook {
    let mut to = match entry.runbook() {
        Some(good) => runbook(good),
        None => v1::Runbook { name: format!("runbooks/{}", entry.name), ..v1::Runbook::default() },
    };
    to.broken = entry.is_broken();
    to.definition = entry.definition(others, project).map(|digest| digest.to_string()).unwrap_or_default();
    entry.file().clone_into(&mut to.file);
    to.findings = entry.findings.iter().map(finding).collect();
    to
}

/// What runs are for.
fn objective(it: &Objective) -> v1::Objective {
    v1::Objective {
        target: it.target.clone(),
        rpo: it.rpo.map(duration),
        rto: it.rto.map(duration),
        drill: it.drill,
        proves: Role::of(it).proves,
    }
}

/// A checked runbook.
pub fn runbook(runbook: &Runbook) -> v1::Runbook {
    let id = |no: &StepNo| runbook.step(*no).map_or_else(String::new, |step| step.id.clone());
    v1::Runbook {
        name: format!("runbooks/{}", runbook.name),
        description: runbook.description.clone(),
        labels: runbook.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<HashMap<_, _>>(),
        inputs: runbook.inputs.iter().map(|(name, decl)| input(name, decl)).collect(),
        steps: runbook
            .steps
            .iter()
            .map(|step| v1::Step {
                id: step.id.clone(),
                description: step.description.clone(),
                needs: step.needs.iter().map(id).collect(),
                in_finally: step.part == Part::Finally,
                condition: step.condition.as_ref().map(|c| c.expression.clone()).unwrap_or_default(),
                effect: step.effect.name().to_owned(),
                undoes: step.undoes.iter().map(id).collect(),
                has_rollback: step.rollback.is_some(),
                no_return: step.no_return,
                when_skipped: match step.when_skipped {
                    WhenSkipped::Skip => "skip",
                    WhenSkipped::GoOn => "go_on",
                }
                .to_owned(),
            })
            .collect(),
        locks: runbook.locks.clone(),
        environments: runbook.environments.clone(),
        needs_environment: runbook.needs_environment,
        objective: runbook.objective.as_ref().map(objective),
        ..v1::Runbook::default()
    }
}
