//! What a daemon inherits from whoever started it, and must not keep: open descriptors (a lock of a wrapper, the
//! write end of somebody's pipe) and the terminal's session. Called first in `main`, never again.

use std::ffi::c_uint;
use std::io;

/// The first descriptor behind standard input, output and error, where systemd passes sockets, too.
const FIRST: c_uint = 3;
/// The largest number of descriptors that systemd may pass.
const PASSED_MAX: c_uint = 4_096;

/// Closes every descriptor behind standard error but those that systemd passes to this very process.
///
/// # Errors
/// What is open cannot be told.
pub fn close_descriptors() -> io::Result<()> {
    let first = FIRST + passed(std::env::var("LISTEN_PID").ok(), std::env::var("LISTEN_FDS").ok(), std::process::id());
    // SAFETY: nothing of this process owns a descriptor yet: this is the beginning of `main`, and the runtime of
    // Rust opens none.
    if unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, 0) } == 0 {
        return Ok(());
    }
    // A kernel before 5.9, or a sandbox that forbids the call.
    let open: Vec<c_uint> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= first)
        .collect();
    for number in open.into_iter().filter_map(|number| i32::try_from(number).ok()) {
        // SAFETY: as above; the descriptor of the listing itself is closed already, which is no error that matters.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// How many descriptors systemd passes to this process, by its protocol: sd_listen_fds(3).
fn passed(pid: Option<String>, count: Option<String>, own: u32) -> c_uint {
    match (pid.and_then(|pid| pid.parse::<u32>().ok()), count.and_then(|count| count.parse().ok())) {
        (Some(pid), Some(count)) if pid == own => PASSED_MAX.min(count),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn what_systemd_passes_is_kept() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(passed(text("7"), text("2"), 7), 2);
        assert_eq!(passed(text("7"), text("4294967295"), 7), super::PASSED_MAX);
        for (pid, count) in [(text("8"), text("2")), (None, text("2")), (text("7"), None), (text("7"), text("-1"))] {
            assert_eq!(passed(pid, count, 7), 0);
        }
    }
}
