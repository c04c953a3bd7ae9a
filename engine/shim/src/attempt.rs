//! An attempt from the lock to the verdict: the order of things that the protocol asks of the shim.

mod command;
mod logfile;
mod output;
mod record;
mod reserve;
mod system;
mod tail;
mod tree;
mod watch;

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use runbook_shim::exit::Refusal;
use runbook_shim::files::{
    self, Child, Ending, Exit, Holder, LogCount, NotStarted, OWNER_ONLY, Outputs, SmallFile, Spec, StopRequest, Verdict,
};
use runbook_shim::lock::{self, Attempt, Held};
use runbook_shim::memory;
use runbook_shim::paths;
use runbook_shim::process::{self, Process};
use runbook_shim::redact::Redactor;
use runbook_shim::secrets::Secrets;
use runbook_shim::time::now_micros;

use command::Started;
use reserve::Reserve;
use system::Signals;
use watch::{Cause, Watched};

/// The attempt's directory, once it was entered.
const HERE: &str = ".";

/// More problems than these are not told in a verdict.
const PROBLEMS_MAX: usize = 16;

/// The text of a refused start is cut to this length, in bytes: a PATH may be long, and the verdict's room is taken.
const TEXT_MAX: usize = 2 << 10;

/// Why the shim ends without a verdict.
#[derive(Debug)]
pub struct Refused {
    /// What the exit code says.
    pub refusal: Refusal,
    /// More, for who calls the shim by hand.
    pub detail: String,
}

impl Refused {
    /// A refusal with what is known about it.
    pub fn new(refusal: Refusal, detail: impl Display) -> Refused {
        Refused { refusal, detail: detail.to_string() }
    }
}

/// Makes an error of the system a refusal.
fn refuse(refusal: Refusal) -> impl Fn(io::Error) -> Refused {
    move |error| Refused::new(refusal, error)
}

/// What stands before the claim: all that can fail without a trace.
struct Ready {
    signals: Signals,
    spec: Spec,
    secrets: Secrets,
    reserve: Reserve,
    lock: Held,
}

/// Owns the attempt in `dir` until its verdict is written.
///
/// # Errors
/// Why there is no verdict; but for [`Refusal::VerdictFailed`], nothing was started.
pub fn own(dir: &Path) -> Result<(), Refused> {
    // The lock is held until the process ends, and so is free only after the verdict is there.
    let Ready { signals, spec, secrets, reserve, lock: _lock } = prepare(dir)?;
    claim()?;
    let verdict = run(&spec, secrets, &signals);
    reserve.place(&verdict).map_err(refuse(Refusal::VerdictFailed))
}

/// From the first moment to the claim.
fn prepare(dir: &Path) -> Result<Ready, Refused> {
    let setup = refuse(Refusal::Setup);
    system::close_descriptors_from(3).map_err(&setup)?;
    let signals = Signals::take().map_err(&setup)?;
    system::lead_session().map_err(&setup)?;
    std::env::set_current_dir(dir).map_err(refuse(Refusal::Usage))?;

    let here = Path::new(HERE);
    let lock = match lock::try_acquire(here).map_err(refuse(Refusal::NoLock))? {
        Attempt::Held(lock) => lock,
        Attempt::Busy => return Err(Refused::new(Refusal::LockHeld, dir.display())),
    };
    let own = Process::own().map_err(&setup)?;
    lock.tell(Holder { pid: own.pid, start_time: own.start_time }).map_err(refuse(Refusal::LockUnwritable))?;

    let spec = match files::inspect::<Spec>(here).map_err(refuse(Refusal::Spec))? {
        Some(Ok(spec)) => spec,
        Some(Err(damage)) => return Err(Refused::new(Refusal::Spec, damage)),
        None => return Err(Refused::new(Refusal::Spec, "it is absent")),
    };
    if process::boot_id().map_err(&setup)? != spec.boot_id {
        return Err(Refused::new(Refusal::OtherBoot, &spec.boot_id));
    }
    let secrets = Secrets::read_from(io::stdin().as_fd()).map_err(refuse(Refusal::Secrets))?;
    system::null_stdin().map_err(&setup)?;
    let reserve = Reserve::make(&spec).map_err(refuse(Refusal::NoRoom))?;
    Ok(Ready { signals, spec, secrets, reserve, lock })
}

