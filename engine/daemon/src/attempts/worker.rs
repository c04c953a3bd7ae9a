//! What is done for an attempt, one thing after another. Every error of the system ends in something the dispatcher is
//! told, or in another look later.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use runbook_core::machine::AttemptRef;
use runbook_core::run::{AttemptEnd, How, NotStarted, StopLevel};
use runbook_shim::exit::Refusal;
use runbook_shim::files::{self as shim_files, Child, Ending, Holder, Outputs, StopRequest, Verdict};
use runbook_shim::{fence, lock, process};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use super::reconcile::{Finding, reconcile};
use super::{Adoption, Job, Patience, Record, Report, SPAWNS, Shared, ShimOrder, clean, collect, place};

/// How long until a shim that has the lock is looked at again for its pid.
const NO_PID_YET: Duration = Duration::from_millis(50);
/// How long until something is tried again that the system refused.
const AGAIN: Duration = Duration::from_secs(1);
/// Artifacts above so many bytes are hashed in a thread of their own.
const HEAVY_BYTES: u64 = 16 << 20;
/// How much longer than its timeout and grace a shim may take for its verdict.
const SLACK: Duration = Duration::from_secs(40);
/// What is said of an attempt that was stopped before it began.
const CALLED_OFF: &str = "it was canceled before it started";

/// What is told of an attempt that never begins.
enum Unstarted {
    /// That it is over.
    Ended(NotStarted, String),
    /// That a person has to give these inputs first.
    Withheld(BTreeSet<String>),
}

pub(super) fn run(shared: &Arc<Shared>, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Start(order) => start(shared, &order),
            Job::Adopt(adoption) => adopt(shared, adoption),
            Job::Stop(attempt, level) => stop(shared, attempt, level),
            Job::CallOff(attempt) => {
                settle_unstarted(shared, attempt, Unstarted::Ended(NotStarted::Canceled, CALLED_OFF.to_owned()));
            }
            Job::Withhold(attempt, inputs) => settle_unstarted(shared, attempt, Unstarted::Withheld(inputs)),
            Job::Look(attempt) => look(shared, attempt),
            Job::Overdue(attempt) => overdue(shared, attempt),
            // It ended as far as anybody can say, but processes of it are left: what they are known by is still needed.
            Job::Clean(attempt, _) if shared.records().contains_key(&attempt) => {}
            Job::Clean(attempt, run_is_over) => {
                let spares = shared.plain().remove(&attempt).then_some(&shared.spares);
                if let Err(error) = clean::clean(attempt, &shared.layout, run_is_over, spares) {
                    let path = shared.layout.attempt(attempt);
                    tracing::warn!(%error, run = %attempt.run, step = attempt.step.0, path = %path.display(), "an ended attempt cannot be cleaned away; the next start tries again");
                }
            }
            // The other side waits for the channel to close.
            Job::Barrier(done) => drop(done),
        }
    }
}

fn tell_end(shared: &Shared, attempt: AttemptRef, end: AttemptEnd) {
    shared.records().remove(&attempt);
    shared.waiter.forget(attempt);
    (shared.report)(Report::Ended(attempt, Box::new(end)));
}

fn not_started(reason: NotStarted, message: String) -> AttemptEnd {
    AttemptEnd { message, ..AttemptEnd::bare(How::NotStarted(reason)) }
}

fn start(shared: &Arc<Shared>, order: &ShimOrder) {
    let attempt = order.attempt;
    let level = {
        let mut records = shared.records();
        let record = records.entry(attempt).or_insert_with(|| {
            let patience = Patience { timeout: order.prepared.timeout, grace: order.prepared.stop.grace };
            // A directory with files or artifacts in it is not used again.
            let own = order.prepared.files.is_empty() && order.prepared.artifacts.is_empty();
            Record { own, ..Record::new(order.step.clone(), StopLevel::Run, patience) }
        });
        record.spawns += 1;
        record.level
    };
    match place::spawn(order, shared) {
        Ok(spawned) => {
            let watched = shared.waiter.watch(attempt, &spawned.pidfd);
            if let Some(record) = shared.records().get_mut(&attempt) {
                record.pidfd = Some(spawned.pidfd);
                record.child = true;
            }
            if let Err(error) = watched {
                tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "a shim cannot be waited for; it is looked at instead");
                shared.waiter.look_after(attempt, AGAIN);
            }
            arm_overdue(shared, attempt);
            if level > StopLevel::Run {
                stop(shared, attempt, level);
            }
        }
        Err(error) => {
            // Before "not started" may be said, no shim may be able to start it.
            let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
            let message = format!("its shim could not be started: {error}");
            settle_unstarted(shared, attempt, Unstarted::Ended(NotStarted::Errno(errno), message));
        }
    }
}

