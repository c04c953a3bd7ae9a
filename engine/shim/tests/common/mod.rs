//! An attempt's place with the real shim in it, and bounded waits for what it does.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Every test program takes what it needs of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use runbook_shim::files::{self, Ending, NotStarted, Spec, StopPolicy, StopRequest, StopSignal, StopTarget, Verdict};
use runbook_shim::log::{Stream, parse_line};
use runbook_shim::process::{self, Process};
use runbook_shim::secrets::Secrets;
use runbook_shim::{lock, paths};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

/// Nothing that a test waits for takes longer, on the slowest machine.
pub const BOUND: Duration = Duration::from_secs(60);

/// A pause between two looks at a state.
const LOOK: Duration = Duration::from_millis(2);

/// An attempt's directory.
pub struct Place {
    /// Holds the directory and whatever the test needs beside it.
    pub temp: TempDir,
    pub dir: PathBuf,
    pub spec: Spec,
    pub secrets: Secrets,
}

impl Place {
    /// A place for a command, with a generous spec and no limits.
    pub fn new(argv: &[&str]) -> Place {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        let dir = temp.path().join("1.0.1");
        fs::create_dir(&dir).unwrap();
        lock::create(&dir).unwrap();
        let name = temp.path().file_name().unwrap().to_str().unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let env = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("RUNBOOK_OUTPUT", text(dir.join(paths::OUT))),
            ("RUNBOOK_ARTIFACTS", text(dir.join(paths::ARTIFACTS))),
            ("T", text(temp.path().to_owned())),
        ];
        let spec = Spec {
            boot_id: process::boot_id().unwrap(),
            run_uid: "run".to_owned(),
            step: "step".to_owned(),
            attempt: 1,
            attempt_id: format!("{name}/1.0.1"),
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            working_dir: text(temp.path().to_owned()),
            stdin: None,
            files: BTreeMap::new(),
            executable: [].into(),
            timeout_ms: None,
            stop: StopPolicy { signal: StopSignal::Term, to: StopTarget::Group, grace_ms: 60_000 },
            log_cap_bytes: 10 << 20,
            output_cap_bytes: 256 << 10,
            artifacts: Vec::new(),
            drain_ms: 2_000,
        };
        Place { temp, dir, spec, secrets: Secrets::default() }
    }

    /// A place for a shell script. `$T` is a directory beside the attempt's.
    pub fn script(script: &str) -> Place {
        Place::new(&["/bin/sh", "-c", script])
    }

    /// A path beside the attempt's directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A fifo beside the attempt's directory.
    pub fn fifo(&self, name: &str) -> Fifo {
        Fifo::make(&self.beside(name))
    }

    /// Writes the spec.
    pub fn place(&self) {
        files::place(&self.dir, &self.spec).unwrap();
    }

    /// The command line of the shim, under another user if one is given.
    pub fn command(&self, wrapped: &[&str]) -> Command {
        let words = [wrapped, &[env!("CARGO_BIN_EXE_runbook-shim")]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&self.dir).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        match self.secrets.is_empty() {
            true => command.stdin(Stdio::null()),
            false => command.stdin(Stdio::from(self.secrets.clone().into_memfd().unwrap())),
        };
        command
    }

    /// Starts the shim as the daemon does.
    pub fn start(&self) -> Shim {
        self.place();
        Shim { child: self.command(&[]).spawn().unwrap() }
    }

    /// Runs the shim to its end, which is a verdict.
    pub fn run(&self) -> Verdict {
        self.finish(self.start())
    }

    /// Waits for a shim's end, which is a verdict.
    pub fn finish(&self, mut shim: Shim) -> Verdict {
        assert_eq!(shim.wait().code(), Some(0), "the shim's exit code");
        assert!(!lock::is_held(&self.dir).unwrap(), "the lock is free");
        self.verdict().expect("a verdict")
    }

    pub fn verdict(&self) -> Option<Verdict> {
        files::load(&self.dir).unwrap()
    }

    /// Asks to stop as the daemon does: the file, then the signal.
    pub fn stop(&self, shim: &Shim, reason: &str, now: bool) {
        files::place(&self.dir, &StopRequest { reason: reason.to_owned(), now }).unwrap();
        shim.signal(Signal::TERM);
    }

    /// The log's text, or nothing.
    pub fn log(&self) -> String {
        fs::read(self.dir.join(paths::LOG))
            .map_or(String::new(), |bytes| String::from_utf8(bytes).expect("the log is UTF-8"))
    }

    /// The command's process, once the shim has told of it: it may do so after the command's first act.
    pub fn child(&self) -> files::Child {
        until("the file `child` is there", || files::load::<files::Child>(&self.dir).unwrap().is_some());
        files::load(&self.dir).unwrap().unwrap()
    }

    /// The texts of one stream, with pieces of lines put together again.
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for line in self.log().lines() {
            let line = parse_line(line).unwrap_or_else(|| panic!("no line of a log: {line:?}"));
            match lines.last_mut() {
                _ if line.stream != stream => {}
                Some(last) if line.continues => last.push_str(line.text),
                _ => lines.push(line.text.to_owned()),
            }
        }
        lines
    }

    /// The living processes of the attempt, by its mark in their environment.
    pub fn processes(&self) -> Vec<Process> {
        let mark = format!("{}={}\0", paths::ATTEMPT_ID_VARIABLE, self.spec.attempt_id);
        let marked = |p: &Process| {
            fs::read(format!("/proc/{}/environ", p.pid)).is_ok_and(|env| String::from_utf8_lossy(&env).contains(&mark))
        };
        process::all().unwrap().into_iter().filter(|p| !p.ended && marked(p)).collect()
    }
}

