//! From the disk format to an event of the core: the one way back. What it does not know is an error, never
//! a default: a fact that is half understood would be a wrong fact.

use prost::Message as _;
use runbook_core::definition::Settlement;
use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::run::{
    AfterVote, Artifact, AttemptEnd, AttemptKind, Created, CutOff, Edited, EndingCause, Event, Fact, How, Left,
    NotStarted, Origin, Outcome, Parent, Principal, SkipReason, Then, Waits,
};
use runbook_core::schedule::{
    Dst, Fate, Miss, Note, NoteFact, Pause, Record, ScheduleName, Skip, SlotOf, Stretches, Written,
};
use runbook_core::time::{Span, Timestamp};
use runbook_proto::journal as disk;

use crate::row::{Finished, RunRow};
use crate::terms;

/// What is wrong with a stored message.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is no message at all.
    #[error("it is no message of the disk format: {0}")]
    Message(#[from] prost::DecodeError),
    /// A part that must be there is not, or is of a kind that a newer program knows.
    #[error("`{0}` is missing, or of a kind that this program does not know")]
    Missing(&'static str),
    /// An enum value that this program does not know.
    #[error("`{field}` has the value {value}, which this program does not know")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// A field of fixed length has another one.
    #[error("`{field}` has {found} bytes instead of {wanted}")]
    Length {
        /// Which field.
        field: &'static str,
        /// The bytes that are there.
        found: usize,
        /// The bytes that must be there.
        wanted: usize,
    },
    /// A text that should be a JSON object is none.
    #[error("`{field}` is no JSON object: {source}")]
    Json {
        /// Which field.
        field: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
}

type Result<T> = std::result::Result<T, Undecodable>;

/// An event from its stored bytes.
///
/// # Errors
/// Anything that this program does not fully understand.
pub fn event(bytes: &[u8]) -> Result<Event> {
    let event = disk::Event::decode(bytes)?;
    Ok(Event {
        number: event.number,
        at: Timestamp(event.at_micros),
        fact: fact(event.fact.ok_or(Undecodable::Missing("event.fact"))?)?,
    })
}

/// A JSON object from its text; a macro, since the map's type belongs to a crate that need not be named here.
macro_rules! object {
    ($text:expr, $field:literal) => {
        if $text.is_empty() {
            Default::default()
        } else {
            serde_json::from_str(&$text).map_err(|source| Undecodable::Json { field: $field, source })?
        }
    };
}

fn fact(fact: disk::event::Fact) -> Result<Fact> {
    use disk::event::Fact as From;
    Ok(match fact {
        From::Created(it) => Fact::Created(Box::new(created(it)?)),
        From::Admitted(it) => Fact::Admitted { deadline: it.deadline_micros.map(Timestamp) },
        From::StepReady(it) => Fact::StepReady { step: StepNo(it.step), locks: it.locks },
        From::StepSkipped(it) => Fact::StepSkipped {
            step: StepNo(it.step),
            why: match it.why {
                Some(disk::step_skipped::Why::Need(need)) => SkipReason::Need(StepNo(need)),
                Some(disk::step_skipped::Why::Condition(true)) => SkipReason::Condition,
                Some(disk::step_skipped::Why::NothingToUndo(true)) => SkipReason::NothingToUndo,
                Some(disk::step_skipped::Why::LeftOut(true)) => SkipReason::LeftOut,
                Some(disk::step_skipped::Why::DryRun(would)) => SkipReason::DryRun { would },
                Some(
                    disk::step_skipped::Why::Condition(false)
                    | disk::step_skipped::Why::NothingToUndo(false)
                    | disk::step_skipped::Why::LeftOut(false),
                )
                | None => {
                    return Err(Undecodable::Missing("step_skipped.why"));
                }
            },
        },
        From::StepFailed(it) => Fact::StepFailed { step: StepNo(it.step), message: it.message },
        From::WaitBegan(it) => {
            Fact::WaitBegan { step: StepNo(it.step), until: Timestamp(it.until_micros), fixed: it.fixed }
        }
        From::WaitEnded(it) => Fact::WaitEnded { step: StepNo(it.step) },
        From::ApprovalAsked(it) => {
            Fact::ApprovalAsked { step: StepNo(it.step), message: it.message, until: it.until_micros.map(Timestamp) }
        }
        From::ApprovalGiven(it) => Fact::ApprovalGiven {
            step: StepNo(it.step),
            approve: it.approve,
            fields: object!(it.fields_json, "approval_given.fields_json"),
            by: principal(it.by)?,
            reason: it.reason,
            then: after_vote(it.then)?,
            outputs: object!(it.outputs_json, "approval_given.outputs_json"),
        },
        From::StartDecided(it) => Fact::StartDecided {
            approve: it.approve,
            by: principal(it.by)?,
            reason: it.reason,
            then: after_vote(it.then)?,
        },
        From::ApprovalTimedOut(it) => Fact::ApprovalTimedOut {
            step: StepNo(it.step),
            then: after_vote(it.then)?,
            message: it.message,
            outputs: object!(it.outputs_json, "approval_timed_out.outputs_json"),
        },
        From::AttemptStarting(it) => Fact::AttemptStarting {
            step: StepNo(it.step),
            attempt: AttemptNo(it.attempt),
            kind: attempt_kind(it.kind)?,
            boot: it.boot,
        },
        From::AttemptEnded(it) => attempt_ended(it)?,
        From::Ending(it) => Fact::Ending { cause: ending_cause(it.cause)? },
        From::ChildStarting(it) => Fact::ChildStarting {
            step: StepNo(it.step),
            child: uid(&it.child_uid, "child_starting.child_uid")?,
            again: it.again,
        },
        From::ChildEnded(it) => Fact::ChildEnded {
            step: StepNo(it.step),
            child: uid(&it.child_uid, "child_ended.child_uid")?,
            outcome: outcome(it.outcome)?,
            outputs: object!(it.outputs_json, "child_ended.outputs_json"),
            message: it.message,
            left: left(it.left)?,
            then: child_then(it.then)?,
        },
        From::ChildRollingBack(it) => {
            Fact::ChildRollingBack { step: StepNo(it.step), child: uid(&it.child_uid, "child_rolling_back.child_uid")? }
        }
        From::ChildWaits(it) => Fact::ChildWaits {
            step: StepNo(it.step),
            child: uid(&it.child_uid, "child_waits.child_uid")?,
            waits: waits(it.waits)?,
        },
        From::RepeatEnded(it) => Fact::RepeatEnded { step: StepNo(it.step), message: it.message },
        From::Finishing(it) => Fact::Finishing {
            outcome: outcome(it.outcome)?,
            outputs: object!(it.outputs_json, "finishing.outputs_json"),
            message: it.message,
        },
        From::Finished(it) => Fact::Finished { outcome: outcome(it.outcome)? },
        From::Resumed(it) => {
            let steps = |list: Vec<u32>| list.into_iter().map(StepNo).collect();
            let (again, anew) = (steps(it.again), steps(it.anew));
            let edited = match it.definition {
                Some(bytes) => Some(Edited { definition: digest(&bytes, "resumed.definition")?, again, anew }),
                None => None,
            };
            let by = principal(it.by)?;
            Fact::Resumed { epoch: it.epoch, by, reason: it.reason, confirmed: it.confirmed, edited }
        }
        From::Resolved(it) => Fact::Resolved {
            step: StepNo(it.step),
            settlement: settlement(it.settlement)?,
            outputs: object!(it.outputs_json, "resolved.outputs_json"),
            by: principal(it.by)?,
            reason: it.reason,
        },
        From::RollingBack(it) => Fact::RollingBack { outcome: outcome(it.outcome)?, steps: steps(it.steps) },
        From::RollbackAsked(it) => {
            Fact::RollbackAsked { by: principal(it.by)?, reason: it.reason, past: steps(it.past) }
        }
        From::RollbackAbandoned(it) => Fact::RollbackAbandoned { by: principal(it.by)?, reason: it.reason },
        From::Due(_) => Fact::Due,
        From::Withheld(it) => {
            Fact::Withheld { step: StepNo(it.step), attempt: AttemptNo(it.attempt), inputs: it.inputs }
        }
        From::Provided(it) => Fact::Provided { inputs: it.inputs, by: principal(it.by)?, reason: it.reason },
        From::LocksReleased(it) => {
            Fact::LocksReleased { step: StepNo(it.step), by: principal(it.by)?, reason: it.reason }
        }
        From::Paused(it) => Fact::Paused { before: it.before.map(StepNo), by: principal(it.by)?, reason: it.reason },
        From::Continued(it) => Fact::Continued { by: principal(it.by)?, reason: it.reason },
        From::DeadlinesShifted(it) => Fact::DeadlinesShifted { by: Span(it.by_micros) },
    })
}

fn created(it: disk::Created) -> Result<Created> {
    Ok(Created {
        number: it.number,
        runbook: it.runbook,
        definition: digest(&it.definition, "created.definition")?,
        inputs: object!(it.inputs_json, "created.inputs_json"),
        sealed_inputs: it.sealed_inputs,
        group: it.group,
        locks: it.locks,
        origin: origin(it.origin)?,
        by: principal(it.by)?,
        reason: it.reason,
        request_id: it.request_id,
        request_digest: digest(&it.request_digest, "created.request_digest")?,
        commit: it.commit,
        terms: it.terms.map(terms::from_disk).transpose()?.unwrap_or_default(),
        parent: it.parent.map(parent).transpose()?,
        slot: it.slot.map(slot_of).transpose()?,
        items: object!(it.items_json, "created.items_json"),
    })
}

fn parent(it: disk::Parent) -> Result<Parent> {
    Ok(Parent {
        root: uid(&it.root_uid, "parent.root_uid")?,
        run: uid(&it.run_uid, "parent.run_uid")?,
        step: StepNo(it.step),
        depth: it.depth,
        tidies: it.tidies,
    })
}

fn child_then(then: Option<disk::child_ended::Then>) -> Result<Then> {
    use disk::child_ended::Then as From;
    match then {
        Some(From::Succeeded(true)) => Ok(Then::Succeeded),
        Some(From::Failed(true)) => Ok(Then::Failed),
        Some(From::Canceled(true)) => Ok(Then::Canceled),
        Some(From::RolledBack(true)) => Ok(Then::RolledBack),
        Some(From::RollbackFailed(true)) => Ok(Then::RollbackFailed),
        Some(
            From::Succeeded(false)
            | From::Failed(false)
            | From::Canceled(false)
            | From::RolledBack(false)
            | From::RollbackFailed(false),
        )
        | None => Err(Undecodable::Missing("child_ended.then")),
    }
}

fn attempt_ended(it: disk::AttemptEnded) -> Result<Fact> {
    use disk::attempt_ended::{How as FromHow, Then as FromThen};
    let how = match it.how {
        Some(FromHow::NotStartedCanceled(true)) => How::NotStarted(NotStarted::Canceled),
        Some(FromHow::NotStartedErrno(errno)) => How::NotStarted(NotStarted::Errno(errno)),
        Some(FromHow::NotStartedFenced(true)) => How::NotStarted(NotStarted::Fenced),
        Some(FromHow::Exited(code)) => How::Exited(code),
        Some(FromHow::CutOffTimeout(true)) => How::CutOff(CutOff::Timeout),
        Some(FromHow::CutOffStopped(true)) => How::CutOff(CutOff::Stopped),
        Some(FromHow::CutOffSignal(signal)) => How::CutOff(CutOff::Signal(signal)),
        Some(FromHow::CutOffUnknownExit(code)) => How::CutOff(CutOff::UnknownExit(code)),
        Some(FromHow::Lost(processes_left)) => How::Lost { processes_left },
        Some(
            FromHow::NotStartedCanceled(false)
            | FromHow::NotStartedFenced(false)
            | FromHow::CutOffTimeout(false)
            | FromHow::CutOffStopped(false),
        )
        | None => return Err(Undecodable::Missing("attempt_ended.how")),
    };
    let then = match it.then {
        Some(FromThen::Succeeded(true)) => Then::Succeeded,
        Some(FromThen::Failed(true)) => Then::Failed,
        Some(FromThen::Canceled(true)) => Then::Canceled,
        Some(FromThen::RetryAtMicros(at)) => Then::RetryAt(Timestamp(at)),
        Some(FromThen::VerifyAtMicros(at)) => Then::VerifyAt(Timestamp(at)),
        Some(FromThen::OnCancelAtMicros(at)) => Then::OnCancelAt(Timestamp(at)),
        Some(FromThen::Unknown(true)) => Then::Unknown,
        Some(FromThen::RolledBack(true)) => Then::RolledBack,
        Some(FromThen::RollbackFailed(true)) => Then::RollbackFailed,
        Some(FromThen::RollbackAtMicros(at)) => Then::RollbackAt(Timestamp(at)),
        Some(
            FromThen::Succeeded(false)
            | FromThen::Failed(false)
            | FromThen::Canceled(false)
            | FromThen::Unknown(false)
            | FromThen::RolledBack(false)
            | FromThen::RollbackFailed(false),
        )
        | None => return Err(Undecodable::Missing("attempt_ended.then")),
    };
    let artifacts = it
        .artifacts
        .into_iter()
        .map(|artifact| {
            Ok(Artifact {
                name: artifact.name,
                length: artifact.length,
                digest: digest(&artifact.digest, "artifact.digest")?,
            })
        })
        .collect::<Result<_>>()?;
    let end = AttemptEnd {
        how,
        message: it.message,
        outputs: object!(it.outputs_json, "attempt_ended.outputs_json"),
        artifacts,
        started_at: it.started_at_micros.map(Timestamp),
        ended_at: it.ended_at_micros.map(Timestamp),
        cpu_micros: it.cpu_micros,
        max_rss_kib: it.max_rss_kib,
        log_lines: it.log_lines,
        log_dropped: it.log_dropped,
        retry_after: (it.retry_after_micros != 0).then_some(Span(it.retry_after_micros)),
    };
    Ok(Fact::AttemptEnded { step: StepNo(it.step), attempt: AttemptNo(it.attempt), end: Box::new(end), then })
}

fn ending_cause(cause: Option<disk::ending::Cause>) -> Result<EndingCause> {
    use disk::ending::Cause as From;
    Ok(match cause {
        Some(From::FailureStop(step)) => EndingCause::FailureStop(StepNo(step)),
        Some(From::FailureCancel(step)) => EndingCause::FailureCancel(StepNo(step)),
        Some(From::Timeout(true)) => EndingCause::Timeout,
        Some(From::Cancel(it)) => {
            EndingCause::Cancel { now: it.now, by: principal(it.by)?, reason: it.reason, past: steps(it.past) }
        }
        Some(From::Deadlock(message)) => EndingCause::Deadlock { message },
        Some(From::Timeout(false)) | None => return Err(Undecodable::Missing("ending.cause")),
    })
}

fn steps(numbers: Vec<u32>) -> Vec<StepNo> {
    numbers.into_iter().map(StepNo).collect()
}

pub fn principal(it: Option<disk::Principal>) -> Result<Principal> {
    let it = it.ok_or(Undecodable::Missing("by"))?;
    Ok(Principal { name: it.name, uid: it.uid })
}

/// The names of an enum's values are matched in full, so that a value added to the format must be thought
/// about here.
macro_rules! known {
    ($value:expr, $field:literal, $from:ty, { $($variant:ident => $to:expr),+ $(,)? }) => {
        match <$from>::try_from($value) {
            $(Ok(<$from>::$variant) => Ok($to),)+
            Ok(<$from>::Unspecified) | Err(_) => {
                Err(Undecodable::Unknown { field: $field, value: $value })
            }
        }
    };
}

fn origin(value: i32) -> Result<Origin> {
    known!(value, "origin", disk::Origin, {
        Person => Origin::Person,
        Api => Origin::Api,
        Schedule => Origin::Schedule,
        Hook => Origin::Hook,
    })
}

fn outcome(value: i32) -> Result<Outcome> {
    known!(value, "outcome", disk::Outcome, {
        Succeeded => Outcome::Succeeded,
        Failed => Outcome::Failed,
        Canceled => Outcome::Canceled,
        RolledBack => Outcome::RolledBack,
    })
}

fn left(value: i32) -> Result<Left> {
    match disk::Left::try_from(value) {
        Ok(disk::Left::Unspecified) => Ok(Left::Nothing),
        Ok(disk::Left::Something) => Ok(Left::Something),
        Ok(disk::Left::GivenUp) => Ok(Left::GivenUp),
        Err(_) => Err(Undecodable::Unknown { field: "child_ended.left", value }),
    }
}

fn waits(value: i32) -> Result<Waits> {
    known!(value, "waits", disk::Waits, {
        No => Waits::No,
        Still => Waits::Still,
        Attention => Waits::Attention,
    })
}

fn attempt_kind(value: i32) -> Result<AttemptKind> {
    known!(value, "attempt_starting.kind", disk::AttemptKind, {
        Run => AttemptKind::Run,
        Verify => AttemptKind::Verify,
        OnCancel => AttemptKind::OnCancel,
        Rollback => AttemptKind::Rollback,
    })
}

fn after_vote(value: i32) -> Result<AfterVote> {
    known!(value, "approval.then", disk::AfterVote, {
        Open => AfterVote::Open,
        Succeeded => AfterVote::Succeeded,
        Failed => AfterVote::Failed,
    })
}

fn settlement(value: i32) -> Result<Settlement> {
    known!(value, "resolved.settlement", disk::Settlement, {
        Succeeded => Settlement::Succeeded,
        Failed => Settlement::Failed,
        Retry => Settlement::Retry,
        Skipped => Settlement::Skipped,
    })
}

fn fixed<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Undecodable::Length { field, found: bytes.len(), wanted: N })
}

