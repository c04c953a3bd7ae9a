//! Starting the command: its files, its program, its environment, its pipes. What becomes of it is for others.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use runbook_shim::files::{OWNER_ONLY, Spec};
use runbook_shim::memory;
use runbook_shim::paths;
use runbook_shim::secrets::{Secrets, sealed_memfd, wipe};
use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::system::{self, Start};

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Access for the owner alone, and to be executed by it.
const OWNER_EXECUTES: u32 = 0o700;

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    /// Its pid, and the id of its process group.
    pub pid: u32,
    /// What it writes to standard output; never blocks.
    pub out: OwnedFd,
    /// What it writes to standard error; never blocks.
    pub err: OwnedFd,
}

/// Why a command does not run.
#[derive(Debug)]
pub struct NotRun {
    /// The system's error number.
    pub errno: i32,
    /// What was tried, on what, and what to do.
    pub text: String,
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> NotRun {
    let what = what.into();
    move |error| NotRun {
        errno: error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()),
        text: format!("{what}: {error}"),
    }
}

/// Starts the command in its own process group. It gets the environment of the spec and the secrets and the attempt's
/// id, no descriptor but the standard three, and no signal blocked or ignored.
///
/// # Errors
/// What the system refused.
pub fn start(spec: &Spec, secrets: &Secrets) -> Result<Started, NotRun> {
    write_files(spec, secrets)?;
    if !spec.artifacts.is_empty() {
        make_dir(Path::new(paths::ARTIFACTS)).map_err(failed("making the directory `artifacts`"))?;
    }
    let path = secrets.env.get("PATH").or_else(|| spec.env.get("PATH")).map_or(DEFAULT_PATH, String::as_str);
    let working_dir = Path::new(&spec.working_dir);
    let name = spec.argv.first().map_or("", String::as_str);
    let program = find_program(name, path, working_dir)?;

    let stdin = match secrets.stdin.as_deref().or(spec.stdin.as_deref()) {
        Some(text) => {
            Some(sealed_memfd("runbook-stdin", text.as_bytes()).map_err(failed("making the standard input"))?)
        }
        None => None,
    };
    let (out, out_end) = pipe().map_err(failed("making the pipe for standard output"))?;
    let (err, err_end) = pipe().map_err(failed("making the pipe for standard error"))?;

    let argv = spec.argv.iter().map(|argument| c_string(argument.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let mut env = environment(spec, secrets)?;
    let started = system::spawn(&Start {
        program: &c_string(program.as_os_str().as_bytes())?,
        argv: &argv,
        env: &env,
        working_dir: &c_string(spec.working_dir.as_bytes())?,
        stdin: stdin.as_ref().map(AsFd::as_fd),
        stdout: out_end.as_fd(),
        stderr: err_end.as_fd(),
    });
    for variable in env.drain(..) {
        wipe(&mut variable.into_bytes());
    }
    let pid = started.map_err(|e| explain(e, &program, working_dir))?;
    Ok(Started { pid, out, err })
}

/// The spec's variables, the secret ones over them, the attempt's id over all.
fn environment(spec: &Spec, secrets: &Secrets) -> Result<Vec<CString>, NotRun> {
    let public = spec.env.iter().filter(|(name, _)| !secrets.env.contains_key(*name));
    let mut env = Vec::with_capacity(spec.env.len() + secrets.env.len() + 1);
    for (name, value) in public.chain(&secrets.env).filter(|(name, _)| *name != paths::ATTEMPT_ID_VARIABLE) {
        env.push(c_string(format!("{name}={value}").into_bytes())?);
    }
    env.push(c_string(format!("{}={}", paths::ATTEMPT_ID_VARIABLE, spec.attempt_id).into_bytes())?);
    Ok(env)
}

/// The files were checked for this, so that it does not happen.
fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, NotRun> {
    CString::new(bytes).map_err(|e| NotRun {
        errno: Errno::INVAL.raw_os_error(),
        text: format!("a text for the command holds a NUL character at byte {}", e.nul_position()),
    })
}

/// A pipe whose reading end never blocks.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(read.as_fd(), OFlags::NONBLOCK)?;
    Ok((read, write))
}

fn write_files(spec: &Spec, secrets: &Secrets) -> Result<(), NotRun> {
    if !secrets.files.is_empty() {
        let made = memory::make(Path::new(paths::FILES), &spec.attempt_id);
        made.map_err(failed("making a folder in memory for the files"))?;
    }
    let public = spec.files.iter().filter(|(name, _)| !secrets.files.contains_key(*name));
    for (name, content) in public.chain(&secrets.files) {
        let path = Path::new(paths::FILES).join(name);
        let mode = if spec.executable.contains(name) { OWNER_EXECUTES } else { OWNER_ONLY };
        write_file(&path, content, mode).map_err(failed(format!("writing {}", path.display())))?;
    }
    Ok(())
}

fn write_file(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content.as_bytes())
}

fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(OWNER_EXECUTES).create(path)
}

/// The program's absolute path, found as execvp(3) does it, but with the command's `PATH` and working directory.
fn find_program(name: &str, path: &str, working_dir: &Path) -> Result<PathBuf, NotRun> {
    if name.contains('/') {
        return Ok(working_dir.join(name));
    }
    let mut refused = None;
    for dir in path.split(':') {
        let candidate = working_dir.join(dir).join(name);
        match accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) if candidate.is_file() => return Ok(candidate),
            Err(Errno::ACCESS) => refused = Some(candidate),
            Ok(()) | Err(_) => {}
        }
    }
    Err(match refused {
        Some(found) => NotRun {
            errno: Errno::ACCESS.raw_os_error(),
            text: format!(
                "{} may not be executed by this user; check its mode, or name another program",
                found.display()
            ),
        },
        None => NotRun {
            errno: Errno::NOENT.raw_os_error(),
            text: format!("no program `{name}` in the PATH ({path}); install it, or set PATH in the step's env"),
        },
    })
}

/// Says which of the things that an exec needs was refused.
fn explain(error: io::Error, program: &Path, working_dir: &Path) -> NotRun {
    let name = program.display();
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let text = match errno {
        _ if !working_dir.is_dir() => {
            format!("the working directory {} is no directory that can be entered: {error}", working_dir.display())
        }
        Some(Errno::NOENT) if program.exists() => {
            format!("starting {name}: the interpreter that it names (its `#!` line, or its loader) is missing")
        }
        Some(Errno::NOENT) => format!("starting {name}: there is no such program"),
        Some(Errno::ACCESS) => format!(
            "starting {name}: it, or a directory on its path, may not be executed by this user; check the modes"
        ),
        Some(Errno::NOEXEC) => format!("starting {name}: it is no program for this machine, and has no `#!` line"),
        Some(Errno::TXTBSY) => format!("starting {name}: someone has it open for writing"),
        Some(Errno::TOOBIG) => format!(
            "starting {name}: arguments and environment are too long together; hand large values over as stdin or files"
        ),
        Some(Errno::AGAIN | Errno::NOMEM) => format!("starting {name}: no room for another process: {error}"),
        _ => format!("starting {name}: {error}"),
    };
    NotRun { errno: errno.unwrap_or(Errno::INVAL).raw_os_error(), text }
}
