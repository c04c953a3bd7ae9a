//! Asks a program something: runs it with a bound on its time and on what it says. Never knows what the answer means, and
//! shows it to nobody.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How much of its complaints is kept, in bytes.
const COMPLAINT_BYTES: usize = 4 << 10;

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: Vec<u8>,
    /// The beginning of its standard error.
    pub complaint: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// It could not be started, or not be listened to.
    System(io::Error),
    /// It took longer than this.
    TimedOut(Duration),
    /// It said more than so many bytes.
    TooLarge(usize),
}

/// The file of a program, found as the shell would.
pub fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| is_executable(file));
    }
    find_on(name, &std::env::var_os("PATH")?, Path::new(""))
}

/// The file of a name on a PATH, where what is relative is so to a folder.
pub fn find_on(name: &str, path: &OsStr, folder: &Path) -> Option<PathBuf> {
    std::env::split_paths(path).map(|part| folder.join(part).join(name)).find(|file| is_executable(file))
}

/// Whether a path is that of a file which this process may execute.
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Runs a program until it ends, without standard input, and takes what it says: at most `limit` bytes. What it leaves
/// behind in its process group is killed.
///
/// # Errors
/// It cannot be started, is not done after `patience`, or says more than `limit` bytes: then it is killed.
pub fn ask(command: &mut Command, patience: Duration, limit: usize) -> Result<Answer, Fault> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(Fault::System)?;
    let heard = listen(&mut child, patience, limit);
    // Its pid is its own until it is waited for.
    if let Some(group) = pid(&child) {
        // Usually nothing is left of the group.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(Fault::System)?;
    let (out, complaint) = heard?;
    Ok(Answer { status, out, complaint })
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn listen(child: &mut Child, patience: Duration, limit: usize) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let system = |error: rustix::io::Errno| Fault::System(error.into());
    let until = Instant::now() + patience;
    let pid = pid(child).ok_or_else(|| Fault::System(io::ErrorKind::NotFound.into()))?;
    let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(system)?;
    let mut out = Pipe::new(child.stdout.take(), limit)?;
    let mut complaint = Pipe::new(child.stderr.take(), COMPLAINT_BYTES)?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::TimedOut(patience));
        }
        let left = rustix::time::Timespec::try_from(left).ok();
        let over = {
            let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
            fds.extend(out.pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            fds.extend(complaint.pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut fds, left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => !fds[0].revents().is_empty(),
                Err(error) => return Err(system(error)),
            }
        };
        out.take().map_err(Fault::System)?;
        complaint.take().map_err(Fault::System)?;
        if out.more {
            return Err(Fault::TooLarge(limit));
        }
        // Whoever has the pipes of one that ended is not waited for.
        if over {
            return Ok((out.bytes, complaint.bytes));
        }
    }
}

/// One end of a pipe, and what was read from it.
struct Pipe<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
    limit: usize,
    /// Whether there was more than the limit.
    more: bool,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(pipe: Option<R>, limit: usize) -> Result<Self, Fault> {
        if let Some(pipe) = &pipe {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).map_err(|error| Fault::System(error.into()))?;
        }
        Ok(Self { pipe, bytes: Vec::new(), limit, more: false })
    }

    /// Takes what is there, without waiting for more.
    fn take(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    let room = self.limit.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&buffer[..read.min(room)]);
                    self.more |= read > room;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Result<Answer, Fault> {
        ask(Command::new("sh").args(["-c", script]), patience, 100_000)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_program_says_is_taken_apart() {
        let answer = sh("echo out; echo complaint >&2; exit 3", LONG).unwrap();
        assert_eq!(
            (answer.status.code(), &*answer.out, &*answer.complaint),
            (Some(3), &b"out\n"[..], &b"complaint\n"[..])
        );
        let answer = sh("head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2", LONG).unwrap();
        assert_eq!((answer.out.len(), answer.complaint.len()), (100_000, COMPLAINT_BYTES));
    }

    #[test]
    fn a_program_that_goes_on_for_ever_is_ended() {
        assert!(matches!(sh("sleep 1000 & wait", Duration::from_millis(50)), Err(Fault::TimedOut(_))));
        assert!(matches!(sh("cat /dev/zero", LONG), Err(Fault::TooLarge(100_000))));
    }

    #[test]
    fn nobody_waits_for_what_a_program_leaves_behind() {
        // The one that is left has the pipe, in a session of its own.
        let answer = sh("setsid sleep 1000 & echo $!", LONG).unwrap();
        assert!(answer.status.success());
        let left = String::from_utf8(answer.out).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
        // It may not have got as far as its own session.
        let _ = rustix::process::kill_process(left, Signal::KILL);
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        assert!(find("no-such-program-of-ours").is_none() && find("sh").is_some());
        let Err(Fault::System(error)) = ask(&mut Command::new("/no/such/program"), LONG, 1) else { panic!("it ran") };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