fn digest(bytes: &[u8], field: &'static str) -> Result<Digest> {
    fixed(bytes, field).map(Digest)
}

/// A run's uid from its stored bytes.
///
/// # Errors
/// They are not sixteen.
pub fn run_uid(bytes: &[u8]) -> Result<RunUid> {
    uid(bytes, "run_uid")
}

fn uid(bytes: &[u8], field: &'static str) -> Result<RunUid> {
    fixed(bytes, field).map(|bits| RunUid::from_bits(u128::from_be_bytes(bits)))
}

/// A row from its stored bytes.
///
/// # Errors
/// Anything that this program does not fully understand.
pub fn row(bytes: &[u8]) -> Result<RunRow> {
    let it = disk::RunRow::decode(bytes)?;
    let finished = it
        .finished_at_micros
        .map(|at| outcome(it.outcome).map(|outcome| Finished { at: Timestamp(at), outcome }))
        .transpose()?;
    Ok(RunRow {
        uid: run_uid(&it.run_uid)?,
        number: it.number,
        runbook: it.runbook,
        created_at: Timestamp(it.created_at_micros),
        finished,
        origin: origin(it.origin)?,
        by: principal(it.by)?,
        request_id: it.request_id,
        request_digest: digest(&it.request_digest, "row.request_digest")?,
        definition: digest(&it.definition, "row.definition")?,
        last_event: it.last_event,
        epoch: it.epoch,
        dry: it.dry,
        environment: it.environment,
        editions: it.editions.iter().map(|bytes| digest(bytes, "row.editions")).collect::<Result<_>>()?,
        target: it.target,
    })
}

