//! From an event of the core to the disk format: the one way there. Never judges what it writes.

use runbook_core::definition::Settlement;
use runbook_core::id::{RunUid, StepNo};
use runbook_core::run::{
    AfterVote, AttemptEnd, AttemptKind, Created, CutOff, EndingCause, Event, Fact, How, Left, NotStarted, Origin,
    Outcome, Parent, Principal, SkipReason, Terms, Then, Waits,
};
use runbook_core::schedule::{Dst, Fate, Miss, Note, NoteFact, Pause, Record, ScheduleName, Skip, SlotOf, Written};
use runbook_core::time::Timestamp;
use runbook_proto::journal as disk;

use crate::row::RunRow;
use crate::terms;

/// An event as it is stored.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn event(event: &Event) -> Result<disk::Event, serde_json::Error> {
    Ok(disk::Event { number: event.number, at_micros: event.at.0, fact: Some(fact(&event.fact)?) })
}

/// A JSON object as text, empty when there is nothing in it: a macro, since the map's type belongs to a
/// crate that need not be named here.
macro_rules! object {
    ($map:expr) => {
        if $map.is_empty() { String::new() } else { serde_json::to_string(&$map)? }
    };
}

fn fact(fact: &Fact) -> Result<disk::event::Fact, serde_json::Error> {
    use disk::event::Fact as To;
    Ok(match fact {
        Fact::Created(it) => To::Created(created(it)?),
        Fact::Due => To::Due(true),
        Fact::Admitted { deadline } => To::Admitted(disk::Admitted { deadline_micros: deadline.map(|at| at.0) }),
        Fact::StepReady { step, locks } => To::StepReady(disk::StepReady { step: step.0, locks: locks.clone() }),
        Fact::StepSkipped { step, why } => To::StepSkipped(disk::StepSkipped {
            step: step.0,
            why: Some(match why {
                SkipReason::Need(need) => disk::step_skipped::Why::Need(need.0),
                SkipReason::Condition => disk::step_skipped::Why::Condition(true),
                SkipReason::NothingToUndo => disk::step_skipped::Why::NothingToUndo(true),
                SkipReason::LeftOut => disk::step_skipped::Why::LeftOut(true),
                SkipReason::DryRun { would } => disk::step_skipped::Why::DryRun(would.clone()),
            }),
        }),
        Fact::StepFailed { step, message } => {
            To::StepFailed(disk::StepFailed { step: step.0, message: message.clone() })
        }
        Fact::WaitBegan { step, until, fixed } => {
            To::WaitBegan(disk::WaitBegan { step: step.0, until_micros: until.0, fixed: *fixed })
        }
        Fact::WaitEnded { step } => To::WaitEnded(disk::WaitEnded { step: step.0 }),
        Fact::ApprovalAsked { step, message, until } => To::ApprovalAsked(disk::ApprovalAsked {
            step: step.0,
            message: message.clone(),
            until_micros: until.map(|at| at.0),
        }),
        Fact::ApprovalGiven { step, approve, fields, by, reason, then, outputs } => {
            To::ApprovalGiven(disk::ApprovalGiven {
                step: step.0,
                approve: *approve,
                fields_json: object!(fields),
                by: Some(principal(by)),
                reason: reason.clone(),
                then: after_vote(*then).into(),
                outputs_json: object!(outputs),
            })
        }
        Fact::StartDecided { approve, by, reason, then } => To::StartDecided(disk::StartDecided {
            approve: *approve,
            by: Some(principal(by)),
            reason: reason.clone(),
            then: after_vote(*then).into(),
        }),
        Fact::ApprovalTimedOut { step, then, message, outputs } => To::ApprovalTimedOut(disk::ApprovalTimedOut {
            step: step.0,
            then: after_vote(*then).into(),
            message: message.clone(),
            outputs_json: object!(outputs),
        }),
        Fact::AttemptStarting { step, attempt, kind, boot } => To::AttemptStarting(disk::AttemptStarting {
            step: step.0,
            attempt: attempt.0,
            kind: attempt_kind(*kind).into(),
            boot: boot.clone(),
        }),
        Fact::AttemptEnded { step, attempt, end, then } => {
            To::AttemptEnded(attempt_ended(step.0, attempt.0, end, *then)?)
        }
        Fact::Ending { cause } => To::Ending(disk::Ending { cause: Some(ending_cause(cause)) }),
        Fact::ChildStarting { step, child, again } => {
            To::ChildStarting(disk::ChildStarting { step: step.0, child_uid: uid(*child), again: *again })
        }
        Fact::ChildEnded { step, child, outcome: it, outputs, message, left, then } => {
            To::ChildEnded(disk::ChildEnded {
                step: step.0,
                child_uid: uid(*child),
                outcome: outcome(*it).into(),
                outputs_json: object!(outputs),
                message: message.clone(),
                left: self::left(*left).into(),
                then: child_then(*then),
            })
        }
        Fact::ChildRollingBack { step, child } => {
            To::ChildRollingBack(disk::ChildRollingBack { step: step.0, child_uid: uid(*child) })
        }
        Fact::ChildWaits { step, child, waits } => {
            To::ChildWaits(disk::ChildWaits { step: step.0, child_uid: uid(*child), waits: self::waits(*waits).into() })
        }
        Fact::RepeatEnded { step, message } => {
            To::RepeatEnded(disk::RepeatEnded { step: step.0, message: message.clone() })
        }
        Fact::Finishing { outcome: it, outputs, message } => To::Finishing(disk::Finishing {
            outcome: outcome(*it).into(),
            outputs_json: object!(outputs),
            message: message.clone(),
        }),
        Fact::Finished { outcome: it } => To::Finished(disk::Finished { outcome: outcome(*it).into() }),
        Fact::Resumed { epoch, by, reason, confirmed, edited } => To::Resumed(disk::Resumed {
            epoch: *epoch,
            by: Some(principal(by)),
            reason: reason.clone(),
            confirmed: confirmed.clone(),
            definition: edited.as_ref().map(|edited| edited.definition.0.to_vec()),
            again: edited.iter().flat_map(|edited| &edited.again).map(|step| step.0).collect(),
            anew: edited.iter().flat_map(|edited| &edited.anew).map(|step| step.0).collect(),
        }),
        Fact::Resolved { step, settlement: it, outputs, by, reason } => To::Resolved(disk::Resolved {
            step: step.0,
            settlement: settlement(*it).into(),
            outputs_json: object!(outputs),
            by: Some(principal(by)),
            reason: reason.clone(),
        }),
        Fact::RollingBack { outcome: it, steps } => {
            To::RollingBack(disk::RollingBack { outcome: outcome(*it).into(), steps: numbers(steps) })
        }
        Fact::RollbackAsked { by, reason, past } => To::RollbackAsked(disk::RollbackAsked {
            by: Some(principal(by)),
            reason: reason.clone(),
            past: numbers(past),
        }),
        Fact::RollbackAbandoned { by, reason } => {
            To::RollbackAbandoned(disk::RollbackAbandoned { by: Some(principal(by)), reason: reason.clone() })
        }
        Fact::Withheld { step, attempt, inputs } => {
            To::Withheld(disk::Withheld { step: step.0, attempt: attempt.0, inputs: inputs.clone() })
        }
        Fact::Provided { inputs, by, reason } => {
            To::Provided(disk::Provided { inputs: inputs.clone(), by: Some(principal(by)), reason: reason.clone() })
        }
        Fact::LocksReleased { step, by, reason } => {
            To::LocksReleased(disk::LocksReleased { step: step.0, by: Some(principal(by)), reason: reason.clone() })
        }
        Fact::Paused { before, by, reason } => To::Paused(disk::Paused {
            before: before.map(|step| step.0),
            by: Some(principal(by)),
            reason: reason.clone(),
        }),
        Fact::Continued { by, reason } => {
            To::Continued(disk::Continued { by: Some(principal(by)), reason: reason.clone() })
        }
        Fact::DeadlinesShifted { by } => To::DeadlinesShifted(disk::DeadlinesShifted { by_micros: by.0 }),
    })
}

