//! Killing the real programs (-9) right before a chosen call: `killat.c` beside this file, built by `cc`. Knows calls and
//! paths, never runs or steps.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Project, programs};

/// Kills programs at chosen calls.
#[derive(Debug)]
pub struct Killer {
    tool: PathBuf,
}

/// Which call a program is killed at.
#[derive(Debug, Clone)]
pub struct At {
    /// Right before so many calls were made, from 1; 0: never.
    pub call: usize,
    /// Calls on paths that hold one of these count, and calls that start, signal or reap processes. None: all that others
    /// can see.
    pub paths: Vec<String>,
    /// Calls count as long as this file is there; none: always.
    pub armed_by: Option<PathBuf>,
    /// Where each call that counts is told, the one that was not made with the word `killed`.
    pub trace: PathBuf,
}

impl Killer {
    /// The tool, built once. `None`, with a line that says so, where programs cannot be built or traced.
    pub fn get() -> Option<&'static Self> {
        static KILLER: OnceLock<Option<Killer>> = OnceLock::new();
        KILLER
            .get_or_init(|| {
                let made = Self::make();
                if let Err(why) = &made {
                    skip(&format!("killing at a chosen call: {why}"));
                }
                made.ok()
            })
            .as_ref()
    }

    fn make() -> Result<Self, String> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/e2e/killat.c");
        let tool = programs().join(format!("killat-{}", std::process::id()));
        let built = Command::new("cc").args(["-O1", "-o"]).arg(&tool).arg(source).status();
        match built {
            Ok(status) if status.success() => {}
            other => return Err(format!("`cc` does not build {source}: {other:?}")),
        }
        // One name for all test programs; a running one is replaced, not overwritten.
        let place = programs().join("killat");
        std::fs::rename(&tool, &place).map_err(|error| format!("{}: {error}", place.display()))?;
        let killed = Command::new(&place).args(["-n", "1", "--", "/bin/true"]).stderr(Stdio::null()).status();
        match killed {
            Ok(status) if status.code().is_none() => Ok(Self { tool: place }),
            other => Err(format!("processes may not be traced here: {other:?}")),
        }
    }

    /// The words to put before a program.
    pub fn words(&self, at: &At) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.tool.clone().into(), "-n".into(), at.call.to_string().into()];
        for path in &at.paths {
            words.extend(["-p".into(), path.into()]);
        }
        if let Some(file) = &at.armed_by {
            words.extend(["-w".into(), file.into()]);
        }
        words.extend(["-t".into(), at.trace.clone().into(), "--".into()]);
        words
    }

    /// A shim for [`own_programs`]. One that finds a number in `number` removes that file and is killed at this of its calls
    /// since `armed` is there; the others live.
    pub fn shim(&self, number: &Path, armed: &Path, trace: &Path) -> String {
        format!(
            "#!/bin/sh\nexec {} -q {} -w {} -t {} -- {} \"$@\"\n",
            self.tool.display(),
            number.display(),
            armed.display(),
            trace.display(),
            programs().join("runbook-shim").display()
        )
    }
}

/// The call that a program was killed at, as the trace tells it.
pub fn killed_at(trace: &Path) -> Option<String> {
    let text = std::fs::read_to_string(trace).ok()?;
    text.lines().find_map(|line| line.strip_suffix(" killed")).map(ToOwned::to_owned)
}

/// The daemon's command for a project, for who does not need its answers.
pub fn daemon_command(project: &Project) -> Command {
    let mut command = Command::new(programs().join("runbookd"));
    command.arg("--project").arg(project.root()).env_remove("RUNBOOK_DATA_DIR").env("RUNBOOKD_LOG_FORMAT", "human");
    command
}

/// Puts words before the daemon's program, which may be another one than the built one.
pub fn wrap(command: &mut Command, project: &Project, words: &[OsString], program: Option<&Path>) {
    let program = program.map_or_else(|| command.get_program().to_owned(), |path| path.as_os_str().to_owned());
    let mut all = words.to_vec();
    all.push(program);
    let mut wrapped = Command::new(&all[0]);
    wrapped.args(&all[1..]).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(project.path("runbookd.log")).expect("a log");
    wrapped.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    *command = wrapped;
}

/// A folder of the project's own with the daemon, and beside it a script as the shim. Returns the daemon's path.
pub fn own_programs(project: &Project, shim: &str) -> PathBuf {
    let daemon = project.path("programs/runbookd");
    let script = project.file("programs/runbook-shim", shim);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let built = programs().join("runbookd");
    if !daemon.exists() && std::fs::hard_link(&built, &daemon).is_err() {
        std::fs::copy(&built, &daemon).expect("a copy of the daemon");
    }
    daemon
}

/// Says that a test proves nothing here, past the harness, which shows nothing of a test that passes.
pub fn skip(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Tells a measured number, past the harness.
pub fn tell(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