/// Fences the attempt and says that it did not start; where a shim was faster, looks at what it does.
fn settle_unstarted(shared: &Arc<Shared>, attempt: AttemptRef, why: Unstarted) {
    let directory = shared.layout.attempt(attempt);
    match fence(&directory) {
        Ok(true) => tell_unstarted(shared, attempt, why),
        Ok(false) => look(shared, attempt),
        // Without a directory no shim can be in it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => tell_unstarted(shared, attempt, why),
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "an attempt cannot be fenced; trying again");
            shared.waiter.look_after(attempt, AGAIN);
        }
    }
}

fn tell_unstarted(shared: &Shared, attempt: AttemptRef, why: Unstarted) {
    match why {
        Unstarted::Ended(reason, message) => tell_end(shared, attempt, not_started(reason, message)),
        Unstarted::Withheld(inputs) => {
            shared.records().remove(&attempt);
            shared.waiter.forget(attempt);
            (shared.report)(Report::Withheld(attempt, inputs));
        }
    }
}

fn adopt(shared: &Arc<Shared>, adoption: Adoption) {
    let Adoption { attempt, step, foreign, inside: _, level, patience } = adoption;
    shared.records().insert(attempt, Record { foreign, ..Record::new(step, level, patience) });
    arm_overdue(shared, attempt);
    look(shared, attempt);
    if level > StopLevel::Run {
        stop(shared, attempt, level);
    }
}

fn arm_overdue(shared: &Shared, attempt: AttemptRef) {
    let records = shared.records();
    let Some(record) = records.get(&attempt) else { return };
    let wait = match (record.level, record.patience.timeout) {
        (StopLevel::Run, None) => return,
        (StopLevel::Run, Some(timeout)) => duration(timeout) + duration(record.patience.grace),
        (StopLevel::Graceful, _) => duration(record.patience.grace),
        (StopLevel::Now, _) => Duration::ZERO,
    };
    drop(records);
    shared.waiter.overdue_after(attempt, wait + SLACK);
}

fn duration(span: runbook_core::time::Span) -> Duration {
    Duration::from_micros(u64::try_from(span.0).unwrap_or(0))
}

fn stop(shared: &Shared, attempt: AttemptRef, level: StopLevel) {
    let raised = {
        let mut records = shared.records();
        let Some(record) = records.get_mut(&attempt) else { return };
        let raised = level > record.level;
        record.level = record.level.max(level);
        raised
    };
    let directory = shared.layout.attempt(attempt);
    let request = StopRequest { reason: "canceled".to_owned(), now: level == StopLevel::Now };
    if let Err(error) = shim_files::place(&directory, &request) {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "a stop cannot be written; trying again");
            shared.waiter.look_after(attempt, AGAIN);
        }
        return;
    }
    if raised {
        arm_overdue(shared, attempt);
    }
    signal_shim(shared, attempt, Signal::TERM);
}

/// Signals the shim, if it lives: the pidfd is its own, and the lock says that it has begun.
fn signal_shim(shared: &Shared, attempt: AttemptRef, signal: Signal) {
    if !lock::is_held(&shared.layout.attempt(attempt)).unwrap_or(false) {
        return;
    }
    let records = shared.records();
    if let Some(pidfd) = records.get(&attempt).and_then(|record| record.pidfd.as_ref())
        && let Err(error) = pidfd_send_signal(pidfd, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "a shim cannot be signaled");
    }
}