fn schedule_name(text: &str) -> Result<ScheduleName> {
    text.parse().map_err(|_| Undecodable::Missing("schedule"))
}

fn slot_of(it: disk::SlotOf) -> Result<SlotOf> {
    Ok(SlotOf { schedule: schedule_name(&it.schedule)?, at: Timestamp(it.at_micros) })
}

/// A note and its schedule from its stored bytes.
///
/// # Errors
/// Anything that this program does not fully understand.
pub fn note(bytes: &[u8]) -> Result<(ScheduleName, Note)> {
    use disk::schedule_note::Fact as From;
    let it = disk::ScheduleNote::decode(bytes)?;
    let fact = match it.fact {
        Some(From::Planned(it)) => NoteFact::Planned(written(it)?),
        Some(From::Removed(true)) => NoteFact::Removed,
        Some(From::Slots(it)) => {
            NoteFact::Slots { first: Timestamp(it.first_micros), last: Timestamp(it.last_micros), fate: fate(it.fate)? }
        }
        Some(From::Succeeded(it)) => NoteFact::Succeeded { run: run_uid(&it.run_uid)?, number: it.number },
        Some(From::CaughtUp(it)) => {
            let run = it.run.ok_or(Undecodable::Missing("schedule_caught_up.run"))?;
            NoteFact::CaughtUp { slot: Timestamp(it.slot_micros), run: run_uid(&run.run_uid)?, number: run.number }
        }
        Some(From::Paused(it)) => NoteFact::Paused(pause(it)?),
        Some(From::Resumed(it)) => {
            let Pause { by, reason } = pause(it)?;
            NoteFact::Resumed { by, reason }
        }
        Some(From::Removed(false)) | None => return Err(Undecodable::Missing("schedule_note.fact")),
    };
    Ok((schedule_name(&it.schedule)?, Note { number: it.number, at: Timestamp(it.at_micros), fact }))
}

