//! What a shim that died has left: found by session, group and variable, and killed. For the daemon.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Hunt, Process, all, has_variable};
use crate::files::{Child, Holder};
use crate::lock;
use crate::paths::ATTEMPT_ID_VARIABLE;

/// What is not gone after this time cannot be killed.
pub const KILL_BOUND: Duration = Duration::from_secs(10);

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
    loop {
        let left = leftovers(attempt_id, holder, child)?;
        if left.is_empty() || Instant::now() >= until {
            return Ok(left.iter().map(|p| p.pid).collect());
        }
        if let Some(pause) = hunt.round(&left) {
            thread::sleep(pause);
        }
    }
}

fn leftovers(attempt_id: &str, holder: Option<Holder>, child: Option<Child>) -> io::Result<Vec<Process>> {
    let all = all()?;
    // A number is only free for another process when no session and no group bears it. So if the process with the
    // number is another one than it was, the session or group is another one, too.
    let ours = |pid: u32, start_time: u64| all.iter().all(|p| p.pid != pid || p.start_time == start_time);
    let session = holder.filter(|h| ours(h.pid, h.start_time)).map(|h| h.pid);
    let group = child.filter(|c| ours(c.pgid, c.start_time)).map(|c| c.pgid);
    let oldest = holder.map(|h| h.start_time).into_iter().chain(child.map(|c| c.start_time)).min().unwrap_or(0);
    let own = std::process::id();
    Ok(all
        .iter()
        .filter(|p| !p.ended && p.pid != own && p.start_time >= oldest)
        .filter(|p| {
            Some(p.session) == session || Some(p.group) == group || has_variable(p.pid, ATTEMPT_ID_VARIABLE, attempt_id)
        })
        .copied()
        .collect())
}
