//! Processes as the kernel tells of them in /proc, for both sides: who they are, whose they are, whether they live. It
//! never knows attempts, but for the variable that marks them.

mod hunt;
mod leftovers;

pub use hunt::{Hunt, signal};
pub use leftovers::{KILL_BOUND, kill_leftovers};

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// `/proc/<pid>/stat` is shorter than this, in bytes: some fifty numbers and a name of sixteen bytes.
const STAT_BYTES: usize = 2048;

/// The flag of a thread of the kernel, `PF_KTHREAD`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What the kernel tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// When it started, in clock ticks since boot. With the pid it names one process for the time of a boot.
    pub start_time: u64,
    /// Whether it is stopped by a signal.
    pub stopped: bool,
    /// Whether nothing of it runs any more: it ended, and only waits to be reaped.
    pub ended: bool,
}

impl Process {
    /// Reads `/proc/<pid>/stat`.
    ///
    /// # Errors
    /// There is no such process, or /proc cannot be read.
    pub fn read(pid: u32) -> io::Result<Process> {
        Process::read_at(Path::new(&format!("/proc/{pid}/stat")))
    }

    /// Reads the calling process.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn own() -> io::Result<Process> {
        Process::read_at(Path::new("/proc/self/stat"))
    }

    fn read_at(path: &Path) -> io::Result<Process> {
        // Read at once: growing a buffer would ask the kernel for the same text several times.
        let mut stat = [0; STAT_BYTES];
        let length = File::open(path)?.read(&mut stat)?;
        parse(&stat[..length])
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} is not as expected", path.display())))
    }
}

/// Reads the text of `/proc/<pid>/stat`. The name in it may hold anything, so the rest is found from its last `)`.
fn parse(stat: &[u8]) -> Option<Process> {
    let close = stat.iter().rposition(|&b| b == b')')?;
    let pid = std::str::from_utf8(stat.get(..close)?.split(|&b| b == b' ').next()?).ok()?.parse().ok()?;
    // The fields from the third on, as proc(5) counts them.
    let mut fields = std::str::from_utf8(stat.get(close + 2..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut id = || fields.next()?.parse::<i64>().ok();
    let (parent, group, session) = (id()?, id()?, id()?);
    let threads: i64 = fields.nth(13)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    // The first thread of a process may end before the others, and is then shown as a zombie that still has threads. A
    // process that is just being reaped has no group any more, which is shown as -1.
    let ended = (matches!(state, "Z" | "X" | "x") && threads <= 1) || group < 0;
    let id = |number: i64| u32::try_from(number).unwrap_or(0);
    let (parent, group, session) = (id(parent), id(group), id(session));
    Some(Process { pid, parent, group, session, start_time, stopped: matches!(state, "T" | "t"), ended })
}

/// When a process started, in clock ticks since boot; `None` if there is no such process.
///
/// # Errors
/// /proc cannot be read.
pub fn start_time(pid: u32) -> io::Result<Option<u64>> {
    match Process::read(pid) {
        Ok(process) => Ok(Some(process.start_time)),
        Err(e) if gone(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The id of the machine's present boot.
///
/// # Errors
/// /proc cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

/// All processes that can be seen, those that ended and were not reaped included. It is no snapshot: what starts or
/// ends meanwhile may be missing.
///
/// # Errors
/// /proc cannot be read.
pub fn all() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match Process::read(pid) {
            Ok(process) => found.push(process),
            Err(e) if gone(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// Those of `all` that descend from `ancestor`, itself not included.
pub fn descendants(all: &[Process], ancestor: u32) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|p| p.parent == parent && p.pid != ancestor) {
            // A pid that was reused while /proc was read could close a circle.
            if !found.iter().any(|known| known.pid == process.pid) {
                found.push(*process);
                parents.push(process.pid);
            }
        }
    }
    found
}

/// What the environment that a process was started with says of a variable and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    /// It has them.
    Yes,
    /// It has not, or may not be looked at.
    No,
    /// The process is just being turned into another program, and for that moment has no environment to look at.
    BetweenPrograms,
}

fn marked(pid: u32, name: &str, value: &str) -> Marked {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return Marked::No };
    let found = environ.split(|&b| b == 0).any(|variable| {
        variable
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .is_some_and(|rest| rest == value.as_bytes())
    });
    match found {
        true => Marked::Yes,
        false if environ.is_empty() && is_between_programs(pid) => Marked::BetweenPrograms,
        false => Marked::No,
    }
}

/// Whether an environment that was read as empty will not stay so. It is for good where the process was started with
/// none, ended, or is a thread of the kernel.
fn is_between_programs(pid: u32) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let Some(close) = stat.iter().rposition(|&b| b == b')') else { return false };
    let fields: Vec<&str> = std::str::from_utf8(stat.get(close + 2..).unwrap_or_default())
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    // Numbered as in proc(5).
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let number = |at: usize| field(at).parse::<u64>().unwrap_or(0);
    let kernels = number(9) & KERNEL_THREAD != 0;
    let (start, end) = (number(50), number(51));
    !kernels && !matches!(field(3), "Z" | "X" | "x") && (end == 0 || end != start)
}

/// Whether an error of /proc means that the process is gone.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = b"42 (a) b (c) S 7 42 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0 0\n";
        let process = parse(stat).unwrap();
        assert_eq!(
            (process.pid, process.parent, process.group, process.session, process.start_time),
            (42, 7, 42, 41, 12345)
        );
        assert!(!process.ended && !process.stopped);
    }

    #[test]
    fn a_zombie_with_threads_still_runs() {
        let stat = |threads| format!("42 (x) Z 7 42 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 {threads} 0 12345 0 0 0\n");
        assert!(parse(stat(1).as_bytes()).unwrap().ended);
        assert!(!parse(stat(2).as_bytes()).unwrap().ended);
    }

    #[test]
    fn what_is_just_being_reaped_has_ended() {
        let process = parse(b"42 (x) R 0 -1 -1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 0 0 12345 0 0 0\n").unwrap();
        assert!(process.ended);
    }

    #[test]
    fn the_own_process_is_among_all() {
        let own = Process::own().unwrap();
        assert_eq!(own.pid, std::process::id());
        assert!(all().unwrap().iter().any(|p| (p.pid, p.start_time) == (own.pid, own.start_time)));
        assert_eq!(start_time(own.pid).unwrap(), Some(own.start_time));
    }

    #[test]
    fn torn_text_is_refused() {
        assert!(parse(b"").is_none() && parse(b"42 (x").is_none() && parse(b"42 (x) S 7").is_none());
    }
}
