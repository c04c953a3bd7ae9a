//! The end of everything that descends from the shim. Every orphan becomes the shim's child, so when no child is left,
//! nothing is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use runbook_shim::files::Exit;
use runbook_shim::process::{Hunt, Process, all, descendants};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::system::{self, Children, Signals};

/// A process that closed its output is given so long to end, below a second: it may be on its way.
const LEAVING: Duration = Duration::from_millis(20);

/// What was found and killed.
#[derive(Debug)]
pub struct Felled {
    /// How the command ended, if it was reaped here.
    pub leader: Option<Exit>,
    /// How many processes besides the command had to be killed.
    pub others: u32,
}

/// The living descendants of the shim that belong to this process group, but for its leader.
pub fn in_group(leader: u32) -> Vec<Process> {
    living().into_iter().filter(|p| p.group == leader && p.pid != leader).collect()
}

/// Kills every descendant and reaps them all, the command too. Returns when none is left, however long that takes: as
/// long as something lives that cannot be killed, nothing may be said to have ended. With `leaving`, those that are just
/// ending by themselves have a moment for it.
pub fn fell(leader: u32, signals: &Signals, leaving: bool) -> Felled {
    let mut felled = Felled { leader: None, others: 0 };
    let until = Instant::now() + LEAVING;
    while leaving && reap_ended(leader, &mut felled) != Children::None {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        wait(left, signals);
    }
    let mut others: BTreeSet<(u32, u64)> = BTreeSet::new();
    let mut hunt = Hunt::default();
    loop {
        match reap_ended(leader, &mut felled) {
            Children::None => break,
            Children::Live | Children::Ended(..) => {}
        }
        let living = living();
        others.extend(living.iter().filter(|p| p.pid != leader).map(|p| (p.pid, p.start_time)));
        // The group at one stroke: no member of it can start another meanwhile. Its number is safe as long as one of
        // its members is our child, since nobody but us can reap that.
        let own = std::process::id();
        if let Some(member) = living.iter().find(|p| p.group == leader && p.parent == own) {
            system::signal_child(member.group, true, Signal::KILL);
        }
        if let Some(pause) = hunt.round(&living) {
            wait(pause, signals);
        }
    }
    felled.others = u32::try_from(others.len()).unwrap_or(u32::MAX);
    felled
}

/// Waits until a child ends, for so long.
fn wait(pause: Duration, signals: &Signals) {
    let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
    // Whatever ends it, an ended child or the time: the caller looks again.
    let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&pause));
    signals.read();
}

/// Reaps until no child has ended; says whether there are others.
fn reap_ended(leader: u32, felled: &mut Felled) -> Children {
    loop {
        match system::reap() {
            Children::Ended(pid, exit) if pid == leader => felled.leader = Some(exit),
            Children::Ended(..) => {}
            left => return left,
        }
    }
}

/// The living descendants; none when /proc cannot be read, and then the next look may see them.
fn living() -> Vec<Process> {
    let mut found = descendants(&all().unwrap_or_default(), std::process::id());
    found.retain(|p| !p.ended);
    found
}
