//! Who has the data directory: one process, which says its pid. Never knows what is in the directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::directory::Layout;
use crate::error::{InFile as _, OpenError};

/// The longest text that is read as a pid, in bytes.
const PID_BYTES: u64 = 16;

/// The directory is ours until this is dropped, or the process ends in whatever way: the lock is the kernel's.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`OpenError::InUse`], or the file cannot be used.
    pub fn take(layout: &Layout) -> Result<Self, OpenError> {
        let path = layout.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .in_file("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(PID_BYTES).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::InUse { dir: layout.root().to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(error).in_file("lock", &path)?,
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .in_file("write", &path)?;
        Ok(Self { _file: file })
    }
}
