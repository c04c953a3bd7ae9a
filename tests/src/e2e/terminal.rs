//! A program on a terminal of its own: what it shows, what is typed to it, how it ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::screen::Screen;
use super::{PATIENCE, wait_for};

/// Ctrl-C, as the keyboard sends it.
pub const CTRL_C: &str = "\u{3}";

#[derive(Debug)]
struct Shared {
    screen: Screen,
    /// Nobody has the terminal open any more.
    closed: bool,
}

/// A program on a pseudo-terminal, killed with the value.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    master: File,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

impl Terminal {
    /// Starts a program whose standard input, output and error are a terminal of this size, which it controls.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo-terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal for this user");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a size");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("the other side");
        let stdio = |slave: &OwnedFd| Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(stdio(&slave)).stdout(stdio(&slave)).stderr(stdio(&slave));
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        // The command holds the terminal, too: it would never be closed.
        drop((command, slave));
        let master = File::from(master);
        let screen = Screen::new(columns.into(), rows.into());
        let shared = Arc::new((Mutex::new(Shared { screen, closed: false }), Condvar::new()));
        let (reader, to) = (master.try_clone().expect("a descriptor"), Arc::clone(&shared));
        std::thread::spawn(move || read(reader, &to));
        Self { child, master, shared }
    }

    /// Types.
    pub fn type_text(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Waits until the screen shows something.
    ///
    /// # Panics
    /// It does not come within [`PATIENCE`].
    pub fn wait_until(&self, what: &str, shown: impl Fn(&Screen) -> bool) {
        self.wait(what, |shared| shown(&shared.screen));
    }

    /// Waits until a text is to be seen.
    pub fn wait_text(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |screen| screen.visible().contains(text));
    }

    fn wait(&self, what: &str, found: impl Fn(&Shared) -> bool) {
        let (shared, changed) = &*self.shared;
        let begin = Instant::now();
        let mut now = shared.lock().expect("the reader is well");
        while !found(&now) {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            assert!(!left.is_zero(), "waited {PATIENCE:?} for {what}; the screen:\n{}", now.screen.whole());
            now = changed.wait_timeout(now, left).expect("the reader is well").0;
        }
    }

    /// What is to be seen now.
    pub fn visible(&self) -> String {
        self.shared.0.lock().expect("the reader is well").screen.visible()
    }

    /// Waits for the program's end, and until nobody has its terminal any more. Returns its exit code and the screen.
    pub fn finish(mut self) -> (i32, Screen) {
        let status = wait_for("the program's end", || self.child.try_wait().expect("wait"));
        self.wait("the terminal to be let go", |shared| shared.closed);
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let mut shared = self.shared.0.lock().expect("the reader is well");
        assert!(shared.screen.unknown.is_empty(), "not understood: {:?}", shared.screen.unknown);
        (code, std::mem::replace(&mut shared.screen, Screen::new(1, 1)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut master: File, to: &(Mutex<Shared>, Condvar)) {
    let mut bytes = [0; 4096];
    loop {
        // The kernel says EIO when nobody has the other side any more.
        let length = master.read(&mut bytes).unwrap_or(0);
        let mut shared = to.0.lock().expect("the tests are well");
        shared.screen.write(&bytes[..length]);
        shared.closed = length == 0;
        to.1.notify_all();
        if length == 0 {
            return;
        }
    }
}
