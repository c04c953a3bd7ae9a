//! What a shim that died has left: found by session, group and variable, and killed. For the daemon.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Hunt, Marked, Process, all, marked};
use crate::files::{Child, Holder};
use crate::lock;
use crate::paths::ATTEMPT_ID_VARIABLE;

/// What is not gone after this time cannot be killed.
pub const KILL_BOUND: Duration = Duration::from_secs(10);

/// So many looks in a row must find nothing. A look is no snapshot: a process may start another one and end between
/// being listed and being read, and who goes into the background does so twice.
const EMPTY_LOOKS: u32 = 4;

/// The pause between two looks that found nothing.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Kills every process that an attempt has left, until none is left: those of the dead shim's session, those of the
/// command's process group, and those that carry the attempt's id in their environment. `holder` and `child` are what
/// `lock` and `child` tell, if they do. The caller itself is spared. Blocks up to [`KILL_BOUND`]; returns the pids of
/// those that live on.
///
/// # Errors
/// /proc cannot be read, or the lock is held: a shim lives, and what it owns is not left.
pub fn kill_leftovers(
    dir: &Path,
    attempt_id: &str,
    holder: Option<Holder>,
    child: Option<Child>,
) -> io::Result<Vec<u32>> {
    if lock::is_held(dir)? {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("a shim holds the lock in {}", dir.display())));
    }
    let until = Instant::now() + KILL_BOUND;
    let mut hunt = Hunt::default();
    let mut empty = 0;
    loop {
        let Look { left, undecided } = look(attempt_id, holder, child)?;
        if Instant::now() >= until {
            return Ok(left.iter().map(|p| p.pid).collect());
        }
        empty = if left.is_empty() && !undecided { empty + 1 } else { 0 };
        if empty == EMPTY_LOOKS {
            return Ok(Vec::new());
        }
        let pause = if left.is_empty() { Some(BETWEEN_LOOKS) } else { hunt.round(&left) };
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
    }
}

/// What one look at all processes found.
struct Look {
    /// The attempt's processes that live.
    left: Vec<Process>,
    /// Whether there was one that could be the attempt's, and does not show it yet.
    undecided: bool,
}

fn look(attempt_id: &str, holder: Option<Holder>, child: Option<Child>) -> io::Result<Look> {
    let all = all()?;
    // A number is only free for another process when no session and no group bears it. So if the process with the
    // number is another one than it was, the session or group is another one, too.
    let ours = |pid: u32, start_time: u64| all.iter().all(|p| p.pid != pid || p.start_time == start_time);
    let session = holder.filter(|h| ours(h.pid, h.start_time)).map(|h| h.pid);
    let group = child.filter(|c| ours(c.pgid, c.start_time)).map(|c| c.pgid);
    let oldest = holder.map(|h| h.start_time).into_iter().chain(child.map(|c| c.start_time)).min().unwrap_or(0);
    let own = std::process::id();
    let mut look = Look { left: Vec::new(), undecided: false };
    for process in all.iter().filter(|p| !p.ended && p.pid != own && p.start_time >= oldest) {
        let known = Some(process.session) == session || Some(process.group) == group;
        match if known { Marked::Yes } else { marked(process.pid, ATTEMPT_ID_VARIABLE, attempt_id) } {
            Marked::Yes => look.left.push(*process),
            Marked::BetweenPrograms => look.undecided = true,
            Marked::No => {}
        }
    }
    Ok(look)
}
