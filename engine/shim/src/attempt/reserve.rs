//! The verdict's room on the disk, taken before anything is started, so that a full disk cannot swallow the verdict.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use runbook_shim::files::{self, OWNER_ONLY, SmallFile, Spec, Verdict};
use runbook_shim::paths;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Room for a verdict without artifacts, in bytes: its problems are bounded.
const ROOM: u64 = 16 << 10;

/// Room for an artifact besides its name, in bytes.
const ARTIFACT_ROOM: u64 = 256;

/// A character of a name takes at most so many bytes in JSON.
const ESCAPED: u64 = 6;

/// The file that becomes `verdict`.
#[derive(Debug)]
pub struct Reserve {
    file: File,
}

impl Reserve {
    /// Takes the room.
    ///
    /// # Errors
    /// There is no room, or no file can be made.
    pub fn make(spec: &Spec) -> io::Result<Reserve> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(paths::VERDICT_RESERVE)?;
        let artifacts: u64 = spec.artifacts.iter().map(|name| ARTIFACT_ROOM + ESCAPED * name.len() as u64).sum();
        let room = ROOM + artifacts;
        match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, room) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file, room)?,
            Err(e) => return Err(e.into()),
        }
        Ok(Reserve { file })
    }

    /// Writes the verdict and puts it in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn place(&self, verdict: &Verdict) -> io::Result<()> {
        let bytes = verdict.encode().map_err(io::Error::other)?;
        files::overwrite(&self.file, &bytes)?;
        fs::rename(paths::VERDICT_RESERVE, paths::VERDICT)
    }
}

/// Takes room where the file system has no call for it.
fn fill(mut file: &File, room: u64) -> io::Result<()> {
    let zeros = [0; 4096];
    let mut left = room;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    Ok(())
}
