//! Starts `runbookd` for an instance, and waits for its end. Knows processes and files, never the API.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

use crate::exit_code::ExitCode;
use crate::failure::{Connection, Failure, Result};
use crate::instance::Instance;

/// The daemon's executable.
const DAEMON: &str = "runbookd";
/// How long a daemon may take until it answers.
pub const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at something that tells nobody when it is done.
pub const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Where a daemon that nobody sees writes.
const LOG_NAME: &str = "runbookd.log";
/// Held by the command that starts a daemon, so that two commands at once start one.
const START_LOCK_NAME: &str = "start.lock";
/// How much of the log's end is shown when a daemon does not come up.
const LOG_TAIL_LINES: usize = 20;
const LOG_TAIL_BYTES: u64 = 16 << 10;
/// The first word of the line by which a daemon says that it answers.
const READY: &str = "ready ";
/// The exit code of a daemon whose data directory another one holds: that one has gone already, but not quite.
const IN_USE: i32 = 3;
/// What a step of a run finds in its environment: a daemon started from inside a step must not count as a process
/// of that step.
const STEP_VARIABLES: [&str; 9] = [
    "RUNBOOK_RUN",
    "RUNBOOK_RUN_UID",
    "RUNBOOK_STEP",
    "RUNBOOK_ATTEMPT",
    "RUNBOOK_ATTEMPT_ID",
    "RUNBOOK_IDEMPOTENCY_KEY",
    "RUNBOOK_OUTPUT",
    "RUNBOOK_ARTIFACTS",
    "RUNBOOK_ENVIRONMENT",
];

/// Held while a daemon is started.
#[derive(Debug)]
pub struct StartLock {
    _file: File,
}

/// The log of an instance's daemon.
pub fn log_path(instance: &Instance) -> PathBuf {
    instance.data.join(LOG_NAME)
}

/// The daemon's executable: beside this one, else found by `PATH`.
pub fn executable() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(|folder| folder.join(DAEMON)))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from(DAEMON))
}

/// The arguments by which a daemon serves an instance, and whether it is to fire schedules.
///
/// # Errors
/// No project is known.
pub fn arguments(instance: &Instance, fires_schedules: bool) -> Result<Vec<std::ffi::OsString>> {
    let Some(project) = &instance.project else {
        return Err(Failure::usage("a daemon cannot be started without a project")
            .why(format!("only the data directory {} was named", instance.data.display()))
            .next("go to the project's folder, or name it with --project DIR"));
    };
    let mut arguments = vec!["--project".into(), project.into(), "--data-dir".into(), (&instance.data).into()];
    if fires_schedules {
        arguments.push("--schedules".into());
    }
    Ok(arguments)
}

/// Makes the data directory and waits until no other command starts a daemon there.
///
/// # Errors
/// The directory cannot be made, or another command holds the lock for too long.
pub async fn lock(instance: &Instance) -> Result<StartLock> {
    let data = &instance.data;
    let failed = |what: &str, error: &io::Error| {
        Failure::new(ExitCode::Unreachable, format!("{what} {}", data.display()))
            .why(error.to_string())
            .next("make it writable, or name another with --data-dir DIR")
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|error| failed("cannot make the data directory", &error))?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(data.join(START_LOCK_NAME))
        .map_err(|error| failed("cannot write in the data directory", &error))?;
    let until = Instant::now() + START_LIMIT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(StartLock { _file: file }),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            Err(Errno::WOULDBLOCK) => {
                return Err(Failure::unreachable(
                    Connection::Broken,
                    "another command is starting the daemon, for too long",
                )
                .next(format!("look at {}", log_path(instance).display())));
            }
            Err(error) => return Err(failed("cannot lock a file in", &error.into())),
        }
    }
}

