//! The command line as a person or a script calls it: in a project's folder, with an environment of its own.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use super::{Project, cli, is_alive, wait_for};

/// A command of the command line that has not started yet. Times are UTC, nothing is coloured, no variable of the
/// caller changes what it does.
pub fn command(project: &Project, arguments: &[&str]) -> Command {
    clean(Command::new(cli()), project, arguments)
}

/// The same for a program at another place.
pub fn clean(mut command: Command, project: &Project, arguments: &[&str]) -> Command {
    command.args(arguments).current_dir(project.root()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([("HOME", "/"), ("TZ", "UTC"), ("LANG", "C.UTF-8"), ("TERM", "xterm"), ("NO_COLOR", "1")]);
    command
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; 128 and the signal where one ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

/// Runs a command without a terminal, until it ends.
pub fn said(mut command: Command) -> Said {
    command.stdin(Stdio::null()).output().expect("the command runs").into()
}

/// Runs `runbook` in a project's folder, until it ends.
pub fn runbook(project: &Project, arguments: &[&str]) -> Said {
    said(command(project, arguments))
}

/// Runs `runbook` with a text on its standard input.
pub fn runbook_with(project: &Project, arguments: &[&str], input: &str) -> Said {
    let mut command = command(project, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("standard input").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends").into()
}

/// Daemons that commands started for a project: whichever is there is killed with the value.
#[derive(Debug)]
pub struct Started<'p>(pub &'p Project);

impl Started<'_> {
    /// The pid of the daemon that has the data directory now.
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = self.0.read(".runbook/LOCK")?.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // The number may be another process's by now.
        let root = self.0.root().to_str()?;
        (String::from_utf8_lossy(&line).contains(root) && is_alive(pid)).then_some(pid)
    }

    /// Kills the daemon without warning, and waits until it is gone.
    pub fn kill(&self) {
        let Some(pid) = self.pid() else { return };
        let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        // It may have gone just now.
        let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
        wait_for("the daemon's end", || (!is_alive(pid)).then_some(()));
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}