impl Drop for Place {
    /// Whatever a failed test has left running.
    fn drop(&mut self) {
        let (holder, child) = (lock::holder(&self.dir).unwrap_or(None), files::load(&self.dir).unwrap_or(None));
        let _ = process::kill_leftovers(&self.dir, &self.spec.attempt_id, holder, child);
    }
}

/// A shim that was started; killed, if the test ends before it does.
pub struct Shim {
    pub child: Child,
}

impl Shim {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end, bounded.
    pub fn wait(&mut self) -> ExitStatus {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        assert!(readable(&pidfd, BOUND), "the shim did not end in time");
        self.child.wait().unwrap()
    }

    /// Kills it in the middle of its work.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.wait().signal(), Some(9));
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A named pipe with which a test and a script wait for each other.
pub struct Fifo {
    path: PathBuf,
    file: fs::File,
}

impl Fifo {
    pub fn make(path: &Path) -> Fifo {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        // Open for both, so that neither opening nor closing on the other side matters.
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
        Fifo { path: path.to_owned(), file }
    }

    /// Waits until a script wrote a line into it, and returns that.
    pub fn line(&mut self) -> String {
        let until = Instant::now() + BOUND;
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.file.read(&mut byte) {
                Ok(1) if byte == [b'\n'] => return String::from_utf8(line).unwrap(),
                Ok(1) => line.push(byte[0]),
                _ => assert!(
                    readable(&self.file, until.saturating_duration_since(Instant::now())),
                    "nothing came from {}",
                    self.path.display()
                ),
            }
        }
    }

    /// Lets a script go on that reads a line from it.
    pub fn go(&mut self) {
        self.file.write_all(b"go\n").unwrap();
    }
}

/// Whether the descriptor becomes readable within the bound.
pub fn readable(fd: &impl std::os::fd::AsFd, bound: Duration) -> bool {
    let timeout = Timespec { tv_sec: bound.as_secs().try_into().unwrap(), tv_nsec: bound.subsec_nanos().into() };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

/// Waits until something holds, bounded.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let bound = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < bound, "never: {what}");
        poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() })).unwrap();
    }
}

/// Says in one line that a test cannot run here.
pub fn skip(why: &str) {
    // Past the harness, which shows nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn has_program(name: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().any(|dir| Path::new(dir).join(name).is_file())
}

pub fn exited(code: i32) -> Ending {
    Ending::Exited { code }
}

/// The error number with which a command was not started.
pub fn errno(verdict: &Verdict) -> i32 {
    match &verdict.ending {
        Ending::NotStarted { reason: NotStarted::Errno { errno, .. } } => *errno,
        other => panic!("not a refused start: {other:?}"),
    }
}