/// Tries once to start a daemon that outlives this command, and waits until it answers, but not after `until`. Returns its
/// pid; `None` where another daemon has the data directory: it answers soon, or is about to let go.
///
/// # Errors
/// It cannot be started, or ends before it answers; the end of its log is shown.
pub async fn start(
    instance: &Instance,
    fires_schedules: bool,
    _lock: &StartLock,
    until: Instant,
) -> Result<Option<u32>> {
    let path = log_path(instance);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))?;
    let written = log.metadata().map(|found| found.len()).unwrap_or(0);
    let mut command = Command::new(executable());
    command
        .args(arguments(instance, fires_schedules)?)
        .arg("--announce")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    for variable in STEP_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command.spawn().map_err(|error| {
        let failure = Failure::new(ExitCode::Unreachable, format!("cannot start {}", executable().display()))
            .why(error.to_string());
        match error.kind() {
            io::ErrorKind::NotFound => failure.next("install runbookd beside runbook, or put its folder into PATH"),
            _ => failure,
        }
    })?;
    let pid = child.id().unwrap_or(0);
    let Some(stdout) = child.stdout.take() else { return Err(Failure::other("the daemon has no standard output")) };
    let mut lines = BufReader::new(stdout).lines();
    let announced = timeout_at(until, lines.next_line()).await;
    let problem = match announced {
        Ok(Ok(Some(line))) if line.starts_with(READY) => return Ok(Some(pid)),
        Ok(Ok(Some(line))) => format!("it announced {line:?}"),
        Ok(Ok(None)) => match timeout_at(until, child.wait()).await {
            Ok(Ok(status)) if status.code() == Some(IN_USE) && Instant::now() < until => return Ok(None),
            Ok(Ok(status)) => format!("it ended with {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it closed its output and goes on".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it does not answer after {} s; its pid is {pid}", START_LIMIT.as_secs()),
    };
    let tail = tail(&path, written);
    let why = if tail.is_empty() { problem } else { format!("{problem}; the end of its log:\n{tail}") };
    // No connection broke: that it is tried again at once would not help.
    Err(Failure::new(ExitCode::Unreachable, "the daemon did not start")
        .why(why)
        .next(format!("the whole log is {}; `runbook daemon start --foreground` shows it live", path.display())))
}

/// The last lines that were written to a log after a place in it.
fn tail(path: &Path, after: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(after.max(length.saturating_sub(LOG_TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
    };
    read().unwrap_or_else(|error| format!("(cannot be read: {error})"))
}

/// Waits until a process is gone; `false` when it is still there after the limit.
pub async fn wait_gone(pid: u32, limit: Duration) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    // Opened once: the number may be given to another process later, the descriptor stays with this one.
    let gone: Box<dyn Fn() -> bool> = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => Box::new(move || {
            let mut wanted = [PollFd::new(&process, PollFlags::IN)];
            poll(&mut wanted, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        }),
        Err(Errno::SRCH) => return true,
        // An old kernel: the process table says it, too.
        Err(_) => Box::new(move || !fs::exists(format!("/proc/{}", pid.as_raw_nonzero())).unwrap_or(true)),
    };
    let until = Instant::now() + limit;
    while !gone() {
        if Instant::now() >= until {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_new_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "old\n").unwrap();
        assert_eq!(tail(&path, 4), "");
        let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
        fs::write(&path, format!("old\n{lines}")).unwrap();
        let tail = tail(&path, 4);
        assert_eq!(tail.lines().count(), LOG_TAIL_LINES);
        assert!(tail.starts_with("line 80\n") && tail.ends_with("line 99"), "{tail}");
    }

    #[test]
    fn a_daemon_needs_a_project() {
        let instance = Instance { project: None, data: "/d".into(), socket: "/d/s".into() };
        assert_eq!(arguments(&instance, false).unwrap_err().code, ExitCode::Usage);
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_seen() {
        let mut child = std::process::Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(!wait_gone(child.id(), Duration::ZERO).await);
        drop(child.stdin.take());
        assert!(wait_gone(child.id(), Duration::from_secs(10)).await);
        child.wait().unwrap();
        assert!(wait_gone(child.id(), Duration::ZERO).await);
    }
}
