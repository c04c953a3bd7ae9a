//! What the shim asks of the kernel that has no safe wrapper: signals, children, usage. All of the shim's unsafe code.

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use runbook_shim::files::Exit;
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Signal, getpid, set_child_subreaper, set_dumpable_behavior, setsid, umask};

/// The command makes files that everyone may read and it alone may write, unless it says otherwise.
const UMASK: u32 = 0o022;

/// The shim's signals: none of them interrupts it, two of them are read.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// Which signals came since the last look.
#[derive(Debug, Default, Clone, Copy)]
pub struct Came {
    /// A child ended.
    pub child: bool,
    /// Someone wants `stop` to be read.
    pub term: bool,
}

impl Signals {
    /// Blocks all signals, takes back that the parent may ignore SIGCHLD (ends would be lost), and makes SIGCHLD and
    /// SIGTERM readable.
    pub fn take() -> io::Result<Signals> {
        // SAFETY: the sets are plain data, initialized by sigfillset and sigemptyset; `action` is a valid sigaction with
        // SIG_DFL and no flags. No other thread exists that could be disturbed.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&mut all);
            check(libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut()))?;
            let action: libc::sigaction = mem::zeroed();
            check(libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut()))?;
            let mut read: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut read);
            libc::sigaddset(&mut read, libc::SIGCHLD);
            libc::sigaddset(&mut read, libc::SIGTERM);
            let fd = check(libc::signalfd(-1, &read, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Signals { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// Reads what came. Never blocks.
    pub fn read(&self) -> Came {
        let mut came = Came::default();
        // Several at once: a page of them at most.
        let mut buffer = [0u8; 8 * mem::size_of::<libc::signalfd_siginfo>()];
        while let Ok(length) = rustix::io::read(&self.fd, &mut buffer) {
            for one in buffer[..length].chunks_exact(mem::size_of::<libc::signalfd_siginfo>()) {
                // The number is the structure's first field.
                let number = u32::from_ne_bytes([one[0], one[1], one[2], one[3]]);
                came.child |= number == libc::SIGCHLD as u32;
                came.term |= number == libc::SIGTERM as u32;
            }
            if length < buffer.len() {
                break;
            }
        }
        came
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the process the leader of its own session, the parent of its orphaned descendants, and closed to the eyes of
/// other processes of its user.
pub fn lead_session() -> io::Result<()> {
    // Not rustix's getsid: it takes for impossible that the session began outside of the own pid namespace, which is
    // told as 0.
    // SAFETY: the call takes a number and gives one.
    if setsid().is_err() && unsafe { libc::getsid(0) } != getpid().as_raw_pid() {
        return Err(io::Error::other("setsid is refused: the shim was started as the leader of a process group"));
    }
    set_child_subreaper(Some(getpid()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    umask(Mode::from_raw_mode(UMASK));
    Ok(())
}

/// Closes every descriptor from `first` on: nothing that the parent leaked may be held open for hours.
pub fn close_descriptors_from(first: u32) -> io::Result<()> {
    // SAFETY: called first of all, before this program owns any descriptor above the standard three.
    match check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } as i32) {
        // A kernel before 5.9, or a sandbox: then what is open stays open.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        closed => closed.map(drop),
    }
}

/// Makes the standard input empty.
pub fn null_stdin() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(null)?)
}

/// What a program is started with.
#[derive(Debug)]
pub struct Start<'a> {
    /// Its absolute path.
    pub program: &'a CStr,
    /// Its arguments, the first being its name.
    pub argv: &'a [CString],
    /// Its environment, as `NAME=value`.
    pub env: &'a [CString],
    /// Where it starts.
    pub working_dir: &'a CStr,
    /// Its standard input; none: the shim's own.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Its standard output.
    pub stdout: BorrowedFd<'a>,
    /// Its standard error.
    pub stderr: BorrowedFd<'a>,
}

/// Starts a program in its own process group with no signal blocked or ignored, and returns its pid. posix_spawn(3) makes no copy
/// of this process, and tells whether the exec failed.
///
/// # Errors
/// What refused the working directory, the program or another process.
pub fn spawn(start: &Start<'_>) -> io::Result<u32> {
    let pointers = |texts: &[CString]| -> Vec<*mut libc::c_char> {
        texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
    };
    let (argv, env) = (pointers(start.argv), pointers(start.env));
    let mut pid = 0;
    // SAFETY: both objects are initialized before use and destroyed after it; all strings and arrays outlive the call,
    // which does not change them; the arrays end with a null pointer.
    unsafe {
        let mut actions: libc::posix_spawn_file_actions_t = mem::zeroed();
        done(libc::posix_spawn_file_actions_init(&mut actions))?;
        let mut attributes: libc::posix_spawnattr_t = mem::zeroed();
        done(libc::posix_spawnattr_init(&mut attributes))?;
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut none);
        let mut all: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&mut all);
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let mut prepare = || {
            done(libc::posix_spawnattr_setflags(&mut attributes, flags as libc::c_short))?;
            done(libc::posix_spawnattr_setpgroup(&mut attributes, 0))?;
            done(libc::posix_spawnattr_setsigmask(&mut attributes, &none))?;
            done(libc::posix_spawnattr_setsigdefault(&mut attributes, &all))?;
            done(libc::posix_spawn_file_actions_addchdir_np(&mut actions, start.working_dir.as_ptr()))?;
            if let Some(stdin) = start.stdin {
                done(libc::posix_spawn_file_actions_adddup2(&mut actions, stdin.as_raw_fd(), 0))?;
            }
            done(libc::posix_spawn_file_actions_adddup2(&mut actions, start.stdout.as_raw_fd(), 1))?;
            done(libc::posix_spawn_file_actions_adddup2(&mut actions, start.stderr.as_raw_fd(), 2))?;
            done(libc::posix_spawn(
                &mut pid,
                start.program.as_ptr(),
                &actions,
                &attributes,
                argv.as_ptr(),
                env.as_ptr(),
            ))
        };
        let spawned = prepare();
        libc::posix_spawn_file_actions_destroy(&mut actions);
        libc::posix_spawnattr_destroy(&mut attributes);
        spawned?;
    }
    u32::try_from(pid).map_err(io::Error::other)
}

