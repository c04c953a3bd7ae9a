//! Killing a changing set of processes until none is left. Which processes belong to the set is the caller's business.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Process;

/// In so many rounds processes are just killed. What is left then starts new ones faster than they are killed, and is
/// stopped first: stopped processes keep their places, so that who forks up to a limit runs into it.
const PLAIN_ROUNDS: u32 = 3;

/// So many rounds of stopping in a row, if new processes keep showing up, before the next killing.
const FREEZE_ROUNDS: u32 = 20;

/// So many rounds of stopping in all: what is left then does not fork, but cannot be killed.
const FREEZE_ROUNDS_MAX: u32 = 400;

/// The first pause after a killing; each later one is longer.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause after a killing.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The state of a hunt between its rounds.
#[derive(Debug, Default)]
pub struct Hunt {
    killings: u32,
    freezes: u32,
    in_a_row: u32,
}

impl Hunt {
    /// Goes once over the living processes of the set. If they were killed, returns how long to wait for them to go;
    /// if they were only stopped, `None`: look again at once.
    pub fn round(&mut self, living: &[Process]) -> Option<Duration> {
        let freeze = self.killings >= PLAIN_ROUNDS && self.in_a_row < FREEZE_ROUNDS && self.freezes < FREEZE_ROUNDS_MAX;
        if freeze {
            let mut stopped = 0;
            for process in living.iter().filter(|p| !p.stopped) {
                stopped += u32::from(signal(process, Signal::STOP));
            }
            if stopped > 0 {
                self.freezes += 1;
                self.in_a_row += 1;
                return None;
            }
        }
        self.in_a_row = 0;
        self.killings = self.killings.saturating_add(1);
        for process in living {
            signal(process, Signal::KILL);
        }
        Some(FIRST_PAUSE.saturating_mul(self.killings).min(LONGEST_PAUSE))
    }
}

/// Sends a signal to exactly this process, never to another one that got its pid meanwhile. Whether it was sent: not if
/// the process is gone, or we may not.
pub fn signal(process: &Process, signal: Signal) -> bool {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return false };
    let pidfd = loop {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => break pidfd,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    };
    // The descriptor holds whoever has the pid now: if that is the one we mean, the signal cannot miss.
    match Process::read(process.pid) {
        Ok(now) if now.start_time == process.start_time => pidfd_send_signal(&pidfd, signal).is_ok(),
        _ => false,
    }
}
