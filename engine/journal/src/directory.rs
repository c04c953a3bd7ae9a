//! The data directory: what lies where, and how a name in it becomes durable. Never knows what the files hold.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use runbook_core::id::{Digest, RunUid};

use crate::error::{FileError, InFile as _};

/// Where things lie below a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of a data directory.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says who has the directory.
    pub fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    /// The file that says which format the directory has.
    pub fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// The file with the number of the last commit.
    pub fn mark(&self) -> PathBuf {
        self.root.join("mark")
    }

    /// The reserve for a full disk.
    pub fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// The storage engine's directory.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The storage engine's directory while it is being made.
    pub fn journal_in_the_making(&self) -> PathBuf {
        self.root.join("journal.new")
    }

    /// The folders of all runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The folder of a run.
    pub fn run(&self, uid: RunUid) -> PathBuf {
        self.runs().join(uid.to_string())
    }

    /// The events of a run that left the live tail.
    pub fn events(&self, uid: RunUid) -> PathBuf {
        self.run(uid).join("events")
    }

    /// Folders of removed runs, to be deleted at leisure.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// The objects, named by hash.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects").join("sha256")
    }

    /// One object.
    pub fn object(&self, digest: Digest) -> PathBuf {
        self.objects().join(digest.to_string())
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync(directory: &Path) -> Result<(), FileError> {
    File::open(directory).and_then(|file| file.sync_all()).in_file("sync the directory", directory)
}

/// Makes a directory for this user alone; says whether it was not there. Parents must be there. Durable only when
/// the parent is synced.
///
/// # Errors
/// The directory cannot be made.
pub fn make_unsynced(directory: &Path) -> Result<bool, FileError> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(false),
        Err(error) => Err(error).in_file("make the directory", directory),
    }
}

/// As [`make_unsynced`], and durable.
///
/// # Errors
/// The directory cannot be made, or its parent not be synced.
pub fn make(directory: &Path) -> Result<bool, FileError> {
    let made = make_unsynced(directory)?;
    if made && let Some(parent) = directory.parent() {
        sync(parent)?;
    }
    Ok(made)
}

/// Puts a small file in place, durably: it is there whole or not at all.
///
/// # Errors
/// The file cannot be written, synced or renamed.
pub fn put_file(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), FileError> {
    File::create(temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .in_file("write", temporary)?;
    fs::rename(temporary, path).in_file("put in place", path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Deletes what `prune` has moved to the trash, and returns how many runs that were. It may take long where
/// runs left large artifacts: to be called beside the journal, after it was opened and after each `prune`. What is
/// left after an error or a crash is found by the next call.
///
/// # Errors
/// The first folder that could not be deleted; the others were.
pub fn empty_trash(data: &Path) -> Result<usize, FileError> {
    let trash = Layout::new(data).trash();
    let mut gone = 0;
    let mut failed = None;
    for entry in fs::read_dir(&trash).in_file("list", &trash)? {
        let path = entry.in_file("list", &trash)?.path();
        match fs::remove_dir_all(&path).in_file("delete", &path) {
            Ok(()) => gone += 1,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(gone), Err)
}