fn created(it: &Created) -> Result<disk::Created, serde_json::Error> {
    Ok(disk::Created {
        number: it.number,
        runbook: it.runbook.clone(),
        definition: it.definition.0.to_vec(),
        inputs_json: object!(it.inputs),
        sealed_inputs: it.sealed_inputs.clone(),
        group: it.group.clone(),
        locks: it.locks.clone(),
        origin: origin(it.origin).into(),
        by: Some(principal(&it.by)),
        reason: it.reason.clone(),
        request_id: it.request_id.clone(),
        request_digest: it.request_digest.0.to_vec(),
        commit: it.commit.clone(),
        terms: if it.terms == Terms::default() { None } else { Some(terms::to_disk(&it.terms)?) },
        parent: it.parent.as_ref().map(parent),
        slot: it.slot.as_ref().map(slot_of),
        items_json: if it.items.is_empty() { String::new() } else { serde_json::to_string(&it.items)? },
    })
}

fn uid(it: RunUid) -> Vec<u8> {
    it.bits().to_be_bytes().to_vec()
}

fn parent(it: &Parent) -> disk::Parent {
    disk::Parent { root_uid: uid(it.root), run_uid: uid(it.run), step: it.step.0, depth: it.depth, tidies: it.tidies }
}

/// A step ends with its child run: nothing else can follow, and is not stored.
const fn child_then(then: Then) -> Option<disk::child_ended::Then> {
    use disk::child_ended::Then as To;
    match then {
        Then::Succeeded => Some(To::Succeeded(true)),
        Then::Failed => Some(To::Failed(true)),
        Then::Canceled => Some(To::Canceled(true)),
        Then::RolledBack => Some(To::RolledBack(true)),
        Then::RollbackFailed => Some(To::RollbackFailed(true)),
        Then::RetryAt(_) | Then::VerifyAt(_) | Then::OnCancelAt(_) | Then::Unknown | Then::RollbackAt(_) => None,
    }
}