/// The shim exited, or it is time to look again.
fn look(shared: &Arc<Shared>, attempt: AttemptRef) {
    if shared.records().get(&attempt).is_none_or(|record| record.busy) {
        return;
    }
    reap(shared, attempt);
    let directory = shared.layout.attempt(attempt);
    let finding = match reconcile(&directory, &shared.boot) {
        Ok(finding) => finding,
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "an attempt's directory cannot be read; trying again");
            shared.waiter.look_after(attempt, AGAIN);
            return;
        }
    };
    // Nothing but the journal is synced when an attempt begins: what the power left of its directory proves nothing.
    let foreign = shared.records().get(&attempt).is_some_and(|record| record.foreign);
    let finding = match finding {
        Finding::NeverRan | Finding::ShimDied { .. } if foreign => Finding::OtherBoot,
        finding => finding,
    };
    match finding {
        Finding::Held(holder) => held(shared, attempt, holder),
        Finding::Verdict(verdict) => {
            let bytes: u64 = verdict.artifacts.iter().map(|artifact| artifact.length).sum();
            if bytes > HEAVY_BYTES {
                aside(shared, attempt, move |shared| collect_verdict(shared, attempt, &verdict));
            } else {
                collect_verdict(shared, attempt, &verdict);
            }
        }
        Finding::Fenced => {
            tell_end(shared, attempt, not_started(NotStarted::Fenced, "its shim did not come up".to_owned()));
        }
        Finding::NeverRan => never_ran(shared, attempt),
        Finding::ShimDied { holder, child } => {
            aside(shared, attempt, move |shared| shim_died(shared, attempt, &directory, holder, child));
        }
        Finding::OtherBoot => {
            let mut end = AttemptEnd::bare(How::Lost { processes_left: false });
            end.message = "the machine was started anew while it ran".to_owned();
            tell_end(shared, attempt, end);
        }
    }
}

/// Does what may take long in a thread of its own, so that the worker's other attempts do not wait. Meanwhile the
/// attempt is not looked at.
fn aside(shared: &Arc<Shared>, attempt: AttemptRef, work: impl FnOnce(&Arc<Shared>) + Send + 'static) {
    let busy = |busy: bool| {
        let shared = Arc::clone(shared);
        move || {
            if let Some(record) = shared.records().get_mut(&attempt) {
                record.busy = busy;
            }
        }
    };
    busy(true)();
    let (done, own) = (busy(false), Arc::clone(shared));
    let thread = std::thread::Builder::new().name("attempts-aside".into()).spawn(move || {
        work(&own);
        done();
    });
    if let Err(error) = thread {
        tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "the system has no thread left; trying again");
        busy(false)();
        shared.waiter.look_after(attempt, AGAIN);
    }
}

fn collect_verdict(shared: &Shared, attempt: AttemptRef, verdict: &Verdict) {
    match collect::collect(attempt, &shared.layout, verdict) {
        Ok(Some(end)) => {
            // Spawned once, by this daemon, and never stopped: no other shim can be on its way to the directory, and no
            // request to stop lies in it, which would be one to whoever uses the directory next.
            let alone = |record: &Record| record.spawns == 1 && record.own && record.level == StopLevel::Run;
            if shared.records().get(&attempt).is_some_and(alone) && leaves_nothing(verdict) {
                shared.plain().insert(attempt);
            }
            tell_end(shared, attempt, end);
        }
        Ok(None) => {
            let mut end = AttemptEnd::bare(How::Lost { processes_left: false });
            end.message = "what it left is not what its verdict says".to_owned();
            tell_end(shared, attempt, end);
        }
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "what an attempt left cannot be read; trying again");
            shared.waiter.look_after(attempt, AGAIN);
        }
    }
}

/// Whether an attempt left no file but those that each attempt has.
fn leaves_nothing(verdict: &Verdict) -> bool {
    matches!(verdict.ending, Ending::Exited { .. })
        && verdict.stop.is_none()
        && verdict.log.bytes == 0
        && verdict.out == Outputs::Absent
        && verdict.artifacts.is_empty()
        && verdict.problems.is_empty()
}

/// Takes the exit status of a shim that is a child of this daemon.
fn reap(shared: &Shared, attempt: AttemptRef) {
    let mut records = shared.records();
    let Some(record) = records.get_mut(&attempt).filter(|record| record.child) else { return };
    let Some(pidfd) = &record.pidfd else { return };
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => {
            record.exit_code = status.exit_status();
            record.exited = true;
            record.pidfd = None;
            record.child = false;
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "a shim cannot be reaped");
            record.child = false;
        }
    }
}

