//! Programs that actions run: started with what they are given, their output read line by line, asked to end when we are.
//! Never knows what a program is for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use runbook_core::action::{FAILED, NOBODY_KNOWS};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Told;
use crate::inside::Done;

/// The most that is read of a program's standard output at once, in bytes.
const OUTPUT_BYTES: u64 = 64 << 20;
/// The longest line of a program's standard output that is looked at, in bytes.
const LINE_BYTES: usize = 4 << 20;

/// A program with its surroundings.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub program: String,
    pub dir: PathBuf,
    pub env: Vec<(String, String)>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(i32),
    Killed(i32),
}

/// TERM and INT, which are passed on to the program that runs.
struct Stops {
    int: Signal,
    term: Signal,
}

impl Stops {
    fn new() -> std::io::Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

impl Tool {
    /// Runs the program with these arguments; each line of its standard output is given to `line`. Its standard error is
    /// ours.
    ///
    /// # Errors
    /// It cannot be started: what to tell of that.
    pub(super) async fn lines(&self, arguments: &[OsString], mut line: impl FnMut(&str)) -> Result<Ended, Done> {
        let mut child = self.start(arguments).map_err(|error| self.unusable(&error))?;
        let mut stops = Stops::new().map_err(|error| self.unusable(&error))?;
        let pid = child.id();
        let Some(output) = child.stdout.take() else { return Err(Done::with(FAILED, "no output")) };
        let mut reader = BufReader::new(output).take(u64::MAX);
        let mut buffer = Vec::new();
        loop {
            tokio::select! {
                () = stops.next() => pass_on(pid),
                read = reader.read_until(b'\n', &mut buffer) => {
                    if read.unwrap_or(0) == 0 {
                        break;
                    }
                    if buffer.len() <= LINE_BYTES {
                        line(String::from_utf8_lossy(&buffer).trim_end());
                    }
                    buffer.clear();
                }
            }
        }
        self.wait(child, stops).await
    }

    /// Runs the program with these arguments, and gives all of its standard output.
    ///
    /// # Errors
    /// It cannot be started, or says too much: what to tell of that.
    pub(super) async fn output(&self, arguments: &[OsString]) -> Result<(Ended, Vec<u8>), Done> {
        let mut child = self.start(arguments).map_err(|error| self.unusable(&error))?;
        let mut stops = Stops::new().map_err(|error| self.unusable(&error))?;
        let pid = child.id();
        let Some(output) = child.stdout.take() else { return Err(Done::with(FAILED, "no output")) };
        let mut bytes = Vec::new();
        let mut bounded = output.take(OUTPUT_BYTES + 1);
        let mut reading = std::pin::pin!(bounded.read_to_end(&mut bytes));
        loop {
            tokio::select! {
                () = stops.next() => pass_on(pid),
                read = &mut reading => {
                    read.map_err(|error| self.unusable(&error))?;
                    break;
                }
            }
        }
        if bytes.len() as u64 > OUTPUT_BYTES {
            return Err(Done::with(FAILED, format!("{} says more than {OUTPUT_BYTES} bytes", self.program)));
        }
        Ok((self.wait(child, stops).await?, bytes))
    }

    fn start(&self, arguments: &[OsString]) -> std::io::Result<tokio::process::Child> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.dir).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn()
    }

    async fn wait(&self, mut child: tokio::process::Child, mut stops: Stops) -> Result<Ended, Done> {
        use std::os::unix::process::ExitStatusExt as _;
        let pid = child.id();
        loop {
            tokio::select! {
                () = stops.next() => pass_on(pid),
                status = child.wait() => {
                    let status = status.map_err(|error| self.unusable(&error))?;
                    return Ok(match (status.code(), status.signal()) {
                        (Some(code), _) => Ended::Exited(code),
                        (None, signal) => Ended::Killed(signal.unwrap_or(0)),
                    });
                }
            }
        }
    }

    fn unusable(&self, error: &std::io::Error) -> Done {
        if !self.dir.is_dir() {
            return Done::with(FAILED, format!("{} is no folder", self.dir.display()));
        }
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "; install it, or name it by `program:`",
            _ => "",
        };
        Done::with(FAILED, format!("{} cannot be run: {error}{help}", self.program))
    }
}

/// Asks the program to end as a person at its terminal would.
fn pass_on(pid: Option<u32>) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    }
}

/// What is told of a program that was killed.
pub(super) fn killed(program: &str, signal: i32) -> Done {
    Done::with(NOBODY_KNOWS, format!("{program} was killed by signal {signal}"))
}

/// The folder that a key names, which is relative to the project's.
pub(super) fn folder(told: &Told, key: &str) -> PathBuf {
    let project = std::env::var_os("RUNBOOK_PROJECT").map_or_else(PathBuf::new, PathBuf::from);
    project.join(told.text(key).unwrap_or_default())
}
