//! The fence: the daemon makes `claim` itself, so that it can say "not started" and be right for ever.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::files::{Claim, OWNER_ONLY, SmallFile};
use crate::paths;

/// Tries to make the daemon's claim on the attempt in `dir`. `true`: it is the daemon's, now or from an earlier try, and
/// no shim can ever start the command. `false`: a shim claimed first and may have started it. It is not synced: another
/// boot starts nothing of this one anyway.
///
/// # Errors
/// The claim cannot be made or read; also `NotFound` when the directory is missing.
pub fn fence(dir: &Path) -> io::Result<bool> {
    let new = dir.join(paths::CLAIM_NEW);
    let bytes = Claim::Daemon.encode().map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&new)?;
    file.write_all(&bytes)?;
    drop(file);
    // link(2), not rename: it fails where a claim is already there, and the content is whole from the first moment.
    let linked = fs::hard_link(&new, dir.join(paths::CLAIM));
    fs::remove_file(&new)?;
    match linked {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Claim::load(dir)? == Some(Claim::Daemon)),
        Err(e) => Err(e),
    }
}