fn attempt_ended(
    step: u32,
    attempt: u32,
    end: &AttemptEnd,
    then: Then,
) -> Result<disk::AttemptEnded, serde_json::Error> {
    use disk::attempt_ended::{How as ToHow, Then as ToThen};
    Ok(disk::AttemptEnded {
        step,
        attempt,
        how: Some(match &end.how {
            How::NotStarted(NotStarted::Canceled) => ToHow::NotStartedCanceled(true),
            How::NotStarted(NotStarted::Errno(errno)) => ToHow::NotStartedErrno(*errno),
            How::NotStarted(NotStarted::Fenced) => ToHow::NotStartedFenced(true),
            How::Exited(code) => ToHow::Exited(*code),
            How::CutOff(CutOff::Timeout) => ToHow::CutOffTimeout(true),
            How::CutOff(CutOff::Stopped) => ToHow::CutOffStopped(true),
            How::CutOff(CutOff::Signal(signal)) => ToHow::CutOffSignal(*signal),
            How::CutOff(CutOff::UnknownExit(code)) => ToHow::CutOffUnknownExit(*code),
            How::Lost { processes_left } => ToHow::Lost(*processes_left),
        }),
        message: end.message.clone(),
        outputs_json: object!(end.outputs),
        artifacts: end
            .artifacts
            .iter()
            .map(|artifact| disk::Artifact {
                name: artifact.name.clone(),
                length: artifact.length,
                digest: artifact.digest.0.to_vec(),
            })
            .collect(),
        started_at_micros: end.started_at.map(|at| at.0),
        ended_at_micros: end.ended_at.map(|at| at.0),
        cpu_micros: end.cpu_micros,
        max_rss_kib: end.max_rss_kib,
        log_lines: end.log_lines,
        log_dropped: end.log_dropped,
        retry_after_micros: end.retry_after.map_or(0, |span| span.0),
        then: Some(match then {
            Then::Succeeded => ToThen::Succeeded(true),
            Then::Failed => ToThen::Failed(true),
            Then::Canceled => ToThen::Canceled(true),
            Then::RetryAt(at) => ToThen::RetryAtMicros(at.0),
            Then::VerifyAt(at) => ToThen::VerifyAtMicros(at.0),
            Then::OnCancelAt(at) => ToThen::OnCancelAtMicros(at.0),
            Then::Unknown => ToThen::Unknown(true),
            Then::RolledBack => ToThen::RolledBack(true),
            Then::RollbackFailed => ToThen::RollbackFailed(true),
            Then::RollbackAt(at) => ToThen::RollbackAtMicros(at.0),
        }),
    })
}

