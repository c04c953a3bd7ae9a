//! Making files durable, and reading them within bounds. Knows no meaning of any file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::Path;

use runbook_core::time::Timestamp;

/// Makes a directory and what is missing above it, for the owner alone.
///
/// # Errors
/// It cannot be made.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Syncs a directory: entries made or removed in it are durable afterwards.
///
/// # Errors
/// It cannot be opened or synced.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts a file in its place whole and durably: readers see the old one, or this one.
///
/// # Errors
/// It cannot be written, renamed or synced.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    sync_directory(parent)
}

/// Opens a regular file to read it. Anything else, such as a pipe, would make the reader wait for a writer.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, meta))
}

/// Reads at most one byte more than `limit` of a file. With its length, which may be more than was read.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn read_begin(path: &Path, limit: u64) -> io::Result<(Vec<u8>, u64)> {
    let (file, meta) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let length = meta.len().max(bytes.len() as u64);
    Ok((bytes, length))
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, is no regular file, or is longer: the error tells both lengths.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (bytes, length) = read_begin(path, limit)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {length} bytes, the limit is {limit}"),
        ));
    }
    Ok(bytes)
}

/// How long ago a file must have been changed, in microseconds, so that a change in the same moment of the file system's
/// clock cannot be missed.
const SETTLED: i64 = 1_000_000;

/// How a file was found: as long as a settled one is found so again, it has the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            mode: meta.mode(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether the last change is long enough ago.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let (seconds, nanos) = self.changed;
        now.0.saturating_sub(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)) > SETTLED
    }
}

/// A file listed in `files:` of a runbook, in bytes.
pub const LISTED_BYTES: u64 = 16 << 20;

/// Why a file that a runbook lists cannot be had, as far as can be told without reading it.
pub fn listed_fault(path: &Path) -> Option<String> {
    match open_regular(path) {
        Err(error) => Some(error.to_string()),
        Ok((_, meta)) if meta.len() > LISTED_BYTES => {
            Some(format!("it has {} bytes, the limit is {LISTED_BYTES}", meta.len()))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(read_bounded(&pipe, 10).unwrap_err().to_string(), "it is no regular file");
        assert!(read_bounded(Path::new("/dev/zero"), 10).is_err());
        assert_eq!(read_bounded(folder.path(), 10).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read_bounded(&file, 5).unwrap(), b"12345");
        assert_eq!(read_bounded(&file, 4).unwrap_err().to_string(), "it has 5 bytes, the limit is 4");
    }
}
