//! Room on the disk: a reserve that is given up when the disk is full, so that the journal can still be opened
//! and ended cleanly, and how much is free. Never knows who asks.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::directory::Layout;
use crate::error::{FileError, InFile as _};
use crate::limits::{BALLAST_BYTES, ROOM_BYTES};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// The unit of a file's allocated blocks in `stat`, in bytes.
const BLOCK_BYTES: u64 = 512;

/// The bytes that this user can still write to the disk of a directory.
///
/// # Errors
/// The system does not tell.
pub fn free(directory: &Path) -> Result<u64, FileError> {
    let stat = rustix::fs::statvfs(directory).map_err(io::Error::from).in_file("ask for the room of", directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Gives the reserve up; says whether there was one.
///
/// # Errors
/// The file is there and cannot be removed.
pub fn free_ballast(data: &Path) -> Result<bool, FileError> {
    let path = Layout::new(data).ballast();
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).in_file("remove", &path),
    }
}

/// Sees to it that the reserve is there when there is room for it, and gone when there is not; says whether it is
/// there.
///
/// # Errors
/// The reserve cannot be made although there is room.
pub fn keep_ballast(data: &Path) -> Result<bool, FileError> {
    let path = Layout::new(data).ballast();
    let allocated = fs::metadata(&path).map_or(0, |meta| meta.blocks() * BLOCK_BYTES);
    let room = free(data)?;
    if allocated >= BALLAST_BYTES {
        if room < ROOM_BYTES {
            free_ballast(data)?;
            return Ok(false);
        }
        return Ok(true);
    }
    // A reserve that is not whole, since it was cut off while it was being made, goes in any case.
    free_ballast(data)?;
    if room < BALLAST_BYTES + ROOM_BYTES {
        return Ok(false);
    }
    match make(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            free_ballast(data)?;
            Ok(false)
        }
        Err(error) => Err(error).in_file("reserve room in", &path),
    }
}

/// Allocates the file for real. Not synced: after a power cut it is made again.
fn make(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let mut at = 0;
            while at < BALLAST_BYTES {
                file.write_all_at(&ZEROS, at)?;
                at += ZEROS.len() as u64;
            }
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_takes_real_room_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free(dir.path()).unwrap() > BALLAST_BYTES + ROOM_BYTES, "no room for this test");
        assert!(keep_ballast(dir.path()).unwrap());
        let meta = fs::metadata(dir.path().join("ballast")).unwrap();
        assert!(meta.blocks() * BLOCK_BYTES >= BALLAST_BYTES);
        assert!(keep_ballast(dir.path()).unwrap());
        assert!(free_ballast(dir.path()).unwrap());
        assert!(!free_ballast(dir.path()).unwrap());
    }
}
