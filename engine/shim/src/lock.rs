//! `lock`: whether a shim lives is whether it holds this lock, never whether some pid exists. The lock goes with the
//! process, however it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub use crate::files::Holder;
use crate::files::{self, OWNER_ONLY, SmallFile};
use crate::paths;

/// How often a shim tries to take the lock. A daemon that only looks whether it is held takes it for some microseconds.
const TRIES: u32 = 50;
/// How long a shim waits between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// The lock, held as long as this value lives.
#[derive(Debug)]
pub struct Held {
    file: File,
}

/// What came of trying to take the lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Held(Held),
    /// Another process holds it.
    Busy,
}

/// Makes an empty, free `lock` in `dir`. For the daemon, when it places an attempt; an existing one stays as it is.
///
/// # Errors
/// The file cannot be made.
pub fn create(dir: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(OWNER_ONLY).open(dir.join(paths::LOCK)).map(drop)
}

/// Takes the lock of the attempt in `dir`. For the shim; blocks for at most a tenth of a second.
///
/// # Errors
/// `lock` is missing or cannot be locked at all.
pub fn try_acquire(dir: &Path) -> io::Result<Attempt> {
    let file = OpenOptions::new().read(true).write(true).open(dir.join(paths::LOCK))?;
    for _ in 0..TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Attempt::Held(Held { file })),
            Err(Errno::WOULDBLOCK) => thread::sleep(BETWEEN_TRIES),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Attempt::Busy)
}

impl Held {
    /// Writes into the lock who holds it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn tell(&self, holder: Holder) -> io::Result<()> {
        let bytes = holder.encode().map_err(io::Error::other)?;
        files::overwrite(&self.file, &bytes)
    }
}

/// Who wrote itself into the lock last. `None` while nobody did, or while it is being written. It tells nothing about
/// whether the lock is held now: see [`is_held`].
///
/// # Errors
/// `lock` is there and cannot be read.
pub fn holder(dir: &Path) -> io::Result<Option<Holder>> {
    files::load(dir)
}

/// Whether a shim lives that holds the lock. An absent lock, or directory, is free.
///
/// # Errors
/// `lock` is there and cannot be opened or locked.
pub fn is_held(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join(paths::LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    loop {
        // Shared, so that two who look do not take each other for a shim.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(false),
            Err(Errno::WOULDBLOCK) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