fn fate(it: Option<disk::schedule_slots::Fate>) -> Result<Fate> {
    use disk::schedule_slots::Fate as From;
    Ok(match it {
        Some(From::Ran(it)) => Fate::Ran { run: run_uid(&it.run_uid)?, number: it.number },
        Some(From::SkippedPaused(true)) => Fate::Skipped(Skip::Paused),
        Some(From::SkippedFrozen(why)) => Fate::Skipped(Skip::Frozen { why }),
        Some(From::SkippedHours(why)) => Fate::Skipped(Skip::Hours { why }),
        Some(From::SkippedOverlap(it)) => Fate::Skipped(Skip::Overlap { number: it.number, state: it.state }),
        Some(From::MergedMicros(at)) => Fate::Merged { into: Timestamp(at) },
        Some(From::Waited(it)) => Fate::Waited { run: run_uid(&it.run_uid)?, number: it.number },
        Some(From::Missed(miss)) => Fate::Missed(known!(miss, "schedule_slots.missed", disk::ScheduleMiss, {
            Late => Miss::Late,
            Window => Miss::Window,
            Most => Miss::Most,
            Removed => Miss::Removed,
        })?),
        Some(From::Failed(why)) => Fate::Failed { why },
        Some(From::SkippedPaused(false)) | None => return Err(Undecodable::Missing("schedule_slots.fate")),
    })
}