/// The only point of decision: whoever makes the file owns the start.
fn claim() -> Result<(), Refused> {
    match OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(paths::CLAIM) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(Refused::new(Refusal::Claimed, e)),
        Err(e) => Err(Refused::new(Refusal::ClaimFailed, e)),
    }
}

/// From the claim to the verdict.
fn run(spec: &Spec, secrets: Secrets, signals: &Signals) -> Verdict {
    let (began, started_at) = (Instant::now(), now_micros());
    let not_started = |reason, stop| Verdict {
        attempt_id: spec.attempt_id.clone(),
        ending: Ending::NotStarted { reason },
        stop,
        pid: None,
        started_at,
        ended_at: now_micros(),
        duration_micros: micros(began, Instant::now()),
        cpu_user_micros: 0,
        cpu_system_micros: 0,
        max_rss_kib: 0,
        log: LogCount::default(),
        out: Outputs::Absent,
        artifacts: Vec::new(),
        leftover: 0,
        problems: Vec::new(),
    };
    if let Some(stop) = read_stop() {
        return not_started(NotStarted::Canceled, Some(stop));
    }
    let started = match command::start(spec, &secrets) {
        Ok(started) => started,
        Err(refused) => {
            // What is left of it goes with the attempt.
            let _ = memory::remove(Path::new(paths::FILES));
            let mut text = refused.text;
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            return not_started(NotStarted::Errno { errno: refused.errno, text }, None);
        }
    };
    let mut problems = Vec::new();
    if let Err(e) = tell_child(&started) {
        problems.push(format!("the file `child` could not be written: {e}"));
    }
    let pid = started.pid;
    let redactor = Redactor::new(secrets.redact.iter().map(String::as_str));
    drop(secrets);
    let watched = watch::watch(spec, &redactor, signals, started, began);
    if let Err(error) = memory::remove(Path::new(paths::FILES)) {
        problems.push(format!("the files in memory could not be removed: {error}"));
    }
    let usage = system::usage_of_children();
    let record = record::record(spec, &redactor, signals, matches!(watched.cause, Cause::Own));
    problems.extend(watched.problems.iter().cloned());
    problems.extend(record.problems);
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more"));
    }
    Verdict {
        attempt_id: spec.attempt_id.clone(),
        ending: ending(&watched),
        stop: record.stop.or(watched.stop),
        pid: Some(pid),
        started_at,
        ended_at: watched.ended_at,
        duration_micros: micros(began, watched.ended),
        cpu_user_micros: usage.user_micros,
        cpu_system_micros: usage.system_micros,
        max_rss_kib: usage.max_rss_kib,
        log: watched.log,
        out: record.out,
        artifacts: record.artifacts,
        leftover: watched.leftover,
        problems,
    }
}

fn ending(watched: &Watched) -> Ending {
    let (exit, killed) = (watched.exit, watched.killed);
    match (&watched.cause, exit) {
        (Cause::Own, Exit::Code(code)) => Ending::Exited { code },
        (Cause::Own, Exit::Signal(signal)) => Ending::Signaled { signal },
        (Cause::Timeout, exit) => Ending::TimedOut { exit, killed },
        (Cause::Stop(request), exit) => Ending::Stopped { reason: request.reason.clone(), exit, killed },
    }
}

/// The stop request that is there now. One that cannot be read counts as absent: the daemon repeats what it means.
fn read_stop() -> Option<StopRequest> {
    files::load(Path::new(HERE)).unwrap_or_default()
}

fn tell_child(started: &Started) -> io::Result<()> {
    let process = Process::read(started.pid)?;
    let child = Child { pgid: started.pid, start_time: process.start_time };
    let bytes = child.encode().map_err(io::Error::other)?;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(OWNER_ONLY).open(paths::CHILD)?;
    files::overwrite(&file, &bytes)
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}