fn ending_cause(cause: &EndingCause) -> disk::ending::Cause {
    use disk::ending::Cause as To;
    match cause {
        EndingCause::FailureStop(step) => To::FailureStop(step.0),
        EndingCause::FailureCancel(step) => To::FailureCancel(step.0),
        EndingCause::Timeout => To::Timeout(true),
        EndingCause::Deadlock { message } => To::Deadlock(message.clone()),
        EndingCause::Cancel { now, by, reason, past } => {
            To::Cancel(disk::Cancel { now: *now, by: Some(principal(by)), reason: reason.clone(), past: numbers(past) })
        }
    }
}

fn numbers(steps: &[StepNo]) -> Vec<u32> {
    steps.iter().map(|step| step.0).collect()
}

pub fn principal(it: &Principal) -> disk::Principal {
    disk::Principal { name: it.name.clone(), uid: it.uid }
}

const fn origin(it: Origin) -> disk::Origin {
    match it {
        Origin::Person => disk::Origin::Person,
        Origin::Api => disk::Origin::Api,
        Origin::Schedule => disk::Origin::Schedule,
        Origin::Hook => disk::Origin::Hook,
    }
}

const fn outcome(it: Outcome) -> disk::Outcome {
    match it {
        Outcome::Succeeded => disk::Outcome::Succeeded,
        Outcome::Failed => disk::Outcome::Failed,
        Outcome::Canceled => disk::Outcome::Canceled,
        Outcome::RolledBack => disk::Outcome::RolledBack,
    }
}

const fn left(it: Left) -> disk::Left {
    match it {
        Left::Nothing => disk::Left::Unspecified,
        Left::Something => disk::Left::Something,
        Left::GivenUp => disk::Left::GivenUp,
    }
}

const fn waits(it: Waits) -> disk::Waits {
    match it {
        Waits::No => disk::Waits::No,
        Waits::Still => disk::Waits::Still,
        Waits::Attention => disk::Waits::Attention,
    }
}

const fn attempt_kind(it: AttemptKind) -> disk::AttemptKind {
    match it {
        AttemptKind::Run => disk::AttemptKind::Run,
        AttemptKind::Verify => disk::AttemptKind::Verify,
        AttemptKind::OnCancel => disk::AttemptKind::OnCancel,
        AttemptKind::Rollback => disk::AttemptKind::Rollback,
    }
}

const fn after_vote(it: AfterVote) -> disk::AfterVote {
    match it {
        AfterVote::Open => disk::AfterVote::Open,
        AfterVote::Succeeded => disk::AfterVote::Succeeded,
        AfterVote::Failed => disk::AfterVote::Failed,
    }
}

const fn settlement(it: Settlement) -> disk::Settlement {
    match it {
        Settlement::Succeeded => disk::Settlement::Succeeded,
        Settlement::Failed => disk::Settlement::Failed,
        Settlement::Retry => disk::Settlement::Retry,
        Settlement::Skipped => disk::Settlement::Skipped,
    }
}

/// A row as it is stored.
pub fn row(row: &RunRow) -> disk::RunRow {
    disk::RunRow {
        run_uid: row.uid.bits().to_be_bytes().to_vec(),
        number: row.number,
        runbook: row.runbook.clone(),
        created_at_micros: row.created_at.0,
        finished_at_micros: row.finished.map(|finished| finished.at.0),
        outcome: row.finished.map_or(disk::Outcome::Unspecified, |finished| outcome(finished.outcome)).into(),
        origin: origin(row.origin).into(),
        by: Some(principal(&row.by)),
        request_id: row.request_id.clone(),
        request_digest: row.request_digest.0.to_vec(),
        definition: row.definition.0.to_vec(),
        last_event: row.last_event,
        epoch: row.epoch,
        dry: row.dry,
        environment: row.environment.clone(),
        editions: row.editions.iter().map(|digest| digest.0.to_vec()).collect(),
        target: row.target.clone(),
    }
}

fn slot_of(it: &SlotOf) -> disk::SlotOf {
    disk::SlotOf { schedule: it.schedule.to_string(), at_micros: it.at.0 }
}

