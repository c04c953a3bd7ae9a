//! The wall clock, the boot, and whether somebody set the clock. The only place in the daemon that reads time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runbook_core::time::{Span, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// A difference between the wall clock and the time that really passed which counts as "somebody set the clock".
const STEP: Span = Span::seconds(2);

/// How long ago a time of this machine's files was; `None` for one that is still to come.
pub fn since(at: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(at).ok()
}

/// The wall clock.
pub fn now() -> Timestamp {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    };
    Timestamp(micros.saturating_add(shift()))
}

/// How far the clock of a test build is ahead of the system's, in microseconds: what the file says that
/// `RUNBOOK_TEST_CLOCK` names, now. For tests of nights and years; other builds know no such variable.
#[cfg(debug_assertions)]
fn shift() -> i64 {
    static FILE: std::sync::OnceLock<Option<std::ffi::OsString>> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("RUNBOOK_TEST_CLOCK"));
    let read = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    read.unwrap_or(0)
}

#[cfg(not(debug_assertions))]
const fn shift() -> i64 {
    0
}

/// Time since the machine was booted, suspend counted.
fn since_boot() -> Span {
    let time = clock_gettime(ClockId::Boottime);
    Span(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000))
}

/// Notices when the wall clock was set.
#[derive(Debug)]
pub struct StepDetector {
    wall: Timestamp,
    boot: Span,
}

impl StepDetector {
    /// Takes the clocks as they are.
    pub fn new() -> Self {
        Self { wall: now(), boot: since_boot() }
    }

    /// By how much the wall clock was set since the last call, if it was. Slewing (adjtime) is slower than this
    /// notices, which is right: it moves deadlines by as little as it moves the clock.
    pub fn check(&mut self) -> Option<Span> {
        let (wall, boot) = (now(), since_boot());
        let passed = Span(boot.0 - self.boot.0);
        let step = Span((wall - self.wall).0 - passed.0);
        (self.wall, self.boot) = (wall, boot);
        (step.0.abs() >= STEP.0).then_some(step)
    }
}

impl Default for StepDetector {
    fn default() -> Self {
        Self::new()
    }
}