fn written(it: disk::ScheduleWritten) -> Result<Written> {
    let dst = known!(it.dst, "schedule_written.dst", disk::ScheduleDst, {
        Cron => Dst::Cron,
        Once => Dst::Once,
        RealTime => Dst::RealTime,
        Skip => Dst::Skip,
        Twice => Dst::Twice,
    })?;
    Ok(Written::new(it.cron, it.timezone, dst))
}

fn pause(it: disk::SchedulePause) -> Result<Pause> {
    Ok(Pause { by: principal(it.by)?, reason: it.reason })
}

/// What a schedule's notes add up to, from its stored bytes.
///
/// # Errors
/// Anything that this program does not fully understand.
pub fn record(bytes: &[u8]) -> Result<Record> {
    let it = disk::ScheduleRecord::decode(bytes)?;
    let ran = it.ran_micros.map(Timestamp).zip(it.ran_number);
    let mut stretches =
        Stretches::of(it.stretches.iter().map(|it| (Timestamp(it.first_micros), Timestamp(it.last_micros))));
    if it.stretches.is_empty() {
        // A record of before these were known has the latest slot alone.
        stretches = Stretches::of(ran.map(|(slot, _)| (slot, slot)));
    }
    Ok(Record {
        last: it.last,
        through: Timestamp(it.through_micros),
        written: it.written.map(written).transpose()?,
        pause: it.pause.map(pause).transpose()?.map(Box::new),
        ran,
        // A record of before that was known counts from what it is accounted for.
        since: Timestamp(it.since_micros.unwrap_or(it.through_micros)),
        succeeded: it.succeeded_micros.map(Timestamp).zip(it.succeeded_number),
        stretches,
    })
}