fn held(shared: &Shared, attempt: AttemptRef, holder: Option<Holder>) {
    if shared.records().get(&attempt).is_some_and(|record| record.pidfd.is_some()) {
        return;
    }
    let Some(holder) = holder else {
        shared.waiter.look_after(attempt, NO_PID_YET);
        return;
    };
    match open_holder(shared, attempt, holder) {
        Ok(true) => {
            let level = shared.records().get(&attempt).map_or(StopLevel::Run, |record| record.level);
            if level > StopLevel::Run {
                stop(shared, attempt, level);
            }
        }
        // It is going away just now.
        Ok(false) => shared.waiter.look_after(attempt, NO_PID_YET),
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "a shim cannot be waited for; it is looked at instead");
            shared.waiter.look_after(attempt, AGAIN);
        }
    }
}

/// Opens the pidfd of an adopted shim. A pid alone proves nothing: its start time and the lock, asked once more, do.
fn open_holder(shared: &Shared, attempt: AttemptRef, holder: Holder) -> io::Result<bool> {
    let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if process::start_time(holder.pid)? != Some(holder.start_time) || !lock::is_held(&shared.layout.attempt(attempt))? {
        return Ok(false);
    }
    shared.waiter.watch(attempt, &pidfd)?;
    if let Some(record) = shared.records().get_mut(&attempt) {
        record.pidfd = Some(pidfd);
        record.child = false;
    }
    Ok(true)
}

/// No shim decided anything. While one of ours is on its way there is nothing to do; else it is started again, a few
/// times, and then given up.
fn never_ran(shared: &Arc<Shared>, attempt: AttemptRef) {
    let (spawns, exit_code, level, under_way) = {
        let records = shared.records();
        let Some(record) = records.get(&attempt) else { return };
        (record.spawns, record.exit_code, record.level, record.pidfd.is_some())
    };
    if under_way {
        // It takes the lock soon, or it is gone and somebody else, who traces it, is told first.
        return shared.waiter.look_after(attempt, AGAIN);
    }
    if level > StopLevel::Run {
        return settle_unstarted(shared, attempt, Unstarted::Ended(NotStarted::Canceled, CALLED_OFF.to_owned()));
    }
    if spawns >= SPAWNS {
        let why = exit_code
            .and_then(Refusal::from_code)
            .map_or_else(|| format!("its shim ended {spawns} times without a word"), |refusal| refusal.to_string());
        return settle_unstarted(shared, attempt, Unstarted::Ended(NotStarted::Fenced, why));
    }
    // The first try is at once; a shim that exited is followed by the next after 1 s, then 2 s.
    let exited = shared.records().get_mut(&attempt).is_some_and(|record| std::mem::take(&mut record.exited));
    if exited {
        shared.waiter.look_after(attempt, AGAIN * spawns);
    } else {
        (shared.report)(Report::NeedsStart(attempt));
    }
}

/// The shim died after its claim: nothing of it may live on, and nobody knows what was done.
fn shim_died(shared: &Shared, attempt: AttemptRef, directory: &Path, holder: Option<Holder>, child: Option<Child>) {
    let id = format!("{}.{}.0.{}", attempt.run, attempt.step.0, attempt.attempt.0);
    match process::kill_leftovers(directory, &id, holder, child) {
        Ok(left) if left.is_empty() => {
            let mut end = AttemptEnd::bare(How::Lost { processes_left: false });
            end.message = "its shim died; what it had started was killed".to_owned();
            tell_end(shared, attempt, end);
        }
        Ok(left) => {
            let mut end = AttemptEnd::bare(How::Lost { processes_left: true });
            // Pids are for people: they are shown in the log, and never enter the journal.
            end.message = format!("its shim died, and {} processes of it cannot be killed", left.len());
            tracing::error!(run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, pids = ?left, "processes of a dead shim cannot be killed");
            (shared.report)(Report::Ended(attempt, Box::new(end)));
            shared.waiter.look_after(attempt, AGAIN);
        }
        Err(error) => {
            tracing::warn!(%error, run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, "processes cannot be looked for; trying again");
            shared.waiter.look_after(attempt, AGAIN);
        }
    }
}

/// The shim should have said its verdict long ago.
fn overdue(shared: &Arc<Shared>, attempt: AttemptRef) {
    let Some(patience) = shared.records().get(&attempt).map(|record| (record.level, record.patience)) else { return };
    let directory = shared.layout.attempt(attempt);
    if !lock::is_held(&directory).unwrap_or(false) {
        return look(shared, attempt);
    }
    tracing::error!(run = %attempt.run, step = shared.step(attempt), attempt = attempt.attempt.0, ?patience, "a shim did not end in time; it is killed");
    signal_shim(shared, attempt, Signal::KILL);
}