/// What there is to say about the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// There is none.
    None,
    /// There are some, and all of them live.
    Live,
    /// This one has ended.
    Ended(u32, Exit),
}

/// Looks for a child that has ended, and leaves it to be reaped.
pub fn peek() -> Children {
    wait(libc::WNOWAIT)
}

/// Reaps a child that has ended.
pub fn reap() -> Children {
    wait(0)
}

/// Reaps this child if it has ended.
pub fn reap_this(pid: u32) {
    // SAFETY: a valid, zeroed siginfo_t for the kernel to fill.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOHANG);
    }
}

fn wait(flags: i32) -> Children {
    // SAFETY: a valid, zeroed siginfo_t for the kernel to fill; its fields of a child are read only after waitid said
    // that there is one (a pid that is not 0).
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        if libc::waitid(libc::P_ALL, 0, &mut info, libc::WEXITED | libc::WNOHANG | flags) != 0 {
            return Children::None;
        }
        let exit = match info.si_code {
            libc::CLD_EXITED => Exit::Code(info.si_status()),
            _ => Exit::Signal(info.si_status()),
        };
        match u32::try_from(info.si_pid()) {
            Ok(pid) if pid != 0 => Children::Ended(pid, exit),
            _ => Children::Live,
        }
    }
}

/// Sends a signal to a child that was not yet reaped, or to the group that it leads. Whether it was sent.
pub fn signal_child(pid: u32, group: bool, signal: Signal) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    let sent = if group {
        rustix::process::kill_process_group(pid, signal)
    } else {
        rustix::process::kill_process(pid, signal)
    };
    sent.is_ok()
}

/// What reaped children and their reaped descendants have used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time in user mode, in microseconds.
    pub user_micros: u64,
    /// Processor time in the kernel, in microseconds.
    pub system_micros: u64,
    /// The largest resident memory of one process, in KiB.
    pub max_rss_kib: u64,
}

/// The usage of everything that was reaped.
pub fn usage_of_children() -> Usage {
    // SAFETY: a valid, zeroed rusage for the kernel to fill; with RUSAGE_CHILDREN the call cannot fail.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let micros = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
    Usage {
        user_micros: micros(usage.ru_utime),
        system_micros: micros(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

/// For calls that return the error's number.
fn done(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