/// A note as it is stored.
pub fn note(schedule: &ScheduleName, note: &Note) -> disk::ScheduleNote {
    use disk::schedule_note::Fact as To;
    let fact = match &note.fact {
        NoteFact::Planned(it) => To::Planned(written(it)),
        NoteFact::Removed => To::Removed(true),
        NoteFact::Slots { first, last, fate: it } => {
            To::Slots(disk::ScheduleSlots { first_micros: first.0, last_micros: last.0, fate: Some(fate(it)) })
        }
        NoteFact::Succeeded { run, number } => To::Succeeded(run_ref(*run, *number)),
        NoteFact::CaughtUp { slot, run, number } => {
            To::CaughtUp(disk::ScheduleCaughtUp { slot_micros: slot.0, run: Some(run_ref(*run, *number)) })
        }
        NoteFact::Paused(it) => To::Paused(pause(it)),
        NoteFact::Resumed { by, reason } => {
            To::Resumed(disk::SchedulePause { by: Some(principal(by)), reason: reason.clone() })
        }
    };
    disk::ScheduleNote { schedule: schedule.to_string(), number: note.number, at_micros: note.at.0, fact: Some(fact) }
}

fn fate(it: &Fate) -> disk::schedule_slots::Fate {
    use disk::schedule_slots::Fate as To;
    match it {
        Fate::Ran { run, number } => To::Ran(run_ref(*run, *number)),
        Fate::Skipped(Skip::Paused) => To::SkippedPaused(true),
        Fate::Skipped(Skip::Frozen { why }) => To::SkippedFrozen(why.clone()),
        Fate::Skipped(Skip::Hours { why }) => To::SkippedHours(why.clone()),
        Fate::Skipped(Skip::Overlap { number, state }) => {
            To::SkippedOverlap(disk::RunState { number: *number, state: state.clone() })
        }
        Fate::Merged { into } => To::MergedMicros(into.0),
        Fate::Waited { run, number } => To::Waited(run_ref(*run, *number)),
        Fate::Missed(miss) => To::Missed(
            match miss {
                Miss::Late => disk::ScheduleMiss::Late,
                Miss::Window => disk::ScheduleMiss::Window,
                Miss::Most => disk::ScheduleMiss::Most,
                Miss::Removed => disk::ScheduleMiss::Removed,
            }
            .into(),
        ),
        Fate::Failed { why } => To::Failed(why.clone()),
    }
}

pub fn run_ref(run: RunUid, number: u64) -> disk::RunRef {
    disk::RunRef { run_uid: run.bits().to_be_bytes().to_vec(), number }
}

fn written(it: &Written) -> disk::ScheduleWritten {
    let dst = match it.dst() {
        Dst::Cron => disk::ScheduleDst::Cron,
        Dst::Once => disk::ScheduleDst::Once,
        Dst::RealTime => disk::ScheduleDst::RealTime,
        Dst::Skip => disk::ScheduleDst::Skip,
        Dst::Twice => disk::ScheduleDst::Twice,
    };
    disk::ScheduleWritten { cron: it.cron().to_owned(), timezone: it.timezone().to_owned(), dst: dst.into() }
}

fn pause(it: &Pause) -> disk::SchedulePause {
    disk::SchedulePause { by: Some(principal(&it.by)), reason: it.reason.clone() }
}

const fn stretch((first, last): (Timestamp, Timestamp)) -> disk::ScheduleStretch {
    disk::ScheduleStretch { first_micros: first.0, last_micros: last.0 }
}

/// What a schedule's notes add up to, as it is stored.
pub fn record(it: &Record) -> disk::ScheduleRecord {
    disk::ScheduleRecord {
        last: it.last,
        through_micros: it.through.0,
        written: it.written.as_ref().map(written),
        pause: it.pause.as_deref().map(pause),
        ran_micros: it.ran.map(|(slot, _)| slot.0),
        ran_number: it.ran.map(|(_, number)| number),
        since_micros: Some(it.since.0).filter(|since| *since > i64::MIN),
        succeeded_micros: it.succeeded.map(|(at, _)| at.0),
        succeeded_number: it.succeeded.map(|(_, number)| number),
        stretches: it.stretches.iter().map(stretch).collect(),
    }
}
