//! What a shim costs, beside a reference measured in the same run.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::Write;
use std::mem;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use common::{Place, exited, is_root, skip, until};
use runbook_shim::files::{self, SmallFile as _, Spec, Verdict};
use runbook_shim::paths;

/// Attempts that are measured; of their costs the median counts.
const ATTEMPTS: usize = 101;

/// A shim's own processor time is at most so many times that of the smallest program of the system. Without
/// optimization it may be more.
const TIMES_TRUE: f64 = if cfg!(debug_assertions) { 5.0 } else { 2.0 };

/// A shim's own processor time, in microseconds, on a machine that starts a program in half of it; where that takes longer,
/// the ratio alone counts. More where the compiler left everything in.
const OWN_MICROS: u64 = if cfg!(debug_assertions) { 6_000 } else { 600 };

/// Shims that run at the same time when their memory is measured.
const RUNNING: usize = 100;

/// A shim's share of memory, in KiB.
const PSS_KIB: u64 = 1_536;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a program to its end and tells its processor time in microseconds, with that of its children.
// wait4(2) waits for it, and tells what the standard library's wait does not.
#[allow(clippy::zombie_processes)]
fn processor_time(command: &mut Command) -> u64 {
    let child = command.spawn().unwrap();
    // SAFETY: a valid, zeroed rusage; the child is ours and is waited for here alone.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        let mut status = 0;
        assert_eq!(libc::wait4(child.id() as i32, &mut status, 0, &mut usage), child.id() as i32);
        assert_eq!(status, 0);
        usage
    };
    let micros = |time: libc::timeval| (time.tv_sec * 1_000_000 + time.tv_usec) as u64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}

/// Makes the place of an attempt that is over ready for the next one, as the daemon does: nearly every attempt has a
/// directory that was one's before it, since files that are made cost more than the command itself.
fn use_again(place: &Place) {
    let at = |name: &str| place.dir.join(name);
    fs::rename(at(Spec::NAME), at(&format!(".{}.new", Spec::NAME))).unwrap();
    fs::rename(at(paths::VERDICT), at(paths::VERDICT_RESERVE)).unwrap();
    files::spoil(&at(paths::CHILD)).unwrap();
    files::spoil(&at(paths::LOCK)).unwrap();
    fs::remove_file(at(paths::CLAIM)).unwrap();
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

fn tell(text: &str) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    // Past the harness, which shows nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "{text} (load {})", load.split(' ').next().unwrap_or("unknown"));
}

#[test]
fn own_processor_time_is_bounded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut own, mut reference) = (Vec::new(), Vec::new());
    let place = Place::new(&["/bin/true"]);
    place.run();
    for _ in 0..ATTEMPTS {
        reference.push(processor_time(Command::new("/bin/true").env_clear().stdin(Stdio::null())));
        use_again(&place);
        place.place();
        let all = processor_time(&mut place.command(&[]));
        let verdict: Verdict = place.verdict().unwrap();
        assert_eq!(verdict.ending, exited(0));
        own.push(all.saturating_sub(verdict.cpu_user_micros + verdict.cpu_system_micros));
    }
    let (own, reference) = (median(own), median(reference));
    tell(&format!("a shim's own processor time: {own} µs; /bin/true: {reference} µs"));
    let bound = (reference as f64 * TIMES_TRUE).max(OWN_MICROS as f64);
    assert!(own as f64 <= bound, "{own} µs of its own, at most {bound}");
}

#[test]
fn memory_is_bounded_with_a_hundred_running() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return skip("the memory of a shim, which is closed to others, is seen by root alone");
    }
    let places: Vec<Place> = (0..RUNNING).map(|_| Place::new(&["sleep", "1000"])).collect();
    let shims: Vec<_> = places.iter().map(Place::start).collect();
    until("all of them run", || places.iter().all(|place| place.dir.join("child").exists()));
    let pss = |pid: u32| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let all: u64 = shims.iter().map(|shim| pss(shim.child.id())).sum();
    tell(&format!("a shim's share of memory with {RUNNING} running: {} KiB", all / RUNNING as u64));
    assert!(all / (RUNNING as u64) <= PSS_KIB);
    for (place, shim) in places.iter().zip(shims) {
        place.stop(&shim, "canceled", true);
        place.finish(shim);
    }
}
