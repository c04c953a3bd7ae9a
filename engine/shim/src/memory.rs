//! A folder in memory for files that hold secrets, so that what a killed machine leaves on its disk has none of them. Known by
//! the link to it, whoever made it. Never knows what is in the files.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

/// Where the system has files in memory: `shm_overview(7)`.
const PLACE: &str = "/dev/shm";
/// How the names of these folders begin.
const BEGIN: &str = "runbook-";
/// tmpfs, by `statfs(2)`.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;
/// Access for the owner alone.
const OWNER_ENTERS: u32 = 0o700;

/// Makes a folder in memory with a name of its own, and a link to it at a path; says whether there is a place for one.
///
/// # Errors
/// The folder or the link cannot be made.
pub fn make(link: &Path, name: &str) -> io::Result<bool> {
    // A folder of that name that is on a disk is no place for secrets, and none at all no reason to fail.
    let in_memory = rustix::fs::statfs(PLACE).is_ok_and(|place| place.f_type == TMPFS);
    if !in_memory {
        return Ok(false);
    }
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let folder = Path::new(PLACE).join(format!("{BEGIN}{name}-{}", std::process::id()));
    DirBuilder::new().mode(OWNER_ENTERS).create(&folder)?;
    symlink(&folder, link)?;
    Ok(true)
}

/// Removes the folder in memory that a path is a link to, and the link. Anything else stays as it is.
///
/// # Errors
/// One of them cannot be removed.
pub fn remove(link: &Path) -> io::Result<()> {
    let Some(folder) = fs::read_link(link).ok().filter(|folder| is_own(folder)) else { return Ok(()) };
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_file(link)
}

/// Whether a folder is one that was made here.
fn is_own(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    folder.parent() == Some(Path::new(PLACE)) && name.is_some_and(|name| name.starts_with(BEGIN))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_what_was_made_here_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        if !make(&path("link"), "memory-test").unwrap() {
            return;
        }
        let target = fs::read_link(path("link")).unwrap();
        fs::write(path("link/secret"), "x").unwrap();
        assert!(target.join("secret").exists());
        remove(&path("link")).unwrap();
        assert!(!target.exists() && path("link").symlink_metadata().is_err());
        remove(&path("link")).unwrap();
        fs::create_dir(path("other")).unwrap();
        symlink(path("other"), path("foreign")).unwrap();
        for name in ["other", "foreign"] {
            remove(&path(name)).unwrap();
            assert!(path(name).exists(), "{name}");
        }
    }
}
